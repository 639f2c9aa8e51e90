"""One signal over one axis: crossings, values between points, integrals. Everything is linear between points.

The functions use the array API of what they are given, so that NumPy and JAX arrays go through the same lines; which
points bracket a crossing is decided by comparison, and everything after that is differentiable.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ..errors import InputError
from ..units import format_quantity

Direction = Literal["rise", "fall", "cross"]
_VERBS = {"rise": "rises through", "fall": "falls through", "cross": "crosses"}


def namespace(array: Any) -> Any:
    """The library of an array: NumPy, or `jax.numpy`."""
    return array.__array_namespace__()


def concrete(value: Any) -> float | None:
    """The number behind an array of one, without the derivatives it may carry; None where JAX compiles or batches."""
    try:
        return float(value)
    except TypeError:  # JAX's ConcretizationTypeError is one
        import jax

    try:
        return float(jax.lax.stop_gradient(value))
    except TypeError:
        return None


def _brackets(values: Any, level: Any, direction: Direction) -> tuple[Any, Any]:
    """Distance from the level `[n]`, and whether each interval `[n-1]` holds a crossing."""
    xp = namespace(values)
    distance = values - level
    above = distance >= 0  # a state, so that rises and falls alternate even where a point lies on the level
    before, after = above[:-1], above[1:]
    hit = {"rise": ~before & after, "fall": before & ~after, "cross": xp.not_equal(before, after)}[direction]
    return distance, hit


def crossings(time: Any, values: Any, level: Any = 0.0, direction: Direction = "rise") -> Any:
    """All places where `values` passes `level`, by linear interpolation; differentiable.

    **Arguments**

    - `time`: `[n]`, ascending or descending. `values`: `[n]`. `level`: a number or `[n]`.
    - `direction`: `"rise"`, `"fall"` or `"cross"`.

    **Returns** `[k]`, an array of the same library.

    **Raises** `InputError` under `jit` and `vmap`, where their number is unknown.
    """
    distance, hit = _brackets(values, level, direction)
    xp = namespace(values)
    found = concrete(xp.sum(xp.astype(hit, xp.int32)))
    if found is None:
        raise InputError("the number of crossings is not known under jit or vmap; ask for one by its number.")
    return _place(time, distance, hit, xp.arange(1, int(found) + 1))


def _place(time: Any, distance: Any, hit: Any, k: Any) -> Any:
    """Where the `k`-th of the intervals in `hit` crosses; `k` counts from 1, and too large a one is nonsense."""
    i = _interval(distance, hit, k)
    rise = distance[i + 1] - distance[i]
    return time[i] - distance[i] * (time[i + 1] - time[i]) / namespace(distance).where(rise == 0, 1.0, rise)


def _interval(distance: Any, hit: Any, k: Any) -> Any:
    xp = namespace(distance)
    count = xp.cumulative_sum(xp.astype(hit, xp.int32))
    return xp.minimum(xp.searchsorted(count, xp.asarray(k, dtype=count.dtype)), hit.shape[0] - 1)


def _refuse_grazing(distance: Any, i: Any, grazing: float, what: str) -> None:
    """Refuse the crossing in interval `i` where the signal goes less than `grazing` beyond it before it turns back."""
    xp = namespace(distance)
    above = distance >= 0
    turns = xp.cumulative_sum(xp.astype(xp.not_equal(above[:-1], above[1:]), xp.int32))
    turns = xp.concat([xp.zeros(1, dtype=turns.dtype), turns])
    for end, how in ((i + 1, "goes {} beyond it only"), (i, "comes from {} before it only")):
        far = concrete(xp.max(xp.where(turns == turns[end], xp.abs(distance), 0.0)))
        if far is not None and far < grazing:
            raise InputError(
                f"{what} grazes the threshold: it {how.format(format_quantity(far, 'V'))}, so that the derivative of "
                "its time is infinite or nearly so; give another threshold."
            )


def crossing(
    time: Any,
    values: Any,
    level: Any = 0.0,
    k: int = 1,
    *,
    direction: Direction = "rise",
    after: Any = None,
    before: Any = None,
    what: str = "the signal",
    grazing: float | None = None,
) -> Any:
    """The `k`-th place where `values` passes `level`; differentiable.

    **Arguments**

    - `time`, `values`, `level`, `direction`: as in `crossings`.
    - `k`: counted from 1; -1 is the last.
    - `after`, `before`: count only crossings between these.
    - `what`: the name of the signal, for the message.
    - `grazing`: V; refuse a crossing that goes no further than this, for its derivative means nothing.

    **Returns** a scalar of the arrays' library.

    **Raises** `InputError` when there are fewer, and for one that grazes; under `jit` and `vmap`, where the number is
    unknown, the result is NaN instead.
    """
    if k == 0 or k < -1:
        raise InputError(f"crossing {k} of {what} is asked for; they count from 1, and -1 is the last.")
    xp = namespace(values)
    distance, hit = _brackets(values, level, direction)
    if after is not None or before is not None:
        step = xp.where(hit, distance[1:] - distance[:-1], 1.0)
        places = time[:-1] - distance[:-1] * (time[1:] - time[:-1]) / step
        hit = hit if after is None else hit & (places >= after)
        hit = hit if before is None else hit & (places <= before)
    total = xp.sum(xp.astype(hit, xp.int32))
    found = concrete(total)
    if found is not None and found < max(k, 1):
        raise InputError(_too_few(what, values, level, direction, int(found), k))
    number = xp.maximum(total, 1) if k == -1 else k
    if grazing is not None:
        name = f"crossing {int(found) if k == -1 and found is not None else k} of {what}"
        _refuse_grazing(distance, _interval(distance, hit, number), grazing, name)
    place = _place(time, distance, hit, number)
    return place if found is not None else xp.where(total >= max(k, 1), place, xp.nan)


def _too_few(what: str, values: Any, level: Any, direction: Direction, found: int, k: int) -> str:
    unit = {"v(": "V", "i(": "A"}.get(what[:2])

    def text(value: Any) -> str:
        return f"{float(value):.4g}" if unit is None else format_quantity(float(value), unit, 4)

    verb, height = _VERBS[direction], text(level) if np.ndim(level) == 0 else "its level"
    if found == 0:
        return f"{what} never {verb} {height}; it spans {text(values.min())} to {text(values.max())}."
    times = {1: "once", 2: "twice"}.get(found, f"{found} times")
    return f"{what} {verb} {height} {times} only; number {k} is asked for."


def value_at(time: Any, values: Any, at: Any, what: str = "the signal") -> Any:
    """The value at `at`, linear between points; differentiable in `values` and `at`.

    **Raises** `InputError` outside the axis.
    """
    xp = namespace(values)
    if (concrete(time[0]) or 0.0) > (concrete(time[-1]) or 0.0):
        time, values = xp.flip(time), xp.flip(values)
    where, low, high = concrete(at), concrete(time[0]), concrete(time[-1])
    if where is not None and low is not None and high is not None:
        slack = 1e-9 * (high - low)
        if not low - slack <= where <= high + slack:
            raise InputError(f"{what} is asked for at {where:g}, but it spans {low:g} to {high:g} only.")
    i = xp.searchsorted(time, xp.asarray(at, dtype=time.dtype), side="right") - 1
    i = xp.clip(i, 0, time.shape[0] - 2)
    width = time[i + 1] - time[i]
    share = xp.where(width > 0, (at - time[i]) / xp.where(width > 0, width, 1.0), 0.0)
    return values[i] + share * (values[i + 1] - values[i])


def window(time: Any, values: Any, start: Any = None, stop: Any = None, what: str = "the signal") -> tuple[Any, Any]:
    """The part between `start` and `stop`, its ends interpolated; differentiable in the signal and in its ends.

    **Returns** times and values `[n]`: points outside have moved to the nearest end, where they hold no time.

    **Raises** `InputError` for an empty window, or one outside the axis.
    """
    if start is None and stop is None:
        return time, values
    xp = namespace(values)
    if (concrete(time[0]) or 0.0) > (concrete(time[-1]) or 0.0):
        time, values = xp.flip(time), xp.flip(values)
    start = time[0] if start is None else start
    stop = time[-1] if stop is None else stop
    low, high = concrete(start), concrete(stop)
    if low is not None and high is not None and not low < high:
        raise InputError(f"the window from {low:g} to {high:g} of {what} is empty.")
    first, last = value_at(time, values, start, what), value_at(time, values, stop, what)
    early, late = time <= start, time >= stop
    return (
        xp.where(early, start, xp.where(late, stop, time)),
        xp.where(early, first, xp.where(late, last, values)),
    )


def integral(time: Any, values: Any) -> Any:
    """∫ values d time by the trapezoidal rule, exact for signals that are linear between points."""
    xp = namespace(values)
    return xp.sum(0.5 * (values[1:] + values[:-1]) * (time[1:] - time[:-1]))
