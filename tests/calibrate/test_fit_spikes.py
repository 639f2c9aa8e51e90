"""Fits of recordings with spikes, on a neuron in closed form: late spikes of a wrong start lie anywhere."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.calibrate import FitWarning, Parameter, Target, fit
from analogsnn.calibrate._search import LOOSE, windows
from analogsnn.circuit import use_float64
from analogsnn.waveforms import Waveforms

use_float64()

TIMES = np.arange(0.0, 0.06, 8e-6)
WIDTH = 12e-6  # s, of a spike: less than the interval of the recording
TRUTH = {"period": 3.1e-3, "slowing": 0.25e-3, "shape": 2.5, "rest": 0.05}
PARAMETERS = [
    Parameter("period", 1.5e-3, 6e-3, 4.0e-3),
    Parameter("slowing", 0.05e-3, 1e-3, 0.15e-3),
    Parameter("shape", 0.5, 8.0, 1.5),
    Parameter("rest", 0.01, 0.2, 0.02),
]
SIGMA = 5e-3


@jax.jit
def _wave(period, slowing, shape, rest):
    k = jnp.arange(1, 13)
    spikes = jnp.concatenate([jnp.zeros(1), k * period + 0.5 * slowing * k**2])
    index = jnp.sum(jnp.asarray(TIMES)[:, None] >= spikes, axis=1)
    before, after = spikes[index - 1], spikes[jnp.minimum(index, 12)]
    phase = jnp.clip((TIMES - before) / (after - before), 1e-6, 1.0)
    # The spike falls at its time, within WIDTH.
    spike = jnp.sum(jnp.exp(-(((jnp.asarray(TIMES)[:, None] - spikes[1:] + WIDTH) / WIDTH) ** 2)), axis=1)
    return rest + 0.15 * phase**shape + 0.7 * spike


def neuron(values):
    """Spike k at k period + slowing k²/2, between them a power of the phase: every derivative is in the formula."""
    known = {**TRUTH, **values}
    wave = _wave(*(known[name] for name in TRUTH))
    return Waveforms(
        time=TIMES, voltages=wave[None], nodes=("v",), currents=np.zeros((0, TIMES.size)), branches=(), supply=1.0
    )


def recording(until: float = 0.0205, **more) -> Target:
    times = np.arange(20e-6, until, 20e-6)
    noise = SIGMA * np.random.default_rng(3).standard_normal(times.size)
    return Target("trace", "v", np.interp(times, TIMES, neuron({}).voltage("v")) + noise, times, sigma=SIGMA, **more)


def spikes(count: int) -> np.ndarray:
    k = np.arange(1, count + 1)
    return k * TRUTH["period"] + 0.5 * TRUTH["slowing"] * k**2


def test_spikes_are_found_in_a_recording_coarser_than_they_are():
    found = recording().events()
    assert len(found.times) == len(spikes(20)[spikes(20) < 0.0205])
    # Between two samples, 20 µs apart; the spike's top lies a WIDTH before its time
    assert np.abs(found.times - spikes(len(found.times))).max() < 20e-6
    assert found.errors[0] == pytest.approx(20e-6 / np.sqrt(12), rel=1e-6)


def test_a_slow_wave_has_no_spikes():
    t = np.linspace(0, 5e-3, 400)
    assert len(Target("trace", "v", np.sin(2 * np.pi * 800 * t), t).events().times) == 0


def test_a_trace_that_spikes_is_fitted_from_far_away():
    """At equal times the same search ends in a wrong minimum; both are measured here."""
    done = fit(neuron, [recording()], PARAMETERS, precision=0.02)
    for name, wanted in TRUTH.items():
        p = done.parameters[name]
        assert p.identifiable
        assert p.stderr is not None
        assert p.value == pytest.approx(wanted, rel=0.02)
        assert abs(p.value - wanted) < 4 * p.stderr
    assert [target.kind for target in done.targets] == ["trace", "spike_times"]
    with pytest.warns(FitWarning):
        plain = fit(neuron, [recording(align=False)], PARAMETERS, grow=False, max_runs=10)
    assert abs(plain.parameters["period"].value / TRUTH["period"] - 1) > 0.02


def test_windows_grow_spike_by_spike():
    parts = recording().parts()
    counts = [next(t.values.size for t in stage if t.kind == "spike_times") for stage in windows(parts)]
    many = len(recording().events().times)
    assert counts == [1, 2, many]  # and then all of them, as exactly as they are known
    whole = next(t for t in windows(parts)[-1] if t.kind == "spike_times")
    assert np.all(whole.spread >= LOOSE * np.diff(whole.values, prepend=0.0))
    lengths = [stage[0].values.size for stage in windows(parts)]
    assert lengths == sorted(lengths)
    # Midway between the spikes
    assert windows(parts)[0][0].axis[-1] == pytest.approx(0.5 * sum(spikes(2)), abs=30e-6)


def test_what_has_no_times_is_in_every_window():
    rate = Target("fi", "v", [300.0], [TRUTH["period"]], sweep="period")
    assert all(rate in stage for stage in windows([*recording().parts(), rate]))


def test_a_spike_that_does_not_come_is_as_late_as_the_last_that_came():
    waves = neuron({"period": 4e-3})  # spikes later by 0.9 ms each
    there = spikes(20)[: int(np.sum(np.arange(1, 13) * 4e-3 + 0.5 * TRUTH["slowing"] * np.arange(1, 13) ** 2 < 0.06))]
    wanted = spikes(len(there) + 2)
    found = np.asarray(Target("spike_times", "v", wanted, threshold=0.5).simulated(waves, (), {}))
    late = found[len(there) - 1] - wanted[len(there) - 1]
    assert late > 0.5e-3
    assert found[len(there) :] == pytest.approx(np.maximum(wanted[len(there) :] + late, TIMES[-1]))


def test_rates_over_a_swept_value():
    """f-I points: the rate is counted from the first spike of each run to its last."""
    periods = np.array([2e-3, 3e-3])

    def clock(values):
        return neuron({"period": values["scale"] * values["drive"], "slowing": 1e-9})

    rates = Target("fi", "v", 1 / (1.3 * periods), periods, sweep="drive", threshold=0.5)
    done = fit(clock, [rates], [Parameter("scale", 0.5, 2.0, 1.1)])
    assert done.parameters["scale"].value == pytest.approx(1.3, rel=1e-3)
    # The values being wrong, other warnings follow.
    with pytest.warns(FitWarning) as caught:
        fit(clock, [Target("fi", "v", 1e-3 / (1.3 * periods), periods, sweep="drive", threshold=0.5)],
            [Parameter("scale", 0.5, 2.0, 1.1)])  # fmt: skip
    assert any("about 0.001 times those of the simulation" in str(warning.message) for warning in caught)


def test_jitter_counts_where_the_recording_is_steep_and_not_for_its_noise():
    t = np.arange(0.0, 2e-3, 1e-6)
    steep = np.where(t < 1e-3, 0.0, 0.5) + SIGMA * np.random.default_rng(5).standard_normal(t.size)
    spread = Target("trace", "v", steep, t, sigma=SIGMA, jitter=2e-6).spread
    edge = (t > 0.9985e-3) & (t < 1.0005e-3)
    # At the two samples beside the edge half a volt over two intervals; the noise of a slope is 1 % of it
    assert spread[edge] == pytest.approx(0.5, rel=0.05)
    assert np.mean(spread[~edge] == SIGMA) > 0.999
