"""Telling a temporal pattern from its likes: trained through quantisation and mismatch, compiled, tried on fresh chips.

Twelve channels fire three spikes each, one channel after the other, 8 ms apart. The pattern to be found has one order
of the channels, the others are random orders: which channels fire, and how often, tells nothing. Every spike moves by
±1 ms.

    python examples/50_temporal_pattern.py [FOLDER] [--seed 1] [--steps 150]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from analogsnn.chips import train_for_chip
from analogsnn.network import Input, Network, Neuron, Population, Samples, Synapse, all_to_all, connect
from analogsnn.report import write_training_report

CHANNELS, DURATION = 12, 0.12
NEURON = Neuron(tau=15e-3, gain=20.0, refractory=5e-3, threshold=200e-12)
SYNAPSES = {
    "AMPA": Synapse(tau=6e-3, gain=1.0),
    "NMDA": Synapse(tau=40e-3, gain=1.0),
    "GABA_A": Synapse(tau=20e-3, gain=1.0),
    "GABA_B": Synapse(tau=40e-3, gain=1.0),
}
LARGEST = 100e-9  # A
OUTPUTS = ("other", "pattern")


def samples(count: int, seed: int) -> Samples:
    """Every second sample is the pattern: 1."""
    rng = np.random.default_rng(seed)
    order = np.random.default_rng(0).permutation(CHANNELS)  # the pattern is the same for every seed
    rows = []
    for k in range(count):
        mine = order if k % 2 else rng.permutation(CHANNELS)
        for place, channel in enumerate(mine):
            at = 5e-3 + 8e-3 * place + np.arange(3) * 2.5e-3 + rng.uniform(-1e-3, 1e-3, 3)
            rows += [(t, channel, k) for t in np.sort(at)]
    t, channel, sample = (np.array(x) for x in zip(*rows, strict=True))
    return Samples(t, channel, sample, np.arange(count) % 2, DURATION)


def network(seed: int) -> Network:
    """Inputs excite and inhibit 24 hidden and 16 output neurons at two speeds; hidden neurons drive the outputs."""
    rng = np.random.default_rng(seed)

    def population(name: str, size: int) -> Population:
        return Population(name=name, size=size, neuron=NEURON, synapses=SYNAPSES, pulse=100e-6)

    def some(source: str, n: int, target: str, m: int, kind: str, mean: float):
        return connect(source, target, kind, all_to_all(n, m), rng.exponential(mean, n * m) + 1e-10)

    hidden, each = 24, 8
    connections = [
        some("in", CHANNELS, "hidden", hidden, "AMPA", 20e-9),
        some("in", CHANNELS, "hidden", hidden, "NMDA", 5e-9),
        some("in", CHANNELS, "hidden", hidden, "GABA_B", 5e-9),
    ]
    for name in OUTPUTS:
        connections.append(some("hidden", hidden, name, each, "AMPA", 15e-9))
        connections.append(some("in", CHANNELS, name, each, "AMPA", 10e-9))
        connections.append(some("in", CHANNELS, name, each, "GABA_B", 5e-9))
    return Network(
        populations=(population("hidden", hidden), *(population(name, each) for name in OUTPUTS)),
        inputs=(Input(name="in", size=CHANNELS),),
        connections=tuple(connections),
    )


def main(folder: Path, seed: int = 1, steps: int = 150, count: int = 400, tried: int = 200) -> dict[str, float]:
    """Train with and without mismatch in the loss; write a page; return the shares of answers lost on chips."""
    folder.mkdir(parents=True, exist_ok=True)
    learn, check = samples(count, seed), samples(tried, seed + 500)
    arrivals, started = {}, time.perf_counter()
    for name, mismatch in (("mismatch in the loss", 0.2), ("no mismatch in the loss", 0.0)):
        arrivals[name] = train_for_chip(
            network(seed), learn, check, OUTPUTS,
            largest=LARGEST, steps=steps, seed=seed, mismatch=mismatch, draws=4 if mismatch else 1,
        )  # fmt: skip
        a = arrivals[name]
        print(
            f"{name}: float {a.unquantised:.3f}, quantised {a.quantised:.3f}, 20 fresh chips at 20 % "
            f"{a.mismatched.mean():.3f} ± {a.mismatched.std():.3f}, worst {a.mismatched.min():.3f}"
        )
    write_training_report(
        folder / "temporal_pattern.html", arrivals, check, title="A temporal pattern, found by 40 neurons",
        notes=__doc__.split("\n\n")[1:2], seconds=time.perf_counter() - started, seed=seed,
    )  # fmt: skip
    print(f"wrote {folder / 'temporal_pattern.html'} after {time.perf_counter() - started:.0f} s")
    return {k: a.lost for k, a in arrivals.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=150)
    given = parser.parse_args()
    main(given.folder, given.seed, given.steps)
