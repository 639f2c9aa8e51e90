"""Runs that are kept, so that a value and its derivatives at one place are one run."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from ..circuit import Circuit
from ..errors import InputError
from ..waveforms import Waveforms
from ._plan import Plan, Run
from ._transient import make_plan, shown, solved


class Repeated:
    """`transient` with its arguments given once, for circuits that differ in their numbers alone; last runs are kept.

    A search asks for values first, and for derivatives at some of the places. Derivatives are taken along the steps of
    a finished run: at a place whose run is kept they need no other one.

    - `keep`: how many runs are kept. `runs`: how many were done. The other arguments are those of `transient`.
    """

    def __init__(
        self, t_stop: float | None, *, keep: int = 1, accuracy: str = "reference", rtol: float | None = None,
        save: Any = None, save_at: Any = None, max_steps: int = 5_000_000,
    ):  # fmt: skip
        self.arguments: dict[str, Any] = {
            "accuracy": accuracy, "rtol": rtol, "save": save, "save_at": save_at, "max_steps": max_steps,
        }  # fmt: skip
        self.t_stop, self.keep, self.runs = t_stop, keep, 0
        self._kept: OrderedDict[bytes, tuple[Plan, Run]] = OrderedDict()

    def known(self, circuit: Circuit) -> bool:
        """Whether the run of these numbers is kept."""
        return _numbers(circuit.frozen()) in self._kept

    def __call__(self, circuit: Circuit) -> Waveforms:
        """The waveforms, with derivatives where the circuit's parameters have them.

        **Raises** what `transient` raises, and `InputError` under `jit`, where the numbers are not known.
        """
        frozen = circuit.frozen()
        if frozen.is_traced:
            raise InputError("runs are kept by their numbers, which are not known under jit; use transient.")
        numbers = _numbers(frozen)
        if numbers not in self._kept:
            plan = make_plan(frozen, self.t_stop, **self.arguments)
            self.runs += 1
            self._kept[numbers] = plan, solved(frozen, plan, with_states=True)
            while len(self._kept) > self.keep:
                self._kept.popitem(last=False)
        return shown(circuit, *self._kept[numbers])


def _numbers(frozen: Circuit) -> bytes:
    return np.array([*map(float, (*frozen.parameters.values(), *frozen.offsets.values()))]).tobytes()
