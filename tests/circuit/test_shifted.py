"""Other numbers in a deck and in a circuit: replaced ones cut loose, shifted ones go on following."""

from __future__ import annotations

import jax
import pytest

from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.netlist import read_netlist_text, write_netlist

DECK = """divider
.param r=1k k=2
V1 a 0 {k}
X1 a b half R={r}
R3 b 0 {k*r}
C1 b 0 1p
B1 0 d I=k*v(b)
R4 d 0 1
C4 d 0 1p
.subckt half p q R=1
R1 p q {R}
.ends
.ic v(b)={k}
.tran 1n 1u
.end
"""


def test_replaced_values_follow_through_a_netlist():
    netlist = read_netlist_text(DECK)
    other = netlist.replace({"param.k": 3, "x1.r": 5, "c1.c": 2e-12, "temp": 50})
    found = {f"{e.name}.{key}": float(value) for e in other.elements for key, value in e.parameters.items()}
    assert found["v1.dc"] == 3
    assert found["x1.r1.r"] == 5  # cut loose from the parameter r
    assert found["r3.r"] == 3000
    assert found["c1.c"] == 2e-12
    assert float(other.ic["b"]) == 3
    text = write_netlist(other)
    assert "i=3.0*v(b)" in text
    assert ".temp 50.0" in text
    # Flattened again, and as a circuit, it is still the same; and the first one has not changed.
    assert write_netlist(other.flatten()) == text
    circuit = Circuit.from_netlist(other)
    assert (circuit["x1.r"], circuit["r3.r"], circuit["c1.c"], circuit["temp"]) == (5, 3000, 2e-12, 50)
    assert "i=2.0*v(b)" in write_netlist(netlist)
    assert float(netlist.replace({"r3.r": 7}).replace({"param.k": 9}).element("r3").parameters["r"]) == 7
    with pytest.raises(KeyError, match=r"no parameter 'param.kk'"):
        netlist.replace({"param.kk": 1.0})


def test_shifted_values_go_on_following():
    circuit = Circuit.from_netlist(read_netlist_text(DECK))
    both = circuit.shifted({"param.k": 1.0, "r3.r": 10.0})
    assert both["r3.r"] == 3010.0
    assert both.shifted({"r3.r": 1.0})["r3.r"] == 3011.0
    assert circuit.shifted({"x1.r": 5.0})["x1.r1.r"] == 1005.0

    def value(given):
        return circuit.shifted(given)["r3.r"]

    slopes = jax.grad(value)({"param.k": 0.0, "param.r": 0.0, "r3.r": 0.0})
    assert {path: float(slope) for path, slope in slopes.items()} == {"param.k": 1000.0, "param.r": 2.0, "r3.r": 1.0}


def test_a_whole_transistor_is_shifted_once():
    """Its parameters are names of the card's own body, which have the same paths."""
    circuit = Circuit.from_netlist(library.read_bench("dpi_synapse"))
    path = "xbw.x1.w"
    assert path not in circuit.parameters
    amount = 1e-8
    assert circuit.shifted({path: amount})[path] - circuit[path] == pytest.approx(amount, rel=1e-6)
    index = [fet.name for fet in circuit.topology.fets].index("xbw.x1")
    slope = jax.grad(lambda x: circuit.shifted({path: x}).values().instance["w"][index])(0.0)
    assert float(slope) == 1.0


def test_differentiated_values_are_the_same():
    circuit = Circuit.from_netlist(library.read_bench("dpi_synapse"))
    plain = jax.tree.leaves(circuit.values())
    seen = []

    def look(c):
        seen.extend(jax.tree.leaves(circuit.replace({"x1.c": c, "temp": 27.0 + 0 * c}).values()))
        return c

    jax.jvp(look, (float(circuit["x1.c"]),), (1.0,))
    assert len(seen) == len(plain)
    for got, wanted in zip(seen, plain, strict=True):
        assert jax.numpy.allclose(jax.lax.stop_gradient(got), wanted, rtol=1e-15)
