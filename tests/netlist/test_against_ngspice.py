"""The reader against ngspice's own reading: 300 generated decks, and every waveform."""

from __future__ import annotations

import re

import numpy as np
import pytest

from analogsnn.netlist import (
    BEHAVIOURAL_FUNCTIONS,
    Behavioural,
    Current,
    Evaluator,
    IndependentSource,
    Voltage,
    evaluate,
    read_netlist_text,
    resolve_waveform,
    write_netlist,
)

from . import nodal
from .decks import random_deck
from .ngspice import operating_point, run_ngspice


def worst(found: dict[str, float], wanted: dict[str, float]) -> float:
    """Largest difference relative to the value, or to a thousandth of the largest voltage where that is more."""
    floor = max(abs(v) for v in wanted.values()) / 1000
    return max(abs(found[node] - v) / max(abs(v), floor) for node, v in wanted.items())


@pytest.mark.parametrize("first", range(0, 300, 25))
def test_operating_points_of_generated_decks(first: int):
    for seed in range(first, first + 25):
        deck = random_deck(seed)
        netlist = read_netlist_text(deck)
        wanted = operating_point(deck, netlist.nodes)
        assert worst(nodal.operating_point(netlist), wanted) < 1e-9, f"seed {seed}\n{deck}"
        assert worst(operating_point(write_netlist(netlist), netlist.nodes), wanted) < 1e-9, f"written, seed {seed}"


WAVEFORMS = [
    "pulse(0 1)", "pulse(0 1 1u)", "pulse(0 1 2u 0 0 5u 20u)", "pulse(0.2 1.8 2u 1u 3u 5u 20u)", "pulse(1 0 0 1u)",
    "pulse(0 1 2u 1u 1u 5u 20u 2)", "pulse(0 1 -2u 1u 1u 5u 10u 3)", "pulse(0 1 2u 1u 1u 0 0)",
    "sin(0 1)", "sin(0.5 1 50k)", "sin(0.5 1 50k 7u 1e4)", "sin(0 1 0 5u)",
    "sin(0 1 50k 5u 0 90)", "exp(0 1)", "exp(0 1 2u 3u)", "exp(0 1 2u 3u 20u 5u)", "exp(1 0.2 0 0 0 0)",
    "pwl(0 0 10u 1 20u 0.5)", "pwl(5u 1 10u 2)", "pwl(0 0 10u 1 20u 0.5) r=0", "pwl(0 0 10u 1 20u 0.5) r=10u td=3u",
    "pwl(0 0 10u 1) td=12u", "am(1 2 20k 200k)", "am(1 2 20k 200k 10u)", "sffm(0.1 1 100k 2 20k)", "sffm(0 1 100k)",
]  # fmt: skip


@pytest.mark.parametrize("text", WAVEFORMS)
def test_waveforms(text: str):
    deck = f"waveform\nV1 a 0 {text}\nR1 a 0 1k\n.tran 1u 60u 0 0.5u\n"
    netlist = read_netlist_text(deck)
    out = run_ngspice(deck, "run\nprint col time v(a)")
    rows = [line.split() for line in out.splitlines() if re.match(r"\d+\s", line)]
    table = np.array([[float(row[1]), float(row[2])] for row in rows])
    assert len(table) > 100, out
    source = netlist.element("v1")
    assert isinstance(source, IndependentSource)
    waveform = resolve_waveform(source.waveform, source.parameters, 1e-6, 60e-6)
    # A repeated pwl may jump, and at the jump rounding decides for one side or the other.
    ours = np.array([[waveform.at(t + shift) for t in table[:, 0]] for shift in (-1e-15, 0.0, 1e-15)])
    assert np.abs(ours - table[:, 1]).min(axis=0).max() < 1e-8


BEHAVIOURAL = [
    "B1 b 0 V=V(p)*V(m)+V(p,m)-2*I(vp)",
    "B1 b 0 V=V(m)^3+V(m)**2-V(m)^2",
    "B1 b 0 V=-V(m)^2+2^V(m)",
    "B1 b 0 V=pow(V(m),3)-pwr(V(m),3)",
    "B1 b 0 V={q}^2*V(p)-{q}*V(m)+q",
    "B1 b 0 V=V(m)-q^2-(-q)",
    "B1 b 0 V=V(p)>1 ? V(m)>0 ? 1 : 2 : 3",
    "B1 b 0 V=(V(p)>1&&V(m)<0)+!(V(p)<=1||V(m)!=-2)*4",
    "B1 b 0 V=ln(V(p))+log10(V(p))+exp(V(m))+sqrt(V(p))+abs(V(m))",
    "B1 b 0 V=tanh(V(m))+atan(V(p))-sinh(V(m))/cosh(V(p))+asinh(V(p))+acosh(2+u(V(p)))",
    "B1 b 0 V=min(V(p),V(m))-max(V(p),1.5)+sgn(V(m))+nint(V(p)/2)+floor(V(m)/3)+ceil(V(p)/2)",
    "B1 b 0 V=u(V(p))+u2(V(p)/7)+uramp(V(m))+uramp(V(p))",
    "B1 b 0 V=temper*1m+pi+e",
    "B1 b 0 V=f(V(p),q)*2",
    "B1 b 0 V=1-(V(p)-(2-V(m)))-3/(2/V(p))/4",
    "B1 b 0 V=10meg*V(p)/3.3MEGohm+1mil",
    "B1 b 0 V={V(p)*2}",
    "B1 b 0 V='V(m) * 2 + {q}'",
    "B1 0 b I=V(p)*1m m=3",
    "B1 0 b I=1m/(1+exp(-V(m)/0.1))",
    "E1 b 0 vol='V(p)^2-q'",
    "E1 b 0 value={V(p)*q}",
    "G1 0 b cur='V(p)*1m'",
    "G1 0 b value={V(m)*1m} m=2",
    "X1 b p scaled k=-2",
    "X1 b p scaled k={q*2}",
]


@pytest.mark.parametrize("line", BEHAVIOURAL)
def test_behavioural_sources(line: str):
    deck = f"""behavioural
.param q=-1.7
.func f(x,y) {{x*y+x^2}}
.subckt scaled o i k=1
B1 o 0 V=k*V(i)^2-{{k}}^2+k
.ends
.temp 37
Vp p 0 3
Rp p 0 1
Vm m 0 -2
Rm m 0 1
{line}
Rb b 0 1k
"""
    netlist = read_netlist_text(deck)
    wanted = operating_point(deck, ["b"])
    assert operating_point(write_netlist(netlist), ["b"]) == pytest.approx(wanted, rel=1e-9)
    source = next(e for e in netlist.elements if isinstance(e, Behavioural))
    evaluator = Evaluator(overrides={"temp": 37.0})
    volts = {"p": 3.0, "m": -2.0}

    def lookup(leaf):
        if isinstance(leaf, Voltage):
            return volts.get(leaf.plus, 0.0) - volts.get(leaf.minus, 0.0)
        return -3.0 if isinstance(leaf, Current) else evaluator.expression(leaf, source.scope)

    ours = evaluate(source.expression, lookup, BEHAVIOURAL_FUNCTIONS)
    ours *= 1e3 * source.multiplicity if source.output == "i" else 1.0
    assert ours == pytest.approx(wanted["b"], rel=1e-9)
