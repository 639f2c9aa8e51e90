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
    """The number behind an array of one, or None while JAX traces."""
    try:
        return float(value)
    except TypeError:  # JAX's ConcretizationTypeError is one
        return None


def known(values: Any) -> np.ndarray:
    """The numbers of an array without the derivatives that it may carry."""
    try:
        return np.asarray(values)
    except TypeError:  # an array that JAX differentiates
        import jax

        return np.asarray(jax.lax.stop_gradient(values))


def _brackets(values: Any, level: Any, direction: Direction) -> tuple[Any, Any]:
    """Distance from the level `[n]`, and whether each interval `[n-1]` holds a crossing."""
    xp = namespace(values)
    distance = values - level
    above = distance >= 0  # a state, so that rises and falls alternate even where a point lies on the level
    before, after = above[:-1], above[1:]
    hit = {"rise": ~before & after, "fall": before & ~after, "cross": xp.not_equal(before, after)}[direction]
    return distance, hit


def crossings(time: Any, values: Any, level: Any = 0.0, direction: Direction = "rise") -> np.ndarray:
    """All places where `values` passes `level`, by linear interpolation.

    **Arguments**

    - `time`: `[n]`, ascending or descending. `values`: `[n]`. `level`: a number or `[n]`.
    - `direction`: `"rise"`, `"fall"` or `"cross"`.

    **Returns** NumPy array `[k]` in the unit of `time`.
    """
    time, values = np.asarray(time), np.asarray(values)
    distance, hit = _brackets(values, np.asarray(level), direction)
    i = np.flatnonzero(hit)
    return time[i] - distance[i] * (time[i + 1] - time[i]) / (distance[i + 1] - distance[i])


def crossing(
    time: Any,
    values: Any,
    level: Any = 0.0,
    k: int = 1,
    *,
    direction: Direction = "rise",
    after: float | None = None,
    before: float | None = None,
    what: str = "the signal",
) -> Any:
    """The `k`-th place where `values` passes `level`; differentiable.

    **Arguments**

    - `time`, `values`, `level`, `direction`: as in `crossings`.
    - `k`: counted from 1; -1 is the last.
    - `after`, `before`: count only crossings between these.
    - `what`: the name of the signal, for the message.

    **Returns** a scalar of the arrays' library.

    **Raises** `InputError` when there are fewer; under a JAX transformation, where the number is unknown, the result is
    NaN instead.
    """
    if k == 0 or k < -1:
        raise InputError(f"crossing {k} of {what} is asked for; they count from 1, and -1 is the last.")
    xp = namespace(values)
    distance, hit = _brackets(values, level, direction)
    step = xp.where(hit, distance[1:] - distance[:-1], 1.0)
    places = time[:-1] - distance[:-1] * (time[1:] - time[:-1]) / step
    if after is not None:
        hit = hit & (places >= after)
    if before is not None:
        hit = hit & (places <= before)
    count = xp.cumulative_sum(xp.astype(hit, xp.int32))
    total = count[-1]
    wanted = hit & (count == (total if k == -1 else k))
    found = concrete(total)
    if found is not None and found < max(k, 1):
        raise InputError(_too_few(what, values, level, direction, int(found), k))
    place = xp.sum(xp.where(wanted, places, 0.0))
    return place if found is not None else xp.where(xp.any(wanted), place, xp.nan)


def _too_few(what: str, values: Any, level: Any, direction: Direction, found: int, k: int) -> str:
    unit = {"v(": "V", "i(": "A"}.get(what[:2])

    def text(value: Any) -> str:
        return f"{float(value):.4g}" if unit is None else format_quantity(float(value), unit, 4)

    verb, height = _VERBS[direction], text(level) if np.ndim(level) == 0 else "its level"
    if found == 0:
        values = known(values)
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
    """The part between `start` and `stop`, its ends interpolated; not under `jit`, for its length is the data's."""
    if start is None and stop is None:
        return time, values
    start = time[0] if start is None else start
    stop = time[-1] if stop is None else stop
    if not float(start) < float(stop):
        raise InputError(f"the window from {float(start):g} to {float(stop):g} of {what} is empty.")
    first, last = value_at(time, values, start, what), value_at(time, values, stop, what)
    xp = namespace(values)
    inside = np.flatnonzero((np.asarray(time) > float(start)) & (np.asarray(time) < float(stop)))
    ends = xp.asarray([start], dtype=time.dtype), xp.asarray([stop], dtype=time.dtype)
    one = xp.reshape(xp.asarray(first), (1,)), xp.reshape(xp.asarray(last), (1,))
    return xp.concat([ends[0], time[inside], ends[1]]), xp.concat([one[0], values[inside], one[1]])


def integral(time: Any, values: Any) -> Any:
    """∫ values d time by the trapezoidal rule, exact for signals that are linear between points."""
    xp = namespace(values)
    return xp.sum(0.5 * (values[1:] + values[:-1]) * (time[1:] - time[:-1]))
