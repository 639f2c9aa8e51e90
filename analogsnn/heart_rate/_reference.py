"""Offline reference of the heart rate: two independent beat detectors that must agree.

Shares no code with the network's front end. No shipped recording carries annotations, so this is the truth that
the network is measured against; windows in which the detectors disagree are left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from ._recording import Recording

WINDOW = 10.0  # s, trailing: what has been heard so far, as for the network
STEP = 1.0  # s between windows
TOLERANCE = 0.15  # s between the two detectors' marks of one beat
BETA = 0.1  # offset of the block detector, in local mean powers
FASTEST = 0.33  # s, shortest interval between beats (180 bpm)


@dataclass(frozen=True)
class Reference:
    """Heart rate in trailing windows: `time` [n] (s, ends), `rate` [n] (bpm, NaN where discarded), `beats` (s)."""

    time: np.ndarray
    rate: np.ndarray
    beats: np.ndarray

    @property
    def discarded(self) -> float:
        """Fraction of windows in which the detectors disagree or the signal has a gap."""
        return float(np.mean(np.isnan(self.rate))) if len(self.rate) else 1.0


def reference(recording: Recording) -> Reference:
    """Median-interval heart rate: of the known beats, or in windows where two detectors agree.

    Agreement: beat counts differ by at most one, and 90 % of the beats of the first lie within 150 ms of one of the
    second after their constant offset is removed.
    """
    time = np.arange(WINDOW, recording.duration + 1e-9, STEP)
    gap = np.isnan(recording.signal)
    if recording.beats is not None:
        peaks = blocks = recording.beats
    else:
        filled = recording.signal
        if gap.any():  # only so that the filters run; every window that touches a gap is discarded
            index = np.arange(len(filled))
            filled = np.interp(index, index[~gap], filled[~gap])
        peaks, blocks = _peaks(filled, recording.rate), _blocks(filled, recording.rate)
    nearest = _nearest(peaks, blocks)
    offset = float(np.median(nearest)) if len(nearest) else 0.0
    rate = np.full(len(time), np.nan)
    for i, end in enumerate(time):
        a, b = round((end - WINDOW) * recording.rate), round(end * recording.rate)
        one = peaks[(peaks > end - WINDOW) & (peaks <= end)]
        two = blocks[(blocks > end - WINDOW - offset) & (blocks <= end - offset)]
        if gap[a:b].any() or len(one) < 3 or abs(len(one) - len(two)) > 1:
            continue
        if np.mean(np.abs(_nearest(one, blocks) - offset) < TOLERANCE) >= 0.9:
            rate[i] = 60.0 / np.median(np.diff(one))
    return Reference(time, rate, peaks)


def _nearest(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of `times`, its distance (s) from the nearest of `others`, signed."""
    if not len(others) or not len(times):
        return np.full(len(times), np.inf)
    right = np.clip(np.searchsorted(others, times), 1, max(1, len(others) - 1))
    left = right - 1
    right = np.minimum(right, len(others) - 1)
    choose = np.abs(times - others[left]) <= np.abs(times - others[right])
    return times - np.where(choose, others[left], others[right])


def _peaks(signal: np.ndarray, rate: float) -> np.ndarray:
    """Maxima of the band 0.7–3.5 Hz, by prominence: the dicrotic wave rises less than half as far."""
    band = sosfiltfilt(butter(3, [0.7, 3.5], "bandpass", fs=rate, output="sos"), signal)
    found, properties = find_peaks(band, distance=max(1, round(FASTEST * rate)), prominence=0)
    return _tall(found / rate, properties["prominences"], 0.5)


def _blocks(signal: np.ndarray, rate: float) -> np.ndarray:
    """Systolic blocks: squared positive part of the band 0.5–8 Hz, its 111 ms mean above its one-beat mean.

    The method of Elgendi et al. 2013 (DOI 10.1371/journal.pone.0076585), with the offset between the two means taken
    locally, since the amplitude of a long recording drifts.
    """
    high = min(8.0, 0.45 * rate)
    band = sosfiltfilt(butter(2, [0.5, high], "bandpass", fs=rate, output="sos"), signal)
    power = np.clip(band, 0, None) ** 2

    def mean(x: np.ndarray, seconds: float) -> np.ndarray:
        return uniform_filter1d(x, max(1, round(seconds * rate)), mode="nearest")

    inside = np.concatenate([[False], mean(power, 0.111) > mean(power, 0.667) + BETA * mean(power, 8.0), [False]])
    edges = np.flatnonzero(np.diff(inside.astype(int)))
    blocks = [(a, b) for a, b in zip(edges[0::2], edges[1::2], strict=True) if b - a >= 0.111 * rate]
    return np.array([a + int(np.argmax(band[a:b])) for a, b in blocks]) / rate


def _tall(times: np.ndarray, heights: np.ndarray, fraction: float) -> np.ndarray:
    """Those that reach a fraction of the local scale: the median, over 8 s, of the tallest of each 1.3 s."""
    kept = []
    for time, height in zip(times, heights, strict=True):
        near = (times > time - 4) & (times < time + 4)
        tallest = [heights[(np.abs(times - t) < 0.65) & near].max() for t in times[near]]
        if height > fraction * np.median(tallest):
            kept.append(time)
    return np.asarray(kept)
