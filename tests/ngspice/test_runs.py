"""Runs of the real ngspice: numbers in closed form, options, saving, caching, and failures in one sentence."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from analogsnn import ngspice
from analogsnn.errors import InputError, NetlistErrors, NgspiceError
from analogsnn.netlist import read_netlist_text
from analogsnn.ngspice import _cache, _run

RC = "low pass\nV1 a 0 PWL(0 0 1n 1)\nR1 a b 1k\nC1 b 0 1u\n.tran 10u 5m\n.end\n"


def test_transient_in_closed_form():
    waves = ngspice.transient(read_netlist_text(RC), options={"reltol": 1e-6})
    assert waves.nodes == ("a", "b")
    assert waves.branches == ("v1",)
    late = waves.time > 1e-6
    error = waves.voltage("b")[late] - (1 - np.exp(-waves.time[late] / 1e-3))
    assert np.abs(error).max() < 2e-5  # second-order steps at reltol 1e-6, and 0.5 ns of edge
    assert waves.current("v1")[-1] == pytest.approx(-1e-3 * np.exp(-5), rel=1e-2)
    assert waves.time[-1] == pytest.approx(5e-3)
    assert waves.supply is None
    assert waves.steps == len(waves.time) - 1
    assert waves.rejected >= 0


def test_sweep_and_operating_point():
    deck = "divider\nV1 a 0 2\nR1 a b 1k\nR2 b 0 3k\n.dc v1 0 2 0.5\n.op\n.end\n"
    netlist = read_netlist_text(deck)
    sweep = ngspice.run(netlist)
    assert sweep.variable == "v1"
    assert sweep.time == pytest.approx([0, 0.5, 1.0, 1.5, 2.0])
    assert sweep.voltage("b") == pytest.approx(0.75 * sweep.time, rel=1e-9)
    point = ngspice.operating_point(netlist)
    assert point.voltage("b") == pytest.approx([1.5], rel=1e-9)
    assert point.supply == 2.0


def test_a_leak_of_a_picoampere_is_not_drowned():
    # ngspice's own gmin would add a picoampere per volt at the diode-connected EKV pair; the default here is 1e-17.
    deck = "leak\nV1 a 0 1\nB1 a 0 I=1e-15\nR1 a 0 1e15\n.op\n.end\n"
    assert ngspice.operating_point(read_netlist_text(deck)).current("v1")[0] == pytest.approx(-2e-15, rel=1e-6)


def test_options_count_in_order(monkeypatch):
    seen = []
    monkeypatch.setattr(
        _run, "call", lambda deck, *rest: seen.append(deck) or (_ for _ in ()).throw(NgspiceError("stop"))
    )
    netlist = read_netlist_text(RC.replace(".tran", ".options reltol=2e-3 abstol=1e-13\n.tran"))
    with pytest.raises(NgspiceError):
        ngspice.transient(netlist, options={"abstol": 1e-15, "noopiter": False}, fresh=True)
    text = "\n".join(seen[0])
    assert "reltol=0.002" in text
    assert "abstol=1e-15" in text
    assert "method=gear" in text
    assert "noopiter" not in text


def test_saved_nodes():
    netlist = read_netlist_text(RC)
    waves = ngspice.transient(netlist, save=["B"])
    assert waves.nodes == ("b",)
    assert waves.branches == ("v1",)
    with pytest.raises(InputError, match="'c' is no node of <text>; there are a, b"):
        ngspice.transient(netlist, save=["c"])


def test_the_stop_time():
    netlist = read_netlist_text(RC)
    assert ngspice.transient(netlist, 1e-3).time[-1] == pytest.approx(1e-3)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="stop time"):
            ngspice.transient(netlist, bad)


def test_what_a_deck_lacks():
    netlist = read_netlist_text("t\nV1 a 0 1\nR1 a 0 1k\n.end\n")
    with pytest.raises(InputError, match="has no analysis"):
        ngspice.run(netlist)
    with pytest.raises(InputError, match=r"has no \.tran"):
        ngspice.transient(netlist)
    with pytest.raises(InputError, match=r"has no \.dc"):
        ngspice.dc(netlist)
    with pytest.raises(NetlistErrors, match="does not exist"):
        ngspice.run("nowhere.cir")


def test_the_title_says_nothing():
    waves = ngspice.transient(read_netlist_text(RC.replace("low pass", "Error: singular matrix, doAnalyses unknown")))
    assert waves.voltage("b")[-1] > 0.9


def test_cache(tmp_path, monkeypatch):
    calls = []
    real = _run.call
    monkeypatch.setattr(_cache, "cache_folder", lambda: tmp_path / "deep")
    monkeypatch.setattr(_run, "call", lambda *a: calls.append(1) or real(*a))
    netlist = read_netlist_text(RC)
    first = ngspice.transient(netlist)
    again = ngspice.transient(
        read_netlist_text(RC.replace("low pass", "another title").replace("R1 a b 1k", "r1 A b 1000"))
    )
    assert len(calls) == 1
    assert again.nodes == first.nodes
    assert (again.voltages == first.voltages).all()
    assert (again.steps, again.rejected) == (first.steps, first.rejected)
    ngspice.transient(netlist, fresh=True)
    ngspice.transient(netlist, options={"reltol": 1e-3})
    ngspice.transient(netlist, 4e-3)
    assert len(calls) == 4
    for file in (tmp_path / "deep").iterdir():
        file.write_bytes(b"PK damaged")
    assert (ngspice.transient(netlist).voltages == first.voltages).all()
    assert len(calls) == 5


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(_cache, "cache_folder", lambda: tmp_path / "file" / "below")
    assert ngspice.transient(read_netlist_text(RC)).voltage("b")[-1] > 0.9


def test_no_convergence_is_said():
    deck = "t\nV1 a 0 1\nR1 a b 1k\nB1 b 0 I=sqrt(-1-V(b)*V(b))*1e9+exp(1000*V(b))\nC1 b 0 1p\n.tran 1u 1m\n.end\n"
    with pytest.raises(NgspiceError, match=r"ngspice's log says|not finite"):
        ngspice.transient(read_netlist_text(deck))


def test_warnings_are_logged(caplog):
    deck = "w\nV1 a 0 SIN(0 1 1k)\nR1 a 0 1k\n.op\n.end\n"
    with caplog.at_level(logging.WARNING, "analogsnn.ngspice"):
        _run.judge(["Warning: something odd", "Warning: something odd"], {"a": np.zeros(1)})
        ngspice.operating_point(read_netlist_text(deck))
    assert [r.getMessage() for r in caplog.records].count("ngspice: Warning: something odd") == 1
