"""Where a chip switches in a sweep, from the zones that it names."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.systems._heart_measures import EVERY
from analogsnn.systems._heart_sizes import DEPTH, LAG, SILENCE, STEADY, SWEEP, _found

TIME = EVERY * (1 + np.arange(round((STEADY + SWEEP + SILENCE) / EVERY)))


def test_a_switch_in_the_middle_is_at_the_boundary():
    at = STEADY + SWEEP / 2 + LAG
    point, held = _found((at - 1e-9 <= TIME).astype(int))
    assert point == pytest.approx(1.0, abs=1e-9)
    assert held


def test_a_switch_is_the_last_one():
    zone = ((TIME >= STEADY + 30.0) | (np.abs(TIME - STEADY - 10.0) < 2)).astype(int)
    point, _ = _found(zone)
    assert point == pytest.approx(1 - DEPTH + 2 * DEPTH * (30.0 - LAG) / SWEEP, abs=1e-9)


@pytest.mark.parametrize("zone", [np.ones(len(TIME), int), np.zeros(len(TIME), int)])
def test_a_chip_that_never_switches_has_no_point(zone):
    point, held = _found(zone)
    assert np.isnan(point)
    assert held == bool(zone[0])


def test_a_zone_that_is_lost_in_silence_is_not_held():
    zone = ((TIME >= STEADY + 20.0) & (TIME < STEADY + SWEEP + 5.0)).astype(int)
    point, held = _found(zone)
    assert np.isfinite(point)
    assert not held
