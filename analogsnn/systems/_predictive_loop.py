"""The rule with chips in the loop: spikes come from the decoded chips, updates are computed outside.

A chip tells only its spikes. The update takes v from the rule's own equation, with the chip's spikes as z; the weights
that the chip gets are rounded to the 15 sums of its four weight currents. Weight 0.05 is, for every neuron, the code
that makes it fire as the rule's neuron does at the start: found by trying, and called its start code.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from ..chips import Mapping, compile
from ..network import Input, Mismatch, Network, Neuron, Population, Synapse, all_to_all, connect, lanes, simulate
from ._on_chips import CHIP, played
from ._predictive_rule import _F, H, present, traces

UNIT = 30e-9  # A: the smallest of four weight currents; a code is a sum of 1, 2, 4 and 8 of them
CURRENTS = tuple(UNIT * u for u in (1, 2, 4, 8))
START = 0.05  # the weight that a neuron's start code stands for
NEURON = Neuron(tau=10e-3, gain=2.0, refractory=3e-3, threshold=200e-12)
SYNAPSES = {"AMPA": Synapse(tau=2e-3, gain=0.05)}
PULSE = 200e-6


def predictor(codes: np.ndarray) -> Network:
    """Neurons whose synapses from the inputs have `codes`: int array [neuron, input], 1 to 15."""
    neurons, inputs = codes.shape
    cells = Population(name="predictor", size=neurons, neuron=NEURON, synapses=SYNAPSES, pulse=PULSE)
    weights = UNIT * codes.T.ravel()
    return Network(
        populations=(cells,),
        inputs=(Input(name="cue", size=inputs),),
        connections=(connect("cue", "predictor", "AMPA", all_to_all(inputs, neurons), weights),),
    )


@dataclass(frozen=True)
class Learning:
    """What chips in the loop did: `weights` [epoch + 1, chip, neuron, input]; `first` (s, NaN without a spike) and
    `count` [epoch, chip, neuron]; `codes` [chip, neuron, input] and the first chip's `mapping` at the end."""

    weights: np.ndarray
    first: np.ndarray
    count: np.ndarray
    codes: np.ndarray
    mapping: Mapping


def forward(codes: np.ndarray, chips: list[Mismatch], times: np.ndarray, duration: float):
    """Spikes of every neuron of every chip: [chip, neuron, step of H] of 0 and 1, and the first chip's mapping.

    **Arguments** `codes` [chip, neuron, input]; `times` [input] of one event each (s).
    """
    mappings = [compile(predictor(c), CHIP, cores=1, weight_currents=CURRENTS) for c in codes]
    devices = lanes([m.network for m in mappings], chips)
    spikes = simulate(devices, played(times, np.arange(len(times))), duration, dt=H)
    steps = round(duration / H)
    fired = np.zeros((*codes.shape[:2], steps), np.float32)
    fired[spikes.lane, spikes.neuron, np.minimum((spikes.time / H).astype(int), steps - 1)] = 1.0
    return fired, mappings[0]


def first_spikes(fired: np.ndarray) -> np.ndarray:
    """Time (s) of the first spike along the last axis, NaN without."""
    return np.where(fired.any(axis=-1), fired.argmax(axis=-1) * H, np.nan)


def start_codes(chips: list[Mismatch], neurons: int, times: np.ndarray, wanted: float) -> np.ndarray:
    """For each neuron, the code [chip, neuron] with which two equal synapses fire it nearest to `wanted` (s).

    0 where no code of up to 8 makes it fire after the second input: there is no room to learn.
    """
    tried = np.arange(1, 9)
    first = np.stack(
        [first_spikes(forward(np.full((len(chips), neurons, 2), c), chips, times, wanted + 0.03)[0]) for c in tried]
    )
    off = np.where(first > times[1], np.abs(first - wanted), np.inf)
    return np.where(np.isfinite(off.min(axis=0)), tried[off.argmin(axis=0)], 0)


def learn_on_chips(
    chips: list[Mismatch],
    start: np.ndarray,
    weights: np.ndarray,
    times: np.ndarray,
    duration: float,
    epochs: int,
    *,
    wired: int,
    tau: float,
    threshold: float,
    rate: float,
) -> Learning:
    """Learn for `epochs` presentations.

    **Arguments**

    - `start` [chip, neuron]: start codes. `weights` [input]: where all begin.
    - `times` [neuron, input] (s): one event each. The first `wired` inputs have synapses on the chip, and for them
      all neurons have the same times; the others are known to the update only.
    """
    neurons = start.shape[1]
    x = np.stack([traces(t, duration) for t in times]).astype(np.float32)
    w = np.broadcast_to(weights, (len(chips), neurons, len(weights))).astype(np.float32)

    def one(w, x, fired):
        return present(w, x, fired, _F(tau), _F(threshold), _F(rate), own=False)[0]

    update = jax.jit(jax.vmap(jax.vmap(one), in_axes=(0, None, 0)))

    def rounded(w: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(np.maximum(start, 1)[..., None] * w[..., :wired] / START), 1, 15).astype(int)

    history, first, count = [w], [], []
    mapping, codes = None, rounded(w)
    for _ in range(epochs):
        codes = rounded(w)
        fired, mapping = forward(codes, chips, times[0, :wired], duration)
        w = np.asarray(update(w, x, fired))
        history.append(w)
        first.append(first_spikes(fired))
        count.append(fired.sum(axis=-1))
    assert mapping is not None
    return Learning(np.array(history), np.array(first), np.array(count), codes, mapping)
