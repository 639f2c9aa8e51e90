"""Solving with the small sparse matrices of a Rosenbrock step in many lanes at once.

Only the entries that can differ from zero are computed, each as one operation over all lanes: first the levels of
states that share no element, one after the other, then what is left by Gauss-Jordan steps. As in `_elimination` no
pivots are exchanged: a node's conductance is the sum of those to its neighbours and a step's matrix M/(hγ) - ∂f/∂y adds
its capacitance over hγ to that, so its diagonal dominates as soon as the step is short enough to resolve what a gate
does to a drain; a step that was spoilt is refused by its error estimate and shortened. Every lane by itself.

Which entries are used where is worked out once a topology, in numbers. Sums over few terms of unequal number become
gathers of the same length, padded: XLA makes one loop of each over all lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from .._apart import apart
from ..circuit import Entries, Topology


class Sum(NamedTuple):
    """For each result the terms of a sum of products: `first [term][result]`, `second [term][result]`, -1 for none."""

    first: np.ndarray
    second: np.ndarray


@dataclass(frozen=True, eq=False)
class Level:
    """How one level is eliminated: indices into the entries that are left at its turn."""

    size: int
    pivot: np.ndarray
    lower: np.ndarray
    lower_pivot: np.ndarray  # which pivot each entry below divides by
    upper: np.ndarray
    upper_pivot: np.ndarray
    kept: np.ndarray  # [entry of what is left]: where it stands now, or -1 where it is filled in
    update: Sum  # of lower and upper, for each entry of what is left
    forward: Sum  # of lower and right-hand side, for each state that is left
    backward: Sum  # of upper and solution, for each state of the level


@dataclass(frozen=True, eq=False)
class Order:
    """How a matrix is eliminated: its levels, and the rest as a square."""

    levels: tuple[Level, ...]
    square: np.ndarray  # [row of the rest, column], -1 for zero


def lane_factor(topology: Topology, matrix: Entries) -> Callable[[Any], Any]:
    """Eliminate a matrix whose entries are those of `topology.touching`; gives the function that solves with it."""
    order, entries = elimination_order(topology), matrix.values
    done: list[tuple[Any, Any, Any]] = []
    for level in order.levels:
        *parts, entries = _eliminate(level, entries)
        done.append(tuple(parts))
    inverse = chosen(entries, order.square)
    for k in range(len(order.square)):
        inverse = _gauss_jordan_step(k, inverse)
    return partial(_solve, order, done, inverse)


@partial(apart, known=1)
def _solve(order: Order, done: Any, inverse: Any, b: Any) -> Any:
    heads = []
    for level, (pivot, lower, _) in zip(order.levels, done, strict=True):
        heads.append(pivot * b[: level.size])
        b = _forward(level, lower, b)
    x = sum(inverse[:, j] * b[j] for j in range(len(order.square)))
    for level, (_, _, upper), head in zip(order.levels[::-1], done[::-1], heads[::-1], strict=True):
        x = _backward(level, head, upper, x)
    return x


@partial(apart, known=1)
def _forward(level: Level, lower: Any, b: Any) -> Any:
    return b[level.size :] - total(level.forward, lower, b[: level.size])


@partial(apart, known=1)
def _backward(level: Level, head: Any, upper: Any, x: Any) -> Any:
    return jnp.concatenate([head - total(level.backward, upper, x), x])


@partial(apart, known=1)
def _eliminate(level: Level, entries: Any) -> tuple[Any, Any, Any, Any]:
    """Reciprocal pivots, the factors below and above them, and what is left."""
    pivot = 1.0 / entries[level.pivot]
    lower, upper = entries[level.lower] * pivot[level.lower_pivot], entries[level.upper]
    left = chosen(entries, level.kept) - total(level.update, lower, upper)
    return pivot, lower, upper * pivot[level.upper_pivot], left


def chosen(array: Any, index: np.ndarray) -> Any:
    """Rows of an array, zero where the index is -1."""
    picked = array[np.maximum(index, 0)]
    return picked if (index >= 0).all() else jnp.where((index >= 0)[..., None], picked, 0.0)


def total(terms: Sum, first: Any, second: Any) -> Any:
    """Sums of products, `[result, lane]`."""
    result: Any = 0.0
    for i, j in zip(*terms, strict=True):
        product = first[np.maximum(i, 0)] * second[np.maximum(j, 0)]
        result = result + (product if (i >= 0).all() else jnp.where((i >= 0)[:, None], product, 0.0))
    return result


@partial(apart, known=1)
def _gauss_jordan_step(k: int, matrix: Any) -> Any:
    here = np.arange(matrix.shape[0])[:, None] == k
    pivot = 1.0 / matrix[k, k]
    row = jnp.where(here, pivot, matrix[k] * pivot)
    cleared = jnp.where(here[None], 0.0, matrix)
    return jnp.where(here[:, :, None], row[None], cleared - matrix[:, k][:, None] * row[None])


@lru_cache(maxsize=64)
def elimination_order(topology: Topology) -> Order:
    """Which entries meet when the states are eliminated in the order of their levels."""
    n = len(topology.states)
    present = [(int(i), int(j)) for i, j in np.argwhere(topology.touching)]
    levels: list[Level] = []
    begin = 0
    for size in topology.levels[:-1]:
        end = begin + size
        place = {entry: k for k, entry in enumerate(present)}
        lower = [(i, j) for i, j in present if i >= end and j < end]
        upper = [(i, j) for i, j in present if i < end and j >= end]
        meeting = [
            ((i, b), (k, m)) for k, (i, j) in enumerate(lower) for m, (a, b) in enumerate(upper) if a == j
        ]  # fmt: skip
        left = sorted({(i, j) for i, j in present if i >= end and j >= end} | {entry for entry, _ in meeting})
        levels.append(
            Level(
                size=size,
                pivot=np.array([place[i, i] for i in range(begin, end)]),
                lower=np.array([place[entry] for entry in lower], dtype=int),
                lower_pivot=np.array([j - begin for _, j in lower], dtype=int),
                upper=np.array([place[entry] for entry in upper], dtype=int),
                upper_pivot=np.array([i - begin for i, _ in upper], dtype=int),
                kept=np.array([place.get(entry, -1) for entry in left]),
                update=_sum([[pair for entry, pair in meeting if entry == wanted] for wanted in left]),
                forward=_sum([[(k, j - begin) for k, (i, j) in enumerate(lower) if i == row] for row in range(end, n)]),
                backward=_sum(
                    [[(k, j - end) for k, (i, j) in enumerate(upper) if i == row] for row in range(begin, end)]
                ),
            )
        )
        present, begin = left, end
    place = {entry: k for k, entry in enumerate(present)}
    square = np.array([[place.get((i, j), -1) for j in range(begin, n)] for i in range(begin, n)])
    return Order(tuple(levels), square)


def _sum(terms: Sequence[Sequence[tuple[int, int]]]) -> Sum:
    """Terms of unequal number, padded."""
    longest = max(map(len, terms), default=0)
    padded = np.array([[*pairs, *[(-1, -1)] * (longest - len(pairs))] for pairs in terms], dtype=int)
    padded = padded.reshape(len(terms), longest, 2)
    return Sum(padded[..., 0].T, padded[..., 1].T)
