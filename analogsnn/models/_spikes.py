"""Spike times of one neuron: continuous phases, each ended by a threshold crossing that is solved for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import ArrayLike

from ..errors import SimulationError
from ._dpi import as_float
from ._neuron import Neuron

Current = ArrayLike | Callable[[jax.Array], ArrayLike]
"""A constant (A), or a function of the time (s)."""

_MAX_STEPS = 16**4
_STRETCH = 1e-3

SUCCESSFUL = 0
TOO_MANY_SPIKES = 1
NOT_SOLVED = 2

_MESSAGES = {
    TOO_MANY_SPIKES: "The neuron spikes more often than max_spikes within the duration; raise max_spikes.",
    NOT_SOLVED: "The membrane equation could not be solved: a parameter or an input is not finite or far out of range.",
}


class SpikeTrain(eqx.Module):
    """Spikes of one neuron: `times` (s, [max_spikes], NaN after the last), their `count`, and how the run ended.

    `result` is 0 for a complete run; `message` says what else it was.
    """

    times: jax.Array
    count: jax.Array
    result: jax.Array

    @property
    def message(self) -> str:
        """The result in words, empty for a complete run; of a batch, the worst."""
        return _MESSAGES.get(int(jnp.max(self.result)), "")


def spike_times(
    neuron: Neuron,
    i_in: Current,
    duration: ArrayLike,
    max_spikes: int = 64,
    *,
    ampa: Current = 0.0,
    nmda: Current = 0.0,
    gaba_a: Current = 0.0,
    gaba_b: Current = 0.0,
    jumps: ArrayLike | None = None,
    tolerance: float | None = None,
    throw: bool = True,
    adjoint: Any = None,
) -> SpikeTrain:
    """The spikes of a neuron that starts at reset, its AHP at rest.

    **Arguments**

    - `i_in`: constant input I_dc (A), or a function of time (s).
    - `duration`: s. `max_spikes`: room for spikes; more of them are an error, never dropped.
    - `ampa`, `nmda` (before its gate), `gaba_a`, `gaba_b`: synaptic currents (A), constants or functions of time.
    - `jumps`: times (s, ascending) where an input is not smooth. A pulse that is not named here may be stepped over.
    - `tolerance`: of a step, relative to the current; 1e-8 in float64, 1e-5 in float32.
    - `throw`: raise when the run is not complete; otherwise see `SpikeTrain.result`.
    - `adjoint`: a diffrax adjoint. The default serves reverse mode (`jax.grad`); `diffrax.ForwardMode()` for `jax.jvp`.

    **Returns** a `SpikeTrain`. Times are differentiable with respect to all currents and parameters in the neuron
    and in the inputs as long as the number of spikes stays. They are not differentiable twice, nor in `jumps`, and a
    function of time that closes over a traced value must be a `jax.tree_util.Partial` or an equinox Module.

    **Raises** `SimulationError` (inside `jit`, the error of `equinox.error_if`) when there are more spikes than
    `max_spikes`, or the equation could not be solved.
    """
    inputs = {"dc": i_in, "ampa": ampa, "nmda": nmda, "gaba_a": gaba_a, "gaba_b": gaba_b}
    inputs = {k: v if callable(v) else as_float(v) for k, v in inputs.items()}
    jumps = None if jumps is None else as_float(jumps)
    times, found, solved = _run(neuron, inputs, as_float(duration), jumps, max_spikes + 1, tolerance, adjoint)
    result = jnp.where(solved, jnp.where(found[-1], TOO_MANY_SPIKES, SUCCESSFUL), NOT_SOLVED)
    train = SpikeTrain(times[:-1], jnp.sum(found[:-1], dtype=jnp.int32), result)
    return _thrown(train) if throw else train


def _thrown(train: SpikeTrain) -> SpikeTrain:
    if not isinstance(train.result, Tracer):
        if train.message:
            raise SimulationError(train.message)
        return train
    times = eqx.error_if(train.times, train.result == TOO_MANY_SPIKES, _MESSAGES[TOO_MANY_SPIKES])
    times = eqx.error_if(times, train.result == NOT_SOLVED, _MESSAGES[NOT_SOLVED])
    return SpikeTrain(times, train.count, train.result)


@eqx.filter_jit
def _run(neuron: Neuron, inputs, duration, jumps, room: int, tolerance, adjoint):
    """Times [room], which of them are spikes [room], and whether all was solved."""
    # Here, because it takes as long to import as all else: a network that is only compiled does without.
    import diffrax
    import optimistix

    dtype = jnp.result_type(*(x for x in jax.tree.leaves((neuron, inputs, duration)) if eqx.is_inexact_array(x)))
    if tolerance is None:
        tolerance = 1e-8 if dtype == jnp.float64 else 1e-5
    # Of the crossing in s, and of u there. In float32 that is below the resolution of u (2e-6 at 20) on purpose: the
    # iterations run out at the crossing, as near as they can get, instead of stopping microseconds before it.
    sharp = 1e-12 if dtype == jnp.float64 else 1e-7
    near = 1e-9 if dtype == jnp.float64 else 1e-4
    u_spike, u_reset = jnp.log(neuron.i_spike).astype(dtype), jnp.log(neuron.i_reset).astype(dtype)
    duration = duration.astype(dtype)

    def derivative(t, u, args):
        neuron, inputs, t_last, u_ahp = args
        currents = {k: v(t) if callable(v) else v for k, v in inputs.items()}
        if neuron.ahp is not None:
            currents["ahp"] = neuron.ahp.current(neuron.ahp.dpi.off(u_ahp, t - t_last))
        # Beyond the spike the feedback of a trial step may explode; nothing up there is part of the solution.
        return neuron.derivative(jnp.minimum(u, u_spike + 1), **currents).astype(dtype)

    def distance(t, y, args, **_):
        return y - u_spike

    # Absolute only: an error of the logarithm is a relative error of the current, whatever its unit.
    controller = diffrax.PIDController(rtol=0, atol=tolerance)
    if jumps is not None:
        controller = diffrax.ClipStepSizeController(controller, jump_ts=jumps.astype(dtype))
    event = diffrax.Event(distance, optimistix.Newton(rtol=sharp, atol=sharp), direction=True)

    def one_spike(carry, _):
        start, u_ahp, solved = carry
        # Once the time is over, a stretch of it is run again and ignored: diffrax's root find gives NaN, in a batch,
        # for a solve of no length.
        over = start >= duration
        begin = jnp.where(over, (1 - _STRETCH) * duration, start)
        args = neuron, inputs, begin, u_ahp
        u_begin = u_reset
        if jumps is not None:
            # Steps move with the start, and the trajectory with them, but for the step that ends at the next edge: it
            # becomes shorter, and its error another one (5e-4 of a derivative by the refractory period). So the times
            # of steps are numbers here; who starts later by δ is at du/dt δ less at a fixed time.
            fixed = jax.lax.stop_gradient(begin)
            u_begin = u_reset - derivative(fixed, u_reset, args) * (begin - fixed)
            begin = fixed
        sol = diffrax.diffeqsolve(
            diffrax.ODETerm(derivative), diffrax.Tsit5(), begin, duration, None, u_begin,
            args=args, event=event, stepsize_controller=controller,
            saveat=diffrax.SaveAt(t1=True), max_steps=_MAX_STEPS, throw=False,
            adjoint=diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        )  # fmt: skip
        assert sol.event_mask is not None
        spiked = sol.event_mask & ~over
        assert sol.ts is not None
        assert isinstance(sol.ys, jax.Array)
        time = sol.ts[-1]
        solved &= jnp.where(
            sol.event_mask, jnp.abs(sol.ys[-1] - u_spike) < near, sol.result == diffrax.RESULTS.successful
        )
        start_next = jnp.where(spiked, time + neuron.t_ref, duration).astype(dtype)
        if neuron.ahp is not None:
            at_spike = neuron.ahp.dpi.off(u_ahp, time - args[2])
            u_ahp = neuron.ahp.spike(at_spike, neuron.t_ref).astype(dtype)
        return (start_next, u_ahp, solved), (jnp.where(spiked, time, jnp.nan), spiked)

    rest = jnp.zeros((), dtype) if neuron.ahp is None else neuron.ahp.dpi.rest.astype(dtype)
    carry = (jnp.zeros((), dtype), rest, jnp.bool_(True))
    (_, _, solved), (times, spiked) = jax.lax.scan(one_spike, carry, None, length=room)
    return times, spiked, solved


def rate(
    neuron: Neuron,
    i_in: Current,
    duration: ArrayLike = 1.0,
    max_spikes: int = 16,
    *,
    settle: ArrayLike = 0.0,
    **options: Any,
) -> jax.Array:
    """Firing rate (Hz): the inverse of the mean interval between the spikes from `settle` (s) to the end.

    The end is `duration` (s) or spike `max_spikes`, whichever is first: a regular neuron needs only a few. Zero when
    fewer than two spikes fall into that time. `options` as of `spike_times`.
    """
    train = spike_times(neuron, i_in, duration, max_spikes, throw=False, **options)
    solved = train.result != NOT_SOLVED
    if not isinstance(solved, Tracer) and not bool(jnp.all(solved)):
        raise SimulationError(_MESSAGES[NOT_SOLVED])
    counted = train.times >= settle
    first = jnp.min(jnp.where(counted, train.times, jnp.inf))
    last = jnp.max(jnp.where(counted, train.times, -jnp.inf))
    intervals = jnp.sum(counted) - 1
    span = jnp.where(intervals > 0, last - first, 1)
    return jnp.where(solved, jnp.maximum(intervals, 0) / span, jnp.nan)


def f_i_curve(
    neuron: Neuron, currents: ArrayLike, duration: ArrayLike = 1.0, max_spikes: int = 16, **options: Any
) -> jax.Array:
    """Rates (Hz, [n]) at the constant inputs `currents` (A, [n]); arguments and errors as of `rate`."""
    rates = jax.vmap(lambda i: rate(neuron, i, duration, max_spikes, **options))(as_float(currents))
    if not isinstance(rates, Tracer) and bool(jnp.any(jnp.isnan(rates))):
        raise SimulationError(_MESSAGES[NOT_SOLVED])
    return rates
