"""`.meas` of decks: the same numbers as ngspice's own, and a sentence with the place where there is none."""

from __future__ import annotations

import re

import numpy as np
import pytest

from analogsnn import ngspice
from analogsnn.errors import InputError
from analogsnn.measure import evaluate_measures
from analogsnn.netlist import read_netlist_text
from tests.netlist.ngspice import run_ngspice

# ngspice prints 6 digits of its measures (half a unit of the last is 5e-6), and interpolates between the same points.
PRINTED = 6e-6
# avg alone: ngspice leaves out the parts of the window before its first point and after its last one.
TOLERANCE = {"av": 2e-3}
DECK = """tank
V1 a 0 SIN(0.2 1 1k)
R1 a b 1k
C1 b 0 0.3u
R2 b c 1k
C2 c 0 0.1u
.param lev=0.3
.options reltol=1e-6
.tran 1u 4m
.meas tran t1 when v(b)=0.3 rise=1
.meas tran t2 when v(b)=lev rise=2
.meas tran t3 when v(b)=0.3 fall=last
.meas tran t4 when v(b)=0.3 cross=3
.meas tran t5 when v(b)=v(c) rise=1 td=0.5m
.meas tran late when v(b)=0.3 rise=1 td=1.5m
.meas tran del trig v(a) val=0.25 rise=2 targ v(c) val=0.25 rise=2
.meas tran from trig at=0.1m targ v(c) val=0.25 rise=2
.meas tran f1 find v(b) at=1.234m
.meas tran f2 find v(c) when v(b)=0.3 rise=2
.meas tran f3 find i(v1) at=1m
.meas tran mx max v(c) from=1m to=3m
.meas tran mn min v(b)
.meas tran mxat max_at v(c)
.meas tran pk pp v(c) from=1m to=4m
.meas tran av avg v(c) from=1m to=3m
.meas tran rm rms v(c)
.meas tran it integ i(v1) from=0.5m to=2.5m
.meas tran par param='1/(t2-t1)'
.end
"""


def test_as_ngspice_does():
    netlist = read_netlist_text(DECK)
    waves = ngspice.transient(netlist, options={"gmin": 1e-12, "abstol": 1e-12, "method": "trap"})
    got = evaluate_measures(waves, netlist.measures, netlist.params)
    said = run_ngspice(DECK.replace(".end\n", ".options method=trap gmin=1e-12 abstol=1e-12\n.end\n"), "run")
    theirs = {m[1]: float(m[2]) for m in re.finditer(r"(?m)^(\w+)\s+=\s+(\S+)", said) if m[1] in got}
    wrong = {
        name: (float(value), theirs[name])
        for name, value in got.items()
        if name in theirs and float(value) != pytest.approx(theirs[name], rel=TOLERANCE.get(name, PRINTED))
    }
    assert not wrong
    assert set(got) == set(theirs)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("x when v(b)=9", "t:9:1: measure 'x' has no value: v(b) never crosses 9 V; it spans -"),
        ("x when v(b)=0.3 rise=99", "v(b) rises through 300 mV 4 times only; number 99 is asked for."),
        ("x find v(b) at=1", "v(b) is asked for at 1, but it spans 0 to 0.004 only."),
        ("x max v(nope)", "the waveforms have no node 'nope'; there are a, b, c."),
        ("x median v(b)", "'median' is no kind of measure; there are trig, when, find, deriv, param, avg"),
        ("x max v(b) frm=1m", "'frm=1m' is not understood here"),
        ("x when v(b)=nothing", "'nothing' is neither a parameter nor an earlier measure."),
        ("x trig v(b) val=0.3 rise=1", "a trig needs a targ."),
        ("x max", "'max' cannot be evaluated"),
        ("x when v(b)", "a crossing needs a signal and a level"),
        ("x max v(b) from=3m to=1m", "the window from 0.003 to 0.001 of v(b) is empty."),
    ],
)
def test_measures_that_do_not_happen(line, sentence):
    body = [x for x in DECK.splitlines() if not x.startswith((".meas", ".end"))]
    netlist = read_netlist_text(
        "\n".join([*body[:8], ".meas tran " + line, *body[8:], ".meas tran y max v(b)", ".end", ""]), "t"
    )
    waves = ngspice.transient(netlist)
    with pytest.raises(InputError) as caught:
        evaluate_measures(waves, netlist.measures, netlist.params)
    assert sentence in str(caught.value)
    loose = evaluate_measures(waves, netlist.measures, netlist.params, strict=False)
    assert loose["x"] is None
    assert np.isfinite(loose["y"])


def test_slope_which_ngspice_lacks():
    netlist = read_netlist_text(
        DECK.replace(".meas tran t1 when", ".meas tran dv deriv v(a) at=1.25m\n.meas tran t1 when")
    )
    got = evaluate_measures(ngspice.transient(netlist), netlist.measures, netlist.params)
    # d/dt sin(2π 1 kHz t) is 0 at a quarter period; a chord of 10 µs is off by up to 2π 1 kHz · 2π 1 kHz · 10 µs / 2
    assert abs(float(got["dv"])) < 200.0
    netlist = read_netlist_text(
        DECK.replace(".meas tran t1 when", ".meas tran dv deriv v(a) at=1m\n.meas tran t1 when")
    )
    got = evaluate_measures(ngspice.transient(netlist), netlist.measures, netlist.params)
    assert float(got["dv"]) == pytest.approx(2 * np.pi * 1e3, rel=2e-3)


def test_one_missing_measure_names_those_that_need_it():
    text = DECK.replace("v(b)=0.3 rise=1\n", "v(b)=7 rise=1\n")
    netlist = read_netlist_text(text)
    with pytest.raises(InputError, match="measure 'par' has no value: it needs 't1', which has no value"):
        evaluate_measures(ngspice.transient(netlist), netlist.measures, netlist.params)


def test_other_analyses_are_left_out():
    netlist = read_netlist_text(DECK.replace(".meas tran t1 when", ".meas dc t0 when v(b)=0.3\n.meas tran t1 when"))
    got = evaluate_measures(ngspice.transient(netlist), netlist.measures, netlist.params)
    assert "t0" not in got
    assert "t1" in got
