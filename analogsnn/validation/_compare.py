"""Waveforms of two engines → rows of numbers, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..measure import spike_times
from ..waveforms import Waveforms

TOLERANCE = 0.005  # of every measure, relative: what separates two solvers of the same equations, not two models
SPIKE_TOLERANCE = 10e-6  # s, of every spike
MEMBRANE_TOLERANCE = 0.1e-3  # V, root mean square between spikes that are laid over each other: 0.3 % of a current
SPIKE, MEMBRANE = "spk", "vmem"  # the nodes' names in every bench with a neuron


@dataclasses.dataclass(frozen=True)
class Row:
    """One quantity by both engines; None stands for a quantity that did not happen or does not apply.

    **Fields**

    - `text`, `unit`: what it is; `"1"` for a plain number.
    - `ours`, `ngspice`, `model`: values in that unit.
    - `difference`: ours - ngspice; of a waveform, the root mean square of that.
    - `tolerance`: of the relative error, or with `absolute` of the difference; None where nothing is judged.
    - `ok`: whether it is kept; None where nothing is judged.
    """

    text: str
    unit: str
    ours: float | None
    ngspice: float | None
    difference: float | None
    tolerance: float | None
    absolute: bool = False
    model: float | None = None

    @property
    def relative_error(self) -> float | None:
        """(ours - ngspice) / |ngspice|."""
        return _relative(self.difference, self.ngspice)

    @property
    def model_relative_error(self) -> float | None:
        """(model - ngspice) / |ngspice|."""
        if self.model is None or self.ngspice is None:
            return None
        return _relative(self.model - self.ngspice, self.ngspice)

    @property
    def ok(self) -> bool | None:
        if self.tolerance is None:
            return None
        scale = 1.0 if self.absolute else abs(self.ngspice or 0.0)
        return self.difference is not None and abs(self.difference) <= self.tolerance * scale

    def to_dict(self) -> dict[str, Any]:
        """The row as it stands in the JSON file."""
        return {
            **dataclasses.asdict(self), "relative_error": self.relative_error,
            "model_relative_error": self.model_relative_error, "ok": self.ok,
        }  # fmt: skip


def _relative(difference: float | None, reference: float | None) -> float | None:
    return None if difference is None or not reference else difference / abs(reference)


def measure_row(
    text: str, unit: str, ours: float | None, ngspice: float | None, tolerance: float | None, model: float | None
) -> Row:
    """A measure of a bench."""
    ours, ngspice, model = (None if x is None else float(x) for x in (ours, ngspice, model))
    difference = None if ours is None or ngspice is None else ours - ngspice
    return Row(text, unit, ours, ngspice, difference, tolerance, model=model)


def spike_rows(
    ours: Waveforms, ngspice: Waveforms, model: Waveforms | None = None, *, judged: bool
) -> Mapping[str, Row]:
    """How many spikes there are; where they can be paired, the one that moved most, and the membrane between them.

    Empty for a bench without the node `spk`.
    """
    if SPIKE not in ours.nodes or ours.variable != "time":
        return {}
    a, b = spike_times(ours, SPIKE), spike_times(ngspice, SPIKE)
    count = Row(
        "number of spikes", "1", float(len(a)), float(len(b)), float(len(a) - len(b)), 0.0 if judged else None, True,
        None if model is None else float(len(spike_times(model, SPIKE))),
    )  # fmt: skip
    rows = {"spikes": count}
    align = alignment(ours, ngspice)
    if not judged or align is None:
        return rows
    k = int(np.argmax(np.abs(a - b)))
    rows["spike_shift"] = Row(
        f"the spike that moved most, number {k + 1}", "s", float(a[k]), float(b[k]), float(a[k] - b[k]),
        SPIKE_TOLERANCE, True,
    )  # fmt: skip
    time, difference = deviation(
        ours.time, ours.voltage(MEMBRANE), align(np.asarray(ngspice.time)), ngspice.voltage(MEMBRANE)
    )
    rows["membrane_rms"] = Row(
        "membrane, root mean square of the difference with spikes laid over each other", "V", None, None,
        root_mean_square(time, difference), MEMBRANE_TOLERANCE, True,
    )  # fmt: skip
    return rows


def alignment(ours: Waveforms, other: Waveforms) -> Any:
    """The function that takes times of `other` to those of `ours`, spikes to spikes, straight in between.

    A shift of microseconds on an edge of volts per microsecond would hide everything else. None where the runs have no
    spikes, or not equally many.
    """
    if SPIKE not in ours.nodes or SPIKE not in other.nodes or ours.variable != "time":
        return None
    a, b = spike_times(ours, SPIKE), spike_times(other, SPIKE)
    if len(a) != len(b) or not len(a):
        return None
    start, stop = float(ours.time[0]), float(ours.time[-1])
    return lambda time: np.interp(time, [start, *b, stop], [start, *a, stop])


def deviation(time: Any, values: Any, other_time: Any, other: Any) -> tuple[np.ndarray, np.ndarray]:
    """The difference `values - other` of two signals, `[n]` each, on the points of both; straight between points."""
    time, other_time = np.asarray(time), np.asarray(other_time)
    if time[0] > time[-1]:
        time, values = time[::-1], np.asarray(values)[::-1]
    if other_time[0] > other_time[-1]:
        other_time, other = other_time[::-1], np.asarray(other)[::-1]
    grid = np.union1d(time, other_time)
    grid = grid[(grid >= max(time[0], other_time[0])) & (grid <= min(time[-1], other_time[-1]))]
    return grid, np.interp(grid, time, np.asarray(values)) - np.interp(grid, other_time, np.asarray(other))


def root_mean_square(time: np.ndarray, values: np.ndarray) -> float:
    """√(∫ v² dt / T), exact for a signal that is straight between its points."""
    a, b = values[:-1], values[1:]
    return float(np.sqrt(np.sum((a * a + a * b + b * b) / 3 * np.diff(time)) / (time[-1] - time[0])))
