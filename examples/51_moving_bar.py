"""Which way a bar moves, from the events of 36 pixels: trained through quantisation and mismatch, tried on chips.

A bar crosses 6 × 6 pixels to the right, left, up or down at 8 to 12 ms a pixel; a pixel that it passes fires two
events, one in ten pixels misses it, and eight events a sample are noise. Every pixel fires as often for each direction:
the answer lies in the order alone.

    python examples/51_moving_bar.py [FOLDER] [--seed 1] [--steps 400]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from analogsnn.chips import train_for_chip
from analogsnn.network import Input, Network, Neuron, Population, Samples, Synapse, all_to_all, connect
from analogsnn.report import write_training_report

SIDE, DURATION = 6, 0.1
NEURON = Neuron(tau=15e-3, gain=20.0, refractory=5e-3, threshold=200e-12)
SYNAPSES = {
    "AMPA": Synapse(tau=6e-3, gain=1.0),
    "NMDA": Synapse(tau=40e-3, gain=1.0),
    "GABA_A": Synapse(tau=20e-3, gain=1.0),
    "GABA_B": Synapse(tau=40e-3, gain=1.0),
}
LARGEST = 40e-9  # A
OUTPUTS = ("right", "left", "up", "down")


def samples(count: int, seed: int) -> Samples:
    """Directions in turn, as in `OUTPUTS`."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(count):
        way = k % 4
        pace, begin = rng.uniform(8e-3, 12e-3), rng.uniform(3e-3, 12e-3)
        for place in range(SIDE):
            line = place if way in (0, 2) else SIDE - 1 - place
            for other in np.flatnonzero(rng.random(SIDE) < 0.9):
                x, y = (line, other) if way < 2 else (other, line)
                at = begin + pace * place + np.array([0.0, 3e-3]) + rng.normal(0, 1e-3, 2)
                rows += [(max(0.0, t), y * SIDE + x, k) for t in at]
        rows += [(t, c, k) for t, c in zip(rng.uniform(0, DURATION, 8), rng.integers(0, SIDE**2, 8), strict=True)]
    t, channel, sample = (np.array(x) for x in zip(*rows, strict=True))
    return Samples(np.minimum(t, DURATION - 1e-6), channel, sample, np.arange(count) % 4, DURATION)


def network(seed: int) -> Network:
    """Pixels excite fast and inhibit slowly 32 hidden neurons, which drive eight output neurons a direction."""
    rng = np.random.default_rng(seed)

    def population(name: str, size: int) -> Population:
        return Population(name=name, size=size, neuron=NEURON, synapses=SYNAPSES, pulse=100e-6)

    def some(source: str, n: int, target: str, m: int, kind: str, mean: float):
        return connect(source, target, kind, all_to_all(n, m), rng.exponential(mean, n * m) + 1e-10)

    hidden, each, pixels = 32, 8, SIDE**2
    connections = [
        some("pixels", pixels, "hidden", hidden, "AMPA", 3e-9),
        some("pixels", pixels, "hidden", hidden, "GABA_B", 2e-9),
    ]
    connections += [some("hidden", hidden, name, each, "AMPA", 1.5e-9) for name in OUTPUTS]
    return Network(
        populations=(population("hidden", hidden), *(population(name, each) for name in OUTPUTS)),
        inputs=(Input(name="pixels", size=pixels),),
        connections=tuple(connections),
    )


def main(folder: Path, seed: int = 1, steps: int = 400, count: int = 400, tried: int = 200) -> dict[str, float]:
    """Train with and without mismatch in the loss; write a page; return the shares of answers lost on chips."""
    folder.mkdir(parents=True, exist_ok=True)
    learn, check = samples(count, seed), samples(tried, seed + 500)
    arrivals, started = {}, time.perf_counter()
    for name, mismatch in (("mismatch in the loss", 0.2), ("no mismatch in the loss", 0.0)):
        arrivals[name] = train_for_chip(
            network(seed), learn, check, OUTPUTS,
            largest=LARGEST, steps=steps, seed=seed, mismatch=mismatch, draws=3 if mismatch else 1,
        )  # fmt: skip
        a = arrivals[name]
        print(
            f"{name}: float {a.unquantised:.3f}, quantised {a.quantised:.3f}, 20 fresh chips at 20 % "
            f"{a.mismatched.mean():.3f} ± {a.mismatched.std():.3f}, worst {a.mismatched.min():.3f}"
        )
    write_training_report(
        folder / "moving_bar.html", arrivals, check, title="A moving bar, seen by 64 neurons",
        notes=__doc__.split("\n\n")[1:2], seconds=time.perf_counter() - started, seed=seed,
    )  # fmt: skip
    print(f"wrote {folder / 'moving_bar.html'} after {time.perf_counter() - started:.0f} s")
    return {k: a.lost for k, a in arrivals.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=400)
    given = parser.parse_args()
    main(given.folder, given.seed, given.steps)
