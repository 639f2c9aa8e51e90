"""The command line: exit statuses, one sentence per problem, and outputs that are whole or absent."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from analogsnn import cli

RATE_KEYS = {"mean", "worst", "per_chip"}


def run(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "analogsnn.cli", *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )


@pytest.fixture
def here(monkeypatch, capsys):
    """Run a command in this process, which has everything imported: its exit status and what it said."""

    def run_here(*arguments):
        monkeypatch.setattr("sys.argv", ["analogsnn", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return run_here


@pytest.fixture(scope="module")
def recording(tmp_path_factory, pulses):
    path = tmp_path_factory.mktemp("recording") / "pulse.csv"
    signal = pulses.signal[:3000].copy()
    signal[2500:2550] = np.nan
    path.write_text("pulse\n" + "\n".join(f"{v:.4f}" for v in signal))
    return path


@pytest.mark.long
def test_heart_rate(here, recording, tmp_path):
    status, _, said = here(
        "heart-rate", recording, "--rate", 100, "--zones", "60", "--chips", 2, "--out", tmp_path, "--json",
        tmp_path / "a.json", "--no-trim",
    )  # fmt: skip
    assert status == 0, said
    assert "gap: 25.00–25.50 s" in said
    data = json.loads((tmp_path / "a.json").read_text())
    assert data == json.loads((tmp_path / "result.json").read_text())
    assert data["command"] == "heart-rate"
    assert data["error"] is None
    for key in ("heart_rate_mae_bpm", "zone_accuracy", "switches_missed", "false_switches_per_hour"):
        assert set(data[key]) == RATE_KEYS
        assert len(data[key]["per_chip"]) == 2
    # Synthetic pulses at exactly 72 bpm; a window holds about 12 intervals.
    assert data["heart_rate_mae_bpm"]["mean"] < 3.0
    assert {"neurons", "core", "real_time_factor", "encoder_events_per_second", "reference"} <= set(data)
    assert "<html" in (tmp_path / "report.html").read_text()


BAD = {
    "missing": (["nothing.csv", "--rate", "100"], "no file 'nothing.csv'"),
    "rate": (["RECORDING", "--rate", "0"], "sampling rate is 0 Hz"),
    "rate as text": (["RECORDING", "--rate", "fast"], "--rate"),
    "no rate": (["RECORDING"], "--rate"),
    "zones": (["RECORDING", "--rate", "100", "--zones", "90,60"], "must ascend"),
    "zones as text": (["RECORDING", "--rate", "100", "--zones", "a,b"], "--zones is 'a,b'"),
    "column": (["RECORDING", "--rate", "100", "--column", "ecg"], "no column 'ecg'"),
    "short": (["RECORDING", "--rate", "1000"], "3.0 s at 1000 Hz"),
    "out": (["RECORDING", "--rate", "100", "--out", "FILE/below"], "cannot be written"),
    "chips": (["RECORDING", "--rate", "100", "--chips", "0"], "chips"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, here, recording, tmp_path, monkeypatch):
    arguments, sentence = BAD[case]
    (tmp_path / "FILE").write_text("")
    arguments = [str(recording) if a == "RECORDING" else a for a in arguments]
    monkeypatch.chdir(tmp_path)
    status, out, said = here("heart-rate", *arguments, "--json", "out.json")
    assert status == 2, out
    assert sentence in said
    assert not (tmp_path / "out.json").exists()


def test_bad_input_of_a_process(tmp_path):
    done = run("heart-rate", "nothing.csv", "--rate", "100", "--json", "out.json", cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert "no file 'nothing.csv'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_help_and_import_stay_light():
    assert run("--help").returncode == 0
    code = "import sys, analogsnn; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
