"""Neurons to cores: a fast first fit, where only populations that can share every bias share a core.

What comes out is one core a neuron; everything else about the cores follows from that (`Core.all_of`). What first fit
misses, `_solve` finds or proves to be impossible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..network import Network
from ._chip import Chip
from ._requests import Requests

Code = tuple[int, int]
UNSET = (-1, -1)  # a bias that a population needs left unset on its core


@dataclass(frozen=True)
class Group:
    """Neurons that place alike: of one population, all with or all without synapses of their own on others.

    - `neurons`: logical indices, ascending; those that are pinned are not among them.
    - `sends`: whether they are a source; who is must not stand where the null address is a real one.
    - `codes`: code by bias that their core must have, `UNSET` where it must be off; `leak`: the code of the membrane's
      leak, where a core offers several.
    """

    population: str
    neurons: np.ndarray
    sends: bool
    codes: dict[str, Code]
    leak: Code | None


@dataclass
class Core:
    """What stands on one core: `codes` by bias, the `leaks` in use, and pieces of populations (name, count)."""

    number: int
    codes: dict[str, Code] = field(default_factory=dict)
    leaks: list[Code] = field(default_factory=list)
    pieces: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def all_of(core: np.ndarray, network: Network, requests: dict[str, Requests], chip: Chip) -> dict[int, Core]:
        """The cores in use by their number, from int array [neuron]."""
        cores: dict[int, Core] = {}
        offsets = network.offsets()
        for p in network.populations:
            here = core[offsets[p.name] : offsets[p.name] + p.size]
            codes, leak = needs(requests[p.name], chip)
            for number, count in zip(*np.unique(here[here >= 0], return_counts=True), strict=True):
                cores.setdefault(int(number), Core(int(number))).add(p.name, int(count), codes, leak)
        return dict(sorted(cores.items()))

    def takes(self, codes: dict[str, Code], leak: Code | None, chip: Chip) -> bool:
        """Whether these needs contradict nothing that is already set."""
        if leak is not None and leak not in self.leaks and len(self.leaks) >= leak_groups(chip):
            return False
        return all(self.codes.get(name, code) == code for name, code in codes.items())

    def add(self, population: str, count: int, codes: dict[str, Code], leak: Code | None) -> None:
        """Let `count` neurons of a population stand here."""
        self.codes |= codes
        if leak is not None and leak not in self.leaks:
            self.leaks.append(leak)
        self.pieces[population] = self.pieces.get(population, 0) + count


def leak_groups(chip: Chip) -> int:
    """Membrane leaks that one core offers."""
    return 1 if chip.neuron.second_leak is None else 2


def needs(requests: Requests, chip: Chip) -> tuple[dict[str, Code], Code | None]:
    """Code by bias that a population needs, and apart from them its leak where a core offers several."""
    codes = {name: (row.code.coarse, row.code.fine) for name, row in requests.rows.items()}
    codes |= dict.fromkeys(requests.unset, UNSET)
    if chip.neuron.second_leak is None or chip.neuron.biases.tau is None:
        return codes, None
    return codes, codes.pop(chip.neuron.biases.tau, None)


def groups(
    network: Network, requests: dict[str, Requests], chip: Chip, sends: np.ndarray, pinned: Iterable[int]
) -> list[Group]:
    """All neurons that are free to be placed; `sends`: bool array [neuron]."""
    held = np.zeros(network.size, bool)
    held[list(pinned)] = True
    result = []
    for name, start in network.offsets().items():
        members = start + np.arange(network.population(name).size)
        codes, leak = needs(requests[name], chip)
        kinds = [(members, True)] if not chip.routing.null_fires else []
        kinds = kinds or [(members[sends[members]], True), (members[~sends[members]], False)]
        for some, sending in kinds:
            free = some[~held[some]]
            if len(free):
                result.append(Group(name, free, sending, codes, leak))
    return result


def room(chip: Chip, core: int, sends: bool) -> int:
    """Places on a core (counted over the board) for neurons that do or do not send."""
    lost = sends and chip.routing.null_fires and core % chip.topology.cores_per_chip == null_core(chip)
    return chip.topology.neurons_per_core - int(lost)


def null_core(chip: Chip) -> int:
    """The core of a chip that holds the null address."""
    return (chip.routing.null_tag or 0) // chip.topology.neurons_per_core


@dataclass(frozen=True)
class Board:
    """What is there to place on.

    - `cores`: numbers over the board, in the order in which they fill up.
    - `core`: int array [neuron], where pinned neurons stand, -1 for all others; `pinned`: the cores as they leave them.
    - `apart`: pairs of populations that must not share a core.
    - `distinct`: no two neurons may have one address, where that is their place: cores of equal number on all chips
      then share the places of one. `most`: neurons on a core, where that is to be less than its places.
    """

    chip: Chip
    cores: Sequence[int]
    core: np.ndarray
    pinned: dict[int, Core]
    apart: frozenset[frozenset[str]]
    distinct: bool = False
    most: int | None = None

    def free(self, core: int, sends: bool) -> int:
        """Places that pinned neurons leave on a core for neurons that do or do not send."""
        places = room(self.chip, core, sends)
        return min(places, self.most or places) - int(np.count_nonzero(self.core == core))

    def alike(self, core: int) -> list[int]:
        """The cores, itself included, whose neurons have the same addresses as those of `core`, if that matters."""
        each = self.chip.topology.cores_per_chip
        return [k for k in self.cores if k % each == core % each] if self.distinct else [core]


def first_fit(every: Sequence[Group], board: Board) -> np.ndarray | None:
    """Place `every` group, in the order given: int array [neuron] of cores, or None when first fit finds no way.

    A group goes whole onto the first core that has room and takes its codes, or else is split over cores in turn.
    Codes that two populations ask differently are never averaged: they go to different cores.
    """
    chip, core = board.chip, board.core.copy()
    empty = {k: board.pinned.get(k, Core(k)) for k in board.cores}
    stand = {k: Core(k, dict(c.codes), list(c.leaks), dict(c.pieces)) for k, c in empty.items()}
    added = dict.fromkeys(board.cores, 0)
    for group in every:
        rest = group.neurons
        while len(rest):
            fitting = [
                (k, left)
                for k in board.cores
                if (left := _left(board, k, group.sends, added)) > 0
                and stand[k].takes(group.codes, group.leak, chip)
                and not any(frozenset((group.population, other)) in board.apart for other in stand[k].pieces)
            ]
            if not fitting:
                return None
            k, left = next(((k, left) for k, left in fitting if left >= len(rest)), fitting[0])
            here, rest = rest[:left], rest[left:]
            core[here] = k
            added[k] += len(here)
            stand[k].add(group.population, len(here), group.codes, group.leak)
    return core


def _left(board: Board, core: int, sends: bool, added: dict[int, int]) -> int:
    own = board.free(core, sends) - added[core]
    alike = board.alike(core)
    if len(alike) == 1:
        return own
    there = board.chip.topology.neurons_per_core
    taken = sum(there - board.free(k, False) + added[k] for k in alike)
    return min(own, room(board.chip, core, sends) - taken)


def without_bans(chip: Chip, cores: Sequence[int]) -> list[int]:
    """The first of these cores, as far as no route between their chips is forbidden."""
    each, rules = chip.topology.cores_per_chip, chip.topology.forbidden_hops
    chips = list(dict.fromkeys(k // each for k in cores))
    while any(a in r.sources and b in r.targets for r in rules for a in chips for b in chips):
        chips.pop()
    return [k for k in cores if k // each in chips]


def board_order(chip: Chip, chips: int) -> list[int]:
    """The cores of up to `chips` chips, in the order in which they fill up.

    Chips between which routes are forbidden come late, so that two chips of a DYNAP-SE1 board are not side by side.
    """
    left = list(range(chip.topology.chips))
    chosen: list[int] = []

    def bans(candidate: int) -> int:
        rules = chip.topology.forbidden_hops
        pairs = [(a, candidate) for a in chosen] + [(candidate, a) for a in chosen]
        return sum(a in r.sources and b in r.targets for a, b in pairs for r in rules)

    while len(chosen) < chips:
        best = min(left, key=bans)
        chosen.append(best)
        left.remove(best)
    each = chip.topology.cores_per_chip
    return [c * each + k for c in chosen for k in range(each)]
