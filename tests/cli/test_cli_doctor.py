"""doctor: one line a part, and exit status 1 with a hint where one is missing."""

from __future__ import annotations

import json
import sys

import pytest

from analogsnn import compilation_cache, doctor
from analogsnn.cli import main
from analogsnn.errors import NgspiceError

PARTS = ["python", "jax", "compilation cache", "ngspice", "circuit library", "recording of the demo"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation_cache, "use_compilation_cache", lambda: tmp_path)  # else it holds for other tests

    def command() -> tuple[int, dict]:
        monkeypatch.setattr(sys, "argv", ["analogsnn", "doctor", "--json", str(tmp_path / "d.json")])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code, json.loads((tmp_path / "d.json").read_text())

    return command


def test_all_is_there_where_the_tests_run(run, capsys):
    status, record = run()
    assert [check["name"] for check in record["checks"]] == PARTS
    assert status == 0, capsys.readouterr().out
    assert all(check["ok"] and check["hint"] == "" for check in record["checks"])


def test_what_is_missing_is_said_with_a_hint(run, monkeypatch, capsys):
    def missing():
        raise NgspiceError("the shared library of ngspice was not found.", "")

    monkeypatch.setattr(doctor, "_ngspice", missing)
    status, record = run()
    assert status == 1
    (bad,) = [check for check in record["checks"] if not check["ok"]]
    assert bad["name"] == "ngspice"
    assert "not found" in bad["found"]
    assert "install ngspice" in bad["hint"]
    assert "MISSING ngspice: the shared library" in capsys.readouterr().out
