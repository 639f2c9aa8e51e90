"""The models as they are without 64-bit floats, and with float32 states where 64 bit is on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.models import DPI, Neuron, SigmoidLaw, spike_times

TOL_FLOAT32 = 2e-5  # of a current: a few roundings of u = ln I, about 25
TOL_SPIKES = 1e-4  # of a spike time, at the float32 tolerance of 1e-5 a step


@pytest.fixture
def x32():
    """32 bit, whatever tests before have switched on."""
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", before)


def synapse() -> DPI:
    return DPI(c=24.5e-12, kappa=0.705, ut=25e-3, i_tau=86.9e-12, i_gain=4 * 86.9e-12, i0=0.5e-12)


def test_the_synapse_in_float32(x32):
    u = synapse().on(np.log(0.5e-12), 100e-9, 100e-6)
    assert u.dtype == jnp.float32
    assert float(jnp.exp(u)) == pytest.approx(1.26975427e-9, rel=TOL_FLOAT32)
    gradient = jax.grad(lambda d: d.on(np.float32(-28), 100e-9, 100e-6))(synapse())
    assert all(np.isfinite(x) for x in jax.tree.leaves(gradient))


def test_the_neuron_in_float32(x32):
    neuron = Neuron(
        c=2e-12, kappa=0.705, ut=25e-3, i_tau=5e-12, i_gain=20e-12, i_spike=2e-9, i_reset=1.2e-12, t_ref=5e-3,
        feedback=SigmoidLaw(gain=100e-12, threshold=1e-9, norm=20e-12),
    )  # fmt: skip
    times = spike_times(neuron, 500e-12, 0.06, 8).times
    assert times.dtype == jnp.float32
    np.testing.assert_allclose(times[:4], [0.01071105, 0.0264221, 0.04213316, 0.05784421], rtol=TOL_SPIKES)


def test_a_float32_state_stays_float32(x64):
    assert synapse().on(jnp.float32(-28), np.float32(100e-9), np.float32(1e-4)).dtype == jnp.float32
    assert synapse().on(np.log(0.5e-12), 100e-9, 1e-4).dtype == jnp.float64
