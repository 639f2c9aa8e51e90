"""The steps of a finished run, taken again with derivatives.

The run itself is never differentiated: its step lengths are numbers. Every step is then repeated with its stored length
by the transported step, in pieces of which only the beginnings are kept, so that reverse mode recomputes and does not
store.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Inputs, System, Topology, Wiring, segment
from ._tableaus import Tableau
from ._transport import Transported, transported_step, whole

PIECE = 256  # steps


class Steps(NamedTuple):
    """A frozen sequence of steps, `[step]`: starts and lengths in s, and the inputs' segment that each lies in."""

    t: Any
    h: Any
    segment: Any


def replay(
    topology: Topology, tableau: Tableau, kept: tuple[int, ...], wiring: Wiring, numbers: System, inputs: Inputs,
    y: Any, steps: Steps, count: Any = None,
) -> Transported:  # fmt: skip
    """All steps from state `y`: `Transported` of the kept states, with a leading axis of steps.

    `count`: how many steps are valid where that is not known before (under jit); the rest do nothing.
    """
    total = len(steps.t)
    pieces = -(-total // PIECE)
    index = np.minimum(np.arange(pieces * PIECE), total - 1)
    valid = np.arange(pieces * PIECE) < (total if count is None else count)
    previous = steps.segment[np.maximum(index - 1, 0)]
    chosen = jax.tree.map(lambda a: a.reshape(pieces, PIECE), (Steps(*(f[index] for f in steps)), previous, valid))
    inputs = jax.tree.map(jnp.asarray, inputs)
    one = partial(_piece, topology, tableau, kept, wiring, numbers, inputs)
    if count is not None:
        _, taken = jax.lax.scan(lambda y, given: one(y, *given), y, chosen)
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:total], taken)
    found = []
    for k in range(pieces):
        y, piece = one(y, *jax.tree.map(lambda a, k=k: a[k], chosen))
        found.append(piece)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:total], *found)


@partial(jax.jit, static_argnames=("topology", "tableau", "kept"))
def _piece(
    topology: Topology, tableau: Tableau, kept: tuple[int, ...], wiring: Wiring, numbers: System, inputs: Inputs,
    y: Any, steps: Steps, previous: Any, valid: Any,
) -> Any:  # fmt: skip
    take = transported_step(topology, tableau)
    parts = whole(numbers, wiring)
    index = np.array(kept, dtype=int)

    @jax.checkpoint
    def body(y: Any, given: Any) -> Any:
        (t, h, k), last, real = given
        line = segment(inputs, k)

        def advance(y: Any) -> Any:
            y = y + moved_edge(parts, inputs, line, last, t)
            done = take(wiring, numbers, line, y, t, h)
            return done.after, _chosen(done, index)

        def rest(y: Any) -> Any:
            zero = jnp.zeros_like(y)
            return y, _chosen(Transported(y, y, (zero,) * len(tableau.dense), zero, y, zero), index)

        return jax.lax.cond(real, advance, rest, y)

    return jax.lax.scan(body, y, (steps, previous, valid))


def _chosen(done: Transported, index: np.ndarray) -> Transported:
    """The kept states of a step; its state at a fixed time and its error have been used."""
    kept = jax.tree.map(lambda a: a[index], done._replace(after=done.end, error=done.end))
    return kept._replace(after=None, error=None)


def moved_edge(parts: System, inputs: Inputs, line: Any, last: Any, t: Any) -> Any:
    """What an input edge adds to the state's derivative when its time depends on a parameter; zero in value.

    The sources' slopes push current through capacitances, so dy/dt jumps at an edge, and y moves by the jump times the
    edge's own movement. The tangents of the two straight lines that meet there hold exactly that.
    """
    before = segment(inputs, last)
    new = line.value + line.slope * (t - jax.lax.stop_gradient(line.edge))
    old = before.value + before.slope * (t - jax.lax.stop_gradient(before.edge))
    pushed = parts.coupling[:, : new.shape[0]] @ (new - old)
    return parts.inverse_mass @ (pushed - jax.lax.stop_gradient(pushed))
