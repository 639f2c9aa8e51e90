"""The DPI with its transistors: without terms the textbook equation, with them consistent with itself."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from analogsnn.errors import InputError
from analogsnn.models import DPI, TERMS, TransistorDPI

pytestmark = pytest.mark.usefixtures("x64")

# As the EKV card has them (circuits/cards/ekv.lib): n devices in the pair, p devices at the output
VALUES: dict[str, Any] = {
    "c": 2e-12, "n": 1.35, "n_in": 1.3, "i_spec": 126e-9, "vt": 0.45, "tcv": 1e-3, "v_early": 20.0, "a_w": 1.04,
    "a_out": 1.03, "c_extra": 25e-15, "i_off": 1.6e-12, "i_spec_in": 520e-9, "i_tau": 20e-12, "i_gain": 100e-12,
}  # fmt: skip
IDEAL = {**VALUES, "a_w": 1.0, "a_out": 1.0}
UT = 0.02586492  # kT/q at 300.15 K, CODATA
INTEGRATION = 1e-5  # of Tsit5 at 1e-8 and straight lines between 6000 points


def test_without_terms_it_is_the_textbook_equation():
    model = TransistorDPI(**IDEAL, terms=())
    assert float(model.steady_state(200e-12)) == pytest.approx(100e-12 * 9, rel=1e-9)  # Ig (Iw/Itau - 1)
    assert float(model.decay_time(1e-9, 200e-12)) == pytest.approx(2e-12 * 1.35 * UT / 20e-12, rel=1e-9)  # C n UT/Itau
    rest = float(model.current(0.0))
    dpi = DPI(c=2e-12, kappa=1 / 1.35, ut=UT, i_tau=20e-12, i_gain=100e-12)
    times = np.array([5e-3, 12e-3])
    found = model.trace(times, np.array([0.0]), np.array([20e-3]), 200e-12)
    wanted = [float(np.exp(dpi.on(np.log(rest), 200e-12, t))) for t in times]
    assert np.asarray(found) == pytest.approx(wanted, rel=1e-6)


def test_quadratures_agree_with_integration():
    model = TransistorDPI(**VALUES, celsius=50.0)
    on, times = 80e-3, np.linspace(0.0, 0.12, 6001)  # the end of the pulse is one of them
    current = np.asarray(model.trace(times, np.array([0.0]), np.array([on]), 200e-12))
    top = np.interp(on, times, current)
    assert top == pytest.approx(float(model.steady_state(200e-12)), rel=1e-6)
    assert current[0] == pytest.approx(float(model.current(model.rest(200e-12))), rel=1e-9)
    rise = np.interp(0.5 * top, current[times <= on], times[times <= on])
    assert rise == pytest.approx(float(model.rise_time(200e-12)), rel=50 * INTEGRATION)
    off = times > on + 1e-4
    falls = [np.interp(-share * top, -current[off], times[off]) for share in (0.8, 0.2)]
    assert (falls[1] - falls[0]) / np.log(4) == pytest.approx(
        float(model.decay_time(top, 200e-12)), rel=50 * INTEGRATION
    )


def test_effects_have_their_sizes():
    """Directions and sizes of the corrections found on transistors (in 27 °C, at 20 pA leak, ratio 10)."""
    none = TransistorDPI(**VALUES, terms=())

    def change(term: str) -> float:
        return float(TransistorDPI(**VALUES, terms=(term,)).steady_state(200e-12) / none.steady_state(200e-12)) - 1

    # (Iw/Itau - 1) to the power n_in/n in place of 1: I/Ig with a_w Iw/Itau - 1 = 9.4
    assert change("exponent") == pytest.approx((1.04 * 10 - 1) ** (1.3 / 1.35 - 1) - 1, rel=1e-6)
    assert -0.1 < change("moderate") < -0.02  # about √(Ig/IS) - √(I/IS) = -5.7 %, and the pair's
    # The leak grows by n UT ln(I/Itau)/V_A = 0.67 %, and a change of it counts a_w Iw/Itau / (a_w Iw/Itau - 1) times
    assert change("early") == pytest.approx(-0.0067 * 10.4 / 9.4, rel=0.05)
    assert change("parasitic") == 0.0


def test_derivatives_are_those_of_differences():
    def gain(tau):
        return TransistorDPI(**{**VALUES, "i_tau": tau}).steady_state(200e-12)

    h = 1e-16
    wanted = float(gain(20e-12 + h) - gain(20e-12 - h)) / (2 * h)
    assert float(jax.grad(gain)(20e-12)) == pytest.approx(wanted, rel=1e-5)


def test_a_term_that_there_is_not():
    with pytest.raises(InputError, match="no term 'late'; there are exponent"):
        TransistorDPI(**VALUES, terms=("late", *TERMS))
