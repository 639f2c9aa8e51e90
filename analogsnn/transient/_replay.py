"""The steps of a finished run, taken again with derivatives.

The run itself is never differentiated: its step lengths are numbers. Every step is then repeated from its stored length by
the transported step, in pieces of which only the beginnings are kept, so that reverse mode recomputes and does not store.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Inputs, System, Topology, Wiring, segment
from ._tableaus import Tableau
from ._transport import Blocks, Transported, transported_step, whole

PIECE = 256  # steps


class Steps(NamedTuple):
    """A frozen sequence of steps: starts and lengths in s, and the segment of the inputs that each lies in, `[step]`."""

    t: Any
    h: Any
    segment: Any


def replay(
    topology: Topology, tableau: Tableau, blocks: Blocks, wiring: Wiring, numbers: System, inputs: Inputs, y: Any,
    steps: Steps,
) -> Transported:  # fmt: skip
    """All steps from state `y`: `Transported` with a leading axis of steps."""
    count = len(steps.t)
    pieces = []
    before = steps.segment[:1]
    inputs = jax.tree.map(jnp.asarray, inputs)
    for begin in range(0, count, PIECE):
        index = np.minimum(np.arange(begin, begin + PIECE), count - 1)
        valid = np.arange(begin, begin + PIECE) < count
        chosen = Steps(*(field[index] for field in steps))
        previous = np.concatenate([before, chosen.segment[:-1]])
        y, piece = _piece(topology, tableau, blocks, wiring, numbers, inputs, y, chosen, previous, valid)
        pieces.append(piece)
        before = chosen.segment[-1:]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:count], *pieces)


@partial(jax.jit, static_argnames=("topology", "tableau", "blocks"))
def _piece(
    topology: Topology, tableau: Tableau, blocks: Blocks, wiring: Wiring, numbers: System, inputs: Inputs, y: Any,
    steps: Steps, previous: Any, valid: Any,
) -> Any:  # fmt: skip
    take = transported_step(topology, tableau, blocks)
    parts = whole(numbers, wiring)

    @jax.checkpoint
    def body(y: Any, given: Any) -> Any:
        (t, h, k), last, real = given
        line = segment(inputs, k)

        def advance(y: Any) -> Any:
            y = y + moved_edge(parts, inputs, line, last, t)
            done = take(wiring, numbers, line, y, t, h)
            return done.after, done._replace(after=done.end)

        def rest(y: Any) -> Any:
            zero = jnp.zeros_like(y)
            return y, Transported(y, y, (zero,) * len(tableau.dense), zero, y, zero)

        return jax.lax.cond(real, advance, rest, y)

    return jax.lax.scan(body, y, (steps, previous, valid))


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
