"""`analogsnn simulate` and `analogsnn netlist check`: keys, files, exit statuses, sentences."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import xarray

from analogsnn import library
from analogsnn.ngspice import _process
from tests.ngspice.fakes import FAILURES, fake_worker, forget_version

__all__ = ["forget_version"]

BAD = Path(__file__).parents[1] / "bad_inputs"
EXPECTED = tomllib.loads((BAD / "expected.toml").read_text(encoding="utf-8"))
GOOD = "a comparator\nVdd vdd 0 1.8\nVin in 0 SIN(0.9 1 1k)\nR1 in out 1k\nC1 out 0 1n\n.tran 10u 3m\n"
NGSPICE = ["simulate", "--engine", "ngspice"]
KEYS = {
    "version", "command", "seed", "seconds", "error", "engine", "threshold", "nodes", "measures", "steps", "rejected",
    "seconds_compile", "seconds_run",
}  # fmt: skip


@pytest.fixture
def deck(tmp_path) -> Path:
    path = tmp_path / "deck.cir"
    path.write_text(GOOD + ".meas tran t1 when v(out)=0.9 rise=2\n.end\n")
    return path


def test_numbers_and_files(run, deck, tmp_path):
    status, out, err = run(
        *NGSPICE, deck, "--json", tmp_path / "o.json", "--out", tmp_path / "o.nc", "--plot",
        tmp_path / "o.png", "--rtol", "1e-5",
    )  # fmt: skip
    assert (status, err) == (0, "")
    data = json.loads((tmp_path / "o.json").read_text())
    assert set(data) == KEYS
    assert (data["command"], data["engine"], data["error"], data["seed"]) == ("simulate", "ngspice", None, None)
    assert data["threshold"] == pytest.approx(0.9)  # half of the largest DC source, vdd
    assert set(data["nodes"]) == {"vdd", "in", "out"}
    node = data["nodes"]["out"]
    assert set(node) == {"min", "max", "final", "spike_times"}
    # R C = 1 µs delays the sine by about that; it rises through its mean at 1 and 2 ms
    assert node["spike_times"] == pytest.approx([1.001e-3, 2.001e-3], abs=1e-6)
    assert node["max"] == pytest.approx(1.9, rel=1e-3)
    assert data["measures"] == {"t1": pytest.approx(node["spike_times"][1])}
    assert data["steps"] > 100
    assert data["rejected"] is not None
    assert data["seconds_compile"] is None
    assert "t1 = 0.002001" in out
    with xarray.open_dataset(tmp_path / "o.nc", engine="h5netcdf") as waves:
        assert float(waves.voltage.sel(node="out").max()) == pytest.approx(node["max"])
        assert waves.sizes["time"] == data["steps"] + 1
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deck.cir", "o.json", "o.nc", "o.png"]


def test_threshold_and_signals(run, deck, tmp_path):
    status, _, _ = run(
        *NGSPICE, deck, "--threshold", "1.5", "--signal", "in", "--signal", "i(vin)", "--plot", tmp_path / "o.svg",
        "--json", tmp_path / "o.json", "--fresh", "--accuracy", "reference",
    )  # fmt: skip
    assert status == 0
    data = json.loads((tmp_path / "o.json").read_text())
    assert data["threshold"] == 1.5
    assert len(data["nodes"]["in"]["spike_times"]) == 3


@pytest.mark.parametrize("card", library.cards())
def test_the_neuron_spikes_on_both_cards(run, tmp_path, card):
    text = library.bench_text("adexp_neuron", card=card)
    # The first 5 ms, and what of the measures happens in them
    text = text.replace(".tran 100u 100m", ".tran 100u 5m")
    lines = [line for line in text.splitlines() if not line.startswith(".meas") or " t1 " in line]
    (tmp_path / "neuron.cir").write_text("\n".join(lines) + "\n")
    status, _, err = run(*NGSPICE, tmp_path / "neuron.cir", "--json", tmp_path / "o.json", "--plot", tmp_path / "o.png")
    assert status == 0, err
    data = json.loads((tmp_path / "o.json").read_text())
    entry = library.expected("adexp_neuron")[card]["t1"]
    assert data["nodes"]["spk"]["spike_times"] == [pytest.approx(entry["value"], rel=entry["tolerance"])]
    assert data["measures"]["t1"] == data["nodes"]["spk"]["spike_times"][0]


def test_without_a_supply_there_are_no_spikes(run, tmp_path):
    (tmp_path / "rc.cir").write_text(
        "rc\nV1 a 0 SIN(0 1 1k)\nR1 a 0 1k\n.tran 10u 1m\n.dc v1 0 1 0.1\n.meas dc x max v(a)\n.end\n"
    )
    status, _, err = run(*NGSPICE, tmp_path / "rc.cir", "--json", tmp_path / "o.json")
    assert status == 0
    assert "only the first analysis, .tran, is run; .dc is left out" in err
    assert "measures of other analyses are left out: x" in err
    data = json.loads((tmp_path / "o.json").read_text())
    assert data["threshold"] is None
    assert data["nodes"]["a"]["spike_times"] is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--engine", "hspice"], "there is no engine 'hspice'; there are jax, ngspice"),
        (["--accuracy", "best"], "the accuracy is 'best'; choose fast or reference"),
        (["--rtol", "0"], "the relative tolerance is 0"),
        (["--rtol", "nan"], "the relative tolerance is nan"),
        (["--threshold", "inf"], "the threshold is inf V"),
        (["--timeout", "-1"], "the time limit is -1 s"),
        (["--plot", "x.doc"], "must end in .png, .svg or .pdf"),
        (["--plot", "x.png", "--signal", "v(outt)"], "there is no signal 'v(outt)' to draw; there are v(out)"),
        (["--out", "DECK/x.nc"], "cannot be written"),
        (["--rtol", "small"], "--rtol"),
    ],
)
def test_bad_options(run, deck, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    words = [str(deck) + w.removeprefix("DECK") if w.startswith("DECK") else w for w in words]
    status, _, err = run(*NGSPICE, deck, "--json", "o.json", *words)
    assert status == 2
    assert sentence in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deck.cir"]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_bad_decks(run, monkeypatch, tmp_path, name):
    monkeypatch.chdir(BAD)
    want = EXPECTED[name]
    problems, notes = want.get("problems", []), want.get("notes", [])
    json_file = tmp_path / "o.json"

    status, out, err = run("netlist", "check", f"{name}.cir", "--json", json_file)
    assert status == (2 if problems else 0)
    for sentence in [*problems, *notes]:
        assert sentence.split("(")[0] in out + err
    assert json_file.exists() == (status != 2)
    json_file.unlink(missing_ok=True)

    status, _, err = run(*NGSPICE, f"{name}.cir", "--json", json_file)
    assert status == (2 if problems else want.get("status", 0))
    for sentence in [want.get("run", ""), *(p.split("(")[0] for p in problems)]:
        assert sentence in err
    assert json_file.exists() == (status != 2)
    if status == 3:
        data = json.loads(json_file.read_text())
        assert data["error"]["type"] == "NgspiceError"
        assert data["error"]["message"].startswith(want["run"])


def test_check_reports_what_was_read(run, tmp_path):
    status, out, _ = run("netlist", "check", library.bench_path("adexp_neuron"), "--json", tmp_path / "o.json")
    assert status == 0
    data = json.loads((tmp_path / "o.json").read_text())
    assert data["counts"]["V"] == 2
    assert data["analyses"] == ["tran"]
    assert len(data["files"]) == 5
    assert "nothing is wrong" in out


def test_a_deck_finds_the_library_and_what_it_is_allowed(run, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "r.inc").write_text("* r\nR1 d 0 1meg\n")
    deck = tmp_path / "a" / "deck.cir"
    deck.write_text(
        "t\n.include ../circuits/cards/ekv.lib\n.include ../circuits/bias.cir\n.include ../b/r.inc\n"
        "V1 d 0 1\nXm d d 0 0 nfet\n.op\n.end\n"
    )
    status, _, err = run("netlist", "check", deck)
    assert status == 2
    assert "r.inc' lies outside the folder that a deck may read" in err
    assert "--include on the command line" in err
    assert err.count("lies outside") == 1
    status, _, err = run(*NGSPICE, deck, "--include", tmp_path / "b")
    assert status == 0, err


@pytest.mark.usefixtures("forget_version")
@pytest.mark.parametrize("name", FAILURES)
def test_ngspice_that_fails(run, deck, tmp_path, monkeypatch, name):
    body, part = FAILURES[name]
    fake_worker(monkeypatch, tmp_path, body)
    status, _, err = run(*NGSPICE, deck, "--json", tmp_path / "o.json", "--timeout", "1", "--plot", tmp_path / "p.png")
    assert status == 3
    assert part in err
    data = json.loads((tmp_path / "o.json").read_text())
    assert data["error"]["type"] == "NgspiceError"
    assert part in data["error"]["message"]
    assert not (tmp_path / "p.png").exists()


@pytest.mark.usefixtures("forget_version")
def test_ngspice_missing(run, deck, monkeypatch):
    monkeypatch.delenv("NGSPICE_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(_process.ctypes.util, "find_library", lambda name: None)
    status, _, err = run(*NGSPICE, deck)
    assert status == 3
    assert err.strip() == (
        "analogsnn: ngspice is missing: no libngspice was found; install ngspice's library "
        "(Debian: sudo apt-get install libngspice0), or set NGSPICE_LIBRARY_PATH."
    )


def test_as_a_program_of_its_own(deck):
    done = subprocess.run([sys.executable, "-m", "analogsnn.cli", *NGSPICE, str(deck)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "t1 = " in done.stdout


def test_ngspice_runs_load_no_jax(deck, tmp_path):
    code = (
        "import sys\nfrom analogsnn import cli\n"
        f"sys.argv = ['analogsnn', *{NGSPICE!r}, {str(deck)!r}, '--plot', {str(tmp_path / 'p.png')!r}]\n"
        "try: cli.main()\nexcept SystemExit as e: assert e.code == 0\n"
        "assert 'jax' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
