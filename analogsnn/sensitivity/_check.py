"""Derivatives against central differences: of our own engine with tight tolerances, and of ngspice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..circuit import Circuit
from ..errors import InputError
from ..netlist import Netlist
from ..transient import transient
from ._parameters import kind, largest_step, scale
from ._sensitivity import Sensitivity, Slopes

# How many parameters are checked, at least one of each kind that has a derivative.
CHECKS = 8
# Relative, of a derivative against our own differences, by accuracy: what docs/gradients.md promises for driven inputs
# and for several neurons, with a margin; one neuron alone does ten times better.
TOLERANCE = {"reference": 2e-3, "fast": 2e-2}
# These move every transistor, each of which contributes more than the sum: the supply was measured 0.4 % off, and 7 %
# with `fast`.
SHARED = frozenset({"supply", "voltage", "temperature", "card"})
TOLERANCE_SHARED = {"reference": 1e-2, "fast": 1e-1}
# A derivative this much smaller than the largest, both relative, is compared as if it were this large.
FLOOR = 1e-3
# Differences are taken with Rodas5P at this tolerance, where a spike time is good to nanoseconds; in steps that move a
# measure by about this much of itself. ngspice is good to some 1e-5, and so needs larger ones.
TIGHT, MOVE = 1e-9, 5e-4
NGSPICE_MOVE = 1e-2


@dataclass(frozen=True)
class Check:
    """A derivative and what differences say, all in SI units; None where it was not asked.

    - `ours`; `finite_difference`, `finite_difference_half_step`: of our tight solver; `ngspice`, `ngspice_half_step`:
      less what the measure bends over ngspice's larger steps, by our tight solver's differences in the same steps.
    - `verdict`, `ngspice_verdict`: `"agrees"`, `"differs"`, or `"undecided"` where the two steps disagree themselves.
    - `ngspice_allows`: by how much ngspice's difference may be off, from what its run differs from ours by.
    """

    ours: float
    finite_difference: float
    finite_difference_half_step: float
    verdict: str
    ngspice: float | None = None
    ngspice_half_step: float | None = None
    ngspice_verdict: str | None = None
    ngspice_allows: float | None = None

    @property
    def extrapolated(self) -> float:
        """Our tight solver's differences in steps that go to zero: their error goes with the square of the step."""
        return _extrapolated(self.finite_difference, self.finite_difference_half_step)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return dict(vars(self))


def check(
    found: Sensitivity,
    netlist: Netlist | None,
    *,
    count: int = CHECKS,
    tolerance: float | None = None,
    timeout: float = 600.0,
    progress: Callable[[int], object] | None = None,
) -> dict[str, dict[str, Check]]:
    """Check the derivatives that matter most, and the first of every kind.

    **Arguments**

    - `netlist`: the deck for ngspice, which is asked at its accuracy `"reference"`; None leaves ngspice out.
    - `count`: how many parameters of each measure. `tolerance`: relative; by default that of the accuracy, which is
      larger for numbers that move every transistor.
    - `timeout`: of one ngspice run, s. `progress`: called with 1 after every parameter.

    **Returns** measure → path → `Check`.

    **Raises** `SimulationError` for a run that fails.
    """
    result: dict[str, dict[str, Check]] = {}
    for text, slopes in found.measures.items():
        judge = _Judge(found, slopes, netlist, tolerance, timeout)
        result[text] = {}
        for path in checked_paths(found.circuit, slopes, count):
            result[text][path] = judge.check(path)
            if progress is not None:
                progress(1)
    return result


def checked_paths(circuit: Circuit, slopes: Slopes, count: int) -> tuple[str, ...]:
    """The first `count` of the ranking, with the first of every kind in place of the last ones."""
    kinds: dict[str, str] = {}
    for path in slopes.ranked:
        kinds.setdefault(kind(circuit, path), path)
    first = list(kinds.values())
    rest = [path for path in slopes.ranked if path not in first]
    chosen = {*first, *rest[: max(0, count - len(first))]}
    return tuple(path for path in slopes.ranked if path in chosen)


class _Judge:
    def __init__(
        self, found: Sensitivity, slopes: Slopes, netlist: Netlist | None, tolerance: float | None, timeout: float
    ):
        self.circuit, self.slopes, self.netlist = found.circuit, slopes, netlist
        self.tolerance, self.timeout, self.settings = tolerance, timeout, found.settings
        self.base = self.ours({})
        self.error = None if netlist is None else abs(self.ngspice({}) - self.base)
        self.largest = max((abs(share) for share in slopes.relative.values() if share), default=0.0)

    def ours(self, values: Mapping[str, float]) -> float:
        circuit = self.circuit.replace(values)
        save, stop = self.slopes.quantity.nodes, self.settings["t_stop"]
        waves = transient(circuit, stop, save=save, rtol=TIGHT, timeout=self.settings["timeout"])
        params = {name: circuit[f"param.{name}"] for name in circuit.netlist.params}
        return float(self.slopes.quantity.take(waves, params))

    def ngspice(self, values: Mapping[str, float]) -> float:
        from .. import ngspice

        assert self.netlist is not None
        netlist = self.netlist.replace({**self.circuit_changes(), **values})
        save = self.slopes.quantity.nodes
        waves = ngspice.transient(
            netlist, self.settings["t_stop"], options=ngspice.ACCURACY["reference"], save=save, timeout=self.timeout
        )
        return float(self.slopes.quantity.take(waves, netlist.params))

    def circuit_changes(self) -> dict[str, float]:
        """What the circuit has otherwise than its deck, which ngspice has to be told."""
        fresh = Circuit.from_netlist(self.netlist) if self.netlist is not None else self.circuit
        return {
            path: float(value) for path, value in self.circuit.parameters.items()
            if path not in fresh.parameters or float(fresh.parameters[path]) != float(value)
        }  # fmt: skip

    def check(self, path: str) -> Check:
        ours = self.slopes.gradient[path]
        step = self.step(path, ours, MOVE)
        try:
            whole, half = (self.difference(self.ours, path, s) for s in (step, step / 2))
        except InputError as error:  # the measure does not happen beside the point
            raise InputError(f"{path}, {step:g} beside its value: {error}") from None
        floor = self.floor(path)
        straight = _extrapolated(whole, half)
        verdict = _verdict(ours, straight, abs(whole - half), self.limit(path), floor, 0.0)
        if self.netlist is None:
            return Check(ours, whole, half, verdict)
        step = self.step(path, ours, NGSPICE_MOVE)
        theirs, theirs_half = (
            self.difference(self.ngspice, path, s) - self.difference(self.ours, path, s) + straight
            for s in (step, step / 2)
        )
        assert self.error is not None
        # The larger step is the better one, now that it bends no more: its noise counts half.
        allows = self.error / step
        judged = _verdict(ours, theirs, abs(theirs - theirs_half), self.limit(path), floor, allows)
        return Check(ours, whole, half, verdict, theirs, theirs_half, judged, allows)

    def limit(self, path: str) -> float:
        if self.tolerance is not None:
            return self.tolerance
        shared = kind(self.circuit, path) in SHARED
        return (TOLERANCE_SHARED if shared else TOLERANCE)[self.settings["accuracy"]]

    def step(self, path: str, slope: float, move: float) -> float:
        """A step that moves the measure by `move` of itself, and the parameter by no more than it may."""
        return min(largest_step(self.circuit, path), move * abs(self.slopes.value) / abs(slope))

    def difference(self, run: Callable[[Mapping[str, float]], float], path: str, step: float) -> float:
        value = float(self.circuit[path])
        return (run({path: value + step}) - run({path: value - step})) / (2 * step)

    def floor(self, path: str) -> float:
        """The derivative below which differences are noise, in the parameter's units."""
        by = scale(self.circuit, path)
        return 0.0 if by is None else FLOOR * self.largest * abs(self.slopes.value) / by


def _extrapolated(whole: float, half: float) -> float:
    return (4 * half - whole) / 3


def _verdict(ours: float, difference: float, apart: float, tolerance: float, floor: float, allows: float) -> str:
    """Of a derivative beside a difference, whose two steps are so far `apart`."""
    limit = tolerance * max(abs(difference), floor) + allows
    if abs(ours - difference) <= limit:
        return "agrees"
    return "undecided" if apart > limit else "differs"
