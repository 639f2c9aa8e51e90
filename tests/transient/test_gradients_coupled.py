"""Derivatives through spikes of several neurons and of driven ones, against recorded differences of a tight run.

Errors are relative to the largest derivative of a spike time of any of the circuit's neurons by the same parameter.
Which test holds which of the project's promises is listed in docs/gradients.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.circuit import Circuit
from analogsnn.errors import ConvergenceError, InputError
from analogsnn.measure import spike_time
from analogsnn.transient import transient

from .coupled import read
from .record_coupled import CASES, FILE

RECORDED = json.loads(FILE.read_text(encoding="utf-8"))
# What the project promises; the measured values are in docs/gradients.md.
PAIR = 1e-3
RESTING = 5e-4  # 8e-3 where slow states are held to microvolts alone
RING = DRIVEN = 2e-3
SYNCHRONISED = 2e-3  # 8.4e-4 was measured: they spike 10 to 30 µs apart
TIGHTER = 2e-4  # the same at a relative tolerance of 1e-8
RIVALS = 1e-3  # 2.4e-4 was measured: the last spikes of a neuron that is about to be silent
SLOPES = 1e-4


def found(
    circuit: Circuit, stop: float, nodes: Sequence[str], paths: Sequence[str], spikes: Sequence[int],
    threshold: float | None = None, **settings,
) -> dict[str, np.ndarray]:  # fmt: skip
    """d (spike time)/d path, `[path][node, spike]`, in forward mode."""

    def times(values):
        waves = transient(circuit.replace(values), stop, save=list(nodes), **settings)
        return jnp.stack([jnp.stack([spike_time(waves, node, k, threshold) for k in spikes]) for node in nodes])

    slopes = jax.jacfwd(times)({path: float(circuit[path]) for path in paths})
    return {path: np.asarray(slope) for path, slope in slopes.items()}


def wanted(name: str, path: str, spikes: Sequence[int]) -> np.ndarray:
    """The recorded differences, extrapolated from a step and half of it, `[node, spike]`."""
    full, half = (
        np.array([[RECORDED[name][path][node][k][spike - 1] for spike in spikes] for node in CASES[name].nodes])
        for k in (0, 1)
    )
    return (4 * half - full) / 3


def errors(name: str, spikes: Sequence[int], paths: Sequence[str] | None = None, **settings) -> dict[str, np.ndarray]:
    """By parameter, `[node, spike]`."""
    case = CASES[name]
    slopes = found(case.circuit, case.stop, case.nodes, paths or case.paths, spikes, case.threshold, **settings)
    right = {path: wanted(name, path, spikes) for path in slopes}
    return {path: (slope - right[path]) / np.abs(right[path]).max() for path, slope in slopes.items()}


def worst(name: str, spikes: Sequence[int], paths: Sequence[str] | None = None, **settings) -> float:
    """The largest of all errors."""
    return float(np.max([np.abs(error) for error in errors(name, spikes, paths, **settings).values()]))


@pytest.mark.long
def test_coupled_pair():
    assert worst("pair", (10, 14)) < PAIR


@pytest.mark.validate_long
def test_two_that_rest_and_share_biases():
    # A switch of the adaptation that closes within one step of 8 µs was wrong by a third of a per cent.
    assert worst("resting", (1, 2, 3)) < RESTING


@pytest.mark.validate_long
@pytest.mark.parametrize("name", ["three", "five"])
def test_rings(name):
    assert worst(name, (10, 12)) < RING


@pytest.mark.long
def test_pulses_with_ramps_into_a_synapse():
    assert worst("driven", (10, 15)) < DRIVEN


def test_a_winner_takes_all_over_slopes():
    assert worst("winner", (1, 10)) < SLOPES


@pytest.mark.validate_long
def test_neurons_that_inhibit_each_other():
    assert worst("rivals", (5, 8)) < RIVALS


@pytest.mark.validate_long
def test_cells_that_spike_together_and_the_tighter_solver():
    assert worst("synchronised", (5, 13)) < SYNCHRONISED
    assert worst("synchronised", (5, 13), ("xn1.cm",), rtol=1e-8) < TIGHTER


OSCILLATORS = """\
two ring oscillators of three inverters, with nothing in common but their supply
.include circuits/cards/ekv.lib
.include circuits/inverter.cir
Vdd vdd 0 1.8
.subckt oscillator a vdd C=5f
X1 a b vdd 0 inverter
X2 b c vdd 0 inverter
X3 c a vdd 0 inverter
Ca a 0 {C}
Cb b 0 {C}
Cc c 0 {C}
.ends
X1 p vdd oscillator C=5f
X2 q vdd oscillator C=5.2f
.ic v(p)=0 v(x1.b)=1.8 v(q)=0 v(x2.b)=1.8
.tran 1p 7n
"""


def test_overlapping_edges_of_circuits_that_share_nothing():
    circuit = read(OSCILLATORS)
    spikes = (1, 15)

    def own(c):
        waves = transient(circuit.replace({"x1.c": c}), save=["p", "q"], rtol=1e-9)
        return np.array([float(spike_time(waves, "p", k)) for k in spikes])

    slope = found(circuit, 7e-9, ("p", "q"), ("x1.c",), spikes)["x1.c"]
    assert np.all(slope[1] == 0.0)
    step = 1e-4 * 5e-15
    difference = (own(5e-15 + step) - own(5e-15 - step)) / (2 * step)
    assert slope[0] == pytest.approx(difference, rel=PAIR)  # measured: 2e-4


# What has no derivative, or none to be trusted

PULSE = "rc\nV1 a 0 pulse(0 1 0 1n 1n 1u 1)\nR1 a b 1k\nC1 b 0 1n\n.tran 10n 4u\n"
PEAK = 1 - math.exp(-1.0005)  # of the node behind the resistor, after a pulse of 1 µs with a rise time of 1 ns


@pytest.fixture(scope="module")
def pulse() -> Circuit:
    return read(PULSE)


def slope_at(circuit: Circuit, threshold: float, k: int = 1, **settings) -> float:
    return float(
        jax.grad(lambda r: spike_time(transient(circuit.replace({"r1.r": r}), **settings), "b", k, threshold))(1e3)
    )


def test_a_spike_that_grazes_its_threshold_has_no_derivative(pulse):
    with pytest.raises(InputError, match=r"v\(b\) grazes the threshold: it goes .* µV beyond it only"):
        slope_at(pulse, PEAK - 5e-4)
    # t = -R C ln(1 - v), after half the rise time; between the solver's own points, 17 ns apart here, straight lines
    # bend the derivative by 0.25 %, on a fine grid it is exact.
    grid = np.linspace(0.0, 4e-6, 40_001)
    assert slope_at(pulse, 0.5, save_at=grid) == pytest.approx(1e-9 * math.log(2), rel=1e-5)


def test_a_pulse_that_begins_with_the_run(pulse):
    # All that follows comes as much later as the edge at time zero; the run itself still starts where the pulse did.
    def first(td):
        return spike_time(transient(pulse.replace({"v1.td": td})), "b", 1, 0.5)

    assert float(jax.grad(first)(0.0)) == pytest.approx(1.0, rel=1e-4)  # 1001 where it started on the ramp


def test_a_spike_that_does_not_happen_is_an_error_with_derivatives_too(pulse):
    with pytest.raises(InputError, match=r"v\(b\) has one spike at the threshold 500 mV .* but spike 2 is asked for"):
        slope_at(pulse, 0.5, 2)


def test_derivatives_of_a_run_that_failed_are_an_error():
    circuit = read("t\nV1 a 0 0.2\nR1 a b 1k\nC1 b 0 1n\nB1 0 b I=1u*exp(V(b)*50)\n.ic v(b)=0.5\n.tran 1u 1m\n")
    with pytest.raises(ConvergenceError, match="the step shrank to nothing at node 'b'"):
        slope_at(circuit, 0.6)
