"""The cubic between two points of a run with derivatives, from values and slopes: where it passes a level, where it
turns.

In value a measure is that of straight lines between the points, with and without derivatives; its derivative is that
of the cubic (Hermite's), because the derivative of a straight line's crossing is off by what the line leaves out: a
quarter of a per cent between a solver's sparse points, where the line itself is good to 20 µV.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

# A cubic that is flatter than this share of the line's slope where it passes the level has no place to speak of.
FLATTEST = 0.05
ITERATIONS = 12


def _value(s: jax.Array, t: jax.Array, v: jax.Array, m: jax.Array) -> jax.Array:
    """At time `s`, between two points."""
    h = t[1] - t[0]
    x = (s - t[0]) / h
    line = v[0] + x * (v[1] - v[0])
    bend = (1 - x) * (h * m[0] - (v[1] - v[0])) - x * (h * m[1] - (v[1] - v[0]))
    return line + x * (1 - x) * bend


@jax.jit
def place_with_slopes(line: jax.Array, t: jax.Array, distance: jax.Array, rate: jax.Array) -> jax.Array:
    """`line`, the time at which the straight line between two points passes zero, with the derivative of the cubic's.

    **Arguments**: `t`, `distance` from the level, its `rate`: of two points `[2]`, along one phase.
    """
    known = jax.lax.stop_gradient((t, distance, rate))
    times = known[0]

    def value(s: jax.Array) -> jax.Array:
        return _value(s, *known)

    def nearer(_: int, s: jax.Array) -> jax.Array:
        slope = jax.grad(value)(s)
        return jnp.clip(s - value(s) / jnp.where(slope == 0, 1.0, slope), times[0], times[1])

    s = jax.lax.fori_loop(0, ITERATIONS, nearer, jax.lax.stop_gradient(line))
    slope, straight = jax.grad(value)(s), (known[1][1] - known[1][0]) / (times[1] - times[0])
    left = _value(s, t, distance, rate)
    good = (slope / straight > FLATTEST) & (jnp.abs(value(s)) <= 1e-9 * jnp.max(jnp.abs(known[1])))
    moved = -(left - jax.lax.stop_gradient(left)) / jnp.where(good, slope, 1.0)
    return jnp.where(good, jax.lax.stop_gradient(line) + moved, line)


places_with_slopes = jax.jit(jax.vmap(place_with_slopes, in_axes=(0, 1, 1, 1)))


@jax.jit
def values_with_slopes(line: jax.Array, at: jax.Array, t: jax.Array, v: jax.Array, rate: jax.Array) -> jax.Array:
    """`line [k]`, the values of straight lines at the times `at [k]`, with the derivatives of the cubics'.

    **Arguments**: `t`, `v`, `rate`: of the two points around each time `[2, k]`, along one phase.
    """
    wide = t[1] > t[0]
    t = jnp.stack([t[0], jnp.where(wide, t[1], t[0] + 1.0)])  # points at an edge may share their time
    there = _value(at, t, v, rate)
    return jnp.where(wide, jax.lax.stop_gradient(line) + there - jax.lax.stop_gradient(there), line)


@jax.jit
def extreme_with_slopes(value: jax.Array, t: jax.Array, v: jax.Array, rate: jax.Array) -> jax.Array:
    """`value`, the largest or smallest of the points, with the derivative of the cubic's where that turns between two.

    **Arguments**: `t`, `v`, `rate`: of three points `[3]` along one phase, the extreme in the middle.
    """
    known = jax.lax.stop_gradient((t, v, rate))
    times, values, rates = known
    # It turns on the side where the slope changes sign; where that is not so, the extreme is the point.
    late = rates[1] * (values[1] - values[0]) > 0
    two = jnp.where(late, jnp.array([1, 2]), jnp.array([0, 1]))
    turns = rates[two[0]] * rates[two[1]] < 0

    def halved(_: int, between: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = between
        middle = 0.5 * (low + high)
        slope = jax.grad(_value)(middle, times[two], values[two], rates[two])
        before = slope * rates[two[0]] > 0
        return jnp.where(before, middle, low), jnp.where(before, high, middle)

    low, high = jax.lax.fori_loop(0, 50, halved, (times[two[0]], times[two[1]]))
    there = _value(0.5 * (low + high), t[two], v[two], rate[two])
    return jnp.where(turns, jax.lax.stop_gradient(value) + there - jax.lax.stop_gradient(there), value)
