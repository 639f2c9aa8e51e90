"""What the size of populations does: where chips that are not trimmed switch, and whether they hold what they found.

Trimming neuron by neuron would hide it: all chips get the configuration that suits a chip without mismatch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..heart_rate import Chip, heart_rate_network, in_groups, prepare_chips, sized
from ..heart_rate._trim import metronome
from ..network import Events, Network, lanes, simulate
from ._heart_measures import COARSE, DT, EVERY, named_zones

SIZES = (1, 4, 16, 64)
BOUNDARY = 80.0  # bpm, between the two zones of the network
STEADY, SWEEP, DEPTH = 10, 40, 0.4  # s below the boundary, s from there to above it, and how far to either side
LAG = 5.0  # s by which a switch follows the rate: the averaging of the network
SILENCE = 20.0  # s


@dataclass(frozen=True)
class Sized:
    """Chips with populations of one size: `point` where each switches, relative to the boundary (NaN: never), and
    whether each holds the upper zone for `SILENCE` s without a pulse."""

    size: int
    point: np.ndarray
    held: np.ndarray


def by_size(size: int, count: int, seed: int) -> Sized:
    """Chips with `size` neurons in `above1` and in both zones, in a slow sweep of a metronome over the boundary.

    What a neuron hears stays as much for every size, so that it is averaging that differs.
    """

    def build(drives: np.ndarray | None, currents: Sequence[float]) -> Network:
        return heart_rate_network(2, drives, currents=currents, design=sized(size))

    chips = prepare_chips((BOUNDARY,), count, seed=seed, trimmed=False, build=build, dt=DT)
    rates = BOUNDARY * np.concatenate([np.full(STEADY, 1 - DEPTH), np.linspace(1 - DEPTH, 1 + DEPTH, SWEEP)])
    events = metronome(rates, 1.0)
    end = STEADY + SWEEP

    def work(group: list[Chip]) -> list[tuple[float, bool]]:
        devices = lanes([c.network for c in group], [c.mismatch for c in group])
        spikes = simulate(devices, Events(events, np.zeros(len(events), int)), end + SILENCE, dt=COARSE)
        return [_found(named_zones(c.network, spikes, lane, end + SILENCE, 2)) for lane, c in enumerate(group)]

    points, stays = zip(*in_groups(work, chips), strict=True)
    return Sized(size, np.array(points), np.array(stays))


def _found(zone: np.ndarray) -> tuple[float, bool]:
    """Where one chip switched for good, and whether it held the upper zone; `zone` every `EVERY` s."""
    time = EVERY * (1 + np.arange(len(zone)))
    end = STEADY + SWEEP
    up = zone == 1
    held = bool(np.all(up[time > end - 0.5]))
    below = time[(time <= end) & ~up]
    last = float(below.max(initial=0.0))
    if not STEADY <= last <= end - EVERY:  # it was up from the beginning, or is not at the end
        return np.nan, held
    return 1 - DEPTH + 2 * DEPTH * (last + EVERY - LAG - STEADY) / SWEEP, held
