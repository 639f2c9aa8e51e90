"""The network's synapse with a circuit's constants: the network's own steps against the calibrated model."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from analogsnn.calibrate import Calibration, RangeWarning
from analogsnn.calibrate._synapse import _at, make_model
from analogsnn.circuit import use_float64
from analogsnn.errors import InputError
from analogsnn.models import Physics
from analogsnn.network import (
    Events,
    Input,
    Mismatch,
    Network,
    Neuron,
    Population,
    circuit_synapse,
    connect,
    lanes,
    record,
)

use_float64()

# calibrate dpi_synapse, shipped card
VALUES = {
    "n": 1.3437, "n_in": 1.2958, "i_spec": 101.1e-9, "vt": 0.4396, "tcv": 1.02e-3, "v_early": 19.4, "a_w": 1.0392,
    "a_out": 1.0284, "c_extra": 24.5e-15, "i_off": 1.587e-12, "i_spec_in": 456.7e-9,
}  # fmt: skip
I_TAU, I_GAIN, I_W = 30e-12, 60e-12, 240e-12
STEP = 5e-5  # s; a fiftieth of the time constant
NETWORK = 0.01  # a pulse in every step and not a current; float32


def calibration(block: str = "dpi_synapse") -> Calibration:
    known = {"i_out": (20e-12, 10e-9), "celsius": (0.0, 70.0)}
    return Calibration(block, "ekv", None, VALUES, [], known, 0, make=partial(_at, VALUES))


@pytest.mark.parametrize("celsius", [0.0, 70.0])
def test_a_network_at_another_temperature(celsius):
    found = circuit_synapse(calibration(), i_tau=I_TAU, i_gain=I_GAIN, i_w=I_W, celsius=celsius)
    model = make_model(VALUES, I_TAU, I_GAIN, celsius)
    physics = found.physics(Physics(i0=1e-15, reset=1e-14), "AMPA")
    width, driven = 0.02 * STEP, 600
    network = Network(
        populations=(
            Population(
                name="p", size=1, neuron=Neuron(threshold=1e-6), synapses={"AMPA": found.synapse}, pulse=width
            ),
        ),
        inputs=(Input(name="i", size=1),), connections=(connect("i", "p", "AMPA", [(0, 0)], I_W * STEP / width),),
        physics=physics,
    )  # fmt: skip
    events = Events((np.arange(driven) + 0.5) * STEP, np.zeros(driven, int))
    run = record(lanes(network, [Mismatch()]), events, 1.3 * driven * STEP, [0], every=STEP, dt=STEP)
    seen = run["current"].sel(quantity="AMPA").values.ravel()
    peak = float(model.steady_state(I_W))
    # The mean over a step: samples are taken after a pulse
    assert np.sqrt(seen[driven - 1] * seen[driven - 2] * np.exp(-STEP / found.tau)) == pytest.approx(peak, rel=NETWORK)
    after = seen[driven : driven + 60]
    tau = 59 * STEP / np.log(after[0] / after[-1])
    assert tau == pytest.approx(float(model.decay_time(peak, I_W)), rel=NETWORK)


def test_outside_the_range_it_warns():
    with pytest.warns(RangeWarning, match="celsius = 90"):
        circuit_synapse(calibration(), i_tau=I_TAU, i_gain=I_GAIN, i_w=I_W, celsius=90.0)


def test_what_is_no_synapse_or_no_working_point():
    with pytest.raises(InputError, match="a calibration of wta; the network's synapse takes one of dpi_synapse"):
        circuit_synapse(calibration("wta"), i_tau=I_TAU, i_gain=I_GAIN, i_w=I_W)
    with pytest.raises(InputError, match="leaves a synapse with a leak of 3e-11 A at rest"):
        circuit_synapse(calibration(), i_tau=I_TAU, i_gain=I_GAIN, i_w=2e-11)
