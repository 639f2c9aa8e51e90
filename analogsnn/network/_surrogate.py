r"""Networks in fixed steps with a surrogate derivative of the spikes: for training at any size, in float32.

The step is the one of `simulate` (exact decays, exact on-phase, the membrane's exponential step, refractory periods
that end within a step), on dense matrices. Backwards, three things differ from the truth, and together they are the
surrogate's bias (docs/training.md has its size):

1. a spike $H(u - u_{spk})$ has the derivative $\frac{\beta}{2}\,\Delta u/(1 + \beta|u - u_{spk}|)^2$ (the form of
   Zenke & Ganguli 2018, DOI 10.1162/neco_a_01086), also where there is none, with $\Delta u$ the way of the membrane in
   the step (and $h$/20 ms): a crossing then weighs the same at any step, where without it gradients grow with $1/h$;
2. resets and refractory periods are taken as they fell, and spikes act at the ends of their steps;
3. positive feedback and the NMDA gate do not amplify: $\partial u'/\partial u \le 1$ for every step, so that gradients
   can only grow along loops of synapses.

Networks of few synapses run event by event instead (`_eventwise`), with the same answers. Memory for T steps is that of
about $2\sqrt T$: pieces of $\sqrt T$ steps are computed again on the way back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError
from ._dense import Devices
from ._events import checked
from ._eventwise import Cells, Plan, Wires, advance, density, run, without_derivative
from ._exact import pulsed

SHARPNESS = 1.0  # β, per e-fold of the membrane current
HOLD = 1e-3  # s between questions what a spike would do, in sparse networks


class Stepped(NamedTuple):
    """What a run in steps gives: `traces` [sample, N] filtered spikes, `counts` [N] of spikes, `peak` [N] of u - u_spk.

    All carry surrogate derivatives; of the `peak`, which is that of the steps that did not spike, it is exact.
    """

    traces: jax.Array
    counts: jax.Array
    peak: jax.Array


def stepped(
    devices: Devices,
    inputs: jax.Array,
    dt: float,
    *,
    sharpness: float = SHARPNESS,
    tau: float = 20e-3,
    every: int | None = None,
    start: int = 0,
    checkpoints: bool = True,
    hold: float = HOLD,
) -> Stepped:
    """Run a network over binned inputs; differentiable.

    Matrices (`dense`) are to be used under `jax.vmap` over samples and chips, events (`sparse`) under `jax.lax.map`.

    **Arguments**

    - `inputs`: events in each step, [T, channels]. `dt`: s.
    - `sharpness`: β of the surrogate. `tau`: s, with which each spike decays in `traces`.
    - `every`: steps between samples of `traces`; the last step alone unless given. `start`: first step of the counts.
    - `checkpoints`: False keeps every step for the way back, in more memory and less time.
    - `hold`: s; of `sparse` alone (see `_eventwise`).
    """
    channels = devices.sources - devices.neurons
    if inputs.ndim != 2 or not len(inputs) or inputs.shape[1] != channels:
        raise InputError(f"The inputs have shape {inputs.shape}; give events [step, channel] of {channels} channels.")
    if not dt > 0:
        raise InputError(f"A step of {dt!r} s cannot be taken; it is positive.")
    inputs = jnp.asarray(inputs).astype(devices.weight.dtype)  # where JAX computes with 64 bits, they have those
    if devices.targets is not None:
        return _by_events(devices, inputs, dt, sharpness, tau, every, start, checkpoints, hold)
    d, total = devices, inputs.shape[0]
    every = total if every is None else every
    n, dtype = d.neurons, d.weight.dtype
    k = len(d.names)
    # One product for all types: [S, K · N].
    charge = (d.weight * d.unit[:, None, :]).swapaxes(0, 1).reshape(d.sources, k * n)
    decay, fade = d.decay * dt, float(np.exp(-dt / tau))
    log_gain, floor = jnp.log(d.dpi_gain), jnp.log(d.i0)
    low = floor - log_gain
    ahp_low, ahp_decay = floor - jnp.log(d.ahp_gain), d.ahp_decay * dt
    refractory = jax.lax.stop_gradient(d.t_ref / dt)

    def one(carry, x):
        step, u, rest, m, a, trace, counts, peak = carry
        m = jnp.maximum(m - decay, low)
        i = d.dpi_gain * jnp.exp(m) - d.i0
        ahp = jnp.zeros_like(u)
        if d.adapts:
            a = jnp.maximum(a - ahp_decay, ahp_low)
            ahp = d.ahp_gain * jnp.exp(a) - d.i0
        part = jnp.clip(1 - rest, 0, 1)
        u_new = advance(d, u, i, ahp, part, dt)
        over = u_new - d.u_spike
        spike = _spike(over, density(over, jax.lax.stop_gradient(jnp.abs(u_new - u)), dt, sharpness))
        spiked = jax.lax.stop_gradient(spike) > 0
        left = jax.lax.stop_gradient(part * over / jnp.maximum(u_new - u, 1e-6))  # of the step, after the crossing
        rest = jnp.where(spiked, refractory - left, jnp.maximum(rest - 1, 0))
        q = (jnp.concatenate([spike, x.astype(dtype)]) @ charge).reshape(k, n)
        m = pulsed(m, q)
        if d.adapts:
            a = pulsed(a, spike * d.ahp_charge)
        live = (step < total).astype(dtype)
        trace = trace * jnp.where(step < total, fade, 1) + live * spike * jnp.where(
            spiked, fade ** jnp.clip(left, 0, 1), 1
        )
        counts = counts + live * spike * (step >= start)
        peak = jnp.maximum(peak, jnp.where(spiked | (step >= total), -jnp.inf, over))
        u = jnp.where(spiked, d.u_reset, u_new)
        return (step + 1, u, rest, m, a, trace, counts, peak), trace

    piece = max(1, round(np.sqrt(total))) if checkpoints else total
    pieces = -(-total // piece)
    padded = jnp.concatenate([inputs, jnp.zeros((pieces * piece - total, *inputs.shape[1:]), inputs.dtype)])

    def several(carry, x):
        carry, traces = jax.lax.scan(one, carry, x)
        return carry, traces

    zero = jnp.zeros(n, dtype)
    carry = (
        jnp.int32(0), d.u_reset, zero, jnp.broadcast_to(low, (k, n)), ahp_low,
        zero, zero, jnp.full(n, -jnp.inf, dtype),
    )  # fmt: skip
    body = jax.checkpoint(several) if checkpoints else several
    (*_, trace, counts, peak), traces = jax.lax.scan(body, carry, padded.reshape(pieces, piece, *inputs.shape[1:]))
    sampled = traces.reshape(pieces * piece, n)[every - 1 : total : every] if every < total else trace[None]
    return Stepped(sampled, counts, peak)


def _by_events(d, inputs, dt, sharpness, tau, every, start, checkpoints, hold) -> Stepped:
    n, k, total = d.neurons, len(d.names), inputs.shape[0]
    every = total if every is None else every
    piece = max(1, round(np.sqrt(total))) if checkpoints else total
    plan = Plan(total, piece, every, start, dt, float(np.exp(-dt / tau)), sharpness, max(1, round(hold / dt)))
    decay, gain, unit = d.decay.ravel(), d.dpi_gain.ravel(), jnp.append(d.unit.ravel(), 1)
    charge, targets = d.weight * unit[d.targets], d.targets
    if d.adapts:
        decay, gain = jnp.concatenate([decay, d.ahp_decay]), jnp.concatenate([gain, d.ahp_gain])
        sink = (k + 1) * n
        own = jnp.where(jnp.arange(d.sources) < n, k * n + jnp.arange(d.sources), sink)
        targets = jnp.append(jnp.where(targets == k * n, sink, targets), own[:, None].astype(targets.dtype), axis=1)
        charge = jnp.append(charge, jnp.pad(d.ahp_charge, (0, d.sources - n))[:, None], axis=1)
    wires = Wires(jnp.exp(-decay * dt), gain, charge, d.u_spike, d.u_reset, jax.lax.stop_gradient(d.t_ref / dt))
    cells = Cells(d.i_leak, d.i_gain, d.i_dc, d.nmda_gate, d.slew, d.i0, d.names, d.feedback)
    found: Any = run(plan, cells, wires, targets, without_derivative(inputs))
    return Stepped(*found)


@jax.custom_jvp
def _spike(over: jax.Array, slope: jax.Array) -> jax.Array:
    """1 where a membrane is over its threshold, with `slope` as its derivative."""
    return (over >= 0).astype(over.dtype)


@_spike.defjvp
def _spike_jvp(primals, tangents):
    over, slope = primals
    return _spike(over, slope), tangents[0] * slope


def binned(time: np.ndarray, channel: np.ndarray, channels: int, duration: float, dt: float) -> np.ndarray:
    """Events in each step: float32 [step, channel].

    **Raises** `InputError` for times outside the run and channels that are not there.
    """
    steps = round(duration / dt)
    time, channel = checked(time, channel, channels, duration, ordered=False)
    result = np.zeros((steps, channels), np.float32)
    np.add.at(result, (np.minimum((time / dt).astype(int), steps - 1), channel), 1)
    return result
