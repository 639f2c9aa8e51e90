"""The tables of a configuration, from a placement with addresses and weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..network import DELAYS, SYNAPSE_TYPES, Network
from ._chip import Chip
from ._configuration import Codes, Configuration
from ._core_weights import CoreWeights
from ._place import Core, needs
from ._requests import Requests
from ._synapses import Synapses


@dataclass(frozen=True)
class Layout:
    """Where everything is.

    - `cores`: the cores in use by number over the board; `table`: int array [neuron, (population, index, chip, core,
      place)].
    - `tags`: int array [source]; `route`: from `words`, of all sources; `host`: words a neuron that go to the host.
    """

    cores: dict[int, Core]
    table: np.ndarray
    tags: np.ndarray
    route: np.ndarray
    host: int


def emit(
    network: Network,
    chip: Chip,
    profile: str,
    layout: Layout,
    synapses: Synapses,
    masks: np.ndarray,
    weights: list[CoreWeights],
    requests: dict[str, Requests],
) -> Configuration:
    """The configuration; `synapses` and `masks` (int array [synapse]) are those that get a word."""
    own = layout.route[layout.route[:, 0] < network.size]
    inputs = layout.route[layout.route[:, 0] >= network.size]
    return Configuration(
        chip=(chip.name, chip.meta.revision, chip.digest),
        profile=profile,
        populations=tuple((p.name, p.size, p.rate) for p in network.populations),
        inputs=tuple((i.name, i.size) for i in network.inputs),
        neurons=layout.table,
        biases=_codes(layout.cores, weights, chip),
        synapses=_synapse_words(synapses, layout, masks, chip),
        routes=_routes(own, layout, chip),
        input_routes=_input_routes(inputs, network, layout.tags),
        latches=_latches(network, requests, layout, chip),
    )


def neuron_table(network: Network, core: np.ndarray, spot: np.ndarray, chip: Chip) -> np.ndarray:
    """Int array [neuron, (population, index, chip, core, place)]."""
    sizes = [p.size for p in network.populations]
    where, on = np.divmod(core, chip.topology.cores_per_chip)
    index = np.concatenate([np.arange(s) for s in sizes])
    return np.stack([np.repeat(np.arange(len(sizes)), sizes), index, where, on, spot], axis=1)


def leak_biases(core: Core, chip: Chip) -> dict[str, tuple[int, int]]:
    """{bias: code} of a core's leaks, where it offers several."""
    second = chip.neuron.second_leak
    names = [chip.neuron.biases.tau or "", "" if second is None else second.bias]
    return dict(zip(names, core.leaks, strict=False))


def _codes(cores: dict[int, Core], weights: list[CoreWeights], chip: Chip) -> Codes:
    codes: Codes = {}
    for number, core in cores.items():
        where = divmod(number, chip.topology.cores_per_chip)
        codes[where] = {n: c for n, c in core.codes.items() if min(c) >= 0} | leak_biases(core, chip)
    for w in weights:
        codes[divmod(w.core, chip.topology.cores_per_chip)] |= {n: (c.coarse, c.fine) for n, c in w.codes.items()}
    return codes


def _synapse_words(s: Synapses, layout: Layout, masks: np.ndarray, chip: Chip) -> np.ndarray:
    codes = np.array([chip.synapse.types[k].code if k in chip.synapse.types else -1 for k in SYNAPSE_TYPES])
    offered = ["none", *(d.name for d in chip.synapse.delays)]
    delays = np.array([offered.index(d) if d in offered else -1 for d in DELAYS])
    word = np.stack([layout.tags[s.source], codes[s.kind], masks, delays[s.delay], s.stp], axis=1)
    rows = np.concatenate([layout.table[s.target, 2:5], word], axis=1)
    return rows[np.lexsort((*word.T[::-1], s.target))]


def _routes(route: np.ndarray, layout: Layout, chip: Chip) -> np.ndarray:
    table, tags, host = layout.table, layout.tags, layout.host
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


def _latches(network: Network, requests: dict[str, Requests], layout: Layout, chip: Chip) -> dict[str, np.ndarray]:
    latches, table = {}, layout.table
    for feature, latch in vars(chip.neuron.switches).items():
        on = [k for k, p in enumerate(network.populations) if feature in requests[p.name].features]
        if latch is not None and on:
            latches[latch] = table[np.isin(table[:, 0], on), 2:5]
    second = chip.neuron.second_leak
    if second is not None:
        leaks = [needs(requests[p.name], chip)[1] for p in network.populations]
        core = table[:, 2] * chip.topology.cores_per_chip + table[:, 3]
        uses = [
            layout.cores[k].leaks.index(leak) for k, leak in zip(core, (leaks[p] for p in table[:, 0]), strict=True)
        ]
        if any(uses):
            latches[second.latch] = table[np.array(uses) == 1, 2:5]
    return latches
