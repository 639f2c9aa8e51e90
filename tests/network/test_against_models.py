"""The network's fixed steps in float32 against the models, which are exact in time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.models import DPI, Physics, SigmoidFeedback
from analogsnn.network import Events, Mismatch, Network, Neuron, Population, lanes, simulate
from analogsnn.network._stepping import on_phase

CURRENTS = np.array([200, 240, 250, 300, 400, 500, 750, 1000, 2000, 5000]) * 1e-12
# Of the models (tests/models holds them against quadrature), Hz.
RATES = np.array([0, 19.954, 23.096, 34.758, 51.183, 63.649, 85.982, 101.185, 133.350, 163.499])
# At 0.1 ms, measured 2.6e-3; at 5 nA, where u rises by up to 7 within a step, 1.1e-2.
TOL_STEP = np.where(CURRENTS < 3e-9, 3e-3, 1.2e-2)
ROUNDING = 1e-5  # of ln I in float32


@pytest.fixture(scope="module")
def reference() -> Network:
    physics = Physics(
        i0=1e-18, kappa_n=0.705, kappa_p=0.705, ut=25e-3, c={**Physics().c, "mem": 2e-12}, reset=1.2e-12,
        feedback=SigmoidFeedback(gain=100e-12, threshold=1e-9, norm=20e-12),
    )  # fmt: skip
    tau = physics.time_constant(5e-12, "mem")
    neurons = [Neuron(tau=tau, gain=4.0, refractory=5e-3, threshold=2e-9, dc=float(i)) for i in CURRENTS]
    return Network(
        populations=tuple(Population(name=f"n{k}", size=1, neuron=n) for k, n in enumerate(neurons)), physics=physics
    )


def test_f_i_curve(reference):
    spikes = simulate(lanes(reference, [Mismatch()]), Events(np.empty(0), np.empty(0, int)), 2.0)
    times, neurons = spikes.of(0)
    got = np.zeros(len(CURRENTS))
    for k in range(len(CURRENTS)):
        own = times[neurons == k]
        got[k] = (len(own) - 1) / (own[-1] - own[0]) if len(own) > 1 else 0.0
    print("f-I, network / models - 1:", np.array2string(got[1:] / RATES[1:] - 1, precision=2))
    assert got[0] == 0
    assert np.all(np.abs(got - RATES) <= TOL_STEP * RATES)


def test_on_phase():
    """After the step that follows a pulse, ln I is too small by at most (t_p/tau) I/(I + I_g).

    The leak of the pulse comes after it instead of during it, where it would let a little more charge in.
    """
    synapse = DPI(c=24.5e-12, kappa=0.705, ut=25e-3, i_tau=86.9e-12, i_gain=4 * 86.9e-12)
    tau, step = float(synapse.tau), 1e-4
    starts, ratios = (x.ravel() for x in np.meshgrid(np.log([0.5e-12, 50e-12, 1e-9, 20e-9]), [2, 10, 1e2, 1e3, 1e4]))
    after = jax.jit(lambda u, i_w, width: synapse.off(synapse.on(u, i_w, width), step - width))
    worst = {}
    for width in (1e-6, 1e-5, 1e-4):
        s = width / tau
        z = on_phase(jnp.asarray(np.exp(starts) / (4 * 86.9e-12), jnp.float32), jnp.asarray(ratios * s, jnp.float32))
        got = np.log(np.asarray(z, float) * 4 * 86.9e-12) - step / tau
        exact = np.asarray(after(starts, ratios * 86.9e-12, width), float)
        error = got - exact
        worst[width] = np.max(np.abs(error))
        assert np.all(error < ROUNDING)
        assert np.all(error > -s * np.asarray(z) / (1 + np.asarray(z)) - ROUNDING)
    print("on-phase, largest error of ln I by pulse width:", {k: f"{v:.1e}" for k, v in worst.items()})
