"""A network onto a chip: check every limit, place, route, weigh, encode, and decode again before returning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import AnalogSNNError, DoesNotFitError, InputError
from ..models import Physics
from ..network import DELAYS, SYNAPSE_TYPES, Connection, Network
from ._biases import BiasCode
from ._chip import Chip
from ._configuration import Codes, Configuration
from ._core_weights import CoreWeights, check_range, weigh
from ._decode import decode
from ._differences import differences
from ._load import load_chip
from ._place import Core, place
from ._requests import Requests, ask, realised
from ._route import assign_tags, check_routes, words
from ._synapses import Synapses, check_words, received_types

_SAME = 1e-9  # relative: encoder and decoder compute the same number in another order of float64 operations


@dataclass(frozen=True)
class Place:
    """One neuron, logical and physical."""

    population: str
    index: int
    chip: int
    core: int
    neuron: int


@dataclass(frozen=True)
class BiasRow:
    """One bias of one core in the report.

    `requested`, `realised` (A), `coarse`, `fine`, `relative_error` of the current; `quantity` with `asked` and `got`
    in `unit` is what it stands for; `populations` are those that asked for it.
    """

    name: str
    chip: int
    core: int
    requested: float
    realised: float
    coarse: int
    fine: int
    relative_error: float
    quantity: str
    unit: str
    asked: float
    got: float
    populations: tuple[str, ...]


@dataclass(frozen=True)
class Occupancy:
    """How much of the chip is used, beside what there is.

    - `neurons`: {(chip, core): neurons}, of `neurons_per_core`.
    - `synapse_words`, `route_words`: int arrays [neuron] in logical order, of `words_per_neuron` and `destinations`
      (with the word for the host).
    - `tags`: different tags, of `tags_usable`.
    """

    neurons: dict[tuple[int, int], int]
    neurons_per_core: int
    synapse_words: np.ndarray
    words_per_neuron: int
    route_words: np.ndarray
    destinations: int
    tags: int
    tags_usable: int


@dataclass(frozen=True)
class Mapping:
    """A network on a chip.

    - `chip`: the description; `configuration`: what the board is told.
    - `network`: decoded back from the configuration: what the chip will compute.
    - `neurons`: logical ↔ physical, one `Place` per neuron in logical order.
    - `biases`: the report, one `BiasRow` per bias and core; `weights`: one `CoreWeights` per core with synapses.
    - `occupancy`, `warnings`.
    """

    chip: Chip
    configuration: Configuration
    network: Network
    neurons: tuple[Place, ...]
    biases: tuple[BiasRow, ...]
    weights: tuple[CoreWeights, ...]
    occupancy: Occupancy
    warnings: tuple[str, ...]

    def physical(self, population: str, index: int) -> tuple[int, int, int]:
        """(chip, core, neuron) of a logical neuron."""
        if (population, index) not in self._physical:
            raise InputError(f"There is no neuron {index} of '{population}'.")
        return self._physical[population, index]

    def logical(self, chip: int, core: int, neuron: int) -> tuple[str, int] | None:
        """(population, index) of a physical neuron, None for one that is not used."""
        return self._logical.get((chip, core, neuron))

    @cached_property
    def _physical(self) -> dict[tuple[str, int], tuple[int, int, int]]:
        return {(p.population, p.index): (p.chip, p.core, p.neuron) for p in self.neurons}

    @cached_property
    def _logical(self) -> dict[tuple[int, int, int], tuple[str, int]]:
        return {there: here for here, there in self._physical.items()}


def compile(
    network: Network,
    chip: str | Path | Chip = "dynapse2",
    *,
    profile: str = "A",
    monitor: bool = True,
    seed: int = 0,
    allow_subfloor: bool = False,
    weight_currents: Sequence[float] | None = None,
    cores: int | None = None,
    chips: int = 1,
) -> Mapping:
    """Map `network` onto a chip, or say everything that does not fit.

    **Arguments**

    - `chip`: a built-in name, the path of a description, or a loaded `Chip`.
    - `profile`: the physics that turns times into currents; the network's own physics is compared with it and
      differences are warnings. The law of positive feedback is the network's own.
    - `monitor`: send all spikes to the host, at the cost of a destination word per neuron.
    - `allow_subfloor`: accept currents below the chip's floor, with a warning.
    - `weight_currents`: the core's weight currents (A; 0: leave unset), when they are already chosen.
    - `cores`: use only that many cores (of `chips` chips of the board).

    **Returns** a `Mapping`, whose `network` has been decoded from the emitted configuration and compared with what
    was asked: connection for connection, and every quantity with what the report says.

    **Raises** `DoesNotFitError` with every misfit that was found; `InputError` for arguments that make no sense.
    """
    chip = chip if isinstance(chip, Chip) else load_chip(chip)
    if not network.populations:
        raise InputError("The network has no populations; there is nothing to place.")
    physics = chip.model_physics(profile)
    board = _cores(chip, chips, cores)
    synapses = Synapses.of(network)
    received = received_types(network)
    requests = {
        p.name: ask(p, received[p.name], chip, physics, allow_subfloor=allow_subfloor) for p in network.populations
    }
    misfits = [m for r in requests.values() for m in r.misfits]
    misfits += check_words(network, synapses, chip)
    misfits += check_range(network, chip, allow_subfloor=allow_subfloor)
    spot, taken, unplaced = place(network, requests, chip, board)
    misfits += unplaced
    if unplaced or any(m.resource in ("synapse_type", "weight_range", "delay_class") for m in misfits):
        raise DoesNotFitError(misfits)

    masks, weights, core_weights, coarse = weigh(
        network, synapses, spot[synapses.target, 0], chip, weight_currents, seed=seed, allow_subfloor=allow_subfloor
    )
    misfits += coarse
    reach = np.zeros((network.size + sum(i.size for i in network.inputs), chip.core_count), bool)
    reach[synapses.source, spot[synapses.target, 0]] = True
    tags, no_tags = assign_tags(reach, chip)
    misfits += [no_tags] if no_tags else []
    host = chip.routing.monitor.words if monitor and chip.routing.monitor is not None else 0
    route = words(reach, chip.topology.cores_per_chip)
    own = route[route[:, 0] < network.size]
    home = spot[:, 0] // chip.topology.cores_per_chip
    misfits += check_routes(own, home, host, chip, lambda n: _name(network, n))
    if misfits:
        raise DoesNotFitError(misfits)

    table = _neurons(network, spot, chip)
    configuration = Configuration(
        chip=(chip.name, chip.meta.revision, chip.digest),
        profile=profile,
        populations=tuple((p.name, p.size, p.rate) for p in network.populations),
        inputs=tuple((i.name, i.size) for i in network.inputs),
        neurons=table,
        biases=_codes(taken, core_weights, chip),
        synapses=_synapse_words(synapses, table, tags, masks, chip),
        routes=_routes(own, table, tags, chip, host),
        input_routes=_input_routes(route[route[:, 0] >= network.size], network, tags),
        latches=_latches(network, requests, table, chip),
    )
    decoded = decode(configuration, chip, feedback=network.physics.feedback)
    expected = _expected(network, requests, received, weights)
    wrong = differences(expected, decoded, tolerance=_SAME)
    if wrong:
        raise AnalogSNNError(
            "The compiled configuration does not decode to the network that was asked; this is an error in analogsnn, "
            "please report it:\n" + "\n".join(wrong)
        )
    rows = [m for r in requests.values() for m in r.warnings] + _physics_warnings(network.physics, decoded.physics)
    rows += _weight_warnings(core_weights, chip) + _delay_warnings(network)
    names = [p.name for p in network.populations]
    return Mapping(
        chip=chip,
        configuration=configuration,
        network=decoded,
        neurons=tuple(Place(names[p], *rest) for p, *rest in table.tolist()),
        biases=tuple(_report(taken, requests, core_weights, chip)),
        weights=tuple(core_weights),
        occupancy=_occupancy(chip, taken, synapses, own, host, tags, network.size),
        warnings=tuple(rows),
    )


def _cores(chip: Chip, chips: int, cores: int | None) -> int:
    if not 1 <= chips <= chip.topology.chips:
        raise InputError(f"chips = {chips}, but the board of '{chip.name}' has {chip.topology.chips}; ask 1 or more.")
    most = chips * chip.topology.cores_per_chip
    if cores is not None and not 1 <= cores <= most:
        raise InputError(f"cores = {cores}, but {chips} chips of '{chip.name}' have {most}; ask 1 or more.")
    return most if cores is None else cores


def _name(network: Network, neuron: int) -> str:
    for name, start in reversed(network.offsets().items()):
        if neuron >= start:
            return f"neuron {neuron - start} of '{name}'"
    raise IndexError(neuron)


def _neurons(network: Network, spot: np.ndarray, chip: Chip) -> np.ndarray:
    sizes = [p.size for p in network.populations]
    where, core = np.divmod(spot[:, 0], chip.topology.cores_per_chip)
    index = np.concatenate([np.arange(s) for s in sizes])
    return np.stack([np.repeat(np.arange(len(sizes)), sizes), index, where, core, spot[:, 1]], axis=1)


def _codes(taken: list[Core], weights: list[CoreWeights], chip: Chip) -> Codes:
    codes: Codes = {}
    for number, core in enumerate(taken):
        if core.pieces:
            codes[divmod(number, chip.topology.cores_per_chip)] = {n: c for n, c in core.codes.items() if min(c) >= 0}
    for w in weights:
        codes[divmod(w.core, chip.topology.cores_per_chip)] |= {n: (c.coarse, c.fine) for n, c in w.codes.items()}
    return codes


def _synapse_words(s: Synapses, table: np.ndarray, tags: np.ndarray, masks: np.ndarray, chip: Chip) -> np.ndarray:
    codes = np.array([chip.synapse.types[k].code if k in chip.synapse.types else -1 for k in SYNAPSE_TYPES])
    offered = ["none", *(d.name for d in chip.synapse.delays)]
    delays = np.array([offered.index(d) if d in offered else -1 for d in DELAYS])
    word = np.stack([tags[s.source], codes[s.kind], masks, delays[s.delay]], axis=1)
    rows = np.concatenate([table[s.target, 2:5], word], axis=1)
    return rows[np.lexsort((*word.T[::-1], s.target))]


def _routes(route: np.ndarray, table: np.ndarray, tags: np.ndarray, chip: Chip, host: int) -> np.ndarray:
    place = np.array(chip.topology.chip_positions)
    at = table[route[:, 0], 2:5]
    hop = place[route[:, 1]] - place[at[:, 0]]
    rows = np.concatenate([at, hop, route[:, 2:3], tags[route[:, 0]][:, None]], axis=1)
    monitor = chip.routing.monitor
    if not host or monitor is None:
        return rows
    mask = sum(1 << k for k, bit in enumerate(monitor.mask) if bit)
    count = len(table)
    address = table[:, 4] + (table[:, 3] * chip.topology.neurons_per_core if monitor.address == "core_neuron" else 0)
    constant = np.broadcast_to([*monitor.hop, mask], (count, 3))
    heads = np.concatenate([table[:, 2:5], constant, address[:, None]], axis=1)
    rows = np.concatenate([np.repeat(heads, host, axis=0), rows])
    owner = np.concatenate([np.repeat(np.arange(count), host), route[:, 0]])
    return rows[np.argsort(owner, kind="stable")]  # the host's word first, as boards expect it


def _input_routes(route: np.ndarray, network: Network, tags: np.ndarray) -> np.ndarray:
    sizes = [i.size for i in network.inputs]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    index = np.concatenate([np.zeros(0, np.int64), *(np.arange(s) for s in sizes)])
    channel = route[:, 0] - network.size
    return np.stack([owner[channel], index[channel], route[:, 1], route[:, 2], tags[route[:, 0]]], axis=1)


def _latches(network: Network, requests: dict[str, Requests], table: np.ndarray, chip: Chip) -> dict[str, np.ndarray]:
    latches = {}
    for feature, latch in vars(chip.neuron.switches).items():
        on = [k for k, p in enumerate(network.populations) if feature in requests[p.name].features]
        if latch is not None and on:
            latches[latch] = table[np.isin(table[:, 0], on), 2:5]
    return latches


def _expected(
    network: Network, requests: dict[str, Requests], received: dict[str, set[str]], weights: np.ndarray
) -> Network:
    """What was asked, with every quantity as its code gives it: what the decoder must find."""
    connections: list[Connection] = []
    start = 0
    for c in network.connections:
        connections.append(replace(c, weight=weights[start : start + len(c.pairs)]))
        start += len(c.pairs)
    populations = tuple(realised(p, requests[p.name], received[p.name]) for p in network.populations)
    return replace(network, populations=populations, connections=tuple(c for c in connections if len(c.pairs)))


def _report(taken: list[Core], requests: dict[str, Requests], weights: list[CoreWeights], chip: Chip):
    for number, core in enumerate(taken):
        where = divmod(number, chip.topology.cores_per_chip)
        names = [piece[0] for piece in core.pieces]
        for bias in core.codes:
            asking = [n for n in names if bias in requests[n].rows]
            if asking:
                row = requests[asking[0]].rows[bias]
                yield _row(bias, where, row.code, row.quantity, row.unit, row.asked, row.got, tuple(asking))
        for w in weights:
            if w.core == number:
                for name, code in w.codes.items():
                    yield _row(name, where, code, "weight", "A", code.requested, code.realised, ())


def _row(name: str, where: tuple[int, int], code: BiasCode, quantity: str, unit: str, asked: float, got: float, who):
    return BiasRow(
        name, *where, code.requested, code.realised, code.coarse, code.fine, code.relative_error,
        quantity, unit, asked, got, who,
    )  # fmt: skip


def _occupancy(
    chip: Chip, taken: list[Core], synapses: Synapses, route: np.ndarray, host: int, tags: np.ndarray, size: int
) -> Occupancy:
    top = chip.topology
    used = {divmod(k, top.cores_per_chip): top.neurons_per_core - c.free for k, c in enumerate(taken) if c.pieces}
    blocked = {*chip.routing.reserved_tags, *(() if chip.routing.null_tag is None else (chip.routing.null_tag,))}
    return Occupancy(
        neurons=used,
        neurons_per_core=top.neurons_per_core,
        synapse_words=np.bincount(synapses.target, minlength=size),
        words_per_neuron=chip.synapse.words_per_neuron,
        route_words=np.bincount(route[:, 0], minlength=size) + host,
        destinations=chip.routing.destinations,
        tags=len(np.unique(tags[tags >= 0])),
        tags_usable=chip.tag_count - len(blocked),
    )


def _physics_warnings(asked: Physics, chip: Physics) -> list[str]:
    a = {k: v for k, v in vars(asked).items() if k not in ("c", "feedback")} | {f"c.{k}": v for k, v in asked.c.items()}
    b = {k: v for k, v in vars(chip).items() if k not in ("c", "feedback")} | {f"c.{k}": v for k, v in chip.c.items()}
    return [
        f"The network's physics has {key} = {a[key]:.6g}; the chip's profile has {b[key]:.6g}, which is used."
        for key in a
        if key in b and a[key] != b[key]
    ]


def _weight_warnings(weights: list[CoreWeights], chip: Chip) -> list[str]:
    result = []
    for w in weights:
        bad = np.abs(w.error) > chip.limits.bias_error_warn
        if bad.any():
            k = int(np.argmax(np.abs(w.error)))
            result.append(
                f"Core {w.core}: {int(bad.sum())} of {len(bad)} weights are more than "
                f"{100 * chip.limits.bias_error_warn:.0f} % off, the worst is {w.wanted[k]:.4g} A realised as "
                f"{w.realised[k]:.4g} A ({100 * w.error[k]:+.1f} %)."
            )
    return result


def _delay_warnings(network: Network) -> list[str]:
    late = sorted({c.delay for c in network.connections} - {"none"})
    return [f"Delay class '{d}' is flagged, but its bias is left unset: no calibration is known." for d in late]
