"""Telling a temporal pattern from its likes: trained through quantisation and mismatch, compiled, tried on fresh chips.

Twelve channels fire three spikes each, one channel after the other, 8 ms apart. The pattern to be found has one order
of the channels, the others are random orders: which channels fire, and how often, tells nothing. Every spike moves by
±1 ms.

    python examples/50_temporal_pattern.py [FOLDER] [--seed 1] [--steps 150]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from classifier import command_line, compare, two_layers

from analogsnn.network import Network, Samples

CHANNELS, DURATION = 12, 0.12
OUTPUTS = ("other", "pattern")
WIRES = (
    ("in", "hidden", "AMPA", 20e-9),
    ("in", "hidden", "NMDA", 5e-9),
    ("in", "hidden", "GABA_B", 5e-9),
    ("hidden", "output", "AMPA", 15e-9),
    ("in", "output", "AMPA", 10e-9),
    ("in", "output", "GABA_B", 5e-9),
)


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
    return two_layers(CHANNELS, 24, OUTPUTS, WIRES, seed)


def main(folder: Path, seed: int = 1, steps: int = 150, count: int = 400, tried: int = 200) -> dict[str, float]:
    """Train with and without mismatch in the loss; write a page; return the shares of answers lost on chips."""
    return compare(
        folder / "temporal_pattern.html", "A temporal pattern, found on one core", __doc__.split("\n\n")[1:2],
        network(seed), OUTPUTS, samples(count, seed), samples(tried, seed + 500), steps=steps, seed=seed,
    )  # fmt: skip


if __name__ == "__main__":
    command_line(main, __doc__.splitlines()[0], 150)
