"""Measures on signals whose numbers are known in closed form, NumPy's and JAX's alike."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn import measure
from analogsnn.errors import InputError
from analogsnn.measure import Waveforms

# Sawtooth: rises through 0.9 V at 1.5, 3.5 and 5.5 s, falls in the second half of each period.
TIME = np.arange(7.0)
SPIKES = np.array([0.0, 0.0, 1.8, 0.0, 1.8, 0.0, 1.8])
# Linear interpolation between points that hold the exact function: error h²/8 of the second derivative.
GRID = 2e-6


@pytest.fixture(params=[np, jnp], ids=["numpy", "jax"])
def waves(request):
    xp = request.param
    voltages = xp.asarray([SPIKES, np.full(7, 1.8)])
    return Waveforms(
        time=xp.asarray(TIME), voltages=voltages, nodes=("spk", "vdd"), currents=xp.full((1, 7), -2e-9),
        branches=("vdd",), supply=1.8,
    )  # fmt: skip


def test_spikes(waves):
    assert measure.spike_times(waves, "spk") == pytest.approx([1.5, 3.5, 5.5])  # 0.9 V has no exact float32
    assert measure.spike_times(waves, "spk", 0.45) == pytest.approx([1.25, 3.25, 5.25])
    assert float(measure.spike_time(waves, "spk", 2)) == pytest.approx(3.5)
    assert measure.intervals(waves, "spk") == pytest.approx([2.0, 2.0])
    assert measure.rate(waves, "spk") == pytest.approx(0.5)
    assert measure.spike_times(waves, "vdd").size == 0


def test_too_few_spikes(waves):
    with pytest.raises(InputError, match=r"v\(spk\) has 3 spikes at the threshold 900 mV.*0 V to 1.8 V.*spike 4"):
        measure.spike_time(waves, "spk", 4)
    with pytest.raises(InputError, match="no spike at the threshold 2 V"):
        measure.rate(waves, "spk", 2.0)
    with pytest.raises(InputError, match="count from 1"):
        measure.spike_time(waves, "spk", 0)


def test_energy_and_charge(waves):
    # 2 nA from 1.8 V over an interval of 2 s
    assert float(measure.energy_per_spike(waves, "spk")) == pytest.approx(2e-9 * 1.8 * 2.0)
    assert float(measure.charge(waves, "vdd", 1.25, 2.75)) == pytest.approx(-3e-9)
    with pytest.raises(InputError, match="from 2 to 1"):
        measure.charge(waves, "vdd", 2.0, 1.0)


@pytest.mark.parametrize(
    ("values", "rises", "falls"),
    [
        ([-1, 0, 1], [1.0], []),
        ([1, 0, -1], [], [1.0]),
        ([-1, 0, -1], [1.0], [1.0]),
        ([1, 0, 1], [], []),
        ([0, 0, 1], [], []),
        ([-1, 1, 1, -3], [0.5], [2.25]),
    ],
)
def test_rises_and_falls_alternate(values, rises, falls):
    time, values = np.arange(float(len(values))), np.array(values, float)
    assert measure.crossings(time, values).tolist() == rises
    assert measure.crossings(time, values, direction="fall").tolist() == falls
    assert measure.crossings(time, values, direction="cross").tolist() == sorted(rises + falls)


def test_windows_of_a_crossing():
    find = lambda **key: float(measure.crossing(TIME, SPIKES, 0.9, **key))  # noqa: E731
    assert find(k=-1) == 5.5
    assert find(after=2.0) == 3.5
    assert find(k=-1, before=5.0) == 3.5
    assert find(direction="fall") == 2.5
    with pytest.raises(InputError, match=r"rises through 0\.9 twice only; number 3"):
        find(k=3, before=5.0)


def test_shapes():
    time = np.arange(0.0, 8e-3, GRID)
    tau = 1e-3
    decay = np.where(time < 1e-3, time / 1e-3, np.exp(-(time - 1e-3) / tau))
    assert measure.decay_time(time, decay) == pytest.approx(tau, rel=1e-5)  # (h/τ)²/8
    # An exponential given by few points: straight lines between them would be 1 % off
    sparse = tau * np.array([0.0, 0.6, 1.1, 2.0, 3.0])
    assert measure.decay_time(sparse, np.exp(-sparse / tau)) == pytest.approx(tau, rel=1e-9)
    # Next to a point that is not positive there is a straight line instead
    with_negative = measure.decay_time(np.r_[sparse[:3], 2e-3], np.r_[np.exp(-sparse[:3] / tau), -0.1])
    assert with_negative == pytest.approx(tau, rel=0.2)
    assert float(measure.peak(decay)) == 1.0
    assert float(measure.rise_time(time, decay)) == pytest.approx(0.8e-3, rel=1e-9)  # a ramp: 80 % of 1 ms
    charged = 1 - np.exp(-time / tau)
    top = charged[-1]
    wanted = tau * np.log((1 - 0.1 * top) / (1 - 0.9 * top))
    assert float(measure.rise_time(time, charged)) == pytest.approx(wanted, rel=1e-5)
    assert float(measure.mean(time, time, 1e-3, 2e-3)) == pytest.approx(1.5e-3)
    assert float(measure.integral(time, 2 * time)) == pytest.approx(time[-1] ** 2)


def test_shapes_that_are_not_there():
    time = np.arange(4.0)
    with pytest.raises(InputError, match="falls to 50%"):
        measure.decay_time(time, np.array([0.0, 2.0, 1.0, 1.0]))
    with pytest.raises(InputError, match="never rises"):
        measure.rise_time(time, np.zeros(4))
    with pytest.raises(InputError, match="is asked for at 5"):
        measure.value_at(time, time, 5.0, "v(a)")
    with pytest.raises(InputError, match="a decay time needs a positive"):
        measure.decay_time(time, -np.ones(4))


def test_padding_changes_nothing():
    padded = Waveforms(
        time=np.r_[TIME, TIME[-1], TIME[-1]], voltages=np.r_[SPIKES, SPIKES[-1], SPIKES[-1]][None], nodes=("spk",),
        currents=np.zeros((0, 9)), branches=(), supply=1.8, n_valid=7,
    )  # fmt: skip
    assert measure.spike_times(padded, "spk").tolist() == [1.5, 3.5, 5.5]
    v = padded.voltage("spk")
    assert float(measure.value_at(padded.time, v, 6.0)) == 1.8
    assert float(measure.mean(padded.time, v)) == pytest.approx(float(measure.mean(TIME, SPIKES)))
    assert float(measure.integral(padded.time, v)) == pytest.approx(float(measure.integral(TIME, SPIKES)))
    # At the end too a value lies on the line of the last interval, here 1.8 V in a second, not between two paddings.
    slope = jax.grad(lambda a: measure.value_at(jnp.asarray(padded.time), jnp.asarray(v), a))(6.0)
    assert float(slope) == pytest.approx(1.8, rel=1e-6)


def test_a_sweep_may_run_downwards():
    assert float(measure.value_at(TIME[::-1], 2 * TIME[::-1], 1.25)) == 2.5
    assert measure.crossings(TIME[::-1], TIME[::-1], 2.5, "fall").tolist() == [2.5]


def test_crossing_is_differentiable_and_traced():
    def place(top):
        return measure.crossing(jnp.asarray(TIME), top * jnp.asarray(SPIKES), 0.9, 2)

    # v rises from 0 to 1.8 top within a second: t = 3 + 0.5/top
    assert float(jax.grad(place)(1.0)) == pytest.approx(-0.5, rel=1e-6)
    assert float(jax.jit(jax.grad(place))(1.0)) == pytest.approx(-0.5, rel=1e-6)
    assert np.isnan(float(jax.jit(place)(0.1)))  # never gets there; a traced number cannot raise
    slope = jax.grad(lambda a: measure.value_at(jnp.asarray(TIME), jnp.asarray(SPIKES), a))(1.5)
    assert float(slope) == pytest.approx(1.8, rel=1e-6)
