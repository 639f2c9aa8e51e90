r"""Fixed-step simulation of networks, event by event at the synapses, many chips side by side.

One step of length h, for all lanes at once:

1. Every DPI decays exactly, $I \leftarrow I e^{-h/\tau}$, down to its off-current $I_0$.
2. Every membrane advances by the exponential (Rosenbrock–Euler) method of second order on $u = \ln I_{mem}$,

   $$\dot u = \frac{\kappa}{C U_T}\Big[\frac{I_{in}}{1+e^u/I_g} - I_\tau - I_{ahp} - I_{GABA_A} + I_a(e^u)\Big],
   \qquad u \leftarrow u + h f \varphi_1(h f'),$$

   (Chicca et al. 2014, DOI 10.1109/JPROC.2014.2313954) for the part of the step outside the refractory period, whose
   end and whose beginning at the interpolated threshold crossing are kept to a fraction of the step.
3. Every event of this step (spikes of neurons and of inputs) is delivered to the DPIs of its targets by the exact
   on-phase of a rectangular pulse without leak: with $z = I/I_g$ and $q = I_w t_p \kappa/(C U_T)$,
   $z' + \ln z' = z + \ln z + q$. Pulses of one step thus add exactly, in any order. The leak during the pulse is
   the one of the next step 1: an error of order $t_p/\tau$.

A synaptic current counts as input by its excess over $I_0$ (zero current floor).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError, SimulationError
from ._parameters import Lanes

DT = 1e-4
_F = jnp.float32


@dataclass(frozen=True)
class Spikes:
    """Spikes of all lanes: `time` (s, interpolated within the step), `lane` and `neuron`, in order of steps."""

    time: np.ndarray
    lane: np.ndarray
    neuron: np.ndarray

    def of(self, lane: int) -> tuple[np.ndarray, np.ndarray]:
        """Times and neuron indices of one lane."""
        here = self.lane == lane
        return self.time[here], self.neuron[here]


@dataclass(frozen=True)
class Events:
    """Input events: `time` (s, ascending) and `channel` (index over all inputs of the network).

    `lane` gives the lane of each event, or None when every lane receives all of them.
    """

    time: np.ndarray
    channel: np.ndarray
    lane: np.ndarray | None = None


def simulate(
    devices: Lanes,
    events: Events,
    duration: float,
    *,
    dt: float = DT,
    progress: Callable[[float], None] | None = None,
    chunk: float = 1.0,
) -> Spikes:
    """Simulate all lanes from rest for `duration` seconds.

    **Arguments**

    - `devices`: from `lanes`.
    - `events`: the input; an event at time t takes effect in the step that contains t.
    - `duration`, `dt`: s.
    - `progress`: called with the seconds done after every `chunk` seconds.

    **Returns** the spikes of all neurons of all lanes.

    **Raises** `InputError` for events out of order, out of range or beyond the network's channels, and
    `SimulationError` when a state stops being finite.
    """
    parts = list(simulate_chunks(devices, events, duration, dt=dt, progress=progress, chunk=chunk))
    return Spikes(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("time", "lane", "neuron")))


def simulate_chunks(
    devices: Lanes,
    events: Events,
    duration: float,
    *,
    dt: float = DT,
    progress: Callable[[float], None] | None = None,
    chunk: float = 1.0,
) -> Iterator[Spikes]:
    """As `simulate`, `chunk` seconds at a time: memory stays bounded however long the run."""
    step, row = _schedule(devices, events, duration, dt)
    total = round(duration / dt)
    per_chunk = min(total, round(chunk / dt))
    # A neuron rests at least one step after a spike, so this many events cannot be exceeded in a chunk.
    rest = np.maximum(1, np.floor(devices.t_ref / dt))
    capacity = _rounded(int(np.sum(np.ceil(per_chunk / rest) + 1)))
    constants = _constants(devices, dt)
    state = _rest(devices)
    width = _rounded(int(np.max(np.bincount(step // per_chunk, minlength=1), initial=1)))
    for first in range(0, total, per_chunk):
        count = min(per_chunk, total - first)
        a, b = np.searchsorted(step, [first, first + count])
        in_step = np.full(width + 1, np.iinfo(np.int32).max, np.int32)
        in_row = np.zeros(width + 1, np.int32)
        in_step[: b - a], in_row[: b - a] = step[a:b] - first, row[a:b]
        static = (devices.lanes, devices.neurons, devices.sources, devices.names, devices.feedback[0], capacity)
        state, log = _run(constants, state, jnp.asarray(in_step), jnp.asarray(in_row), jnp.int32(count), static=static)
        n, finite = int(log["count"]), bool(log["finite"])
        if not finite:
            raise SimulationError(
                f"The network's state is no longer finite between {first * dt:.3f} s and {(first + count) * dt:.3f} s; "
                "a bias, weight or capacitor of the network is out of the range of the model."
            )
        # Cut in NumPy: JAX would compile a program for every n.
        k, part, at = (np.asarray(log[name])[:n] for name in ("step", "part", "row"))
        time = (k.astype(np.float64) + part + first) * dt
        lane, neuron = np.divmod(at, devices.neurons)
        if progress is not None:
            progress((first + count) * dt)
        yield Spikes(time, lane, neuron)


def _rounded(size: int) -> int:
    """The next power of two: buffers of nearly equal size share one compiled program."""
    return 1 << max(0, size - 1).bit_length()


def _schedule(devices: Lanes, events: Events, duration: float, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Step and source row of every event, one a lane, in order of steps."""
    channels = devices.sources - devices.neurons
    time, channel = np.asarray(events.time, float), np.asarray(events.channel, np.int64)
    if time.shape != channel.shape or time.ndim != 1:
        raise InputError(f"Events have {time.shape} times and {channel.shape} channels; give one channel a time.")
    if not np.all(np.isfinite(time)) or np.any(np.diff(time) < 0):
        raise InputError("Event times must be finite and ascending; sort them, and drop what is not a number.")
    if len(time) and (time[0] < 0 or time[-1] > duration):
        raise InputError(f"Events run from {time[0]:g} s to {time[-1]:g} s, outside the simulated 0–{duration:g} s.")
    if len(channel) and (channel.min() < 0 or channel.max() >= channels):
        raise InputError(f"An event names input channel {channel.max()}; the network has {channels} (0-based).")
    step = np.minimum((time / dt).astype(np.int64), round(duration / dt) - 1)
    if events.lane is None:
        lane = np.tile(np.arange(devices.lanes), len(time))
        step, channel = np.repeat(step, devices.lanes), np.repeat(channel, devices.lanes)
    else:
        lane = np.asarray(events.lane, np.int64)
        if lane.shape != time.shape or (len(lane) and (lane.min() < 0 or lane.max() >= devices.lanes)):
            raise InputError(f"Events name lanes outside 0–{devices.lanes - 1}, or not one a time.")
    return step, lane * devices.sources + devices.neurons + channel


def _constants(p: Lanes, dt: float) -> dict[str, jax.Array]:
    """What a step multiplies with, folded as far as it goes, as float32; neurons of all lanes in one row."""
    decay = np.exp(-dt * p.decay.astype(np.float64))
    constants = {
        "decay": np.append(decay, 1.0),
        "dpi_gain": np.append(p.dpi_gain, 1.0),
        "charge": p.charge,
        "i_leak": p.i_leak.ravel(), "i_dc": p.i_dc.ravel(), "inverse_gain": 1.0 / p.i_gain.ravel(),
        "u_spike": p.u_spike.ravel(), "u_reset": p.u_reset.ravel(), "refractory": p.t_ref.ravel() / dt,
        "slew": p.slew * dt, "i0": p.i0, "u_floor": np.log(p.i0), "nmda_gate": p.nmda_gate.ravel(),
        "feedback": np.asarray(p.feedback[1]),
    }  # fmt: skip
    as_float = {k: jnp.asarray(np.asarray(v, np.float32)) for k, v in constants.items()}
    return as_float | {"targets": jnp.asarray(p.targets, jnp.int32)}


def _rest(p: Lanes) -> dict[str, jax.Array]:
    row = p.lanes * p.neurons
    return {
        "u": jnp.asarray(p.u_reset.ravel(), _F),
        "rest": jnp.zeros(row, _F),
        "i": jnp.full(len(p.names) * row + 1, p.i0, _F),
    }


@partial(jax.jit, static_argnames=("static",), donate_argnums=(1,))
def _run(c, state, in_step, in_row, count, *, static):
    lanes, neurons, sources, names, feedback, capacity = static

    log = {
        "count": jnp.int32(0),
        "step": jnp.zeros(capacity, jnp.int32),
        "part": jnp.zeros(capacity, _F),
        "row": jnp.zeros(capacity, jnp.int32),
    }

    def deliver(i_dpi, source):
        target = jax.lax.dynamic_index_in_dim(c["targets"], source, keepdims=False)
        charge = jax.lax.dynamic_index_in_dim(c["charge"], source, keepdims=False)
        gain = c["dpi_gain"][target]
        after = on_phase(i_dpi[target] / gain, charge) * gain
        return i_dpi.at[target].set(after, mode="promise_in_bounds", unique_indices=False)

    def one_step(carry):
        k, next_event, state, log = carry
        u, rest = state["u"], state["rest"]
        i_dpi = jnp.maximum(state["i"] * c["decay"], c["i0"])
        u_new, rest, part = _membrane(c, u, rest, i_dpi, names, feedback)
        spiked = u_new >= c["u_spike"]
        fraction = part * (u_new - c["u_spike"]) / jnp.maximum(u_new - u, _F(1e-6))  # of the step, after the crossing
        u = jnp.where(spiked, c["u_reset"], u_new)
        rest = jnp.where(spiked, c["refractory"] - fraction, rest)
        spiked = spiked.reshape(lanes, neurons)
        each = jnp.sum(spiked, axis=1, dtype=jnp.int32)
        # The membranes have read the currents before any event changes them, so the change can be made in place.
        i_dpi, each = jax.lax.optimization_barrier((i_dpi, each))

        def input_due(loop):
            return in_step[loop[0]] <= k

        def deliver_input(loop):
            i, i_dpi = loop
            return i + 1, deliver(i_dpi, in_row[i])

        next_event, i_dpi = jax.lax.while_loop(input_due, deliver_input, (next_event, i_dpi))

        def more(loop):
            return jnp.any(loop[1] > 0)

        def deliver_spike(loop):
            spiked, each, i_dpi, log = loop
            lane = jnp.argmax(each > 0).astype(jnp.int32)
            row = jax.lax.dynamic_index_in_dim(spiked, lane, keepdims=False)
            neuron = jnp.argmax(row).astype(jnp.int32)
            i = log["count"]
            log = {
                "count": i + 1,
                "step": log["step"].at[i].set(k),
                "part": log["part"].at[i].set(1 - fraction[lane * neurons + neuron]),
                "row": log["row"].at[i].set(lane * neurons + neuron),
            }
            i_dpi = deliver(i_dpi, lane * sources + neuron)
            return spiked.at[lane, neuron].set(False), each.at[lane].add(-1), i_dpi, log

        _, _, i_dpi, log = jax.lax.while_loop(more, deliver_spike, (spiked, each, i_dpi, log))
        return k + 1, next_event, {"u": u, "rest": rest, "i": i_dpi}, log

    def unfinished(carry):
        return carry[0] < count

    _, _, state, log = jax.lax.while_loop(unfinished, one_step, (jnp.int32(0), jnp.int32(0), state, log))
    log["finite"] = jnp.all(jnp.isfinite(state["u"])) & jnp.all(jnp.isfinite(state["i"]))
    return state, log


def _membrane(c, u, rest, i_dpi, names, feedback):
    """One step of all membranes: new u, remaining rest (steps), and the part of the step that was integrated."""
    size = u.shape[0]
    i_dpi = {name: i_dpi[k * size : (k + 1) * size] - c["i0"] for k, name in enumerate(names)}
    i_mem = jnp.exp(u)
    drive = c["i_dc"] + i_dpi.get("AMPA", _F(0))
    if "NMDA" in i_dpi:
        drive = drive + i_dpi["NMDA"] * i_mem / (i_mem + c["nmda_gate"])
    if "GABA_B" in i_dpi:  # a mirror cannot source a negative current
        drive = jnp.maximum(drive - i_dpi["GABA_B"], _F(0))
    leak = c["i_leak"] + i_dpi.get("AHP", _F(0)) + i_dpi.get("GABA_A", _F(0))
    divider = 1 / (1 + i_mem * c["inverse_gain"])
    i_a, slope_a = _feedback_current(c["feedback"], feedback, u, i_mem)
    f = c["slew"] * (drive * divider - leak + i_a)
    slope = c["slew"] * (drive * divider * (divider - 1) + slope_a)
    part = jnp.clip(1 - rest, 0, 1)
    x = slope * part
    # φ1(x) = (e^x - 1)/x by its (0,2) Padé form: second order, positive everywhere, and no exponential.
    u_new = u + f * part / (1 - x * (_F(0.5) - x * _F(1 / 12)))
    # At I_0 the leak transistor has no drain voltage left: the membrane rests there.
    u_new = jnp.maximum(u_new, c["u_floor"])
    return jnp.where(part > 0, u_new, u), jnp.maximum(rest - 1, 0), part


def _feedback_current(c, kind: str, u, i_mem):
    """I_a (pA) and its derivative by u."""
    if kind == "none":
        return _F(0), _F(0)
    if kind == "exponent":
        i_a = jnp.exp(c[0] * u + c[1])
        return i_a, c[0] * i_a
    gate = jax.nn.sigmoid((i_mem - c[1]) / c[2])
    return c[0] * gate, c[0] * gate * (1 - gate) * i_mem / c[2]


def on_phase(z: jax.Array, charge: jax.Array) -> jax.Array:
    r"""Solve $z' + \ln z' = z + \ln z + q$ for z'.

    Newton's method on $\ln z'$, whose residual is convex and increasing: from a start to the right of the root the
    iterates fall monotonically onto it. Four iterations reach float32 accuracy from any start (tested).
    """
    y = z + jnp.log(z) + charge
    # ln z' <= y, and for y >= 1 also ln z' <= ln y.
    m = jnp.where(y < 1, y, jnp.log(jnp.maximum(y, 1)))
    for _ in range(4):
        e = jnp.exp(m)
        m = m - (e + m - y) / (e + 1)
    return jnp.exp(m)
