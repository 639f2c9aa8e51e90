"""The level-crossing encoder."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.network import level_crossings


def test_a_ramp_crosses_at_its_levels():
    # Envelopes 0 … x, so the step is a tenth of what has been climbed: event times follow in closed form only for
    # a frozen step; with a huge memory and a first second from 0 to 1 the step grows as the ramp does.
    rate = 1000.0
    t = np.arange(0, 3, 1 / rate)
    rising, falling = level_crossings(t, rate, step=0.1, memory=1e9)
    assert len(falling) == 0
    # From level a, the next event comes when t - a = 0.1 t: levels grow by 1/0.9.
    ratio = rising[1:] / rising[:-1]
    assert ratio == pytest.approx(1 / 0.9, rel=3e-3)  # one sample of 1 ms at t >= 1 s, twice


def test_events_scale_with_neither_gain_nor_offset(pulses):
    plain, _ = level_crossings(pulses.signal, pulses.rate)
    scaled, _ = level_crossings(300 + 40 * pulses.signal, pulses.rate)
    assert len(plain) == len(scaled)
    assert plain == pytest.approx(scaled, abs=1e-9)


def test_gaps_are_silent(pulses):
    signal = pulses.signal.copy()
    signal[1000:1500] = np.nan
    rising, falling = level_crossings(signal, pulses.rate)
    for events in (rising, falling):
        assert not np.any((events > 9.99) & (events < 15.0))
        assert np.any(events > 15.0)
        assert np.all(np.diff(events) >= 0)
