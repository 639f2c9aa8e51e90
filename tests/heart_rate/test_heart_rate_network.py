"""The network: its size, its wiring within a core's limits, its drives, and its trimming."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.chips import compile, differences
from analogsnn.errors import DoesNotFitError, InputError
from analogsnn.heart_rate import check_zones, heart_rate_network, trim
from analogsnn.heart_rate._network import CURRENTS, DRIVES, UNITS, drive, nudged, spread, weight_current
from analogsnn.heart_rate._trim import HEARD, MEAN_OVER_MEDIAN, metronome, trim_work
from analogsnn.network import Events, Mismatch, chips, lanes, simulate

CHIP_LIMIT = 64  # CAM words of a neuron, DYNAP-SE2


def test_size_and_fan_in():
    network = heart_rate_network(5)
    assert 140 <= network.size <= 160
    mapping = compile(network, cores=1, weight_currents=CURRENTS)
    assert mapping.occupancy.synapse_words.max() <= CHIP_LIMIT
    assert differences(network, mapping.network) == []


def test_too_many_zones_do_not_fit_one_core():
    with pytest.raises(DoesNotFitError) as e:
        compile(heart_rate_network(14), cores=1, weight_currents=CURRENTS)
    resources = {m.resource for m in e.value.misfits}
    assert resources & {"neurons_per_core", "cam_words"}


def test_weights_are_sums_of_different_currents():
    assert weight_current(75) == pytest.approx(CURRENTS[3] + CURRENTS[2])
    with pytest.raises(InputError, match="no sum"):
        weight_current(2)


@pytest.mark.parametrize("total", [DRIVES[0], 3.3, 9.0, 25.0, DRIVES[-1], 1000.0])
def test_spread_meets_its_mean(total):
    values = spread(np.full(8, total), 8)
    assert set(np.unique(values)) <= set(DRIVES)
    wanted = min(total, DRIVES[-1])
    # Eight sources share the difference of two neighbouring levels, 23 units at most, rounded to the nearest.
    assert values.mean(axis=1) == pytest.approx(wanted, abs=23 / 16)
    connection = drive("above1", values)
    assert connection.weight.sum() == pytest.approx(values.sum() * CURRENTS[0] / UNITS[0], rel=1e-9)


@pytest.mark.parametrize("factor", [0.95, 0.98, 0.999, 1.0, 1.001, 1.02, 1.05])
def test_nudged_drives_change_few_synapses(factor):
    drives = spread(np.array([20.0, 13.0, 5.0, 40.0, 60.0, 28.0, 17.0, 33.0]), 8)
    moved = nudged(drives, factor)
    assert set(np.unique(moved)) <= set(DRIVES)
    # Steps of one unit exist, so that at most half a unit of the sum is missing where a neuron has room for them.
    assert moved.sum() == pytest.approx(factor * drives.sum(), abs=2.0)
    assert np.all((moved - drives) * np.sign(factor - 1) >= 0)
    # A change of five per cent needs 90 units of 1800, in steps of one to eight: a third of the 64 synapses.
    assert np.sum(moved != drives) <= 24
    assert (factor != 1.0) or np.array_equal(moved, drives)


def test_drives_at_their_limits_are_not_nudged_beyond():
    assert np.array_equal(nudged(np.full((2, 8), DRIVES[-1]), 1.1), np.full((2, 8), DRIVES[-1]))
    assert np.array_equal(nudged(np.full((2, 8), DRIVES[0]), 0.9), np.full((2, 8), DRIVES[0]))


@pytest.mark.parametrize("zones", [[], [90, 60], [60, 60.5], [10, 90], [60, float("nan")], [200]])
def test_bad_zones(zones):
    with pytest.raises(InputError, match="bpm"):
        check_zones(zones)


def test_metronome():
    events = metronome([60.0, 120.0], 10.0)
    assert np.all(np.diff(events) >= 0)
    # The first second only sets the encoder's envelopes; then each pulse gives its dozen events.
    slow, fast = np.sum((events > 2) & (events < 10)) / 8, np.sum((events > 12) & (events < 20)) / 8
    assert 5 < slow < 20
    assert fast == pytest.approx(2 * slow, rel=0.25)


@pytest.fixture(scope="module")
def trimmed():
    """Two chips trimmed to one boundary."""
    mapping = compile(heart_rate_network(2), cores=1, weight_currents=CURRENTS)
    currents = [c.realised for c in mapping.weights[0].codes.values()]
    members = chips(2, 0.2, 3)
    drives = trim(mapping.network, (80.0,), members, currents)
    return members, currents, drives


@pytest.mark.long
def test_trimmed_chips_switch_at_the_boundary(trimmed):
    members, currents, drives = trimmed
    decoded = [
        compile(heart_rate_network(2, d, currents=currents), cores=1, weight_currents=currents).network for d in drives
    ]
    # 20 % mismatch moves the switching point of an untrimmed chip by ten per cent and more; trimmed it spreads by
    # 0.5 % (twenty chips of other seeds), and the step from silence to steady fire is some 2 % wide.
    stay = 20.0
    events = metronome(80.0 * MEAN_OVER_MEDIAN * np.array([0.97, 1.03, 0.97]), stay)
    spikes = simulate(lanes(decoded, members), Events(events, np.zeros(len(events), int)), 3 * stay)
    above, size = decoded[0].offsets()["above1"], decoded[0].population("above1").size
    zone = decoded[0].offsets()
    for lane in range(2):
        t, n = spikes.of(lane)
        mine = (n >= above) & (n < above + size)
        rate = [np.sum(mine & (t > k * stay + 12) & (t <= (k + 1) * stay)) / (8 * size) for k in range(3)]
        assert rate[0] < 12 < 20 < rate[1]
        assert rate[2] < 12
        in_zone = [
            [
                np.sum((n >= zone[z]) & (n < zone[z] + 9) & (t > k * stay + 15) & (t <= (k + 1) * stay))
                for z in zone_names
            ]
            for k, zone_names in enumerate([("zone0", "zone1")] * 3)
        ]
        assert [int(np.argmax(z)) for z in in_zone] == [0, 1, 0]


def test_one_chip_is_trimmed_like_among_others(trimmed):
    members, currents, drives = trimmed
    mapping = compile(heart_rate_network(2), cores=1, weight_currents=CURRENTS)
    reported: list[float] = []
    alone = trim(mapping.network, (80.0,), members[1:], currents, progress=reported.append)
    assert np.array_equal(alone[0], drives[1])
    # What is reported while it runs is all that was announced; a sum of some forty floats.
    assert sum(reported) == pytest.approx(trim_work(mapping.network, 1), rel=1e-9)
    assert len(reported) > 15


def test_heard_populations_exist():
    names = {p.name for p in heart_rate_network(2).populations}
    assert set(HEARD) <= names
    assert Mismatch().draw("anything", 3) == pytest.approx(1.0)
