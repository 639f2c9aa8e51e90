"""What a fit is to reach: recordings, spike times, measures, rates; and how far a simulation is from them."""

from __future__ import annotations

import copy
import csv
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..errors import InputError
from ..measure import evaluate_measures
from ..netlist import Measure
from ..waveforms import Waveforms

KINDS = ("trace", "spike_times", "measure", "fi")
# A sample this many median intervals after the one before stands behind a gap.
GAP = 20.0
# Of a target that says nothing: its value is trusted to one per cent of its range, a spike to one of its mean interval.
SHARE = 0.01
# An edge is that of a spike when it takes less than this share of the time between spikes; nearer to a spike than NEAR
# of that time the values of a trace only say when the spike was.
STEEP = 0.02
NEAR = 0.01
# A slope so many standard deviations of its noise is one.
CERTAIN = 4.0


class FitWarning(UserWarning):
    """What a user should hear about data or the result of a fit."""


class Events(NamedTuple):
    """Spikes of a recording: times and their standard deviations `[k]` in s, and the edge that is timed."""

    times: np.ndarray
    errors: np.ndarray
    edge: str


@dataclass(frozen=True, eq=False)
class Target:
    """One thing that a fit is to reach.

    - `kind`: `"trace"`, `"spike_times"`, `"measure"` or `"fi"`.
    - `name`: a node, a branch current `i(vo)` (traces), or the name of a `.meas`.
    - `values`: `[n]` volts or amperes of a trace, times of spikes in s, the measure's value `[1]`, or rates in Hz.
    - `axis`: `[n]`, times in s of a trace, or values of `sweep` of an `fi`.
    - `sigma`: standard deviation of the values, a number or `[n]`; None for one per cent.
    - `sweep`: parameter path that an `fi` goes over. `chip`: which of several chips. `threshold`: of spikes, V.
    - `first`: spike that an `fi`'s rate is counted from. `edge`: `"rise"` or `"fall"`, at which spikes have their time.
    - `jitter`: by how much the times of a trace are uncertain, s.
    - `align`: whether `fit` takes a trace that spikes for its spike times and its values between them (see `parts`).
      `spikes`: times of spikes in s `[k]`, between which a trace is compared at equal phase.

    **Raises** `InputError` for values that are not finite, times that do not ascend, and lengths that differ.
    """

    kind: str
    name: str
    values: Any
    axis: Any = None
    sigma: Any = None
    sweep: str | None = None
    chip: str = ""
    threshold: float | None = None
    first: int = 1
    edge: str = "rise"
    jitter: float = 0.0
    align: bool = True
    spikes: Any = None
    where: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        values = np.atleast_1d(np.asarray(self.values, dtype=float))
        object.__setattr__(self, "values", values)
        if self.kind not in KINDS:
            raise InputError(f"{self}: there is no target of kind '{self.kind}'; there are {', '.join(KINDS)}.")
        if not values.size:
            raise InputError(f"{self} has no values.")
        if self.kind == "measure" and values.size > 1:
            raise InputError(f"{self} has {values.size} values, and a run gives one; give value = … or one row.")
        axis = None if self.axis is None else np.atleast_1d(np.asarray(self.axis, dtype=float))
        object.__setattr__(self, "axis", axis)
        along = "times" if self.kind == "trace" else "swept values"
        for what, numbers in (("values", values), (along, axis)):
            if numbers is not None and not np.all(np.isfinite(numbers)):
                place = int(np.flatnonzero(~np.isfinite(numbers))[0])
                raise InputError(f"{self}: {what}[{place}] is {numbers[place]:g}; leave out rows without a value.")
        if self.kind in ("trace", "fi"):
            if axis is None or axis.size != values.size:
                raise InputError(f"{self} needs as many {along} as values.")
            if self.kind == "fi" and not self.sweep:
                raise InputError(f"{self} needs sweep=…, the path of what its points go over, such as param.iin.")
        ascending = axis if self.kind == "trace" else values if self.kind == "spike_times" else None
        if ascending is not None and np.any(np.diff(ascending) <= 0):
            place = int(np.flatnonzero(np.diff(ascending) <= 0)[0]) + 1
            raise InputError(
                f"{self}: the times do not ascend ({ascending[place]:g} s after {ascending[place - 1]:g} s, row "
                f"{place}); sort the rows and remove repeated ones."
            )
        if self.sigma is not None and not np.all(np.asarray(self.sigma, dtype=float) > 0):
            raise InputError(f"{self}: sigma must be positive.")
        if self.kind == "trace" and axis is not None and axis.size > 2:
            steps = np.diff(axis)
            gaps = np.flatnonzero(steps > GAP * np.median(steps))
            if gaps.size:
                k = int(gaps[0])
                warnings.warn(
                    f"{self} has {gaps.size} gap{'s' * (gaps.size > 1)}, the first from {axis[k]:g} to "
                    f"{axis[k + 1]:g} s; nothing is compared there.",
                    FitWarning, stacklevel=3,
                )  # fmt: skip

    def __str__(self) -> str:
        return f"target {self.kind} '{self.name}'" + (f" ({self.where})" if self.where else "")

    @property
    def runs(self) -> list[dict[str, float]]:
        """The parameters of the simulations that it needs."""
        if self.kind != "fi":
            return [{}]
        assert self.axis is not None
        assert self.sweep is not None
        return [{self.sweep: float(value)} for value in self.axis]

    @property
    def spread(self) -> Any:
        """Standard deviation of the values."""
        if self.kind == "trace":
            level = SHARE * max(float(np.ptp(self.values)), 1e-30) if self.sigma is None else np.asarray(self.sigma)
            if not self.jitter or self.values.size < 2:
                return level
            slope = np.gradient(self.values, self.axis)
            # That of noise is none: a clock's jitter does not move it.
            noise = math.sqrt(2) * level / np.gradient(self.axis) / 2
            return np.hypot(level, self.jitter * np.where(np.abs(slope) > CERTAIN * noise, slope, 0.0))
        if self.sigma is not None:
            return np.asarray(self.sigma, dtype=float)
        if self.kind == "spike_times":
            return SHARE * float(self.values[-1]) / self.values.size
        return SHARE * np.maximum(np.abs(self.values), SHARE * np.abs(self.values).max() + 1e-30)

    @property
    def level(self) -> float:
        """Of the spikes in a trace, V: the threshold, else a third of the recorded range."""
        low, high = float(self.values.min()), float(self.values.max())
        return self.threshold if self.threshold is not None else low + (high - low) / 3

    def events(self) -> Events:
        """The spikes in the recording; of a trace those of its two edges that are the steeper ones.

        A recording may have one sample in a spike or none at its top, and noise: a trace spikes where it passes from a
        sixth of its range below `level` to above, or back, in a time that is short against the one between spikes.
        """
        none = Events(np.zeros(0), np.zeros(0), "rise")
        if self.kind == "spike_times":
            return Events(self.values, np.broadcast_to(self.spread, self.values.shape), "rise")
        if self.kind != "trace" or self.values.size < 3 or self.name.lower().startswith("i("):
            return none
        assert self.axis is not None
        time, v = self.axis, self.values
        side = np.where(v >= self.level, 1, np.where(v < self.level - np.ptp(v) / 6, -1, 0))
        (there,) = np.nonzero(side)
        found = []
        for edge, sign in (("rise", 1), ("fall", -1)):
            k = np.flatnonzero((side[there[:-1]] == -sign) & (side[there[1:]] == sign))
            before, after = there[k], there[k + 1]
            took = time[after] - time[before]
            if len(took) > 1 and np.median(took) <= STEEP * np.median(np.diff(time[before])):
                # Anywhere between the two samples.
                when = Events(0.5 * (time[before] + time[after]), np.hypot(took / math.sqrt(12), self.jitter), edge)
                found.append((float(np.median(took)), when))
        return min(found, key=lambda pair: pair[0])[1] if found else none

    def parts(self) -> list[Target]:
        """What a fit compares: itself; of a trace that spikes its spike times, and its values at equal phase between
        them, without those so near a spike that they only say when it was.

        At equal times the difference of two spikes that do not overlap says nothing of how far they are apart: it has
        as many minima as there are spikes.
        """
        if self.kind != "trace" or not self.align or self.spikes is not None:
            return [self]
        spikes, errors, edge = self.events()
        if not len(spikes):
            return [self]
        assert self.axis is not None
        guard = NEAR * np.median(np.diff(spikes))
        nearest = np.abs(self.axis - _nearest(spikes, self.axis))
        far = (nearest > guard) & (nearest > 2 * np.median(np.diff(self.axis)))
        when = replace(
            self,
            kind="spike_times",
            values=spikes,
            axis=None,
            sigma=errors,
            threshold=self.level,
            edge=edge,
            jitter=0.0,
        )
        between = self._kept(far, spikes)
        for name, value in {"threshold": self.level, "edge": edge}.items():
            object.__setattr__(between, name, value)
        return [between, when]

    def _kept(self, keep: np.ndarray, spikes: np.ndarray | None) -> Target:
        """The same with some of its values, and these spikes; without looking for its gaps again."""
        spread = np.broadcast_to(self.spread, self.values.shape)[keep]
        part = copy.copy(self)
        new = {"values": self.values[keep], "axis": None if self.axis is None else self.axis[keep], "spikes": spikes}
        for name, value in {**new, "sigma": spread, "jitter": 0.0}.items():
            object.__setattr__(part, name, value)
        return part

    def until(self, end: float) -> Target | None:
        """The part of it before `end` (s), or None where there is none; what has no times stays whole."""
        times = {"trace": self.axis, "spike_times": self.values}.get(self.kind)
        if times is None or times[-1] <= end:
            return self
        keep = times <= end
        if not keep.any():
            return None
        return self._kept(keep, None if self.spikes is None else self.spikes[self.spikes <= end])

    def loosened(self, share: float) -> Target:
        """The same, of spike times each with at least this share of its interval as standard deviation."""
        if self.kind != "spike_times":
            return self
        part = copy.copy(self)
        intervals = np.diff(self.values, prepend=0.0)
        object.__setattr__(part, "sigma", np.maximum(self.spread, share * intervals))
        return part

    def simulated(self, waves: Waveforms, measures: Sequence[Measure], params: Mapping[str, float]) -> Any:
        """What the simulation gives for its values; of an `fi`, for the one point of this run. Differentiable.

        A spike that does not come counts as coming after the end of the run, as late as the last that came; a rate of
        fewer than two spikes is zero.
        """
        if self.kind == "trace":
            return self._trace(waves)
        if self.kind == "measure":
            found = [m for m in measures if m.name == self.name.lower()]
            if not found:
                names = ", ".join(m.name for m in measures) or "none"
                raise InputError(f"{self}: the deck has no .meas of that name; it has {names}.")
            # Measures may use the ones before them.
            until = list(measures)[: list(measures).index(found[0]) + 1]
            return jnp.atleast_1d(evaluate_measures(waves, until, params)[found[0].name])
        if self.kind == "spike_times":
            return self._spikes(waves, self.values.size)
        times = self._edges(waves)
        if len(times) < self.first + 1:
            return jnp.zeros(1)
        return jnp.atleast_1d((len(times) - self.first) / (times[-1] - times[self.first - 1]))

    def _edges(self, waves: Waveforms) -> Any:
        """Times of the simulated spikes, by straight lines between points; differentiable."""
        level = self._level(waves)
        above = (_plain(waves.voltage(self.name)) >= level) == (self.edge == "rise")
        (k,) = np.nonzero(~above[:-1] & above[1:])
        time, voltage = (jnp.asarray(array) for array in waves.along(self.name))
        return time[k] + (level - voltage[k]) / (voltage[k + 1] - voltage[k]) * (time[k + 1] - time[k])

    def _level(self, waves: Waveforms) -> float:
        if self.threshold is not None:
            return self.threshold
        if waves.supply is None:
            raise InputError(f"{self}: the circuit has no supply to take half of as threshold; give threshold in V.")
        return 0.5 * float(waves.supply)

    def _spikes(self, waves: Waveforms, wanted: int) -> Any:
        found = self._edges(waves)[:wanted]
        there, stop = len(found), float(_plain(waves.time)[-1])
        if there == wanted:
            return found
        # As late as the last one that came, and not within the run.
        late = found[-1] - self.values[there - 1] if there else jnp.zeros(())
        return jnp.concatenate([found, jnp.maximum(self.values[there:] + late, stop)])

    def _trace(self, waves: Waveforms) -> Any:
        assert self.axis is not None
        current = self.name.lower().startswith("i(")
        if not isinstance(waves.time, Tracer) and self.spikes is None:
            time = np.asarray(waves.time)
            k = np.minimum(np.searchsorted(time, self.axis), time.size - 1)
            if np.array_equal(time[k], self.axis):  # no point between others is asked for
                values = jnp.asarray(waves.current(self.name[2:-1]) if current else waves.voltage(self.name))
                return values if len(k) == time.size else values[k]
        if current:
            return jnp.interp(jnp.asarray(self.axis), jnp.asarray(waves.time), waves.current(self.name[2:-1]))
        time, voltage = waves.along(self.name)
        return jnp.interp(self._phases(waves), jnp.asarray(time), jnp.asarray(voltage))

    def _phases(self, waves: Waveforms) -> Any:
        """When the simulation is where the recording is: as far from one spike to the next."""
        axis = jnp.asarray(self.axis)
        if self.spikes is None:
            return axis
        theirs = jnp.concatenate([jnp.zeros(1), self._edges(waves)[: len(self.spikes)]])
        ours = np.concatenate([[0.0], self.spikes[: len(theirs) - 1]])
        # Behind the last spike the two only lie apart.
        return jnp.where(axis > ours[-1], axis + (theirs[-1] - ours[-1]), jnp.interp(axis, jnp.asarray(ours), theirs))


def _nearest(points: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The one of the ascending `points` that is nearest to each."""
    k = np.clip(np.searchsorted(points, of), 1, len(points) - 1) if len(points) > 1 else np.ones(len(of), int)
    low, high = points[k - 1], points[np.minimum(k, len(points) - 1)]
    return np.where(of - low < high - of, low, high)


def _plain(array: Any) -> np.ndarray:
    """The numbers behind an array that may be differentiated."""
    while isinstance(array, Tracer):
        primal = getattr(array, "primal", None)
        assert primal is not None, "targets are not evaluated under jit"
        array = primal
    return np.asarray(array)


def read_columns(path: Path, columns: Sequence[str | int] | None, count: int) -> list[np.ndarray]:
    """Columns of a CSV or netCDF file: the first `count`, or those named.

    **Raises** `InputError` with file and line for what is no number, and names that are not there.
    """
    if path.suffix in (".nc", ".h5", ".netcdf"):
        return _netcdf(path, columns, count)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [
                (n, row) for n, row in enumerate(csv.reader(file), 1) if row and not row[0].lstrip().startswith("#")
            ]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'it is not text'}).") from None
    if not rows:
        raise InputError(f"{path}: is empty.")
    header = [name.strip() for name in rows[0][1]] if not _number(rows[0][1][0]) else None
    if header is not None:
        rows = rows[1:]
    chosen: list[int] = []
    for name in columns or range(count):
        if isinstance(name, int):
            chosen.append(name)
        elif header is None or name not in header:
            raise InputError(f"{path}: there is no column '{name}'; there are {', '.join(header or ['numbers only'])}.")
        else:
            chosen.append(header.index(name))
    found: list[list[float]] = [[] for _ in chosen]
    for line, row in rows:
        for into, k in zip(found, chosen, strict=True):
            if k >= len(row) or not _number(row[k]):
                text = row[k] if k < len(row) else ""
                raise InputError(
                    f"{path}:{line}: column {k + 1} is '{text}', not a number; leave out rows without a value."
                )
            into.append(float(row[k]))
    return [np.array(values) for values in found]


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _netcdf(path: Path, columns: Sequence[str | int] | None, count: int) -> list[np.ndarray]:
    import xarray

    try:
        with xarray.open_dataset(path, engine="h5netcdf") as data:
            names = [*map(str, data.coords), *map(str, data.data_vars)]
            wanted = [str(name) for name in columns] if columns else names[:count]
            missing = [name for name in wanted if name not in names]
            if missing:
                raise InputError(f"{path}: there is no variable '{missing[0]}'; there are {', '.join(names)}.")
            return [np.asarray(data[name], dtype=float).ravel() for name in wanted]
    except OSError as error:
        raise InputError(f"{path}: cannot be read as netCDF ({error}).") from None
