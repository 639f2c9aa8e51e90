"""The EKV transistor: current against the closed form that ngspice is checked with, conductances against automatic
differentiation, no NaN anywhere."""

from __future__ import annotations

import decimal
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.circuit import use_float64
from analogsnn.devices import (
    COMMON_KEYS,
    POLAR_KEYS,
    capacitances,
    coefficients,
    conductances,
    drain_current,
)
from analogsnn.devices._ekv import softplus
from analogsnn.ngspice import ekv_current

use_float64()

# circuits/cards/ekv.lib, the n device
CARD = {
    "n": 1.3, "vt": 0.45, "kp": 300e-6, "ve": 1e7, "tcv": 1e-3, "gm": 0.0, "ph": 0.8, "th": 0.0, "dib": 0.0,
    "bk": 0.0, "ns": 0.0, "vl": 0.0, "vll": 0.0, "nl": 0.0, "tcn": 0.0, "bex": -1.5,
    "lam": 0.0, "tbk": 0.0, "thb": 0.0, "kw": 0.0, "cw": 0.0,
    "cox": 8.5e-3, "cgo": 0.3e-9, "cjw": 0.5e-9, "ut": 0.025865, "eps": 1e-3,
}  # fmt: skip
P = {**CARD, "n": 1.35, "kp": 70e-6}
SIZE = {"w": 2e-6, "l": 2e-6, "dvt": 0.0, "dbt": 0.0, "m": 1.0}
TERMS = {
    "plain": {},
    "body": {"gm": 0.2},
    "mobility": {"th": 0.3},
    "dibl": {"dib": 2e-8},
    "steeper": {"bk": 0.1, "ns": 0.15},
    "knee": {"kw": 0.6, "cw": 0.4},
    "all": {
        "gm": 0.5,
        "th": 0.3,
        "dib": 2e-8,
        "bk": 0.2,
        "ns": 0.12,
        "vl": 4e-8,
        "vll": -4e-15,
        "nl": -2e-9,
        "tcn": -0.03,
        "bex": -1.1,
        "lam": 0.02,
        "tbk": 0.1,
        "thb": 0.6,
        "kw": 0.8,
        "cw": 0.3,
    },
}
TEMPERATURES = (-40.0, 27.0, 125.0)
# Gate, source and drain against bulk: every inversion, both directions, zero and tiny vds, forward-biased bulk
VOLTAGES = np.array(
    list(itertools.product((-0.5, 0.0, 0.2, 0.45, 0.9, 1.8), (-0.2, 0.0, 0.3, 1.2), (-0.2, 0.0, 0.3, 0.3001, 1.8)))
)
# Conductances are sums of a few products; the current is a difference of squares, at vds = 0.1 mV nearly equal ones.
CONDUCTANCE = 1e-12
CURRENT = 1e-11


def one(c, v):
    """The current at `v`: gate, source and drain voltage."""
    return drain_current(c, v[0], v[1], v[2])


def slopes(c, v):
    return jnp.stack(conductances(c, v[0], v[1], v[2]))


def over(function):
    """Over all rows of voltages, compiled once for every card."""
    return jax.jit(jax.vmap(function, in_axes=(None, 0)))


CURRENTS, SLOPES = over(one), over(slopes)
GRADIENT, CURVATURE, BEND = over(jax.grad(one, 1)), over(jax.hessian(one, 1)), over(jax.jacfwd(slopes, 1))


def model(terms: str, celsius: float, *, extended: bool = True, **size: Any):
    return coefficients({**CARD, **TERMS[terms]}, {**SIZE, **size}, celsius, extended=extended)


def test_currents_of_the_card():
    # The header of circuits/cards/ekv.lib, measured in ngspice: |V_GS| 0, 0.2, 0.4, 0.6, 1.8 V at |V_DS| 0.9 V
    vg = np.array([0, 0.2, 0.4, 0.6, 1.8])
    for card, wanted in (
        (CARD, [8.392496e-13, 3.141862e-10, 8.249810e-8, 2.966985e-6, 2.156481e-4]),
        (P, [3.337135e-13, 9.991316e-11, 2.092115e-8, 6.738597e-7, 4.881104e-5]),
    ):
        found = drain_current(coefficients(card, SIZE, 27.0, extended=False), vg, 0.0, 0.9)
        assert np.asarray(found) == pytest.approx(wanted, rel=1e-6)  # digits of the header


@pytest.mark.parametrize("celsius", TEMPERATURES)
@pytest.mark.parametrize("terms", TERMS)
def test_current_is_the_closed_form(terms, celsius):
    # ekv_current is what tests/spice/test_ekv_card.py compares with ngspice itself, to 1e-9
    card = {f"ekv_{key}{'n' if key in POLAR_KEYS else ''}": v for key, v in {**CARD, **TERMS[terms]}.items()}
    size: dict[str, Any] = {"w": 3e-6, "l": 0.7e-6, "dvt": 4e-3, "dbt": -0.05}
    wanted = [ekv_current(card, "n", vgb=g, vsb=s, vdb=d, celsius=celsius, **size) for g, s, d in VOLTAGES.tolist()]
    found = np.asarray(drain_current(model(terms, celsius, extended=True, **size), *VOLTAGES.T))
    assert found == pytest.approx(np.array(wanted), rel=CURRENT, abs=1e-30)
    assert set(CARD) == {*POLAR_KEYS, *COMMON_KEYS}


@pytest.mark.parametrize("celsius", TEMPERATURES)
@pytest.mark.parametrize("terms", TERMS)
def test_conductances_are_the_derivatives(terms, celsius):
    c = model(terms, celsius)
    found = np.asarray(SLOPES(c, VOLTAGES))
    wanted = np.asarray(GRADIENT(c, VOLTAGES))
    assert found[:, 0] == pytest.approx(np.asarray(CURRENTS(c, VOLTAGES)), rel=1e-13, abs=0)
    # Each conductance against the largest of its point: some vanish by cancellation.
    scale = np.abs(wanted).max(axis=1, keepdims=True)
    wrong = np.abs(found[:, 1:] - wanted) / scale
    assert wrong.max() < CONDUCTANCE, VOLTAGES[wrong.max(axis=1).argmax()]
    assert (scale > 0).all()


def test_terms_left_out_are_terms_that_are_zero():
    for celsius in TEMPERATURES:
        short, long = (model("plain", celsius, extended=extended) for extended in (False, True))
        for a, b in zip(conductances(short, *VOLTAGES.T), conductances(long, *VOLTAGES.T), strict=True):
            assert np.asarray(a) == pytest.approx(np.asarray(b), rel=1e-14, abs=1e-40)


@pytest.mark.parametrize("terms", TERMS)
def test_nothing_is_nan_at_extreme_voltages(terms):
    c = model(terms, 27.0)
    extreme = np.array(list(itertools.product((-1e3, -5.0, 0.0, 5.0, 1e3), repeat=3)))

    for function in (CURRENTS, GRADIENT, CURVATURE, SLOPES, BEND):
        assert np.isfinite(np.asarray(function(c, extreme))).all()


def test_hessian_is_symmetric_and_smooth_where_vds_vanishes():
    c = model("all", 27.0)
    curvature = np.asarray(CURVATURE(c, VOLTAGES))
    assert np.abs(curvature - curvature.swapaxes(1, 2)).max() <= 1e-12 * np.abs(curvature).max()
    # A central difference over the smoothing voltage's own scale: no kink at vds = 0
    h = 1e-6
    rows = np.array([[0.6, 0.3, 0.3], [0.6, 0.3, 0.3 + h], [0.6, 0.3, 0.3 - h]])
    _, ahead, behind = np.asarray(GRADIENT(c, rows))[:, 2]
    wanted = float(np.asarray(CURVATURE(c, rows))[0, 2, 2])
    assert (ahead - behind) / (2 * h) == pytest.approx(wanted, rel=1e-5)  # the difference quotient's own error


def test_source_and_drain_change_places():
    for terms in TERMS:
        c = model(terms, 27.0)
        forward = np.asarray(drain_current(c, *VOLTAGES.T))
        g, s, d = VOLTAGES.T
        assert np.asarray(drain_current(c, g, d, s)) == pytest.approx(-forward, rel=1e-13, abs=1e-40)


def test_derivatives_by_the_card_are_finite():
    def current(card):
        return drain_current(coefficients(card, SIZE, 47.0, extended=True), 0.6, 0.0, 0.9)

    for key, slope in jax.grad(current)(CARD).items():
        assert np.isfinite(float(slope)), key
        if key not in ("cox", "cgo", "cjw", "ph"):  # ph alone moves nothing while gm is zero
            assert float(slope) != 0, key


def test_softplus_against_decimals():
    x = np.concatenate([np.linspace(-700, 700, 57), np.linspace(-3, 3, 61)])
    with decimal.localcontext(prec=360):  # e^-700 beside 1, and forty digits more
        wanted = np.array([float((1 + decimal.Decimal(float(v)).exp()).ln()) for v in x])
    assert np.asarray(softplus(jnp.asarray(x))) == pytest.approx(wanted, rel=2e-15, abs=0)


def test_softplus_has_its_derivatives_at_zero():
    # A gate exactly at the threshold is a usual start
    second = jax.grad(jax.grad(softplus))
    assert float(jax.grad(softplus)(0.0)) == pytest.approx(0.5, rel=1e-12)
    assert float(second(0.0)) == pytest.approx(0.25, rel=1e-12)
    x = np.linspace(-40, 40, 81)
    slope = 1 / (1 + np.exp(-x))
    assert np.asarray(jax.vmap(jax.grad(softplus))(x)) == pytest.approx(slope, rel=1e-12, abs=0)
    assert np.asarray(jax.vmap(second)(x)) == pytest.approx(slope * (1 - slope), rel=1e-9, abs=1e-15)


def test_capacitances():
    # facts of the card's header: overlap cgo W, gate cox W L (n-1)/n, junctions cjw W; m devices side by side
    found = capacitances(CARD, {**SIZE, "m": 3.0})
    gate = 3 * 8.5e-3 * 2e-6 * 2e-6 * 0.3 / 1.3
    assert found == {
        "gs": pytest.approx(1.8e-15), "gd": pytest.approx(1.8e-15), "gb": pytest.approx(gate),
        "db": pytest.approx(3e-15), "sb": pytest.approx(3e-15),
    }  # fmt: skip
