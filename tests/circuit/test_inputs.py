"""The table of the sources against the reader's own waveforms, which tests/netlist compares with ngspice."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.circuit import Circuit, at_time, build_inputs
from analogsnn.circuit import segment as segment_of
from analogsnn.circuit._inputs import JUMP, LEAST_EDGES
from analogsnn.errors import NetlistError
from analogsnn.netlist import IndependentSource, Pulse, read_netlist_text, resolve_waveform

STEP, STOP = 1e-6, 60e-6
WAVEFORMS = [
    "pulse(0 1)", "pulse(0 1 1u)", "pulse(0 1 2u 0 0 5u 20u)", "pulse(0.2 1.8 2u 1u 3u 5u 20u)", "pulse(1 0 0 1u)",
    "pulse(0 1 2u 1u 1u 5u 20u 2)", "pulse(0 1 -2u 1u 1u 5u 10u 3)", "pulse(0 1 2u 1u 1u 0 0)",
    "pulse(0 1 2u 1u 1u 20u 7u)",
    "pulse(0 1 2u 1u 10u 2u 7u)", "pulse(0 1 2u 9u 1u 2u 7u)", "pulse(0 1 100u)", "pulse(0 1 0 0.2n 0.2n 0.1n 13u)",
    "pwl(0 0 10u 1 20u 0.5)", "pwl(5u 1 10u 2)", "pwl(0 0 10u 1 20u 0.5) r=0", "pwl(0 0 10u 1 20u 0.5) r=10u td=3u",
    "pwl(0 0 10u 1) td=12u", "pwl(0 0 10u 1 20u 0) r=0 td=-5u", "pwl(0 0 10u 0 10u 1 10u 0.5 40u 0)", "pwl(3u 0.7)",
    "pwl(0 0 100u 1)", "sin(0 1)", "sin(0.5 1 50k)", "sin(0.5 1 50k 7u 1e4)", "sin(0 1 0 5u)", "sin(0 1 50k 5u 0 90)",
    "exp(0 1)", "exp(0 1 2u 3u)", "exp(0 1 2u 3u 20u 5u)", "exp(1 0.2 0 0 0 0)", "am(1 2 20k 200k)",
    "am(1 2 20k 200k 10u)",
    "sffm(0.1 1 100k 2 20k)", "sffm(0 1 100k)", "0.7", "dc 0.7 pulse(0 1 1u)", "dc 0",
]  # fmt: skip
# Lines through corners and sums of sines, in 64 bit; times of 60 us are known to 1e-20 s, slopes reach 1e10 V/s.
CLOSE = 1e-9


@pytest.fixture(scope="module")
def many() -> Circuit:
    """One circuit with all waveforms, each across a resistor."""
    lines = [f"V{i} n{i} 0 {text}\nR{i} n{i} 0 1k" for i, text in enumerate(WAVEFORMS)]
    return Circuit.from_netlist(read_netlist_text("\n".join(["all", *lines, ".op", ""])))


@pytest.fixture(scope="module")
def table(many):
    return build_inputs(many.topology, many.numbers(), STEP, STOP)


def wanted(source: IndependentSource, t: float) -> float:
    if not source.waveform:
        return float(source.parameters.get("dc", 0.0))
    return resolve_waveform(source.waveform, source.parameters, STEP, STOP).at(t)


def sampled(many: Circuit, table, times: np.ndarray, segment: np.ndarray):
    values = many.values()
    inputs = jax.tree.map(jnp.asarray, table)
    one = jax.jit(
        jax.vmap(lambda s, t: at_time(many.topology, segment_of(inputs, s), t, values.formula, values.celsius))
    )
    return [np.asarray(x) for x in one(segment, times)]


def test_values_and_slopes_are_those_of_the_waveforms(many, table):
    edges = np.asarray(table.edges)
    count = int(np.argmax(edges == STOP))
    within = np.array([0.1, 0.35, 0.5, 0.75, 0.9])
    segment = np.repeat(np.arange(count), len(within))
    length = np.diff(edges)[:count]
    times = edges[segment] + np.tile(within, count) * length[segment]
    keep = length[segment] > 10 * JUMP  # within the ramp that stands for a jump the waveform has no value to compare
    times, segment = times[keep], segment[keep]
    short = np.flatnonzero(np.diff(edges) <= JUMP)
    u, du, d2u = sampled(many, table, times, segment)
    for column, source in enumerate(many.topology.inputs):
        assert isinstance(source, IndependentSource)
        text = WAVEFORMS[int(source.name[1:])]
        value = np.array([wanted(source, float(t)) for t in times])
        # What follows a jump begins with its end, up to JUMP late: at 1 V/us a millionth of a volt.
        jumps = column < many.topology.linear_inputs and (np.asarray(table.slope)[short, column] != 0).any()
        assert np.abs(u[:, column] - value).max() < (1e-6 if jumps else CLOSE), text
        # A central difference inside the segment; its own error is rounding over the width
        h = 1e-3 * length[segment]
        ahead, behind = (np.array([wanted(source, float(t)) for t in times + s * h]) for s in (1, -1))
        slope = (ahead - behind) / (2 * h)
        limit = 1e-5 * np.abs(slope).max() + 1e-13 / h
        assert (np.abs(du[:, column] - slope) <= limit).all(), text
        curve = (ahead - 2 * value + behind) / h**2
        if source.waveform not in ("sin", "exp", "am", "sffm"):
            assert (d2u[:, column] == 0).all()
        else:
            wrong = np.abs(d2u[:, column] - curve)
            assert (wrong <= 1e-4 * np.abs(curve).max() + 2e-13 / h**2).all(), text


def test_at_an_edge_the_slope_is_that_of_its_segment(many, table):
    # sin(0.5 1 50k 7u 1e4) begins at 7 us: flat before, 2 pi 50k after, and nothing in between
    name = f"v{WAVEFORMS.index('sin(0.5 1 50k 7u 1e4)')}"
    column = [e.name for e in many.topology.inputs].index(name)
    after = int(np.flatnonzero(np.asarray(table.edges) == 7e-6)[0])
    _, du, _ = sampled(many, table, np.full(2, 7e-6), np.array([after - 1, after]))
    assert du[:, column] == pytest.approx([0.0, 2 * np.pi * 50e3], rel=1e-9)


def test_every_corner_is_an_edge(many, table):
    edges = np.asarray(table.edges)
    for source in many.topology.inputs:
        assert isinstance(source, IndependentSource)
        if source.waveform:
            wave = resolve_waveform(source.waveform, source.parameters, STEP, STOP)
            if isinstance(wave, Pulse) and wave.tr + wave.pw + wave.tf > wave.per:
                continue  # its own period ends it, so that some of those corners never come
            for corner in wave.corners(STOP):
                assert np.abs(edges - corner).min() <= JUMP, (source.name, corner)
    assert (np.diff(edges) >= 0).all()
    assert edges[0] == 0.0
    assert edges[-1] == STOP


def build(line: str, stop: float = STOP):
    circuit = Circuit.from_netlist(read_netlist_text(f"one\nV1 a 0 {line}\nR1 a 0 1k\n.op\n"))
    return build_inputs(circuit.topology, circuit.numbers(), STEP, stop)


def test_tables_are_padded_to_few_lengths():
    short, long = build("pulse(0 1 1u 1n 1n 1u)"), build("pulse(0 1 1u 1n 1n 1u 2u)")
    assert len(short.edges) == LEAST_EDGES
    assert len(long.edges) == 128  # 30 pulses of four corners
    assert short.value.shape == (LEAST_EDGES - 1, 1)


def test_a_jump_becomes_a_steep_slope():
    table = build("pwl(0 0 10u 0 10u 1)")
    at = int(np.flatnonzero(np.asarray(table.slope)[:, 0])[0])
    rise = np.asarray(table.edges)[at + 1] - np.asarray(table.edges)[at]
    assert rise <= JUMP
    assert np.asarray(table.slope)[at, 0] * rise == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pulse(0 1 0 -1u)", "a pulse's rise, fall, width and period are not negative"),
        ("pulse(0 1 0 1p 1p 1p 4p)", r"has 6e\+07 edges until 6e-05 s; 4000000 are allowed. Lengthen its period"),
        ("pulse(0 1 0 1u 1u 1u 4u 1.5)", "V1 has 1.5 pulses. Give a whole number"),
        ("pwl(0 0 2u 1 1u 0)", "the times of V1's pwl do not ascend. Sort its points."),
        ("pwl(0 0 2u 1) r=1u", "repeats from r=1e-06 s, which is none of its points"),
        ("pwl(0 0 2u 1) r=2u", "repeats from r=2e-06 s, which is none of its points"),
        ("pwl(0 0 1p 1) r=0", "repeats 59999999 times|repeats 60000000 times"),
    ],
)
def test_what_a_waveform_cannot_be(line, message):
    with pytest.raises(NetlistError, match=message) as caught:
        build(line)
    assert (caught.value.file, caught.value.line) == ("<text>", 2)


def test_values_are_differentiable():
    circuit = Circuit.from_netlist(read_netlist_text("p\nV1 a 0 pulse(0 1 2u 1u 1u 5u 20u)\nR1 a 0 1k\n.op\n"))

    def area(v2, td=2e-6):
        moved = circuit.replace({"v1.v2": v2, "v1.td": td})
        table = build_inputs(moved.topology, moved.numbers(), STEP, STOP)
        edges = jnp.asarray(table.edges)
        late = 2.5e-6 - edges[:-1]
        inside = (late >= 0) & (late < jnp.diff(edges))
        return jnp.sum(jnp.where(inside, table.value[:, 0] + table.slope[:, 0] * late, 0.0))

    # On the first rise at 2.5 us: v = v2 (t - td)/tr
    assert area(1.0) == pytest.approx(0.5)
    assert float(jax.grad(area)(1.0)) == pytest.approx(0.5)
    assert float(jax.grad(area, argnums=1)(1.0, 2e-6)) == pytest.approx(-1e6)
