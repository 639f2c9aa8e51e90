"""Telling four spoken-like words apart: trained through quantisation and mismatch, compiled, tried on fresh chips.

A word is two formants that glide over sixteen frequency channels, as a cochlea's events would show them: both rise, both
fall, they meet, or they part. All words use the same channels equally often: the answer lies in the order alone.
Speakers differ: a word lasts 70 to 100 ms, events move by ±2 ms, one in ten is missing, and six more are noise.

    python examples/51_spoken_words.py [FOLDER] [--seed 1] [--steps 200]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from analogsnn.chips import train_for_chip
from analogsnn.network import Input, Network, Neuron, Population, Samples, Synapse, all_to_all, connect
from analogsnn.report import write_training_report

CHANNELS, DURATION = 16, 0.12
NEURON = Neuron(tau=15e-3, gain=20.0, refractory=5e-3, threshold=200e-12)
SYNAPSES = {
    "AMPA": Synapse(tau=6e-3, gain=1.0),
    "NMDA": Synapse(tau=40e-3, gain=1.0),
    "GABA_A": Synapse(tau=20e-3, gain=1.0),
    "GABA_B": Synapse(tau=40e-3, gain=1.0),
}
LARGEST = 100e-9  # A
OUTPUTS = ("rise", "fall", "meet", "part")
LOW, HIGH = np.arange(8), np.arange(8, 16)  # the channels of the two formants, upwards
WORDS = ((LOW, HIGH), (LOW[::-1], HIGH[::-1]), (LOW, HIGH[::-1]), (LOW[::-1], HIGH))


def samples(count: int, seed: int) -> Samples:
    """Words in turn, as in `OUTPUTS`."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(count):
        begin, length = rng.uniform(3e-3, 10e-3), rng.uniform(70e-3, 100e-3)
        for formant in WORDS[k % 4]:
            for place, channel in enumerate(formant):
                at = begin + length * place / 8 + np.arange(3) * 3e-3 + rng.uniform(-2e-3, 2e-3, 3)
                rows += [(t, channel, k) for t in at[rng.random(3) < 0.9]]
        noise = zip(rng.uniform(0, DURATION, 6), rng.integers(0, CHANNELS, 6), strict=True)
        rows += [(t, channel, k) for t, channel in noise]
    t, channel, sample = (np.array(x) for x in zip(*rows, strict=True))
    return Samples(t, channel, sample, np.arange(count) % 4, DURATION)


def network(seed: int) -> Network:
    """Inputs excite and inhibit 32 hidden neurons at two speeds; these drive eight output neurons a word."""
    rng = np.random.default_rng(seed)

    def population(name: str, size: int) -> Population:
        return Population(name=name, size=size, neuron=NEURON, synapses=SYNAPSES, pulse=100e-6)

    def some(source: str, n: int, target: str, m: int, kind: str, mean: float):
        return connect(source, target, kind, all_to_all(n, m), rng.exponential(mean, n * m) + 1e-10)

    hidden, each = 32, 8
    connections = [
        some("in", CHANNELS, "hidden", hidden, "AMPA", 15e-9),
        some("in", CHANNELS, "hidden", hidden, "NMDA", 4e-9),
        some("in", CHANNELS, "hidden", hidden, "GABA_B", 4e-9),
    ]
    for name in OUTPUTS:
        connections.append(some("hidden", hidden, name, each, "AMPA", 15e-9))
        connections.append(some("in", CHANNELS, name, each, "GABA_B", 3e-9))
    return Network(
        populations=(population("hidden", hidden), *(population(name, each) for name in OUTPUTS)),
        inputs=(Input(name="in", size=CHANNELS),),
        connections=tuple(connections),
    )


def main(folder: Path, seed: int = 1, steps: int = 200, count: int = 400, tried: int = 200) -> dict[str, float]:
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
        folder / "spoken_words.html", arrivals, check, title="Four words, told apart by 64 neurons",
        notes=__doc__.split("\n\n")[1:2], seconds=time.perf_counter() - started, seed=seed,
    )  # fmt: skip
    print(f"wrote {folder / 'spoken_words.html'} after {time.perf_counter() - started:.0f} s")
    return {k: a.lost for k, a in arrivals.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    main(given.folder, given.seed, given.steps)
