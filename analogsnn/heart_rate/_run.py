"""The whole path: recording → events → network → compiled, trimmed, decoded chips → simulation → scores."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..chips import Mapping, compile
from ..network import Events, Mismatch, Network, Spikes, lanes, level_crossings, simulate
from ..network import chips as produce
from ._network import CURRENTS, heart_rate_network
from ._recording import Recording
from ._reference import Reference, reference
from ._score import Answer, Score, Truth, answer, score, truth
from ._trim import trim, trim_work

Build = Callable[[np.ndarray | None, Sequence[float]], Network]
Task = TypeVar("Task")
Done = TypeVar("Done")

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


def preparing_work(boundaries: Sequence[float], count: int, trimmed: bool = True) -> float:
    """Chip-seconds that `prepare_chips` reports to its `progress`."""
    zones = len(boundaries) + 1
    return (count if trimmed else 1) * trim_work(heart_rate_network(zones), zones - 1)


def prepare_chips(
    boundaries: Sequence[float],
    count: int,
    *,
    seed: int,
    cv: float = CV,
    trimmed: bool = True,
    chip: str = CHIP,
    build: Build | None = None,
    dt: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Chip]:
    """Compile the network for `count` mismatched chips, each trimmed to the boundaries by its own answers.

    Untrimmed chips all get the configuration that suits a chip without mismatch.

    **Arguments**

    - `build`: another network than `heart_rate_network` whose populations `above<k>` compare with the boundaries:
      from drives (None: any) and weight currents (A).
    - `dt`: step (s) while trimming; the simulation's own unless given.
    - `progress`: receives chip-seconds as they are done, `preparing_work` in all.
    """
    zones = len(boundaries) + 1

    def built(drives: np.ndarray | None, currents: Sequence[float]) -> Mapping:
        network = heart_rate_network(zones, drives, currents=currents) if build is None else build(drives, currents)
        return compile(network, chip, cores=1, weight_currents=currents)

    first = built(None, CURRENTS)
    currents = [code.realised for code in first.weights[0].codes.values()]
    production = produce(count, cv, seed)
    tuned = production if trimmed else [Mismatch()]
    drives = _in_threads(
        lambda group: trim(first.network, boundaries, group, currents, dt=dt, progress=progress), _groups(tuned)
    )
    mappings = [built(d, currents) for d in np.concatenate(drives)]
    return [Chip(m, mappings[k if trimmed else 0]) for k, m in enumerate(production)]


def run_all(
    jobs: Sequence[tuple[Recording, Sequence[Chip]]],
    boundaries: Sequence[float],
    *,
    dt: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Run]:
    """Simulate chips on recordings and score them; `progress` receives chip-seconds as they are done.

    `dt`: step (s); the simulation's own unless given. All groups of all jobs share the cores, the longest first.
    """
    encoded = [level_crossings(recording.signal, recording.rate)[0] for recording, _ in jobs]
    tasks = [(number, group) for number, (_, chips) in enumerate(jobs) for group in _groups(list(chips), len(jobs))]
    tasks.sort(key=lambda task: -jobs[task[0]][0].duration)

    def simulate_group(task: tuple[int, list[Chip]]) -> tuple[Spikes, float]:
        number, group = task
        devices = lanes([c.network for c in group], [c.mismatch for c in group])
        events = Events(encoded[number], np.zeros(len(encoded[number]), int))
        done, seconds, started = 0.0, 0.0, clock.perf_counter()

        def report(until: float) -> None:
            nonlocal done, seconds, started
            if done > 0:  # the first chunk holds the compilation
                seconds += clock.perf_counter() - started
            started = clock.perf_counter()
            if progress is not None:
                progress((until - done) * len(group))
            done = until

        spikes = simulate(devices, events, jobs[number][0].duration, dt=dt, progress=report)
        return spikes, seconds / max(1e-9, done - 1.0) / len(group)

    results = _in_threads(simulate_group, tasks)
    b = tuple(float(x) for x in boundaries)
    runs = []
    for number, (recording, chips) in enumerate(jobs):
        expected = reference(recording)
        known = truth(expected, b, 0.0, recording.duration)
        mine = [(group, *done) for (n, group), done in zip(tasks, results, strict=True) if n == number]
        answers = [
            answer(c.network, *spikes.of(lane), expected.time, len(b) + 1)
            for group, spikes, _ in mine
            for lane, c in enumerate(group)
        ]
        runs.append(
            Run(
                recording=recording,
                reference=expected,
                truth=known,
                boundaries=b,
                chips=list(chips),
                scores=[score(given, known, expected, b) for given in answers],
                answers=answers,
                spikes=mine[0][1].of(0),
                events_per_second=len(encoded[number]) / recording.duration,
                real_time_factor=1.0 / float(np.mean([cost for _, _, cost in mine])),
            )
        )
    return runs


def side_by_side(first: Callable[[], Done], second: Callable[[], Task]) -> tuple[Done, Task]:
    """What two chains of work that do not need each other make, each where the other leaves a core idle."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second)
        return first(), other.result()


def in_groups(work: Callable[[list[Task]], Sequence[Done]], members: Sequence[Task]) -> list[Done]:
    """What `work` makes of groups of members, each on a core of its own, in the order of the members."""
    return [done for group in _in_threads(work, _groups(list(members))) for done in group]


def _groups(members: list, jobs: int = 1) -> list[list]:
    """As few groups as `LANES` allows, but one a worker where no other `jobs` keep it busy, and as equal as can be:
    equal shapes compile once."""
    count = max(-(-len(members) // LANES), min(-(-WORKERS // jobs), len(members)))
    return [list(g) for g in np.array_split(np.array(members, dtype=object), count)]


def _in_threads(work: Callable[[Task], Done], groups: Sequence[Task]) -> list[Done]:
    # XLA releases the interpreter while it computes, so threads use all cores.
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, groups))
