"""The branching parameter from made-up spikes whose offspring is known, and the steps of the weight."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.network import Spikes
from analogsnn.systems._liquid import (
    APART,
    BIN,
    NEURONS,
    TOGETHER,
    beginnings,
    compiled,
    descent,
    summed,
    uncertainty,
    weight_of,
)

# Half of the step between codes where the finer of the two currents lies (2.2 to 2.8 nA), relative to 20 nA, and room.
NEAREST = 1e-3


def spikes_of(generations, lanes: int = 1) -> Spikes:
    """`generations` [beginning, generation]: spikes of each, in the middle of its bin, the same in every lane."""
    time = [
        APART * (b + 0.3) + BIN * (g + 0.5)
        for b, row in enumerate(generations)
        for g, count in enumerate(row)
        for _ in range(count)
    ]
    order = np.argsort(time, kind="stable")
    time = np.tile(np.asarray(time)[order], lanes)
    lane = np.repeat(np.arange(lanes), len(order))
    return Spikes(time, lane, np.arange(len(time)) % NEURONS)


@pytest.mark.parametrize(
    ("row", "sigma"),
    [
        ([4, 4, 4, 4, 4, 4], 1.0),  # 20 descendants of 20 ancestors
        ([4, 2, 1, 0, 0, 0], 3 / 7),
        ([4, 8, 16, 32, 64, 64], (8 + 16 + 32) / (4 + 8 + 16)),  # no longer young when 32 have fired
    ],
)
def test_descendants_for_each_ancestor(row, sigma):
    found = descent(spikes_of([row] * 5, lanes=2), 5, 2)
    assert found.sigma == pytest.approx([sigma, sigma])
    assert found.number.tolist() == [5, 5]
    assert np.sign(found.deficit).tolist() == [np.sign(round(1 - sigma, 9))] * 2


def test_a_network_that_is_never_silent_is_far_above():
    time = np.arange(0.0, 5 * APART, BIN / 4)
    found = descent(Spikes(time, np.zeros(len(time), int), np.arange(len(time)) % NEURONS), 5, 1)
    assert found.sigma == np.inf
    assert found.deficit == -np.inf


def test_runs_are_summed_and_their_differences_are_the_uncertainty():
    runs = [descent(spikes_of([[4, k, 0, 0, 0, 0]] * 5), 5, 1) for k in (2, 4, 6)]
    together = summed(runs)
    assert together.number.tolist() == [15]
    assert together.sigma == pytest.approx([12 / (4 + 2 + 4 + 4 + 4 + 6)])
    same = [descent(spikes_of([[4, 4, 0, 0, 0, 0]] * 5), 5, 1)] * 3
    assert uncertainty(same) == pytest.approx([0.0])
    left = [(4 + 6) / (4 + 4 + 4 + 6), (2 + 6) / (4 + 2 + 4 + 6), (2 + 4) / (4 + 2 + 4 + 4)]  # each left out
    assert uncertainty(runs) == pytest.approx([np.sqrt(2 * np.var(left))])


def test_beginnings_differ_from_lane_to_lane():
    started, duration = beginnings(6, 3, seed=1)
    assert duration == pytest.approx(6 * APART)
    assert len(started.time) == 6 * 3 * TOGETHER
    assert np.all(np.diff(started.time) >= 0)
    assert started.lane is not None
    chosen = [sorted(started.channel[(started.lane == k) & (started.time < APART)].tolist()) for k in range(3)]
    assert all(len(set(c)) == TOGETHER for c in chosen)
    assert chosen[0] != chosen[1] != chosen[2]


@pytest.mark.parametrize("weight", [14.03e-9, 22.41e-9, 30.2e-9])
def test_the_chip_has_nearly_the_weight_that_was_asked_for(weight):
    assert weight_of(compiled(weight)) == pytest.approx(weight, rel=NEAREST)
