"""The fixed-step simulation: events, lanes, mismatch, inhibition, and what it refuses."""

from __future__ import annotations

import itertools
from dataclasses import replace

import jax
import numpy as np
import pytest

from analogsnn.errors import InputError
from analogsnn.models import Physics
from analogsnn.network import (
    Adaptation,
    Events,
    Input,
    Mismatch,
    Network,
    Neuron,
    Population,
    Synapse,
    all_to_all,
    chips,
    connect,
    lanes,
    one_to_one,
    simulate,
    simulate_chunks,
)
from tests.network.networks import DRIVEN, NOTHING, fed


def driven(kind: str = "GABA_A", weight: float = 1e-9, adaptation: Adaptation | None = None) -> Network:
    """Four neurons with a constant current, and four input channels onto them."""
    return fed(4, kind, weight, neuron=replace(DRIVEN, adaptation=adaptation))


def regular(rate: float, duration: float) -> Events:
    """Every channel at `rate` Hz."""
    time = np.arange(0.5 / rate, duration, 1 / rate) if rate else np.empty(0)
    return Events(np.repeat(time, 4), np.tile(np.arange(4), len(time)))


@pytest.mark.parametrize("kind", ["GABA_A", "GABA_B"])
def test_inhibition_lowers_the_rate_monotonically(kind):
    # The DPI answers to a mean weight current above its leak (44 pA here), so rates start where it does.
    counts = [
        len(simulate(lanes(driven(kind, weight), [Mismatch()]), regular(rate, 2.0), 2.0).time)
        for weight, rate in [(1e-7, 0), (1e-7, 50), (1.1e-7, 50), (1.1e-7, 60), (1.1e-7, 75)]
    ]
    assert counts[0] > 100
    assert all(b < a for a, b in itertools.pairwise(counts)), counts


@pytest.mark.parametrize("kind", ["AMPA", "NMDA"])
def test_excitation_raises_the_rate(kind):
    counts = [
        len(simulate(lanes(driven(kind, 2e-6), [Mismatch()]), regular(rate, 2.0), 2.0).time) for rate in (0, 50, 200)
    ]
    assert counts[0] < counts[1] < counts[2]


def test_adaptation_lengthens_intervals():
    plain = simulate(lanes(driven(), [Mismatch()]), NOTHING, 2.0)
    slow = Adaptation(tau=0.3, weight=100e-9, gain=1.0, pulse=20e-6)
    adapted = simulate(lanes(driven(adaptation=slow), [Mismatch()]), NOTHING, 2.0)
    own = adapted.time[adapted.neuron == 0]
    intervals = np.diff(own)
    assert len(own) < np.sum(plain.neuron == 0)
    assert intervals[-1] > 1.2 * intervals[0]


def test_lanes_are_independent_of_their_company():
    members = chips(3, 0.2, 7)
    together = simulate(lanes(driven(), members), regular(20, 1.0), 1.0)
    for k, chip in enumerate(members):
        alone = simulate(lanes(driven(), [chip]), regular(20, 1.0), 1.0)
        times, neurons = together.of(k)
        assert np.array_equal(times, alone.time)
        assert np.array_equal(neurons, alone.neuron)


def test_reproducible_and_the_same_with_64_bit_switched_on():
    first = simulate(lanes(driven(), chips(2, 0.2, 7)), regular(20, 1.0), 1.0)
    with jax.enable_x64(True):
        second = simulate(lanes(driven(), chips(2, 0.2, 7)), regular(20, 1.0), 1.0)
    assert np.array_equal(first.time, second.time)


def test_chunks_make_no_difference():
    devices, events = lanes(driven(), chips(2, 0.2, 1)), regular(30, 1.0)
    whole = simulate(devices, events, 1.0)
    parts = list(simulate_chunks(devices, events, 1.0, chunk=0.13))
    # float32 time within a chunk is exact to 1e-4 of a step.
    assert np.concatenate([p.time for p in parts]) == pytest.approx(whole.time, abs=1e-8)


def test_mismatch_statistics():
    draws = Mismatch(0.2, 3, 0).draw("i_tau", 10_000)
    # Standard error of the sample's coefficient of variation: 0.2/√20000·√(1+2·0.04) ≈ 0.0015.
    assert np.std(draws) / np.mean(draws) == pytest.approx(0.2, abs=0.006)
    assert np.mean(draws) == pytest.approx(1.0, abs=0.008)
    assert np.all(draws > 0)
    other = Mismatch(0.2, 3, 0).draw("i_gain", 10_000)
    assert abs(np.corrcoef(draws, other)[0, 1]) < 0.03


def test_parts_keep_their_devices():
    """A population has the same devices in a part of a network as in the whole."""
    a, b = (Population(name=n, size=3, neuron=DRIVEN) for n in "ab")
    connection = connect("a", "b", "AMPA", all_to_all(3, 3), 1e-9)
    whole = lanes(Network(populations=(a, b), connections=(connection,)), [Mismatch(0.2, 1, 4)])
    part = lanes(Network(populations=(b,)), [Mismatch(0.2, 1, 4)])
    assert np.array_equal(whole.i_leak[:, 3:], part.i_leak)


BAD_EVENTS = {
    "descending": (Events(np.array([0.2, 0.1]), np.array([0, 0])), "ascending"),
    "not a number": (Events(np.array([np.nan]), np.array([0])), "finite"),
    "late": (Events(np.array([2.0]), np.array([0])), "outside the simulated"),
    "channel": (Events(np.array([0.1]), np.array([4])), "input channel 4, has nowhere to go"),
    "negative channel": (Events(np.array([0.1, 0.2]), np.array([3, -1])), "Event 1 of 2, at 0.2 s on input channel -1"),
    "lengths": (Events(np.array([0.1]), np.array([0, 1])), "one channel a time"),
    "lane": (Events(np.array([0.1]), np.array([0]), np.array([5])), "lanes outside"),
}


@pytest.mark.parametrize("case", BAD_EVENTS)
def test_bad_events(case):
    events, sentence = BAD_EVENTS[case]
    with pytest.raises(InputError, match=sentence):
        simulate(lanes(driven(), [Mismatch()]), events, 1.0)


BAD_NETWORKS = {
    "nowhere": (lambda: connect("p", "x", "AMPA", one_to_one(2), 1e-9), "names 'x', which is not there"),
    "to an input": (lambda: connect("p", "in", "AMPA", one_to_one(2), 1e-9), "ends at an input"),
    "negative weight": (lambda: connect("p", "p", "AMPA", one_to_one(2), -1e-9), "a current above 0"),
    "not a number": (lambda: connect("p", "p", "AMPA", one_to_one(2), float("nan")), "a current above 0"),
    "absurd weight": (lambda: connect("p", "p", "AMPA", one_to_one(2), [1e-9, 1e6]), r"1e\+06 A at synapse 1"),
    "type": (lambda: connect("p", "p", "GABA", one_to_one(2), 1e-9), "synapse type 'GABA'"),
    "index": (lambda: connect("p", "p", "AMPA", one_to_one(3), 1e-9), "but the sizes are 2 and 2"),
    "delay": (lambda: connect("p", "p", "AMPA", one_to_one(2), 1e-9, delay="2 ms"), "delay '2 ms'"),
    "weights": (lambda: connect("p", "p", "AMPA", one_to_one(2), [1e-9] * 3), "3 weights for 2 pairs"),
    "pairs": (lambda: connect("p", "p", "AMPA", [[0, 1, 1]], 1e-9), "whole numbers"),
    "fractions": (lambda: connect("p", "p", "AMPA", [[0.5, 1]], 1e-9), "whole numbers"),
}


@pytest.mark.parametrize("case", BAD_NETWORKS)
def test_bad_networks(case):
    make, sentence = BAD_NETWORKS[case]
    with pytest.raises(InputError, match=sentence):
        Network(populations=(Population(name="p", size=2),), inputs=(Input(name="in", size=2),), connections=(make(),))


def test_bad_physics():
    with pytest.raises(InputError, match="physics has kappa_p = nan"):
        replace(driven(), physics=Physics(kappa_p=float("nan")))


BAD_NUMBERS = {
    "text": (lambda: Population(name="p", size=2, neuron=Neuron(tau="20 ms")), "tau = '20 ms'"),  # pyright: ignore
    "not a number": (lambda: Population(name="p", size=2, neuron=Neuron(gain=float("nan"))), "gain = nan"),
    "synapse": (
        lambda: Population(name="p", size=2, synapses={"NMDA": Synapse(tau=float("nan"))}),
        "NMDA tau = nan",
    ),
    "absurd input": (lambda: Population(name="p", size=2, neuron=Neuron(dc=1e6)), r"'p' has dc = 1e\+06 A.* 0.001 A"),
    "absurd tau": (lambda: Population(name="p", size=2, neuron=Neuron(tau=1e-20)), "take a leak of .* end at 0.001 A"),
    "low threshold": (lambda: Population(name="p", size=2, neuron=Neuron(threshold=1e-13)), "lies above that"),
    "absurd adaptation": (
        lambda: Population(name="p", size=2, neuron=Neuron(adaptation=Adaptation(weight=5.0))),
        "adaptation weight = 5 A",
    ),
    "rate": (lambda: Population(name="p", size=2, rate=float("nan")), "rate = nan"),
    "size": (lambda: Population(name="p", size=2.5), "whole number of members"),  # pyright: ignore
}


@pytest.mark.parametrize("case", BAD_NUMBERS)
def test_bad_numbers(case):
    make, sentence = BAD_NUMBERS[case]
    with pytest.raises(InputError, match=sentence):
        Network(populations=(make(),))


def test_bad_runs_and_chips():
    devices = lanes(driven(), [Mismatch()])
    with pytest.raises(InputError, match=r"are 1e\+20 steps, and one run counts up to"):
        simulate(devices, NOTHING, 1.0, dt=1e-20)
    strong = replace(driven(), populations=(Population(name="p", size=4, neuron=Neuron(dc=1e-4)),))
    with pytest.raises(InputError, match=r"Neuron 0 of lane 0 has a constant input of 0.0001 A.*up to 4.3e-05 A"):
        simulate(lanes(strong, [Mismatch()]), NOTHING, 0.1)
    with pytest.raises(InputError, match="chunks of"):
        simulate(devices, NOTHING, 0.01, chunk=0.0)
    with pytest.raises(InputError, match="0 workers"):
        simulate(devices, NOTHING, 0.01, workers=0)
    with pytest.raises(InputError, match="lanes 0 to 0"):
        devices.part(0, 2)
    with pytest.raises(InputError, match="whole numbers"):
        simulate(devices, Events(np.array([0.1]), np.array([0.5])), 1.0)
    for make, sentence in (
        (lambda: chips(2, -0.2, 0), "from 0 on"),
        (lambda: chips(2, {"i_leak": float("nan")}, 0), "'i_leak' is nan"),
        (lambda: chips(0, 0.2, 0), "at least one"),
        (lambda: chips(1, 0.2, -1), "seed -1"),
    ):
        with pytest.raises(InputError, match=sentence):
            make()


def test_networks_side_by_side_must_agree():
    with pytest.raises(InputError, match="same sizes"):
        lanes([driven(), Network(populations=(Population(name="q", size=1),))], chips(2, 0.0, 0))
