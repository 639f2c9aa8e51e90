"""Scopes, whole devices, evaluation with other values and other number types, and writing."""

from __future__ import annotations

import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from analogsnn.errors import NetlistErrors
from analogsnn.netlist import (
    PARAMETER_FUNCTIONS,
    Behavioural,
    Device,
    Evaluator,
    Passive,
    parameter_values,
    read_netlist,
    read_netlist_text,
    write_netlist,
)

from .ngspice import run_ngspice

CARD = """* a card for tests
* model: ekv
.param kp=300u vt0=0.45 cox=8m
.subckt nfet d g s b W=1u L=1u dvt=0 dbt=0
.param beta={kp*(1+dbt)*W/L}
Bd d s I={beta}*max(V(g,b)-{vt0}-{dvt},0)^2*tanh(V(d,s)/0.1)
Cg g b {cox*W*L}
.ends
"""
BENCH = """mirror
.include card.lib
.param iref=10u wout=4u
.subckt mirror in out vss W=2u
X1 in in vss vss nfet W={W} L=1u
X2 out in vss vss nfet W={W*2} L=1u dvt=1m
.ends
Vdd vdd 0 1.8
Iref vdd in {iref}
Xm in out 0 mirror W={wout/2}
Rl vdd out 10k
.op
"""


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    (tmp_path / "card.lib").write_text(CARD)
    (tmp_path / "bench.cir").write_text(BENCH)
    return tmp_path / "bench.cir"


def test_whole_devices(bench: Path):
    netlist = read_netlist(bench, devices={"nfet", "pfet"})
    assert [e.name for e in netlist.elements] == ["vdd", "iref", "xm.x1", "xm.x2", "rl"]
    device = netlist.element("xm.x2")
    assert isinstance(device, Device)
    assert device.nodes == ("out", "in", "0", "0")
    assert device.parameters == {"w": 4e-6, "l": 1e-6, "dvt": 1e-3, "dbt": 0.0}
    definition = device.definition
    assert definition.name == "nfet"
    assert definition.model_kind == "ekv"
    assert definition.card == {"kp": 300e-6, "vt0": 0.45, "cox": 8e-3}
    assert definition.pins == ("d", "g", "s", "b")
    with pytest.raises(ValueError, match="flatten without devices"):
        write_netlist(netlist)
    full = netlist.flatten()
    assert [e.name for e in full.elements if "xm.x2" in e.name] == ["xm.x2.bd", "xm.x2.cg"]
    assert full.flatten({"nfet"}).elements[2].name == "xm.x1"


def test_parameter_paths(bench: Path):
    netlist = read_netlist(bench, devices={"nfet"})
    values = parameter_values(netlist)
    assert values["param.iref"] == values["iref.dc"] == 1e-5
    assert values["xm.w"] == 2e-6
    assert (values["xm.x1.w"], values["xm.x2.w"]) == (2e-6, 4e-6)
    assert values["vdd.dc"] == 1.8
    assert values["rl.r"] == 1e4
    assert values["temp"] == 27.0


def test_overrides_move_what_depends_on_them(bench: Path):
    netlist = read_netlist(bench, devices={"nfet"})
    one, two = netlist.element("xm.x1"), netlist.element("xm.x2")
    moved = Evaluator(overrides={"xm.w": 3e-6})
    assert (moved.parameter(one, "w"), moved.parameter(two, "w")) == (3e-6, 6e-6)
    moved = Evaluator(overrides={"param.wout": 8e-6})
    assert (moved.parameter(one, "w"), moved.parameter(two, "w")) == (4e-6, 8e-6)
    moved = Evaluator(overrides={"xm.x2.w": 1e-6})
    assert (moved.parameter(one, "w"), moved.parameter(two, "w")) == (2e-6, 1e-6)
    # Inside the device, the body's own parameters follow.
    full = netlist.flatten()
    source = full.element("xm.x2.bd")
    assert isinstance(source, Behavioural)
    beta = source.scope.find("beta")
    assert beta is not None
    assert Evaluator(overrides={"param.kp": 1.0, "xm.x2.l": 2e-6}).binding(beta) == pytest.approx(2.0)
    assert Evaluator(overrides={"xm.x2.cg.c": 5.0}).element(full.element("xm.x2.cg")) == {"c": 5.0}


def test_evaluation_with_another_number_type():
    netlist = read_netlist_text("t\n.param a=2 b={a^3+sin(a)}\nV1 n 0 1\nR1 n 0 {b*a}\n")
    resistor = netlist.element("r1")
    functions = dict(PARAMETER_FUNCTIONS) | {"sin": np.sin, "^": lambda x, y: x**y}
    # A complex step: the derivative without a difference.
    step = Evaluator(functions, overrides={"param.a": 2 + 1e-20j}).parameter(resistor, "r")
    assert step.imag / 1e-20 == pytest.approx(4 * 8 + math.sin(2) + 2 * math.cos(2), rel=1e-14)
    lanes = Evaluator(functions, overrides={"param.a": np.array([1.0, 2.0])}).parameter(resistor, "r")
    assert lanes == pytest.approx([1 + math.sin(1), 16 + 2 * math.sin(2)])


SCOPES = {
    "callee sees the caller": (
        ".subckt in a\nR1 a 0 {q}\n.ends\n.subckt out a\n.param q=7\nX1 a in\n.ends\n"
        "X1 a out",
        7,
    ),
    "caller before the top": (
        ".param q=1\n.subckt in a\nR1 a 0 {q}\n.ends\n.subckt out a\n.param q=7\nX1 a in\n.ends\n"
        "X1 a out",
        7,
    ),
    "default of a fellow": (".subckt in a l={2*w} w=3\nR1 a 0 {l}\n.ends\nX1 a in w=5", 10),
    "body before default": (".subckt in a w=3\n.param w=8\nR1 a 0 {w}\n.ends\nX1 a in", 8),
    "given before body": (".subckt in a w=3\n.param w=8\nR1 a 0 {w}\n.ends\nX1 a in w=5", 5),
    "body means outer by its own name": (".param w=3\n.subckt in a\n.param w={w+1}\nR1 a 0 {w}\n.ends\nX1 a in", 4),
    "same name handed on": (
        ".subckt in a w=3\nR1 a 0 {w}\n.ends\n.subckt out a w=9\nX1 a in w=w\n.ends\n"
        "X1 a out w=11",
        11,
    ),
    "given sees its fellows": (".param w=100\n.subckt s a l=1 w=4\nR1 a 0 {l}\n.ends\nX1 a s l={w} w=7", 7),
    "exchange": (".param w=50 l=3\n.subckt s a w=1 l=1\nR1 a 0 {w*1000+l}\n.ends\nX1 a s w={l} l={w}", 3003),
    "circle by declaration": (
        ".param w=9\n.subckt s a l=1 w=1\nR1 a 0 {w*1000+l}\n.ends\n"
        "X1 a s w={w*2} l={w}",
        18009,
    ),
    "top is late": (".param w={l}\n.param l=3\n.subckt s a l=9\nR1 a 0 {w}\n.ends\nX1 a s", 3),
    "function sees the caller": (".param q=1\n.func f(x) {x*q}\n.subckt s a q=5\nR1 a 0 {f(2)}\n.ends\nX1 a s", 10),
    "local definition": (
        ".subckt in a\nR1 a 0 9\n.ends\n.subckt out a\n.subckt in a\nR1 a 0 4\n.ends in\nX1 a in\n"
        ".ends out\nX1 a out",
        4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SCOPES))
def test_scopes_as_ngspice_has_them(name: str):
    text, wanted = SCOPES[name]
    netlist = read_netlist_text(f"t\nI1 0 a 1\n{text}\n")
    resistor = next(e for e in netlist.elements if isinstance(e, Passive))
    assert resistor.parameters["r"] == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("name", sorted(SCOPES))
def test_scopes_in_ngspice(name: str):
    text, wanted = SCOPES[name]
    out = run_ngspice(f"t\nI1 0 a 1\n{text}\n", "op\nprint v(a)")
    assert f"v(a) = {wanted:.4e}"[:12] in out


def test_long_chains_of_parameters():
    chain = "\n".join(f".param p{i}={{p{i + 1}+1}}" for i in range(5000))
    assert read_netlist_text(f"t\n{chain}\n.param p5000=0\nV1 a 0 {{p0}}\nR1 a 0 1\n").params["p0"] == 5000


def test_multiplied_instances():
    netlist = read_netlist_text(
        "t\nV1 a 0 1\n.subckt r2 a\nR1 a 0 1k\nX1 a r1 m=3\n.ends\n.subckt r1 a\nR1 a 0 1k m=5\n.ends\nX1 a r2 m=2\n"
    )
    assert netlist.element("x1.r1").multiplicity == 2
    assert netlist.element("x1.x1.r1").multiplicity == 30


def test_local_models_are_one_per_instance():
    netlist = read_netlist_text(
        "t\nV1 a 0 1\n.subckt s a q=1\n.model rm r rsh={q}\nR1 a 0 rm l=2 w=1\n.ends\nX1 a s q=7\nX2 a s\n"
    )
    assert {name: dict(model.parameters) for name, model in netlist.models.items()} == {
        "x1.rm": {"rsh": 7.0}, "x2.rm": {"rsh": 1.0},
    }  # fmt: skip
    element = netlist.element("x2.r1")
    assert isinstance(element, Passive)
    assert element.model == "x2.rm"


def test_a_netlist_travels_between_processes(bench: Path):
    netlist = read_netlist(bench)
    again = pickle.loads(pickle.dumps(netlist))
    assert write_netlist(again) == write_netlist(netlist)
    assert again.params["wout"].location == netlist.params["wout"].location


def test_written_decks_read_back(bench: Path):
    netlist = read_netlist(bench)
    written = write_netlist(netlist)
    again = read_netlist_text(written)
    assert [(e.name, e.nodes, dict(e.parameters)) for e in again.elements] == [
        (e.name, e.nodes, dict(e.parameters)) for e in netlist.elements
    ]
    assert all(len(line) <= 400 for line in written.splitlines())


def test_a_behavioural_card_in_ngspice(bench: Path):
    netlist = read_netlist(bench)
    written = run_ngspice(write_netlist(netlist), "op\nprint v(in) v(out)")
    original = run_ngspice(BENCH.replace(".include card.lib", CARD), "op\nprint v(in) v(out)")
    found, wanted = (re.findall(r"^v\(\w+\) = (\S+)", out, re.MULTILINE) for out in (written, original))
    assert len(wanted) == 2
    assert [float(v) for v in found] == pytest.approx([float(v) for v in wanted], rel=1e-9)


def test_errors_inside_instances_name_their_line(tmp_path: Path):
    with pytest.raises(NetlistErrors, match="<text>:3:9: parameter 'q' is not defined"):
        read_netlist_text("t\n.subckt s a\nR1 a 0 {q*2}\n.ends\nV1 a 0 1\nX1 a s\nX2 a s\n")
