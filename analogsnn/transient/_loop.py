"""The adaptive loop around a Rosenbrock step: edges of the inputs are step boundaries, every accepted step is kept.

The error of a step is held in volts, and at `accuracy="reference"` in time too. A membrane at rest moves by 60 V/s, so
that what is allowed in volts, 0.5 µV, makes its next spike 8 ns late, and a node that a spike barely touches
microseconds. Where a state is slow its error is therefore held as a shift in time: to a share of the longest recent
step, which is what a rest takes. Spikes, which take most of the steps, are hardly touched by that. docs/gradients.md
has what it does to derivatives.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Inputs, Segment, System, Topology, Values, segment, system
from ._elimination import factor
from ._field import linearisation, stage_rate
from ._lane_elimination import lane_factor
from ._rosenbrock import Step, rosenbrock_step
from ._tableaus import Tableau

RUNNING, DONE, SHRUNK, BUDGET = 0, 1, 2, 3
# A step of less than this fraction of the time scale resolves nothing in 64 bit.
SMALLEST = 1e-19
SAFETY, SHRINK, GROW = 0.9, 0.2, 6.0
# A step may make no state late by more than this times the relative tolerance times the longest recent step: 1 ns at
# 1e-6 and steps of 0.1 ms. Which step was the longest fades over a thousand steps, about as many as a spike takes.
LATE, FADE = 10.0, 0.999
# No tolerance is made smaller than rounding errors by that (V).
ROUNDING = 1e-12


class Control(NamedTuple):
    """Accuracy of a run: relative error per step, absolute error in V, longest step in s, and by how much the tolerance
    of a slow state may become smaller so that nothing is late (1: not at all)."""

    rtol: Any
    atol: Any
    longest: Any
    tightest: Any


class State(NamedTuple):
    """Where a run stands; `count` steps are in `rows`, each `[t, h, y, d_1 …]` flattened."""

    t: Any
    h: Any
    y: Any
    segment: Any
    count: Any
    rejected: Any
    status: Any
    ratio: Any  # [state]: error over tolerance in the last step that was tried
    previous: Any  # error of the last accepted step
    rest: Any  # s: the longest of the recent steps
    rows: Any


class Tried(NamedTuple):
    """What became of one step: its length and whether it lands on the edge, its error, where to go on from."""

    h: Any
    lands: Any
    step: Step
    ratio: Any  # [state]: error over tolerance
    error: Any
    good: Any
    shrunk: Any
    t: Any
    h_next: Any
    rest: Any


@partial(jax.jit, static_argnames=("topology", "extended"))
def equation(topology: Topology, extended: bool, values: Values) -> System:
    """The differential equation, worked out once before a run."""
    return system(topology, values, extended)


def try_step(
    topology: Topology, tableau: Tableau, parts: System, line: Segment, edge: Any, control: Control, t: Any, h: Any,
    y: Any, previous: Any, rest: Any,
) -> Tried:  # fmt: skip
    """Try a step from state y at time t, of length h or to the `edge` where the segment `line` of the inputs ends.

    `previous` is the error of the last step, `rest` the longest of the recent ones (s). Every array may have a trailing
    axis of lanes, `t`, `h`, `edge`, `previous` and `rest` one number for each.
    """
    left = edge - t
    lands = h >= left * (1 - 1e-9)
    wanted, h = h, jnp.where(lands, left, jnp.where(h > 0.5 * left, 0.5 * left, h))
    first, rate = linearisation(topology, parts, line, t, y)[:3], stage_rate(topology, parts, line, t)
    solver = partial(factor, topology.levels) if y.ndim == 1 else partial(lane_factor, topology)
    step = rosenbrock_step(tableau, y, h, parts.mass, first, rate, solver)
    scale = control.atol + control.rtol * jnp.maximum(jnp.abs(y), jnp.abs(step.y1))
    long = jnp.maximum(h, FADE * rest)
    late = LATE * control.rtol * long * jnp.abs(step.y1 - y) / h
    scale = jnp.clip(late, jnp.minimum(jnp.maximum(control.tightest * scale, ROUNDING), scale), scale)
    ratio = jnp.abs(step.error) / scale
    error = jnp.sqrt(jnp.sum(ratio * ratio, axis=0) / max(y.shape[0], 1))
    error = jnp.where(jnp.isfinite(error), jnp.maximum(error, 1e-10), 1e10)
    good = error <= 1.0
    stretch = jnp.clip(SAFETY * error ** (-1.0 / tableau.order), SHRINK, GROW)
    # A step may not grow right after one that was refused.
    stretch = jnp.where(good & (previous > 1.0), jnp.minimum(stretch, 1.0), stretch)
    h_next = jnp.minimum(jnp.where(good & lands, jnp.maximum(wanted, h * stretch), h * stretch), control.longest)
    h_next = jnp.where(good & lands & (wanted < h * stretch), h * stretch, h_next)
    return Tried(
        h=h, lands=lands, step=step, ratio=ratio, error=error, good=good, shrunk=(h < SMALLEST) & ~good,
        t=jnp.where(good, jnp.where(lands, edge, t + h), t), h_next=h_next,
        rest=jnp.where(good, long, rest),
    )  # fmt: skip


@partial(jax.jit, static_argnames=("topology", "tableau", "capacity"))
def advance(
    topology: Topology, tableau: Tableau, capacity: int, parts: System, inputs: Inputs, control: Control, state: State,
    limit: Any,
) -> State:  # fmt: skip
    """Continue until the end, a failure, or `limit` further accepted steps (status BUDGET); there is room for
    `capacity`, which is compiled for."""
    n = len(topology.states)
    edges = jnp.asarray(inputs.edges)
    end = edges[-1]
    inputs = inputs._replace(edges=edges, value=jnp.asarray(inputs.value), slope=jnp.asarray(inputs.slope))
    state = state._replace(
        count=jnp.zeros((), int),
        status=jnp.asarray(RUNNING),
        rows=jnp.zeros((capacity, 2 + n * (1 + len(tableau.dense)))),
    )

    def body(s: State) -> State:
        edge = edges[s.segment + 1]
        line = segment(inputs, s.segment)
        tried = try_step(topology, tableau, parts, line, edge, control, s.t, s.h, s.y, s.previous, s.rest)
        step, good = tried.step, tried.good
        row = jnp.concatenate([jnp.stack([s.t, tried.h]), step.y1, *step.dense])
        at_edge = good & tried.lands
        status = jnp.where(at_edge & (edge >= end), DONE, jnp.where(tried.shrunk, SHRUNK, RUNNING))
        count = s.count + good
        return State(
            t=tried.t, h=tried.h_next, y=jnp.where(good, step.y1, s.y), segment=s.segment + (at_edge & (edge < end)),
            count=count, rejected=s.rejected + ~good,
            status=jnp.where((status == RUNNING) & (count >= limit), BUDGET, status), ratio=tried.ratio,
            previous=tried.error, rest=tried.rest,
            rows=jax.lax.dynamic_update_slice(s.rows, row[None], (s.count, 0)),
        )  # fmt: skip

    return jax.lax.while_loop(lambda s: s.status == RUNNING, body, state)


def start(y: Any, h: float) -> State:
    """The state before the first step."""
    zero = np.zeros((), dtype=int)
    return State(
        t=np.zeros(()), h=np.asarray(h, dtype=float), y=y, segment=zero, count=zero, rejected=zero, status=zero,
        ratio=np.zeros(y.shape), previous=np.zeros(()), rest=np.zeros(()), rows=np.zeros((0, 0)),
    )  # fmt: skip
