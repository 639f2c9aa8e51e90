"""Spikes: rising crossings of a threshold."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..errors import GrazingWarning, InputError
from ..units import format_quantity
from ..waveforms import Waveforms
from ._signal import crossing, crossings, known

# A spike that passes its threshold by less than this share of the node's span is too flat there for a derivative.
GRAZE = 1e-3


def _threshold(waves: Waveforms, threshold: float | None) -> float:
    if threshold is not None:
        return threshold
    if waves.supply is None:
        raise InputError("the circuit has no DC source to ground to take half of as threshold; give threshold=… in V.")
    return 0.5 * waves.supply


def _few(waves: Waveforms, node: str, threshold: float, found: int, wanted: str) -> InputError:
    values = known(waves.voltage(node))
    reach = f"it spans {format_quantity(values.min(), 'V')} to {format_quantity(values.max(), 'V')}"
    many = {0: "no spike", 1: "one spike"}.get(found, f"{found} spikes")
    return InputError(
        f"v({node}) has {many} at the threshold {format_quantity(threshold, 'V')} ({reach}), but {wanted}; "
        "lengthen the run, or give the threshold."
    )


def spike_times(waves: Waveforms, node: str, threshold: float | None = None) -> np.ndarray:
    """Times (s) at which `node` rises through `threshold` (V; default half the supply), by linear interpolation.

    **Returns** `[k]`, empty without spikes.

    **Raises** `InputError` for an unknown node, or where there is no supply to take half of.
    """
    return crossings(waves.time, waves.voltage(node), _threshold(waves, threshold), "rise")


def spike_time(waves: Waveforms, node: str, k: int, threshold: float | None = None) -> Any:
    """The `k`-th spike (s), k from 1; differentiable where the waveforms are.

    **Raises** `InputError` when there are fewer, with how many there are and what the node spans. Warns
    (`GrazingWarning`) where a derivative is asked for at a spike that hardly passes the threshold.
    """
    level = _threshold(waves, threshold)
    if k < 1:
        raise InputError(f"spike {k} of v({node}) is asked for; spikes count from 1.")
    try:
        time = crossing(*waves.along(node), level, k, what=f"v({node})")
    except InputError:
        found = len(crossings(known(waves.time), known(waves.voltage(node)), level, "rise"))
        raise _few(waves, node, level, found, f"spike {k} is asked for") from None
    if waves.shift is not None:
        _warn_of_grazing(waves, node, level, k)
    return time


def _warn_of_grazing(waves: Waveforms, node: str, level: float, k: int) -> None:
    """dt = -dv/(dv/dt): without bound where the top of a spike comes down to the threshold."""
    try:
        values = known(waves.voltage(node))
    except TypeError:  # compiled or batched: nobody knows
        return
    above = values >= level
    begin = np.flatnonzero(~above[:-1] & above[1:])[k - 1] + 1
    fall = np.flatnonzero(~above[begin:])
    excess = values[begin : begin + fall[0] if len(fall) else None].max() - level
    if excess < GRAZE * (values.max() - values.min()):
        warnings.warn(
            f"spike {k} of v({node}) passes the threshold {format_quantity(level, 'V')} by "
            f"{format_quantity(excess, 'V')} only; the derivative of its time is infinite where it grazes. Give a "
            "threshold where the spike is steep.",
            GrazingWarning, stacklevel=3,
        )  # fmt: skip


def intervals(waves: Waveforms, node: str, threshold: float | None = None) -> np.ndarray:
    """Inter-spike intervals (s), `[k - 1]`.

    **Raises** `InputError` with fewer than two spikes.
    """
    level = _threshold(waves, threshold)
    times = spike_times(waves, node, level)
    if len(times) < 2:
        raise _few(waves, node, level, len(times), "an interval needs two")
    return np.diff(times)


def rate(waves: Waveforms, node: str, threshold: float | None = None, *, first: int = 1) -> float:
    """Mean rate (Hz) from spike `first` (from 1) to the last one: intervals over the time they take.

    Counting spikes over the length of the run would depend on where the run ends.

    **Raises** `InputError` with fewer than two spikes from `first` on.
    """
    level = _threshold(waves, threshold)
    times = spike_times(waves, node, level)
    if len(times) < first + 1:
        raise _few(waves, node, level, len(times), f"a rate from spike {first} on needs {first + 1}")
    return (len(times) - first) / float(times[-1] - times[first - 1])
