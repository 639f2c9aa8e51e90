"""The loop of `_loop` for many circuits of one topology at once: lanes, each with its own time and step length.

Lanes are the last axis of every array, so that one operation works on the same number of all of them. A lane goes at
its own pace: it accepts and refuses steps by its own error, has its own edges, and stands still when it is done. No
operation mixes lanes, so that what a lane computes does not depend on its place or its neighbours.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._apart import apart
from ..circuit import Inputs, Segment, System, Topology
from ._loop import DONE, RUNNING, SHRUNK, Control, try_step
from ._tableaus import Tableau

VACANT = -1  # the status of a place without a lane


class Lanes(NamedTuple):
    """Where the lanes stand: `y` and `ratio` are `[state, lane]`, all others `[lane]`."""

    t: Any
    h: Any
    y: Any
    segment: Any
    status: Any
    steps: Any
    rejected: Any
    ratio: Any
    previous: Any
    rest: Any


class Load(NamedTuple):
    """What lanes compute with: their equations and their inputs, lanes last; and where they stand.

    The tables of the inputs are `[edge, lane]` and `[edge, linear input, lane]`, the smooth ones' numbers
    `[number, lane]`.
    """

    parts: System
    inputs: Inputs
    lanes: Lanes


# Vectors as long as the processor has them: XLA takes half of them unless told. 1.17 times faster with AVX-512.
LONG_VECTORS = {"xla_cpu_prefer_vector_width": "512"}


@partial(jax.jit, static_argnames=("topology", "tableau", "capacity", "kept"), compiler_options=LONG_VECTORS)
def advance_lanes(
    topology: Topology, tableau: Tableau, capacity: int, kept: tuple[int, ...], parts: System, inputs: Inputs,
    control: Control, lanes: Lanes,
) -> tuple[Lanes, Any, Any]:  # fmt: skip
    """Up to `capacity` steps of every lane, fewer when all stand still.

    **Returns** where the lanes are, the steps tried `[step, number, lane]` (accepted or not, t, h, and of the kept
    states the end and the interpolant's vectors), and how many of these rows there are.
    """
    width = lanes.t.shape[0]
    column = jnp.arange(width)
    end = inputs.edges[-1]
    rows = jnp.zeros((capacity, 3 + len(kept) * (1 + len(tableau.dense)), width))
    index = jnp.array(kept, dtype=int)

    def look_up(inputs: Inputs, k: Any) -> tuple[Any, Any, Any, Any]:
        value, slope = (table[k, :, column].T for table in (inputs.value, inputs.slope))
        return inputs.edges[k, column], inputs.edges[k + 1, column], value, slope

    def body(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        s, rows, count = carry
        begin, edge, value, slope = apart(look_up)(inputs, s.segment)
        line = Segment(begin, 0.5 * (begin + edge), value, slope, inputs.smooth)
        tried = try_step(topology, tableau, parts, line, edge, control, s.t, s.h, s.y, s.previous, s.rest)
        running = s.status == RUNNING
        good = tried.good & running
        at_edge = good & tried.lands
        status = jnp.where(at_edge & (edge >= end), DONE, jnp.where(tried.shrunk, SHRUNK, RUNNING))
        row = jnp.stack([good.astype(float), s.t, tried.h])
        row = jnp.concatenate([row, *(vector[index] for vector in (tried.step.y1, *tried.step.dense))])
        new = Lanes(
            t=tried.t, h=tried.h_next, y=jnp.where(good, tried.step.y1, s.y),
            segment=s.segment + (at_edge & (edge < end)), status=status, steps=s.steps + good,
            rejected=s.rejected + ~good, ratio=tried.ratio, previous=tried.error, rest=tried.rest,
        )  # fmt: skip
        new = jax.tree.map(lambda a, b: jnp.where(running, a, b), new, s)
        return new, jax.lax.dynamic_update_slice(rows, row[None], (count, 0, 0)), count + 1

    def working(carry: tuple[Any, ...]) -> Any:
        s, _, count = carry
        return (count < capacity) & jnp.any(s.status == RUNNING)

    return jax.lax.while_loop(working, body, (lanes, rows, 0))


@jax.jit
def refilled(load: Load, fresh: Load, source: Any) -> Load:
    """The load with lanes of `fresh` in some places: `source [lane]` says which, or -1 for none."""

    def moved(a: Any, b: Any) -> Any:
        return jnp.where(source >= 0, jnp.take(b, jnp.maximum(source, 0), axis=-1), a)

    wiring = fresh.parts.currents.wiring  # the same for all lanes
    new = jax.tree.map(moved, _without_wiring(load), _without_wiring(fresh))
    return new._replace(parts=_with_wiring(new.parts, wiring))


def _without_wiring(load: Load) -> Load:
    return load._replace(parts=_with_wiring(load.parts, None))


def _with_wiring(parts: System, wiring: Any) -> System:
    return parts._replace(currents=parts.currents._replace(wiring=wiring))
