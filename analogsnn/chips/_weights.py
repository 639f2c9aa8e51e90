"""Weights of a core: a few shared currents, and for every synapse the mask of those that add up to its weight.

The currents and the masks are chosen together: start from several guesses (single weights, binary steps, sums),
improve each by turns (nearest sum, then least squares), put the best ones on codes that the generator has, and move
code by code while the error falls. The error is the relative L2 norm over all synapses of the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

_STEPS = np.linspace(0.45, 1.2, 76)  # binary steps tried, in units of largest weight / number of sums
_RANDOM_STARTS = 24
_POLISHED = 12  # of the starts, those that go on to codes
_MERGED = 512  # different weights that the search looks at; finer than the 15 sums by far
_SUBSETS = 2000  # starts made of the weights themselves, at most
_REACH = (1, 2, 4, 8, 16, 32)  # codes a current may jump in one move


@dataclass(frozen=True)
class WeightChoice:
    """The currents of a core and the masks of its synapses.

    - `currents` (A): float array [bit]; 0 for a current that is not needed.
    - `masks`: int array [weight], bit k selects current k; 0 only where zeros are allowed.
    - `realised` (A): float array [weight], the sum that each mask gives.
    - `relative_l2`: norm of (realised - wanted) over norm of wanted.
    - `zero`: bool array [weight], weights so small that rounding would rather leave the synapse out.
    """

    currents: np.ndarray
    masks: np.ndarray
    realised: np.ndarray
    relative_l2: float
    zero: np.ndarray


def choose_weights(
    wanted: np.ndarray,
    reachable: np.ndarray,
    bits: int = 4,
    *,
    given: Sequence[float] | np.ndarray | None = None,
    zeros: bool = False,
    seed: int = 0,
) -> WeightChoice:
    """Currents and masks for the weights `wanted` (A, float array [weight]).

    **Arguments**

    - `reachable`: currents (A) that a core current can take, ascending: float array [code].
    - `bits`: number of core currents.
    - `given`: the currents (A), when they are already chosen: masks only.
    - `zeros`: allow mask 0, a synapse that is left out. The error is then at most that of `uniform_rounding`, and
      otherwise at most that of `uniform_rounding(..., zeros=False)`.
    - `seed`: of the random starts; equal seeds give equal answers.

    **Returns** a `WeightChoice`. With at most `bits` different weights in reach each has a current of its own.
    """
    values, where, counts = np.unique(wanted, return_inverse=True, return_counts=True)
    if given is not None:
        currents = np.asarray(given, float)
    elif len(values) <= bits and values[-1] <= reachable[-1]:
        currents = np.zeros(bits)
        currents[: len(values)] = reachable[_nearest(reachable, values)]
    else:
        currents = _search(_Wanted(*_merge(values, counts), zeros), reachable, bits, seed)
    levels, masks = _levels(currents, zeros)
    index = _nearest(levels, values)
    realised = levels[index]
    error = np.sqrt(np.sum(counts * (realised - values) ** 2) / np.sum(counts * values**2))
    zero = values < levels[levels > 0][0] / 2
    return WeightChoice(currents, masks[index][where], realised[where], float(error), zero[where])


def uniform_rounding(wanted: np.ndarray, bits: int = 4, *, zeros: bool = True) -> np.ndarray:
    """The plain alternative, for comparison: multiples of largest / (2**bits - 1), without zeros at least one."""
    step = wanted.max() / (2**bits - 1)
    return np.maximum(np.round(wanted / step), 0 if zeros else 1) * step


@dataclass(frozen=True)
class _Wanted:
    """Different weights in ascending order, how often each is wanted, and whether zero may stand for one."""

    values: np.ndarray
    counts: np.ndarray
    zeros: bool

    def cost(self, currents: np.ndarray) -> float:
        """Sum of squared errors (A²) with the nearest sum for every weight."""
        levels = np.sort(_masks(len(currents), self.zeros) @ currents)
        return float(self.counts @ (levels[_nearest(levels, self.values)] - self.values) ** 2)


@cache
def _masks(bits: int, zeros: bool) -> np.ndarray:
    """All masks, or all but 0, as 0/1: float array [mask, bit]."""
    return ((np.arange(0 if zeros else 1, 2**bits)[:, None] >> np.arange(bits)) & 1).astype(float)


def _levels(currents: np.ndarray, zeros: bool) -> tuple[np.ndarray, np.ndarray]:
    """Sums in ascending order with their masks; of equal sums the smallest mask; masks of unset currents left out."""
    sums = _masks(len(currents), zeros) @ currents
    codes = np.arange(0 if zeros else 1, 2 ** len(currents))
    unset = int(np.sum((currents == 0) * 2 ** np.arange(len(currents))))
    keep = (codes & unset) == 0
    levels, first = np.unique(sums[keep], return_index=True)
    return levels, codes[keep][first]


def _nearest(levels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Index of the level nearest to each value; `levels` ascending."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, values)


def _merge(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `_MERGED` weights for the search: neighbours become their mean, which moves no optimum visibly."""
    if len(values) <= _MERGED:
        return values, counts
    first = np.linspace(0, len(values), _MERGED, endpoint=False).astype(int)
    total = np.add.reduceat(counts, first)
    return np.add.reduceat(values * counts, first) / total, total


def _search(wanted: _Wanted, reachable: np.ndarray, bits: int, seed: int) -> np.ndarray:
    ranked = sorted(_starts(wanted.values, bits, seed), key=wanted.cost)
    best = min((_on_codes(_alternate(c, wanted), wanted, reachable) for c in ranked[:_POLISHED]), key=wanted.cost)
    return np.sort(best)


def _starts(values: np.ndarray, bits: int, seed: int):
    top = values[-1]
    binary = 2.0 ** np.arange(bits)
    for step in _STEPS:
        yield binary * step * top / (2**bits - 1)
    rng = np.random.default_rng(seed)
    for _ in range(_RANDOM_STARTS):
        part = rng.dirichlet(np.ones(bits))
        yield np.maximum(part, 1e-3) * top
    # Weights that were designed as sums of a few currents: these currents are among the weights themselves.
    few = values if len(values) <= 14 else np.quantile(values, np.linspace(0, 1, 10))
    for k, subset in enumerate(combinations(few, bits)):
        if k == _SUBSETS:
            break
        yield np.array(subset)


def _alternate(currents: np.ndarray, wanted: _Wanted, turns: int = 20) -> np.ndarray:
    """By turns: the nearest sum for every weight, then the currents that fit these masks best."""
    values, root = wanted.values, np.sqrt(wanted.counts)
    masks = _masks(len(currents), wanted.zeros)
    best, lowest = currents, wanted.cost(currents)
    for _ in range(turns):
        sums = masks @ currents
        order = np.argsort(sums, kind="stable")
        chosen = masks[order[_nearest(sums[order], values)]]
        currents = np.linalg.lstsq(chosen * root[:, None], values * root, rcond=None)[0]
        cost = wanted.cost(currents)
        if currents.min() <= 0 or cost >= lowest * (1 - 1e-9):
            break
        best, lowest = currents, cost
    return best


def _on_codes(currents: np.ndarray, wanted: _Wanted, reachable: np.ndarray) -> np.ndarray:
    """The currents on reachable values, then moved one or two at a time while that lowers the error."""
    bits = len(currents)
    moves = [s * r * np.eye(bits, dtype=int)[b] for b in range(bits) for r in _REACH for s in (-1, 1)]
    moves += [
        s * np.eye(bits, dtype=int)[a] + t * np.eye(bits, dtype=int)[b]
        for a, b in combinations(range(bits), 2)
        for s in (-2, -1, 1, 2)
        for t in (-2, -1, 1, 2)
    ]
    index = _nearest(reachable, currents)
    lowest = wanted.cost(reachable[index])
    moved = True
    while moved:
        moved = False
        for move in moves:
            trial = np.clip(index + move, 0, len(reachable) - 1)
            cost = wanted.cost(reachable[trial])
            if cost < lowest * (1 - 1e-12):
                index, lowest, moved = trial, cost, True
    return reachable[index]
