"""Classification of event patterns by populations that count: samples, the loss that trains it, and its accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError
from ._dense import Devices
from ._events import Events
from ._mismatch import Mismatch
from ._network import Network
from ._parameters import lanes
from ._simulate import simulate
from ._surrogate import binned, stepped

# s between samples: ln I of a DPI falls by one a time constant, so that it takes many of them to be at rest again; half
# as long cost a chip of 20 % mismatch several points, because training starts every sample from rest.
GAP = 0.4


@dataclass(frozen=True)
class Samples:
    """Labelled event patterns of one length.

    `time` (s from the begin of its sample), `channel` and `sample` of every event, by samples in order; `label` [n]
    from 0 on; `duration` s.
    """

    time: np.ndarray
    channel: np.ndarray
    sample: np.ndarray
    label: np.ndarray
    duration: float

    def binned(self, channels: int, dt: float) -> np.ndarray:
        """Events in each step: float32 [sample, step, channel]."""
        cuts = np.searchsorted(self.sample, np.arange(len(self.label) + 1))
        parts = [slice(a, b) for a, b in pairwise(cuts)]
        return np.stack([binned(self.time[p], self.channel[p], channels, self.duration, dt) for p in parts])

    def stream(self, gap: float) -> Events:
        """All samples one after the other, `gap` seconds of silence after each."""
        start = self.sample * (self.duration + gap)
        order = np.argsort(start + self.time, kind="stable")
        return Events((start + self.time)[order], self.channel[order])


def members(network: Network, outputs: Sequence[str]) -> np.ndarray:
    """Indices of the neurons of the populations that stand for the classes: int [class, each].

    **Raises** `InputError` for populations that are not there or differ in size.
    """
    sizes = {p.name: p.size for p in network.populations}
    missing = [name for name in outputs if name not in sizes]
    if missing or len({sizes[name] for name in outputs}) != 1:
        raise InputError(
            f"The classes need populations of one size; asked for {', '.join(outputs)}, there are {sizes}."
        )
    starts = network.offsets()
    return np.array([starts[name] + np.arange(sizes[name]) for name in outputs])


def counting_loss(
    outputs: np.ndarray, dt: float, *, start: float = 0.0, target: float = 4.0, quiet: float = 0.02
) -> Callable[[Devices, Any], jax.Array]:
    """A loss over batches (inputs [B, T, channels], labels [B]) that wants the right class to fire most.

    Cross-entropy of the spikes per neuron of each class from `start` (s) on, and of how far its neurons stay
    below threshold, which moves silent ones; plus `quiet` times the squared distance of the right class from `target`
    spikes and of the others from none, which keeps rates within bounds.
    """
    first = round(start / dt)

    def loss(devices: Devices, batch: Any) -> jax.Array:
        inputs, labels = batch
        runs = jax.vmap(lambda x: stepped(devices, x, dt, start=first))(inputs)
        counts = jnp.mean(runs.counts[:, outputs], axis=-1)  # [B, class]
        below = jnp.mean(jnp.clip(runs.peak[:, outputs], -10.0, 0.0), axis=-1)
        right = jax.nn.one_hot(labels, len(outputs), dtype=counts.dtype)
        entropy = -jnp.sum(right * jax.nn.log_softmax(counts + 0.3 * below), axis=-1)
        rates = jnp.sum((counts - target * right) ** 2, axis=-1)
        return jnp.mean(entropy + quiet * rates)

    return loss


def accuracy(
    network: Network,
    chips: Sequence[Mismatch],
    samples: Samples,
    outputs: Sequence[str],
    *,
    gap: float = GAP,
    start: float = 0.0,
    dt: float | None = None,
) -> np.ndarray:
    """Share of right answers of each chip: float [chip].

    All samples are played one after the other, `gap` seconds apart, as to a chip in use. The class whose population
    spikes most from `start` (s) of a sample to half of the gap after it is the answer; a tie is a wrong one.
    """
    who = members(network, outputs)
    period = samples.duration + gap
    spikes = simulate(lanes(network, chips), samples.stream(gap), len(samples.label) * period, dt=dt)
    label_of = np.full(network.size, -1)
    label_of[who] = np.arange(len(outputs))[:, None]
    number = np.minimum((spikes.time / period).astype(int), len(samples.label) - 1)
    since = spikes.time - number * period
    keep = (label_of[spikes.neuron] >= 0) & (since >= start) & (since < samples.duration + 0.5 * gap)
    shape = (len(chips), len(samples.label), len(outputs))
    where = np.ravel_multi_index((spikes.lane[keep], number[keep], label_of[spikes.neuron[keep]]), shape)
    counts = np.bincount(where, minlength=int(np.prod(shape))).reshape(shape)
    best = counts.max(axis=-1)
    sure = np.sum(counts == best[..., None], axis=-1) == 1
    return np.mean((counts.argmax(axis=-1) == samples.label) & sure, axis=-1)
