"""Trimming of single chips: a metronome at each boundary, and synapses adjusted until the chip switches there.

Mismatch of 20 % moves the rate at which a population of eight switches by ten to thirty per cent. A chip's synapses
are digital words, so each chip can be trimmed like an instrument: only its spikes are observed, only its words are
changed, and the recording to be judged later is not involved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..network import Events, Input, Mismatch, Network, Spikes, lanes, simulate
from ._network import DRIVES, drive, part, spread

UPSTROKE = np.arange(10) * 12e-3  # s; the level crossings that a pulse of ordinary shape gives
HEARD = ("beat", "rate2", "tonic")  # what drives `above`
SETTLE, OBSERVE = 10.0, 14.0  # s; averaging over 1.44 s settles to 0.1 % in 10 s, with mismatch in 14 s
COUNTED = 7.0  # s at the end of OBSERVE
SWITCHED = 15.0  # Hz a neuron; from there on the zones take notice
HALVINGS = 10  # of an interval of ratio 40: 0.3 % of the drive


def metronome(rate: float, duration: float, start: float = 0.0) -> np.ndarray:
    """Level-crossing events (s) of a pulse at `rate` bpm, for `duration` s from `start` s."""
    beats = np.arange(start, start + duration - UPSTROKE[-1], 60.0 / rate)
    return (beats[:, None] + UPSTROKE).ravel()


def trim(
    network: Network,
    boundaries: Sequence[float],
    chips: Sequence[Mismatch],
    currents: Sequence[float],
    *,
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """Drives of every chip, from what its own neurons do.

    **Arguments**

    - `network`: the network as the chip realises it; its drives are replaced.
    - `boundaries`: bpm, one for each population `above<k>`.
    - `currents`: the chip's four weight currents (A).

    **Returns** int array [chip, boundary, above, rate] for `heart_rate_network`.
    """
    front = part(network, ["edge", "beat", "rate1", "rate2", "tonic"])
    stay = SETTLE + OBSERVE
    events = np.concatenate([metronome(b, stay, k * stay) for k, b in enumerate(boundaries)])
    total = stay * len(boundaries)
    answer = simulate(lanes(front, chips), Events(events, np.zeros(len(events), int)), total, progress=progress)
    shape = (network.population("above1").size, network.population("rate2").size)
    drives = np.empty((len(chips), len(boundaries), *shape), int)
    for k in range(len(boundaries)):
        stimulus = _heard(front, answer, k * stay + SETTLE, OBSERVE)
        drives[:, k] = _bisect(network, f"above{k + 1}", stimulus, chips, currents)
    return drives


def _heard(front: Network, spikes: Spikes, start: float, duration: float) -> Events:
    """What the `HEARD` populations said in a window, as input channels in their order."""
    offsets = front.offsets()
    channel = np.full(front.size, -1)
    first = 0
    for name in HEARD:
        size = front.population(name).size
        channel[offsets[name] : offsets[name] + size] = first + np.arange(size)
        first += size
    keep = (spikes.time >= start) & (spikes.time < start + duration) & (channel[spikes.neuron] >= 0)
    order = np.argsort(spikes.time[keep], kind="stable")
    return Events(spikes.time[keep][order] - start, channel[spikes.neuron[keep]][order], spikes.lane[keep][order])


def _bisect(network: Network, above: str, stimulus: Events, chips: Sequence[Mismatch], currents) -> np.ndarray:
    """The drives [chip, above, rate] at which `above` just switches."""
    size, sources = network.population(above).size, network.population("rate2").size
    inputs = [Input(name=n, size=network.population(n).size) for n in HEARD]
    base = part(network, [above], inputs)
    fixed = tuple(c for c in base.connections if c.source != "rate2")

    def driven(mean: float) -> Network:
        return replace(base, connections=(*fixed, drive(above, spread(mean, (size, sources)), currents)))

    low, high = np.full(len(chips), float(DRIVES[0])), np.full(len(chips), float(DRIVES[-1]))
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        answer = simulate(lanes([driven(m) for m in middle], chips), stimulus, OBSERVE, chunk=OBSERVE)
        late = answer.time > OBSERVE - COUNTED
        rate = np.bincount(answer.lane[late], minlength=len(chips)) / (COUNTED * size)
        high, low = np.where(rate > SWITCHED, middle, high), np.where(rate > SWITCHED, low, middle)
    return np.stack([spread(m, (size, sources)) for m in np.sqrt(low * high)])
