"""A core for every neuron: pinned ones first, first fit, and the solver where that fails or could be better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError, Misfit
from ..network import Network
from ..units import format_quantity
from ._chip import Chip
from ._place import Board, Code, Core, Group, first_fit, groups, needs, room
from ._requests import Requests
from ._route import check_routes, words
from ._solve import Traffic, Verdict, arrange, items, pack
from ._synapses import Synapses

RATE = 20.0  # Hz, of populations and inputs without an expected rate
PROOF = 10.0  # deterministic seconds to look for a placement, or for the proof that there is none
_SINGLE = 6000  # neurons x cores up to which the solver mends routes, or proves, neuron by neuron
_EDGES = 150_000  # synapses x cores, likewise
_FREE = 120  # neurons up to which the search for less traffic moves them one by one
_CHUNK = 32  # neurons that move together beyond that, when routes must be mended


@dataclass(frozen=True)
class Wishes:
    """What the user wants of a placement, beside the network.

    - `cores`: numbers over the board, in the order in which they fill up.
    - `pins`: {neuron: (chip, core, neuron on it)}.
    - `host`: destination words that monitoring takes.
    - `insist`: allow directions that the description forbids.
    - `apart`: pairs of populations that must not share a core; `distinct`: no two neurons may have one address;
      `most`: neurons on a core.
    """

    cores: Sequence[int]
    pins: Mapping[int, tuple[int, int, int]]
    host: int
    insist: bool
    seed: int
    limit: float
    apart: frozenset[frozenset[str]] = frozenset()
    distinct: bool = False
    most: int | None = None


def allocate(
    network: Network, requests: dict[str, Requests], synapses: Synapses, chip: Chip, wishes: Wishes
) -> tuple[np.ndarray | None, list[Misfit]]:
    """The core of every neuron, counted over the board: int array [neuron], or None with the reasons.

    The objective is the number of cores in use, then the traffic between cores from the expected rates.
    """
    each = chip.topology.cores_per_chip
    core = np.full(network.size, -1)
    for neuron, (where, on, _) in wishes.pins.items():
        core[neuron] = where * each + on
    pinned, conflicts = _pinned(core, network, requests, chip)
    if conflicts:
        return None, conflicts
    sends = np.zeros(network.size, bool)
    sends[synapses.source[synapses.source < network.size]] = True
    every = groups(network, requests, chip, sends, wishes.pins)
    cores = [*wishes.cores, *sorted(set(pinned) - set(wishes.cores))]  # pinned neurons may stand beyond the others
    board = Board(chip, cores, core, pinned, wishes.apart, wishes.distinct, wishes.most)

    verdict: Verdict = "found"
    placed = _fits(every, board)
    if placed is None:
        verdict, placed = pack(every, board, seed=wishes.seed, limit=max(PROOF, wishes.limit))
    if placed is None:
        return None, _why_not(network, requests, board, int(sends.sum()), verdict)
    traffic = _traffic(network, synapses, chip, wishes)
    wrong = _wrong(placed, network, synapses, chip, wishes)
    used, crossing = cost(placed, synapses, traffic)
    best = used * chip.topology.neurons_per_core < network.size + chip.topology.neurons_per_core and crossing == 0
    if every and (wrong or (wishes.limit > 0 and used > 1 and not best)):
        single = network.size * len(cores) <= _SINGLE and len(synapses.source) * len(cores) <= _EDGES
        single = single if wrong else network.size <= _FREE
        parts = items(every, placed, single, _CHUNK if wrong else network.size)
        limit = max(PROOF, wishes.limit) if wrong else wishes.limit
        if not wrong:  # the cores in use are the first ones; others would only spread the network over more chips
            board = replace(board, cores=[k for k in cores if k in set(placed.tolist())])
        verdict, better = arrange(parts, board, traffic, placed, seed=wishes.seed, limit=limit)
        if better is not None and not _wrong(better, network, synapses, chip, wishes):
            if wrong or cost(better, synapses, traffic) < cost(placed, synapses, traffic):
                placed = better
            wrong = []
        elif wrong:
            proved = verdict == "impossible" and single
            wrong = [_with(m, _PROVED if proved else _NOT_PROVED) for m in wrong]
    return placed, wrong


def cost(core: np.ndarray, synapses: Synapses, traffic: Traffic) -> tuple[int, float]:
    """Cores in use, and the spikes per second that leave their core (one for every core that they are sent to)."""
    neurons = len(core)
    hit = np.unique(np.stack([synapses.source, core[synapses.target]], axis=1), axis=0)
    home = np.where(hit[:, 0] < neurons, core[np.minimum(hit[:, 0], neurons - 1)], -1)
    return len(np.unique(core)), float(traffic.rate[hit[home != hit[:, 1], 0]].sum())


_PROVED = "proved: no placement does without it"
_NOT_PROVED = "not proved: no placement without it was found in the time given"


def not_proved(misfit: Misfit) -> Misfit:
    """The misfit with the remark that another placement might do without it."""
    return _with(misfit, _NOT_PROVED)


def _with(misfit: Misfit, remark: str) -> Misfit:
    return Misfit(
        misfit.resource, misfit.needed, misfit.available, misfit.who, misfit.hint, f"{misfit.message} ({remark})"
    )


def _pinned(
    core: np.ndarray, network: Network, requests: dict[str, Requests], chip: Chip
) -> tuple[dict[int, Core], list[Misfit]]:
    """The cores as pinned neurons leave them, and the biases that these ask differently of one core."""
    offsets = network.offsets()
    cores: dict[int, Core] = {}
    misfits = []
    for p in network.populations:
        here = core[offsets[p.name] : offsets[p.name] + p.size]
        codes, leak = needs(requests[p.name], chip)
        for number, count in zip(*np.unique(here[here >= 0], return_counts=True), strict=True):
            c = cores.setdefault(int(number), Core(int(number)))
            if not c.takes(codes, leak, chip):
                others = ", ".join(f"'{n}'" for n in c.pieces)
                against = [n for n, code in codes.items() if c.codes.get(n, code) != code] or ["the membrane's leaks"]
                text = f"'{p.name}' is pinned to core {number} beside {others}, but asks other values of "
                text += ", ".join(against)
                misfits.append(Misfit("core_bias_conflict", 2, 1, f"'{p.name}', {others}", "pin it elsewhere", text))
            c.add(p.name, int(count), codes, leak)
    return cores, misfits


def _fits(every: Sequence[Group], board: Board) -> np.ndarray | None:
    """First fit in the order given; else largest first; else those that share the fewest biases first."""
    for order in (every, sorted(every, key=lambda g: -len(g.neurons))):
        placed = first_fit(order, board)
        if placed is not None:
            return placed
    return None


def _traffic(network: Network, synapses: Synapses, chip: Chip, wishes: Wishes) -> Traffic:
    rates = [np.full(p.size, RATE if p.rate is None else p.rate) for p in network.populations]
    rates += [np.full(i.size, RATE) for i in network.inputs]
    taken = {*chip.routing.reserved_tags, *(() if chip.routing.null_tag is None else (chip.routing.null_tag,))}
    return Traffic(
        synapses.source, synapses.target, np.concatenate(rates), chip.routing.destinations - wishes.host,
        chip.tag_count - len(taken), not wishes.insist,
    )  # fmt: skip


def _wrong(core: np.ndarray, network: Network, synapses: Synapses, chip: Chip, wishes: Wishes) -> list[Misfit]:
    """What routes from this placement would break."""
    reach = reached(core, network, synapses, chip)[: network.size]
    home = core // chip.topology.cores_per_chip
    route = words(reach, chip.topology.cores_per_chip)
    impossible, forbidden = check_routes(route, home, wishes.host, chip, lambda n: name_of(network, n))
    return impossible + ([] if wishes.insist else forbidden)


def reached(core: np.ndarray, network: Network, synapses: Synapses, chip: Chip) -> np.ndarray:
    """The cores that every source reaches: bool array [source, core]."""
    reach = np.zeros((network.size + sum(i.size for i in network.inputs), chip.core_count), bool)
    reach[synapses.source, core[synapses.target]] = True
    return reach


def name_of(network: Network, source: int) -> str:
    """The name of a source (neurons first, then input channels) in messages."""
    if source >= network.size:
        for name, start in reversed(network.input_offsets().items()):
            if source - network.size >= start:
                return f"channel {source - network.size - start} of '{name}'"
    for name, start in reversed(network.offsets().items()):
        if source >= start:
            return f"neuron {source - start} of '{name}'"
    raise IndexError(source)


def _why_not(
    network: Network, requests: dict[str, Requests], board: Board, sending: int, verdict: Verdict
) -> list[Misfit]:
    """Why a placement failed: too many neurons (`sending`: those that send), or biases that cannot be shared."""
    chip, cores = board.chip, len(board.cores)
    each = chip.topology.neurons_per_core
    for sends, size, what in ((False, network.size, "neurons"), (True, sending, "neurons that send spikes")):
        there = sum(room(chip, k, sends) for k in board.cores)
        if size > there:
            return [_too_many(network, chip, cores, size, there, what)]
    misfits = []
    asked = {p.name: needs(requests[p.name], chip) for p in network.populations}
    for name in sorted({name for codes, _ in asked.values() for name in codes}):
        by_code: dict[Code, list[str]] = {}
        for population, (codes, _) in asked.items():
            if name in codes:
                by_code.setdefault(codes[name], []).append(population)
        if len(by_code) > cores:
            listed = "; ".join(_asks(requests, name, members) for members in by_code.values())
            text = f"{name} is shared by a core and {cores} may be used, but {len(by_code)} values are asked: {listed}"
            members = ", ".join(f"'{m}'" for group in by_code.values() for m in group)
            hint = "ask equal values, or allow more cores"
            misfits.append(Misfit("core_bias_conflict", len(by_code), cores, members, hint, text))
    if not misfits:  # no single bias is to blame, but together they are
        who = _largest(network)
        groups = len({(tuple(sorted(codes.items())), leak) for codes, leak in asked.values()})
        text = f"populations that can share biases do not fill {cores} cores of {each} without mixing: {who}"
        remark = _PROVED if verdict == "impossible" else _NOT_PROVED
        hint = "make more parameters equal, or allow more cores"
        misfits.append(Misfit("core_bias_conflict", groups, cores, who, hint, f"{text} ({remark})"))
    return misfits


def _too_many(network: Network, chip: Chip, cores: int, size: int, there: int, what: str) -> Misfit:
    who, each = _largest(network), chip.topology.neurons_per_core
    if cores == 1:
        text = f"{size} {what} on one core, which has {there} places for them: {who}"
        return Misfit("neurons_per_core", size, there, who, "split over cores, or shrink", text)
    need = max(-(-size // each), cores + 1)
    text = f"{size} {what} need {need} cores of {each}, {cores} may be used: {who}"
    return Misfit("cores", need, cores, who, "allow more chips, or shrink the network", text)


def _largest(network: Network) -> str:
    largest = sorted(network.populations, key=lambda p: -p.size)
    return ", ".join(f"'{p.name}' {p.size}" for p in largest[:6]) + (", …" if len(largest) > 6 else "")


def _asks(requests: dict[str, Requests], bias: str, members: list[str]) -> str:
    names = ", ".join(f"'{m}'" for m in members[:4]) + (", …" if len(members) > 4 else "")
    row = requests[members[0]].rows.get(bias)
    return f"{names} off" if row is None else f"{names} {row.quantity} {format_quantity(row.asked, row.unit).strip()}"


def pinned_neurons(
    network: Network, pins: Mapping[str, Sequence[Sequence[int]]], chip: Chip
) -> dict[int, tuple[int, int, int]]:
    """{neuron: (chip, core, neuron on it)} from one place per neuron of some populations.

    **Raises** `InputError` for a population that is not there, a wrong number of places, a place that is not on the
    board, and one that is given twice.
    """
    result: dict[int, tuple[int, int, int]] = {}
    top, problems = chip.topology, []
    limits = (top.chips, top.cores_per_chip, top.neurons_per_core)
    sizes = {p.name: p.size for p in network.populations}
    for name, places in pins.items():
        if name not in sizes:
            problems.append(f"Population '{name}' is pinned, but there is none; known: {', '.join(sizes)}.")
            continue
        if len(places) != sizes[name]:
            problems.append(f"Population '{name}' of {sizes[name]} has {len(places)} places; give one a neuron.")
        for k, place in enumerate(places):
            spot = tuple(int(x) for x in place)
            if len(spot) != 3 or any(not 0 <= x < most for x, most in zip(spot, limits, strict=True)):
                shape = f"{limits[0]} chips of {limits[1]} cores of {limits[2]} neurons"
                problems.append(f"Neuron {k} of '{name}' is pinned to {list(spot)}; '{chip.name}' has {shape}.")
            elif spot in result.values():
                problems.append(f"Neuron {k} of '{name}' is pinned to {list(spot)}, which is taken.")
            elif k < sizes[name]:
                result[network.offsets()[name] + k] = (spot[0], spot[1], spot[2])
    if problems:
        raise InputError("\n".join(problems))
    return result
