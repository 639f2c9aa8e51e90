"""Trimming of single chips: a metronome at each boundary, and synapses adjusted until the chip switches there.

Mismatch of 20 % moves the rate at which a population of eight switches by ten to thirty per cent. A chip's synapses
are digital words, so each chip can be trimmed like an instrument, neuron by neuron: only its spikes are observed, only
its words are changed, and the recording to be judged later is not involved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..network import Events, Input, Mismatch, Network, Spikes, lanes, level_crossings, simulate
from ._network import DRIVES, drive, part, spread

PULSE_RATE = 100.0  # Hz, sampling of the metronome's pulses
HEARD = ("beat", "rate2", "tonic")  # what drives `above`
SETTLE, OBSERVE = 10.0, 14.0  # s; averaging over 1.44 s settles to 0.1 % in 10 s, with mismatch in 14 s
COUNTED = 7.0  # s at the end of OBSERVE
SWITCHED = 15.0  # Hz a neuron; from there on the zones take notice
NEURON_HALVINGS = 8  # of an interval of ratio 40: 1.5 % of a neuron's drive
POPULATION_HALVINGS = 7  # of an interval of ratio 2.7: 0.8 % of a population's
STIRRED = 6.0  # Hz; a neuron without its fellows just fires


def metronome(rates: Sequence[float], stay: float) -> np.ndarray:
    """Level-crossing events (s) of an ordinary pulse shape that keeps to each of `rates` (bpm) for `stay` s.

    A pulse is a systolic wave and a dicrotic one of 0.3 times its height, as bell curves 0.16 and 0.42 s after the
    foot; it passes through the same encoder as a recording.
    """
    beats, time = [], 0.0
    while time < stay * len(rates):
        beats.append(time)
        time += 60.0 / rates[int(time / stay)]
    t = np.arange(0.0, stay * len(rates), 1 / PULSE_RATE)
    since = t - np.asarray(beats)[np.searchsorted(beats, t, side="right") - 1]
    signal = np.exp(-0.5 * ((since - 0.16) / 0.055) ** 2) + 0.3 * np.exp(-0.5 * ((since - 0.42) / 0.07) ** 2)
    return level_crossings(signal, PULSE_RATE)[0]


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
    events = metronome(boundaries, stay)
    total = stay * len(boundaries)
    answer = simulate(lanes(front, chips), Events(events, np.zeros(len(events), int)), total, progress=progress)
    shape = (network.population("above1").size, network.population("rate2").size)
    drives = np.empty((len(chips), len(boundaries), *shape), int)
    for k in range(len(boundaries)):
        stimulus = _heard(front, answer, k * stay + SETTLE, OBSERVE)
        drives[:, k] = _trimmed(network, f"above{k + 1}", stimulus, chips, currents)
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


def _trimmed(network: Network, above: str, stimulus: Events, chips: Sequence[Mismatch], currents) -> np.ndarray:
    """The drives [chip, above, rate] of one population.

    First each neuron alone, without its fellows' excitation, so that all of them start to fire at the same rate of
    beats; then the population as it is, by a common factor, so that it switches at the boundary.
    """
    size, sources = network.population(above).size, network.population("rate2").size
    inputs = [Input(name=n, size=network.population(n).size) for n in HEARD]
    base = part(network, [above], inputs)
    coupled = tuple(c for c in base.connections if c.source != "rate2")
    alone = tuple(c for c in coupled if c.source != above)

    def rates(means: np.ndarray, fixed: tuple) -> np.ndarray:
        """Rates (Hz) [chip, above] at the end of the stimulus, for mean drives [chip, above]."""
        trial = [replace(base, connections=(*fixed, drive(above, spread(m, sources), currents))) for m in means]
        spikes = simulate(lanes(trial, chips), stimulus, OBSERVE, chunk=OBSERVE)
        late = spikes.time > OBSERVE - COUNTED
        index = spikes.lane[late] * size + spikes.neuron[late]
        return np.bincount(index, minlength=len(chips) * size).reshape(len(chips), size) / COUNTED

    low = np.full((len(chips), size), float(DRIVES[0]))
    high = np.full((len(chips), size), float(DRIVES[-1]))
    for _ in range(NEURON_HALVINGS):
        middle = np.sqrt(low * high)
        fires = rates(middle, alone) > STIRRED
        high, low = np.where(fires, middle, high), np.where(fires, low, middle)
    means = np.sqrt(low * high)
    low, high = np.full((len(chips), 1), 0.6), np.full((len(chips), 1), 1.6)
    for _ in range(POPULATION_HALVINGS):
        middle = np.sqrt(low * high)
        switched = rates(means * middle, coupled).mean(axis=1, keepdims=True) > SWITCHED
        high, low = np.where(switched, middle, high), np.where(switched, low, middle)
    return np.stack([spread(m, sources) for m in means * np.sqrt(low * high)])
