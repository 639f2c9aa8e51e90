"""Runs over time: closed form, ngspice, edges as step boundaries, points, shared programs, failures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
import pytest

from analogsnn import library, ngspice
from analogsnn.circuit import Circuit
from analogsnn.errors import ConvergenceError, InputError
from analogsnn.measure import spike_times
from analogsnn.netlist import read_netlist_text
from analogsnn.transient import _loop, _transient, transient
from analogsnn.transient._plan import STRAIGHT

RC = "rc\nV1 a 0 pwl(0 0 {rise} 1)\nR1 a b 1k\nC1 b 0 1n\n.tran 10n 5u\n"
TAU = 1e-6
# Error per step of 1e-6 of a volt, over about a hundred steps that contract
REFERENCE, FAST = 2e-6, 2e-4


def circuit(text: str) -> Circuit:
    return Circuit.from_netlist(read_netlist_text(text))


@pytest.fixture(scope="module")
def rc() -> Circuit:
    """1 kohm and 1 nF behind a ramp; every test of it shares one compiled program."""
    return circuit(RC.format(rise="2u"))


def ramp(t: np.ndarray, rise: float) -> np.ndarray:
    """The closed form: u/tau behind a ramp of slope 1/rise, minus the same later."""

    def begun(late):
        late = np.maximum(late, 0.0)
        return (late - TAU * (1 - np.exp(-late / TAU))) / rise

    return begun(t) - begun(t - rise)


@pytest.mark.parametrize(("accuracy", "limit"), [("reference", REFERENCE), ("fast", FAST)])
@pytest.mark.parametrize("rise", [2e-6, 1e-12])
def test_closed_form(rc, accuracy, limit, rise):
    waves = transient(rc.replace({"v1.t1": rise}), accuracy=accuracy)
    assert np.abs(waves.voltage("b") - ramp(waves.time, rise)).max() < limit
    # C dv/dt through the source, with its slope while it rises
    current = -(waves.voltage("a") - waves.voltage("b")) / 1e3
    assert waves.current("v1") == pytest.approx(current, abs=1e-12)
    assert (waves.time[0], waves.time[-1]) == (0.0, 5e-6)
    assert (np.diff(waves.time) > 0).all()
    assert waves.steps is not None
    assert waves.steps < 400
    # Straight lines between the points stay within the promise of the points between steps
    grid = np.linspace(0, 5e-6, 2001)
    lines = np.interp(grid, waves.time, waves.voltage("b"))
    assert np.abs(lines - ramp(grid, rise)).max() < limit + 2 * STRAIGHT


def test_tolerance(rc):
    errors = []
    for rtol in (1e-3, 1e-5, 1e-7):
        waves = transient(rc, rtol=rtol, save_at=np.linspace(0, 5e-6, 101))
        errors.append(float(np.abs(waves.voltage("b") - ramp(waves.time, 2e-6)).max()))
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


def test_times_asked_for_inside_a_compiled_program(rc):
    times = np.linspace(0.0, 5e-6, 11)

    def run(r: Any) -> Any:
        return transient(rc.replace({"r1.r": r}), 5e-6, save=["b"], save_at=times, max_steps=64)

    waves = jax.eval_shape(run, 1e3)
    assert waves.n_valid is None  # all points are valid: none is padding
    assert waves.time.shape == times.shape


def test_save_at(rc):
    grid = np.array([0.0, 1e-9, 0.5e-6, 2e-6, 2e-6, 5e-6])
    waves = transient(rc, save_at=grid)
    assert (waves.time == grid).all()
    assert waves.voltage("b") == pytest.approx(ramp(grid, 2e-6), abs=REFERENCE)
    for bad, message in (([], "at least one"), ([1e-6, 0.0], "ascending"), ([6e-6], "the run spans 0 to 5e-06 s")):
        with pytest.raises(InputError, match=message):
            transient(rc, save_at=bad)


def test_start_of_output():
    waves = transient(read_netlist_text(RC.format(rise="2u").replace("10n 5u", "10n 5u 3u")))
    assert 3e-6 <= waves.time[0] < 3.1e-6
    assert waves.voltage("b") == pytest.approx(ramp(waves.time, 2e-6), abs=REFERENCE)


def test_arguments(rc):
    cases: list[tuple[dict[str, Any], str]] = [
        ({"t_stop": 0.0}, "the stop time is 0 s"),
        ({"t_stop": float("nan")}, "the stop time is nan s"),
        ({"accuracy": "best"}, "the accuracy is 'best'; choose fast or reference"),
        ({"rtol": 0.0}, "the relative tolerance is 0; it must lie between 0 and 1"),
    ]
    for values, message in cases:
        with pytest.raises(InputError, match=message):
            transient(rc, **values)
    with pytest.raises(InputError, match=r"has no \.tran; add one, or give the stop time"):
        transient(circuit("t\nV1 a 0 1\nR1 a b 1k\nC1 b 0 1n\n.op\n"))


def test_progress(rc):
    seen: list[float] = []
    transient(rc, progress=seen.append)
    assert seen[-1] == pytest.approx(5e-6)


# Edges


def test_a_short_pulse_is_not_jumped_over():
    # 0.2 ns within 1 ms: 1 V through 1 kohm into 1 pF for 0.2 ns, with edges of 0.1 ns, then tau = 1 ns
    deck = "t\nV1 a 0 pulse(0 1 500u 0.1n 0.1n 0.1n)\nR1 a b 1k\nC1 b 0 1p\nR2 b 0 1g\n.tran 1u 1m\n"
    waves = transient(read_netlist_text(deck))
    charge = np.trapezoid(waves.voltage("b"), waves.time)
    assert charge == pytest.approx(0.2e-9, rel=1e-4)  # area is conserved by an RC
    assert waves.voltage("b").max() > 0.15
    for edge in (500e-6, 500.0001e-6, 500.0002e-6, 500.0003e-6):
        assert np.abs(waves.time - edge).min() < 1e-15


def test_a_jump_pushes_its_charge():
    # Two equal capacitors divide a jump of 1 V in half
    deck = "t\nV1 a 0 pwl(0 0 1u 0 1u 1)\nC1 a b 1p\nC2 b 0 1p\nR1 b 0 1meg\n.tran 1u 3u\n"
    waves = transient(read_netlist_text(deck), save_at=[0.999e-6, 1.0001e-6, 3e-6])
    assert waves.voltage("b") == pytest.approx([0.0, 0.5, 0.5 * np.exp(-1)], abs=1e-4)


def test_a_short_event_in_a_formula_of_time_is_seen():
    deck = "t\nB1 a 0 V=exp(-((time-5m)/1u)^2)\nR1 a b 1k\nC1 b 0 1n\n.tran 1u 10m\n"
    waves = transient(read_netlist_text(deck), 6e-3)
    assert waves.voltage("a").max() == pytest.approx(1.0, abs=0.02)
    assert np.trapezoid(waves.voltage("b"), waves.time) == pytest.approx(np.sqrt(np.pi) * 1e-6, rel=1e-3)


# Programs


def programs() -> int:
    return cast(Any, _loop.advance)._cache_size()


def test_equal_topologies_share_their_programs(rc):
    transient(rc)
    before = programs()
    other = circuit(RC.format(rise="1u").replace("1k", "2.2k").replace("1n", "3p"))
    transient(other)
    transient(other.replace({"temp": 80.0, "r1.r": 5e3}), 3e-6, rtol=1e-5)
    transient(circuit(RC.format(rise="1u").replace("pwl(0 0 1u 1)", "pulse(0 1 1n 1n 1n 1u 3u)")))
    assert programs() == before


def test_import_loads_no_jax():
    code = "import sys, analogsnn; sys.exit('jax' in sys.modules)"
    folder = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0


# Failures

BLOW = "t\nV1 a 0 0.2\nR1 a b 1k\nC1 b 0 1n\nB1 0 b I=1u*exp(V(b)*50)\n.ic v(b)=0.5\n.tran 1u 1m\n"


def test_a_step_that_shrinks_to_nothing():
    with pytest.raises(ConvergenceError, match="the step shrank to nothing at node 'b'") as caught:
        transient(read_netlist_text(BLOW))
    error = caught.value
    assert error.node == "b"
    assert 0 < error.time < 1e-6
    assert error.waves.time[-1] == pytest.approx(error.time)
    assert np.isfinite(error.waves.voltages).all()
    assert error.waves.voltage("b")[0] == pytest.approx(0.5)


def test_budgets(rc):
    transient(rc)
    before = programs()
    with pytest.raises(ConvergenceError, match="its 10 steps are used up; the last step was set by node 'b'") as caught:
        transient(rc, max_steps=10)
    waves = caught.value.waves
    assert waves.steps == 10
    assert waves.voltage("b") == pytest.approx(ramp(waves.time, 2e-6), abs=REFERENCE)
    assert 0 < waves.time[-1] < 5e-6
    needed = int(transient(rc).steps)
    assert int(transient(rc, max_steps=needed).steps) == needed
    assert programs() == before
    # Of a run of 1e9 steps the first 64 are taken before the clock is looked at
    long = circuit(RC.format(rise="2u").replace("10n 5u", "10n 1 0 1n"))
    with pytest.raises(ConvergenceError, match=r"its 1e-09 s are used up") as caught:
        transient(long, timeout=1e-9)
    assert caught.value.waves.steps == _transient.FIRST_PORTION == 64
    with pytest.raises(InputError, match="max_steps is 0; give at least 1"):
        transient(rc, max_steps=0)


# ngspice

RECORDED = json.loads(Path(__file__).with_name("reference_circuit.json").read_text())


def aligned_rms(
    ours: Circuit, times: np.ndarray, membrane: np.ndarray, spikes: np.ndarray, theirs: np.ndarray
) -> float:
    """RMS difference of the membranes in V, ours read at times that are shifted so that the spikes coincide."""
    anchors = [0.0, 2e-3, *theirs], [0.0, 2e-3, *spikes]  # the input begins at 2 ms in both
    shifted = np.where(times <= theirs[-1], np.interp(times, *anchors), times + spikes[-1] - theirs[-1])
    waves = transient(ours, float(RECORDED["stop"]), save_at=np.clip(shifted, 0.0, RECORDED["stop"]))
    return float(np.sqrt(np.mean((waves.voltage("vmem") - membrane) ** 2)))


@pytest.mark.long
def test_reference_circuit_against_ngspice():
    """The first 30 ms: every spike within 10 us of ngspice at reltol 1e-6, the membranes within 0.1 mV RMS."""
    netlist = library.read_bench("adexp_neuron")
    circuit = Circuit.from_netlist(netlist)
    recorded = np.array(RECORDED["spikes"])
    found = np.asarray(spike_times(transient(circuit, RECORDED["stop"]), "spk"))
    assert len(recorded) >= 5
    assert found == pytest.approx(recorded, abs=10e-6)
    grid = np.linspace(0.0, RECORDED["stop"], len(RECORDED["membrane"]))
    assert aligned_rms(circuit, grid, np.array(RECORDED["membrane"]), found, recorded) < 1e-4
    # The first spike live: what is recorded is what ngspice says of this deck
    gold = ngspice.transient(netlist, 3.7e-3, options=RECORDED["options"])
    assert np.asarray(spike_times(gold, "spk")) == pytest.approx(recorded[:1], abs=1e-8)
