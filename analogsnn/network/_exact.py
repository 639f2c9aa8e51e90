r"""Networks from event to event, so that derivatives of spike times are exact.

Between events a DPI decays exactly, and the membranes follow

$$\dot u = \frac{\kappa}{C U_T}\Big[\frac{I_{in}}{1+e^u/I_g} - I_\tau - I_{ahp} - I_{GABA_A} + I_a(e^u)\Big]$$

by the classical Runge–Kutta method, in steps that end at every spike and every input event. A spike is where the step's
own u reaches the threshold: its length is solved for, and the derivative of the spike time follows from the implicit
function, $\delta t = -\delta u/\dot u$. Everything after the spike, resets, refractory periods, pulses and decays of
the currents, starts from that time, so that ordinary differentiation gives the jumps of the tangents (saltation) by
itself. There is no stiff upswing in between, which is what makes such derivatives wrong in circuits.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..errors import InputError, SimulationError
from ._dense import Devices
from ._events import Events, checked
from ._step import DT

_ROOT = 8  # Newton steps for the length of a step that ends in a spike
_STAGES = np.array([[0.0, 1 / 6], [0.5, 1 / 3], [0.5, 1 / 3], [1.0, 1 / 6]])  # nodes and weights of the method
_MESSAGE = "The network spikes {} times or more, and there is room for that many; raise max_spikes."


class Trains(NamedTuple):
    """Spikes in order: `time` (s) and `neuron` [max_spikes], infinity and -1 after the last; `total` of them."""

    time: jax.Array
    neuron: jax.Array
    total: jax.Array


def spike_trains(devices: Devices, events: Events, duration: float, max_spikes: int = 256, *, dt: float = DT) -> Trains:
    """The spikes of a small network, differentiable in all of `devices` while their order and number stay.

    **Arguments**

    - `devices`: from `dense`; float64, with JAX set to 64 bit, for derivatives to 1e-6 and better.
    - `events`: the input; `lane` must be None. `duration`: s.
    - `max_spikes`: room for spikes. `dt`: longest step (s) of the membranes' integration.

    **Raises** `InputError` for bad events; `SimulationError` for more than `max_spikes` spikes, never dropped (inside
    `jit`, the error of `equinox.error_if`).
    """
    if devices.targets is not None:
        raise InputError(
            "Exact spike trains are for small networks, on matrices; make the devices with dense(network)."
        )
    if events.lane is not None:
        raise InputError("Exact spike trains take one network; give events without lanes.")
    time, channel = checked(events.time, events.channel, devices.sources - devices.neurons, duration)
    steps = int(np.ceil(duration / dt)) + len(time) + max_spikes + 2
    dtype = devices.weight.dtype
    at = jnp.asarray(np.append(time, np.inf), dtype)
    who = jnp.asarray(np.append(channel, 0), jnp.int32)
    found = _run(devices, at, who, jnp.asarray(duration, dtype), jnp.asarray(dt, dtype), steps, max_spikes)
    message = _MESSAGE.format(max_spikes)
    if isinstance(found.total, Tracer):
        return found._replace(time=eqx.error_if(found.time, found.total >= max_spikes, message))
    if int(found.total) >= max_spikes:
        raise SimulationError(message)
    return found


@partial(jax.jit, static_argnums=(5, 6))
def _run(d: Devices, at, who, duration, dt, steps: int, max_spikes: int) -> Trains:
    n, dtype = d.neurons, d.weight.dtype
    charge = d.weight * d.unit[:, None, :]  # [K, S, N]
    floor = jnp.log(d.i0)
    log_gain = jnp.log(d.dpi_gain)
    log_ahp = jnp.log(d.ahp_gain)

    def membrane(u, z, a, since, h):
        """u after `h` (s, [N]) that begin `since` (s, [N]) after the currents' own time, by RK4."""

        def slope(u, after):
            i = jnp.maximum(jnp.exp(z - d.decay * after), d.i0) - d.i0
            ahp = jnp.maximum(jnp.exp(a - d.ahp_decay * after), d.i0) - d.i0
            return membrane_slope(d, u, i, ahp)

        def stage(carry, x):
            k, total = carry
            k = slope(u + x[0] * h * k, since + x[0] * h)
            return (k, total + x[1] * k), None

        # A loop over the stages: written out, the derivative takes four times as long to compile.
        (last, total), _ = jax.lax.scan(stage, (jnp.zeros_like(u), jnp.zeros_like(u)), jnp.asarray(_STAGES, dtype))
        return jnp.maximum(u + h * total, floor), last

    def one(carry, _):
        t, u, z, a, ready, event, log = carry
        until = jnp.minimum(jnp.minimum(t + dt, at[event]), duration)
        start = jnp.maximum(t, ready)  # of the part in which a neuron is not refractory
        fixed = jax.lax.stop_gradient((t, u, z, a, start, until, d))
        crossing = _earliest(membrane, *fixed[:6], d.u_spike)
        spikes = jnp.min(crossing) < until
        j = jnp.argmin(crossing)
        # The time by value, and by one Newton step the derivative of the implicit function.
        there = jax.lax.stop_gradient(jnp.where(spikes, jnp.min(crossing), until))
        reached, rate = membrane(u, z, a, start - t, jnp.maximum(there - start, 0))
        rate = jax.lax.stop_gradient(jnp.where(spikes, rate[j], 1))
        end = jnp.where(spikes, there - (reached[j] - d.u_spike[j]) / rate, until)
        u, _ = membrane(u, z, a, start - t, jnp.maximum(end - start, 0))
        z = jnp.maximum(z - d.decay * (end - t), floor)
        a = jnp.maximum(a - d.ahp_decay * (end - t), floor)
        arrives = ~spikes & (at[event] <= end)
        source = jnp.where(spikes, j, n + who[event])
        q = jnp.where(spikes | arrives, jax.lax.dynamic_index_in_dim(charge, source, 1, keepdims=False), 0)
        z = jnp.where(q > 0, log_gain + pulsed(z - log_gain, q), z)
        mine = spikes & (jnp.arange(n) == j)
        if d.adapts:
            own = jnp.where(mine, d.ahp_charge, 0)
            a = jnp.where(own > 0, log_ahp + pulsed(a - log_ahp, own), a)
        u = jnp.where(mine, d.u_reset, u)
        ready = jnp.where(mine, end + d.t_ref, ready)
        place = jnp.where(spikes, log.total, max_spikes)
        log = Trains(
            log.time.at[place].set(end, mode="drop"),
            log.neuron.at[place].set(j.astype(jnp.int32), mode="drop"),
            log.total + spikes.astype(jnp.int32),
        )
        return (end, u, z, a, ready, event + arrives.astype(jnp.int32), log), None

    log = Trains(jnp.full(max_spikes, jnp.inf, dtype), jnp.full(max_spikes, -1, jnp.int32), jnp.int32(0))
    zero = jnp.zeros((), dtype)
    state = (zero, d.u_reset, jnp.full(d.unit.shape, floor, dtype), jnp.full(n, floor, dtype), jnp.zeros(n, dtype))
    (*_, log), _ = jax.lax.scan(jax.checkpoint(one), (*state, jnp.int32(0), log), None, length=steps)
    return log


def _earliest(membrane, t, u, z, a, start, until, u_spike):
    """When every membrane reaches its threshold before `until`; infinity where it does not."""
    room = jnp.maximum(until - start, 0)
    reached, _ = membrane(u, z, a, start - t, room)
    crosses = (reached >= u_spike) & (room > 0)

    def solve():
        def newton(_, h):
            value, slope = membrane(u, z, a, start - t, h)
            return jnp.clip(h - (value - u_spike) / slope, 0, room)

        h = jax.lax.fori_loop(0, _ROOT, newton, room)
        return jnp.where(crosses, start + h, jnp.inf)

    return jax.lax.cond(jnp.any(crosses), solve, lambda: jnp.full_like(start, jnp.inf))


def membrane_slope(d: Any, u, i, ahp, *, frozen: bool = False):
    """du/dt (1/s, [..., N]) at the synaptic currents `i` [..., K, N] and the adaptation (pA).

    `frozen`: without the derivatives of positive feedback and NMDA gate by u.
    """
    own = jax.lax.stop_gradient(u) if frozen else u
    i_mem, gate = jnp.exp(u), jnp.exp(own)
    given = {name: i[..., k, :] for k, name in enumerate(d.names)}
    drive = d.i_dc + given.get("AMPA", 0)
    if "NMDA" in given:
        drive = drive + given["NMDA"] * gate / (gate + d.nmda_gate)
    if "GABA_B" in given:
        drive = jnp.maximum(drive - given["GABA_B"], 0)
    leak = d.i_leak + ahp + given.get("GABA_A", 0)
    return d.slew * (drive / (1 + i_mem / d.i_gain) - leak + feedback(d, own, gate))


def feedback(d: Any, u, i_mem):
    """Positive feedback (pA) at u = ln(I_mem/pA)."""
    kind, c = d.feedback
    if kind == "none":
        return 0.0
    if kind == "exponent":
        return jnp.exp(c[0] * u + c[1])
    return c[0] * jax.nn.sigmoid((i_mem - c[1]) / c[2])


@jax.custom_jvp
def pulsed(m: jax.Array, charge: jax.Array) -> jax.Array:
    """ln z after a pulse of `charge` that finds ln z = `m`: solves e^m' + m' = e^m + m + charge."""
    y = jnp.exp(m) + m + charge
    x = jnp.where(y < 1, y, jnp.log(jnp.maximum(y, 1)))
    for _ in range(3 if m.dtype == jnp.float32 else 4):  # Halley's method, of third order
        e = jnp.exp(x)
        f = e + x - y
        x = x - f * (e + 1) / ((e + 1) ** 2 - 0.5 * f * e)
    return x


@pulsed.defjvp
def _pulsed_jvp(primals, tangents):
    m, charge = primals
    after = pulsed(m, charge)
    return after, (tangents[0] * (1 + jnp.exp(m)) + tangents[1]) / (1 + jnp.exp(after))
