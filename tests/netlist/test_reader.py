"""Statements, files and forms of writing, one by one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from analogsnn.errors import NetlistErrors
from analogsnn.netlist import (
    Behavioural,
    Controlled,
    Dc,
    IndependentSource,
    ModelElement,
    Op,
    Passive,
    Sweep,
    Tran,
    check_netlist,
    read_netlist,
    read_netlist_text,
)


def value(text: str, extra: str = "") -> float:
    """What `R1 a 0 TEXT` makes of a value."""
    return read_netlist_text(f"title\n{extra}\nV1 a 0 1\nR1 a 0 {text}\n").element("r1").parameters["r"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1k", 1e3), ("1K", 1e3), ("1meg", 1e6), ("1MEG", 1e6), ("1Megohm", 1e6), ("1mil", 25.4e-6), ("1m", 1e-3),
        ("1M", 1e-3), ("1u", 1e-6), ("1n", 1e-9), ("1p", 1e-12), ("1f", 1e-15), ("1F", 1e-15), ("1g", 1e9),
        ("1t", 1e12), ("1a", 1.0), ("1x", 1.0),
        ("1ohm", 1.0), ("10uF", 1e-5), ("1e3", 1e3), ("1E-3", 1e-3), ("1e-3k", 1.0),
        ("1d3", 1e3), (".5", 0.5), ("5.", 5.0), ("-5", -5.0), ("+5", 5.0), ("3.3E", 3.3), ("1e3Hz", 1e3),
    ],
)  # fmt: skip
def test_numbers_as_ngspice_reads_them(text: str, number: float):
    assert value(text) == pytest.approx(number, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-2^2", -4), ("2^3^2", 64), ("2**3**2", 64), ("(-2)^3", 8), ("2^-1", 0.5), ("-7%3", -1), ("7\\2", 3),
        ("-7\\2", -3), ("nint(2.5)", 2), ("nint(-2.5)", -2), ("int(-2.7)", -2), ("pow(-2,3)", -8), ("pwr(-2,3)", 8),
        ("log(10)", 2.302585092994046), ("sgn(-3)", -1), ("1>2?3:4>5?6:7", 7), ("!1==0", 1), ("1||0&&0", 1),
        ("ternary_fcn(0,2,3)", 3), ("3>2>1", 0), ("sqr(3)", 9), ("{1+1}*3", 6), ("1<>2", 1), ("--3", 3),
    ],
)  # fmt: skip
def test_expressions_as_ngspice_reads_them(text: str, number: float):
    source = read_netlist_text(f"title\nV1 a 0 {{{text}}}\nR1 a 0 1\n").element("v1")
    assert source.parameters["dc"] == number


def test_elements_and_analyses():
    netlist = read_netlist_text(
        """elements
        .param w=2u
        .MODEL NCH nmos (level=8 version=3.3.0 vth0=0.4)
        V1 In 0 DC 1 AC 1 90 PULSE(0 1.8 1m)
        I1 0 out pwl(0 0 1m {w*1e3}) r=0
        R1 in OUT 1k tc1=1m
        C1 out 0 {w} ic=0.5
        M1 out in 0 gnd nch W={w} L=0.5u m=2 nf=2
        E1 e 0 in out 10
        F1 0 e V1 {2+1}
        B1 b 0 V=time*V(in,out)+I(v1)*temper
        Rb b e 1meg
        .tran 10u 100m 1m 5u uic
        .dc V1 0 1.8 0.1 temp 0 50 10
        .op
        .meas TRAN t1 WHEN v(out)=0.9 rise={1+1}
        .options reltol=1e-4 METHOD=gear noopiter
        .temp 40
        .ic v(out)=0.2 V(in) = {w*1e6}
        .nodeset v(b)=1
        .save v(out) i(v1)
        .end"""
    )
    kinds = {e.name: type(e) for e in netlist.elements}
    assert kinds == {
        "v1": IndependentSource, "i1": IndependentSource, "r1": Passive, "c1": Passive, "m1": ModelElement,
        "e1": Controlled, "f1": Controlled, "b1": Behavioural, "rb": Passive,
    }  # fmt: skip
    assert netlist.element("M1").nodes == ("out", "in", "0", "0")
    assert netlist.element("m1").parameters == {"w": 2e-6, "l": 5e-7, "m": 2, "nf": 2}
    assert netlist.models["nch"].parameters == {"level": 8, "version": "3.3.0", "vth0": 0.4}
    assert netlist.element("v1").parameters == {"dc": 1, "acmag": 1, "acphase": 90, "v1": 0, "v2": 1.8, "td": 1e-3}
    assert netlist.analyses == (
        Tran(1e-5, 0.1, 1e-3, 5e-6, True), Dc((Sweep("v1", 0, 1.8, 0.1), Sweep("temp", 0, 50, 10))), Op(),
    )  # fmt: skip
    measure = netlist.measures[0]
    assert (measure.analysis, measure.name, measure.text) == ("tran", "t1", "when v(out)=0.9 rise=2.0")
    assert netlist.options == {"reltol": 1e-4, "method": "gear", "noopiter": True}
    assert netlist.temperature == 40
    assert netlist.ic == {"out": 0.2, "in": 2.0}
    assert netlist.nodeset == {"b": 1.0}
    assert netlist.saves == ("v(out)", "i(v1)")
    assert netlist.nodes == ("in", "out", "e", "b")


def test_deck_of_a_schematic_editor():
    netlist = read_netlist_text(
        """** sch_path: /home/user/neuron.sch
**.subckt neuron
x1 net1 #net2 VDD GND inv w=2 l=0.15 nf=1 ad='int((nf+1)/2) * w/nf * 0.29'
V1 VDD GND 1.8
Vin net1 GND pwl 0 0 1u 1.8
R/1 #net2 GND 10k m=1
**.ends
**** begin user architecture code
.option scale=1u
.tran 10n 2u
**** end user architecture code
.subckt inv a y vp vn w=1 l=1 nf=1 ad=0
*.iopin a
M1 y a vn vn nmod W={w} L={l} ng={nf} ad={ad}
M2 y a vp vp nmod W={2*w} L={l}
.ends
.model nmod nmos level=1
.GLOBAL GND
.end
"""
    )
    assert netlist.scale == 1e-6
    first = netlist.element("x1.m1")
    assert first.nodes == ("#net2", "net1", "0", "0")
    assert first.parameters == {"w": 2, "l": 0.15, "ng": 1, "ad": 0.58}
    assert netlist.element("r/1").parameters["m"] == 1


def test_comments_and_continuations():
    netlist = read_netlist_text(
        "title\nV1 a 0\n* between\n\n+ 1.5 ; volt\n  + AC 1 $ more\nR1 a 0 1k//tail\n* model: ekv\n"
        "C1 a$x 0 1p\nR2 a$x a 1\n"
    )
    assert netlist.element("v1").parameters == {"dc": 1.5, "acmag": 1}
    assert netlist.element("r1").parameters["r"] == 1e3
    assert "a$x" in netlist.nodes


def test_control_is_skipped():
    netlist = read_netlist_text("title\nR1 a 0 1\nV1 a 0 1\n.op\n.control\nR2 a 0 {{{\nshell rm x\n.endc\n.end\n")
    assert len(netlist.elements) == 2
    assert "never runs scripts" in str(netlist.notes[0])


def test_includes_and_sections(tmp_path: Path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "bench").mkdir()
    (tmp_path / "lib" / "part.inc").write_text(".param cap = 2p\n")
    (tmp_path / "lib" / "my models.lib").write_text(
        "* corners\n.lib TT\n.include 'part.inc'\n.param res=1k\n.endl TT\n.lib ff\n.param res=2k\n.endl\n"
    )
    deck = tmp_path / "bench" / "deck.cir"
    deck.write_text('title\n.lib "../lib/my models.lib" tt\nV1 a 0 1\nR1 a 0 {res}\nC1 a 0 {cap}\n.op\n')
    netlist = read_netlist(deck)
    assert (netlist.params["res"], netlist.params["cap"]) == (1e3, 2e-12)
    assert [Path(file).name for file in netlist.files] == ["deck.cir", "my models.lib", "part.inc"]
    assert netlist.params["cap"].location.line == 1
    with pytest.raises(NetlistErrors, match="outside the folder"):
        read_netlist(deck, root=tmp_path / "bench")
    assert read_netlist(deck, root=[tmp_path / "bench", tmp_path / "lib"]).params["res"] == 1e3


def test_report(tmp_path: Path):
    deck = tmp_path / "deck.cir"
    deck.write_text("a divider\nV1 a 0 1\nR1 a b 1k\nR2 b 0 1k\n.print v(b)\n.op\n")
    report = check_netlist(deck)
    assert report.ok
    assert report.title == "a divider"
    assert (report.counts["R"], report.counts["V"], report.counts["nodes"]) == (2, 1, 2)
    assert report.analyses == ("op",)
    assert [note.message for note in report.notes] == ["'.print' is ignored."]


def test_odd_blanks_in_the_title():
    read_netlist_text("R1 a\u2003b \x0b 1k\nV1 a 0 1\nR1 a 0 1\n")


def big_deck(elements: int) -> str:
    lines = ["big", ".param r0=1k c0=1p", ".subckt cell a b w=1u r=1k", "R1 a m {r*2}", "R2 m b {r+1}"]
    lines += ["C1 m 0 {w*1e-6}", ".ends", "V1 n0 0 1"]
    for i in range(elements // 4):
        lines += [f"R{i} n{i} n{i + 1} {i + 1}k", f"C{i} n{i + 1} 0 {{c0*{i + 1}}}"]
    lines += [f"X{i} n{i} n{i + 1} cell w={i + 1}n r={{r0*{i + 1}}}" for i in range(elements // 6)]
    return "\n".join([*lines, ".op", ".end"])


def test_ten_thousand_elements_in_two_seconds():
    deck = big_deck(10_000)
    start = time.process_time()
    netlist = read_netlist_text(deck)
    assert time.process_time() - start < 2.0
    assert len(netlist.elements) >= 9_990
