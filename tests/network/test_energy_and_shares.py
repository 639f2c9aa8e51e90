"""What a run costs a chip, its page, and lanes spread over processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analogsnn.errors import InputError
from analogsnn.models import Physics
from analogsnn.network import (
    Adaptation,
    Calibration,
    Events,
    Mismatch,
    Network,
    Synapse,
    chips,
    energy,
    lanes,
    record,
    share,
    simulate,
    simulate_share,
)
from analogsnn.report import write_run_report
from tests.network.networks import DRIVEN, fed

EVENTS = Events(np.array([0.02, 0.04, 0.06]), np.array([0, 1, 0]))


def network(delay: str = "none") -> Network:
    neuron, pairs = replace(DRIVEN, adaptation=Adaptation(weight=5e-12)), [[0, 0], [0, 1], [1, 0]]
    weights, synapse = [1e-9, 2e-9, 4e-9], Synapse(tau=10e-3)
    return fed(2, "AMPA", weights, neuron=neuron, synapse=synapse, pairs=pairs, pulse=100e-6, delay=delay)


@pytest.mark.parametrize("delay", ["none", "precise"])
def test_energy_is_what_the_currents_say(delay):
    net, physics = network(delay), Physics()
    devices = lanes(net, [Mismatch()], Calibration(delays={"precise": 2e-3}))
    spikes = simulate(devices, EVENTS, 0.1)
    count = len(spikes.time)
    assert count > 1
    found = energy(net, devices, spikes, EVENTS, 0.1)
    # By hand: three constant or leak currents of two neurons; two events of 1 + 2 nA, one of 4 nA, 100 µs each; and a
    # pulse of the adaptation for every spike.
    leak = physics.leak_current(20e-3, "mem") + physics.leak_current(10e-3, "AMPA") + physics.leak_current(0.1, "ahp")
    assert found.constant == pytest.approx([1.8 * 0.1 * 2 * (30e-12 + leak)], rel=1e-5)
    pulses = 2 * 3e-9 * 100e-6 + 4e-9 * 100e-6 + count * 5e-12 * 10e-6
    assert found.pulses == pytest.approx([1.8 * pulses], rel=1e-5)
    assert found.spikes == pytest.approx([count * 5e-12])
    assert found.power == pytest.approx(found.total / 0.1)
    with pytest.raises(InputError, match="positive numbers"):
        energy(net, devices, spikes, EVENTS, 0.1, supply=0.0)


def test_the_page_of_a_run(tmp_path: Path):
    net = network()
    devices = lanes(net, chips(2, 0.2, 0))
    recorded = record(devices, EVENTS, 0.1, [0, 1])
    spikes = simulate(devices, EVENTS, 0.1)
    cost = energy(net, devices, spikes, EVENTS, 0.1)
    write_run_report(tmp_path / "run.html", net, spikes, 0.1, title="A run", energy=cost, recorded=recorded)
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    for part in ("2 chips", "Rates", "Spikes", "Currents", "Energy", "Bias generators"):
        assert part in page
    with pytest.raises(InputError, match="no spikes of this network"):
        write_run_report(tmp_path / "bad.html", net, spikes, 0.0, title="A run")


@pytest.mark.long
def test_two_processes_of_jax_distributed_have_all_lanes(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = textwrap.dedent(f"""
        import sys, json, jax
        jax.distributed.initialize("127.0.0.1:{port}", 2, int(sys.argv[1]))
        from tests.network.test_energy_and_shares import EVENTS, chips, lanes, network, share, simulate_share
        s = simulate_share(lanes(network(), chips(3, 0.2, 0)), EVENTS, 0.1)
        print(json.dumps([list(share(3)), s.time.tolist(), s.lane.tolist(), s.neuron.tolist()]))
    """)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(k)], env=environment, cwd=root, stdout=subprocess.PIPE)
        for k in (0, 1)
    ]
    parts = [json.loads(process.communicate(timeout=300)[0].decode().splitlines()[-1]) for process in both]
    assert [mine for mine, *_ in parts] == [[0], [1, 2]]
    whole = simulate(lanes(network(), chips(3, 0.2, 0)), EVENTS, 0.1)
    for lane in range(3):
        time, neuron = (np.concatenate([np.array(p[k])[np.array(p[2]) == lane] for p in parts]) for k in (1, 3))
        expected = whole.of(lane)
        assert np.array_equal(time, expected[0])
        assert np.array_equal(neuron, expected[1])


def test_one_process_has_all_lanes():
    assert list(share(3)) == [0, 1, 2]
    devices = lanes(network(), chips(3, 0.2, 0))
    events = Events(EVENTS.time, EVENTS.channel, np.array([2, 0, 1]))
    alone, whole = simulate_share(devices, events, 0.1), simulate(devices, events, 0.1)
    assert np.array_equal(alone.time, whole.time)
    assert np.array_equal(alone.lane, whole.lane)
