"""The weight currents of every core that a network uses, and the mask of every synapse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError, Misfit
from ..network import Network
from ..units import format_quantity
from ._biases import BiasCode, find_code
from ._chip import Chip
from ._synapses import Synapses
from ._weights import choose_weights


@dataclass(frozen=True)
class CoreWeights:
    """The weights of one core (`core` counts over the board).

    - `codes`: {bias name: code}, of the currents that are used.
    - `wanted`, `realised` (A), `masks`, `counts`: arrays over the different weights on the core.
    - `relative_l2`: error norm over all its synapses; `error`: array [weight], (realised - wanted) / wanted.
    """

    core: int
    codes: dict[str, BiasCode]
    wanted: np.ndarray
    realised: np.ndarray
    masks: np.ndarray
    counts: np.ndarray
    relative_l2: float

    @property
    def error(self) -> np.ndarray:
        """(realised - wanted) / wanted, for every different weight."""
        return self.realised / self.wanted - 1.0


def check_range(network: Network, chip: Chip, *, allow_subfloor: bool) -> list[Misfit]:
    """Weights that no core could give, whatever its currents."""
    names, misfits = chip.synapse.weight.currents, []
    reach = [_reachable(chip, name) for name in names]
    high, low = sum(float(r[-1]) for r in reach), min(float(r[0]) for r in reach)
    low = low if allow_subfloor else max(low, chip.limits.i_floor)
    for c in network.connections:
        if not len(c.weight):
            continue
        who = f"'{c.source}'→'{c.target}'"
        for value, bound in ((float(c.weight.max()), high), (float(c.weight.min()), low)):
            if value > bound if bound == high else value < bound:
                text = (
                    f"weight {format_quantity(value, 'A')} of {who} is outside {format_quantity(low, 'A')} to "
                    f"{format_quantity(high, 'A')}, the sums of {', '.join(names)}"
                )
                misfits.append(Misfit("weight_range", value, bound, who, "rescale, or change the gain", text))
    return misfits


def weigh(
    network: Network,
    synapses: Synapses,
    core: np.ndarray,
    chip: Chip,
    given: Sequence[float] | None,
    *,
    seed: int,
    allow_subfloor: bool,
) -> tuple[np.ndarray, np.ndarray, list[CoreWeights], list[Misfit]]:
    """Masks and realised weights (A) of all synapses, with `core` the core of every target: int array [synapse].

    `given`: the weight currents (A) to use on every core; they are put on codes first.
    """
    names = chip.synapse.weight.currents
    misfits: list[Misfit] = []
    fixed = None if given is None else _given(given, chip, misfits, allow_subfloor)
    masks, realised = np.zeros(len(core), np.int64), np.zeros(len(core))
    report = []
    if misfits:
        return masks, realised, report, misfits
    reachable = _reachable(chip, names[0])
    if not allow_subfloor:
        reachable = reachable[reachable >= chip.limits.i_floor]
    for number in np.unique(core):
        here = np.flatnonzero(core == number)
        choice = choose_weights(synapses.weight[here], reachable, len(names), given=fixed, seed=seed)
        masks[here], realised[here] = choice.masks, choice.realised
        wanted, first, counts = np.unique(synapses.weight[here], return_index=True, return_counts=True)
        level = choice.realised[first]
        codes = {}
        for bit, (name, current) in enumerate(zip(names, choice.currents, strict=True)):
            if current > 0 and np.any((choice.masks >> bit) & 1):
                code = find_code(chip, name, float(current), "weights", allow_subfloor=allow_subfloor)
                assert isinstance(code, BiasCode)  # the current came from the generator's own table
                alone = wanted[choice.masks[first] == 1 << bit]  # the weight that this current stands for, if it is one
                asked = float(alone[0]) if len(alone) == 1 else code.requested
                codes[name] = replace(code, requested=asked if given is None else float(given[bit]))
        report.append(CoreWeights(int(number), codes, wanted, level, choice.masks[first], counts, choice.relative_l2))
        misfits += _too_coarse(network, synapses, here, choice.zero, report[-1], chip)
    return masks, realised, report, misfits


def _given(given: Sequence[float], chip: Chip, misfits: list[Misfit], allow_subfloor: bool) -> np.ndarray:
    names = chip.synapse.weight.currents
    if len(given) != len(names):
        raise InputError(f"weight_currents has {len(given)} values; chip '{chip.name}' has {', '.join(names)}.")
    currents = np.zeros(len(names))
    for k, (name, value) in enumerate(zip(names, given, strict=True)):
        if value == 0:
            continue  # a current that is left unset
        code = find_code(chip, name, float(value), "weight_currents", allow_subfloor=allow_subfloor)
        if isinstance(code, Misfit):
            misfits.append(code)
        else:
            currents[k] = code.realised
    if not misfits and not currents.any():
        raise InputError("weight_currents are all zero; at least one must be a current.")
    return currents


def _too_coarse(
    network: Network, synapses: Synapses, here: np.ndarray, zero: np.ndarray, weights: CoreWeights, chip: Chip
) -> list[Misfit]:
    """Weights that would rather be zero, and a core whose weights are off by more than the chip file allows."""
    misfits, core = [], weights.core
    if zero.any():
        small = here[zero]
        value = float(synapses.weight[small].min())
        least = min(sum(c.realised for c in weights.codes.values()), float(weights.realised.min()))
        edges = ", ".join(_edge(network, int(k)) for k in np.unique(synapses.connection[small]))
        text = (
            f"{len(small)} weights on core {core}, down to {format_quantity(value, 'A')}, are nearer to zero than to "
            f"the smallest sum {format_quantity(least, 'A')}: {edges}"
        )
        misfits.append(Misfit("weight_zero", value, least / 2, edges, "prune them, or rescale the weights", text))
    if weights.relative_l2 > chip.limits.weight_error_fail:
        sums = 2 ** len(chip.synapse.weight.currents) - 1
        edges = ", ".join(_edge(network, int(k)) for k in np.unique(synapses.connection[here]))
        text = (
            f"{len(weights.wanted)} different weights on core {core} are {100 * weights.relative_l2:.1f} % off on the "
            f"{sums} sums of its currents, at most {100 * chip.limits.weight_error_fail:.0f} % are allowed: {edges}"
        )
        misfits.append(Misfit("weight_levels", len(weights.wanted), sums, edges, "quantise, or split over cores", text))
    return misfits


def _edge(network: Network, number: int) -> str:
    c = network.connections[number]
    return f"'{c.source}'→'{c.target}'"


def _reachable(chip: Chip, name: str) -> np.ndarray:
    bias = chip.bias(name)
    return np.unique(chip.sorted_currents[bias.polarity or "n"][0]) * (bias.scale or 1.0)
