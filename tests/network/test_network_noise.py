"""Noise of the network's step: its spectrum against the closed form, whatever the step, and against diffrax's SDE."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import welch

from analogsnn.errors import InputError
from analogsnn.models import ELEMENTARY_CHARGE, NoisyDPI, Physics, TransistorDPI
from analogsnn.network import (
    Calibration,
    Events,
    Input,
    Network,
    Neuron,
    Noise,
    Population,
    Synapse,
    connect,
    lanes,
    record,
)
from analogsnn.network import Mismatch as Chip
from analogsnn.network._noise import dpi_variance, first_gates, moved_gates

UT, KAPPA = 0.02586492, 0.75  # kT/q at 300.15 K, that of `TransistorDPI` at 27 °C; its slope factor is 1/κ
C, I_TAU, I_GAIN, I_W = 2e-12, 20e-12, 100e-12, 200e-12
TAU = C * UT / (KAPPA * I_TAU)
CORNER = 0.9 / (2 * np.pi * TAU)  # of the steady state at I_w = 10 I_tau: the slope is I_tau (1 - s)/UT, s = 0.1
DECIBEL = 0.5  # what the formula is asked to hold; 80 courses leave 0.1 to 0.2 dB of chance in a band
PHYSICS = Physics(
    kappa_n=KAPPA, kappa_p=KAPPA, ut=UT, i0=1e-15, reset=1e-14, c=dict.fromkeys(Physics().c, C), feedback=None,
)  # fmt: skip
SIZE = 80
SILENT = Neuron(tau=TAU, gain=I_GAIN / I_TAU, threshold=1e-6)
FORMULA = NoisyDPI(
    TransistorDPI(
        c=C, n=1 / KAPPA, n_in=1 / KAPPA, i_spec=1e-7, vt=0.45, tcv=0.0, v_early=20.0, a_w=1.0, a_out=1.0, c_extra=0.0,
        i_off=1e-12, i_spec_in=1e-7, i_tau=I_TAU, i_gain=I_GAIN, terms=(),
    ),
    flicker=1e-7, corners=(10.0, 100.0, 1e3, 1e4),
)  # fmt: skip


def courses(kind: str, noise: Noise, dt: float, count: int) -> np.ndarray:
    """ln I of many equal devices [device, sample] about the steady state of `I_W`.

    `membrane`: of that constant input. `synapse`: of a pulse in every step with that mean current.
    """
    if kind == "membrane":
        neuron = Neuron(tau=TAU, gain=I_GAIN / I_TAU, threshold=1e-6, dc=I_W)
        network = Network(populations=(Population(name="p", size=SIZE, neuron=neuron),), physics=PHYSICS)
        events, quantity = Events(np.zeros(0), np.zeros(0, int)), "mem"
    else:
        width = 0.01 * dt
        network = Network(
            populations=(
                Population(
                    name="p", size=SIZE, neuron=SILENT, pulse=width,
                    synapses={"AMPA": Synapse(tau=TAU, gain=I_GAIN / I_TAU)},
                ),
            ),
            inputs=(Input(name="i", size=1),),
            connections=(connect("i", "p", "AMPA", [(0, k) for k in range(SIZE)], I_W * dt / width),), physics=PHYSICS,
        )  # fmt: skip
        events, quantity = Events((np.arange(3 * count) + 0.5) * dt, np.zeros(3 * count, int)), "AMPA"
    skip = int(np.ceil(8 * TAU / dt))
    devices = lanes(network, [Chip()], Calibration(noise=noise))
    events = Events(*(x[: skip + count] for x in (events.time, events.channel)))
    run = record(devices, events, (skip + count) * dt, range(SIZE), every=dt, dt=dt)
    seen = run["current"].sel(quantity=quantity).values[skip:, 0].T
    return np.log(seen.astype(float))


def errors(u: np.ndarray, dt: float, edges: np.ndarray, formula: NoisyDPI = FORMULA) -> list[float]:
    """Decibel from the formula, by band; with what a sampled course has of frequencies above half the rate."""
    f, power = welch(u, 1 / dt, nperseg=u.shape[1], axis=-1)
    folded = [np.abs(f + k / dt) for k in range(-20, 21)]
    with jax.enable_x64(True):
        density = jax.vmap(lambda x: formula.density(x, I_W))
        parts = [np.asarray(density(jnp.asarray(np.maximum(x, f[1])))) for x in folded]
    wanted = np.sum(parts, axis=0) * (KAPPA / UT) ** 2
    found = power.mean(0)
    bands = [(f >= a) & (f < b) & (f > 1.5 * f[1]) for a, b in pairwise(edges)]
    assert all(band.sum() >= 3 for band in bands)
    return [float(10 * np.log10(found[band].mean() / wanted[band].mean())) for band in bands]


WHITE = NoisyDPI(FORMULA.dpi)


@pytest.mark.validate_long
@pytest.mark.parametrize("kind", ["membrane", "synapse"])
def test_spectrum_over_four_decades(kind):
    """Steps of a tenth of the time constant for two decades below the corner, of a 300th for two above."""
    low = courses(kind, Noise(), 0.1 * TAU, 20_000), 0.1 * TAU, np.geomspace(0.01 * CORNER, CORNER, 4), WHITE
    high = courses(kind, Noise(), TAU / 300, 9000), TAU / 300, np.geomspace(CORNER, 100 * CORNER, 4), WHITE
    found = errors(*low) + errors(*high)
    assert np.abs(found).max() < DECIBEL


# Chance: 80 courses of 60 time constants leave 1 %, twice that is allowed.
VARIANCE = 0.02


@pytest.mark.parametrize(
    ("kind", "step"), [("membrane", 1.0), pytest.param("synapse", 0.02, marks=pytest.mark.validate_long)]
)
def test_variance_whatever_the_step(kind, step):
    """ε (I_1 + I_f)/(2 I_tau (1 - s)) of the Ornstein-Uhlenbeck process, also at a step of a whole time constant.

    A synapse is in a steady state as long as its pulses come many times in a time constant.
    """
    wanted = ELEMENTARY_CHARGE * KAPPA / (C * UT) * 2 / (2 * 0.9)
    assert np.var(courses(kind, Noise(), step * TAU, int(100 / step))) == pytest.approx(wanted, rel=VARIANCE)


@pytest.mark.validate_long
def test_variance_is_that_of_the_stochastic_equation():
    with jax.enable_x64(True):
        noisy = jax.jit(jax.vmap(lambda key: WHITE.simulate(I_W, 0.1 * TAU, 2000, key, skip=100)))
        v = np.asarray(noisy(jax.random.split(jax.random.key(2), 60)))
    assert np.var(courses("membrane", Noise(), 0.1 * TAU, 4000)) == pytest.approx(
        np.var(v) * (KAPPA / UT) ** 2, rel=0.05
    )


@pytest.mark.validate_long
def test_flicker_falls_with_frequency():
    """Between its relaxations, a decade apart, and a hundred times the shot noise."""
    noise = Noise(flicker=1e-7, corners=(10.0, 100.0, 1e3, 1e4))
    for kind in ("membrane", "synapse"):
        found = errors(courses(kind, noise, 5e-5, 8000), 5e-5, np.geomspace(20.0, 2e3, 4))
        assert np.abs(found).max() < DECIBEL
    with jax.enable_x64(True):
        assert float(FORMULA.density(20.0, I_W)) > 100 * float(WHITE.density(20.0, I_W))


def test_pulses_of_a_step_are_one_pulse():
    """The variance of two pulses after each other is that of one with their charge."""
    grain, no = jnp.float32(1e-6), jnp.float32(0)
    a, b, c = (jnp.float32(z) for z in (0.1, 0.7, 5.0))
    whole = dpi_variance(grain, no, no, a, c)
    first, second = dpi_variance(grain, no, no, a, b), dpi_variance(grain, no, no, b, c)
    carried = first * ((1 + b) / (1 + c)) ** 2
    assert float(carried + second) == pytest.approx(float(whole), rel=1e-5)
    # From far below I_g all electrons go through this branch: one electron moves u by ε
    tiny = dpi_variance(grain, no, no, jnp.float32(1e-4), jnp.float32(1.1e-4))
    assert float(tiny) == pytest.approx(1e-6 * np.log(1.1), rel=1e-3)


def test_the_current_back_counts_where_there_is_no_drain_voltage():
    """A leak at the floor crosses as much back as forth: twice the variance."""
    grain, fall, z = jnp.float32(1e-6), jnp.float32(0.01), jnp.float32(1e-3)
    far, near = (float(dpi_variance(grain, fall, jnp.float32(r), z, z)) for r in (0.0, 1.0))
    assert near == pytest.approx(2 * far, rel=1e-6)
    assert far == pytest.approx(1e-6 * 0.01, rel=1e-5)


@pytest.mark.validate_long
def test_relaxations_keep_their_spread():
    """Over any step: exact, and from the first."""
    keys = jnp.asarray([[3, 0], [3, 1]], jnp.uint32)
    sigma = jnp.float32(1e-3)
    gates = first_gates(keys, sigma, lanes=2, neurons=500, dpis=1, corners=2)
    assert float(jnp.std(gates)) == pytest.approx(1e-3, rel=0.03)
    for kept in (0.999, 0.3):
        drawn = jax.random.normal(jax.random.key(0), gates.shape, jnp.float32)
        moved = moved_gates(gates, jnp.full(2, kept, jnp.float32), sigma, drawn)
        assert float(jnp.std(moved)) == pytest.approx(1e-3, rel=0.03)
        assert float(jnp.mean(moved * gates)) == pytest.approx(kept * 1e-6, rel=0.1, abs=2e-8)


def test_a_number_is_the_shot_noise_of_membranes():
    assert Calibration(noise=2.0).noise == Noise(membrane=2.0, synapses=0.0)
    assert Calibration().noise == Noise(membrane=0.0, synapses=0.0)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "below zero": ({"synapses": -1.0}, "synapses = -1.0 times shot noise; it must be finite and not negative"),
    "not finite": ({"flicker": float("nan")}, "flicker = nan V²"),
    "corners": ({"flicker": 1e-9, "corners": (1.0, 20.0)}, "ascend by a factor of ten"),
    "no corners": ({"flicker": 1e-9}, "flicker and no corners"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_noise(case):
    values, sentence = BAD[case]
    with pytest.raises(InputError, match=sentence):
        Noise(**values)
