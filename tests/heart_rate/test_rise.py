"""The detector of long rises: its place on a core, its flags from spikes, and the series that it is judged on."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.chips import compile, differences
from analogsnn.heart_rate import Recording, flags, noisy, reference, retimed_to, rise_network, sized
from analogsnn.heart_rate._network import CURRENTS, Design, hearing, heart_rate_network, part
from analogsnn.heart_rate._rise import BOUNDARIES, CROSSED, RISE, STEP, WAITS
from analogsnn.heart_rate._run import CV
from analogsnn.network import Events, Input, Mismatch, lanes, simulate

GATE_RATE = 12.0  # Hz a neuron, of a gate that opens, seen on chips of other seeds
LEAST_OPEN = 3.0  # s, longer than a beat too many keeps a gate open (1 to 2.5 s on chips of other seeds)
CHIP_LIMIT = 64  # CAM words of a neuron, DYNAP-SE2
NEURONS = 256  # of a core


def test_it_fits_a_core():
    network = rise_network()
    mapping = compile(network, cores=1, weight_currents=CURRENTS)
    assert network.size <= NEURONS
    assert mapping.occupancy.synapse_words.max() <= CHIP_LIMIT
    assert differences(network, mapping.network) == []
    names = {p.name for p in network.populations}
    assert {f"since{k + 1}" for k in range(len(BOUNDARIES))} <= names
    # The last gate looks CROSSED - 1 boundaries ahead.
    assert f"step{len(BOUNDARIES) + 1 - CROSSED}" in names
    assert f"step{len(BOUNDARIES) + 2 - CROSSED}" not in names


def test_only_a_gate_that_stays_open_raises_a_flag():
    """A beat that is counted twice opens a gate for some two seconds; a rise opens it for good."""
    network = rise_network()
    waits = [f"wait{i + 1}" for i in range(WAITS)]
    row = part(network, ["idle", *waits, "rise"], [Input(name="step1", size=STEP)])
    opened = [(3.0, 2.0), (8.0, 2.0), (13.0, 12.0)]  # s: from when, for how long
    turns = np.concatenate([np.arange(a, a + long, 1 / GATE_RATE / STEP) for a, long in opened])
    chips = [Mismatch(CV, 5, k) for k in range(10)]
    spikes = simulate(lanes([row] * len(chips), chips), Events(turns, np.arange(len(turns)) % STEP), 27.0, dt=4e-4)
    for k in range(len(chips)):
        (flag,) = flags(row, *spikes.of(k))
        assert 13.0 + LEAST_OPEN < flag < 25.0


def test_a_flag_is_a_burst_of_half_of_the_neurons():
    network = rise_network()
    first = network.offsets()["rise"]
    half = np.arange(RISE // 2)
    time = np.concatenate([10 + 0.01 * half, 12 + 0.01 * half, 30 + 0.01 * half[:-1], [40.0, 40.1, 40.2], [50.0]])
    neuron = np.concatenate([first + half, first + half, first + half[:-1], np.full(3, first), [0]])
    # 12 s belongs to the burst of 10 s; at 30 s too few neurons fire, at 40 s one alone, at 50 s another population.
    assert flags(network, time, neuron) == pytest.approx([10.0])
    assert len(flags(network, np.zeros(0), np.zeros(0, int))) == 0


@pytest.mark.parametrize("count", [1, 4, 8, 9, 20])
def test_a_target_hears_as_often_from_few_as_from_many(count):
    pairs = hearing(4, 3, count)
    assert np.bincount(pairs[:, 1], minlength=3).tolist() == [count] * 3
    heard = np.bincount(pairs[pairs[:, 1] == 0][:, 0], minlength=4)
    assert np.ptp(heard) <= 1


@pytest.mark.parametrize("size", [1, 4, 16, 64])
def test_every_size_fits_with_as_many_synapses_a_neuron(size):
    usual, other = heart_rate_network(2), heart_rate_network(2, design=sized(size))
    for name in ("above1", "zone1"):
        assert _words(other, name) == pytest.approx(_words(usual, name))
    mapping = compile(other, cores=1, weight_currents=CURRENTS)
    assert mapping.occupancy.synapse_words.max() <= CHIP_LIMIT


def test_the_usual_sizes_are_all_to_all():
    d = Design()
    assert (d.above_heard, d.zone_heard) == (d.above, d.zone)
    assert len(hearing(d.above, 3, d.above_heard)) == 3 * d.above


def test_series_at_a_rate_of_time(shipped):
    source = shipped.excerpt(0.0, shipped.duration / 2)
    series = retimed_to(source, lambda t: 60.0 if t < 30 else 90.0, 60.0, seed=1, jitter=0.0)
    assert series.semi_synthetic
    assert series.duration == pytest.approx(60.0, abs=1 / series.rate)
    assert series.beats is not None
    assert np.diff(series.beats[series.beats < 29]) == pytest.approx(1.0)
    assert np.diff(series.beats[series.beats > 31]) == pytest.approx(60 / 90)
    assert reference(series).rate[-1] == pytest.approx(90.0)


def test_noise_is_of_the_pulses_height():
    signal = np.tile([0.0, 1.0], 5000)
    loud = noisy(Recording(signal, 100.0, "square"), 0.1, seed=1)
    # The 5th and the 95th percentile are 0 and 1; 10 000 samples give the deviation within 2 %.
    assert np.std(loud.signal - signal) == pytest.approx(0.1, rel=0.02)
    assert "10 % noise" in loud.name


def _words(network, name: str) -> float:
    incoming = sum(len(c.pairs) for c in network.connections if c.target == name)
    return incoming / network.population(name).size
