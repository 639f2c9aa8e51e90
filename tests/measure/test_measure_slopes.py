"""Derivatives of measures between a solver's sparse points, where a straight line alone is a quarter of a per cent off.

The circuit is a resistor that charges a capacitor through a ramp, whose voltages are known in closed form.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.circuit import Circuit
from analogsnn.measure import crossings, decay_time, peak, rise_time, spike_time, spike_times, trough
from analogsnn.netlist import read_netlist_text
from analogsnn.transient import transient

R, C = 1e3, 1e-9
DECK = "rc\nV1 a 0 pwl(0 0 1n 1)\nR1 a b 1k\nC1 b 0 1n\n.tran 10n 4u\n"
# Two time constants: rises with 1 µs and falls with 3 µs, so that it peaks in between.
BUMP = "bump\nV1 a 0 pwl(0 0 1n 1)\nC1 a b 3n\nR1 b 0 1k\nG1 0 d b 0 1m\nR2 d 0 1k\nC2 d 0 1n\n.tran 10n 12u\n"
# The solver's own error, 1e-6 a step; straight lines are off by 2.5e-3.
EXACT = 2e-5
# 2e-5 was measured too, where straight lines are off by 4e-3; the ramp, 1 ns of 1 µs, adds its square.
BETWEEN = 1e-4


@pytest.fixture(scope="module")
def charge() -> Circuit:
    return Circuit.from_netlist(read_netlist_text(DECK))


def test_a_slow_crossing(charge):
    level = 0.5

    def times(r):
        waves = transient(charge.replace({"r1.r": r}), save=["b"])
        one = spike_time(waves, "b", 1, level)
        return one, spike_times(waves, "b", level)[0]

    values, slopes = jax.jvp(times, (R,), (1.0,))
    # 1 ns of ramp is half a nanosecond of delay, but for its square over that of the time constant
    wanted = R * C * math.log(2) + 0.5e-9
    assert [float(v) for v in values] == pytest.approx([wanted] * 2, rel=1e-4)  # straight lines in value
    assert [float(s) for s in slopes] == pytest.approx([C * math.log(2)] * 2, rel=EXACT)
    plain = transient(charge, save=["b"])
    assert float(values[0]) == pytest.approx(float(spike_time(plain, "b", 1, level)), rel=1e-12)


def test_a_crossing_under_jit(charge):
    def time(r):
        return spike_time(transient(charge.replace({"r1.r": r}), save=["b"], max_steps=512), "b", 1, 0.5)

    assert float(jax.jit(jax.grad(time))(R)) == pytest.approx(C * math.log(2), rel=EXACT)


def test_a_peak_a_rise_and_a_decay_between_points():
    circuit = Circuit.from_netlist(read_netlist_text(BUMP))

    def shapes(c):
        waves = transient(circuit.replace({"c2.c": c}), save=["d"])
        (time, values), rate = waves.along("d"), waves.rate("d")
        extremes = peak(values, time, rate), -trough(-values, time, -rate)
        return *extremes, rise_time(time, values, rate=rate), decay_time(time, values, rate=rate)

    grid = np.linspace(0.0, 12e-6, 120_001)

    def known(c):
        """e^(-t/slow) - e^(-t/fast) over 1 - fast/slow: at its largest, twice, its rise and its decay."""
        slow, fast = 3e-6, 1e3 * c
        when = math.log(slow / fast) * slow * fast / (slow - fast)
        top = (math.exp(-when / slow) - math.exp(-when / fast)) / (1 - fast / slow)
        wave = (np.exp(-grid / slow) - np.exp(-grid / fast)) / (1 - fast / slow)
        return np.array([top, top, rise_time(grid, wave), decay_time(grid, wave)])

    step = 1e-12
    wanted = (known(1e-9 + step) - known(1e-9 - step)) / (2 * step)
    values, slopes = jax.jvp(shapes, (1e-9,), (1.0,))
    assert np.array(values) == pytest.approx(known(1e-9), rel=1e-3)  # the ramp, and straight lines
    assert np.array(slopes) == pytest.approx(wanted, rel=BETWEEN)


def test_a_cubic_that_turns_between_the_points_is_left_a_line():
    time, values = jnp.array([0.0, 1.0]), jnp.array([-1.0, 1.0])
    for rate in (jnp.array([2.0, 2.0]), jnp.array([40.0, 40.0])):
        slope = jax.grad(lambda v, rate=rate: crossings(time, v, 0.0, rate=rate)[0])(values)
        assert np.all(np.isfinite(slope))
        assert slope == pytest.approx([-0.25, -0.25])
