"""What foundry cards need: binned models inside subcircuits, and mismatch that a switch turns off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analogsnn import library, ngspice
from analogsnn.errors import NetlistErrors
from analogsnn.netlist import Device, read_netlist, read_netlist_text

from .ngspice import run_ngspice

# As in the files of sky130: a subcircuit with bins, draws behind a switch, sizes in metres. Numbers of our own.
CELL = """.subckt {name} d g s b
+ l=1 w=1 nf=1.0 ad=0 as=0 pd=0 ps=0 nrd=0 nrs=0 sa=0 sb=0 sd=0 mult=1
.param shift={{mc_mm_switch*AGAUSS(0,1.0,1)*(3e-9/sqrt(l*w*mult))}}
Mcell d g s b {name}__model l={{l}} w={{w}} nf={{nf}} ad={{ad}} as={{as}}
.model {name}__model.0 {kind} lmin=1e-7 lmax=5e-7 wmin=1e-7 wmax=1e-4 level=54 version=4.5 vth0={{{sign}0.4+shift}}
.model {name}__model.1 {kind} lmin=5e-7 lmax=1e-4 wmin=1e-7 wmax=1e-4 level=54 version=4.5 vth0={{{sign}0.5+shift}}
.ends {name}
"""
FILES = {"nfet": ("sky130_fd_pr__nfet_01v8", "nmos", ""), "pfet": ("sky130_fd_pr__pfet_01v8", "pmos", "-")}


@pytest.fixture
def stand_in(tmp_path) -> Path:
    """A folder laid out as sky130's, with cells of our own, and the wrapper of the documentation beside it."""
    page = (library.root() / "docs" / "library.md").read_text(encoding="utf-8")
    (wrapper,) = re.findall(r"```spice\n(\* sky130\.lib.*?)```", page, re.DOTALL)
    path = tmp_path / "sky130.lib"
    path.write_text(wrapper)
    for name in re.findall(r"(?m)^\.include (\S+)", wrapper):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        kind = next((k for k in FILES if f"/{k}_01v8/" in name and name.endswith("pm3.spice")), None)
        text = "" if kind is None else CELL.format(name=FILES[kind][0], kind=FILES[kind][1], sign=FILES[kind][2])
        file.write_text("* stand-in\n" + text)
    return path


def test_the_documented_wrapper_is_a_card(stand_in):
    for name in library.benches():
        assert library.read_bench(name, card=str(stand_in)).elements
    netlist = library.read_bench("current_mirror", card=str(stand_in))
    device = next(d for d in netlist.flatten({"nfet"}).elements if isinstance(d, Device))
    assert device.definition.model_kind == "sky130"


def test_it_gives_the_currents_of_ngspice_and_shifts_thresholds(stand_in):
    deck = (
        "t\n.include sky130.lib\nVd d 0 0.9\nVg g 0 0.45\nVu u 0 1.8\nVe e 0 1.3\n"
        "V1 d a 0\nV2 d b 0\nV3 c d 0\nV4 f d 0\n"
        "X1 a g 0 0 nfet W=2u L=2u\nX2 b g 0 0 nfet W=2u L=2u dvt=10m\n"
        "X3 c e u u pfet W=2u L=2u\nX4 f e u u pfet W=2u L=2u dvt=10m\n"
        "V5 d h 0\nX5 h g 0 0 nfet W=2u L=2u dbt=0.1\n.op\n.end\n"
    )
    path = stand_in.with_name("t.cir")
    path.write_text(deck)
    point = ngspice.operating_point(read_netlist(path, path.parent), options={"gmin": 1e-15})
    ours = [float(point.current(f"v{k}")[0]) for k in range(1, 6)]
    flat = deck.replace(".include sky130.lib\n", f".include {stand_in}\n")
    said = run_ngspice(
        flat.replace(".op\n", ".options gmin=1e-15\n"), "op\n" + "\n".join(f"print i(v{k})" for k in range(1, 6))
    )
    theirs = [float(x) for x in re.findall(r"i\(v\d\) = (\S+)", said)]
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert ours[1] < 0.9 * ours[0]  # 10 mV more threshold in weak inversion: a fifth to a third less
    assert ours[3] < 0.9 * ours[2]
    assert ours[4] == pytest.approx(1.1 * ours[0], rel=1e-6)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("agauss(1,0,3)", 1.0),
        ("2+agauss(0,1,3)*0", 2.0),
        ("off*gauss(0,1,3)*5", 0.0),
        ("3*(1+off*(2*aunif(0,1)))", 3.0),
    ],
)
def test_draws_that_do_not_count(value, number):
    netlist = read_netlist_text(f"t\n.param off=0\nV1 a 0 {{{value}}}\nR1 a 0 1k\n.op\n")
    assert netlist.element("v1").parameters["dc"] == number


def test_draws_that_count_are_refused_where_they_stand():
    text = "t\n.param on=1 x={on*agauss(0,1,3)}\nV1 a 0 {x}\nR1 a 0 1k\n.op\n"
    with pytest.raises(NetlistErrors, match=r"<text>:2:19: agauss\(\) draws a random number"):
        read_netlist_text(text)
