"""What a fit is to reach: recordings, spike times, measures, rates; and how far a simulation is from them."""

from __future__ import annotations

import copy
import csv
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..errors import InputError
from ..measure import crossings, evaluate_measures, spike_time
from ..netlist import Measure
from ..waveforms import Waveforms

KINDS = ("trace", "spike_times", "measure", "fi")
# A sample this many median intervals after the one before stands behind a gap.
GAP = 20.0
# Of a target that says nothing: its value is trusted to one per cent of its range, a spike to one of its mean interval.
SHARE = 0.01
MISSED = 1.0  # of the stop time, by which a spike that did not come counts as late


class FitWarning(UserWarning):
    """What a user should hear about data or the result of a fit."""


@dataclass(frozen=True, eq=False)
class Target:
    """One thing that a fit is to reach.

    - `kind`: `"trace"`, `"spike_times"`, `"measure"` or `"fi"`.
    - `name`: a node, a branch current `i(vo)` (traces), or the name of a `.meas`.
    - `values`: `[n]` volts or amperes of a trace, times of spikes in s, the measure's value `[1]`, or rates in Hz.
    - `axis`: `[n]`, times in s of a trace, or values of `sweep` of an `fi`.
    - `sigma`: standard deviation of the values, a number or `[n]`; None for one per cent.
    - `sweep`: parameter path that an `fi` goes over. `chip`: which of several chips. `threshold`: of spikes, V.
    - `first`: spike that an `fi`'s rate is counted from. `jitter`: by how much the times of a trace are uncertain, s:
      where it is steep its values are trusted less.

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
    jitter: float = 0.0
    where: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        values = np.atleast_1d(np.asarray(self.values, dtype=float))
        object.__setattr__(self, "values", values)
        if self.kind not in KINDS:
            raise InputError(f"{self}: there is no target of kind '{self.kind}'; there are {', '.join(KINDS)}.")
        if not values.size:
            raise InputError(f"{self} has no values.")
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
                    f"{self} has {gaps.size} gaps, the first from {axis[k]:g} to {axis[k + 1]:g} s; nothing is "
                    "compared there.",
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
            return np.hypot(level, self.jitter * np.gradient(self.values, self.axis))
        if self.sigma is not None:
            return np.asarray(self.sigma, dtype=float)
        if self.kind == "spike_times":
            return SHARE * float(self.values[-1]) / self.values.size
        return SHARE * np.maximum(np.abs(self.values), SHARE * np.abs(self.values).max() + 1e-30)

    @property
    def events(self) -> np.ndarray:
        """Times of the spikes in the recording, s: where a trace rises from its lower third into its upper one."""
        if self.kind == "spike_times":
            return self.values
        if self.kind != "trace":
            return np.zeros(0)
        assert self.axis is not None
        low, high = self.values.min() + np.ptp(self.values) * np.array([1 / 3, 2 / 3])
        side = np.where(self.values > high, 1, np.where(self.values < low, -1, 0))
        (there,) = np.nonzero(side)
        rises = there[1:][(side[there[1:]] > 0) & (side[there[:-1]] < 0)]
        return self.axis[rises]

    def until(self, end: float) -> Target | None:
        """The part of it before `end` (s), or None where there is none; what has no times stays whole."""
        times = {"trace": self.axis, "spike_times": self.values}.get(self.kind)
        if times is None or times[-1] <= end:
            return self
        keep = times <= end
        if not keep.any():
            return None
        part = copy.copy(self)
        for name in ("values", "axis"):
            array = getattr(self, name)
            object.__setattr__(part, name, None if array is None else array[keep])
        spread = np.broadcast_to(self.spread, keep.shape)[keep]
        object.__setattr__(part, "sigma", spread)
        object.__setattr__(part, "jitter", 0.0)
        return part

    def simulated(self, waves: Waveforms, measures: Sequence[Measure], params: Mapping[str, float]) -> Any:
        """What the simulation gives for its values; of an `fi`, for the one point of this run. Differentiable.

        A spike that does not come, and its rate, count as coming at the end of the run.
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
        many = self._count(waves)
        if many < self.first + 1:
            return jnp.zeros(1)
        last, begin = (spike_time(waves, self.name, k, self.threshold) for k in (many, self.first))
        return jnp.atleast_1d((many - self.first) / (last - begin))

    def _count(self, waves: Waveforms) -> int:
        level = self._level(waves)
        return len(crossings(np.asarray(waves.time), _plain(waves.voltage(self.name)), level))

    def _level(self, waves: Waveforms) -> float:
        if self.threshold is not None:
            return self.threshold
        if waves.supply is None:
            raise InputError(f"{self}: the circuit has no supply to take half of as threshold; give threshold in V.")
        return 0.5 * float(waves.supply)

    def _spikes(self, waves: Waveforms, wanted: int) -> Any:
        there = min(self._count(waves), wanted)
        found = [spike_time(waves, self.name, k, self.threshold) for k in range(1, there + 1)]
        stop = float(_plain(waves.time)[-1])
        return jnp.stack([jnp.asarray(t) for t in found] + [jnp.asarray(stop * (1 + MISSED))] * (wanted - there))

    def _trace(self, waves: Waveforms) -> Any:
        assert self.axis is not None
        if self.name.lower().startswith("i("):
            return jnp.interp(jnp.asarray(self.axis), jnp.asarray(waves.time), waves.current(self.name[2:-1]))
        time, voltage = waves.along(self.name)
        return jnp.interp(jnp.asarray(self.axis), jnp.asarray(time), jnp.asarray(voltage))


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
            names = [*map(str, data.variables)]
            wanted = [str(name) for name in columns] if columns else names[:count]
            missing = [name for name in wanted if name not in names]
            if missing:
                raise InputError(f"{path}: there is no variable '{missing[0]}'; there are {', '.join(names)}.")
            return [np.asarray(data[name], dtype=float).ravel() for name in wanted]
    except OSError as error:
        raise InputError(f"{path}: cannot be read as netCDF ({error}).") from None
