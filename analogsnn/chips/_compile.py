"""A network onto a chip: check every limit, place, route, weigh, encode, and decode again before returning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Table
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from ..errors import AnalogSNNError, DoesNotFitError, InputError, Misfit
from ..network import Connection, Network
from ._address import assign_tags, check_addresses, check_legal, local_ids, usable_tags
from ._allocate import Wishes, allocate, name_of, not_proved, pinned_neurons, reached
from ._chip import Chip
from ._core_weights import Weighed, check_range, weigh, weigh_repeats
from ._decode import decode
from ._differences import differences
from ._emit import Layout, emit, neuron_table
from ._load import load_chip
from ._mapping import Mapping, Place
from ._place import Core, board_order, without_bans
from ._repeats import repeat
from ._report_rows import bias_rows, flag_warnings, occupancy, physics_warnings, weight_warnings
from ._requests import Policy, Requests, all_misfits, all_warnings, ask, realised
from ._route import check_routes, words
from ._synapses import Synapses, check_words, fan_in, received_types

_SAME = 1e-9  # relative: encoder and decoder compute the same number in another order of float64 operations
TIME_LIMIT = 1.0  # deterministic seconds of the solver


def compile(
    network: Network,
    chip: str | Path | Chip = "dynapse2",
    *,
    profile: str = "A",
    monitor: bool = True,
    seed: int = 0,
    allow_subfloor: bool = False,
    nearest: bool = False,
    weight_currents: Sequence[float] | None = None,
    cores: int | None = None,
    chips: int = 1,
    pins: Table[str, Sequence[Sequence[int]]] | None = None,
    tags: Table[str, Sequence[int]] | None = None,
    allow_forbidden: bool = False,
    time_limit: float = TIME_LIMIT,
) -> Mapping:
    """Map `network` onto a chip, or say everything that does not fit.

    **Arguments**

    - `chip`: a built-in name, the path of a description, or a loaded `Chip`.
    - `profile`: the physics that turns times into currents; the network's own physics is compared with it and
      differences are warnings. The law of positive feedback is the network's own.
    - `monitor`: send all spikes to the host, at the cost of a destination word per neuron.
    - `allow_subfloor`: accept currents below the chip's floor, with a warning.
    - `nearest`: take the nearest reachable value of what cannot be reached, with a warning, instead of refusing it.
    - `weight_currents`: the core's weight currents (A; 0: leave unset), when they are already chosen.
    - `cores`: use only that many cores (of `chips` chips of the board).
    - `pins`: {population: [(chip, core, neuron on it), one a neuron]}, where they must stand.
    - `tags`: {population or input: [tag, one a member]}, what they must send.
    - `allow_forbidden`: route in directions that the description forbids, with a warning.
    - `time_limit`: deterministic seconds (about seconds) for the solver to save cores and traffic; 0: first fit only.
      Where first fit finds no placement the solver looks for one, or for a proof that there is none, in any case.

    **Returns** a `Mapping`, whose `network` has been decoded from the emitted configuration and compared with what
    was asked: connection for connection, and every quantity with what the report says.

    **Raises** `DoesNotFitError` with every misfit that was found; `InputError` for arguments that make no sense.
    """
    chip = chip if isinstance(chip, Chip) else load_chip(chip)
    if not network.populations:
        raise InputError("The network has no populations; there is nothing to place.")
    physics, policy = chip.model_physics(profile), Policy(allow_subfloor, nearest)
    places = pinned_neurons(network, pins or {}, chip)
    host = chip.routing.monitor.words if monitor and chip.routing.monitor is not None else 0
    wanted_tags = _tags(network, tags or {}, chip)
    asked, received = Synapses.of(network), received_types(network)
    requests = {p.name: ask(p, received[p.name], chip, physics, policy) for p in network.populations}
    misfits = all_misfits(requests.values()) + check_words(network, chip)
    count = np.ones(len(asked.weight), np.int64)
    known = not any(m.resource in ("synapse_type", "delay_class", "stp") for m in misfits)
    repeats = chip.synapse.weight.scheme == "repeat"
    if repeats and weight_currents is not None:
        raise InputError(f"weight_currents are for chips whose weights are masks; '{chip.name}' repeats words.")
    if repeats and known:
        count, more = repeat(network, asked, requests, chip, policy)
        misfits += more
    elif not repeats:
        misfits += check_range(network, chip, allow_subfloor=allow_subfloor)
    synapses = asked.repeated(count)

    def weigh_on(core: np.ndarray) -> Weighed:
        if repeats:
            return weigh_repeats(network, asked.weight, count, synapses, core[synapses.target], requests, chip)
        at = core[synapses.target]
        return weigh(network, synapses, at, chip, weight_currents, seed=seed, allow_subfloor=allow_subfloor)

    wishes = Wishes(_cores(chip, chips, cores), places, host, allow_forbidden, seed, time_limit)
    core, unplaced = allocate(network, requests, synapses, chip, wishes)
    if core is None or not known or any(m.resource == "weight_range" for m in misfits):
        raise DoesNotFitError(misfits + fan_in(network, synapses, chip) + unplaced)
    weighed = weigh_on(core)
    if weighed.troubled:  # weights that blur each other on one core may be clear on two
        wishes = replace(wishes, apart=_apart(Core.all_of(core, network, requests, chip), weighed.troubled))
        other, wrong = allocate(network, requests, synapses, chip, wishes)
        if other is not None and not wrong and not (again := weigh_on(other)).misfits:
            core, unplaced, weighed = other, wrong, again
    misfits += unplaced + weighed.misfits

    def lay_out(core: np.ndarray, weighed: Weighed) -> tuple[Layout, np.ndarray, list[Misfit], list[str]]:
        return _lay_out(network, requests, synapses, weighed, core, places, wanted_tags, chip, host)

    layout, keep, addressed, notes = lay_out(core, weighed)
    if any(m.resource.startswith("alias") for m in addressed) and not misfits:
        # Addresses all different, if they suffice; else few neurons a core, so that few cores hear the same ones.
        wide = without_bans(chip, wishes.cores)
        spread = replace(wishes, cores=wide, most=-(-network.size // len(wide)))
        for others in (replace(wishes, distinct=True), spread):
            other, wrong = allocate(network, requests, synapses, chip, others)
            if other is not None and not wrong and not (again := weigh_on(other)).misfits:
                tried = lay_out(other, again)
                if not tried[2]:
                    core, weighed, (layout, keep, addressed, notes) = other, again, tried
                    break
        if addressed and not places and not wanted_tags:
            addressed = [not_proved(m) for m in addressed]
    misfits += addressed + fan_in(network, synapses.only(keep), chip)
    if misfits:
        raise DoesNotFitError(misfits)
    own = layout.route[layout.route[:, 0] < network.size]
    _, forbidden = check_routes(own, layout.table[:, 2], host, chip, lambda n: name_of(network, n))
    notes += [f"{m.message}; this was insisted on." for m in forbidden]
    configuration = emit(
        network, chip, profile, layout, synapses.only(keep), weighed.masks[keep], weighed.cores, requests
    )
    decoded = decode(configuration, chip, feedback=network.physics.feedback)
    _compare(_expected(network, requests, received, count, weighed.realised), decoded)
    names = [p.name for p in network.populations]
    return Mapping(
        chip=chip,
        configuration=configuration,
        network=decoded,
        neurons=tuple(Place(names[p], *rest) for p, *rest in layout.table.tolist()),
        biases=tuple(bias_rows(layout.cores, requests, weighed.cores, chip)),
        weights=tuple(weighed.cores),
        occupancy=occupancy(network, layout, synapses.target[keep], chip, len(usable_tags(chip))),
        warnings=tuple(
            all_warnings(requests.values())
            + physics_warnings(network.physics, decoded.physics)
            + weight_warnings(weighed.cores, chip)
            + flag_warnings(network)
            + notes
        ),
    )


def _cores(chip: Chip, chips: int, cores: int | None) -> list[int]:
    if not 1 <= chips <= chip.topology.chips:
        raise InputError(f"chips = {chips}, but the board of '{chip.name}' has {chip.topology.chips}; ask 1 or more.")
    most = chips * chip.topology.cores_per_chip
    if cores is not None and not 1 <= cores <= most:
        raise InputError(f"cores = {cores}, but {chips} chips of '{chip.name}' have {most}; ask 1 or more.")
    return board_order(chip, chips)[:cores]


def _tags(network: Network, tags: Table[str, Sequence[int]], chip: Chip) -> dict[int, int]:
    """{source: tag} from one tag per member of some populations and inputs."""
    starts = network.offsets() | {name: network.size + start for name, start in network.input_offsets().items()}
    sizes = {t.name: t.size for t in (*network.populations, *network.inputs)}
    result, problems = {}, []
    for name, given in tags.items():
        if name not in sizes:
            problems.append(f"Tags are given for '{name}', which is not there; known: {', '.join(sizes)}.")
        elif chip.routing.scheme == "source_id" and starts[name] < network.size:
            problems.append(
                f"Tags are given for '{name}', but on '{chip.name}' a neuron's place is its address: pin it."
            )
        elif len(given) != sizes[name]:
            problems.append(f"'{name}' of {sizes[name]} has {len(given)} tags; give one a member.")
        elif bad := [t for t in given if not 0 <= int(t) < chip.tag_count]:
            problems.append(f"'{name}' has tag {bad[0]}, outside 0 to {chip.tag_count - 1} on '{chip.name}'.")
        else:
            result |= {starts[name] + k: int(t) for k, t in enumerate(given)}
    if problems:
        raise InputError("\n".join(problems))
    return result


def _apart(cores: dict[int, Core], troubled: Iterable[int]) -> frozenset[frozenset[str]]:
    return frozenset(frozenset(pair) for k in troubled for pair in combinations(cores[k].pieces, 2))


def _lay_out(
    network: Network,
    requests: dict[str, Requests],
    synapses: Synapses,
    weighed: Weighed,
    core: np.ndarray,
    places: dict[int, tuple[int, int, int]],
    wanted_tags: dict[int, int],
    chip: Chip,
    host: int,
) -> tuple[Layout, np.ndarray, list[Misfit], list[str]]:
    """Places on cores, addresses and routes; which synapses get a word of their own; misfits and warnings."""
    reach = reached(core, network, synapses, chip)
    pinned = np.full(network.size, -1)
    for neuron, place in places.items():
        pinned[neuron] = place[2]
    spot = local_ids(core, reach[: network.size], pinned, chip)
    own = core % chip.topology.cores_per_chip * chip.topology.neurons_per_core + spot
    tags, misfits = assign_tags(reach, own, wanted_tags, chip)

    def name(source: int) -> str:
        return name_of(network, source)

    keep, notes = np.ones(len(synapses.source), bool), []
    if not misfits:
        misfits = check_legal(tags, chip, name)
        s = synapses
        said = np.stack([s.source, s.target, s.kind, weighed.masks, s.delay, s.stp], axis=1)
        keep, clashes, notes = check_addresses(tags, reach, said, core[s.target], chip, name)
        misfits += clashes
    route = words(reach, chip.topology.cores_per_chip)
    cores = Core.all_of(core, network, requests, chip)
    return Layout(cores, neuron_table(network, core, spot, chip), tags, route, host), keep, misfits, notes


def _expected(
    network: Network,
    requests: dict[str, Requests],
    received: dict[str, set[str]],
    count: np.ndarray,
    weights: np.ndarray,
) -> Network:
    """What was asked, with every quantity as its code gives it: what the decoder must find."""
    connections: list[Connection] = []
    first, start = 0, 0
    for c in network.connections:
        some = count[first : first + len(c.pairs)]
        pairs = np.repeat(c.pairs, some, axis=0)
        connections.append(replace(c, pairs=pairs, weight=weights[start : start + len(pairs)]))
        first, start = first + len(c.pairs), start + len(pairs)
    populations = tuple(realised(p, requests[p.name], received[p.name]) for p in network.populations)
    return replace(network, populations=populations, connections=tuple(c for c in connections if len(c.pairs)))


def _compare(expected: Network, decoded: Network) -> None:
    wrong = differences(expected, decoded, tolerance=_SAME)
    if wrong:
        raise AnalogSNNError(
            "The compiled configuration does not decode to the network that was asked; this is an error in analogsnn, "
            "please report it:\n" + "\n".join(wrong)
        )
