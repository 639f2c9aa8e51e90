"""Waveforms: what every circuit engine returns and every measure reads."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    import xarray


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Waveforms:
    """Voltages and currents over time, or over a swept quantity.

    A JAX pytree: it passes through `jit`, `grad`, `vmap` and equinox's filtered forms of them, with the names static.
    Its arrays may be NumPy's or JAX's. (It is registered when JAX is there rather than derived from `equinox.Module`,
    so that the ngspice path, the measures and the command line need not load JAX.)

    **Fields**

    - `time`: `[n]`, in s, ascending; after a sweep, the swept quantity in its own unit.
    - `voltages`: `[node, n]` in V, rows named by `nodes`.
    - `currents`: `[branch, n]` in A, rows named by `branches`: voltage sources and what else carries a branch current.
      Positive current flows through the element from its first node to its second, so a supply's is negative.
    - `supply`: the largest DC source to ground in V, or None: half of it is the default spike threshold.
    - `variable`: `"time"`, the name of the swept source, or `"op"` for a single operating point.
    - `n_valid`: number of valid points, or None: all. **Points after them repeat the last valid one**, in time and in
      value, so that measures need not know: an interval of no length holds no crossing and no area. So it is under
      `jit` and `vmap`, and in runs with derivatives, unless `save_at` was given.
    - `shift`, `pace`, `rates`, `current_rates`: of differentiable runs only, for `along` and `moving`. Inside a spike
      the derivative of a voltage at a fixed time is huge; `shift [node, n]` is zero in value and its derivative is by
      how much the node's phase moves (s); `pace [n]` is that of the fastest node of each point; `rates [node, n]` is
      dv/dt (V/s) and `current_rates [branch, n]` di/dt (A/s). `time`, `voltages` and `currents` are right as they are.
      The rates' own derivatives are those at points that move, of nodes that follow one state; of others there are
      none.
    - `steps`, `rejected`: accepted and rejected steps of the solver, or None where it does not say.

    After `vmap` every array has a leading axis of lanes; the measures take one lane, `to_xarray` takes both.
    """

    time: Any
    voltages: Any
    nodes: tuple[str, ...]
    currents: Any
    branches: tuple[str, ...]
    supply: Any = None
    variable: str = "time"
    n_valid: Any = None
    steps: Any = None
    rejected: Any = None
    shift: Any = None
    pace: Any = None
    rates: Any = None
    current_rates: Any = None

    def __post_init__(self) -> None:
        if "jax" in sys.modules:
            register_pytree()

    def voltage(self, node: str, minus: str = "0") -> Any:
        """The voltage of `node` against `minus`, `[n]` in V; names in any case, `"0"` is ground.

        **Raises** `InputError` for a node that was not kept.
        """
        if minus != "0":
            return self.voltage(node) - self.voltage(minus)
        if node.lower() in ("0", "gnd"):
            return 0.0 * self.time
        return self.voltages[..., _row(self.nodes, node, "node"), :]

    def along(self, node: str) -> tuple[Any, Any]:
        """Times and voltages of `node`, each `[n]`, as points that move with its phase; in value the usual ones.

        Their derivatives describe the same waveform by points that stay small where it is steep, so that what is
        computed from both by straight lines (a crossing, a peak) has an exact derivative.

        **Raises** `InputError` for a node that was not kept.
        """
        values = self.voltage(node)
        if self.shift is None:
            return self.time, values
        return _moved()(self.time, values, *self._of(node))

    def rate(self, node: str) -> Any:
        """dv/dt of `node` (V/s) in a run with derivatives, `[n]`, at the points of `along`; else None.

        **Raises** `InputError` for a node that was not kept.
        """
        return None if self.shift is None else self._of(node)[1]

    def _of(self, node: str) -> tuple[Any, Any]:
        row = _row(self.nodes, node, "node")
        return self.shift[..., row, :], self.rates[..., row, :]

    def moving(self, *nodes: str) -> Waveforms:
        """The same waveforms by points that move with the phase of what is fastest at each; in value they are equal.

        Integrals, extremes and arithmetic of several signals through spikes need it for exact derivatives: at a fixed
        time a current in a spike has a derivative that is huge and cancels in its charge, but not in a sum over points.

        - `nodes`: what is looked at. The points move with a single node's own phase, else with the fastest of all.
        """
        if self.shift is None:
            return self
        shift = self.pace
        if len(nodes) == 1 and nodes[0].lower() in self.nodes:
            shift = self.shift[..., _row(self.nodes, nodes[0], "node"), :]
        return dataclasses.replace(
            self, time=self.time - shift,
            voltages=self.voltages - shift[..., None, :] * self.rates,
            currents=self.currents - shift[..., None, :] * self.current_rates,
            shift=None, pace=None, rates=None, current_rates=None,
        )  # fmt: skip

    def current(self, branch: str) -> Any:
        """The current through the source `branch`, `[n]` in A.

        **Raises** `InputError` for an element whose current was not kept.
        """
        return self.currents[..., _row(self.branches, branch, "branch current"), :]

    def to_xarray(self) -> xarray.Dataset:
        """The same as an `xarray.Dataset` with the variables `voltage` and `current`, units in `attrs`.

        One run has the dimensions `node`, `branch` and `time` (or the swept source's name), padding cut off. A batch
        has `lane`, `node`, `branch` and `point`, with `time` a coordinate over `lane` and `point`, NaN in place of
        padding, and `n_valid`; where all lanes share their times it has `time` as a dimension.
        """
        import xarray

        time, voltages, currents = (np.asarray(x) for x in (self.time, self.voltages, self.currents))
        attributes = {} if self.supply is None else {"supply": np.asarray(self.supply)}
        unit = {"units": "s"} if self.variable == "time" else {}
        names = {"node": list(self.nodes), "branch": list(self.branches)}
        if voltages.ndim == 2:
            n = time.shape[-1] if self.n_valid is None else int(self.n_valid)
            axis, coordinates = self.variable, {self.variable: (self.variable, time[:n], unit)}
            lane, voltages, currents = (), voltages[..., :n], currents[..., :n]
        else:
            lanes = voltages.shape[0]
            time = np.broadcast_to(time, (lanes, time.shape[-1]))
            lane, axis = ("lane",), self.variable
            if self.n_valid is None and (time == time[0]).all():
                coordinates = {self.variable: (self.variable, time[0], unit)}
            else:
                counts = np.full(lanes, time.shape[-1]) if self.n_valid is None else np.asarray(self.n_valid)
                valid = np.arange(time.shape[-1]) < counts[:, None]
                time, voltages, currents = (
                    np.where(valid if x.ndim == 2 else valid[:, None], x, np.nan) for x in (time, voltages, currents)
                )
                axis = "point"
                coordinates = {self.variable: (("lane", axis), time, unit), "n_valid": ("lane", counts)}
        return xarray.Dataset(
            {
                "voltage": ((*lane, "node", axis), voltages, {"units": "V"}),
                "current": ((*lane, "branch", axis), currents, {"units": "A"}),
            },
            {**names, **coordinates},
            attributes,
        )


@functools.cache
def _moved() -> Any:
    """Times and values along a phase, as one program."""
    import jax

    return jax.jit(lambda time, values, shift, rate: (time - shift, values - shift * rate))


@functools.cache
def register_pytree() -> None:
    """Make `Waveforms` a pytree; called by itself as soon as one is made in a process that has JAX loaded."""
    import jax

    static = ["nodes", "branches", "variable"]
    data = [field.name for field in dataclasses.fields(Waveforms) if field.name not in static]
    jax.tree_util.register_dataclass(Waveforms, data, static)


def _row(names: tuple[str, ...], name: str, what: str) -> int:
    try:
        return names.index(name.lower())
    except ValueError:
        close = difflib.get_close_matches(name.lower(), names, 3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names[:8]) or 'none'}."
        raise InputError(f"the waveforms have no {what} '{name}'; {hint}") from None
