"""Telling four word-like patterns apart: trained through quantisation and mismatch, compiled, tried on fresh chips.

A word is three syllables, each a burst in one of six frequency bands of two channels, as a cochlea's events would show
them. Every band belongs to two words, so that no single band tells. Speakers differ: a syllable lasts 20 to 32 ms,
events move by ±2 ms, one in five is missing, and eight more are noise.

    python examples/51_spoken_words.py [FOLDER] [--seed 1] [--steps 120]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from classifier import command_line, compare, two_layers

from analogsnn.network import Network, Samples

BANDS, EACH, DURATION = 6, 2, 0.12
CHANNELS = BANDS * EACH
OUTPUTS = ("ada", "ebe", "ibo", "odu")
WORDS = ((0, 2, 4), (1, 3, 5), (0, 3, 5), (1, 2, 4))  # bands, one syllable after the other
# The first weights let some neurons fire some spikes: from stronger ones training silences nearly all of them.
WIRES = (
    ("in", "hidden", "AMPA", 4e-9),
    ("in", "hidden", "NMDA", 1.5e-9),
    ("in", "hidden", "GABA_B", 1.5e-9),
    ("hidden", "output", "AMPA", 6e-9),
    ("in", "output", "AMPA", 6e-9),
    ("in", "output", "GABA_B", 1.5e-9),
)


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
    """Inputs excite and inhibit 32 hidden neurons at two speeds; both drive eight output neurons a word."""
    return two_layers(CHANNELS, 32, OUTPUTS, WIRES, seed)


def main(folder: Path, seed: int = 1, steps: int = 120, count: int = 400, tried: int = 200) -> dict[str, float]:
    """Train with and without mismatch in the loss; write a page; return the shares of answers lost on chips."""
    return compare(
        folder / "spoken_words.html", "Four words, told apart on one core", __doc__.split("\n\n")[1:2],
        network(seed), OUTPUTS, samples(count, seed), samples(tried, seed + 500), steps=steps, seed=seed,
    )  # fmt: skip


if __name__ == "__main__":
    command_line(main, __doc__.splitlines()[0], 120)
