"""Our methods as diffrax solvers: the trajectories of `transient`, diffrax's savings, controllers and events, orders,
and derivatives after ten spikes. The neuron itself is in `test_gradients`."""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

from analogsnn.circuit import Circuit
from analogsnn.errors import InputError
from analogsnn.measure import spike_time
from analogsnn.netlist import read_netlist_text
from analogsnn.transient import Rodas4, Rodas5P, circuit_term, initial_state, transient

# A pulse of 2 ns behind a ramp, through 1 kohm into 1 nF
RC = "rc\nV1 a 0 pwl(0 0 1u 1 3u 1 3.0005u 2 3.0025u 2 3.003u 1)\nR1 a b 1k\nC1 b 0 1n\n.tran 10n 5u\n"
# Both end within their own error of the closed form: 1e-6 of a volt a step, over steps that contract
SAME = 4e-6
# Nagumo's cubic and a slow recovery: two states that spike every 4.5 ms, in 40 us
OSCILLATOR = """relaxation oscillator
.param ib=0.5u
Ib 0 v {ib}
B1 v 0 I=1u*(V(v)*V(v)*V(v)/3-V(v)+V(w))
C1 v 0 20p
B2 0 w I=1u*(V(v)+0.7-0.8*V(w))
C2 w 0 2n
.ic v(v)=-1.9 v(w)=1
.tran 1u 60m uic
"""
SPIKE = 10
# Rodas4 at 1e-5 over 45 ms
TIME, EVENT = 1e-6, 2e-3
SUM = 1e-6  # forward and reverse sum the same terms in another order, over thousands of steps


@pytest.fixture(scope="module")
def rc() -> Circuit:
    return Circuit.from_netlist(read_netlist_text(RC))


@pytest.fixture(scope="module")
def oscillator() -> Circuit:
    return Circuit.from_netlist(read_netlist_text(OSCILLATOR))


def test_same_trajectory_and_all_ways_to_save(rc):
    grid = np.linspace(0, 5e-6, 51)
    waves = transient(rc, save_at=grid)
    term, times = circuit_term(rc), jnp.asarray(grid)
    solution = diffrax.diffeqsolve(
        term, Rodas5P(), 0.0, term.t_stop, 1e-12, initial_state(rc), stepsize_controller=term.controller(1e-6),
        saveat=diffrax.SaveAt(
            subs=[
                diffrax.SubSaveAt(ts=times, fn=lambda t, y, args: term.voltage("b", t, y)),
                diffrax.SubSaveAt(ts=times, fn=lambda t, y, args: term.voltage("a", t, y)),
                diffrax.SubSaveAt(steps=True),
            ],
            dense=True,
        ),
        max_steps=1024,
    )  # fmt: skip
    assert solution.ys is not None
    assert solution.ts is not None
    (saved, sources, steps), times = solution.ys, solution.ts[2]
    assert np.asarray(saved) == pytest.approx(waves.voltage("b"), abs=SAME)
    assert np.asarray(sources) == pytest.approx(waves.voltage("a"), abs=1e-9)
    count = int(solution.stats["num_accepted_steps"])
    times, steps = np.asarray(times[:count]), np.asarray(steps[:count, 0])
    early = times < 1e-6  # behind the ramp: (t - tau + tau exp(-t/tau))/1 us, with tau 1 us
    assert steps[early] == pytest.approx(times[early] / 1e-6 - 1 + np.exp(-times[early] / 1e-6), abs=SAME)
    assert float(solution.evaluate(grid[33])[0]) == pytest.approx(waves.voltage("b")[33], abs=SAME)
    # The pulse has been seen: every corner is a step
    assert all(np.abs(times - edge).min() < 1e-18 for edge in (1e-6, 3e-6, 3.0005e-6, 3.0025e-6, 3.003e-6))
    # dy/dt from the interpolant: 1 ohm·A over the resistor, into 1 nF
    late = 4e-6
    slope = (1.0 - solution.evaluate(late)[0]) / 1e3 / 1e-9
    assert float(solution.derivative(late)[0]) == pytest.approx(float(slope), rel=1e-3)


def test_order_with_constant_steps(rc):
    # (the orders of the methods themselves: test_rosenbrock)
    solver = Rodas4()
    # 1 V behind a ramp of 1 us, at 2 us; steps that hit the ramp's end
    term, y0 = circuit_term(rc), initial_state(rc)
    want = 1 - np.exp(-1.0) * (1 - np.exp(-1.0))

    def at_end(steps: int) -> float:
        solution = diffrax.diffeqsolve(term, solver, 0.0, 2e-6, 2e-6 / steps, y0)
        assert solution.ys is not None
        return float(solution.ys[-1, 0])

    errors = [abs(at_end(steps) - want) for steps in (4, 8)]
    assert np.log2(errors[0] / errors[1]) > solver.order(None) - 0.3, errors
    # A step that would jump over an edge is an error, not a wrong number
    with pytest.raises(Exception, match="a step crosses an edge of the sources"):
        at_end(3)


def spike(circuit: Circuit, k: int, **settings) -> float:
    return float(spike_time(transient(circuit, save=["v"], **settings), "v", k, 0.0))


def difference(circuit: Circuit, path: str, k: int) -> float:
    """The derivative of a spike time by central differences of tight runs."""
    value = float(circuit[path])
    late, early = (spike(circuit.replace({path: value * (1 + s)}), k, rtol=1e-9) for s in (1e-3, -1e-3))
    return (late - early) / (2e-3 * value)


def test_event_at_spike_ten_and_its_derivative(oscillator):
    path = "c1.c"
    wanted = spike(oscillator, SPIKE, rtol=1e-9)
    before = wanted - 2e-3  # after spike nine

    def tenth(farads, adjoint):
        circuit = oscillator.replace({path: farads})
        term = circuit_term(circuit)
        event = diffrax.Event(
            lambda t, y, args, **_: jnp.where(t > before, term.voltage("v", t, y), -1.0),
            optimistix.Newton(rtol=1e-10, atol=1e-12), direction=True,
        )  # fmt: skip
        solution = diffrax.diffeqsolve(
            term, Rodas4(), 0.0, term.t_stop, 1e-9, initial_state(circuit), stepsize_controller=term.controller(1e-5),
            event=event, adjoint=adjoint, max_steps=4096,
        )  # fmt: skip
        assert solution.ts is not None
        return solution.ts[-1]

    value = float(oscillator[path])
    time, forward = jax.jvp(lambda c: tenth(c, diffrax.ForwardMode()), (value,), (1.0,))
    assert float(time) == pytest.approx(wanted, abs=TIME)
    assert float(forward) == pytest.approx(difference(oscillator, path, SPIKE), rel=EVENT)
    stored = diffrax.RecursiveCheckpointAdjoint(checkpoints=4096)
    assert float(jax.grad(tenth)(value, stored)) == pytest.approx(float(forward), rel=SUM)


def test_plain_vector_fields():
    # y' = -k y, k closed over and in args: y(T) = exp(-k² T), with derivatives by k, by T and by the start
    def end(k, stop, start):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: {"y": -k * args * y["y"]}), Rodas5P(), start, stop, 0.1,
            {"y": np.ones(2)}, k, stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-8),
            adjoint=diffrax.ForwardMode(),
        )  # fmt: skip
        assert solution.ys is not None
        return solution.ys["y"][-1, 1]

    k, stop, start = 0.7, 2.0, 0.5
    share = (1.0, 0.3, -0.2)  # one direction of all three
    value, slope = jax.jvp(end, (k, stop, start), share)
    want = np.exp(-k * k * (stop - start))
    assert float(value) == pytest.approx(want, rel=1e-6)
    wanted = np.dot([-2 * k * (stop - start) * want, -k * k * want, k * k * want], share)
    assert float(slope) == pytest.approx(wanted, rel=1e-5)


def test_what_is_refused(rc):
    term = circuit_term(rc)
    with pytest.raises(InputError, match="y0 has the shape"):
        diffrax.diffeqsolve(term, Rodas4(), 0.0, 1e-6, 1e-7, np.zeros(2))
    both = diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, args: -y), diffrax.ODETerm(lambda t, y, args: y))
    with pytest.raises(InputError, match=r"Rodas4 solves the term of a circuit .* this is a MultiTerm"):
        diffrax.diffeqsolve(both, Rodas4(), 0.0, 1.0, 0.1, np.ones(1))
    with pytest.raises(InputError, match="the circuit has no node 'x'; there are a, b"):
        term.voltage("x", 0.0, np.zeros(1))
    with pytest.raises(InputError, match="has no capacitance"):
        circuit_term(read_netlist_text("t\nV1 a 0 1\nR1 a b 1k\nR2 b 0 1k\n.tran 1u 1m\n"))
