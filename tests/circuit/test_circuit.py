"""Parameters by path, replacement, cards: what a circuit is made of before anything is solved."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from analogsnn import library
from analogsnn.circuit import Circuit, structure
from analogsnn.devices import capacitances
from analogsnn.errors import InputError, NetlistError, NetlistErrors
from analogsnn.netlist import Device, Evaluator, Netlist, read_netlist_text

EKV = ".include circuits/cards/ekv.lib\n"


def read(text: str) -> Netlist:
    return read_netlist_text("title\n" + text, str(library.root() / "deck.cir"), library.root())


def make(text: str) -> Circuit:
    return Circuit.from_netlist(read(text))


DECK = (
    EKV
    + """
.param iref=1n wide={2*1u} twice={2*wide}
.subckt cell d g w=1u c=1p
.param wp={2*w}
X1 d g 0 0 nfet W={w} L=1u
X2 d g vdd vdd pfet W={wp} L=1u
C1 d 0 {c}
.ends
.global vdd
Vdd vdd 0 1.8
I1 vdd g {iref}
Xd g g 0 0 nfet W=2u L=2u
Xa a g cell w={wide}
Xb b g cell c=2p
.op
"""
)


@pytest.fixture(scope="module")
def circuit() -> Circuit:
    return make(DECK)


def test_paths(circuit):
    values = {
        "param.iref": 1e-9, "i1.dc": 1e-9, "param.wide": 2e-6, "param.twice": 4e-6, "xa.w": 2e-6, "xa.x1.w": 2e-6,
        "xb.w": 1e-6, "xa.c": 1e-12, "xb.c1.c": 2e-12, "xd.w": 2e-6, "xd.dvt": 0.0, "vdd.dc": 1.8,
        "temp": 27.0, "param.ekv_vtn": 0.45, "card.ekv_vtn": 0.45, "XA.X2.W": 4e-6,
    }  # fmt: skip
    assert {path: float(circuit[path]) for path in values} == pytest.approx(values)
    assert set(values) - {"card.ekv_vtn", "XA.X2.W"} <= set(circuit.paths())
    assert set(circuit.parameters) <= set(circuit.paths())
    # Only what nothing else moves is a leaf
    assert "xa.x1.w" not in circuit.parameters
    assert "param.twice" not in circuit.parameters
    assert {"xb.w", "param.wide", "xd.dvt", "temp"} <= set(circuit.parameters)


@pytest.mark.parametrize(
    ("path", "value", "moved"),
    [
        ("param.wide", 3e-6, {"param.twice": 6e-6, "xa.w": 3e-6, "xa.x1.w": 3e-6, "xa.x2.w": 6e-6, "xb.x1.w": 1e-6}),
        ("xa.w", 3e-6, {"param.wide": 2e-6, "xa.x1.w": 3e-6, "xa.x2.w": 6e-6}),
        ("xa.x1.w", 3e-6, {"xa.w": 2e-6, "xa.x2.w": 4e-6}),
        ("param.iref", 2e-9, {"i1.dc": 2e-9}),
        ("card.ekv_vtn", 0.5, {"param.ekv_vtn": 0.5, "param.ekv_vtp": 0.45}),
        ("temp", 85.0, {"temp": 85.0}),
    ],
)
def test_replacing_moves_what_depends_on_it(circuit, path, value, moved):
    other = circuit.replace({path: value})
    assert {p: float(other[p]) for p in moved} == pytest.approx(moved)
    assert other.topology is circuit.topology
    assert float(circuit[path]) != value


def test_the_card_reaches_every_transistor(circuit):
    values = circuit.replace({"card.ekv_vtn": 0.5, "xd.dvt": 0.01}).values()
    names = [fet.name for fet in circuit.topology.fets]
    vt, dvt = (dict(zip(names, array, strict=True)) for array in (values.card["vt"], values.instance["dvt"]))
    assert vt == {"xd": 0.5, "xa.x1": 0.5, "xa.x2": 0.45, "xb.x1": 0.5, "xb.x2": 0.45}
    assert dvt == {"xd": 0.01, "xa.x1": 0.0, "xa.x2": 0.0, "xb.x1": 0.0, "xb.x2": 0.0}


def test_derivatives_add_up_over_what_a_parameter_moves(circuit):
    def area(values):
        instance = circuit.replace(values).values().instance
        return sum(instance["w"] * instance["l"])

    by = jax.grad(area)({"param.wide": 2e-6, "xb.w": 1e-6, "xd.w": 2e-6})
    # x1 and, twice as wide, x2, each 1 um long; the diode alone is 2 um long
    assert {k: float(v) for k, v in by.items()} == pytest.approx({"param.wide": 3e-6, "xb.w": 3e-6, "xd.w": 2e-6})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"xa.x1.v": 1.0}, "the circuit has no parameter 'xa.x1.v'; did you mean"),
        ({"quite.other": 1.0}, r"no parameter 'quite.other'; Circuit.paths\(\) lists them"),
        ({"xa.w": "wide"}, "'xa.w' is given 'wide', which is no real number"),
        ({"xa.w": 1j}, "which is no real number"),
        ({"xa.w": True}, "which is no real number"),
        ({"xa.w": float("nan")}, "'xa.w' is given nan; parameters are finite"),
        ({"xa.w": np.float32("inf")}, "'xa.w' is given inf; parameters are finite"),
        ({"xa.w": np.array([1e-6, 2e-6])}, r"'xa.w' is given an array of shape \(2,\); a parameter is one number"),
    ],
)
def test_replacements_that_cannot_be(circuit, values, message):
    with pytest.raises(InputError, match=message):
        circuit.replace(values)


def test_not_finite_jax_arrays_are_seen_too(circuit):
    with pytest.raises(InputError, match="parameters are finite"):
        circuit.replace({"xa.w": jax.numpy.array(float("nan"))})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"xa.w": 0.0}, "W of XA.X1 is 0. It must be positive"),
        ({"xa.x1.l": -1e-6}, "L of XA.X1 is -1e-06. It must be positive"),
        ({"xd.dbt": -1.0}, "1 [+] dbt of XD is 0. It must be positive"),
        ({"xb.c": -1e-12}, "XB.C1 is -1e-12 F. A capacitance is not negative"),
        ({"card.ekv_nn": 0.9}, "the card of X[DA.X1]+ has ekv_nn=0.9; a slope factor is at least 1"),
        ({"card.ekv_eps": 0.0}, "has ekv_eps=0; it must be positive"),
        ({"card.ekv_thp": -0.1}, "has ekv_thp=-0.1; it must not be negative"),
        ({"temp": -273.15}, "the temperature is -273.15 °C; it must lie above absolute zero"),
    ],
)
def test_values_that_no_circuit_has(circuit, values, message):
    with pytest.raises(InputError, match=message):
        circuit.replace(values).values()


def test_multiples_are_positive():
    with pytest.raises(NetlistError, match=r"m of R1 is 0\. It must be positive"):
        make("V1 a 0 1\nR1 a b 1k m=0\nR2 b 0 1k\n.op\n")
    values = make(EKV + "V1 a 0 1\nR1 a b 1k m=2\nC1 b 0 1p m=3\nI1 a b 1n m=4\nX1 b a 0 0 nfet m=5\n.op\n").values()
    assert values.conductance == pytest.approx([2e-3])
    assert values.capacitance == pytest.approx([3e-12])
    assert list(values.push) == [1.0, 4.0]
    assert values.instance["m"] == pytest.approx([5.0])


# The body of a card


def test_capacitances_are_those_of_the_card_itself(circuit):
    """The capacitance matrix against one made from the card's own C elements, by the deck flattened to the bottom."""
    netlist = read(DECK)
    nodes = circuit.nodes
    wanted = np.zeros((len(nodes) + 1, len(nodes) + 1))
    for element in netlist.elements:
        if element.letter == "c":
            a, b = (nodes.index(n) if n != "0" else len(nodes) for n in element.nodes)
            value = float(element.parameters["c"])
            wanted[a, a] += value
            wanted[b, b] += value
            wanted[a, b] -= value
            wanted[b, a] -= value
    found = np.asarray(structure(circuit.topology, circuit.values()).c)
    assert found == pytest.approx(wanted[:-1, :-1], rel=1e-12, abs=1e-30)
    assert (np.diag(found) > 0).all()


def test_every_transistor_has_its_capacitances():
    netlist = library.read_bench("neuron_with_synapses")
    whole = netlist.flatten({"nfet", "pfet"})
    numbers = Evaluator(overrides={"temp": 27.0})
    for device in whole.elements:
        if isinstance(device, Device):
            polarity = device.definition.name[0]
            keys = ("cox", "cgo", "cjw", "n")
            card = {k: float(netlist.params[f"ekv_{k}{polarity if k == 'n' else ''}"]) for k in keys}
            size = {k: float(numbers.parameter(device, k)) for k in ("w", "l")} | {"m": 1.0}
            body = [e for e in netlist.elements if e.letter == "c" and e.name.startswith(device.name + ".")]
            found = {e.name.rpartition(".")[2][1:]: float(e.parameters["c"]) for e in body}
            assert found == pytest.approx({k: float(v) for k, v in capacitances(card, size).items()}, rel=1e-12)


def card(old: str = "", new: str = "") -> str:
    text = (library.root() / "circuits/cards/ekv.lib").read_text()
    assert old in text
    return text.replace(old, new)


USE = "Vd d 0 1\nVg g 0 0.5\nVs s 0 0.1\nX1 d g s 0 nfet W=2u L=2u\nX2 0 g s d pfet W=2u L=2u\n.op\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Cgs g s {ekv_cgo*W}", "Cgs g s {2*ekv_cgo*W}", "between its terminals gs is 1.2e-15 F, and not 6e-16 F"),
        ("Csb s b {ekv_cjw*W}\n", "", "between its terminals bs is 0 F, and not 1e-15 F"),
        ("Csb s b {ekv_cjw*W}", "Csb s b {ekv_cjw*W}\nRds d s 1g", "it has RDS, and not one B-source alone"),
        ("th2={300.15/(2*ekv_ut)}", "th2={300.15/(2.02*ekv_ut)}", r"its current is .* A, and not"),
        ("thut={ekv_thn*", "thut={2*ekv_thn*", r"its current is .* A, and not"),  # a term that is off in the card
        ("Bd s d I=", "Bd d s I=", r"pfet is not that of .*: at V\(g\)"),
        ("vt0={ekv_vtn+dvt+", "vt0={ekv_vtn+", r"its current is .* A, and not"),  # the shift of a device left out
    ],
)
def test_a_card_with_another_body_is_refused(tmp_path, old, new, message):
    (tmp_path / "mine.lib").write_text(card(old, new))
    deck = f"title\n.include mine.lib\n{USE}"
    netlist = read_netlist_text(deck, str(tmp_path / "deck.cir"), tmp_path)
    with pytest.raises(NetlistError, match=f"mine.lib says '[*] model: ekv', but .*{message}"):
        Circuit.from_netlist(netlist)


def test_a_card_of_other_values_is_taken(tmp_path):
    text = card("ekv_gmn=0 ", "ekv_gmn=0.25 ").replace("ekv_vtn=0.45", "ekv_vtn=0.38")
    (tmp_path / "mine.lib").write_text(text)
    netlist = read_netlist_text(f"title\n.include mine.lib\n{USE}", str(tmp_path / "deck.cir"), tmp_path)
    assert Circuit.from_netlist(netlist)["card.ekv_vtn"] == 0.38


def test_a_card_without_the_comment_is_taken_by_its_elements(tmp_path):
    (tmp_path / "mine.lib").write_text(card("* model: ekv\n", ""))
    netlist = read_netlist_text(f"title\n.include mine.lib\n{USE}", str(tmp_path / "deck.cir"), tmp_path)
    circuit = Circuit.from_netlist(netlist)
    assert not circuit.topology.fets
    assert len(circuit.topology.behavioural) == 2


def test_a_card_that_lacks_a_value(tmp_path):
    (tmp_path / "mine.lib").write_text(card("ekv_cjw=0.5n ", "").replace("{ekv_cjw*W}", "{0.5n*W}"))
    netlist = read_netlist_text(f"title\n.include mine.lib\n{USE}", str(tmp_path / "deck.cir"), tmp_path)
    with pytest.raises(NetlistError, match=r"mine.lib says '\* model: ekv' and has no parameter 'ekv_cjw'. Add .param"):
        Circuit.from_netlist(netlist)


# Topology


def test_equal_topologies_are_equal(circuit):
    assert make(DECK.replace("iref=1n", "iref=3n").replace("W=2u L=2u", "W=5u L=1u")).topology == circuit.topology
    assert make(DECK.replace("Xd g g 0 0", "Xd g g 0 vdd")).topology != circuit.topology
    assert make(DECK.replace("Vdd vdd 0 1.8", "Vdd vdd 0 pulse(0 1.8)")).topology == circuit.topology  # a line as well
    assert make(DECK.replace("Vdd vdd 0 1.8", "Vdd vdd 0 sin(0 1.8 1k)")).topology != circuit.topology


def test_every_problem_is_told_at_once():
    with pytest.raises(NetlistErrors) as caught:
        make("V1 a 0 1\nL1 a b 1m\nR1 b 0 1k\nF1 b 0 V1 2\nD1 b 0 dx\n.model dx d\n.op\n")
    assert [p.line for p in caught.value.problems] == [3, 5, 6]


def test_elimination_order_inverts_what_a_dense_solver_inverts():
    from analogsnn.transient._elimination import factor

    circuit = Circuit.from_netlist(library.read_bench("neuron_with_synapses"))
    touching = circuit.topology.touching
    rng = np.random.default_rng(1)
    matrix = np.where(touching, rng.normal(size=touching.shape), 0.0) + 30 * np.eye(len(touching))
    b = rng.normal(size=len(touching))
    found = np.asarray(factor(circuit.topology.levels, jax.numpy.asarray(matrix))(b))
    assert found == pytest.approx(np.linalg.solve(matrix, b), rel=1e-10)
    assert sum(circuit.topology.levels) == len(circuit.topology.states)
    assert len(circuit.topology.levels) > 1


def test_a_netlist_with_other_sizes_is_a_circuit():
    """The check of the card's body is one of the sizes that were given, not of those that the deck had."""
    netlist = library.read_bench("dpi_synapse").replace({"x1.xsyn.w": 5e-6, "x1.xsyn.dvt": 1e-3})
    circuit = Circuit.from_netlist(netlist)
    assert (circuit["x1.xsyn.w"], circuit["x1.xsyn.dvt"], circuit["x1.xtau.w"]) == (5e-6, 1e-3, 2e-6)
