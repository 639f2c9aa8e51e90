"""Hours without a rise, on chips and series that the detector's weights were not chosen with: few false flags."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.heart_rate._rise import BOUNDARIES
from analogsnn.systems._heart_measures import calm, detectors, unchanging
from analogsnn.systems.heart_rate import FRESH, JITTERS, LASTING, WATCHERS

EACH = 3  # series of each kind a chip: 7.5 chip-hours
MOST = 0.5  # an hour, the aim


def test_rates_that_do_not_change_are_spread_over_the_range():
    rates = unchanging(15, 3)
    assert np.sort(rates) == pytest.approx(np.arange(56.0, 99.0, 3.0))
    assert not np.all(np.diff(rates) > 0)


@pytest.mark.validate_long
def test_hours_without_a_rise_are_seldom_flagged(shipped):
    half = shipped.duration / 2
    chips = detectors(BOUNDARIES, WATCHERS, FRESH + 1)
    still = calm(chips, shipped.excerpt(half, half), unchanging(EACH * WATCHERS, 11), LASTING, JITTERS, 11)
    for name, found in still.items():
        assert found.hours == pytest.approx(EACH * WATCHERS * LASTING / 3600)
        assert found.flags.sum() <= MOST * found.hours, name
