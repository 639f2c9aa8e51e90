"""2000 neurons on the four chips of a DYNAP-SE2 board: compile, decode, simulate, and a page to look at.

Sixteen rings-within-a-ring: every cluster of 100 excitatory and 25 inhibitory neurons excites itself and the next one.
No two clusters have the same membrane time constant, and a core has one, so that every cluster needs a core of its own.

    python examples/40_four_chips.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from analogsnn.chips import compile, decode, differences
from analogsnn.network import Events, Input, Network, Neuron, Population, chips, connect, lanes, simulate
from analogsnn.report import write_compile_report

CLUSTERS, EXCITATORY, INHIBITORY = 16, 100, 25
DURATION = 0.5  # s


def partners(rng: np.random.Generator, sources: int, targets: int, each: int) -> np.ndarray:
    """`each` different sources for every target: int array [synapse, 2]."""
    return np.array([(i, j) for j in range(targets) for i in rng.choice(sources, each, replace=False)])


def four_chips() -> Network:
    """The network."""
    rng = np.random.default_rng(0)
    populations, connections = [], []
    for k in range(CLUSTERS):
        neuron = Neuron(tau=10e-3 * 1.12**k, gain=4.0, refractory=5e-3)
        populations.append(Population(name=f"exc{k}", size=EXCITATORY, neuron=neuron, rate=10.0))
        populations.append(Population(name=f"inh{k}", size=INHIBITORY, neuron=neuron, rate=20.0))
        e, i, after = f"exc{k}", f"inh{k}", f"exc{(k + 1) % CLUSTERS}"
        connections += [
            connect("drive", e, "AMPA", [[k, j] for j in range(EXCITATORY)], 60e-9),
            connect(e, e, "AMPA", partners(rng, EXCITATORY, EXCITATORY, 16), 2e-9),
            connect(e, i, "AMPA", partners(rng, EXCITATORY, INHIBITORY, 20), 6e-9),
            connect(i, e, "GABA_B", partners(rng, INHIBITORY, EXCITATORY, 8), 6e-9),
            connect(e, after, "AMPA", partners(rng, EXCITATORY, EXCITATORY, 8), 2e-9),
        ]
    inputs = (Input(name="drive", size=CLUSTERS),)
    return Network(populations=tuple(populations), inputs=inputs, connections=tuple(connections))


def main(folder: Path) -> None:
    """Run everything and write the configuration and the page into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    network = four_chips()
    mapping = compile(network, "dynapse2", chips=4)
    mapping.configuration.save(folder / "four_chips.json")
    again = decode(mapping.configuration, mapping.chip)
    assert differences(mapping.network, again, tolerance=0.0) == []
    print(f"{network.size} neurons, {network.synapse_count} synapses on {len(mapping.occupancy.neurons)} cores")

    rng = np.random.default_rng(1)
    count = rng.poisson(100.0 * DURATION * CLUSTERS)  # 100 events per second and cluster
    events = Events(np.sort(rng.uniform(0, DURATION, count)), rng.integers(0, CLUSTERS, count))
    spikes = simulate(lanes(again, chips(1, cv=0.2, seed=1)), events, DURATION)
    print(f"{len(spikes.time)} spikes, {len(spikes.time) / DURATION / network.size:.1f} Hz a neuron")
    write_compile_report(folder / "four_chips.html", mapping, title="2000 neurons on four chips")
    print(f"wrote {folder / 'four_chips.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out"))
