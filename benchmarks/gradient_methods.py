"""Other ways to derivatives of spike times, for the comparison of `gradient.py`.

- One phase for all states: our own steps with another rule for the phases.
- Plain differentiation of the same steps.
- diffrax: Kvaerno5 in its own forward mode, and in reverse with its default adjoint. The time of a crossing follows
  from the derivative of the node at the time of the crossing, over the slope there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix

from analogsnn.circuit import Circuit, build_inputs, extended, segment
from analogsnn.netlist import transient_analysis
from analogsnn.transient import _transport, plain_tangents
from analogsnn.transient._field import stage_rate
from analogsnn.transient._loop import equation
from analogsnn.transient._start import start_state

RTOL, ATOL = 1e-6, 1e-7
# diffrax solves for the velocities of a step's stages, so that its root finder's tolerances are of those: 1e-2 V/s is
# a microvolt in a step of 0.1 ms. Where 1e-9 V/s were asked for, no step of more than 1e-14 s was ever solved: the
# rounding of the currents of a stiff node is larger.
NEWTON_RTOL, NEWTON_ATOL = 1e-6, 1e-2
MAX_STEPS = 1 << 16
REVERSED = (1, 3, 10)


def by_plain(circuit: Circuit, path: str, stop: float, node: str, **settings: Any) -> np.ndarray:
    """Derivatives of the spike times of `node` by `path`, `[spike]`, at the ends of steps that cross the threshold."""
    found = plain_tangents(circuit, path, stop, **settings)
    place, level = circuit.topology.state_names.index(node), 0.5 * float(circuit.netlist.supply or 0.0)
    up = np.flatnonzero((found.states[:-1, place] < level) & (found.states[1:, place] >= level)) + 1
    return -found.tangents[up, place] / found.rates[up, place]


def one_phase(pattern: Any, inverse: Any, f: Any, slopes: Any, h: Any, by_t: Any, weight: Any) -> tuple[Any, Any]:
    """One phase for all states, by least squares."""
    tied = 1 / (jnp.sum(f[:, 0] ** 2, axis=0) + _transport.STILL**2)
    return jnp.zeros_like(by_t), jnp.broadcast_to(tied, (len(f), len(f), len(h)))


@contextlib.contextmanager
def phases_by(rule: Callable[..., Any]) -> Iterator[None]:
    """Let another rule choose the phases of the states."""
    kept = _transport._ties
    _transport._ties = rule  # type: ignore[assignment]
    _transport.transported_step.cache_clear()
    jax.clear_caches()
    try:
        yield
    finally:
        _transport._ties = kept
        _transport.transported_step.cache_clear()
        jax.clear_caches()


def by_diffrax(
    circuit: Circuit, path: str, stop: float, node: str, mode: Literal["forward", "checkpointed"]
) -> np.ndarray | None:
    """Derivatives of the spike times of `node` by `path`, `[spike]`, or None when a run does not end.

    In reverse, which takes a pass for each spike, those of `REVERSED` and of the last spike alone; others are NaN.
    """
    tran = transient_analysis(circuit.netlist, stop)[0]
    place = circuit.topology.state_names.index(node)
    start = jnp.asarray(start_state(circuit, tran, stop))
    level = 0.5 * float(circuit.netlist.supply or 0.0)
    edges = np.asarray(build_inputs(circuit.topology, circuit.numbers(), tran.step, stop).edges)
    adjoint = diffrax.ForwardMode() if mode == "forward" else diffrax.RecursiveCheckpointAdjoint()

    def velocity(value: Any) -> Callable[[Any, Any, Any], Any]:
        here = circuit.replace({path: value})
        values = here.values()
        parts = equation(circuit.topology, extended(values), values)
        inputs = jax.tree.map(jnp.asarray, build_inputs(circuit.topology, here.numbers(), tran.step, stop))

        def field(t: Any, y: Any, _: Any) -> Any:
            k = jnp.clip(jnp.searchsorted(jnp.asarray(edges), t, side="right") - 1, 0, len(edges) - 2)
            return parts.inverse_mass @ stage_rate(circuit.topology, parts, segment(inputs, k), t)(0.0, y)

        return field

    def solve(value: Any, save: Any) -> Any:
        controller = diffrax.ClipStepSizeController(
            diffrax.PIDController(rtol=RTOL, atol=ATOL), jump_ts=jnp.asarray(edges[1:-1])
        )
        solver = diffrax.Kvaerno5(root_finder=optimistix.Newton(rtol=NEWTON_RTOL, atol=NEWTON_ATOL))
        return diffrax.diffeqsolve(
            diffrax.ODETerm(velocity(value)), solver, 0.0, stop, 1e-12, start, saveat=save, max_steps=MAX_STEPS,
            stepsize_controller=controller, throw=False, adjoint=adjoint,
        )  # fmt: skip

    point = float(circuit[path])
    found = jax.jit(lambda value: solve(value, diffrax.SaveAt(steps=True)))(point)
    if found.result != diffrax.RESULTS.successful:
        return None
    known = np.isfinite(found.ts)
    t, v = np.asarray(found.ts)[known], np.asarray(found.ys)[known, place]
    rising = np.flatnonzero((v[:-1] < level) & (v[1:] >= level))
    times = jnp.asarray(t[rising] + (level - v[rising]) * (t[rising + 1] - t[rising]) / (v[rising + 1] - v[rising]))

    def there(value: Any) -> tuple[Any, Any]:
        ys = solve(value, diffrax.SaveAt(ts=times)).ys
        return ys[:, place], ys

    if mode == "forward":
        _, moved, ys = jax.jit(lambda value: jax.jvp(there, (value,), (1.0,), has_aux=True))(point)
    else:
        one = jax.jit(lambda value, which: jax.grad(lambda x: jnp.sum(which * there(x)[0]))(value))
        moved = np.full(len(times), np.nan)
        for k in {*(k for k in REVERSED if k <= len(times)), len(times)}:
            moved[k - 1] = one(point, np.eye(len(times))[k - 1])
        ys = jax.jit(there)(point)[1]
    field = velocity(point)
    rate = np.array([np.asarray(field(when, state, None))[place] for when, state in zip(times, ys, strict=True)])
    return -np.asarray(moved) / rate
