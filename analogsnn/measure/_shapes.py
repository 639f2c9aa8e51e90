"""Edges, decays, means, charge and energy of signals `[n]` over time `[n]`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError
from ..waveforms import Waveforms
from ._signal import crossing, integral, namespace, window
from ._spikes import spike_time, spike_times


def peak(values: Any) -> Any:
    """The largest value."""
    return namespace(values).max(values)


def mean(time: Any, values: Any, start: float | None = None, stop: float | None = None) -> Any:
    """The mean over time between `start` and `stop` (default: all).

    **Raises** `InputError` for an empty window, or one outside the run.
    """
    time, values = window(time, values, start, stop)
    return integral(time, values) / (time[-1] - time[0])


def rise_time(time: Any, values: Any, low: float = 0.1, high: float = 0.9) -> Any:
    """Time (s) from the fraction `low` to `high` of the way from the first value to the largest.

    **Raises** `InputError` for a signal that does not rise.
    """
    base, top = values[0], peak(values)
    if not float(top) > float(base):
        raise InputError("the signal never rises above its first value, so that it has no rise time.")
    first = crossing(time, values, base + low * (top - base))
    return crossing(time, values, base + high * (top - base), after=float(first)) - first


def decay_time(time: Any, values: Any, high: float = 0.8, low: float = 0.2) -> float:
    """Time constant (s) of the decay after the peak: least squares of ln(values) between `high` and `low` of the peak.

    The logarithm is taken as linear between points: exact for an exponential, and for a current below threshold whose
    node falls along a straight line, however far apart an adaptive solver's points are.

    **Raises** `InputError` for a peak that is not positive, or a signal that does not fall so far.
    """
    time, values = np.asarray(time), np.asarray(values)
    top = int(np.argmax(values))
    level = float(values[top])
    if level <= 0:
        raise InputError(f"the peak is {level:g}; a decay time needs a positive one.")
    after, tail = time[top:], values[top:]
    if tail.size < 2 or tail.min() > low * level:
        raise InputError(
            f"after its peak of {level:.4g} the signal falls to {tail.min() / level:.0%} only; {low:.0%} is asked for: "
            "lengthen the run."
        )
    start = float(crossing(after, tail, high * level, direction="fall", what="the decay"))
    stop = float(crossing(after, tail, low * level, direction="fall", what="the decay"))
    # An even grid, because an adaptive solver's own points would weigh the steep part more.
    grid = np.linspace(start, stop, 101)
    logarithm = np.interp(grid, after, np.log(np.where(tail > 0, tail, np.nan)))
    # (Only the last points can lie next to one that is not positive.)
    logarithm = np.where(np.isnan(logarithm), np.log(np.interp(grid, after, tail)), logarithm)
    slope = np.polyfit(grid, logarithm, 1)[0]
    return float(-1.0 / slope)


def charge(waves: Waveforms, branch: str, start: float | None = None, stop: float | None = None) -> Any:
    """Charge (C) through the source `branch` between `start` and `stop` (s; default: all).

    **Raises** `InputError` for an unknown branch or an empty window.
    """
    return integral(*window(waves.time, waves.current(branch), start, stop, f"i({branch})"))


def energy_per_spike(
    waves: Waveforms,
    node: str,
    *,
    supply: str = "vdd",
    first: int = 1,
    last: int | None = None,
    threshold: float | None = None,
) -> Any:
    """Energy (J) from the source `supply` at the node of the same name, per spike of `node`.

    Counted between spikes `first` and `last` (default: the last): whole intervals only, so that what a spike takes
    before and after it is counted once.

    **Raises** `InputError` with too few spikes, or without that node or source.
    """
    last = max(len(spike_times(waves, node, threshold)), first + 1) if last is None else last
    if last <= first:
        raise InputError(f"energy between spikes {first} and {last}: the last must come after the first.")
    start, stop = (float(spike_time(waves, node, k, threshold)) for k in (first, last))
    power = -waves.voltage(supply) * waves.current(supply)
    return integral(*window(waves.time, power, start, stop, f"the power of {supply}")) / (last - first)
