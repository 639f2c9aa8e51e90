"""The residuals of a fit and their derivatives: what is simulated for which target."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit
from ..errors import InputError, SimulationError
from ..netlist import Tran
from ..transient import Repeated
from ..waveforms import Waveforms
from ._parameter import Parameter
from ._targets import FitWarning, Target

Simulate = Callable[[Mapping[str, Any]], Waveforms]
FAILED = 1e3  # residual of a simulation that did not end, in standard deviations
_FACTORS = (1e3, 1e6, 1e-3, 1e-6)


class OutOfRuns(Exception):
    """The simulations that were allowed are used up."""


@dataclass
class Counter:
    """Simulations done, and how many may be."""

    runs: int = 0
    limit: float = math.inf

    def add(self) -> None:
        if self.runs >= self.limit:
            raise OutOfRuns
        self.runs += 1


class Problem:
    """Residuals and their Jacobian over the coordinates of all parameters."""

    def __init__(
        self, simulate: Simulate, measures: Any, params: Mapping[str, float], targets: Sequence[Target],
        parameters: Sequence[Parameter], chips: Sequence[str], counter: Counter,
    ):  # fmt: skip
        self.simulate, self.measures, self.params = simulate, measures, params
        self.targets, self.counter = targets, counter
        self.columns = [
            (parameter, chip) for parameter in parameters for chip in (chips if parameter.per_chip else [None])
        ]
        self._last: dict[str, tuple[bytes, np.ndarray]] = {}

    @property
    def names(self) -> list[str]:
        return [f"{p.path}@{chip}" if chip else p.path for p, chip in self.columns]

    def values(self, x: Any, chip: str) -> dict[str, Any]:
        return {p.path: p.value(x[k]) for k, (p, of) in enumerate(self.columns) if of in (None, chip)}

    def simulated(self, x: Any) -> list[Any]:
        """What every target gets, `[n]` each."""
        done: dict[tuple[str, tuple[tuple[str, float], ...]], Waveforms] = {}
        found = []
        for target in self.targets:
            parts = []
            for sweep in target.runs:
                key = (target.chip, tuple(sweep.items()))
                if key not in done:
                    done[key] = self.simulate({**self.values(x, target.chip), **sweep})
                parts.append(target.simulated(done[key], self.measures, self.params))
            found.append(jnp.concatenate(parts))
        return found

    def residuals(self, x: Any) -> Any:
        found = self.simulated(x)
        return jnp.concatenate([(a - t.values) / t.spread for a, t in zip(found, self.targets, strict=True)])

    def cost_vector(self, x: np.ndarray) -> np.ndarray:
        """Residuals; of a simulation that fails, ones so large that the search turns back."""
        if not self._known("residuals", x):
            try:
                found = np.asarray(self.residuals(x))
            except (SimulationError, InputError):
                found = np.full(sum(t.values.size for t in self.targets), FAILED)
            self._last["residuals"] = x.tobytes(), found
        return self._last["residuals"][1]

    def cost(self, x: np.ndarray) -> float:
        """Half the sum of the squared residuals."""
        return half_square(self.cost_vector(x))

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """All columns in one batch of forward derivatives along the steps of one run, which gives the residuals too."""
        if not self._known("jacobian", x):
            point = jnp.asarray(x)
            found, columns = jax.vmap(lambda v: jax.jvp(self.residuals, (point,), (v,)), out_axes=(None, 0))(
                jnp.eye(len(x))
            )
            self._last["jacobian"] = x.tobytes(), np.asarray(columns).T
            self._last["residuals"] = x.tobytes(), np.asarray(found)
        return self._last["jacobian"][1]

    def split(self, residuals: np.ndarray) -> list[np.ndarray]:
        """What every target got, from the residuals."""
        ends = np.cumsum([t.values.size for t in self.targets])[:-1]
        return [t.values + part * t.spread for t, part in zip(self.targets, np.split(residuals, ends), strict=True)]

    def _known(self, what: str, x: np.ndarray) -> bool:
        """Whether the last one of them was worked out at this place."""
        return what in self._last and self._last[what][0] == x.tobytes()


def half_square(residuals: np.ndarray) -> float:
    """The cost of residuals."""
    return 0.5 * float(residuals @ residuals)


def end_of(circuit: Circuit) -> float | None:
    """The end of the deck's `.tran`, s."""
    return next((a.stop for a in circuit.netlist.analyses if isinstance(a, Tran)), None)


def _times(target: Target) -> np.ndarray | None:
    return target.axis if target.kind == "trace" else target.values if target.kind == "spike_times" else None


def counted(function: Simulate, counter: Counter) -> Simulate:
    """The same function, its calls counted: each is a simulation, that for derivatives too."""

    def simulate(values: Mapping[str, Any]) -> Waveforms:
        counter.add()
        return function(values)

    return simulate


def runs_of(
    circuit: Circuit, targets: Sequence[Target], t_stop: float | None, accuracy: str, counter: Counter
) -> Simulate:
    """The simulation that all targets need: only as long, and only of the nodes that they look at.

    Runs of the last place are kept, so that derivatives where the value is known are no further simulation.
    """
    stop = t_stop if t_stop is not None else end_of(circuit)
    if stop is None:
        raise InputError(f"{circuit.netlist.file} has no .tran; add one, or give t_stop.")
    ends = []
    for target in targets:
        times = _times(target)
        if times is None:
            ends.append(stop)
            continue
        if times[0] < 0:
            raise InputError(f"{target}: its first time is {times[0]:g} s; times count from the beginning of the run.")
        if times[-1] > stop * (1 + 1e-9):
            hint = next(
                (f" Is it in {unit}?" for unit, f in (("ms", 1e3), ("µs", 1e6)) if 0.03 < times[-1] / stop / f < 3), ""
            )
            raise InputError(f"{target} reaches {times[-1]:g} s, and the run ends at {stop:g} s.{hint}")
        # A margin lets a late spike come, and be late.
        ends.append(min(stop, times[-1] * 1.02 if target.kind == "trace" else times[-1] * 1.2))
    stop = max(ends)
    plain = not any(t.kind == "measure" or t.name.lower().startswith("i(") for t in targets)
    nodes = sorted({t.name.lower() for t in targets}) if plain else None
    for target in targets:
        if target.kind == "measure" or target.name.lower().startswith("i("):
            continue
        if target.name.lower() not in circuit.nodes:
            close = difflib.get_close_matches(target.name.lower(), circuit.nodes, 3) or list(circuit.nodes[:6])
            raise InputError(f"{target}: the circuit has no node of that name; there are {', '.join(close)}.")
    # Traces alone need no other points than their own; arrays of one length are compiled once.
    alone = all(target.kind == "trace" and target.spikes is None for target in targets)
    grid = np.unique(np.concatenate([target.axis for target in targets])) if alone else None

    places = {(target.chip, tuple(sweep.items())) for target in targets for sweep in target.runs}
    run = Repeated(stop, keep=len(places), accuracy=accuracy, save=nodes, save_at=grid)

    def simulate(values: Mapping[str, Any]) -> Waveforms:
        moved = circuit.replace(values)
        if not run.known(moved):
            counter.add()
        return run(moved)

    return simulate


def check_units(targets: Sequence[Target], before: Sequence[np.ndarray], stop: float | None) -> None:
    """Say aloud what seems to be off by a factor of 1000; `stop`: of the run as asked for, s."""
    for target in targets:
        times = _times(target)
        if times is not None and stop is not None and times[-1] < stop / 300:
            warnings.warn(
                f"{target}: it ends at {times[-1]:g} s, 1/{stop / times[-1]:.0f} of the run of {stop:g} s. Look at the "
                "unit of its times; s is expected.",
                FitWarning, stacklevel=3,
            )  # fmt: skip
    for target, simulated in zip(targets, before, strict=True):
        ours, theirs = (float(np.median(np.abs(x))) for x in (simulated, target.values))
        if not ours or not theirs:
            continue
        for factor in _FACTORS:
            if 1 / 5 < theirs / ours / factor < 5:
                warnings.warn(
                    f"{target}: its values are about {factor:g} times those of the simulation at the start "
                    f"({theirs:.3g} against {ours:.3g}). Look at the unit; SI is expected.",
                    FitWarning, stacklevel=3,
                )  # fmt: skip


def check_influence(problem: Problem, jacobian: np.ndarray) -> None:
    row = 0
    for target in problem.targets:
        block = jacobian[row : row + target.values.size]
        row += target.values.size
        if not np.any(block):
            raise InputError(
                f"{target}: none of {', '.join(problem.names)} moves it at the start; look at the node, or at whether "
                "a spike comes at all."
            )
    for name, column in zip(problem.names, jacobian.T, strict=True):
        if not np.any(column):
            raise InputError(f"'{name}' moves none of the targets; leave it out.")
