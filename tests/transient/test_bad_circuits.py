"""Decks that read and that our engine refuses or cannot finish: one sentence each, and the exit status."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analogsnn import cli, library, simulation
from analogsnn.circuit import Circuit
from analogsnn.errors import AnalogSNNError, ConvergenceError, InputError
from analogsnn.netlist import read_netlist_text
from analogsnn.transient import operating_point, transient

FOLDER = Path(__file__).parents[1] / "bad_inputs" / "circuit"
EXPECTED = tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_sentences(name, monkeypatch):
    monkeypatch.chdir(FOLDER)
    with pytest.raises(AnalogSNNError) as caught:
        simulation.simulate(simulation.read_deck(f"{name}.cir"), "jax")
    error, wanted = caught.value, EXPECTED[name]
    assert str(error).replace(f"{library.root()}/", "") == wanted["said"]
    assert isinstance(error, InputError) == (wanted["status"] == 2)
    assert isinstance(error, InputError) or wanted["status"] == 3


def test_every_file_is_expected():
    assert {path.stem for path in FOLDER.glob("*.cir")} == set(EXPECTED)


@pytest.mark.parametrize("name", ["step_shrinks", "other_body"])
def test_exit_status(name, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(FOLDER)
    monkeypatch.setattr(sys, "argv", ["analogsnn", "simulate", f"{name}.cir", "--json", str(tmp_path / "o.json")])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == EXPECTED[name]["status"]
    said = capsys.readouterr().err
    assert EXPECTED[name]["said"] in said
    assert "Traceback" not in said
    if EXPECTED[name]["status"] == 2:
        assert not (tmp_path / "o.json").exists()
    else:
        error = json.loads((tmp_path / "o.json").read_text())["error"]
        assert error["type"] == "ConvergenceError"
        assert error["message"] == EXPECTED[name]["said"]


def test_an_operating_point_needs_no_capacitance():
    deck = "t\nV1 a 0 1\nR1 a b 1k\nR2 b 0 3k\n.op\n"
    assert operating_point(read_netlist_text(deck)).voltage("b") == pytest.approx([0.75])


def test_a_run_that_stops_before_its_output_begins():
    deck = "t\nV1 a 0 pwl(0 0 2u 1)\nR1 a b 1k\nC1 b 0 1n\n.tran 10n 5u 4u\n"
    with pytest.raises(ConvergenceError, match="used up") as caught:
        transient(read_netlist_text(deck), max_steps=1)
    assert caught.value.waves is not None
    assert len(caught.value.waves.time) > 0


# Any deck that reads gives a result or one of our errors; never NaN, never another exception.

VALUES = [
    "0", "-1", "1", "1k", "-1k", "1p", "1e-30", "1e30", "1e-300", "1e300", "{big}", "{1/3}", "1u", "1n", "-5", "0.5",
]  # fmt: skip
SHAPE = """mutated
.include circuits/cards/ekv.lib
.param big={A} ekv_{K}={B}
V1 in 0 dc {C} pulse({D} {E} {F} {G} {H} {I} {J})
R1 in a {K1}
C1 a 0 {L}
I1 0 a {M}
X1 a b 0 0 nfet W={N} L={O} dvt={P} dbt={Q}
R2 b 0 {R}
C2 b a {S}
B1 a b I={T}*tanh(V(a,b)*{U})
.ic v(a)={V}
.temp {W}
.tran {X} {Y}
"""
SLOTS = ("A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K1", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U", "V",
         "W", "X", "Y")  # fmt: skip
USUAL = {
    "A": "2", "B": "0.45", "C": "1", "D": "0", "E": "1", "F": "1u", "G": "1n", "H": "1n", "I": "1u", "J": "4u",
    "K1": "1k", "L": "1p", "M": "1n", "N": "2u", "O": "2u", "P": "0", "Q": "0", "R": "1k", "S": "1p", "T": "1n",
    "U": "2", "V": "0.5", "W": "27", "X": "0.1u", "Y": "5u",
}  # fmt: skip
KEYS = ["vtn", "nn", "kpn", "ven", "ut", "eps", "cox", "cgo", "phn", "tcvn"]


@st.composite
def with_other_values(draw: st.DrawFn) -> str:
    """The same circuit with up to three of its numbers exchanged, by anything a deck can hold."""
    values = dict(USUAL)
    for slot in draw(st.lists(st.sampled_from(SLOTS), min_size=1, max_size=3)):
        values[slot] = draw(st.sampled_from(VALUES))
    text = SHAPE.replace("{big}", "<big>").replace("{K}", draw(st.sampled_from(KEYS)))
    for slot, value in values.items():
        text = text.replace("{" + slot + "}", value)
    return text.replace("<big>", "{big}")


@st.composite
def with_other_wiring(draw: st.DrawFn) -> str:
    """A few random elements between a few nodes."""
    nodes = st.sampled_from(["0", "a", "b", "c", "d"])
    lines = ["V1 a 0 1", "R0 a b 1k"]
    for i in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from("rcvibegfhlxd"))
        p, q, r, s = (draw(nodes) for _ in range(4))
        value = draw(st.sampled_from(["1", "1k", "1n", "-2", "0.5"]))
        lines.append({
            "r": f"R{i+1} {p} {q} {value}", "c": f"C{i+1} {p} {q} {value}", "v": f"V{i+2} {p} {q} {value}",
            "i": f"I{i+1} {p} {q} {value}", "b": f"B{i+1} {p} {q} V=V({r})*{value}-V({s},{p})",
            "e": f"E{i+1} {p} {q} {r} {s} {value}", "g": f"G{i+1} {p} {q} {r} {s} {value}",
            "f": f"F{i+1} {p} {q} V1 {value}",
            "h": f"H{i+1} {p} {q} V1 {value}", "l": f"L{i+1} {p} {q} {value}",
            "x": f"X{i+1} {p} {q} {r} {s} nfet W=1u L=1u",
            "d": f"B{i+1} {p} {q} I=1m*sqrt(V({r}))/V({s})",
        }[kind])  # fmt: skip
    return "\n".join(["wired", ".include circuits/cards/ekv.lib", *lines, ".op", ""])


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
FEW = settings(derandomize=True, deadline=None, suppress_health_check=QUIET)


def read(text: str):
    return read_netlist_text(text, str(library.root() / "deck.cir"), library.root())


def run_or_refuse(text: str) -> None:
    try:
        circuit = Circuit.from_netlist(read(text))
        waves = transient(circuit, accuracy="fast", max_steps=4096, timeout=2.0)
    except ConvergenceError as error:
        waves = error.waves  # what there is of it is whole, too
    except AnalogSNNError:
        return
    if waves is not None:
        assert np.isfinite(waves.voltages).all()
        assert np.isfinite(waves.currents).all()
        assert (np.diff(waves.time) >= 0).all()


@settings(FEW, max_examples=20)
@given(with_other_values())
def test_any_numbers_give_a_result_or_one_of_our_errors(text):
    run_or_refuse(text)


@pytest.mark.validate_long
@settings(FEW, max_examples=100)
@given(with_other_values())
def test_many_more_numbers_give_a_result_or_one_of_our_errors(text):
    run_or_refuse(text)


@settings(FEW, max_examples=50)
@given(with_other_wiring())
def test_any_wiring_gives_a_result_or_one_of_our_errors(text):
    try:
        circuit = Circuit.from_netlist(read(text))
    except AnalogSNNError:
        return
    try:
        point = operating_point(circuit)
    except AnalogSNNError:
        return
    assert np.isfinite(point.voltages).all()
    assert np.isfinite(point.currents).all()
