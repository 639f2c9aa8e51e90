"""Any mutated deck is read, or refused with one of our errors, within a second; what is read can be written again."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analogsnn.errors import AnalogSNNError
from analogsnn.netlist import check_netlist, read_netlist_text, write_netlist

from .decks import random_deck

FOLDER = Path(__file__).parents[1] / "bad_inputs"
FULL = """all statements
.param w=2u n={w*1e6+1} iw = '20p'
.func f(x,y) {x*y+1}
.global vdd
.model nch nmos (level=1 vto=0.5 kp={n*1u})
.subckt inv a y wn=1u
.param wp={2*wn}
M1 y a 0 0 nch W={wn} L=0.5u
M2 y a vdd vdd nch W={wp} L=0.5u m=2
.subckt deep p
R1 p 0 {1k*f(2,3)}
.ends deep
X1 y deep
.ends inv
Vdd vdd 0 1.8
Vin in 0 dc 0 PULSE(0 1.8 1m 1u 1u 1m 2m)
Ib vdd out {iw}
Xa in out inv wn=3u
B1 b 0 V= V(in) > 0.9 ? {n}*V(out,b) : pwr(V(out),2) $ comment
E1 e 0 in 0 2
G1 0 e (in,0) 1m ; comment
F1 e 0 Vin {n}
H1 h 0 Vin 1k
Rh h 0 1k tc1=1m
L1 h e 1u
C1 out 0 1p
+ ic=0.5
.ic v(out)=0 v(b)=1
.options reltol=1e-4 method=gear
.temp 27
.tran 1u 1m uic
.dc Vin 0 1.8 0.1
.meas tran t1 when v(out)=0.9 rise=1
.save v(out) i(vdd)
.control
run
.endc
.end
"""
DECKS = [FULL, *(random_deck(seed) for seed in range(1000, 1012)),
         *(path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("d*.cir")))]  # fmt: skip
PIECES = [
    "{", "}", "'", '"', "(", ")", "=", ",", "+", "-", "*", "/", "^", "?", ":", "\n", "\n+", "\n*", " ", "\t", ";", "$ ",
    ".subckt a b", "\n.ends\n", "\n.end\n", ".param x=x", "\nX1 a b c inv\n", "\nV1 a 0 pwl(", "1e999", "1M", "nan",
    "µ", "Ω", "\x00", "\x0b", "\ufeff", "é", "−", "0", "1k", "v(", "i(", "{{{{", "((((((((", "!!!!", "---",
    ".include /etc/passwd", ".lib x y", ".tran 1 2", ".dc v1 0 1 0", ".ic v(", ".model", ".func f(x)=f(x)",
]  # fmt: skip


# s of CPU time: a reader that does not end. A collection of garbage in a large test process takes seconds.
ENDLESS = 30.0
QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(DECKS))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        span = draw(st.integers(0, 12))
        action = draw(st.integers(0, 3))
        if action == 0:
            text = text[:at] + text[at + span :]
        elif action == 1:
            text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
        elif action == 2:
            other = draw(st.integers(0, len(text)))
            text = text[:at] + text[other : other + span * 4] + text[at:]
        else:
            text = text[:at] + draw(st.text(max_size=4)) + text[at + span :]
    return text


@settings(max_examples=400, derandomize=True, deadline=None, suppress_health_check=QUIET)
@given(mutated())
def test_mutated_decks_are_read_or_refused(text: str):
    start = time.process_time()
    netlist, message = None, ""
    try:
        netlist = read_netlist_text(text)
    except AnalogSNNError as error:
        message = str(error)
    assert time.process_time() - start < ENDLESS
    assert netlist is not None or "<text>:" in message
    if netlist is not None:
        written = write_netlist(netlist)
        again = read_netlist_text(written)
        assert len(again.elements) == len(netlist.elements)
        assert write_netlist(again).splitlines()[1:] == written.splitlines()[1:]


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=QUIET)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str):
    with suppress(AnalogSNNError):
        read_netlist_text(text)


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=QUIET)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data: bytes):
    path = tmp_path_factory.getbasetemp() / "bytes.cir"
    path.write_bytes(data)
    check_netlist(path)


def test_the_full_deck_reads():
    netlist = read_netlist_text(FULL)
    assert {element.letter for element in netlist.elements} == set("mrvibegfhlc")
