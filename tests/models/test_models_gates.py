"""Gate and inhibition at the points where their value is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.models import Neuron, nmda_gate, shunt_factor, shunted_leak, subtracted_input

pytestmark = pytest.mark.usefixtures("x64")

TOL = 1e-12  # rounding


@pytest.mark.parametrize("exponent", [1.0, 0.88, 1.3])
def test_half_of_the_current_passes_at_the_gate_current(exponent):
    assert float(nmda_gate(2e-9, np.log(1e-9), 1e-9, exponent)) == pytest.approx(1e-9, rel=TOL)
    assert float(nmda_gate(2e-9, np.log(3e-9), 1e-9, exponent)) == pytest.approx(2e-9 / (1 + 3**-exponent), rel=TOL)


def test_an_open_gate_passes_all_and_has_a_gradient():
    value, slope = jax.value_and_grad(lambda gate: nmda_gate(2e-9, np.log(1e-12), gate))(0.0)
    assert float(value) == pytest.approx(2e-9, rel=TOL)
    assert np.isfinite(slope)


def test_subtraction_stops_at_the_floor():
    assert float(subtracted_input(3e-9, 1e-9)) == pytest.approx(2e-9)
    assert float(subtracted_input(1e-9, 3e-9)) == 0.0
    assert float(subtracted_input(1e-9, 3e-9, 0.5e-12)) == 0.5e-12


def test_a_shunt_scales_tau_and_gain_alike():
    """A passive membrane with a shunt: tau of its decay and steady state scale by I_tau/(I_tau + I_GABAA)."""
    neuron = Neuron(c=2e-12, kappa=0.705, ut=25e-3, i_tau=5e-12, i_gain=20e-12, i_spike=1, i_reset=1e-12, t_ref=1e-3)
    shunt = 15e-12
    factor = float(shunt_factor(neuron.i_tau, shunt))
    assert factor == pytest.approx(0.25)
    assert float(shunted_leak(5e-12, shunt)) == pytest.approx(20e-12)
    decay = neuron.derivative(np.log(1e-12), gaba_a=shunt)
    assert -1 / float(decay) == pytest.approx(factor * float(neuron.tau), rel=TOL)
    # I_ss = I_g (I_in/leak - 1): its gain I_g/leak scales by the factor.
    steady = jnp.log(20e-12 * (1e-9 * factor / 5e-12 - 1))
    assert float(neuron.derivative(steady, 1e-9, gaba_a=shunt)) == pytest.approx(0, abs=1e-9)
