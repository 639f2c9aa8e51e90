"""The derivatives of a finished run, along the steps that it took.

The run itself is never differentiated: its step lengths and its states are numbers. What each step does to tangents
follows from the state at its start alone, so that it is worked out for many steps side by side; what is left to be
done one step after the other is linear, and small. Steps are taken in pieces that reverse mode works out again and
does not store: of a run, only the states are kept.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Inputs, Segment, System, Topology, Wiring, segment
from ..errors import InputError
from ._plan import one_of_few
from ._tableaus import Tableau
from ._transport import TANGENTS, forced, frames_of, moved, whole

CHUNK = 4096  # steps in a call of the compiled program
# What a piece of steps needs while its derivatives are worked out, in numbers: 4 MB, which stay near the processor. On
# one core gradients with 32 steps of the reference neuron side by side, half and twice as many differ by less than the
# machine's speed does from minute to minute; on two cores 32 were the fastest by the clock most of the time.
PIECE_SIZE = 2**19
LONGEST_PIECE, SHORTEST_PIECE = 64, 16


class Steps(NamedTuple):
    """A frozen sequence of steps, `[step]`: starts and lengths in s, the inputs' segment that each lies in, and the
    states at their starts, `y [step, state]` in V."""

    t: Any
    h: Any
    segment: Any
    y: Any


def replay(
    topology: Topology, tableau: Tableau, kept: tuple[int, ...], wiring: Wiring, numbers: System, inputs: Inputs,
    y: Any, steps: Steps, values: tuple[Any, ...], count: Any = None,
) -> Any:  # fmt: skip
    """`values`, the kept states' interpolants and phases, with their derivatives: `[step, vector, kept state]`.

    The vectors, each `[step, kept state]`, are the start, the end and the interpolant's, whose derivatives are η, those
    at a time that moves along with the phase; and the phase itself, zero in value, whose derivative is in s. There may
    be more of them than steps: those after the last mean nothing.

    **Arguments**: `y [state]`: the start, with its derivatives. `count`: how many steps are valid where that is not
    known before (under jit); the rest do nothing.
    """
    total, piece = len(steps.t), _piece_length(topology, tableau)
    inputs = jax.tree.map(jnp.asarray, inputs)
    one = partial(_chunk, topology, tableau, kept, wiring, numbers, inputs)
    previous = steps.segment[np.maximum(np.arange(total) - 1, 0)]
    known = steps, previous, values
    if count is not None:
        return one(y, _in_pieces(_lengthened(known, -(-total // piece) * piece), piece), count)[1]
    found = []
    for begin in range(0, total, CHUNK):
        # Views of the run's own arrays, which reverse mode keeps as they are: of a long run there is one copy.
        part = jax.tree.map(lambda a, k=begin: np.asarray(a[k : k + CHUNK]), known)
        y, taken = one(y, _in_pieces(_lengthened(part, CHUNK), piece), min(total - begin, CHUNK))
        found.append(taken)
    return _joined(found + [found[-1]] * (one_of_few(len(found)) - len(found)), y)


@jax.jit
def _joined(found: list[Any], y: Any) -> Any:
    # The last state takes part so that every chunk's end does: one program for all of them.
    return jnp.concatenate(found) + 0.0 * jnp.sum(y)


def _lengthened(known: Any, length: int) -> Any:
    """The last step repeated."""

    def one(a: Any) -> Any:
        return a[np.minimum(np.arange(length), len(a) - 1)] if len(a) < length else a

    return jax.tree.map(one, known)


def _in_pieces(known: Any, length: int) -> Any:
    return jax.tree.map(lambda a: a.reshape(-1, length, *a.shape[1:]), known)


def _piece_length(topology: Topology, tableau: Tableau) -> int:
    """How many steps are worked on side by side: a power of two."""
    size = 3 * tableau.stages * max(len(topology.states), 1) ** 2
    return int(np.clip(2 ** int(np.log2(max(PIECE_SIZE // size, 1))), SHORTEST_PIECE, LONGEST_PIECE))


@partial(jax.jit, static_argnames=("topology", "tableau", "kept"))
def _chunk(
    topology: Topology, tableau: Tableau, kept: tuple[int, ...], wiring: Wiring, numbers: System, inputs: Inputs,
    y: Any, known: Any, count: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """The state after all steps, and the values with their derivatives; all that is known is in pieces, `[piece, step,
    …]`."""
    piece = _piece(topology, tableau, kept)
    known = *known[:-1], jnp.stack(known[-1], axis=2)
    index = jnp.arange(known[1].size).reshape(known[1].shape)

    @partial(jax.checkpoint, prevent_cse=False)
    def body(y: Any, given: Any) -> Any:
        known, valid = given
        return jax.lax.cond(
            valid[0], lambda y: piece(wiring, numbers, inputs, y, known, valid), lambda y: (y, known[-1]), y
        )

    y, taken = jax.lax.scan(body, y, (known, index < count))
    return y, taken.reshape(-1, *taken.shape[2:])


@lru_cache(maxsize=64)
def _piece(topology: Topology, tableau: Tableau, kept: tuple[int, ...]) -> Any:
    chosen = np.array(kept, dtype=int)

    @jax.custom_jvp
    def piece(wiring: Wiring, numbers: System, inputs: Inputs, y: Any, known: Any, valid: Any) -> tuple[Any, Any]:
        return y, known[-1]

    @piece.defjvp
    def piece_jvp(primals: Any, tangents: Any) -> Any:
        wiring, numbers, inputs, y, known, valid = primals
        _, d_numbers, d_inputs, d_y, _, _ = tangents
        numbers, inputs = _once((numbers, inputs))
        steps, previous, values = known
        parts = whole(numbers, wiring)

        def entered(inputs: Inputs) -> tuple[Segment, Any]:
            """The segment of each step, and how far an edge before it that moves has moved its start."""
            edge = jax.vmap(lambda k, last, t: moved_edge(parts, inputs, segment(inputs, k), last, t))
            line = segment(inputs, steps.segment)
            return line._replace(value=line.value.T, slope=line.slope.T), edge(steps.segment, previous, steps.t)

        (line, _), (d_line, d_edge) = jax.jvp(entered, (inputs,), (d_inputs,))
        at = line, steps.y.T, steps.t, steps.h
        frames, taken, _ = frames_of(topology, tableau, parts, *at)
        pushed = forced(topology, wiring, numbers, *at, taken, d_numbers, d_line)

        def body(d_y: Any, given: Any) -> Any:
            frame, pushed, edge, real = given
            d = moved(topology, numbers.mass, frame, pushed, d_y + edge)
            vectors = jnp.stack([d.start, d.end, *(TANGENTS.dense @ d.increments), d.tau])[:, chosen]
            return jnp.where(real, d.after, d_y), jnp.where(real, vectors, 0.0)

        d_y, d_values = jax.lax.scan(body, d_y, (frames, pushed, d_edge, valid))
        return (y, values), (d_y, d_values)

    return piece


@jax.custom_jvp
def _once(numbers: Any) -> Any:
    """What may not be differentiated again: the states that derivatives are worked out along are plain numbers."""
    return numbers


@_once.defjvp
def _once_jvp(primals: Any, tangents: Any) -> Any:
    raise InputError(
        "second derivatives of a run are not offered: take differences of the first ones, such as "
        "(grad(p + step) - grad(p - step)) / (2 * step)."
    )


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
