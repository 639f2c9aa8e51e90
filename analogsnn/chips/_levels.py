"""The weight levels that a core of a chip would have for given weights: for training within them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ._chip import Chip
from ._load import load_chip
from ._weights import choose_weights


@dataclass(frozen=True)
class WeightLevels:
    """Levels of a core: `currents` (A, [bit]) on codes of the generator, and `sums` (A, ascending) that they add up to.

    `compile(network, chip, weight_currents=currents)` puts a network with these weights onto the chip.
    """

    currents: np.ndarray
    sums: np.ndarray


def weight_levels(chip: Chip | str | Path, weights: np.ndarray, *, seed: int = 0) -> WeightLevels:
    """The currents of one core that suit `weights` (A) best, some of which may become zero.

    **Raises** `InputError` for a chip that repeats words instead of adding currents, and for no weights at all.
    """
    chip = chip if isinstance(chip, Chip) else load_chip(chip)
    names = chip.synapse.weight.currents
    if chip.synapse.weight.scheme != "mask_sum":
        raise InputError(f"Chip '{chip.name}' repeats words instead of adding currents; it has no weight levels.")
    wanted = np.asarray(weights, float)
    wanted = wanted[wanted > 0]
    if not len(wanted):
        raise InputError("There is no weight above zero to choose levels for.")
    bias = chip.bias(names[0])
    reachable = np.unique(chip.sorted_currents[bias.polarity or "n"][0]) * (bias.scale or 1.0)
    reachable = reachable[reachable >= chip.limits.i_floor]
    currents = choose_weights(wanted, reachable, len(names), zeros=True, seed=seed).currents
    used = currents[currents > 0]
    masks = (np.arange(1, 2 ** len(used))[:, None] >> np.arange(len(used))) & 1
    return WeightLevels(currents, np.unique(masks @ used))
