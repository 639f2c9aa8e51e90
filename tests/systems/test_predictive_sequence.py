"""What a presentation of the long sequence is made of."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.systems._predictive_rule import TAU_X, H
from analogsnn.systems._predictive_sequence import (
    BACKGROUND,
    DURATION,
    JITTER,
    SEQUENCE,
    SPACING,
    presented,
)

SIGMAS = 5.0  # of a Poisson count


def test_a_presentation():
    traces, onset = presented(np.random.default_rng(3), BACKGROUND)
    raster = traces - np.exp(-H / TAU_X) * np.vstack([np.zeros(2 * SEQUENCE), traces[:-1]])
    assert 0 <= onset * H <= DURATION / 2 + SPACING
    for k in range(SEQUENCE):
        due = onset + round(k * SPACING / H)
        near = raster[max(0, due - round(JITTER / H) - 1) : due + round(JITTER / H) + 2, k]
        assert near.max() == pytest.approx(1.0, abs=1e-4)
    # Distractors have the background only: whole rates below 10 Hz, 4.5 Hz on average.
    count = np.rint(raster[:, SEQUENCE:]).sum()
    expected = (BACKGROUND - 1) / 2 * DURATION * SEQUENCE
    rates = DURATION * np.sqrt(SEQUENCE * (BACKGROUND**2 - 1) / 12)  # spread of the rates that are drawn
    assert abs(count - expected) < SIGMAS * np.hypot(np.sqrt(expected), rates)
