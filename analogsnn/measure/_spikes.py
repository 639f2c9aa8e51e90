"""Spikes: rising crossings of a threshold. All of them are differentiable where the waveforms are."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ..units import format_quantity
from ..waveforms import Waveforms
from ._signal import concrete, crossing, crossings, namespace, numbers

# V. Where a node passes its threshold by no more than this, or came from no further below, the time of the crossing
# goes with the square root of what is left: 20 µV, by which straight lines between points may be off, are then a per
# cent of its derivative.
GRAZE = 1e-3


def _threshold(waves: Waveforms, threshold: float | None) -> float:
    if threshold is not None:
        return threshold
    if waves.supply is None:
        raise InputError("the circuit has no DC source to ground to take half of as threshold; give threshold=… in V.")
    return 0.5 * waves.supply


def _few(waves: Waveforms, node: str, threshold: float, found: int, wanted: str) -> InputError:
    values = waves.voltage(node)
    low, high = (format_quantity(concrete(value) or 0.0, "V") for value in (values.min(), values.max()))
    many = {0: "no spike", 1: "one spike"}.get(found, f"{found} spikes")
    return InputError(
        f"v({node}) has {many} at the threshold {format_quantity(threshold, 'V')} (it spans {low} to {high}), but "
        f"{wanted}; lengthen the run, or give the threshold."
    )


def spike_times(waves: Waveforms, node: str, threshold: float | None = None) -> Any:
    """Times (s) at which `node` rises through `threshold` (V; default half the supply), by linear interpolation.

    **Returns** `[k]`, empty without spikes.

    **Raises** `InputError` for an unknown node, where there is no supply to take half of, and under `jit` and `vmap`,
    where the number of spikes is unknown.
    """
    return crossings(*waves.along(node), _threshold(waves, threshold), "rise", rate=waves.rate(node))


def spike_time(waves: Waveforms, node: str, k: int, threshold: float | None = None) -> Any:
    """The `k`-th spike (s), k from 1; -1 is the last.

    **Raises** `InputError` when there are fewer, with how many there are and what the node spans; and in a run with
    derivatives for a spike that only grazes the threshold, where the derivative is infinite.
    """
    level = _threshold(waves, threshold)
    if k < 1 and k != -1:
        raise InputError(f"spike {k} of v({node}) is asked for; spikes count from 1.")
    found = concrete(spike_count(waves, node, level))
    if found is not None and found < max(k, 1):
        raise _few(waves, node, level, int(found), f"spike {max(k, 1)} is asked for")
    grazing = None if waves.shift is None else GRAZE
    return crossing(*waves.along(node), level, k, what=f"v({node})", grazing=grazing, rate=waves.rate(node))


def spike_count(waves: Waveforms, node: str, threshold: float | None = None) -> Any:
    """How many spikes there are; a number without a derivative, traced under `jit` and `vmap`."""
    values = waves.voltage(node)
    known = numbers(values)
    above = (values if known is None else known) >= _threshold(waves, threshold)
    xp = namespace(above)
    return xp.sum(xp.astype(~above[:-1] & above[1:], xp.int32))


def interval(waves: Waveforms, node: str, k: int, threshold: float | None = None) -> Any:
    """The `k`-th inter-spike interval (s), k from 1: from spike k to spike k + 1.

    **Raises** `InputError` when there are fewer.
    """
    if k < 1:
        raise InputError(f"interval {k} of v({node}) is asked for; intervals count from 1.")
    return spike_time(waves, node, k + 1, threshold) - spike_time(waves, node, k, threshold)


def intervals(waves: Waveforms, node: str, threshold: float | None = None) -> Any:
    """Inter-spike intervals (s), `[k - 1]`.

    **Raises** `InputError` with fewer than two spikes.
    """
    level = _threshold(waves, threshold)
    times = spike_times(waves, node, level)
    if len(times) < 2:
        raise _few(waves, node, level, len(times), "an interval needs two")
    return times[1:] - times[:-1]


def rate(waves: Waveforms, node: str, threshold: float | None = None, *, first: int = 1) -> Any:
    """Mean rate (Hz) from spike `first` (from 1) to the last one: intervals over the time they take.

    Counting spikes over the length of the run would depend on where the run ends.

    **Raises** `InputError` with fewer than two spikes from `first` on; under `jit` and `vmap` the result is NaN then.
    """
    level = _threshold(waves, threshold)
    total = spike_count(waves, node, level)
    found = concrete(total)
    if found is not None and found < first + 1:
        raise _few(waves, node, level, int(found), f"a rate from spike {first} on needs {first + 1}")
    last, start = (spike_time(waves, node, k, level) for k in (-1, first))
    xp = namespace(last)
    rate = (total - first) / (last - start)
    return rate if found is not None else xp.where(total > first, rate, xp.nan)
