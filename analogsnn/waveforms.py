"""Waveforms: what every circuit engine returns and every measure reads."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from .errors import InputError


@dataclass(frozen=True, eq=False, kw_only=True)
class Waveforms:
    """Voltages and currents over time, or over a swept quantity.

    Arrays may come from any library: the methods only index, slice and subtract.

    **Fields**

    - `time`: `[n]`, in s; after a sweep, the swept quantity in its own unit.
    - `voltages`: `[node, n]` in V, rows named by `nodes`.
    - `currents`: `[branch, n]` in A, rows named by `branches`: voltage sources and what else carries a branch current.
      Positive current flows through the element from its first node to its second, so a supply's is negative.
    - `supply`: the largest DC source to ground in V, or None: half of it is the default spike threshold.
    - `variable`: `"time"`, the name of the swept source, or `"op"` for a single operating point.
    - `n_valid`: number of valid points where rows are padded, else None: all.
    """

    time: Any
    voltages: Any
    nodes: tuple[str, ...]
    currents: Any
    branches: tuple[str, ...]
    supply: float | None = None
    variable: str = "time"
    n_valid: int | None = None

    def voltage(self, node: str, minus: str = "0") -> Any:
        """The voltage of `node` against `minus`, `[n]` in V; names in any case, `"0"` is ground.

        **Raises** `InputError` for a node that was not kept.
        """
        if minus != "0":
            return self.voltage(node) - self.voltage(minus)
        if node.lower() in ("0", "gnd"):
            return 0.0 * self.axis
        return self._row(self.voltages, self.nodes, node, "node")

    def current(self, branch: str) -> Any:
        """The current through the source `branch`, `[n]` in A.

        **Raises** `InputError` for an element whose current was not kept.
        """
        return self._row(self.currents, self.branches, branch, "branch current")

    @property
    def axis(self) -> Any:
        """The valid part of `time`."""
        return self.time if self.n_valid is None else self.time[: self.n_valid]

    def _row(self, rows: Any, names: tuple[str, ...], name: str, what: str) -> Any:
        try:
            row = rows[names.index(name.lower())]
        except ValueError:
            close = difflib.get_close_matches(name.lower(), names, 3)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names[:8]) or 'none'}."
            raise InputError(f"the waveforms have no {what} '{name}'; {hint}") from None
        return row if self.n_valid is None else row[: self.n_valid]
