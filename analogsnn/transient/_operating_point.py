"""The DC solution: Newton's method, led there by a conductance to ground that fades away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import (
    Circuit,
    Currents,
    Topology,
    Values,
    currents,
    dc_inputs,
    extended,
    input_values,
    is_traced,
    lane_axes,
    linearised_current,
    stack,
    structure,
    structure_without_gains,
    total_current,
)
from ..errors import ConvergenceError
from ._elimination import solve_by_exchanging

# SPICE's source of continuation: every node is first tied to its guess by a large conductance, S.
FIRST_CONDUCTANCE, LAST_CONDUCTANCE = 1.0, 1e-19
LONGEST_MOVE = 0.15  # V per iteration: an exponential is a straight line no further
SETTLED = 1e-10  # V, far below what any current notices (1e-8 of it)
ITERATIONS = 60
STAGES = 400
FIRST_STEP = 1e-12  # s, of a transient run


def _newton(
    topology: Topology, extended: bool, values: Values, base: Any, clamped: Any, target: Any,
    solve: Callable[[Any, Any], Any] = jnp.linalg.solve,
) -> Callable[[Any, Any, Any], tuple[Any, Any, Any]]:  # fmt: skip
    """Newton's method at one conductance to an anchor: from a state to the state, whether it settled, the last move."""
    parts = structure(topology, values)
    u = input_values(topology, base, values.formula, 0.0, values.celsius)
    c = currents(topology, values, parts, extended)
    kcl = jnp.asarray(topology.kcl)
    still = jnp.zeros_like(u)

    def settled(move: Any) -> Any:
        return jnp.all(jnp.abs(move) <= SETTLED)

    def newton(x: Any, conductance: Any, anchor: Any) -> tuple[Any, Any, Any]:
        def body(carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
            x, _, count = carry
            total, by_x, *_ = linearised_current(topology, c, x, u, still, 0.0)
            residual = jnp.where(clamped, x - target, kcl @ total + conductance * (x - anchor))
            slope = jnp.where(clamped[:, None], jnp.eye(len(x)), kcl @ by_x + conductance * jnp.eye(len(x)))
            # Rows span many decades of current: scaled by their largest entry they do not.
            scale = jnp.maximum(jnp.max(jnp.abs(slope), axis=1), 1e-300)
            move = -solve(slope / scale[:, None], residual / scale)
            move = jnp.where(jnp.isfinite(move), move, LONGEST_MOVE)
            return x + jnp.clip(move, -LONGEST_MOVE, LONGEST_MOVE), move, count + 1

        def moving(carry: tuple[Any, Any, Any]) -> Any:
            _, move, count = carry
            return (count < ITERATIONS) & ~settled(move)

        x, move, _ = jax.lax.while_loop(moving, body, (x, jnp.full_like(x, 1.0), 0))
        return x, settled(move), move

    return newton


@partial(jax.jit, static_argnames=("topology", "extended"))
def settled_points(
    topology: Topology, extended: bool, values: Values, base: Any, clamped: Any, target: Any, guess: Any
) -> tuple[Any, Any]:
    """States of many circuits at which no current is left, by Newton's method alone from one guess near them all.

    **Arguments**: leading axes of lanes on `values` (but its gains), `base` and `target`.

    **Returns** the states `[lane, state]` and whether each was found.
    """

    def one(values: Values, base: Any, target: Any) -> tuple[Any, Any]:
        start = jnp.where(clamped, target, guess)
        # Several threads call this at once, and may not call LAPACK (see `solve_by_exchanging`).
        newton = _newton(topology, extended, values, base, clamped, target, solve_by_exchanging)
        x, near, _ = newton(start, 0.0, guess)
        return x, near & jnp.all(jnp.isfinite(x))

    return jax.vmap(one, in_axes=(lane_axes(), 0, 0))(values, base, target)


@partial(jax.jit, static_argnames=("topology", "extended"))
def solve_point(
    topology: Topology, extended: bool, values: Values, base: Any, clamped: Any, target: Any, guess: Any
) -> tuple[Any, Any, Any]:
    """The state at which no current is left.

    **Arguments**

    - `base [input]`: values of the independent sources.
    - `clamped [state]`: which states are held at `target` (V). `guess [state]`: where to start.

    **Returns** the state, whether it was found, and the index of the state that moved most at the end.
    """
    newton = _newton(topology, extended, values, base, clamped, target)

    def stage(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        x, exponent, ratio, _, _, count = carry
        conductance = jnp.where(exponent <= np.log10(LAST_CONDUCTANCE), 0.0, 10.0**exponent)
        new, found, move = newton(x, conductance, guess)
        found &= jnp.all(jnp.isfinite(new))
        last = conductance == 0.0
        # A stage that does not settle is taken again from nearer to the one before.
        return (
            jnp.where(found, new, x), jnp.where(found, exponent - ratio, exponent + 0.5 * ratio),
            jnp.where(found, jnp.minimum(ratio * 1.5, 3.0), 0.5 * ratio), found & last, move, count + 1,
        )  # fmt: skip

    def working(carry: tuple[Any, ...]) -> Any:
        _, _, ratio, done, _, count = carry
        return ~done & (count < STAGES) & (ratio > 1e-3)

    start = jnp.where(clamped, target, guess)
    # Where the guess is near, as along a sweep, Newton's method alone is enough.
    direct, near, move = newton(start, 0.0, guess)
    near &= jnp.all(jnp.isfinite(direct))
    first = (jnp.where(near, direct, start), np.log10(FIRST_CONDUCTANCE), 1.0, near, move, 0)
    x, _, _, done, move, _ = jax.lax.while_loop(working, stage, first)
    return x, done, jnp.argmax(jnp.abs(jnp.where(jnp.isfinite(move), move, 1e9)))


def operating_state(
    circuit: Circuit,
    base: Any,
    held: dict[str, Any],
    guess: Any,
    *,
    release: bool = False,
    values: Values | None = None,
) -> Any:
    """The states `[state]` (V) at the values `base` of the sources, with the nodes in `held` kept at their voltages.

    `release` solves once more without them, from where they led; `values` are the circuit's, where they are known
    already.

    **Raises** `ConvergenceError` naming the node that would not settle.
    """
    topology, values = circuit.topology, circuit.values() if values is None else values
    clamped, target = held_states(circuit, held, base, values)
    if not topology.states:  # sources hold every node
        return target
    x, done, worst = solve_point(topology, extended(values), values, base, clamped, target, guess)
    if release and bool(done):
        x, done, worst = solve_point(topology, extended(values), values, base, np.zeros_like(clamped), target, x)
    if not bool(done):
        node = topology.state_names[int(worst)]
        raise ConvergenceError(
            f"no operating point was found; the voltage of node '{node}' does not settle ({float(x[worst]):.4g} V). "
            f"Give a start voltage, .ic v({node})=… or .nodeset v({node})=…, or check what drives it.",
            time=0.0, node=node,
        )  # fmt: skip
    return x


def held_states(circuit: Circuit, held: dict[str, Any], base: Any, values: Values) -> tuple[np.ndarray, Any]:
    """Which states given node voltages hold, and at what (V). Nodes that sources hold already are passed over."""
    topology = circuit.topology
    clamped = np.zeros(len(topology.states), dtype=bool)
    if not held:
        return clamped, np.zeros(len(topology.states))
    rows, shares = structure_without_gains(topology) if not topology.gains else structure(topology, values)[:2]
    s = np.asarray(jax.lax.stop_gradient(rows) if is_traced(rows) else rows)
    u = input_values(topology, base, values.formula, 0.0, values.celsius)
    target: list[Any] = [0.0] * len(topology.states)
    for node, voltage in held.items():
        if node not in topology.nodes:
            continue
        row = topology.nodes.index(node)
        moved_by = np.flatnonzero(s[row])
        if len(moved_by) == 1:
            state = moved_by[0]
            clamped[state] = True
            target[state] = (voltage - shares[row] @ u) / rows[row, state]
    return clamped, stack(target)


def with_derivative(circuit: Circuit, x: Any, base: Any, held: dict[str, Any]) -> Any:
    """The operating state `x` (numbers) with its derivative by the circuit's parameters.

    By the implicit function theorem: one Newton step from a solution, nothing in value.
    """
    topology, values = circuit.topology, circuit.values()
    clamped, target = held_states(circuit, held, base, values)
    return _led_back(topology, extended(values), values, base, clamped, target, x)


@partial(jax.jit, static_argnames=("topology", "with_extension"))
def _led_back(
    topology: Topology, with_extension: bool, values: Values, base: Any, clamped: Any, target: Any, x: Any
) -> Any:
    """The state `x` less one Newton step for what is left over of the currents (or of the held voltages), whose value
    is taken as nothing."""
    kcl = jnp.asarray(topology.kcl)

    def equations(values: Values, base: Any) -> tuple[Currents, Any]:
        u = input_values(topology, base, values.formula, 0.0, values.celsius)
        return currents(topology, values, structure(topology, values), with_extension), u

    c, u = equations(values, base)
    left = jnp.where(clamped, x - target, kcl @ total_current(topology, c, x, u, 0.0))
    c, u = jax.lax.stop_gradient(equations(values, base))
    by_x = linearised_current(topology, c, x, u, jnp.zeros_like(u), 0.0).by_x
    slope = jnp.where(clamped[:, None], jnp.eye(len(x)), kcl @ by_x)
    scale = jnp.max(jnp.abs(slope), axis=1)
    return x - jnp.linalg.solve(slope / scale[:, None], (left - jax.lax.stop_gradient(left)) / scale)


def first_guess(circuit: Circuit) -> np.ndarray:
    """Half the supply for every state: a start from which Newton's method rarely loses its way."""
    supply = circuit.netlist.supply or 0.0
    return np.full(len(circuit.topology.states), 0.5 * supply)


def dc_values(circuit: Circuit, *, at_time_zero: tuple[float, float] | None = None) -> Any:
    """Values of the sources for an operating point."""
    return dc_inputs(circuit.topology, circuit.numbers(), at_time_zero=at_time_zero)
