"""The adaptive loop around a Rosenbrock step: edges of the inputs are step boundaries, every accepted step is kept."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Inputs, System, Topology, Values, segment, system
from ._elimination import factor
from ._field import linearisation, stage_rate
from ._rosenbrock import rosenbrock_step
from ._tableaus import Tableau

RUNNING, DONE, SHRUNK, BUDGET = 0, 1, 2, 3
# A step of less than this fraction of the time scale resolves nothing in 64 bit.
SMALLEST = 1e-19
SAFETY, SHRINK, GROW = 0.9, 0.2, 6.0


class Control(NamedTuple):
    """Accuracy of a run: relative error per step, absolute error in V, longest step in s."""

    rtol: Any
    atol: Any
    longest: Any


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
    rows: Any


@partial(jax.jit, static_argnames=("topology", "extended"))
def equation(topology: Topology, extended: bool, values: Values) -> System:
    """The differential equation, worked out once before a run."""
    return system(topology, values, extended)


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
        left = edge - s.t
        lands = s.h >= left * (1 - 1e-9)
        h = jnp.where(lands, left, jnp.where(s.h > 0.5 * left, 0.5 * left, s.h))
        line = segment(inputs, s.segment)
        first = linearisation(topology, parts, line, s.t, s.y)
        rate = stage_rate(topology, parts, line, s.t)
        step = rosenbrock_step(tableau, s.y, h, parts.mass, first, rate, partial(factor, topology.levels))
        scale = control.atol + control.rtol * jnp.maximum(jnp.abs(s.y), jnp.abs(step.y1))
        ratio = jnp.abs(step.error) / scale
        error = jnp.sqrt(jnp.sum(ratio * ratio) / max(n, 1))
        error = jnp.where(jnp.isfinite(error), jnp.maximum(error, 1e-10), 1e10)
        good = error <= 1.0
        power = 1.0 / tableau.order
        stretch = jnp.clip(SAFETY * error**-power, SHRINK, GROW)
        # A step may not grow right after one that was refused.
        stretch = jnp.where(good & (s.previous > 1.0), jnp.minimum(stretch, 1.0), stretch)
        h_next = jnp.minimum(jnp.where(good & lands, jnp.maximum(s.h, h * stretch), h * stretch), control.longest)
        h_next = jnp.where(good & lands & (s.h < h * stretch), h * stretch, h_next)
        t = jnp.where(good, jnp.where(lands, edge, s.t + h), s.t)
        row = jnp.concatenate([jnp.stack([s.t, h]), step.y1, *step.dense])
        at_edge = good & lands
        shrunk = (h < SMALLEST) & ~good
        status = jnp.where(at_edge & (edge >= end), DONE, jnp.where(shrunk, SHRUNK, RUNNING))
        count = s.count + good
        return State(
            t=t, h=h_next, y=jnp.where(good, step.y1, s.y), segment=s.segment + (at_edge & (edge < end)), count=count,
            rejected=s.rejected + ~good, status=jnp.where((status == RUNNING) & (count >= limit), BUDGET, status),
            ratio=ratio, previous=error,
            rows=jax.lax.dynamic_update_slice(s.rows, row[None], (s.count, 0)),
        )  # fmt: skip

    return jax.lax.while_loop(lambda s: s.status == RUNNING, body, state)


def start(y: Any, h: float) -> State:
    """The state before the first step."""
    zero = np.zeros((), dtype=int)
    return State(
        t=np.zeros(()), h=np.asarray(h, dtype=float), y=y, segment=zero, count=zero, rejected=zero, status=zero,
        ratio=np.zeros(y.shape), previous=np.zeros(()), rows=np.zeros((0, 0)),
    )  # fmt: skip
