"""Noise of a DPI: its formula against ngspice's bipolar transistors, its simulation against the formula."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import numpy as np
import pytest
from scipy.signal import welch

from analogsnn import ngspice
from analogsnn.errors import InputError
from analogsnn.models import NoisyDPI, TransistorDPI
from analogsnn.netlist import read_netlist_text

pytestmark = pytest.mark.usefixtures("x64")

UT = 0.02586492  # kT/q at 300.15 K, CODATA
I_W, I_TAU, I_GAIN, C = 200e-12, 20e-12, 100e-12, 2e-12
DECIBEL = 0.5  # what an estimate from these many courses is good for; the formula itself is held to 0.001
# A bipolar transistor is one in weak inversion with a slope factor of 1: the same exponential, and 2qI by ngspice's own
# account. Its DPI is the textbook equation.
BIPOLAR = f"""DPI of bipolar transistors
.model n npn is=1e-18 bf=1e12 br=1e12
.model p pnp is=1e-18 bf=1e12 br=1e12
Vdd vdd 0 3
Vg vg 0 1
Vt vt 0 {UT * np.log(I_W / 1e-18):.15g}
Q0 tail vt 0 n
Q1 v v tail n
Q2 vdd vg tail n
Vl vl 0 {3 - UT * np.log(I_TAU / 1e-18):.15g}
Q3 v vl vdd p
C1 v vdd 2p
.options gmin=1e-20 abstol=1e-20 reltol=1e-6 noopiter
.op
.end
"""


def synapse(**more: Any) -> TransistorDPI:
    values: dict[str, Any] = {
        "n": 1.0, "n_in": 1.0, "i_spec": 1e-7, "vt": 0.45, "tcv": 0.0, "v_early": 20.0, "a_w": 1.0, "a_out": 1.0,
        "c_extra": 0.0, "i_off": 1e-12, "i_spec_in": 1e-7, "terms": (),
    }  # fmt: skip
    return TransistorDPI(c=C, i_tau=I_TAU, i_gain=I_GAIN, **(values | more))


def corner() -> float:
    """Of the textbook equation at I_w = 10 I_tau: the slope is I_tau (1 - s)/UT with the share s = 0.1."""
    return I_TAU * 0.9 / UT / (2 * np.pi * C)


def test_formula_is_that_of_bipolar_transistors():
    f, wanted = ngspice.noise(read_netlist_text(BIPOLAR), "v", 0.1, 1e5, points=2, reference="vdd")
    found = np.asarray(NoisyDPI(synapse()).density(f, I_W))
    assert np.abs(10 * np.log10(found / wanted)).max() < 1e-3


def courses(noisy: NoisyDPI, step: float, count: int, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    skip = int(5 / (2 * np.pi * corner()) / step)
    one = jax.jit(jax.vmap(lambda key: noisy.simulate(I_W, step, count, key, skip=skip)))
    f, power = welch(np.asarray(one(jax.random.split(jax.random.key(1), lanes))), 1 / step, nperseg=count, axis=-1)
    return f, power.mean(0)


def errors(noisy: NoisyDPI, f: np.ndarray, power: np.ndarray, edges: np.ndarray) -> list[float]:
    """In decibel, by band."""
    wanted = np.asarray(noisy.density(np.maximum(f, f[1]), I_W))
    bands = [(f >= a) & (f < b) & (f > 1.5 * f[1]) for a, b in pairwise(edges)]
    assert all(band.sum() >= 3 for band in bands)
    return [float(10 * np.log10(power[band].mean() / wanted[band].mean())) for band in bands]


def test_simulated_spectrum_over_four_decades():
    """Steps of a tenth of the time constant for the two decades below the corner, of a 300th for those above."""
    noisy, fc = NoisyDPI(synapse()), corner()
    tau = 1 / (2 * np.pi * fc)
    low = errors(noisy, *courses(noisy, 0.1 * tau, 20_000, 48), np.geomspace(0.01 * fc, fc, 5))
    high = errors(noisy, *courses(noisy, tau / 300, 7_500, 96), np.geomspace(fc, 100 * fc, 5))
    assert np.abs(low + high).max() < DECIBEL


def test_flicker_falls_with_frequency():
    """Between its relaxations, a decade apart, and far above the shot noise."""
    noisy = NoisyDPI(synapse(), flicker=1e-6, corners=(2.0, 20.0, 200.0, 2000.0))
    f, power = courses(noisy, 4e-5, 6000, 32)
    assert np.abs(errors(noisy, f, power, np.geomspace(10.0, 400.0, 5))).max() < DECIBEL
    assert float(noisy.density(20.0, I_W)) > 100 * float(NoisyDPI(synapse()).density(20.0, I_W))
    assert float(NoisyDPI(synapse(), shot=False).density(20.0, I_W)) == 0


def test_both_directions_count():
    """A transistor without drain voltage conducts as much back as forth: 4qI_f of a vanishing net current."""
    model = synapse(terms=("floor",))
    barely = 1e-9  # V of drain voltage
    forward = float(model.sink(barely, I_TAU) / model.opening(barely))
    wanted = 2 * 1.602176634e-19 * (2 * forward + float(model.charging(barely, I_W)))
    assert float(NoisyDPI(model).shot_density(barely, I_W)) == pytest.approx(wanted, rel=1e-6)


def test_bad_corners():
    with pytest.raises(InputError, match="ascend by a factor of ten"):
        NoisyDPI(synapse(), flicker=1e-9, corners=(1.0, 20.0))
