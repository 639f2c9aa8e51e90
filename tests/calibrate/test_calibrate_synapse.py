"""The DPI's model against its circuit: fitted on a few pulses, judged on those and on one that it has not seen."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest

from analogsnn import library
from analogsnn.calibrate import (
    Design,
    ErrorRow,
    FoundryRow,
    RangeWarning,
    calibrate,
    compared,
    experiments,
    synapse,
)
from analogsnn.calibrate._bench import in_our_engine
from analogsnn.calibrate._calibration import valid_range
from analogsnn.calibrate._foundry import summary
from analogsnn.calibrate._synapse import make_model, run_experiments
from analogsnn.circuit import Circuit
from analogsnn.errors import InputError

LIMIT = 0.03  # what the model is for
SMALL = Design(leaks=(30e-12, 200e-12), ratios=(4.0, 25.0), gains=(2.0,), celsius=(10.0, 50.0))
UNSEEN = Design(leaks=(80e-12,), ratios=(9.0,), gains=(4.0,), celsius=(30.0,))


@pytest.fixture(scope="module")
def found():
    return synapse("dpi_synapse", design=SMALL)


def test_errors_are_below_three_per_cent(found):
    assert found.experiments == SMALL.size
    assert max(found.worst().values()) < LIMIT
    assert {row.quantity for row in found.errors} == {"gain", "tau", "rise", "rest"}
    row = found.errors[0]
    assert row.relative_error == pytest.approx((row.model - row.circuit) / row.circuit, abs=1e-12)


def test_a_pulse_that_it_has_not_seen(found):
    data = run_experiments(in_our_engine(Circuit.from_netlist(library.read_bench("dpi_synapse"))), UNSEEN)
    model = make_model(found.parameters, 80e-12, 320e-12, 30.0)
    peak = model.steady_state(720e-12)
    assert float(peak) == pytest.approx(data.gain[0], rel=LIMIT)
    assert float(model.decay_time(peak, 720e-12)) == pytest.approx(data.tau[0], rel=LIMIT)


def test_terms_earn_their_place(found):
    """Without the terms the same parameters are further off than the limit."""
    circuit = {tuple(row.condition.values()): row.circuit for row in found.errors if row.quantity == "gain"}
    (i_tau, i_w, i_gain, celsius, _), wanted = max(circuit.items())
    plain = make_model(found.parameters, i_tau, i_gain, celsius, terms=()).steady_state(i_w)
    assert abs(float(plain) / wanted - 1) > LIMIT


def test_range_warns_outside(found):
    low, high = found.valid_range["i_out"]
    assert found.check(i_out=np.sqrt(low * high), celsius=30.0)
    with pytest.warns(RangeWarning, match="lies outside the range"):
        assert not found.check(i_out=100 * high)


def test_range_leaves_out_a_value_with_one_bad_experiment():
    """1 nA is within 3 % at 0 °C and 4 % off at 70 °C: it is outside."""
    errors = {(1e-11, 0.0): 0.01, (1e-10, 0.0): 0.02, (1e-10, 70.0): -0.02, (1e-9, 0.0): 0.01, (1e-9, 70.0): 0.04}
    rows = [ErrorRow("gain", {"i": i, "celsius": t}, 1 + error, 1.0) for (i, t), error in errors.items()]
    assert valid_range(rows, ("gain",), "i") == {"i": (1e-11, 1e-10), "celsius": (0.0, 70.0)}


def test_file_holds_the_parameters(found):
    read = tomllib.loads(found.to_toml())
    assert read["parameters"] == pytest.approx(dict(found.parameters))
    assert read["errors"]["gain"]["max_relative"] == pytest.approx(found.summary()["gain"]["max_relative"])


def test_blocks_without_a_synapse():
    with pytest.raises(
        InputError, match="no synapse to calibrate in 'wta'; there are dpi_synapse and dpi_synapse_sink"
    ):
        synapse("wta")


def test_blocks_without_a_model():
    wanted = (
        "no model to calibrate for 'wta'; there are models for dpi_synapse, dpi_synapse_sink, adexp_neuron, nmda_gate"
    )
    for ask in (calibrate, experiments):
        with pytest.raises(InputError, match=wanted):
            ask("wta")


@pytest.mark.parametrize("block", ["dpi_synapse", "adexp_neuron", "nmda_gate"])
def test_a_card_that_is_not_of_our_engine(run, tmp_path, block):
    """The way to an EKV card is named, and no option that is not there."""
    status, _, err = run("calibrate", block, "--card", "bsim3", "--out", tmp_path / "m.toml")
    assert status == 2
    assert len(err.strip().splitlines()) == 1
    assert "extract-card" in err
    assert "bsim3.lib --nmos NAME --pmos NAME" in err
    assert "--engine" not in err
    assert not (tmp_path / "m.toml").exists()


# facts of the bench (circuits/dpi_synapse.cir on both cards): 639 pA on BSIM3, 845 pA on the shipped card
BENCH = Design(leaks=(20e-12,), ratios=(10.0,), gains=(5.0,), celsius=(27.0,))


def test_errors_of_card_and_model_add_up():
    row = FoundryRow("gain", {"i_w": 1e-10}, foundry=100e-12, circuit=110e-12, model=99e-12)
    assert row.errors() == pytest.approx({"card_error": 0.1, "model_error": -0.1, "error": -0.01})
    assert summary([row, row])["gain"]["model_error"] == pytest.approx({"max_relative": 0.1, "rms_relative": 0.1})
    assert row.to_dict()["foundry"] == 100e-12


@pytest.mark.validate_long
def test_against_a_foundry_card(run, monkeypatch, found, tmp_path):
    """The command splits the error into that of the card and that of the model."""
    monkeypatch.setattr("analogsnn.calibrate._foundry.SYNAPSE", BENCH)
    monkeypatch.setattr("analogsnn.calibrate.calibrate", lambda *_, **__: found)
    numbers = tmp_path / "model.json"
    status, said, _ = run(
        "calibrate", "dpi_synapse", "--against", "bsim3", "--json", numbers, "--out", tmp_path / "model.toml"
    )
    assert status == 0
    assert "against bsim3 in ngspice" in said
    against = json.loads(numbers.read_text())["against"]
    assert against["card"] == "bsim3"
    gain, tau = against["rows"]
    assert (gain["quantity"], tau["quantity"]) == ("gain", "tau")
    assert gain["foundry"] == pytest.approx(639e-12, rel=0.01)
    assert gain["circuit"] == pytest.approx(845e-12, rel=0.01)
    assert abs(gain["model_error"]) < LIMIT
    assert (1 + gain["card_error"]) * (1 + gain["model_error"]) == pytest.approx(1 + gain["error"])
    assert against["summary"]["gain"]["card_error"]["max_relative"] == pytest.approx(gain["card_error"])
    assert abs(tau["card_error"]) < 0.02


def test_no_comparison_for_a_gate():
    """Said before the calibration, which takes minutes."""
    with pytest.raises(InputError, match="no device card 'nocard'"):
        compared("adexp_neuron", "nocard")
    with pytest.raises(InputError, match="no comparison of nmda_gate with a foundry's card; there is for dpi_synapse"):
        compared("nmda_gate")
