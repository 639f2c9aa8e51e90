"""Operating points and sweeps: closed form, ngspice, start values, large circuits."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn import library, ngspice
from analogsnn.circuit import Circuit
from analogsnn.errors import ConvergenceError, InputError
from analogsnn.netlist import Netlist, read_netlist_text
from analogsnn.transient import dc, operating_point, transient

EKV = ".include circuits/cards/ekv.lib\n"
# ngspice at reltol 1e-8: its Newton stops there; ours stops when nothing moves by 0.1 nV
TIGHT = {"reltol": 1e-8, "abstol": 1e-20, "vntol": 1e-12, "gmin": 1e-20}


def read(text: str) -> Netlist:
    return read_netlist_text("title\n" + text, str(library.root() / "deck.cir"), library.root())


def compare(ours, wanted, volts: float = 1e-7, relative: float = 1e-5, floor: float = 1e-16) -> None:
    assert ours.time == pytest.approx(wanted.time, rel=1e-9, abs=1e-15)
    for node in wanted.nodes:
        assert ours.voltage(node) == pytest.approx(wanted.voltage(node), abs=volts), node
    for branch in wanted.branches:
        assert ours.current(branch) == pytest.approx(wanted.current(branch), rel=relative, abs=floor), branch


MIRROR = (
    EKV
    + """.param iref=1n
Vdd vdd 0 1.8
Vo out 0 0.9
I1 vdd g {iref}
R1 out drop 1k
Xd g g 0 0 nfet W=2u L=2u
Xo drop g 0 0 nfet W=8u L=2u
Xp out g vdd vdd pfet W=1u L=1u
"""
)


def test_sweep_of_a_source():
    netlist = read(MIRROR + ".dc Vo 0 1.8 0.3\n")
    waves = dc(netlist)
    assert waves.variable == "vo"
    compare(waves, ngspice.dc(netlist, options=TIGHT))


def test_sweep_of_temperature_resistor_and_current():
    for line in (".dc temp -20 100 40", ".dc R1 1k 1meg 400k", ".dc I1 1p 1.001n 0.5n"):
        netlist = read(MIRROR + line + "\n")
        compare(dc(netlist), ngspice.dc(netlist, options=TIGHT))


def test_nested_sweeps():
    # The outer source has a waveform and no dc value of its own
    deck = MIRROR.replace("Vdd vdd 0 1.8", "Vdd vdd 0 pulse(1.8 1 1u)")
    netlist = read(deck + ".dc Vo 0 1.8 0.6 Vdd 1.2 1.8 0.3\n")
    waves = dc(netlist)
    assert len(waves.time) == 12
    compare(waves, ngspice.dc(netlist, options=TIGHT))
    netlist = read(deck + ".dc temp 0 80 40 Vo 0.2 1.2 1\n")
    waves = dc(netlist)
    assert (waves.variable, list(waves.time)) == ("temp", [0.0, 40.0, 80.0] * 2)
    for outer in (0, 1):
        alone = dc(read(deck.replace("Vo out 0 0.9", f"Vo out 0 {(0.2, 1.2)[outer]}") + ".dc temp 0 80 40\n"))
        assert waves.current("vo")[3 * outer : 3 * outer + 3] == pytest.approx(alone.current("vo"), rel=1e-9)


def test_sources_count_by_their_dc_value():
    # .op takes dc=, a transient run the waveform's start (ngspice does the same)
    deck = (
        "t\nV1 a 0 dc 2 pulse(1 5 1u)\nV2 b 0 sin(0.5 1 1k 0 0 90)\nR1 a c 1k\nR2 b c 1k\nC1 c 0 1n\n.tran 1u 2u\n.op\n"
    )
    netlist = read_netlist_text(deck)
    ours, wanted = operating_point(netlist), ngspice.operating_point(netlist)
    assert ours.voltage("c")[0] == pytest.approx(wanted.voltage("c")[0], rel=1e-9)
    assert ours.voltage("c")[0] == pytest.approx((2.0 + 1.5) / 2)
    assert transient(netlist, save_at=[0.0]).voltage("c")[0] == pytest.approx((1.0 + 1.5) / 2)


LATCH = (
    EKV
    + """Vdd vdd 0 1.8
X1 q nq 0 0 nfet W=1u L=0.5u
X2 q nq vdd vdd pfet W=2u L=0.5u
X3 nq q 0 0 nfet W=1u L=0.5u
X4 nq q vdd vdd pfet W=2u L=0.5u
"""
)


@pytest.mark.parametrize(("start", "q"), [(".nodeset v(q)=1.8 v(nq)=0", 1.8), (".nodeset v(q)=0 v(nq)=1.8", 0.0)])
def test_nodeset_chooses_the_state_of_a_latch(start, q):
    point = operating_point(read(LATCH + start + "\n.op\n"))
    assert point.voltage("q")[0] == pytest.approx(q, abs=1e-3)
    assert point.voltage("nq")[0] == pytest.approx(1.8 - q, abs=1e-3)


def test_start_values_are_held_and_then_released():
    deck = LATCH + "R1 q r 1meg\nC1 r 0 1f\n.ic v(q)=0.3\n.tran 1n 50n\n"
    netlist = read(deck)
    waves = transient(netlist)
    # Held at 0.3 V the other inverter stands high, and so the latch falls
    assert waves.voltage("q")[0] == pytest.approx(0.3, abs=1e-12)
    assert waves.voltage("nq")[0] > 1.7
    assert waves.voltage("q")[-1] == pytest.approx(0.0, abs=1e-3)
    wanted = ngspice.transient(netlist, options={"reltol": 1e-6})
    assert waves.voltage("nq")[0] == pytest.approx(wanted.voltage("nq")[0], abs=1e-6)


def test_start_values_with_uic():
    deck = "t\nV1 a 0 1\nR1 a b 1k\nC1 b 0 1n\nV2 c b 0.5\nC2 c 0 1n\n.ic v(c)=0.7\n.tran 10n 2u uic\n"
    waves = transient(read_netlist_text(deck), save_at=[0.0, 1e-6])
    # c is held at 0.7 V, so b begins 0.5 V below; then 2 nF towards the operating point b = 1 V through 1 kohm
    assert waves.voltage("b") == pytest.approx([0.2, 1 - 0.8 * np.exp(-0.5)], abs=1e-6)


def test_bias_branch():
    """108 states over six decades of current, one point of its sweep, against ngspice."""
    netlist = library.read_bench("bias_branch")
    circuit = Circuit.from_netlist(netlist)
    assert len(circuit.topology.states) == 108
    compare(
        operating_point(circuit),
        ngspice.operating_point(netlist, options=TIGHT),
        volts=1e-6,
        relative=1e-4,
        floor=1e-15,
    )


def test_the_neuron_rests_in_the_middle():
    # docs/circuit.md: without start values the DC solution is the metastable one, on which the neuron never spikes
    netlist = library.read_bench("adexp_neuron")
    point = operating_point(netlist)
    wanted = ngspice.operating_point(netlist, options={"reltol": 1e-8})
    for node in ("vmem", "spk", "x1.vo1"):
        assert point.voltage(node)[0] == pytest.approx(wanted.voltage(node)[0], abs=1e-3), node
    assert 0.3 < point.voltage("vmem")[0] < 1.5


def test_no_operating_point():
    # A current that is real for no voltage
    deck = "t\nV1 a 0 1\nR1 a b 1k\nC1 b 0 1p\nB1 b 0 I=1m*sqrt(-1-V(b)*V(b))\n.op\n"
    with pytest.raises(
        ConvergenceError, match="no operating point was found; the voltage of node 'b' does not"
    ) as caught:
        operating_point(read_netlist_text(deck))
    assert (caught.value.node, caught.value.time) == ("b", 0.0)


def test_what_a_deck_lacks():
    with pytest.raises(InputError, match=r"has no \.dc; add one"):
        dc(read_netlist_text("t\nV1 a 0 1\nR1 a 0 1k\n.op\n"))
