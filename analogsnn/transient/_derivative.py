"""Waveforms of a run, as they are or with the derivatives of the circuit's parameters."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit, Values, build_inputs, extended, is_traced, structure_without_gains
from ..errors import InputError
from ..waveforms import Waveforms
from ._loop import DONE, advance, equation, start
from ._operating_point import FIRST_STEP
from ._plan import Plan, Points, Run, states_of, step_segments
from ._points import node_waveforms, waveforms
from ._replay import Steps, replay
from ._rosenbrock import interpolate, interpolated_slope
from ._start import start_in_graph, start_with_derivative
from ._transport import TANGENTS, without_wiring

# Under jit the number of steps is not known: this many are provided for unless max_steps says otherwise, and a fixed
# number of points in each.
TRACED_STEPS, TRACED_POINTS = 16384, 8
# In how many parts the points of a run are worked on.
PARTS = 16


def plain_waveforms(circuit: Circuit, plan: Plan, run: Run) -> Waveforms:
    """The waveforms of a run."""
    points, (begin, end, dense) = Points(*(array[: run.points.valid] for array in run.points[:4])), states_of(plan, run)
    run, k = run._replace(points=points), points.step
    x = interpolate(begin[k], end[k], tuple(vector[k] for vector in dense), points.theta[:, None])
    return _finish(circuit, plan, run, run.inputs, x)


def _finish(circuit: Circuit, plan: Plan, run: Run, inputs: Any, x: Any) -> Waveforms:
    numbers = {"steps": len(run.rows) if run.count is None else run.count, "rejected": run.rejected}
    if run.points.valid is not None:
        numbers["n_valid"] = run.points.valid
    if plan.keep.nodes is None:
        return waveforms(circuit, run.points.t, x, segment=run.points.segment, inputs=inputs, **numbers)
    return node_waveforms(circuit, plan.keep, run.points.t, x, run.points.segment, inputs, **numbers)


def waveforms_with_derivatives(circuit: Circuit, plan: Plan, run: Run) -> Waveforms:
    """The same waveforms from the same steps, now with the derivatives of the traced parameters.

    Unless the times were given, there are more points than valid ones, of a number that is one of few: what is worked
    out from them is compiled for each.

    **Raises** `InputError` for the gain of an E element, by which derivatives are not offered.
    """
    topology, values = circuit.topology, circuit.values()
    refuse_traced_gains(values)
    inputs = build_inputs(topology, circuit.numbers(), plan.tran.step, plan.stop)
    parts = equation(topology, extended(values), values)
    begin, end, dense = states_of(plan, run)
    none = 0.0 * begin
    dense = (*dense, *[none] * (len(TANGENTS.dense) - len(dense)))  # the tangents' interpolant may have more
    library = jnp if is_traced(run.states) else np
    # Reverse mode keeps the steps: of the rows, no more than these columns.
    steps = Steps(library.array(run.rows[:, 0]), library.array(run.rows[:, 1]), _segments(run), run.states[:-1])
    wiring = jax.tree.map(jax.lax.stop_gradient, parts.currents.wiring)
    taken = replay(
        topology, plan.tableau, plan.kept, wiring, without_wiring(parts), inputs,
        start_with_derivative(circuit, plan.tran, plan.stop, run.x0), steps,
        (begin, end, *dense, none), run.count,
    )  # fmt: skip
    seen = _seen(taken, run.points.step, run.points.theta, run.rows[run.points.step, 1])
    waves = _finish(circuit, plan, run, inputs, seen.x)
    s = _of_states(circuit, plan)
    if s is None:
        return _with_phases(circuit, plan, run, waves, jax.lax.stop_gradient(seen.x), seen)
    shift, rates = _phases(tuple(_followed(circuit, plan, waves.nodes)), s, seen)
    return dataclasses.replace(waves, shift=shift, pace=seen.pace, rates=rates, current_rates=waves.currents)


class Seen(NamedTuple):
    """The kept states at points, `[point, kept state]`: voltages, phases, rates; and the fastest one's phase `[point]`.

    The derivatives of voltages are those at fixed times, of rates those at points that move with the state's phase.
    """

    x: Any
    shift: Any
    slope: Any
    pace: Any


@jax.jit
def _seen(taken: Any, step: Any, theta: Any, h: Any) -> Seen:
    """The kept states at points, some at a time: of all vectors at all points there is never an array."""
    parts = math.gcd(len(step), PARTS)
    at = (array.reshape(parts, -1) for array in (step, theta, h))
    found = jax.lax.map(jax.checkpoint(lambda at: _seen_at(taken, *at)), tuple(at))
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)


def _seen_at(taken: Any, step: Any, theta: Any, h: Any) -> Seen:
    # Split rather than indexed: in reverse mode the parts are joined, where each index would make an array of all.
    own, theta = jnp.split(taken[step], taken.shape[1], axis=1), theta[:, None]
    start, end, *dense, shift = (vector[:, 0] for vector in own)
    moving, slope = interpolate(start, end, tuple(dense), theta), interpolated_slope(start, end, tuple(dense), theta)
    slope = slope / h[:, None]
    pace = jnp.zeros_like(h)
    if shift.shape[1]:
        fastest = jnp.argmax(jnp.abs(slope), axis=1)
        pace = jnp.take_along_axis(shift, fastest[:, None], axis=1)[:, 0]
    return Seen(moving + shift * jax.lax.stop_gradient(slope), shift, slope, pace)


def refuse_traced_gains(values: Values) -> None:
    """Refuse derivatives by the gain of an E element.

    **Raises** `InputError`.
    """
    if is_traced(values.gain):
        raise InputError("derivatives by the gain of an E element are not offered; use a G element across a resistor.")


def _segments(run: Run) -> Any:
    t = run.rows[:, 0]
    if not is_traced(t):
        return step_segments(run.inputs, t)
    edges = jnp.asarray(run.inputs.edges)
    return jnp.clip(jnp.searchsorted(edges, t, side="right") - 1, 0, len(edges) - 2)


def _followed(circuit: Circuit, plan: Plan, nodes: tuple[str, ...]) -> list[int | None]:
    """For each node, the kept state that it follows alone, by its column."""
    topology = circuit.topology
    place = {state: column for column, state in enumerate(plan.kept)}
    s = None if topology.gains else structure_without_gains(topology)[0]
    found: list[int | None] = []
    for node in nodes:
        row = topology.nodes.index(node) if node in topology.nodes else None
        states = [] if row is None or s is None else np.flatnonzero(s[row])
        found.append(place[int(states[0])] if len(states) == 1 else None)
    return found


def _of_states(circuit: Circuit, plan: Plan) -> np.ndarray | None:
    """The kept nodes as sums of kept states, `[node, kept state]`; None where sources or gains have a part in one."""
    topology = circuit.topology
    if plan.keep.nodes is None or topology.gains or not topology.states:
        return None
    rows = [topology.nodes.index(node) for node in plan.keep.nodes]
    s, p = structure_without_gains(topology)
    return None if np.any(p[rows]) else s[rows][:, list(plan.kept)]


@partial(jax.jit, static_argnames="followed")
def _phases(followed: tuple[int | None, ...], s: Any, seen: Seen) -> tuple[Any, Any]:
    """Phases and rates of nodes that are sums of states, each `[node, point]`.

    A node that follows one state has its phase; any other has that of the fastest state, and a rate without
    derivative.
    """
    frozen = jax.lax.stop_gradient(seen.slope)
    shift = [seen.pace if column is None else seen.shift[:, column] for column in followed]
    rates = [(frozen if column is None else seen.slope) @ row for column, row in zip(followed, s, strict=True)]
    return jnp.stack(shift), jnp.stack(rates)


def _with_phases(circuit: Circuit, plan: Plan, run: Run, waves: Waveforms, x: Any, seen: Seen) -> Waveforms:
    """Waveforms of any nodes and branches with phases and rates; the rates' own derivatives are those of their states
    alone."""
    frozen, t = circuit.frozen(), jnp.asarray(run.points.t)
    slope = jax.lax.stop_gradient(seen.slope)

    def signals(t: Any, x: Any) -> tuple[Any, Any]:
        seen = _finish(frozen, plan, run._replace(points=run.points._replace(t=t)), run.inputs, x)
        return seen.voltages, jnp.asarray(seen.currents)

    rates, current_rates = jax.jvp(signals, (t, x), (jnp.ones_like(t), slope))[1]
    followed = _followed(circuit, plan, waves.nodes)
    shift = [seen.pace if column is None else seen.shift[:, column] for column in followed]
    if rates.shape[0] and not circuit.topology.gains:
        s, nodes = structure_without_gains(circuit.topology)[0], circuit.topology.nodes
        bent = seen.slope - slope
        rates = rates + jnp.stack(
            [
                jnp.zeros_like(t) if column is None else bent[:, column] * s[nodes.index(node), plan.kept[column]]
                for node, column in zip(waves.nodes, followed, strict=True)
            ]
        )
    return dataclasses.replace(
        waves, shift=jnp.stack(shift) if shift else jnp.zeros((0, len(t))), pace=seen.pace, rates=rates,
        current_rates=current_rates,
    )  # fmt: skip


def run_in_graph(circuit: Circuit, frozen: Circuit, plan: Plan) -> Waveforms:
    """A run inside a program that JAX compiles or batches: room for a fixed number of steps, failures raised late."""
    topology, values = frozen.topology, frozen.values()
    capacity = min(plan.max_steps, TRACED_STEPS) if plan.max_steps == 5_000_000 else plan.max_steps
    inputs = build_inputs(topology, frozen.numbers(), plan.tran.step, plan.stop)
    inputs = jax.tree.map(jnp.asarray, inputs)
    x0 = start_in_graph(frozen, plan.tran, plan.stop)
    parts = equation(topology, extended(values), values)
    state = advance(topology, plan.tableau, capacity, parts, inputs, plan.control, start(x0, FIRST_STEP), capacity)
    rows = eqx.error_if(
        state.rows, state.status != DONE,
        f"the run did not end within {capacity} steps, or its step shrank to nothing; give max_steps=…, or run "
        "it without jit to learn where.",
    )  # fmt: skip
    n, last = len(topology.states), state.count - 1
    rows = rows[jnp.minimum(jnp.arange(capacity), last)]
    columns = [0, 1, *(2 + n * k + i for k in range(1 + len(plan.tableau.dense)) for i in plan.kept)]
    run = Run(
        inputs, x0, rows[:, jnp.array(columns)], state.rejected, Points(None, None, None, None), state.count,
        jnp.concatenate([x0[None], rows[:, 2 : 2 + n]]),
    )  # fmt: skip
    return waveforms_with_derivatives(circuit, plan, run._replace(points=_fixed_points(plan, run)))


def _fixed_points(plan: Plan, run: Run) -> Points:
    """The plan's own times, or the same number of points in every step; points past the end repeat the last."""
    t0, h = run.rows[:, 0], run.rows[:, 1]
    if plan.grid is not None:
        t = jnp.asarray(plan.grid)
        step = jnp.clip(jnp.searchsorted(t0, t, side="right") - 1, 0, run.count - 1)
        return Points(t, step, jnp.clip((t - t0[step]) / h[step], 0.0, 1.0), _segments(run)[step])
    step = jnp.repeat(jnp.arange(len(t0)), TRACED_POINTS)
    theta = jnp.tile(jnp.arange(1, TRACED_POINTS + 1) / TRACED_POINTS, len(t0))
    theta = jnp.where(step < run.count, theta, 1.0)
    step = jnp.concatenate([jnp.zeros(1, dtype=int), jnp.minimum(step, run.count - 1)])
    theta = jnp.concatenate([jnp.zeros(1), theta])
    valid = run.count * TRACED_POINTS + 1
    return Points(t0[step] + theta * h[step], step, theta, _segments(run)[step], valid)
