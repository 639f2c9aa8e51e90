"""The whole path: recording → events → network → compiled, trimmed, decoded chips → simulation → scores."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..chips import Mapping, compile
from ..network import Events, Mismatch, Network, Spikes, lanes, level_crossings, simulate
from ..network import chips as produce
from ._network import CURRENTS, heart_rate_network
from ._recording import Recording
from ._reference import Reference, reference
from ._score import Answer, Score, Truth, answer, score, truth
from ._trim import trim

CV = 0.2  # coefficient of variation of every current of every device
LANES = 10  # chips that step together; fewer waste the step's overhead, more leave the cache
WORKERS = 2
CHIP = "dynapse2"


@dataclass(frozen=True)
class Chip:
    """One chip of a production run: its mismatch, its configuration, and the network decoded from that alone."""

    mismatch: Mismatch
    mapping: Mapping

    @property
    def network(self) -> Network:
        """The decoded network; what is simulated."""
        return self.mapping.network


@dataclass(frozen=True)
class Run:
    """Chips on one recording. `scores` and `answers` are in the order of `chips`; `spikes` are those of chip 0."""

    recording: Recording
    reference: Reference
    truth: Truth
    boundaries: tuple[float, ...]
    chips: list[Chip]
    scores: list[Score]
    answers: list[Answer]
    spikes: tuple[np.ndarray, np.ndarray]
    events_per_second: float
    real_time_factor: float


def prepare_chips(
    boundaries: Sequence[float],
    count: int,
    *,
    seed: int,
    cv: float = CV,
    trimmed: bool = True,
    chip: str = CHIP,
    progress: Callable[[float], None] | None = None,
) -> list[Chip]:
    """Compile the network for `count` mismatched chips, each trimmed to the boundaries by its own answers.

    Untrimmed chips all get the configuration that suits a chip without mismatch.
    """
    zones = len(boundaries) + 1
    first = compile(heart_rate_network(zones), chip, cores=1, weight_currents=CURRENTS)
    currents = [code.realised for code in first.weights[0].codes.values()]
    production = produce(count, cv, seed)
    tuned = production if trimmed else [Mismatch()]
    drives = _in_threads(
        lambda group: trim(first.network, boundaries, group, currents, progress=progress), _groups(tuned)
    )
    each = np.concatenate(drives) if trimmed else np.repeat(np.concatenate(drives), count, axis=0)
    return [
        Chip(m, compile(heart_rate_network(zones, d, currents=currents), chip, cores=1, weight_currents=currents))
        for m, d in zip(production, each, strict=True)
    ]


def run(
    recording: Recording,
    boundaries: Sequence[float],
    chips: Sequence[Chip],
    *,
    progress: Callable[[float], None] | None = None,
) -> Run:
    """Simulate chips on a recording and score them; `progress` receives chip-seconds as they are done."""
    rising, _ = level_crossings(recording.signal, recording.rate)
    events = Events(rising, np.zeros(len(rising), int))
    groups = _groups(list(chips))

    def simulate_group(group: Sequence[Chip]) -> tuple[Spikes, float]:
        devices = lanes([c.network for c in group], [c.mismatch for c in group])
        done = 0.0

        def report(seconds: float) -> None:
            nonlocal done
            if progress is not None:
                progress((seconds - done) * len(group))
            done = seconds

        start = clock.thread_time()
        spikes = simulate(devices, events, recording.duration, progress=report)
        return spikes, clock.thread_time() - start

    results = _in_threads(simulate_group, groups)
    expected = reference(recording)
    b = tuple(float(x) for x in boundaries)
    known = truth(expected, b, 0.0, recording.duration)
    answers = [
        answer(c.network, *spikes.of(lane), expected.time, len(b) + 1)
        for group, (spikes, _) in zip(groups, results, strict=True)
        for lane, c in enumerate(group)
    ]
    return Run(
        recording=recording,
        reference=expected,
        truth=known,
        boundaries=b,
        chips=list(chips),
        scores=[score(a, known, expected, b) for a in answers],
        answers=answers,
        spikes=results[0][0].of(0),
        events_per_second=len(rising) / recording.duration,
        real_time_factor=recording.duration / max(1e-9, results[0][1]) * len(groups[0]),
    )


def _groups(members: list) -> list[list]:
    """As few groups as `LANES` allows, but one a worker, and as equal as can be: equal shapes compile once."""
    count = max(-(-len(members) // LANES), min(WORKERS, len(members)))
    return [list(g) for g in np.array_split(np.array(members, dtype=object), count)]


def _in_threads(work: Callable, groups: Sequence) -> list:
    # XLA releases the interpreter while it computes, so threads use all cores.
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, groups))
