"""The NMDA gate's model against its circuit: fitted on a few sweeps, judged on those and on another one."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest

from analogsnn import library
from analogsnn.calibrate import GateDesign, RangeWarning, gate, write_calibration_page
from analogsnn.calibrate._gate import Opening, make_gate, predicted, run_gate
from analogsnn.errors import InputError, NgspiceError
from analogsnn.models import GATE_TERMS

LIMIT = 0.03  # what the model is for
SMALL = GateDesign(currents=(50e-12, 2e-9), thresholds=(100e-12, 2e-9), celsius=(10.0, 50.0))
UNSEEN = GateDesign(currents=(400e-12,), thresholds=(600e-12,), celsius=(30.0,))


@pytest.fixture(scope="module")
def found():
    return gate(design=SMALL)


def test_errors_are_below_three_per_cent(found):
    assert found.experiments == SMALL.size
    assert {row.quantity for row in found.errors} == {"current", "open", "rest"}
    for quantity in ("current", "open"):
        assert found.worst()[quantity] < LIMIT
    # On a hot chip with a low threshold the gate does not shut below 5 %
    assert 0 < sum(row.quantity == "rest" for row in found.errors) <= SMALL.size


def test_a_sweep_that_it_has_not_seen(found):
    seen = run_gate(library.read_bench("nmda_gate"), UNSEEN)
    judged = seen.quantity < 2
    assert judged.sum() == 6
    model = np.asarray(predicted(found.parameters, seen))
    assert model[judged] == pytest.approx(seen.i_out[judged], rel=LIMIT)


def test_parameters_are_those_of_the_card(found):
    # circuits/cards/ekv.lib: slope factors 1.30 and 1.35, threshold 0.45 V falling by 1 mV/K
    assert found.parameters["n"] == pytest.approx(1.30, rel=0.02)
    assert found.parameters["n_in"] == pytest.approx(1.35, rel=0.02)
    assert found.parameters["vt"] == pytest.approx(0.45, abs=0.01)
    assert found.parameters["tcv"] == pytest.approx(1e-3, rel=0.1)


def test_terms_earn_their_place(found):
    """Without any of them the same parameters are further off than the limit."""
    rows = [row for row in found.errors if row.quantity != "rest"]
    columns = [np.array([row.condition[name] for row in rows]) for name in ("i_dpi", "i_nmda", "celsius", "v_mem")]
    seen = Opening(*columns, quantity=np.zeros(len(rows), int), i_out=np.array([row.circuit for row in rows]))
    for term in GATE_TERMS:
        terms = tuple(name for name in GATE_TERMS if name != term)
        error = np.abs(np.asarray(predicted(found.parameters, seen, terms=terms)) / seen.i_out - 1)
        assert error.max() > LIMIT, term
    with pytest.raises(InputError, match="no term 'dark'; there are exponent"):
        make_gate(found.parameters, 1e-9, 27.0, terms=("dark",))


def test_the_command(run, monkeypatch, found, tmp_path):
    monkeypatch.setattr("analogsnn.calibrate._gate.GateDesign", lambda: UNSEEN)
    monkeypatch.setattr("analogsnn.calibrate._blocks.GateDesign", lambda: UNSEEN)
    out, numbers, page = tmp_path / "gate.toml", tmp_path / "gate.json", tmp_path / "gate.html"
    status, said, _ = run("calibrate", "nmda_gate", "--out", out, "--json", numbers, "--html", page)
    assert status == 0
    assert "nmda_gate on ekv: 1 experiments" in said
    data = json.loads(numbers.read_text())
    assert {"parameters", "errors", "valid_range", "command", "error"} <= set(data)
    assert data["summary"]["current"]["max_relative"] < LIMIT
    assert tomllib.loads(out.read_text())["block"] == "nmda_gate"
    assert "Dots: model." in page.read_text()


def test_the_page_outlives_ngspice(monkeypatch, found, tmp_path):
    """Hours of a calibration are not lost to a figure: the page says what is missing."""

    def stopped(*_, **__):
        raise NgspiceError("ngspice did not finish within 300 s and was stopped.")

    monkeypatch.setattr("analogsnn.calibrate._calibration_page.ngspice.run", stopped)
    page = tmp_path / "page.html"
    assert "did not finish" in str(write_calibration_page(page, found))
    assert "Without ngspice: ngspice did not finish within 300 s" in page.read_text()


def test_range_warns_outside(found):
    low, high = found.valid_range["i_dpi"]
    assert float(found.at(i_dpi=np.sqrt(low * high), celsius=30.0, i_nmda=5e-10).i_nmda) == 5e-10
    with pytest.warns(RangeWarning, match=r"i_dpi = .* lies outside the range .* nmda_gate"):
        found.at(i_dpi=100 * high)


def test_blocks_without_a_gate():
    with pytest.raises(InputError, match="no gate to calibrate in 'wta'; there is nmda_gate"):
        gate("wta")
