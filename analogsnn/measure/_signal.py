"""One signal over one axis: crossings, values between points, integrals. Everything is linear between points.

The functions use the array API of what they are given, so that NumPy and JAX arrays go through the same lines; which
points bracket a crossing is decided by comparison, on plain numbers wherever they are known, and everything after that
is differentiable. Derivatives may be those of a cubic between points (`_cubic`).
"""

from __future__ import annotations

import functools
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


def numbers(array: Any) -> np.ndarray | None:
    """The numbers of an array, without the derivatives it may carry; None where JAX compiles or batches."""
    if isinstance(array, (np.ndarray, float, int)):
        return np.asarray(array)
    import jax

    try:
        return np.asarray(jax.lax.stop_gradient(array))
    except TypeError:
        return None


@functools.cache
def _gather() -> Any:
    import jax

    return jax.jit(lambda arrays, i: tuple(array[i] for array in arrays))


def points(index: Any, *arrays: Any) -> tuple[Any, ...]:
    """Arrays `[n]` at an index or several, in one program where they are JAX's."""
    if all(isinstance(array, np.ndarray) for array in arrays):
        return tuple(array[index] for array in arrays)
    return _gather()(arrays, index)


def _brackets(values: Any, level: Any, direction: Direction) -> tuple[Any, Any]:
    """Distance from the level `[n]`, and whether each interval `[n-1]` holds a crossing."""
    xp = namespace(values)
    distance = values - level
    above = distance >= 0  # a state, so that rises and falls alternate even where a point lies on the level
    before, after = above[:-1], above[1:]
    hit = {"rise": ~before & after, "fall": before & ~after, "cross": xp.not_equal(before, after)}[direction]
    return distance, hit


def crossings(
    time: Any, values: Any, level: Any = 0.0, direction: Direction = "rise", *, rate: Any = None
) -> Any:  # fmt: skip
    """All places where `values` passes `level`, by linear interpolation; differentiable.

    **Arguments**

    - `time`: `[n]`, ascending or descending. `values`: `[n]`. `level`: a number or `[n]`.
    - `direction`: `"rise"`, `"fall"` or `"cross"`.
    - `rate`: `[n]`, of a run with derivatives (`Waveforms.rate`), at the points of `Waveforms.along`: the places then
      have the derivatives of the cubic's.

    **Returns** `[k]`, an array of the same library.

    **Raises** `InputError` under `jit` and `vmap`, where their number is unknown.
    """
    known, height = numbers(values), numbers(level)
    if known is None or height is None:
        raise InputError("the number of crossings is not known under jit or vmap; ask for one by its number.")
    i = np.flatnonzero(_brackets(known, height, direction)[1])
    return _place_of(time, values, level, rate, np.stack([i, i + 1]))


def _places(time: Any, distance: Any, rate: Any) -> Any:
    """Where straight lines between two points, `[2]` or `[2, k]`, pass zero."""
    xp = namespace(distance)
    rise = distance[1] - distance[0]
    line = time[0] - distance[0] * (time[1] - time[0]) / xp.where(rise == 0, 1.0, rise)
    if rate is None:
        return line
    from ._cubic import place_with_slopes, places_with_slopes

    return (place_with_slopes if line.ndim == 0 else places_with_slopes)(line, time, distance, rate)


def _interval(distance: Any, hit: Any, k: Any) -> Any:
    xp = namespace(distance)
    count = xp.cumulative_sum(xp.astype(hit, xp.int32))
    return xp.minimum(xp.searchsorted(count, xp.asarray(k, dtype=count.dtype)), hit.shape[0] - 1)


def _refuse_grazing(distance: np.ndarray, i: int, grazing: float, what: str) -> None:
    """Refuse the crossing in interval `i` where the signal goes less than `grazing` beyond it before it turns back."""
    above = distance >= 0
    turns = np.flatnonzero(above[:-1] != above[1:]) + 1
    bounds = np.concatenate([[0], turns, [len(distance)]])
    for end, how in ((i + 1, "goes {} beyond it only"), (i, "comes from {} before it only")):
        k = np.searchsorted(bounds, end, side="right")
        far = float(np.max(np.abs(distance[bounds[k - 1] : bounds[k]])))
        if far < grazing:
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
    rate: Any = None,
) -> Any:
    """The `k`-th place where `values` passes `level`; differentiable.

    **Arguments**

    - `time`, `values`, `level`, `direction`, `rate`: as in `crossings`.
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
    given = time, values, level, after, before
    known = [None if array is None else numbers(array) for array in given]
    if any(array is not None and number is None for array, number in zip(given, known, strict=True)):
        return _traced_crossing(time, values, level, k, direction, after, before, rate)
    axis, signal, height, *_ = known
    distance, hit = _brackets(signal, height, direction)
    hit = _between(axis, distance, hit, *known[3:])
    found = np.flatnonzero(hit)
    if len(found) < max(k, 1):
        raise InputError(_too_few(what, signal, height, direction, len(found), k))
    i = found[k if k == -1 else k - 1]
    if grazing is not None:
        _refuse_grazing(distance, i, grazing, f"crossing {len(found) if k == -1 else k} of {what}")
    return _place_of(time, values, level, rate, np.array([i, i + 1]))


def _traced_crossing(
    time: Any, values: Any, level: Any, k: int, direction: Direction, after: Any, before: Any, rate: Any
) -> Any:
    """The same under `jit` and `vmap`: NaN where there are fewer."""
    xp = namespace(values)
    distance, hit = _brackets(values, level, direction)
    hit = _between(time, distance, hit, after, before)
    total = xp.sum(xp.astype(hit, xp.int32))
    i = _interval(distance, hit, xp.maximum(total, 1) if k == -1 else k)
    place = _place_of(time, values, level, rate, xp.stack([i, i + 1]))
    return xp.where(total >= max(k, 1), place, xp.nan)


def _between(time: Any, distance: Any, hit: Any, after: Any, before: Any) -> Any:
    """Which of the crossings lie between two places."""
    if after is None and before is None:
        return hit
    step = namespace(distance).where(hit, distance[1:] - distance[:-1], 1.0)
    places = time[:-1] - distance[:-1] * (time[1:] - time[:-1]) / step
    hit = hit if after is None else hit & (places >= after)
    return hit if before is None else hit & (places <= before)


def _place_of(time: Any, values: Any, level: Any, rate: Any, two: Any) -> Any:
    """Where the line between two points, or each of several `two [2, k]`, passes the level."""
    given = time, values, level, rate, two
    return _place(*given) if all(isinstance(a, np.ndarray) for a in (time, values)) else _compiled_place()(*given)


def _place(time: Any, values: Any, level: Any, rate: Any, two: Any) -> Any:
    time, values, level, rate = (array[two] if np.ndim(array) else array for array in (time, values, level, rate))
    return _places(time, values - level, rate)


@functools.cache
def _compiled_place() -> Any:
    import jax

    return jax.jit(_place)


def _too_few(what: str, values: Any, level: Any, direction: Direction, found: int, k: int) -> str:
    unit = {"v(": "V", "i(": "A"}.get(what[:2])

    def text(value: Any) -> str:
        return f"{float(value):.4g}" if unit is None else format_quantity(float(value), unit, 4)

    verb, height = _VERBS[direction], text(level) if np.ndim(level) == 0 else "its level"
    if found == 0:
        return f"{what} never {verb} {height}; it spans {text(values.min())} to {text(values.max())}."
    times = {1: "once", 2: "twice"}.get(found, f"{found} times")
    return f"{what} {verb} {height} {times} only; number {k} is asked for."


def value_at(time: Any, values: Any, at: Any, what: str = "the signal", *, rate: Any = None) -> Any:
    """The value at `at`, linear between points; differentiable in `values` and `at`.

    - `rate`: `[n]`, of a run with derivatives (`Waveforms.rate`), at the points of `Waveforms.along`: the value then
      has the derivatives of the cubic's.

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
    # Points that repeat the last one have no line between them: at the end it is that of the interval before.
    i = xp.clip(xp.minimum(i, xp.searchsorted(time, time[-1]) - 1), 0, time.shape[0] - 2)
    width = time[i + 1] - time[i]
    share = xp.where(width > 0, (at - time[i]) / xp.where(width > 0, width, 1.0), 0.0)
    line = values[i] + share * (values[i + 1] - values[i])
    if rate is None:
        return line
    from ._cubic import values_with_slopes

    return values_with_slopes(line, at, *points(xp.stack([i, i + 1]), time, values, rate))


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
