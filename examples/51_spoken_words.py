"""Telling four word-like patterns apart: trained through quantisation and mismatch, compiled, tried on fresh chips.

A word is three syllables, each a burst in one of six frequency bands of two channels, as a cochlea's events would show
them. Every band belongs to two words, so that no single band tells. Speakers differ: a syllable lasts 20 to 32 ms,
events move by ±2 ms, one in five is missing, and eight more are noise.

    python examples/51_spoken_words.py [FOLDER] [--seed 1] [--steps 120]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from analogsnn.chips import train_for_chip
from analogsnn.network import Input, Network, Neuron, Population, Samples, Synapse, all_to_all, connect
from analogsnn.report import write_training_report

BANDS, EACH, DURATION = 6, 2, 0.12
CHANNELS = BANDS * EACH
NEURON = Neuron(tau=15e-3, gain=20.0, refractory=5e-3, threshold=200e-12)
SYNAPSES = {
    "AMPA": Synapse(tau=6e-3, gain=1.0),
    "NMDA": Synapse(tau=40e-3, gain=1.0),
    "GABA_A": Synapse(tau=20e-3, gain=1.0),
    "GABA_B": Synapse(tau=40e-3, gain=1.0),
}
LARGEST = 100e-9  # A
OUTPUTS = ("ada", "ebe", "ibo", "odu")
WORDS = ((0, 2, 4), (1, 3, 5), (0, 3, 5), (1, 2, 4))  # bands, one syllable after the other


def samples(count: int, seed: int) -> Samples:
    """Words in turn, as in `OUTPUTS`."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(count):
        begin, length = rng.uniform(3e-3, 10e-3), rng.uniform(20e-3, 32e-3)
        for place, band in enumerate(WORDS[k % 4]):
            for channel in EACH * band + np.arange(EACH):
                at = begin + length * (place + np.arange(5) / 5) + rng.uniform(-2e-3, 2e-3, 5)
                rows += [(max(t, 0.0), channel, k) for t in at[rng.random(5) < 0.8]]
        noise = zip(rng.uniform(0, DURATION, 8), rng.integers(0, CHANNELS, 8), strict=True)
        rows += [(t, channel, k) for t, channel in noise]
    t, channel, sample = (np.array(x) for x in zip(*rows, strict=True))
    return Samples(t, channel, sample, np.arange(count) % 4, DURATION)


def network(seed: int) -> Network:
    """Inputs excite and inhibit 32 hidden neurons at two speeds; both drive eight output neurons a word.

    The first weights let some neurons fire some spikes: from stronger ones training silences nearly all of them.
    """
    rng = np.random.default_rng(seed)

    def population(name: str, size: int) -> Population:
        return Population(name=name, size=size, neuron=NEURON, synapses=SYNAPSES, pulse=100e-6)

    def some(source: str, n: int, target: str, m: int, kind: str, mean: float):
        return connect(source, target, kind, all_to_all(n, m), rng.exponential(mean, n * m) + 1e-10)

    hidden, each = 32, 8
    connections = [
        some("in", CHANNELS, "hidden", hidden, "AMPA", 4e-9),
        some("in", CHANNELS, "hidden", hidden, "NMDA", 1.5e-9),
        some("in", CHANNELS, "hidden", hidden, "GABA_B", 1.5e-9),
    ]
    for name in OUTPUTS:
        connections.append(some("hidden", hidden, name, each, "AMPA", 6e-9))
        connections.append(some("in", CHANNELS, name, each, "AMPA", 6e-9))
        connections.append(some("in", CHANNELS, name, each, "GABA_B", 1.5e-9))
    return Network(
        populations=(population("hidden", hidden), *(population(name, each) for name in OUTPUTS)),
        inputs=(Input(name="in", size=CHANNELS),),
        connections=tuple(connections),
    )


def main(folder: Path, seed: int = 1, steps: int = 120, count: int = 400, tried: int = 200) -> dict[str, float]:
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
    parser.add_argument("--steps", type=int, default=120)
    given = parser.parse_args()
    main(given.folder, given.seed, given.steps)
