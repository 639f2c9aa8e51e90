"""The weight currents of every core that a network uses, and the mask of every synapse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError, Misfit
from ..network import SYNAPSE_TYPES, Network
from ..units import format_quantity
from ._biases import BiasCode, find_code
from ._chip import Chip
from ._requests import Requests
from ._synapses import Synapses
from ._weights import choose_weights


@dataclass(frozen=True)
class CoreWeights:
    """The weights of one core (`core` counts over the board).

    - `codes`: {bias name: code}, of the currents that are used.
    - `wanted`, `realised` (A), `masks`, `counts`: arrays over the different weights on the core; where words are
      repeated, `masks` holds how many words each weight takes.
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


@dataclass(frozen=True)
class Weighed:
    """All weights of a network: `masks` and `realised` (A), arrays [synapse]; the cores' reports; misfits.

    `troubled`: the cores that misfits are about.
    """

    masks: np.ndarray
    realised: np.ndarray
    cores: list[CoreWeights]
    misfits: list[Misfit]
    troubled: frozenset[int] = frozenset()


def weigh(
    network: Network,
    synapses: Synapses,
    core: np.ndarray,
    chip: Chip,
    given: Sequence[float] | None,
    *,
    seed: int,
    allow_subfloor: bool,
) -> Weighed:
    """Masks over the weight currents of every core, with `core` the core of every target: int array [synapse].

    `given`: the weight currents (A) to use on every core; they are put on codes first.
    """
    names = chip.synapse.weight.currents
    misfits: list[Misfit] = []
    fixed = None if given is None else _given(given, chip, misfits, allow_subfloor)
    masks, realised = np.zeros(len(core), np.int64), np.zeros(len(core))
    report, troubled = [], set()
    if misfits:
        return Weighed(masks, realised, report, misfits)
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
        found = _too_coarse(network, synapses, here, choice.zero, report[-1], chip)
        misfits += found
        troubled |= {int(number)} if found else set()
    return Weighed(masks, realised, report, misfits, frozenset(troubled))


def weigh_repeats(
    network: Network,
    wanted: np.ndarray,
    count: np.ndarray,
    synapses: Synapses,
    core: np.ndarray,
    requests: dict[str, Requests],
    chip: Chip,
) -> Weighed:
    """The same where equal words are repeated: every word is one pulse of the current of its type.

    **Arguments**: `wanted` (A) and `count` (words): arrays over the synapses that were asked; `synapses`, `core`: of
    every word.
    """
    names = np.array([p.name for p in network.populations], dtype=object)
    owner = np.repeat(names, [p.size for p in network.populations])[synapses.target]
    biases = np.array([chip.synapse.weight.per_type.get(k, "") for k in SYNAPSE_TYPES], dtype=object)[synapses.kind]
    realised = np.ones(len(core))
    codes: dict[tuple[str, str], BiasCode] = {}
    for population, bias in {*zip(owner.tolist(), biases.tolist(), strict=True)}:
        row = requests[population].rows.get(bias)
        if row is not None:  # else it has its misfit
            codes[population, bias] = row.code
            realised[(owner == population) & (biases == bias)] = row.code.realised
    asked = np.repeat(np.arange(len(count)), count)
    got = np.bincount(asked, weights=realised, minlength=len(count))
    report = []
    for number in np.unique(core):
        here = np.unique(asked[core == number])
        both, counts = np.unique(np.stack([wanted[here], got[here], count[here]]), axis=1, return_counts=True)
        error = np.sqrt(np.sum((got[here] - wanted[here]) ** 2) / np.sum(wanted[here] ** 2))
        pairs = {*zip(owner[core == number].tolist(), biases[core == number].tolist(), strict=True)}
        used = {bias: codes[population, bias] for population, bias in sorted(pairs) if (population, bias) in codes}
        masks = both[2].astype(np.int64)
        report.append(CoreWeights(int(number), used, both[0], both[1], masks, counts, float(error)))
    return Weighed(np.ones(len(core), np.int64), realised, report, [])


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
