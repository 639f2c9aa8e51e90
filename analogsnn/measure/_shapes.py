"""Edges, decays, means, charge and energy of signals `[n]` over time `[n]`; all are differentiable.

Through spikes, take time and values from `Waveforms.moving()` or `Waveforms.along(node)`: in value they are the usual
ones. `charge` and `energy_per_spike` do so themselves.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..errors import InputError
from ..waveforms import Waveforms
from ._signal import concrete, crossing, integral, namespace, numbers, points, value_at, window
from ._spikes import spike_count, spike_time


def peak(values: Any, time: Any = None, rate: Any = None) -> Any:
    """The largest value.

    **Arguments**: `time` and `rate`, of a run with derivatives (`Waveforms.along`, `Waveforms.rate`): the derivative
    is then that of the cubic through the points around it, and not that of the highest point.
    """
    return _extreme(values, time, rate, "max")


def trough(values: Any, time: Any = None, rate: Any = None) -> Any:
    """The smallest value; arguments as of `peak`."""
    return _extreme(values, time, rate, "min")


def _extreme(values: Any, time: Any, rate: Any, which: Literal["max", "min"]) -> Any:
    xp = namespace(values)
    value = getattr(xp, which)(values)
    if rate is None or values.shape[0] < 3:
        return value
    from ._cubic import extreme_with_slopes

    known = numbers(values)
    top = getattr(xp if known is None else np, f"arg{which}")(values if known is None else known)
    inside = (top > 0) & (top < values.shape[0] - 1)
    three = xp.clip(top, 1, values.shape[0] - 2) + np.arange(-1, 2)
    return xp.where(inside, extreme_with_slopes(value, *points(three, time, values, rate)), value)


def mean(time: Any, values: Any, start: float | None = None, stop: float | None = None) -> Any:
    """The mean over time between `start` and `stop` (default: all).

    **Raises** `InputError` for an empty window, or one outside the run.
    """
    time, values = window(time, values, start, stop)
    return integral(time, values) / (time[-1] - time[0])


def rise_time(time: Any, values: Any, low: float = 0.1, high: float = 0.9, *, rate: Any = None) -> Any:
    """Time (s) from the fraction `low` to `high` of the way from the first value to the largest.

    - `rate`: of a run with derivatives, as of `crossing`: the derivative is then that of cubics between points.

    **Raises** `InputError` for a signal that does not rise.
    """
    base, top = values[0], peak(values, time, rate)
    rise = concrete(top - base)
    if rise is not None and not rise > 0:
        raise InputError("the signal never rises above its first value, so that it has no rise time.")
    first = crossing(time, values, base + low * (top - base), rate=rate)
    return crossing(time, values, base + high * (top - base), after=first, rate=rate) - first


def decay_time(time: Any, values: Any, high: float = 0.8, low: float = 0.2, *, rate: Any = None) -> Any:
    """Time constant (s) of the decay after the peak: least squares of ln(values) between `high` and `low` of the peak.

    The logarithm is taken as linear between points: exact for an exponential, and for a current below threshold whose
    node falls along a straight line, however far apart an adaptive solver's points are.

    - `rate`: of a run with derivatives, as of `crossing`: the derivative is then that of cubics between points.

    **Raises** `InputError` for a peak that is not positive, or a signal that does not fall so far.
    """
    xp = namespace(values)
    top = xp.argmax(values)
    level, begin = peak(values, time, rate), time[top]
    known = concrete(level)
    if known is not None:
        if known <= 0:
            raise InputError(f"the peak is {known:g}; a decay time needs a positive one.")
        after = xp.where(time >= begin, values, level)
        least, first, last = (concrete(x) or 0.0 for x in (xp.min(after), begin, time[-1]))
        if least > low * known or first >= last:
            raise InputError(
                f"after its peak of {known:.4g} the signal falls to {least / known:.0%} only; {low:.0%} is asked for: "
                "lengthen the run."
            )
    start, stop = (
        crossing(time, values, share * level, direction="fall", after=begin, what="the decay", rate=rate)
        for share in (high, low)
    )
    # An even grid, because an adaptive solver's own points would weigh the steep part more.
    share = xp.asarray([i / 100 for i in range(101)], dtype=values.dtype)
    grid, positive = start + share * (stop - start), values > 0
    # A point that is not positive has no logarithm; only the last ones of the fall can lie next to one.
    between = value_at(time, xp.where(positive, 1.0, 0.0), grid) > 1 - 1e-9
    safe = xp.where(positive, values, 1.0)
    logs = value_at(time, xp.log(safe), grid, rate=None if rate is None else rate / safe)
    logs = xp.where(between, logs, xp.log(xp.where(between, 1.0, value_at(time, values, grid, rate=rate))))
    weight = share - xp.mean(share)
    return -(stop - start) * xp.sum(weight * weight) / xp.sum(weight * logs)


def charge(waves: Waveforms, branch: str, start: float | None = None, stop: float | None = None) -> Any:
    """Charge (C) through the source `branch` between `start` and `stop` (s; default: all).

    **Raises** `InputError` for an unknown branch or an empty window.
    """
    waves = waves.moving()
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
    before and after it is counted once. Under `jit` and `vmap`, where their number is unknown, name the `last`.

    **Raises** `InputError` with too few spikes, or without that node or source.
    """
    if last is None:
        found = concrete(spike_count(waves, node, threshold))
        if found is None:
            raise InputError("the number of spikes is not known under jit or vmap; give last=….")
        last = max(int(found), first + 1)
    if last <= first:
        raise InputError(f"energy between spikes {first} and {last}: the last must come after the first.")
    start, stop = (spike_time(waves, node, k, threshold) for k in (first, last))
    waves = waves.moving()
    power = -waves.voltage(supply) * waves.current(supply)
    return integral(*window(waves.time, power, start, stop, f"the power of {supply}")) / (last - first)
