"""Delays, depression, noise, recording, lanes over cores, and the step that follows the input."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr

from analogsnn.errors import InputError, SimulationError
from analogsnn.network import (
    SYNAPSE_TYPES,
    Calibration,
    Depression,
    Events,
    Input,
    Mismatch,
    Network,
    Neuron,
    Noise,
    Population,
    Synapse,
    all_to_all,
    chips,
    connect,
    lanes,
    one_to_one,
    record,
    simulate,
)
from analogsnn.network import _simulate as engine
from analogsnn.network._dense import INHIBITORY
from tests.network.networks import DRIVEN, NOTHING, fed

STEP = 1e-4  # s, the default
LAW = Calibration(delays={"precise": 3e-3, "mismatched": 5e-3}, depression=Depression(use=0.5, tau=0.1))
# Weak noise: float32 sums of a thousand samples; strong pulses: exact to the on-phase's 1e-4 of ln I.
ON_PHASE = 1e-3


def chain(delay: str = "none", *, stp: bool = False, weight: float = 100e-9) -> Network:
    """Two neurons at rest, each with an input of its own."""
    synapse = Synapse(tau=10e-3, gain=1.0)
    return fed(2, "AMPA", weight, neuron=Neuron(), synapse=synapse, pulse=100e-6, delay=delay, stp=stp)


def rises(network: Network, calibration: Calibration | None = LAW, **options) -> tuple[np.ndarray, np.ndarray]:
    """Steps at which the AMPA current of neuron 0 rises, and the current (A) after each: five events 20 ms apart."""
    events = Events(1.05e-3 + 20e-3 * np.arange(5), np.zeros(5, int))
    run = record(lanes(network, [Mismatch()], calibration), events, 0.12, [0], every=STEP, **options)
    current = run["current"].sel(quantity="AMPA").values.ravel()
    at = np.flatnonzero(np.diff(current) > 1e-15) + 1
    return at, current[at]


def test_a_precise_delay_comes_after_its_time():
    prompt, level = rises(chain())
    late, same = rises(chain("precise"))
    assert np.array_equal(prompt, 10 + 200 * np.arange(5))
    assert np.array_equal(late, prompt + round(3e-3 / STEP))
    assert same == pytest.approx(level, rel=1e-5)


def test_mismatched_delays_differ_between_synapses_and_not_between_runs():
    network = Network(
        populations=(Population(name="p", size=50),), inputs=(Input(name="i", size=1),),
        connections=(connect("i", "p", "AMPA", all_to_all(1, 50), 1e-9, "mismatched"),),
    )  # fmt: skip
    one, two = (lanes(network, [Mismatch(0.2, 3, k)], LAW).late_delay for k in (0, 1))
    assert np.array_equal(one, lanes(network, [Mismatch(0.2, 3, 0)], LAW).late_delay)
    assert not np.array_equal(one, two)
    # Standard error of a CV of 0.2 over 50 draws: 0.2/√100·√(1 + 2·0.04) = 0.021.
    assert np.std(one) / np.mean(one) == pytest.approx(0.2, abs=0.065)


def test_spikes_of_neurons_are_delayed_too():
    connections = (
        connect("i", "p", "AMPA", [[0, 0]], 3e-6),
        connect("p", "p", "AMPA", [[0, 1]], 100e-9, "precise"),
    )
    network = Network(
        populations=(Population(name="p", size=2, pulse=100e-6, neuron=DRIVEN),), inputs=(Input(name="i", size=1),),
        connections=connections,
    )  # fmt: skip
    run = record(lanes(network, [Mismatch()], LAW), NOTHING, 0.1, [1], every=STEP)
    spikes = np.floor(run["spike_time"].values[run["spike_neuron"].values == 0] / STEP).astype(int)
    current = run["current"].sel(quantity="AMPA").values.ravel()
    at = np.flatnonzero(np.diff(current) > 0.02 * current.max()) + 1
    assert len(spikes) >= 2
    assert np.array_equal(at[: len(spikes)], (spikes + 30)[: len(at)])


def test_depression_uses_up_and_recovers():
    _, plain = rises(chain(weight=1e-9))
    # Weak pulses from the floor: ln I moves by the charge that is left. x_k by hand: 1, then what is left and recovers.
    left, x = [], 1.0
    for _ in range(5):
        left.append(x)
        x = 1 - (1 - x * 0.5) * np.exp(-20e-3 / 0.1)
    run = lanes(chain(weight=1e-9, stp=True), [Mismatch()], LAW)
    record_ = record(run, Events(1.05e-3 + 20e-3 * np.arange(5), np.zeros(5, int)), 0.12, [0], every=STEP)
    current = record_["current"].sel(quantity="AMPA").values.ravel()
    jumps = current[10 + 200 * np.arange(5)]
    # Both decay to the floor in between (20 ms are two time constants, the excess is what is compared).
    assert jumps[:1] == pytest.approx(plain[:1], rel=1e-5)
    assert jumps / plain == pytest.approx(left, rel=0.05)


@pytest.mark.parametrize(("network", "sentence"), [(chain("precise"), "has delay"), (chain(stp=True), "depression")])
def test_what_is_not_calibrated_is_not_guessed(network, sentence):
    with pytest.raises(InputError, match=sentence):
        lanes(network, [Mismatch()])


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "class": ({"delays": {"none": 1e-3}}, "no delay class"),
    "beyond the chip": ({"delays": {"precise": 0.2}}, "at most 0.1 s"),
    "not a number": ({"delays": {"precise": float("nan")}}, "above 0"),
    "use": ({"depression": Depression(use=0.0)}, r"\(0, 1\]"),
    "noise": ({"noise": -1.0}, "not negative"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_calibrations(case):
    values, sentence = BAD[case]
    with pytest.raises(InputError, match=sentence):
        Calibration(**values)


def test_more_late_spikes_than_there_is_room_for_raise():
    network = Network(
        populations=(Population(name="p", size=8, neuron=DRIVEN),),
        connections=(connect("p", "p", "AMPA", one_to_one(8), 1e-9, "precise"),),
    )
    devices = lanes(network, [Mismatch()], LAW)
    with pytest.raises(SimulationError, match="room=8"):  # eight equal neurons spike together
        simulate(devices, NOTHING, 0.1, room=4)
    assert len(simulate(devices, NOTHING, 0.1, room=8).time) >= 8  # the remedy that is named
    with pytest.raises(InputError, match="room for 0"):
        simulate(devices, NOTHING, 0.1, room=0)


def test_noise_moves_spikes_by_shot_noise_and_belongs_to_the_chip():
    """Of every kind; the 1/f noise is too small to be seen in the spread."""
    every = Noise(flicker=1e-14, corners=(10.0, 100.0))
    network = fed(100)
    still, noisy = (
        simulate(lanes(network, chips(2, 0.0, 5), Calibration(noise=x)), NOTHING, 0.15) for x in (0.0, every)
    )
    first = {k: np.array([s.of(0)[0][s.of(0)[1] == n][0] for n in range(100)]) for k, s in (("0", still), ("1", noisy))}
    assert np.ptp(first["0"]) == 0.0
    # σ_u² = ∫ (κ/CU_T)² q_e (I_in + I_leak + I_a) dt over the ~50 ms before the spike at some 40 pA: (5e-3)², and
    # u climbs at about 0.1 per ms: a spread of tens of µs. An order of magnitude each way.
    assert 5e-6 < np.std(first["1"]) < 5e-4
    alone = simulate(lanes(network, chips(2, 0.0, 5)[1:], Calibration(noise=every)), NOTHING, 0.15, chunk=0.04)
    assert np.array_equal(alone.time, noisy.of(1)[0])


def test_a_file_holds_what_memory_holds(tmp_path):
    devices = lanes(chain(), chips(2, 0.2, 1))
    events = Events(np.arange(1, 50) * 2e-3, np.zeros(49, int))
    kept = record(devices, events, 0.1, [0, 1])
    with record(devices, events, 0.1, [0, 1], file=tmp_path / "run.nc", chunk=0.03) as streamed:
        xr.testing.assert_allclose(streamed.load(), kept, rtol=1e-6)
        assert streamed["current"].attrs["units"] == "A"
    assert kept.sizes == {"time": 100, "quantity": 2, "lane": 2, "neuron": 2, "spike": kept.sizes["spike"]}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"neurons": [2]}, "neurons 0 to 1"), ({"every": 0.0}, "must be positive"), ({"duration": 1e7}, "file='run.nc'")],
)
def test_bad_recordings(options, sentence):
    given: dict[str, Any] = {"neurons": [0], "duration": 0.1} | options
    with pytest.raises(InputError, match=sentence):
        record(lanes(chain(), [Mismatch()]), NOTHING, **given)


@pytest.mark.parametrize("dt", [0.0, float("nan"), 2.0])
def test_bad_steps(dt):
    with pytest.raises(InputError, match="the step the shorter"):
        simulate(lanes(chain(), [Mismatch()]), NOTHING, 1.0, dt=dt)


def test_lanes_over_cores_are_what_they_are_together(monkeypatch):
    devices = lanes(chain(), chips(5, 0.2, 2))
    events = Events(np.arange(1, 100) * 1e-3, np.zeros(99, int), np.arange(99) % 5)
    together = simulate(devices, events, 0.1)
    monkeypatch.setattr(engine, "GROUP", 4)  # two lanes a group
    seconds: list[float] = []
    apart = simulate(devices, events, 0.1, chunk=0.05, progress=seconds.append)
    assert len(together.time) > 5
    assert seconds[-1] == pytest.approx(0.1)
    for lane in range(5):
        for a, b in zip(together.of(lane), apart.of(lane), strict=True):
            assert a == pytest.approx(b, abs=1e-8)


def test_the_step_follows_a_strong_input():
    # 20 nA move a membrane by 19 e-folds in 0.1 ms; that step gives 230 Hz where there are 140.
    neuron = Neuron(dc=20e-9, threshold=100e-9, refractory=1e-3)
    devices = lanes(Network(populations=(Population(name="n", size=1, neuron=neuron),)), [Mismatch()])
    rates = [
        (len(t) - 1) / (t[-1] - t[0]) for t in (simulate(devices, NOTHING, 0.5, dt=dt).time for dt in (None, 2e-6))
    ]
    assert rates[0] == pytest.approx(rates[1], rel=2e-3)


@pytest.mark.parametrize("kind", INHIBITORY)
def test_inhibition_by_neurons_falls_with_weight_and_rate(kind):
    """By another population; the DPI answers above a mean charge, from where every step lowers the rate."""

    def count(weight: float, dc: float) -> int:
        fast = Neuron(tau=20e-3, gain=20.0, refractory=5e-3, threshold=200e-12, dc=dc)
        slow = {kind: Synapse(tau=20e-3, gain=2.0)}
        network = Network(
            populations=(
                Population(name="inh", size=4, neuron=fast),
                Population(name="p", size=1, neuron=DRIVEN, synapses=slow, pulse=100e-6),
            ),
            connections=(connect("inh", "p", kind, all_to_all(4, 1), weight),),
        )
        return int(np.sum(simulate(lanes(network, [Mismatch()]), NOTHING, 1.0).neuron == 4))

    by_weight = [count(w, 60e-12) for w in (1e-12, 2.5e-9, 3e-9, 4e-9)]
    by_rate = [count(2.5e-9, dc) for dc in (0.0, 60e-12, 90e-12, 150e-12)]
    for counts in (by_weight, by_rate):
        assert counts[0] > 20
        assert all(b < a for a, b in itertools.pairwise(counts)), counts


def test_every_type_is_live():
    for kind in SYNAPSE_TYPES:
        network = Network(
            populations=(Population(name="p", size=1, pulse=100e-6),), inputs=(Input(name="i", size=1),),
            connections=(connect("i", "p", kind, [[0, 0]], 100e-9),),
        )  # fmt: skip
        run = record(lanes(network, [Mismatch()]), Events(np.array([1e-3]), np.array([0])), 5e-3, [0])
        assert float(run["current"].sel(quantity=kind).max()) > 1e-12
