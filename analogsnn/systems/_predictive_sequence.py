"""A long sequence among distractors, learned by the rule in floating point.

Inputs, learning rate and number of presentations are those of the paper's public scripts for its figure: a hundred
inputs in turn, 2 ms apart and jittered, that begin anywhere in the first half of a presentation; a background of whole
rates below 10 Hz on them and on a hundred distractors, which have nothing else, drawn anew for every presentation.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from scipy.signal import lfilter

from ._predictive_rule import _F, TAU_X, H, present

SEQUENCE, SPACING, JITTER = 100, 2e-3, 2e-3
DURATION = 2 * (SEQUENCE * SPACING + JITTER)  # s a presentation
BACKGROUND = 10  # Hz
TAU, THRESHOLD, RATE = 10e-3, 1.4, 5e-4


@dataclass(frozen=True)
class LongSequence:
    """One neuron among distractors, learning a long sequence: `weights` [presentation + 1, seed, input], `count` of
    spikes and `first` (s after the first input is due; NaN: none) [presentation, seed]; `alone` [seed], the spikes of
    what was learned when the sequence comes without background."""

    weights: np.ndarray
    count: np.ndarray
    first: np.ndarray
    alone: np.ndarray


def learn_sequence(seeds: int, presentations: int, seed: int) -> LongSequence:
    """Learn in floating point, each seed for itself; the inputs after the first `SEQUENCE` are distractors."""
    generators = [np.random.default_rng((seed, k)) for k in range(seeds)]
    silent = np.zeros(round(DURATION / H))

    def one(w, x, rate):
        w, _, z = present(w, x, silent, _F(TAU), _F(THRESHOLD), rate, own=True)
        return w, z

    together = jax.jit(jax.vmap(one, in_axes=(0, 0, None)))
    w = np.full((seeds, 2 * SEQUENCE), 0.1, np.float32)
    weights, count, first = [w], [], []
    for _ in range(presentations):
        x, onset = zip(*(presented(g, BACKGROUND) for g in generators), strict=True)
        w, z = (np.asarray(part) for part in together(w, np.stack(x), _F(RATE)))
        after = z.astype(bool) & (np.arange(len(silent)) >= np.array(onset)[:, None])
        weights.append(w)
        count.append(z.sum(axis=1))
        first.append(np.where(after.any(axis=1), (after.argmax(axis=1) - onset) * H, np.nan))
    alone = together(w, np.stack([presented(g, 1)[0] for g in generators]), _F(0.0))[1]
    return LongSequence(np.array(weights), np.array(count), np.array(first), np.asarray(alone).sum(axis=1))


def presented(generator: np.random.Generator, background: int) -> tuple[np.ndarray, int]:
    """Traces [step, input] of one presentation, and the step in which the first input is due; rates of the background
    are whole numbers below `background` (Hz)."""
    steps, inputs = round(DURATION / H), 2 * SEQUENCE
    count = generator.poisson(generator.integers(0, background, inputs) * DURATION)
    raster = np.zeros((steps, inputs), np.float32)
    raster[generator.integers(0, steps, count.sum()), np.repeat(np.arange(inputs), count)] = 1.0
    onset = int(generator.integers(0, steps // 2))
    turn = SPACING * np.arange(1, SEQUENCE + 1) + generator.uniform(-JITTER, JITTER, SEQUENCE)
    raster[onset + (turn / H).astype(int), np.arange(SEQUENCE)] = 1.0
    traced = lfilter([1.0], [1.0, -np.exp(-H / TAU_X)], raster, axis=0)
    return np.asarray(traced, np.float32), onset + round(SPACING / H)
