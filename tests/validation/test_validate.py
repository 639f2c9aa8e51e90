"""`validate`: both engines on the benches, the verdict, the page, and the command with its exit statuses."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

import analogsnn as asn
from analogsnn import library
from analogsnn.errors import InputError
from analogsnn.measure import spike_times
from analogsnn.netlist import Tran
from analogsnn.validation import Row, find_benches, validate
from analogsnn.validation._compare import (
    MEMBRANE_TOLERANCE,
    SPIKE_TOLERANCE,
    TOLERANCE,
    alignment,
    deviation,
    root_mean_square,
    spike_rows,
)
from analogsnn.validation._validate import at_length
from analogsnn.waveforms import Waveforms
from tests.report.test_page import assert_self_contained

SMALL = ("dpi_synapse", "current_mirror", "starved_inverter")
ROW_KEYS = {
    "text", "unit", "ours", "ngspice", "difference", "tolerance", "absolute", "model", "relative_error",
    "model_relative_error", "ok",
}  # fmt: skip
SPIKES, LONG_SPIKES = 5, 15  # what the neuron's runs of 30 and 100 ms must hold at least


@pytest.mark.long
def test_small_blocks_are_within_tolerance(run, tmp_path, browser_dom):
    page, numbers = tmp_path / "v.html", tmp_path / "v.json"
    status, out, err = run("validate", *SMALL, "--html", page, "--json", numbers)
    assert status == 0, out + err
    data = json.loads(numbers.read_text())
    assert (data["command"], data["against"], data["form"], data["error"]) == ("validate", "ekv", "short", None)
    assert data["judged"]
    assert data["ok"]
    assert set(data["versions"]) == {"analogsnn", "jax", "ngspice"}
    assert set(data["blocks"]) == set(SMALL)
    for name, rows in data["blocks"].items():
        assert set(rows) == set(library.bench(name).measures)  # every measure of the header, and nothing dropped
        for row in rows.values():
            assert set(row) == ROW_KEYS
            assert row["ok"]
            assert row["tolerance"] == TOLERANCE
            assert abs(row["relative_error"]) <= TOLERANCE
            assert row["ours"] == pytest.approx(row["ngspice"], rel=TOLERANCE)
    # The expected numbers of the bench come from runs of their own.
    expected = library.expected("dpi_synapse")["ekv"]["tau"]["value"]
    assert data["blocks"]["dpi_synapse"]["tau"]["ours"] == pytest.approx(expected, rel=TOLERANCE)
    assert "15 of 15 numbers of 3 benches are within their tolerance" in out
    html = page.read_text()
    assert_self_contained(html)
    assert html.count("<img") == len(SMALL)
    dom = browser_dom(page)
    assert "current_mirror" in dom
    assert "OUTSIDE" not in dom
    assert not list(tmp_path.glob("*.part"))


def test_outside_tolerance_is_status_1(run, tmp_path):
    # The synapse's two time constants differ by more than a part in a billion.
    status, out, err = run(
        "validate", "dpi_synapse", "--tolerance", "1e-9", "--json", tmp_path / "v.json", "--html", tmp_path / "v.html"
    )
    assert status == 1
    assert "dpi_synapse.tau" in err
    assert "OUTSIDE" in out
    data = json.loads((tmp_path / "v.json").read_text())
    assert data["ok"] is False
    assert data["error"] is None
    assert data["blocks"]["dpi_synapse"]["tau"]["ok"] is False
    assert "outside tolerance" in (tmp_path / "v.html").read_text()


def test_another_card_shows_the_error_of_the_model(run, tmp_path):
    status, out, _ = run("validate", "dpi_synapse", "--against", "bsim3", "--json", tmp_path / "v.json")
    assert status == 0
    data = json.loads((tmp_path / "v.json").read_text())
    assert data["judged"] is False
    assert data["ok"] is None
    row = data["blocks"]["dpi_synapse"]["i_ss"]
    expected = {card: library.expected("dpi_synapse")[card]["i_ss"]["value"] for card in ("ekv", "bsim3")}
    assert row["ours"] == pytest.approx(expected["ekv"], rel=TOLERANCE)
    assert row["ngspice"] == pytest.approx(expected["bsim3"], rel=TOLERANCE)
    assert row["relative_error"] == pytest.approx(expected["ekv"] / expected["bsim3"] - 1, abs=2 * TOLERANCE)
    assert row["ok"] is None
    assert "not judged" in out
    # The same card as a file of the user's.
    report = validate("dpi_synapse", against=str(library.cards()["bsim3"]))
    assert report.benches["dpi_synapse"].rows["i_ss"].ngspice == pytest.approx(row["ngspice"])
    assert report.ok


def test_synapse_model_stands_beside_it():
    rows = asn.validate("dpi_synapse").benches["dpi_synapse"].rows
    # I_g (I_w/I_tau - 1) less what 40 ms leave to be done, and C UT n_p/I_tau.
    assert rows["i_ss"].model == pytest.approx(900e-12, rel=1e-3)
    assert rows["tau"].model == pytest.approx(2e-12 * 0.025865 * 1.35 / 20e-12, rel=1e-3)
    assert rows["i_ss"].ngspice is not None
    assert rows["i_ss"].model_relative_error == pytest.approx(900e-12 / rows["i_ss"].ngspice - 1, abs=1e-3)


@pytest.mark.long
def test_neuron_has_the_same_spikes():
    bench = validate("adexp_neuron").benches["adexp_neuron"]
    assert not bench.failed
    assert len(spike_times(bench.ours, "spk")) >= SPIKES
    assert bench.rows["spikes"].ours == bench.rows["spikes"].ngspice
    shift, membrane = bench.rows["spike_shift"].difference, bench.rows["membrane_rms"].difference
    assert shift is not None
    assert abs(shift) <= SPIKE_TOLERANCE
    assert membrane is not None
    assert membrane <= MEMBRANE_TOLERANCE
    assert set(library.bench("adexp_neuron").measures) - set(bench.rows) == {"t15", "rate_adapted"}  # they come later
    assert bench.model is not None


@pytest.mark.validate_long
def test_every_bench_in_full():
    report = validate(long=True)
    assert not report.failed
    neuron = report.benches["adexp_neuron"]
    assert len(spike_times(neuron.ours, "spk")) >= LONG_SPIKES
    assert set(library.bench("adexp_neuron").measures) <= set(neuron.rows)


def test_names():
    assert find_benches("wta") == ("wta", "wta_sweep")  # a block with two benches
    assert find_benches(["wta_sweep", "dendrite"]) == ("wta_sweep", "dendrite")
    assert find_benches(None) == tuple(library.benches())
    with pytest.raises(InputError, match="there is no bench 'dpi_sinapse'; there are dpi_synapse"):
        validate("dpi_sinapse")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("dpi_sinapse",), "there is no bench 'dpi_sinapse'"),
        (("dpi_synapse", "--against", "bsim5"), "there is no device card 'bsim5'"),
        (("dpi_synapse", "--tolerance", "0"), "the tolerance is 0"),
        (("dpi_synapse", "--tolerance", "nan"), "the tolerance is nan"),
        (("dpi_synapse", "--timeout", "-1"), "the time limit is -1 s"),
    ],
)
def test_bad_input_is_status_2(run, tmp_path, words, sentence):
    status, _, err = run("validate", *words, "--json", tmp_path / "v.json")
    assert status == 2
    assert sentence in err
    assert not (tmp_path / "v.json").exists()


def test_short_form_reaches_both_engines():
    """An analysis that replaces the deck's must survive the flattening that our engine does again."""
    from analogsnn.circuit import Circuit

    short = at_length(library.read_bench("adexp_neuron"), "adexp_neuron", False)
    for netlist in (short, Circuit.from_netlist(short).netlist):
        (tran,) = netlist.analyses
        assert isinstance(tran, Tran)
        assert tran.stop == library.expected("adexp_neuron")["short"]


def _spiking(times: list[float], shift: float = 0.0, offset: float = 0.0) -> Waveforms:
    """Spikes of 1 µs at `times`; the membrane is a slow wave, moved by `offset`."""
    t = np.concatenate([[0.0], *[[s - 1e-8, s + 1e-8, s + 1e-6, s + 1.02e-6] for s in times], [10e-3]])
    spk = np.concatenate([[0.0], *[[0.0, 1.8, 1.8, 0.0] for _ in times], [0.0]])
    vmem = 0.3 + 0.1 * np.sin(2e3 * (t - shift)) + offset
    return Waveforms(
        time=t, voltages=np.stack([vmem, spk]), nodes=("vmem", "spk"), currents=np.zeros((0, t.size)), branches=(),
        supply=1.8,
    )  # fmt: skip


def test_spikes_that_move_are_outside():
    ours = _spiking([1e-3, 4e-3])
    near = spike_rows(ours, _spiking([1e-3, 4.009e-3]), judged=True)
    assert near["spike_shift"].ok
    assert near["spike_shift"].difference == pytest.approx(-9e-6, rel=1e-6)
    assert spike_rows(ours, _spiking([1e-3, 4.011e-3]), judged=True)["spike_shift"].ok is False


def test_missing_spikes_are_outside():
    rows = spike_rows(_spiking([1e-3, 4e-3]), _spiking([1e-3]), judged=True)
    assert set(rows) == {"spikes"}
    assert rows["spikes"].ok is False


def test_membrane_is_compared_between_aligned_spikes():
    ours = _spiking([1e-3, 4e-3])
    rows = spike_rows(ours, _spiking([1e-3, 4e-3], offset=0.2e-3), judged=True)
    assert rows["membrane_rms"].difference == pytest.approx(0.2e-3, rel=1e-9)
    assert rows["membrane_rms"].ok is False
    moved = dataclasses.replace(ours, time=np.asarray(ours.time) * np.where(np.asarray(ours.time) < 9e-3, 1.002, 1.0))
    align = alignment(ours, moved)
    time, difference = deviation(ours.time, ours.voltage("vmem"), align(moved.time), moved.voltage("vmem"))
    # 0.2 % of a time axis of 4 ms is 8 µs: on edges of 1.8 V in 20 ns, two volts without the alignment
    assert root_mean_square(time, difference) < 1e-3
    assert rows["spike_shift"].ok


def test_root_mean_square_of_straight_lines():
    # ∫₀¹ t² dt = 1/3, whatever the points
    assert root_mean_square(np.array([0.0, 0.2, 1.0]), np.array([0.0, 0.2, 1.0])) == pytest.approx(math.sqrt(1 / 3))


def test_what_does_not_happen_fails():
    row = Row("never", "s", None, 1e-3, None, TOLERANCE)
    assert row.ok is False
    assert Row("never", "s", None, 1e-3, None, None).ok is None
