"""The neuron with its transistors: without terms closed forms, with them its own differential equations."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from analogsnn.errors import InputError
from analogsnn.models import NeuronSupply, TransistorDPI, TransistorNeuron

pytestmark = pytest.mark.usefixtures("x64")

UT = 0.02586492  # kT/q at 300.15 K, CODATA
STEPS = 1e-4  # of a spike's time: Tsit5 at 3e-7 V a step


def neuron(terms: tuple[str, ...] | None = None, *, i_tau: float = 20e-12, celsius: float = 27.0, **more: Any):
    shared: dict[str, Any] = {
        "n": 1.3, "n_in": 1.35, "i_spec": 520e-9, "vt": 0.45, "tcv": 1e-3, "v_early": 20.0, "i_off": 1e-12,
        "i_spec_in": 126e-9, "celsius": celsius, "a_w": 1.0, "c_extra": 1e-14,
    }  # fmt: skip
    shared |= {} if terms is None else {"terms": terms}
    return TransistorNeuron(
        membrane=TransistorDPI(c=1e-12, i_tau=i_tau, i_gain=more.pop("i_gain", 20e-12), a_out=1.1, **shared),
        ahp=TransistorDPI(c=1e-12, i_tau=2e-12, i_gain=2e-12, a_out=1.0, **shared),
        **{
            "i_ahpw": 500e-12, "i_ref": 200e-12, "c_ref": 0.5e-12, "c_ref_extra": 1e-14, "v_peak": 0.5,
            "v_peak_t": -5e-4, "delay": 1e-6, "reset": 4.0, "v_early_reset": 5.0, "starved": 1.0, "q_pulse": 2e-14,
            **more,
        },
    )  # fmt: skip


def test_first_spike_without_terms_in_closed_form():
    """C dv/dt = I_in + g I_0 e^(v/n UT), with neither leak nor limit of the gain."""
    plain = neuron((), i_tau=1e-30, i_gain=1.0, i_ahpw=1e-30)
    i_in, scale = 200e-12, 1.3 * UT
    off = 1.1 * 520e-9 * np.exp(-0.45 / scale)
    # The adaptation at rest, its transistor's off-current, sinks from the beginning.
    net = i_in - 520e-9 * np.exp(-0.45 / scale)
    ratio = (net + off * np.exp(0.45 / scale)) / (net + off)
    wanted = 1e-12 / net * (0.45 - scale * np.log(ratio))
    times, left = plain.spikes(i_in, 1, 10e-3)
    assert float(times[0]) == pytest.approx(wanted, rel=STEPS)
    assert float(left[0]) > float(times[0])


def test_ramp_is_straight_without_terms():
    ramp = neuron(()).refractory_voltage(np.array([0.0, 1e-6, 101e-6, 501e-6]))
    assert np.asarray(ramp) == pytest.approx([0.5, 0.5, 0.5 - 0.04, 0.5 - 0.2], rel=1e-4)  # I t/C


def test_ramp_solves_its_equation():
    """C_r dv/dt = -I_ref (1 + v/V_A)/(1 + v_ref/V_A) (1 - e^(-v/UT)) + I_off, warm."""
    model = neuron(celsius=60.0)
    for since in (0.3e-3, 1e-3, 1.25e-3):
        v, slope = jax.jvp(model.refractory_voltage, (since,), (1.0,))
        off = float(model.ahp.warmed(1e-12))
        wanted = -(float(model.membrane.sink(v, 200e-12)) - off) / 0.51e-12
        # The bend at the end leaves I_off/I_ref = 6 % out where the ramp is straight.
        assert float(slope) == pytest.approx(wanted, rel=0.07 if v > 0.1 else 0.15)


def test_pulse_ends_where_the_ramp_meets_the_weight():
    model = neuron()
    ends = model.pulse - 2e-14 / 500e-12
    v = model.refractory_voltage(ends)
    assert float(model.membrane.current(v) / 1.1) == pytest.approx(500e-12, rel=1e-6)


def test_membranes_and_adaptations_must_agree():
    one, other = neuron(), neuron(())
    with pytest.raises(InputError, match="different terms"):
        TransistorNeuron(**{**vars(one), "ahp": other.ahp})


def test_energy_adds_up():
    model, vdd = neuron(celsius=50.0), 1.8
    supply = NeuronSupply(
        q_spike=2.5e-12, q_warm=1e-14, q_slow=1e-13, q_slow_warm=1e-15, pulse=2.6, i_rest=10e-12, i_rest_pulse=1e-12,
        n_rest=1.35,
    )  # fmt: skip
    period, rise = 5e-3, 4e-3
    rest = float(supply.at_rest(model))
    # 23 K, ten times the rise that counts as none, and the pulse
    wanted = 2.5e-12 + 23e-14 + np.log(10) * (1e-13 + 23e-15) + 2.6 * 500e-12 * float(model.pulse) + rest * period
    assert float(supply.energy(model, rise, period, vdd)) == pytest.approx(vdd * wanted, rel=1e-9)
    assert float(supply.during_pulse(model)) == pytest.approx(rest + 1.3e-9, rel=1e-9)
    assert rest > 10e-12
