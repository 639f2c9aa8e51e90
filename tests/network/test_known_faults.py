"""Faults of other simulators of these chips, by their number in the list that the compiler's tests follow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from analogsnn.network import Events, Input, Mismatch, Network, Neuron, Population, connect, lanes, simulate, step_for
from tests.network.networks import NOTHING


def test_18_mismatch_means_its_coefficient_of_variation():
    draws = Mismatch(0.20, 0, 0).draw("i_tau", 10_000)
    assert 0.195 < np.std(draws) / np.mean(draws) < 0.205  # a simulator with a 3-sigma bound gives 0.066
    assert np.all(draws > 0)


def test_19_two_parameters_have_draws_of_their_own():
    one = Mismatch(0.20, 0, 0)
    first, second = one.draw("i_tau", 10_000), one.draw("i_gain", 10_000)
    assert not np.array_equal(first, second)  # a simulator that seeds every parameter anew draws the same numbers
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert np.array_equal(first, Mismatch(0.20, 0, 0).draw("i_tau", 10_000))


# A pulse of 10 us adds I_w t kappa / (C U_T) to ln I, and 5 ms at 10 ms take 0.5 off: some 43 nA just hold the balance.
@pytest.mark.parametrize(("kind", "weights"), [("GABA_A", (40e-9, 50e-9, 60e-9)), ("GABA_B", (50e-9, 60e-9, 80e-9))])
def test_20_inhibition_that_misses_the_excitations_time_step_still_inhibits(kind, weights):
    def rate(weight: float) -> float:
        connections = (connect("in", "n", kind, [[0, 0]], weight),) if weight else ()
        network = Network(
            populations=(Population(name="n", size=1, neuron=Neuron(dc=0.2e-9, threshold=100e-9, refractory=1e-3)),),
            inputs=(Input(name="in", size=1),),
            connections=connections,
        )
        events = Events(np.arange(1, 1000) * 5e-3, np.zeros(999, np.int64))  # 200 Hz
        return len(simulate(lanes(network, [Mismatch()]), events, 5.0).time) / 5.0

    rates = [rate(w) for w in (0.0, *weights)]
    assert rates[0] > 15.0
    assert all(b < a for a, b in pairwise(rates)), rates


def rate_at(current: float, dt: float | None = None) -> float:
    """Rate (Hz) from the first to the last spike of 1 s at a constant input."""
    neuron = Neuron(dc=current, threshold=100e-9, refractory=1e-3)
    devices = lanes(Network(populations=(Population(name="n", size=1, neuron=neuron),)), [Mismatch()])
    time = simulate(devices, NOTHING, 1.0, dt=dt or step_for(devices)).time
    return (len(time) - 1) / (time[-1] - time[0])


@pytest.mark.parametrize("current", [0.2e-9, 2e-9, 20e-9])
def test_21_the_step_is_short_enough(current):
    # A simulator with steps of 1 ms is 10, 21 and 30 % off at its default.
    assert rate_at(current) == pytest.approx(rate_at(current, 2e-6), rel=0.01)


def test_21_steps_converge_and_the_plain_step_is_too_long_for_a_strong_input():
    errors = [abs(rate_at(2e-9, dt) / rate_at(2e-9, 2e-6) - 1) for dt in (1e-3, 1e-4, 1e-5)]
    assert errors[0] > errors[1]
    assert max(errors[1:]) < 1e-3  # what float32 leaves
    # 20 nA moves the membrane by 19 e-folds in 0.1 ms: this is why `step_for` is there.
    assert rate_at(20e-9, 1e-4) > 1.2 * rate_at(20e-9)
