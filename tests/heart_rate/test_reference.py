"""The offline reference on real recordings, and the semi-synthetic series."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analogsnn.heart_rate import reference, retimed
from analogsnn.heart_rate._demo import ZONES, shipped_recording
from analogsnn.heart_rate._series import schedule


def test_shipped_recording(shipped):
    # Two independent detectors on this file found 1099 and 1094 beats, windows of 91–105 bpm, median 98.4 (20 s
    # windows); ours uses 10 s windows, which spread a little wider.
    found = reference(shipped)
    assert abs(len(found.beats) - 1097) <= 10
    assert found.discarded < 0.05
    assert np.nanmedian(found.rate) == pytest.approx(98.4, abs=1.0)
    low, high = np.nanpercentile(found.rate, [2, 98])
    assert 88 < low < high < 107


def test_second_and_third_recording():
    # data.csv: 59–61 bpm; data2.csv is noisy: 84 % of its beats agree, about 64 bpm.
    assert np.nanmedian(reference(shipped_recording("data.csv")).rate) == pytest.approx(60, abs=2.5)
    noisy = reference(shipped_recording("data2.csv"))
    assert np.nanmedian(noisy.rate) == pytest.approx(64, abs=4)
    assert 0.1 < noisy.discarded < 0.6


def test_gap_is_discarded_never_invented(pulses):
    signal = pulses.signal.copy()
    signal[2000:2300] = np.nan
    found = reference(type(pulses)(signal, pulses.rate, "with a gap"))
    touching = (found.time > 20) & (found.time - 10 < 23)
    assert np.isnan(found.rate[touching]).all()
    assert np.nanmedian(found.rate[~touching]) == pytest.approx(72, abs=0.5)


def test_schedule_visits_and_crosses():
    _, rates = schedule(ZONES)
    zones = np.searchsorted(ZONES, rates)
    assert len(set(zones.tolist())) == 5
    assert np.sum(np.diff(zones) != 0) >= 8


def test_series_is_labelled_and_reproducible(shipped):
    half = shipped.excerpt(0, shipped.duration / 2)
    one, two, other = (retimed(half, ZONES, seed=s) for s in (4, 4, 5))
    assert one.semi_synthetic
    assert "Semi-synthetic" in one.name
    assert "artificial timing" in one.name
    assert np.array_equal(one.signal, two.signal)
    assert not np.array_equal(one.signal[: len(other.signal)], other.signal[: len(one.signal)])
    # The known beats say the schedule's rate within a window's share of 2 % jitter (σ/√n of about 13 beats).
    ends, rates = schedule(ZONES)
    found = reference(one)
    inside = (found.time > ends[0] + 12) & (found.time < ends[1])
    assert found.rate[inside] == pytest.approx(rates[1], rel=0.03)


def test_known_beats_of_a_series_are_where_it_rises(shipped):
    # Each known beat is followed by the steepest rise of its interval. An upstroke of these pulses is some 0.1 s long,
    # its middle 0.04 s after the foot; a foot taken for the notch before the dicrotic wave would put it 0.3 s later.
    series = retimed(shipped.excerpt(0, shipped.duration / 2), ZONES, seed=4)
    assert series.beats is not None
    starts = np.round(series.beats * series.rate).astype(int)
    delay = np.array([np.argmax(np.diff(series.signal[a:b])) / series.rate for a, b in itertools.pairwise(starts)])
    assert np.mean(np.abs(delay - np.median(delay)) < 0.06) > 0.97


@pytest.mark.parametrize("boundaries", [(98.0,), (60.0, 120.0)])
def test_schedule_for_few_zones(boundaries):
    ends, rates = schedule(boundaries)
    assert len(ends) == len(rates)
    assert set(np.searchsorted(boundaries, rates).tolist()) == set(range(len(boundaries) + 1))
