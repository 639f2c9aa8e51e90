"""What the heart-rate system is measured by: how long zones are held, rises, false flags, and sizes of populations.

Every series is semi-synthetic: real pulse shapes, artificial timing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..chips import compile
from ..heart_rate import (
    Chip,
    Design,
    Recording,
    Run,
    flags,
    heart_rate_network,
    in_groups,
    noisy,
    prepare_chips,
    retimed_to,
    rise_network,
)
from ..heart_rate._network import CURRENTS, part
from ..heart_rate._score import answer
from ..heart_rate._series import schedule
from ..network import Events, Input, Mismatch, Network, Spikes, Synapse, lanes, level_crossings, simulate
from ._on_chips import CHIP, CV

DT = 2e-4  # s
# Of detectors. Four chips, a rise by 20 bpm in 100 s by a metronome: flags at steps of 0.2 and 0.4 ms are
# within 5 s of each other: 1 bpm of the rise.
COARSE = 4e-4
LONGEST = 1.74  # s: 24.5 pF at a leak of 0.5 pA, the off-current; no DPI of the chip is slower
DRIVEN = 5.0  # s that a zone is excited for before it is left alone
# bpm: the outer two of three boundaries are 10 bpm apart; a quarter of that is left to where a chip has them.
EARLY = 7.5
SLOWEST, FASTEST = 56.0, 98.0  # bpm of what does not rise: from where rises begin to where they end
RESET, SETTLED = 22.0, 25.0  # s; flags count from the latter on
EVERY = 0.25  # s between readings of the zone


@dataclass(frozen=True)
class Course:
    """Lengths (s) of a series for the detector: unchanging, rising by `rise` bpm, unchanging."""

    flat: float = 35.0
    rising: float = 300.0
    after: float = 30.0
    rise: float = 20.0
    usual: float = 0.02  # relative standard deviation of an interval

    @property
    def ends(self) -> np.ndarray:
        """Ends (s) of the three parts."""
        return np.cumsum([self.flat, self.rising, self.after])

    def series(self, source: Recording, start: float, *, seed: int) -> Recording:
        """Pulses of `source`, beginning at `start` bpm."""
        ends = self.ends

        def rate(time: float) -> float:
            return float(np.interp(time, ends[:2], [start, start + self.rise]))

        return retimed_to(source, rate, float(ends[-1]), seed=seed, jitter=self.usual)


@dataclass(frozen=True)
class Flags:
    """What detectors said of rises: `when`, the flags (s) of each series."""

    course: Course
    when: list[np.ndarray]

    @property
    def delay(self) -> np.ndarray:
        """From the beginning of each rise to its first flag that is not early (s, NaN: missed)."""
        start, _, end = self.course.ends
        found = [[t - start for t in w if self._known <= t < end] for w in self.when]
        return np.array([f[0] if f else np.nan for f in found])

    @property
    def early(self) -> np.ndarray:
        """Whether each rise was flagged before the rate had risen by `EARLY`: a false flag, though a rise follows."""
        return np.array([bool(np.any((w >= SETTLED) & (w < self._known))) for w in self.when])

    @property
    def _known(self) -> float:
        """When the rate has risen by `EARLY` (s)."""
        return float(self.course.ends[0] + self.course.rising * EARLY / self.course.rise)


@dataclass(frozen=True)
class Calm:
    """False flags where the rate (bpm) does not change: `rate` and `flags` of each series, and `hours` in all."""

    rate: np.ndarray
    flags: np.ndarray
    hours: float


def detected(chips: Sequence[Chip], series: Sequence[Recording], course: Course) -> Flags:
    """Flags of every chip on its own series, which rises."""
    return Flags(course, watched(chips, series, float(course.ends[-1])))


def calm(
    chips: Sequence[Chip], source: Recording, rates: np.ndarray, seconds: float, jitters: dict[str, float], seed: int
) -> dict[str, Calm]:
    """False flags where the rate does not change, for each of `jitters` by name (all of them side by side).

    Series k of each kind lasts `seconds` at `rates[k]` (bpm) and is heard by chip k modulo their number.
    """
    duration, count = SETTLED + seconds, len(rates)
    series = [
        retimed_to(source, lambda _, r=float(r): r, duration, seed=1000 * (2 * seed + kind) + k, jitter=jitter)
        for kind, jitter in enumerate(jitters.values())
        for k, r in enumerate(rates)
    ]
    members = [chips[k % len(chips)] for k in range(count)] * len(jitters)
    found = np.array([np.sum(w >= SETTLED) for w in watched(members, series, duration)])
    hours = count * seconds / 3600
    return {name: Calm(rates, found[k * count : (k + 1) * count], hours) for k, name in enumerate(jitters)}


def unchanging(count: int, seed: int) -> np.ndarray:
    """Rates (bpm) of `count` series that do not rise: from where rises begin to where they end, in any order."""
    return np.random.default_rng(seed).permutation(np.linspace(SLOWEST, FASTEST, count))


def watched(chips: Sequence[Chip], series: Sequence[Recording], duration: float) -> list[np.ndarray]:
    """When every chip flags a rise (s) on its own series; at `RESET` all of them forget what they have seen."""
    reset = np.arange(RESET, RESET + 1.0, 0.01)

    def work(group: list[int]) -> list[np.ndarray]:
        times, channels, members = [], [], []
        for lane, k in enumerate(group):
            level = level_crossings(series[k].signal, series[k].rate)[0]
            level = level[level < duration]
            times += [level, reset]
            channels += [np.zeros(len(level), int), np.ones(len(reset), int)]
            members.append(np.full(len(level) + len(reset), lane))
        time = np.concatenate(times)
        order = np.argsort(time, kind="stable")
        events = Events(time[order], np.concatenate(channels)[order], np.concatenate(members)[order])
        devices = lanes([chips[k].network for k in group], [chips[k].mismatch for k in group])
        spikes = simulate(devices, events, duration, dt=COARSE)
        return [flags(chips[k].network, *spikes.of(lane)) for lane, k in enumerate(group)]

    return in_groups(work, list(range(len(chips))))


def detectors(boundaries: Sequence[float], count: int, seed: int) -> list[Chip]:
    """Trimmed chips with the detector of long rises."""
    build = partial(_detector, len(boundaries))
    return prepare_chips(boundaries, count, seed=seed, build=build, dt=COARSE)


def untrimmed(network: Network, count: int, seed: int, cv: float = CV) -> list[Chip]:
    """The same configuration on `count` chips."""
    mapping = compile(network, CHIP, cores=1, weight_currents=CURRENTS)
    return [Chip(Mismatch(cv, seed, k), mapping) for k in range(count)]


def _detector(boundaries: int, drives: np.ndarray | None, currents: Sequence[float]) -> Network:
    return rise_network(drives, boundaries=boundaries, currents=currents)


def latencies(run: Run) -> np.ndarray:
    """From every change of the schedule to the first window in which a chip names the new zone (s) [chip, change].

    NaN where that does not happen before the next change. Windows are 1 s apart.
    """
    ends, rates = schedule(run.boundaries)
    zones = np.searchsorted(run.boundaries, rates, side="right")
    time = run.reference.time
    found = np.full((len(run.answers), len(ends) - 1), np.nan)
    for i, given in enumerate(run.answers):
        for k in range(len(ends) - 1):
            at = np.flatnonzero((time > ends[k]) & (time <= ends[k + 1]) & (given.zone == zones[k + 1]))
            if len(at):
                found[i, k] = time[at[0]] - ends[k]
    return found


def kept_alone(count: int, seed: int, seconds: float) -> dict[str, np.ndarray]:
    """How long a zone's neurons fire after their input ended (s, at most `seconds`) [chip].

    `attractor`: a zone of the network, cut off from everything but `above`. `integrator`: the same neurons without
    self-excitation, with the longest time constant that the chip has and all of its weight currents on each synapse.
    """
    integrator = Design(zone_self=(), above_zone=(79, 79), nmda=Synapse(tau=LONGEST, gain=1.0))
    return {
        name: _kept(design, count, seed, seconds)
        for name, design in (("attractor", Design()), ("integrator", integrator))
    }


def _kept(design: Design, count: int, seed: int, seconds: float) -> np.ndarray:
    whole = heart_rate_network(2, design=design)
    zone = part(whole, ["zone1"], [Input(name="above1", size=design.above)])
    chips = untrimmed(zone, count, seed)
    turns = np.arange(0.0, DRIVEN, 1 / 55 / design.above)  # 55 Hz each, as `above` fires
    events = Events(turns, np.arange(len(turns)) % design.above)
    devices = lanes([c.network for c in chips], [c.mismatch for c in chips])
    spikes = simulate(devices, events, DRIVEN + seconds, dt=DT)
    last = [max(0.0, float(spikes.of(k)[0].max(initial=0.0)) - DRIVEN) for k in range(count)]
    # A zone that still fires has held to the end; its neurons fire some 70 times a second.
    return np.array([seconds if t > seconds - 0.5 else t for t in last])


def held(chips: Sequence[Chip], boundaries: Sequence[float], source: Recording, seconds: float, seed: int):
    """Whether a zone is held while nothing is heard: share of chips, in the whole network.

    Chip k is brought into zone k modulo their number by 25 s of pulses; then the signal stands still for `seconds`.

    **Returns** bool [chip] (the same zone throughout and at the end), and the zone that each chip was in.
    """
    _, rates = schedule(tuple(boundaries))
    middles = np.unique(rates)
    heard = 25.0
    events = []
    for k in range(len(chips)):
        rate = float(middles[k % len(middles)])
        pulses = retimed_to(source, lambda _, r=rate: r, heard, seed=seed + k)
        events.append(level_crossings(pulses.signal, pulses.rate)[0])

    def work(group: list[int]) -> list[np.ndarray]:
        time = np.concatenate([events[k] for k in group])
        lane = np.concatenate([np.full(len(events[k]), i) for i, k in enumerate(group)])
        order = np.argsort(time, kind="stable")
        devices = lanes([chips[k].network for k in group], [chips[k].mismatch for k in group])
        zeros = np.zeros(len(time), int)
        spikes = simulate(devices, Events(time[order], zeros, lane[order]), heard + seconds, dt=DT)
        return [named_zones(chips[k].network, spikes, i, heard + seconds, len(middles)) for i, k in enumerate(group)]

    zones = in_groups(work, list(range(len(chips))))
    before = np.array([z[round((heard - 0.5) / EVERY) - 1] for z in zones])
    same = np.array([np.all(z[round((heard - 0.5) / EVERY) :] == b) for z, b in zip(zones, before, strict=True)])
    return same, before


def named_zones(network: Network, spikes: Spikes, lane: int, duration: float, zones: int) -> np.ndarray:
    """The zone that one chip names, every `EVERY` s from that on."""
    windows = np.arange(EVERY, duration + 1e-9, EVERY)
    return answer(network, *spikes.of(lane), windows, zones).zone


def with_noise(recordings: Sequence[Recording], level: float, seed: int) -> list[Recording]:
    """The recordings, each with noise of its own."""
    return [noisy(r, level, seed=seed + k) for k, r in enumerate(recordings)]
