"""All synapses of a network in one table, and what a chip can say about them one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import Misfit
from ..network import DELAYS, SYNAPSE_TYPES, Network
from ._chip import Chip


@dataclass(frozen=True)
class Synapses:
    """Columns over all synapses of a network.

    - `source`: neurons first, then input channels, in the order of the network; `target`: neurons.
    - `kind`, `delay`: numbers in `SYNAPSE_TYPES` and `DELAYS`; `stp`: 1 with short-term depression; `weight` (A);
      `connection`: number of the connection.
    """

    source: np.ndarray
    target: np.ndarray
    kind: np.ndarray
    delay: np.ndarray
    stp: np.ndarray
    weight: np.ndarray
    connection: np.ndarray

    @staticmethod
    def of(network: Network) -> Synapses:
        """The synapses of `network`, connection by connection."""
        targets = network.offsets()
        sources = targets | {name: network.size + start for name, start in network.input_offsets().items()}
        sizes = [len(c.pairs) for c in network.connections]

        def each(values: list[int]) -> np.ndarray:
            return np.repeat(np.array(values, dtype=np.int64), sizes)

        pairs = np.concatenate([np.zeros((0, 2), np.int64), *(c.pairs for c in network.connections)])
        return Synapses(
            source=pairs[:, 0] + each([sources[c.source] for c in network.connections]),
            target=pairs[:, 1] + each([targets[c.target] for c in network.connections]),
            kind=each([SYNAPSE_TYPES.index(c.synapse) for c in network.connections]),
            delay=each([DELAYS.index(c.delay) for c in network.connections]),
            stp=each([int(c.stp) for c in network.connections]),
            weight=np.concatenate([np.zeros(0), *(c.weight for c in network.connections)]),
            connection=each(list(range(len(network.connections)))),
        )

    def repeated(self, count: np.ndarray) -> Synapses:
        """Every synapse as often as `count` says: int array [synapse]."""
        return Synapses(**{name: np.repeat(column, count) for name, column in vars(self).items()})

    def only(self, keep: np.ndarray) -> Synapses:
        """Some of the synapses: bool array [synapse]."""
        return Synapses(**{name: column[keep] for name, column in vars(self).items()})


def received_types(network: Network) -> dict[str, set[str]]:
    """The synapse types that each population receives."""
    received: dict[str, set[str]] = {p.name: set() for p in network.populations}
    for c in network.connections:
        if len(c.pairs):
            received[c.target].add(c.synapse)
    return received


def check_words(network: Network, chip: Chip) -> list[Misfit]:
    """Synapse types, delay classes and depression: whether a word of this chip can say them."""
    misfits = []
    for kind in sorted({c.synapse for c in network.connections} - set(chip.synapse.types)):
        who = ", ".join(sorted({f"'{c.source}'→'{c.target}'" for c in network.connections if c.synapse == kind}))
        known = ", ".join(chip.synapse.types)
        text = f"synapse type {kind} of {who} is not on chip '{chip.name}', which has {known}"
        misfits.append(Misfit("synapse_type", 1, 0, who, f"use one of {known}", text))
    offered = {"none", *(d.name for d in chip.synapse.delays)}
    for delay in sorted({c.delay for c in network.connections} - offered):
        who = ", ".join(sorted({f"'{c.source}'→'{c.target}'" for c in network.connections if c.delay == delay}))
        text = f"delay class '{delay}' of {who} is not on chip '{chip.name}', which has {', '.join(sorted(offered))}"
        misfits.append(Misfit("delay_class", 1, 0, who, "use an offered class", text))
    depressing = sorted({f"'{c.source}'→'{c.target}'" for c in network.connections if c.stp})
    if depressing and chip.synapse.depression is None:
        who = ", ".join(depressing)
        text = f"short-term depression of {who} is not on chip '{chip.name}'"
        misfits.append(Misfit("stp", 1, 0, who, "leave it out", text))
    channels = sum(i.size for i in network.inputs)
    if chip.routing.input_channels is not None and channels > chip.routing.input_channels:
        who = ", ".join(f"'{i.name}' {i.size}" for i in sorted(network.inputs, key=lambda i: -i.size)[:6])
        text = f"{channels} input channels, the host of '{chip.name}' plays {chip.routing.input_channels}: {who}"
        misfits.append(Misfit("spike_generators", channels, chip.routing.input_channels, who, "merge inputs", text))
    return misfits


def fan_in(network: Network, synapses: Synapses, chip: Chip) -> list[Misfit]:
    """Synapse words that a neuron needs, and those that it has: one misfit per population, for its fullest neuron."""
    limit = chip.synapse.words_per_neuron
    used = np.bincount(synapses.target, minlength=network.size)
    misfits = []
    for population in network.populations:
        start = network.offsets()[population.name]
        here = used[start : start + population.size]
        if here.max() <= limit:
            continue
        worst = int(np.argmax(here))
        parts = np.bincount(synapses.connection[synapses.target == start + worst], minlength=len(network.connections))
        total: dict[str, int] = {}
        for connection, count in zip(network.connections, parts.tolist(), strict=True):
            if count:
                edge = f"'{connection.source}'→'{connection.target}'"
                total[edge] = total.get(edge, 0) + count
        listed = ", ".join(f"{edge} {count}" for edge, count in sorted(total.items(), key=lambda item: -item[1]))
        more = int((here > limit).sum()) - 1
        who = f"neuron {worst} of '{population.name}'"
        text = f"{who} needs {here[worst]} synapses, a core offers {limit}: {listed}"
        text += f" (and {more} more neurons of '{population.name}')" if more else ""
        split = -(-int(here[worst]) // limit)
        hint = f"merge inputs or split '{population.name}' over {split} neurons"
        misfits.append(Misfit("cam_words", int(here[worst]), limit, who, hint, text))
    return misfits
