"""ngspice missing, too old, hanging, crashing or talking garbage: one sentence, and this process lives on."""

from __future__ import annotations

import ctypes.util
import importlib.util
import time

import pytest

from analogsnn import ngspice
from analogsnn.errors import NgspiceError
from analogsnn.netlist import read_netlist_text
from analogsnn.ngspice import _process
from tests.ngspice.fakes import FAILURES, fake_worker, forget_version

__all__ = ["forget_version"]
pytestmark = pytest.mark.usefixtures("forget_version")

DECK = "t\nV1 a 0 1\nR1 a 0 1k\nC1 a 0 1p\n.tran 1u 1m\n.end\n"


def sentence() -> str:
    with pytest.raises(NgspiceError) as caught:
        ngspice.transient(read_netlist_text(DECK), fresh=True, timeout=1.0)
    text = str(caught.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("name", FAILURES)
def test_a_child_that_fails(name, tmp_path, monkeypatch):
    body, part = FAILURES[name]
    fake_worker(monkeypatch, tmp_path, body)
    started = time.monotonic()
    assert part in sentence()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("name", ["hanging", "crashing", "garbage"])
def test_a_run_that_fails_after_a_good_start(name, tmp_path, monkeypatch):
    ngspice.ngspice_version()  # the real one, remembered
    body, part = FAILURES[name]
    script = tmp_path / "worker.py"
    script.write_text(
        "import pathlib, sys\ndef answer(t): pathlib.Path(sys.argv[1], 'answer.json').write_text(t)\n" + body
    )
    monkeypatch.setattr(_process, "_command", lambda: [_process.sys.executable, str(script)])
    assert part in sentence()


def test_a_real_run_that_takes_too_long():
    deck = "slow\nV1 a 0 SIN(0 1 1meg)\nR1 a b 1k\nC1 b 0 1p\n.tran 1n 1\n.end\n"
    started = time.monotonic()
    with pytest.raises(NgspiceError, match=r"did not finish within 2 s and was stopped; give a longer time limit"):
        ngspice.transient(read_netlist_text(deck), timeout=2.0)
    assert time.monotonic() - started < 10


def test_missing(monkeypatch):
    monkeypatch.delenv("NGSPICE_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    assert "ngspice is missing: no libngspice was found; install ngspice's library" in sentence()


def test_a_path_to_nothing(monkeypatch):
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so")
    assert "NGSPICE_LIBRARY_PATH is '/nowhere/libngspice.so', but there is no such file" in sentence()


def test_a_file_that_is_no_library(monkeypatch, tmp_path):
    fake = tmp_path / "libngspice.so"
    fake.write_text("garbage")
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(fake))
    assert f"{fake} cannot be used as ngspice's library" in sentence()


def test_another_library(monkeypatch):
    import _ctypes

    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", _ctypes.__file__)  # loads, and has none of ngspice's functions
    assert "cannot be used as ngspice's library" in sentence()


def test_pyspice_missing(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "PySpice" else real(name, *a))
    assert "PySpice is missing; install it with pip install 'analogsnn[spice]'" in sentence()


def test_the_version_is_a_number_that_the_tests_know():
    assert ngspice.ngspice_version() >= _process.MINIMUM_VERSION


def test_a_spiceinit_of_the_user_changes_nothing(monkeypatch, tmp_path):
    (tmp_path / ".spiceinit").write_text("set num_threads=7\nquit 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert ngspice.transient(read_netlist_text(DECK), fresh=True).voltage("a")[-1] == 1.0


def test_a_current_that_is_not_the_closed_form_is_refused():
    probe = ngspice._ekv.Probe("x1.xm", [], "vprobe0#branch", -1e-9)
    ngspice._ekv.check(probe, {"vprobe0#branch": -1e-9 * (1 + 5e-7)})
    for vectors in ({"vprobe0#branch": -1e-9 * (1 + 2e-6)}, {}, {"vprobe0#branch": float("nan")}):
        with pytest.raises(NgspiceError, match=r"for transistor 'x1\.xm' at a test point where the EKV equations give"):
            ngspice._ekv.check(probe, vectors)
