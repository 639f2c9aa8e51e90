"""Plain differentiation of a run, step by step: finite, and wrong after a few spikes. For comparison alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit, build_inputs, extended, segment
from ..netlist import Netlist
from ._elimination import factor
from ._field import linearisation, stage_rate
from ._loop import equation
from ._plan import step_segments
from ._replay import moved_edge
from ._rosenbrock import rosenbrock_step
from ._start import start_with_derivative
from ._transient import make_plan, solved


class PlainTangents(NamedTuple):
    """A run at its start and after every step: `time [point]` in s, `states [point, state]` in V, their `rates` in V/s,
    and `tangents`, their derivatives at fixed times by a parameter, per its unit."""

    time: np.ndarray
    states: np.ndarray
    rates: np.ndarray
    tangents: np.ndarray


def plain_tangents(
    circuit: Circuit | Netlist, path: str, t_stop: float | None = None, *, accuracy: str = "reference",
    rtol: float | None = None,
) -> PlainTangents:  # fmt: skip
    """The derivatives of all states by one parameter, as automatic differentiation of the solver's steps gives them.

    They are wrong through spikes (docs/gradients.md); derivatives that are right are those of `transient`.

    **Arguments**: as of `transient`; `path`: of the parameter, as in `Circuit.parameters`.

    **Raises** as `transient` does, and `InputError` for a path that does not exist.
    """
    if isinstance(circuit, Netlist):
        circuit = Circuit.from_netlist(circuit)
    plan = make_plan(circuit, t_stop, accuracy=accuracy, rtol=rtol, save_at=None, save=None, max_steps=5_000_000)
    run = solved(circuit, plan, with_states=True)
    t0, h = np.asarray(run.rows[:, 0]), np.asarray(run.rows[:, 1])
    index = step_segments(run.inputs, t0)
    previous = index[np.maximum(np.arange(len(index)) - 1, 0)]
    topology, tableau = circuit.topology, plan.tableau

    def states(value: Any) -> tuple[Any, Any]:
        here = circuit.replace({path: value})
        values = here.values()
        parts = equation(topology, extended(values), values)
        inputs = jax.tree.map(jnp.asarray, build_inputs(topology, here.numbers(), plan.tran.step, plan.stop))

        def one(y: Any, given: Any) -> tuple[Any, Any]:
            t, h, k, last = given
            line = segment(inputs, k)
            y = y + moved_edge(parts, inputs, line, last, t)
            first, rate = linearisation(topology, parts, line, t, y)[:3], stage_rate(topology, parts, line, t)
            done = rosenbrock_step(tableau, y, h, parts.mass, first, rate, lambda m: factor(topology.levels, m)).y1
            return done, (done, parts.inverse_mass @ rate(h, done))

        y0 = start_with_derivative(here, plan.tran, plan.stop, run.x0)
        begin = parts.inverse_mass @ stage_rate(topology, parts, segment(inputs, index[0]), 0.0)(0.0, y0)
        y, f = jax.lax.scan(one, y0, (t0, h, index, previous))[1]
        return jnp.concatenate([y0[None], y]), jnp.concatenate([begin[None], f])

    value = float(circuit[path])
    (y, f), (d_y, _) = jax.jit(lambda v: jax.jvp(states, (v,), (1.0,)))(value)
    return PlainTangents(np.append(t0, t0[-1] + h[-1]), *map(np.asarray, (y, f, d_y)))
