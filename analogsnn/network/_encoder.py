"""Level-crossing encoder: an analog signal becomes events, as an asynchronous delta modulator would make them."""

from __future__ import annotations

import numpy as np


def level_crossings(
    signal: np.ndarray, rate: float, *, step: float = 0.1, memory: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    """Times at which the signal rises or falls by one step since the last event.

    The step follows the signal's amplitude: it is the fraction `step` of the distance between two envelopes that
    jump to every new extreme and relax towards each other with time constant `memory`. Causal; the first second
    only sets the envelopes. Samples that are NaN give no events; after them the level starts anew.

    **Arguments**

    - `signal`: float [n], any unit, NaN where there is none. `rate`: samples per second (Hz).
    - `step`: fraction of the envelope distance. `memory`: s.

    **Returns** rising and falling event times (s), ascending, interpolated linearly between samples.
    """
    keep = float(np.exp(-1.0 / (memory * rate)))
    first = max(2, round(rate))
    rising: list[float] = []
    falling: list[float] = []
    x = np.asarray(signal, float).tolist()
    previous = level = high = low = None
    for i, value in enumerate(x):
        if value != value:  # NaN: a gap
            previous = level = None
            continue
        if high is None or low is None:
            high = low = value
        middle = 0.5 * (high + low)
        high = max(value, middle + (high - middle) * keep)
        low = min(value, middle + (low - middle) * keep)
        if level is None or previous is None or i < first:
            level = value
        else:
            size = step * (high - low)
            while size > 0 and value - level >= size:
                level += size
                rising.append((i - 1 + _part(previous, level, value)) / rate)
            while size > 0 and level - value >= size:
                level -= size
                falling.append((i - 1 + _part(previous, level, value)) / rate)
        previous = value
    return np.asarray(rising, float), np.asarray(falling, float)


def _part(previous: float, level: float, value: float) -> float:
    """Where between two samples the level lies, 0 to 1. A step that shrank is noticed at the sample itself."""
    return min(1.0, max(0.0, (level - previous) / (value - previous))) if value != previous else 1.0
