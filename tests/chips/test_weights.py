"""Core currents and masks for wanted weights."""

from __future__ import annotations

import time

import numpy as np
import pytest

from analogsnn.chips import choose_weights, load_chip, uniform_rounding

REACHABLE = np.unique(load_chip("dynapse2").sorted_currents["p"][0]) * 0.22  # RP scaling.py: SYAM_W*_P
# Gaps between neighbouring currents of the generator from 10 pA upward are at most 3.6 % (RP paramgen.py).
HALF_GAP = 0.018


def _error(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


def test_17_the_published_example():
    wanted = np.abs(np.random.default_rng(0).standard_normal(1536)) * 1e-9
    plain = uniform_rounding(wanted)
    assert _error(plain, wanted) == pytest.approx(0.0760, abs=1e-4)  # plain rounding, step = largest / 15
    assert np.sum(plain == 0) == 153
    start = time.perf_counter()
    choice = choose_weights(wanted, REACHABLE)
    assert time.perf_counter() - start < 2.0  # the time that the project promises for 1536 weights
    assert choice.relative_l2 <= _error(plain, wanted)
    assert np.all(choice.masks > 0)  # no silent zeros,
    assert choice.zero.sum() > 0  # they are told
    assert np.all(np.isin(choice.currents, REACHABLE))
    assert choice.relative_l2 == pytest.approx(_error(choice.realised, wanted), rel=1e-12)


@pytest.mark.parametrize("zeros", [False, True])
def test_never_worse_than_uniform_rounding(zeros):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(5, 120))
        wanted = [
            rng.uniform(1e-10, 1e-8, count),
            rng.exponential(3e-9, count) + 1e-11,
            np.exp(rng.normal(0, 0.5, count)) * 1e-9,
        ][seed % 3]
        choice = choose_weights(wanted, REACHABLE, zeros=zeros)
        assert choice.relative_l2 <= _error(uniform_rounding(wanted, zeros=zeros), wanted)


def test_up_to_four_weights_are_exact_to_the_codes():
    for count in range(1, 5):
        wanted = np.random.default_rng(count).uniform(1e-10, 5e-8, count)
        choice = choose_weights(np.tile(wanted, 3), REACHABLE)
        np.testing.assert_allclose(choice.realised, np.tile(wanted, 3), rtol=HALF_GAP)
        assert {m.bit_count() for m in choice.masks.tolist()} == {1}


def test_designed_sums_are_found():
    currents = REACHABLE[[600, 700, 820, 900]]
    masks = np.arange(1, 16)
    wanted = ((masks[:, None] >> np.arange(4)) & 1) @ currents
    choice = choose_weights(np.repeat(wanted, 3), REACHABLE)
    assert choice.relative_l2 < HALF_GAP


def test_given_currents_only_choose_masks():
    currents = [1e-9, 2e-9, 4e-9, 0.0]
    choice = choose_weights(np.array([3e-9, 1e-9, 7.2e-9, 0.1e-9]), REACHABLE, given=currents)
    assert choice.masks.tolist() == [3, 1, 7, 1]  # the unset fourth current is in no mask
    assert choice.zero.tolist() == [False, False, False, True]


def test_equal_seeds_give_equal_answers():
    wanted = np.random.default_rng(1).exponential(1e-9, 200)
    a, b = (choose_weights(wanted, REACHABLE, seed=3) for _ in range(2))
    assert np.array_equal(a.currents, b.currents)
    assert np.array_equal(a.masks, b.masks)


def test_more_bits():
    wanted = np.random.default_rng(2).uniform(1e-10, 1e-8, 60)
    assert choose_weights(wanted, REACHABLE, 6).relative_l2 < choose_weights(wanted, REACHABLE, 4).relative_l2
