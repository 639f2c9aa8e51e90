"""Training for a chip, and what of it arrives there: float → quantised → mismatched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np

from ..network import (
    Mismatch,
    Network,
    Samples,
    Trained,
    accuracy,
    allowed,
    chips,
    counting_loss,
    dense,
    members,
    train,
    with_weights,
)
from ._chip import Chip
from ._compile import compile
from ._levels import weight_levels
from ._load import load_chip
from ._mapping import Mapping


@dataclass(frozen=True)
class Arrival:
    """A trained network on its way to the chip; accuracies are shares of right answers on samples it never saw.

    - `trained`, `mapping`. `unquantised`: with the weights as trained, no mismatch. `quantised`: compiled and decoded,
      no mismatch. `mismatched`: the same on each fresh chip, [chip].
    """

    trained: Trained
    mapping: Mapping
    unquantised: float
    quantised: float
    mismatched: np.ndarray

    @property
    def lost(self) -> float:
        """Share of answers lost from float to the mean of the fresh chips."""
        return self.unquantised - float(np.mean(self.mismatched))


def train_for_chip(
    network: Network,
    learn: Samples,
    check: Samples,
    outputs: Sequence[str],
    *,
    chip: Chip | str = "dynapse2",
    largest: float,
    steps: int,
    seed: int,
    mismatch: float = 0.2,
    draws: int = 2,
    batch: int = 32,
    dt: float = 1e-3,
    rate: float = 0.02,
    fresh: int = 20,
    cv: float = 0.2,
    start: float = 0.0,
    progress: Callable[[int, float], None] | None = None,
) -> Arrival:
    """Train the weights of a classifier within a core's levels, compile it, and try it on fresh chips.

    **Arguments**

    - `network`: its connections are the synapses that may be, their weights (A) the start.
    - `learn`, `check`: samples; `outputs`: the population of each class, in the order of the labels.
    - `largest`: the largest weight (A). `mismatch`: coefficient of variation that the loss draws, 0 for none; `draws`
      chips a step. `fresh` chips of coefficient `cv` are drawn for the trial, by seeds that training does not use.
    - `start`: s, from which on spikes count.

    **Returns** an `Arrival`. **Raises** as `train` and `compile` do.
    """
    chip = chip if isinstance(chip, Chip) else load_chip(chip)
    devices = dense(network)
    inputs = learn.binned(devices.sources - devices.neurons, dt)

    def batches(k: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.random.default_rng([seed, k]).choice(len(learn.label), batch, replace=False)
        return inputs[chosen], learn.label[chosen]

    trained = train(
        devices, counting_loss(members(network, outputs), dt, start=start), batches,
        steps=steps, key=jax.random.key(seed), mask=allowed(network), largest=largest, rate=rate, mismatch=mismatch,
        draws=draws, levels=lambda w: weight_levels(chip, w, seed=seed).sums, quantise_from=steps // 2,
        progress=progress,
    )  # fmt: skip
    plain = with_weights(network, trained.weight)
    every = np.concatenate([c.weight for c in plain.connections])
    chosen = weight_levels(chip, every, seed=seed)
    grid = np.append(0.0, chosen.sums)
    middle = (grid[1:] + grid[:-1]) / 2
    kept = [replace(c, weight=grid[np.searchsorted(middle, c.weight)]) for c in plain.connections]
    kept = [replace(c, pairs=c.pairs[c.weight > 0], weight=c.weight[c.weight > 0]) for c in kept]
    small = replace(plain, connections=tuple(c for c in kept if len(c.pairs)))
    mapping = compile(small, chip, cores=1, weight_currents=list(chosen.currents))
    trial = {"samples": check, "outputs": outputs, "start": start}
    return Arrival(
        trained,
        mapping,
        float(accuracy(plain, [Mismatch()], **trial)[0]),
        float(accuracy(mapping.network, [Mismatch()], **trial)[0]),
        accuracy(mapping.network, chips(fresh, cv, seed + 1000), **trial),
    )
