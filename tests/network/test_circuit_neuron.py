"""The network's neuron with a circuit's constants: its quadrature against the network's own steps, and the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analogsnn.calibrate import Calibration, ErrorRow, RangeWarning
from analogsnn.circuit import use_float64
from analogsnn.errors import InputError
from analogsnn.network import CircuitNeuron, Events, Mismatch, Network, Population, circuit_neuron, lanes, simulate

use_float64()

TRUTH = CircuitNeuron(
    c_mem=1.1e-12, c_ref=0.52e-12, c_ahp=1e-12, kappa=0.75, i0=1e-12, gain=1.2, threshold=2e-7, reset=3e-12,
    feedback=1.1, v_ref=0.3, errors=[],
)  # fmt: skip
# calibrate adexp_neuron on the shipped card: what a fit starts from
PARAMETERS = {
    "n": 1 / 0.75, "c_mem": 1e-12, "c_extra": 1.4e-14, "c_ref": 0.5e-12, "c_ref_extra": 2e-14, "c_ahp": 1e-12,
    "ahp_c_extra": 0.0, "i_spec": 3.5e-7, "i_off": 1.2e-12, "feedback": 1.16,
    "vt": 0.446, "tcv": 1.085e-3,
}  # fmt: skip
BIASES = {"i_tau": 20e-12, "i_gain": 40e-12, "i_ref": 500e-12}
STEP = 2e-6  # s; the upswing takes microseconds
SCAN = 5e-3  # of a rate: one step of an interval, and float32
FITTED = 2e-3  # of a rate that the equation itself has made: the fit's own tolerance, and its weights


def calibration(block="adexp_neuron", truth=TRUTH):
    rows = []
    for i_tau in (10e-12, 100e-12):
        for ratio in (2.5, 10.0, 40.0):
            for gain, i_ref, celsius in ((1.0, 2e-9, 0.0), (4.0, 3e-10, 27.0), (2.0, 1e-9, 70.0)):
                e = {"i_in": ratio * i_tau, "i_tau": i_tau, "i_gain": gain * i_tau, "i_ref": i_ref, "celsius": celsius}
                rows.append(ErrorRow("rate", e | {"i_ahpw": 1e-15, "i_ahptau": 2e-12}, 1.0, float(truth.rate(**e))))
    assert all(row.circuit > 0 for row in rows)
    return Calibration(block, "ekv", None, PARAMETERS, rows, None, len(rows))


def test_rate_is_that_of_the_network():
    inputs = (60e-12, 200e-12, 1e-9)
    neurons = [TRUTH.neuron(i, i_tau=20e-12, i_gain=40e-12, i_ref=500e-12) for i in inputs]
    cells = tuple(Population(name=f"p{k}", size=1, neuron=neuron) for k, neuron in enumerate(neurons))
    devices = lanes(Network(populations=cells, physics=TRUTH.physics()), [Mismatch(cv=0.0)])
    spikes = simulate(devices, Events(np.zeros(0), np.zeros(0, int)), 0.04, dt=STEP)
    wanted = TRUTH.rate(np.array(inputs), **BIASES)
    for k, rate in enumerate(wanted):
        times = spikes.time[spikes.neuron == k]
        assert (len(times) - 1) / (times[-1] - times[0]) == pytest.approx(rate, rel=SCAN)


def test_no_rate_below_rheobase():
    assert float(TRUTH.rate(10e-12, **BIASES)) == 0.0


def test_constants_of_a_neuron_that_obeys_the_equation_come_back():
    found = circuit_neuron(calibration())
    assert len(found.errors) == 18
    assert max(abs(row.relative_error) for row in found.errors) < FITTED
    assert found.c_mem == pytest.approx(TRUTH.c_mem, rel=0.01)


def test_constants_follow_the_temperature():
    """A circuit whose off-current and refractory voltage warm: found at its three temperatures, right between them."""
    truth = replace(TRUTH, i_off=1e-12, warming={"i_off": 0.06, "v_ref": 0.004, "reset": 0.05}, celsius=(0.0, 70.0))
    found = circuit_neuron(calibration(truth=truth))
    assert max(abs(row.relative_error) for row in found.errors) < FITTED
    assert found.celsius == (0.0, 70.0)
    for celsius in (15.0, 50.0):
        inputs = np.array([80e-12, 400e-12])
        wanted = truth.rate(inputs, **BIASES, celsius=celsius)
        assert found.rate(inputs, **BIASES, celsius=celsius) == pytest.approx(wanted, rel=5 * FITTED)
        # What a network is given says the same as the quadrature: its leak has the off-current
        neuron, physics = (
            found.neuron(1e-10, i_tau=20e-12, i_gain=40e-12, i_ref=500e-12, celsius=celsius),
            found.physics(celsius),
        )
        leak = physics.leak_current(neuron.tau, "mem")
        assert leak == pytest.approx(BIASES["i_tau"] + found.i_off * np.exp(found.warming["i_off"] * (celsius - 27)))
        assert neuron.gain * leak == pytest.approx(
            BIASES["i_gain"] * found.gain * np.exp(found.warming["gain"] * (celsius - 27))
        )
    with pytest.warns(RangeWarning, match="90 °C lies outside the temperatures"):
        found.physics(90.0)


def test_another_block_has_no_neuron():
    with pytest.raises(InputError, match="a calibration of wta; the network's neuron takes one of adexp_neuron"):
        circuit_neuron(calibration("wta"))
