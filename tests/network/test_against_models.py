"""The network's fixed steps in float32 against the models, which are exact in time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.models import DPI, Physics, SigmoidFeedback
from analogsnn.network import (
    Events,
    Input,
    Mismatch,
    Network,
    Neuron,
    Population,
    Synapse,
    connect,
    lanes,
    record,
    simulate,
)
from analogsnn.network._stepping import on_phase
from tests.network.networks import NOTHING

CURRENTS = np.array([200, 240, 250, 300, 400, 500, 750, 1000, 2000, 5000]) * 1e-12
# Of the models (tests/models holds them against quadrature), Hz.
RATES = np.array([0, 19.954, 23.096, 34.758, 51.183, 63.649, 85.982, 101.185, 133.350, 163.499])
# At 0.1 ms, measured 2.6e-3; at 5 nA, where u rises by up to 7 within a step, 1.1e-2.
TOL_STEP = np.where(CURRENTS < 3e-9, 3e-3, 1.2e-2)
TOL_DEFAULT = 2e-3  # as docs/networks.md says of the step that `simulate` takes itself
# Without feedback: rheobase I_tau (1 + I_spk/I_g) = 505 pA, and rates (Hz) printed to 0.01.
PLAIN = {500e-12: 0, 750e-12: 46.34, 1e-9: 64.61, 5e-9: 151.47}
ROUNDING = 1e-5  # of ln I in float32


def reference(currents, feedback) -> Network:
    """The reference neuron at constant inputs, a population each."""
    physics = Physics(
        i0=1e-18, kappa_n=0.705, kappa_p=0.705, ut=25e-3, c={**Physics().c, "mem": 2e-12}, reset=1.2e-12,
        feedback=feedback,
    )  # fmt: skip
    tau = physics.time_constant(5e-12, "mem")
    neurons = [Neuron(tau=tau, gain=4.0, refractory=5e-3, threshold=2e-9, dc=float(i)) for i in currents]
    return Network(
        populations=tuple(Population(name=f"n{k}", size=1, neuron=n) for k, n in enumerate(neurons)), physics=physics
    )


def rates(network: Network, dt: float | None) -> np.ndarray:
    """Hz of every neuron, from its first to its last spike of 2 s."""
    times, neurons = simulate(lanes(network, [Mismatch()]), NOTHING, 2.0, dt=dt).of(0)
    own = [times[neurons == k] for k in range(network.size)]
    return np.array([(len(t) - 1) / (t[-1] - t[0]) if len(t) > 1 else 0.0 for t in own])


@pytest.mark.parametrize(("dt", "tolerance"), [(1e-4, TOL_STEP), (None, TOL_DEFAULT)], ids=["0.1 ms", "default"])
def test_f_i_curve(dt, tolerance):
    network = reference(CURRENTS, SigmoidFeedback(gain=100e-12, threshold=1e-9, norm=20e-12))
    got = rates(network, dt)
    print("f-I, network / models - 1:", np.array2string(got[1:] / RATES[1:] - 1, precision=2))
    assert got[0] == 0
    assert np.all(np.abs(got - RATES) <= tolerance * RATES)


def test_f_i_curve_without_feedback():
    got = rates(reference(PLAIN, None), None)
    print("without feedback:", got)
    assert got[0] == 0  # 1 % below the rheobase
    assert got[1:] == pytest.approx(list(PLAIN.values())[1:], rel=TOL_DEFAULT)


# (I_g/I_tau, I_w, width), and I (A) at the end of a pulse from 0.5 pA on, of the closed form at tau = 10.000 ms.
PULSES = [(4, 100e-9, 100e-6, 1.2695e-9), (4, 100e-9, 1e-3, 34.48e-9), (1, 1e-6, 100e-6, 9.105e-9),
          (100, 10e-9, 10e-6, 0.5604e-12)]  # fmt: skip
PRINTED = 2e-4  # the digits that are given of them
PERIODS = [50, 20, 10, 5]  # steps: 200 Hz to 2 kHz
TOL_MEAN = 1e-3  # float32 sums, and 20 time constants from rest


def test_synapses_answer_as_the_references_do():
    """Single pulses, their decay, and the mean response, which is linear in the rate above a mean charge."""
    step, tau, i0 = 1e-4, 10e-3, 0.5e-12
    physics = Physics(i0=i0, kappa_n=0.705, kappa_p=0.705, ut=25e-3)
    i_tau = float(physics.leak_current(tau, "AMPA"))
    trains = [(4, 100e-9, 10e-6, period) for period in PERIODS]
    kinds = [*((gain, i_w, width) for gain, i_w, width, _ in PULSES), *(t[:3] for t in trains)]
    network = Network(
        populations=tuple(
            Population(name=f"n{k}", size=1, synapses={"AMPA": Synapse(tau=tau, gain=gain)}, pulse=width)
            for k, (gain, _, width) in enumerate(kinds)
        ),
        inputs=(Input(name="i", size=len(kinds)),),
        connections=tuple(connect("i", f"n{k}", "AMPA", [[k, 0]], i_w) for k, (_, i_w, _) in enumerate(kinds)),
        physics=physics,
    )
    every = [[10] if k < len(PULSES) else list(range(0, 3000, trains[k - len(PULSES)][3])) for k in range(len(kinds))]
    time = np.concatenate([(np.array(steps) + 0.5) * step for steps in every])
    channel = np.repeat(np.arange(len(kinds)), [len(steps) for steps in every])
    order = np.argsort(time, kind="stable")
    run = record(
        lanes(network, [Mismatch()]), Events(time[order], channel[order]), 0.3, range(len(kinds)), every=step, dt=step
    )
    current = run["current"].sel(quantity="AMPA").values[:, 0].astype(float) + i0
    for k, (gain, _, width, expected) in enumerate(PULSES):
        # The network's pulse acts at the end of its step, all at once: the leak of the pulse comes after it.
        error = np.log(current[10, k] / expected) - width / tau
        z = expected / (gain * i_tau)
        assert -width / tau * z / (1 + z) - PRINTED <= error <= PRINTED, (k, error)
    assert current[210, 1] / current[10, 1] == pytest.approx(np.exp(-20e-3 / tau), rel=1e-4)
    # The mean over a period of tau (1 + I_g/I) dI/dt + I = I_g (I_w/I_tau - 1) has no derivative left.
    mean = current[2000:, len(PULSES) :].mean(axis=0) * (tau / step) * -np.expm1(-step / tau)
    linear = [gain * (i_w * width / (period * step) - i_tau) for gain, i_w, width, period in trains]
    print("mean response, network / exact - 1:", mean / linear - 1)
    assert mean == pytest.approx(linear, rel=TOL_MEAN)


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
