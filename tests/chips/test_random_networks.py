"""200 random networks: the decoded network equals the one that was asked, or what does not fit is named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from analogsnn.chips import Chip, Configuration, compile, decode, differences, load_chip
from analogsnn.errors import DoesNotFitError
from analogsnn.network import Adaptation, Connection, Input, Network, Neuron, Population, Synapse, connect

CHIPS = {"dynapse2": load_chip("dynapse2"), "invented": load_chip(Path(__file__).with_name("invented.toml"))}
# What a code may be off before the chip file calls it a misfit; a gain or a weight adds a second code to that.
CODES = {name: 2 * chip.limits.bias_error_fail for name, chip in CHIPS.items()}


def random_network(rng: np.random.Generator, chip: str) -> Network:
    """Up to 4 populations of up to 12 neurons, wired at random, with repeated pairs and self-connections."""
    kinds = sorted(CHIPS[chip].synapse.types)
    delays = ["none", *(d.name for d in CHIPS[chip].synapse.delays)]
    rich = chip == "dynapse2"
    few = rng.choice([10e-3, 20e-3, 40e-3], size=int(rng.integers(1, 3)))  # one or two groups of biases

    def neuron() -> Neuron:
        return Neuron(
            tau=float(rng.choice(few)),
            dc=float(rng.choice([0.0, 1e-9])),
            adaptation=Adaptation(weight=1e-9) if rich and rng.random() < 0.3 else None,
            nmda_gate=2e-9 if rich and rng.random() < 0.3 else None,
        )

    populations = [
        Population(
            name=f"p{k}",
            size=int(rng.integers(1, 13)),
            neuron=neuron(),
            synapses={kind: Synapse(tau=float(rng.choice(few)), gain=2.0) for kind in kinds if rng.random() < 0.5},
        )
        for k in range(rng.integers(1, 5))
    ]
    inputs = [Input(name=f"i{k}", size=int(rng.integers(1, 9))) for k in range(rng.integers(0, 3))]
    weights = rng.choice([1e-9, 2e-9, 4e-9, 5e-9, 8e-9], size=int(rng.integers(1, 6)), replace=False)
    connections = []
    for _ in range(rng.integers(0, 8)):
        source = rng.choice(np.array([*populations, *inputs], dtype=object))
        target = rng.choice(np.array(populations, dtype=object))
        count = int(rng.integers(0, (6 if rich else 3) * target.size))
        pairs = np.stack([rng.integers(0, source.size, count), rng.integers(0, target.size, count)], axis=1)
        kind, delay = str(rng.choice(kinds)), str(rng.choice(delays))
        connections.append(connect(source.name, target.name, kind, pairs, rng.choice(weights, count), delay))
    if rng.random() < 0.15:  # too much for one neuron
        target = populations[0]
        pairs = np.zeros((int(rng.integers(60, 90)), 2), dtype=int)
        connections.append(connect(target.name, target.name, kinds[0], pairs, 1e-9))
    return Network(populations=tuple(populations), inputs=tuple(inputs), connections=tuple(connections))


def multiset(connections: tuple[Connection, ...]) -> Counter:
    """{(source, index, target, index, type, delay): multiplicity}, counted one by one."""
    return Counter(
        (c.source, int(i), c.target, int(j), c.synapse, c.delay) for c in connections for i, j in c.pairs.tolist()
    )


def fan_in(network: Network) -> Counter:
    return Counter((c.target, int(j)) for c in network.connections for j in c.pairs[:, 1].tolist())


def check_misfit(error: DoesNotFitError, network: Network, chip: Chip, seed: int) -> None:
    """What does not fit must be named: counted here from the network alone."""
    words, limit = fan_in(network), chip.synapse.words_per_neuron
    over = {t: max(n for (u, _), n in words.items() if u == t) for (t, _), n in words.items() if n > limit}
    named = {m.who.split("'")[1]: m for m in error.misfits if m.resource == "cam_words"}
    assert {t: m.needed for t, m in named.items()} == over, seed  # these populations, each with its worst neuron
    assert all(m.available == limit for m in named.values())
    others = {m.resource for m in error.misfits} - {"cam_words"}
    assert others <= {"core_bias_conflict", "sram_words"}, (seed, str(error))
    if "sram_words" in others:
        assert max(m.needed for m in error.misfits if m.resource == "sram_words") > chip.routing.destinations
    assert over or others


@pytest.mark.parametrize("block", range(10))
def test_decoded_equals_asked_over_200_random_networks(block):
    fitted = 0
    for seed in range(20 * block, 20 * block + 20):
        rng = np.random.default_rng(seed)
        name = "invented" if seed % 4 == 3 else "dynapse2"
        chip = CHIPS[name]
        network = random_network(rng, name)
        try:
            mapping = compile(network, chip, monitor=bool(rng.integers(2)), chips=chip.topology.chips)
        except DoesNotFitError as error:
            check_misfit(error, network, chip, seed)
            continue
        fitted += 1
        assert max(fan_in(network).values(), default=0) <= chip.synapse.words_per_neuron, seed
        assert multiset(mapping.network.connections) == multiset(network.connections), seed
        assert differences(network, mapping.network, tolerance=CODES[name]) == [], seed
        again = Configuration.from_json(mapping.configuration.to_json(), chip)
        assert differences(mapping.network, decode(again, chip), tolerance=0.0) == [], seed
    assert fitted >= 10  # of 20: most networks must fit, or the test tests nothing
