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
from ._network import DRIVES, drive, nudged, part, spread

PULSE_RATE = 100.0  # Hz, sampling of the metronome's pulses
FRONT = ("edge", "beat", "rate1", "rate2", "tonic")
HEARD = ("beat", "rate2", "tonic")  # what drives `above`
SETTLE, OBSERVE = 8.0, 10.0  # s; what they leave unsettled, some two per cent of the drive, the sweeps correct
COUNTED = 5.0  # s at the end of OBSERVE
SWITCHED = 20.0  # Hz a neuron; from there on the zones take notice
NEURON_HALVINGS = 8  # of an interval of ratio 40: 1.5 % of a neuron's drive
POPULATION_HALVINGS = 5  # of an interval of ratio 2.7: 3 % of a population's
STIRRED = 6.0  # Hz; a neuron without its fellows just fires
SWEEPS = 3  # the best of them is kept
# Of a real pulse: its zone is that of its median interval, but chips average, and long intervals outweigh short ones
# (first half of the recording that heartpy ships: 0.989).
MEAN_OVER_MEDIAN = 0.99
DEPTH, PERIOD = 0.03, 28.0  # of a sweep: to either side of the boundary, and s; slow against the averaging
LAG = 4.0  # s from a beat to its effect on `above`: three stages of 1.25 s
WITHIN = 1.0  # s of spikes that say whether a population is on
DRIVE_PER_RATE = 0.65  # relative change of the drive that moves the switching point by as much as one of the rate


def stimulus(boundary: float) -> np.ndarray:
    """Rates (bpm) second by second: at the boundary, then a sweep over it, up and down, and the start of the next.

    A population that switches at the boundary is on for half of a sweep, however late or steep its answer is.
    """
    swept = np.interp(np.arange(PERIOD + LAG) / PERIOD % 1, [0, 0.25, 0.75, 1], [0, DEPTH, -DEPTH, 0])
    return MEAN_OVER_MEDIAN * boundary * np.concatenate([np.ones(round(SETTLE + OBSERVE)), 1 + swept])


def metronome(rates: Sequence[float] | np.ndarray, stay: float) -> np.ndarray:
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


def trim_work(network: Network, boundaries: int) -> float:
    """Seconds that `trim` simulates of one chip; a part of the chip counts by its share of the neurons."""
    front = sum(network.population(name).size for name in FRONT)
    above = network.population("above1").size
    runs = NEURON_HALVINGS + POPULATION_HALVINGS
    sweep = PERIOD + LAG
    observed = runs * OBSERVE + SWEEPS * (OBSERVE + sweep)
    return boundaries * ((SETTLE + OBSERVE + sweep) * front + observed * above) / network.size


def trim(
    network: Network,
    boundaries: Sequence[float],
    chips: Sequence[Mismatch],
    currents: Sequence[float],
    *,
    dt: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """Drives of every chip, from what its own neurons do.

    **Arguments**

    - `network`: the network as the chip realises it; its drives are replaced.
    - `boundaries`: bpm, one for each population `above<k>`.
    - `currents`: the chip's four weight currents (A).
    - `dt`: step (s); the simulation's own unless given.
    - `progress`: called with chip-seconds as they are done, in all `trim_work` for each chip.

    **Returns** int array [chip, boundary, above, rate] for `heart_rate_network`.
    """
    front = part(network, FRONT)
    stay = SETTLE + OBSERVE + PERIOD + LAG
    events = metronome(np.concatenate([stimulus(b) for b in boundaries]), 1.0)
    total = stay * len(boundaries)
    done = 0.0

    def front_done(until: float) -> None:
        nonlocal done
        if progress is not None:
            progress((until - done) * len(chips) * front.size / network.size)
        done = until

    answer = simulate(
        lanes(front, chips), Events(events, np.zeros(len(events), int)), total, dt=dt, progress=front_done
    )
    above = [f"above{k + 1}" for k in range(len(boundaries))]
    heard = [_heard(front, answer, k * stay + SETTLE, stay - SETTLE) for k in range(len(boundaries))]
    drives = _trimmed(network, above, heard, chips, currents, dt, progress)
    return drives.reshape(len(above), len(chips), *drives.shape[1:]).swapaxes(0, 1)


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


def _trimmed(
    network: Network,
    names: Sequence[str],
    heard: Sequence[Events],
    chips: Sequence[Mismatch],
    currents: Sequence[float],
    dt: float | None,
    progress: Callable[[float], None] | None,
) -> np.ndarray:
    """The drives [population and chip, above, rate] of the populations `names`, each a lane on each chip.

    First each neuron alone, without its fellows' excitation, so that all of them start to fire at the same rate of
    beats; then the population as it is, by a common factor; then single synapses, until it is on for half of a sweep.
    """
    size, sources = network.population(names[0]).size, network.population("rate2").size
    inputs = [Input(name=n, size=network.population(n).size) for n in HEARD]
    bases = [part(network, [name], inputs) for name in names for _ in chips]
    members = [chip for _ in names for chip in chips]
    played = _side_by_side(heard, len(chips))

    def answers(drives: Sequence[np.ndarray] | np.ndarray, coupled: bool, duration: float) -> Spikes:
        """Spikes of the lanes for drives [lane][above, rate]."""
        trial = []
        for base, given in zip(bases, drives, strict=True):
            (name,) = (p.name for p in base.populations)
            kept = [c for c in base.connections if c.source != "rate2" and (coupled or c.source != name)]
            trial.append(replace(base, connections=(*kept, drive(name, given, currents))))
        spikes = simulate(lanes(trial, members), _first(played, duration), duration, dt=dt, chunk=OBSERVE)
        if progress is not None:
            progress(duration * len(members) * size / network.size)
        return spikes

    def rates(means: np.ndarray, coupled: bool) -> np.ndarray:
        """Rates (Hz) [lane, above] at the boundary."""
        spikes = answers([spread(m, sources) for m in means], coupled, OBSERVE)
        late = spikes.time > OBSERVE - COUNTED
        index = spikes.lane[late] * size + spikes.neuron[late]
        return np.bincount(index, minlength=len(members) * size).reshape(len(members), size) / COUNTED

    def points(drives: np.ndarray) -> np.ndarray:
        """Switching points [lane] in a sweep, relative to the boundary, from the share of time that is above it."""
        spikes = answers(drives, True, OBSERVE + PERIOD + LAG)
        when = OBSERVE + LAG + np.arange(0.0, PERIOD, 0.1)
        shares = []
        for lane in range(len(members)):
            time = np.sort(spikes.of(lane)[0])
            count = np.searchsorted(time, when) - np.searchsorted(time, when - WITHIN)
            shares.append(np.mean(count > SWITCHED * WITHIN * size))
        return DEPTH * (1 - 2 * np.array(shares))

    low = np.full((len(members), size), float(DRIVES[0]))
    high = np.full((len(members), size), float(DRIVES[-1]))
    for _ in range(NEURON_HALVINGS):
        middle = np.sqrt(low * high)
        fires = rates(middle, coupled=False) > STIRRED
        high, low = np.where(fires, middle, high), np.where(fires, low, middle)
    means = np.sqrt(low * high)
    low, high = np.full((len(members), 1), 0.6), np.full((len(members), 1), 1.6)
    for _ in range(POPULATION_HALVINGS):
        middle = np.sqrt(low * high)
        switched = rates(means * middle, coupled=True).mean(axis=1, keepdims=True) > SWITCHED
        high, low = np.where(switched, middle, high), np.where(switched, low, middle)
    drives = np.stack([spread(m, sources) for m in means * np.sqrt(low * high)])
    best, least = drives, np.full(len(members), np.inf)
    for _ in range(SWEEPS):
        off = points(drives)
        better = np.abs(off) < least
        best, least = np.where(better[:, None, None], drives, best), np.minimum(np.abs(off), least)
        drives = np.stack([nudged(d, f) for d, f in zip(drives, np.exp(DRIVE_PER_RATE * off), strict=True)])
    return best


def _first(events: Events, duration: float) -> Events:
    end = np.searchsorted(events.time, duration)
    return Events(events.time[:end], events.channel[:end], np.asarray(events.lane)[:end])


def _side_by_side(parts: Sequence[Events], count: int) -> Events:
    """Events of several simulations of `count` lanes each, as those of one simulation."""
    time = np.concatenate([p.time for p in parts])
    channel = np.concatenate([p.channel for p in parts])
    lane = np.concatenate([k * count + np.asarray(p.lane) for k, p in enumerate(parts)])
    order = np.argsort(time, kind="stable")
    return Events(time[order], channel[order], lane[order])
