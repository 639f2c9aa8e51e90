"""Weights where a word has none: a current per type, and as many equal words as the weight takes.

One current a type serves the whole network if it can, so that all populations may share cores; else every population
gets a current of its own, and goes to a core of its own with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from ..errors import Misfit
from ..network import SYNAPSE_TYPES, Network
from ._biases import find_code
from ._chip import Chip
from ._requests import Policy, Request, Requests
from ._synapses import Synapses

_TRIES = 16  # words for the smallest weight, at most


@dataclass(frozen=True)
class Pulses:
    """A current (A) and the number of equal words of every weight: int array [weight]; the largest relative error."""

    current: float
    count: np.ndarray
    error: float


def choose_pulses(wanted: np.ndarray, tolerance: float, tries: int = _TRIES) -> Pulses:
    """The fewest words that give the weights `wanted` (A, float array [weight]) within `tolerance` (relative).

    For the smallest weight 1, 2, … words are tried; the current is then fitted to all weights by least squares.
    Without an answer, the best of those tried.
    """
    best = None
    for words in range(1, tries + 1):
        count = np.maximum(1, np.rint(wanted * words / wanted.min())).astype(np.int64)
        current = float((wanted * count).sum() / (count.astype(float) ** 2).sum())
        found = Pulses(current, count, float(np.abs(count * current / wanted - 1).max()))
        if found.error <= tolerance:
            return found
        best = found if best is None or found.error < best.error else best
    assert best is not None
    return best


def repeat(
    network: Network, synapses: Synapses, requests: dict[str, Requests], chip: Chip, policy: Policy
) -> tuple[np.ndarray, list[Misfit]]:
    """Number of words of every synapse: int array [synapse]; the currents go into the `requests` of the targets.

    Within the error that the chip file warns of, if the synapse words suffice; else within the one that it allows.
    """
    limits = chip.limits
    found = _Found(np.ones(len(synapses.weight), np.int64), {}, [])
    for tolerance, together in product((limits.bias_error_warn, limits.weight_error_fail), (True, False)):
        found = _all(network, synapses, chip, tolerance, together)
        words = np.bincount(synapses.target, weights=found.count, minlength=network.size)
        if words.max(initial=0) <= chip.synapse.words_per_neuron and not found.coarse:
            break
    misfits = []
    for kind, population, error in found.coarse:
        text = f"the {kind} weights of '{population}' are no multiples of one current: {100 * error:.0f} % off at best"
        hint = "ask multiples of the smallest weight, or split the population"
        allowed = limits.weight_error_fail
        misfits.append(Misfit("weight_levels", error, allowed, f"'{population}'", hint, text))
    for (kind, population), current in found.current.items():
        bias = chip.synapse.weight.per_type[kind]
        who = f"population '{population}', {kind} weight"
        code = find_code(chip, bias, current, who, allow_subfloor=policy.allow_subfloor)
        if isinstance(code, Misfit):
            misfits.append(code)
        else:
            row = Request(bias, f"{kind} weight", "A", current, code.realised, code)
            requests[population].rows[bias] = row
    return found.count, misfits


@dataclass
class _Found:
    count: np.ndarray
    current: dict[tuple[str, str], float]  # (type, population)
    coarse: list[tuple[str, str, float]]


def _all(network: Network, synapses: Synapses, chip: Chip, tolerance: float, together: bool) -> _Found:
    found = _Found(np.ones(len(synapses.weight), np.int64), {}, [])
    owner = np.repeat(np.arange(len(network.populations)), [p.size for p in network.populations])[synapses.target]
    for number in np.unique(synapses.kind):
        kind = SYNAPSE_TYPES[number]
        mine = np.flatnonzero(synapses.kind == number)
        values, where = np.unique(synapses.weight[mine], return_inverse=True)
        pulses = choose_pulses(values, tolerance)
        parts = [(mine, pulses, where)]
        if pulses.error > tolerance or not together:
            parts = []
            for p in np.unique(owner[mine]):
                some = mine[owner[mine] == p]
                values, where = np.unique(synapses.weight[some], return_inverse=True)
                parts.append((some, choose_pulses(values, tolerance), where))
        for some, chosen, at in parts:
            found.count[some] = chosen.count[at]
            for p in np.unique(owner[some]):
                name = network.populations[p].name
                found.current[kind, name] = chosen.current
                if chosen.error > tolerance:
                    found.coarse.append((kind, name, chosen.error))
    return found
