"""Phase transport itself: what the phases are, and how fast the transported derivative converges.

The structures are those on which a partition of the circuit into blocks, one phase each, goes wrong: a source in
another block than what it drives, a node at rest that is about to follow another one, circuits that share nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.circuit import Pattern, build_inputs, extended, segment
from analogsnn.netlist import transient_analysis
from analogsnn.transient._elimination import factor
from analogsnn.transient._field import linearisation, stage_rate
from analogsnn.transient._loop import equation
from analogsnn.transient._rosenbrock import rosenbrock_step
from analogsnn.transient._start import start_state
from analogsnn.transient._tableaus import RODAS4, RODAS5P
from analogsnn.transient._transport import TIE, _ties, transported_step, whole, without_wiring

from .coupled import read

H, FAST, RATE = 1e-9, 1e6, 1e9  # s, V/s, 1/s: a step in a spike, where nodes follow each other within it
LATE = -3e-7  # s
# Of a phase: the states' own speeds and STILL hold it near zero by less than this.
EXACT = 1e-9


def phases(f: Any, by_y: Any, d_y: Any, by_t: Any = 0.0, pushed: Any = 0.0, weight: float = TIE) -> np.ndarray:
    """Of one step: `[point, state]` numbers, the first at the start, and `[stage, state]` of what the sources do."""
    f, by_y = np.asarray(f, dtype=float), np.asarray(by_y, dtype=float)
    by_t, pushed = (np.broadcast_to(np.asarray(a, dtype=float), f[1:].shape).T[..., None] for a in (by_t, pushed))
    n = f.shape[1]
    every, slopes = Pattern(np.ones((n, n))), np.moveaxis(by_y.reshape(len(f), -1), 0, 1)[..., None]
    felt, tied = _ties(every, np.eye(n), f.T[..., None], slopes, np.array([H]), by_t, np.array([weight]))
    return np.asarray(tied[..., 0] @ (f[0] * np.asarray(d_y) + jnp.sum(felt * pushed, axis=1)[:, 0]))


def following(states: int, *pairs: tuple[int, int]) -> np.ndarray:
    """∂f/∂y at the start and at the end where state i follows state j, for each pair (i, j)."""
    matrix = -RATE * np.eye(states)
    for i, j in pairs:
        matrix[i, j] = RATE
    return np.stack([matrix, matrix])


def test_a_node_at_rest_has_the_phase_of_what_it_is_about_to_follow():
    found = phases([[FAST, 0.0], [FAST, 0.0]], following(2, (1, 0)), [LATE * FAST, 0.0])
    assert found == pytest.approx([LATE, LATE], rel=EXACT)


def test_a_slow_membrane_has_its_phase_when_a_spike_begins():
    # 60 V/s at the start, and 1e9 V/s in a later stage: ties of 1e20 beside 3600, in (V/s)².
    f = [[60.0, 0.0, 0.0], [1e9, 1e9, 1e9]]
    found = phases(f, following(3, (1, 0), (2, 1), (0, 2)), [LATE * 60.0, 0.0, 0.0])
    assert found == pytest.approx([LATE] * 3, rel=1e-5)  # STILL² of three states beside 3600


def test_a_node_that_follows_a_source_has_the_phase_of_its_edges():
    # An edge that comes later by δ does to the velocity what -δ times its derivative by time does.
    by_t = np.array([FAST * RATE, 0.0])
    f = [[0.0, 0.0], [FAST, FAST]]
    edge = phases(f, following(2, (1, 0)), [0.0, 0.0], by_t, LATE * by_t)
    assert edge == pytest.approx([LATE, LATE], rel=EXACT)
    # With an edge that does not move there is no phase, whatever the state has brought with it.
    still = phases(f, following(2, (1, 0)), [1e-3, 1e-3], by_t)
    assert np.all(np.abs(still) < EXACT * 1e-6)


def test_a_node_keeps_to_what_it_follows_and_not_to_what_follows_it_evenly():
    # A synapse (1) behind a transistor (0) that a source opens within the step, and a neuron's input (2), which draws
    # on it evenly and spikes with its neuron (3). Were both counted alike (EVEN = 1), it would have 0.6 of its phase.
    f = [[1e-2 * FAST, FAST, FAST, 1e5 * FAST], [FAST, FAST, FAST, 5e4 * FAST]]
    opened, links = np.array([FAST * RATE, 0.0, 0.0, 0.0]), ((1, 0), (2, 1), (2, 3))
    found = phases(f, following(4, *links), [0.0, 0.0, 0.0, LATE * 1e5 * FAST], opened)
    assert abs(found[1] / LATE) < 0.02


def test_what_shares_nothing_knows_nothing_of_each_other():
    f = [[FAST, 0.3 * FAST, FAST, 0.1 * FAST], [FAST] * 4]
    found = phases(f, following(4, (1, 0), (3, 2)), [0.1, 0.02, 0.0, 0.0])
    assert np.all(found[2:] == 0.0)
    assert np.all(found[:2] != 0.0)


def test_the_order_of_states_does_not_matter():
    random = np.random.default_rng(1)
    f, matrix, d_y = random.normal(size=(3, 5)) * FAST, random.normal(size=(3, 5, 5)) * RATE, random.normal(size=5)
    by_t, pushed = random.normal(size=(2, 2, 5)) * FAST * RATE
    order = random.permutation(5)
    found = phases(f, matrix, d_y, by_t, pushed * 1e-7)
    again = phases(f[:, order], matrix[:, order][:, :, order], d_y[order], by_t[:, order], pushed[:, order] * 1e-7)
    assert again == pytest.approx(found[order], rel=1e-9)


RING = """\
ring oscillator of three inverters
.include circuits/cards/ekv.lib
.include circuits/inverter.cir
Vdd vdd 0 1.8
X1 a b vdd 0 inverter
X2 b c vdd 0 inverter
X3 c a vdd 0 inverter
Ca a 0 5f
Cb b 0 5f
Cc c 0 5f
.ic v(a)=0 v(b)=1.8
.tran 1p 0.5n
"""
# Steps of 4 ps and of half that, about a cycle of the ring. In shorter ones the error of the interpolant shows,
# which is of one order less; here halving the step made the error smaller by 19 (Rodas4) and 95 (Rodas5P).
COARSE = 128


@pytest.mark.validate_long
@pytest.mark.parametrize(("tableau", "order"), [(RODAS4, 4), (RODAS5P, 5)])
def test_the_transported_derivative_converges_with_the_order_of_the_method(tableau, order):
    circuit = read(RING)
    topology = circuit.topology
    tran, stop = transient_analysis(circuit.netlist, None)
    inputs = build_inputs(topology, circuit.numbers(), tran.step, stop)
    line = segment(jax.tree.map(jnp.asarray, inputs), 0)
    start = jnp.asarray(start_state(circuit, tran, stop))

    @partial(jax.jit, static_argnums=(1, 2))
    def slope(count, method, plain):
        """The derivative of the state at the end by a capacitor, with so many equal steps."""
        h = stop / count

        def end(farads):
            values = circuit.replace({"ca.c": farads}).values()
            parts = equation(topology, extended(values), values)
            wiring = jax.tree.map(jax.lax.stop_gradient, parts.currents.wiring)

            def one(k, y):
                if not plain:
                    return transported_step(topology, method)(wiring, without_wiring(parts), line, y, h * k, h).after
                known = whole(without_wiring(parts), wiring)
                first = linearisation(topology, known, line, h * k, y)[:3]
                rate = stage_rate(topology, known, line, h * k)
                return rosenbrock_step(
                    method, y, h, known.mass, first, rate, lambda matrix: factor(topology.levels, matrix)
                ).y1

            return jax.lax.fori_loop(0, count, one, start)

        return jax.jvp(end, (5e-15,), (1e-15,))[1]

    # Plain differentiation converges too: its errors are large where steps are as long as spikes.
    exact = slope(64 * COARSE, RODAS5P, True)
    coarse, fine = (float(jnp.max(jnp.abs(slope(n, tableau, False) - exact))) for n in (COARSE, 2 * COARSE))
    assert fine < coarse / 2 ** (order - 0.5)
