"""What a chip's spikes say, and how far that is from the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..network import Network
from ._reference import WINDOW, Reference

SETTLED = 20.0  # s; from then on windows count: the four averaging stages have settled
MARGIN = 2.0  # bpm; nearer to a boundary than this, the reference itself cannot tell the zone
MEMORY = 2.0  # s of zone spikes that name the zone
SLACK = 10.0  # s; a switch may come this much before or after the reference's
MAJORITY = 0.5  # of the beat neurons, within COINCIDENCE seconds, make a beat
COINCIDENCE, DEAD_TIME = 0.06, 0.3


@dataclass(frozen=True)
class Answer:
    """One chip's answer on the reference's windows: `zone` [n] (-1 before the first), `heart_rate` [n] (bpm)."""

    zone: np.ndarray
    heart_rate: np.ndarray
    beats: np.ndarray


def answer(network: Network, time: np.ndarray, neuron: np.ndarray, windows: np.ndarray, zones: int) -> Answer:
    """Read one chip's spikes: the zone population that spikes most, and the rate of the beat neurons.

    **Arguments** `time`, `neuron`: the chip's spikes. `windows`: ends (s) of the windows.
    """
    offsets = network.offsets()
    beat = network.population("beat")
    beats = _beats(time[(neuron >= offsets["beat"]) & (neuron < offsets["beat"] + beat.size)], beat.size)
    rate = np.full(len(windows), np.nan)
    for i, end in enumerate(windows):
        inside = beats[(beats > end - WINDOW) & (beats <= end)]
        if len(inside) >= 3:
            rate[i] = 60.0 / np.median(np.diff(inside))
    counts = np.zeros((zones, len(windows)))
    for k in range(zones):
        start, size = offsets[f"zone{k}"], network.population(f"zone{k}").size
        spikes = np.sort(time[(neuron >= start) & (neuron < start + size)])
        counts[k] = np.searchsorted(spikes, windows, side="right") - np.searchsorted(spikes, windows - MEMORY)
    zone = np.where(counts.max(axis=0) > 0, counts.argmax(axis=0), -1)
    for i in range(1, len(zone)):  # silence names no zone: the last one stands
        if zone[i] < 0:
            zone[i] = zone[i - 1]
    return Answer(zone, rate, beats)


def _beats(spikes: np.ndarray, size: int) -> np.ndarray:
    """Times at which a majority of the beat neurons has fired within `COINCIDENCE`, one a `DEAD_TIME`."""
    spikes = np.sort(spikes)
    needed = max(1, int(np.ceil(MAJORITY * size)))
    beats: list[float] = []
    for first, last in zip(spikes, spikes[needed - 1 :], strict=False):
        if last - first <= COINCIDENCE and (not beats or first - beats[-1] > DEAD_TIME):
            beats.append(float(first))
    return np.asarray(beats)


def zones_of(rate: np.ndarray, boundaries: tuple[float, ...]) -> np.ndarray:
    """Zone of each rate (bpm): the number of boundaries below it; -1 where the rate is NaN."""
    return np.where(np.isnan(rate), -1, np.searchsorted(np.asarray(boundaries), rate, side="right"))


@dataclass(frozen=True)
class Score:
    """One chip against the reference. Accuracies are means over the zones that the reference visits."""

    zone_accuracy: float
    zone_accuracy_near: float
    heart_rate_mae: float
    switches_missed: int
    false_switches_per_hour: float


@dataclass(frozen=True)
class Truth:
    """What the reference says on the windows that count, and what a constant answer would score."""

    zone: np.ndarray
    clear: np.ndarray
    visited: tuple[int, ...]
    constant: float
    constant_time_share: float
    switches: list[tuple[float, int]]


def truth(reference: Reference, boundaries: tuple[float, ...], start: float, end: float) -> Truth:
    """The reference's zones between `start` and `end` (s).

    `clear` marks windows more than `MARGIN` from every boundary. A switch is counted when the reference has gone
    beyond a boundary by `MARGIN`. `constant` is the best mean over visited zones of any constant answer, so one over
    their number; `constant_time_share` is its share of all clear windows.
    """
    zone = zones_of(reference.rate, boundaries)
    counted = (reference.time >= max(start, SETTLED)) & (reference.time <= end) & (zone >= 0)
    distance = np.min(np.abs(reference.rate[:, None] - np.asarray(boundaries)[None, :]), axis=1)
    clear = counted & (distance > MARGIN)
    visited = tuple(int(z) for z in np.unique(zone[clear]))
    switches, held = [], None
    for t, z, ok in zip(reference.time, zone, clear, strict=True):
        if ok and z != held:
            if held is not None:
                switches.append((float(t), int(z)))
            held = z
    share = max((float(np.mean(zone[clear] == z)) for z in visited), default=float("nan"))
    one_over = 1.0 / len(visited) if visited else float("nan")
    return Truth(np.where(counted, zone, -1), clear, visited, one_over, share, switches)


def score(given: Answer, expected: Truth, reference: Reference, boundaries: tuple[float, ...]) -> Score:
    """Accuracy, heart-rate error and switches of one chip."""

    def accuracy(use: np.ndarray) -> float:
        return float(
            np.mean([np.mean(given.zone[use & (expected.zone == z)] == z) for z in expected.visited])
            if expected.visited
            else np.nan
        )

    counted = expected.zone >= 0
    error = np.abs(given.heart_rate - reference.rate)[counted]
    # A window in which no beat was heard is as wrong as the rate itself.
    error = np.where(np.isnan(error), reference.rate[counted], error)
    missed = sum(not _shows(given.zone, reference.time, t, z, expected.switches) for t, z in expected.switches)
    hours = max(1e-9, np.sum(counted) / 3600.0)
    false = sum(
        not _near(reference, boundaries, t, z)
        for t, z in _changes(given.zone, reference.time)
        if expected.zone[np.searchsorted(reference.time, t)] >= 0
    )
    return Score(
        zone_accuracy=accuracy(expected.clear),
        zone_accuracy_near=accuracy(counted),
        heart_rate_mae=float(np.mean(error)) if len(error) else float("nan"),
        switches_missed=int(missed),
        false_switches_per_hour=float(false / hours),
    )


def _changes(zone: np.ndarray, time: np.ndarray) -> list[tuple[float, int]]:
    at = np.flatnonzero((zone[1:] != zone[:-1]) & (zone[:-1] >= 0)) + 1
    return [(float(time[i]), int(zone[i])) for i in at]


def _shows(zone: np.ndarray, time: np.ndarray, t: float, z: int, switches: list[tuple[float, int]]) -> bool:
    """Whether the network is in zone z at some time from shortly before t until the next switch and the slack."""
    end = min((u for u, _ in switches if u > t), default=t) + SLACK
    use = (time >= t - SLACK) & (time <= max(end, t + SLACK))
    return bool(np.any(zone[use] == z))


def _near(reference: Reference, boundaries: tuple[float, ...], t: float, z: int) -> bool:
    """Whether the reference, within the margin, is in zone z at some time within the slack around t."""
    edges = np.concatenate([[-np.inf], boundaries, [np.inf]])
    use = np.abs(reference.time - t) <= SLACK
    rate = reference.rate[use]
    return bool(np.any(np.isnan(rate) | ((rate >= edges[z] - MARGIN) & (rate <= edges[z + 1] + MARGIN))))
