"""Semi-synthetic recordings: real pulse shapes, artificial timing. Every one says so in its name."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from ..errors import InputError
from ._recording import Recording
from ._reference import reference

SYSTOLE = 0.3  # s of a pulse that keep their speed; the rest of it stretches with the interval
UPSTROKE = 0.2  # s before a beat's mark in which its steepest rise is looked for


def schedule(boundaries: tuple[float, ...], *, dwell: float = 26.0) -> tuple[np.ndarray, np.ndarray]:
    """Heart rates in the middle of every zone, up, down and up again, for `dwell` seconds each.

    **Returns** segment ends (s) and rates (bpm). The outer zones are visited half a zone's width beyond their
    boundary. With four boundaries five zones are visited and nine boundaries crossed.
    """
    b = np.asarray(boundaries, float)
    width = np.diff(b) if len(b) > 1 else np.array([15.0])
    middle = np.concatenate([[b[0] - width[0] / 2], (b[1:] + b[:-1]) / 2, [b[-1] + width[-1] / 2]])
    n = len(middle)
    up = min(n - 1, 1)
    order = [*range(up, n), *range(n - 2, -1, -1), *range(1, up + 2)]
    rates = middle[[k for k in order if k < n]]
    return dwell * np.arange(1, len(rates) + 1), rates


def retimed(source: Recording, boundaries: tuple[float, ...], *, seed: int, jitter: float = 0.02) -> Recording:
    """Pulses of `source` on the `schedule` of `boundaries`; otherwise as `retimed_to`."""
    ends, rates = schedule(boundaries)

    def rate(time: float) -> float:
        return float(rates[np.searchsorted(ends, time, side="right")])

    return retimed_to(source, rate, float(ends[-1]), seed=seed, jitter=jitter)


def retimed_to(
    source: Recording,
    rate: Callable[[float], float],
    duration: float,
    *,
    seed: int,
    jitter: float | Callable[[float], float] = 0.02,
) -> Recording:
    """Pulses of `source`, cut foot to foot in their order, at a heart rate (bpm) that is a function of time (s).

    The first `SYSTOLE` seconds of a pulse keep their speed, as a systole nearly does; the rest is stretched to fill
    the interval, and a straight line is added so that each pulse ends where the next begins.

    **Arguments** `source`: a clean recording. `seed`: for the starting pulse and the jitter. `jitter`: relative
    standard deviation of one interval (log-normal, each for itself), or a function of time.

    **Raises** `InputError` when fewer than 20 clean pulses are found.
    """
    pulses = _pulses(source)
    if len(pulses) < 20:
        raise InputError(f"'{source.name}' gives {len(pulses)} clean pulses; at least 20 are needed for re-timing.")
    generator = np.random.default_rng(seed)
    dt = 1.0 / source.rate
    number = int(generator.integers(len(pulses)))
    time, parts, beats = 0.0, [], []
    while time < duration:
        spread = jitter(time) if callable(jitter) else jitter
        interval = 60.0 / rate(time) * np.exp(spread * generator.standard_normal())
        samples = round((time + interval) / dt) - round(time / dt)
        parts.append(_stretched(pulses[number % len(pulses)], samples, dt))
        number += 1
        beats.append(time)
        time += interval
    signal = np.concatenate(parts)[: round(duration / dt)]
    name = f"Semi-synthetic: pulse shapes of {source.name}, artificial timing"
    return Recording(signal, source.rate, name, np.asarray(beats))


def noisy(recording: Recording, level: float, *, seed: int) -> Recording:
    """The recording with white Gaussian noise on every sample, of `level` times its usual pulse height.

    The height is the distance of the 5th from the 95th percentile of the signal; `beats` stay what they are.
    """
    low, high = np.nanpercentile(recording.signal, [5, 95])
    noise = np.random.default_rng(seed).standard_normal(len(recording.signal))
    signal = recording.signal + level * (high - low) * noise
    return Recording(signal, recording.rate, f"{recording.name}, {100 * level:g} % noise", recording.beats)


def _pulses(source: Recording) -> list[np.ndarray]:
    """Pulses from foot to foot, ordinary in length and in height, scaled to height 1 above their feet's line."""
    feet = [f for f in (_foot(source, beat) for beat in reference(source).beats) if f is not None]
    lengths = np.diff(feet)
    usual = np.median(lengths) if len(lengths) else 0
    pulses = []
    for a, b in itertools.pairwise(feet):
        pulse = source.signal[a : b + 1]
        if not 0.8 * usual < b - a < 1.25 * usual or np.isnan(pulse).any():
            continue
        pulse = pulse - np.linspace(pulse[0], pulse[-1], len(pulse))
        pulses.append(pulse)
    heights = np.array([p.max() for p in pulses])
    middle = np.median(heights) if len(heights) else 1.0
    return [p / middle for p, h in zip(pulses, heights, strict=True) if 0.6 * middle < h < 1.6 * middle]


def _foot(source: Recording, beat: float) -> int | None:
    """Sample at which the upstroke to a beat begins: where its steepest tangent meets the level of the valley before.

    (The intersecting tangents of pulse-wave analysis.) Not the lowest sample before the beat: the notch between
    systole and dicrotic wave can lie lower than the foot.
    """
    a, b = max(0, round((beat - UPSTROKE) * source.rate)), round(beat * source.rate)
    if b - a < 2 or np.isnan(source.signal[a : b + 1]).any():
        return None
    rise = np.diff(source.signal[a : b + 1])
    steepest = valley = a + int(np.argmax(rise))
    while valley > 0 and source.signal[valley - 1] < source.signal[valley]:
        valley -= 1
    if rise.max() <= 0:
        return None
    return round(steepest - (source.signal[steepest] - source.signal[valley]) / rise.max())


def _stretched(pulse: np.ndarray, samples: int, dt: float) -> np.ndarray:
    old = (len(pulse) - 1) * dt
    new = samples * dt
    keep = min(SYSTOLE, 0.6 * old, 0.6 * new)
    t = np.arange(samples) * dt
    source = np.where(t < keep, t, keep + (t - keep) * (old - keep) / (new - keep))
    return np.interp(source, np.arange(len(pulse)) * dt, pulse)
