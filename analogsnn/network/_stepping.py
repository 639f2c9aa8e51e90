r"""One compiled loop: the steps of all lanes of a chunk.

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

Deliveries that are late (delays) wait in a ring of steps; a pulse through depressing synapses is scaled by what their
source has left. Noise (see `_noise`) moves a membrane at the end of its step, a DPI after the events of the step.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ._noise import back, dpi_variance, gate_rows, moved_gates, normals, phi1

F = jnp.float32
INT = jnp.int32


class Shape(NamedTuple):
    """What a compiled loop is made for.

    - `lanes`, `neurons`, `sources`, `names`: as in `Lanes`. `feedback`: the kind of its law.
    - `capacity`: spikes that the log of a chunk holds.
    - `late`: late rows; `slots`: steps that the ring of deliveries reaches ahead, and one; `room`: deliveries a slot.
    - `noisy`, `grainy`: whether membranes and DPIs have shot noise; `corners`: relaxations of the 1/f noise.
    - `watched`: flat neurons that are recorded; `samples`: room for samples.
    """

    lanes: int
    neurons: int
    sources: int
    names: tuple[str, ...]
    feedback: str
    capacity: int
    late: int = 0
    slots: int = 0
    room: int = 0
    noisy: bool = False
    grainy: bool = False
    corners: int = 0
    watched: int = 0
    samples: int = 0


@partial(jax.jit, static_argnames=("shape",), donate_argnums=(1,))
def run(c, state, in_step, in_row, first, count, every, *, shape: Shape):
    """`count` steps from step `first` on, input rows `in_row` at the steps `in_step` (counted from `first`)."""
    lanes, neurons, sources, names, feedback = shape[:5]
    none = lanes * sources  # rows from here on are late ones

    log = {
        "count": jnp.int32(0),
        "step": jnp.zeros(shape.capacity, INT),
        "part": jnp.zeros(shape.capacity, F),
        "row": jnp.zeros(shape.capacity, INT),
    }
    if shape.watched:
        log["sample"] = jnp.zeros((shape.samples, len(names) + 1, shape.watched), F)

    def deliver(i_dpi, source, scale, left=None):
        target = jax.lax.dynamic_index_in_dim(c["targets"], source, keepdims=False)
        charge = jax.lax.dynamic_index_in_dim(c["charge"], source, keepdims=False)
        if scale is not None:
            charge = charge * scale[target]
        gain = c["dpi_gain"][target]
        after = on_phase(i_dpi[target] / gain, charge if left is None else charge * left) * gain
        return i_dpi.at[target].set(after, mode="promise_in_bounds", unique_indices=False)

    def deliver_any(k, i_dpi, late, row, scale):
        """A row of either kind; a late one may be depressed."""
        if not shape.late:
            return deliver(i_dpi, row, scale), late
        e = jnp.where(row >= none, row - none, shape.late)
        gone = (first + k - late["last"][e]).astype(F) * c["recovery"]
        left = 1 - (1 - late["left"][e]) * jnp.exp(-gone)
        late = late | {
            "left": late["left"].at[e].set(left * (1 - c["late_use"][e])),
            "last": late["last"].at[e].set(first + k),
        }
        return deliver(i_dpi, row, scale, left), late

    def schedule(k, late, neuron):
        """Put the late rows of a neuron that spiked into the ring."""
        e = c["late_of"][neuron]
        slot = jnp.where(e < shape.late, (first + k + c["late_steps"][e]) % shape.slots, shape.slots)
        place = jnp.minimum(late["due"][slot], shape.room - 1)
        return late | {
            "ring": late["ring"].at[slot, place].set(none + e),
            "due": late["due"].at[slot].add(1),
        }

    def one_step(carry):
        k, next_event, state, log = carry
        u, rest = state["u"], state["rest"]
        kicks, gates, factors = _noise_of_step(c, first + k, state, shape)
        fall = c["fall"] if factors is None else c["fall"] * factors["leak"]
        decay = c["decay"] if factors is None else jnp.exp(-fall)
        i_dpi = jnp.maximum(state["i"] * decay, c["i0"])
        settled = i_dpi
        scale = None if factors is None else factors["pulse"]
        u_new, rest, part = _membrane(c, u, rest, i_dpi, names, feedback, kicks.get("membrane"), factors)
        spiked = u_new >= c["u_spike"]
        fraction = part * (u_new - c["u_spike"]) / jnp.maximum(u_new - u, F(1e-6))  # of the step, after the crossing
        u = jnp.where(spiked, c["u_reset"], u_new)
        rest = jnp.where(spiked, c["refractory"] - fraction, rest)
        spiked = spiked.reshape(lanes, neurons)
        each = jnp.sum(spiked, axis=1, dtype=jnp.int32)
        # The membranes have read the currents before any event changes them, so the change can be made in place.
        i_dpi, each = jax.lax.optimization_barrier((i_dpi, each))
        late = state.get("late", {})

        def input_due(loop):
            return in_step[loop[0]] <= k

        def deliver_input(loop):
            i, i_dpi, late = loop
            i_dpi, late = deliver_any(k, i_dpi, late, in_row[i], scale)
            return i + 1, i_dpi, late

        next_event, i_dpi, late = jax.lax.while_loop(input_due, deliver_input, (next_event, i_dpi, late))

        def more(loop):
            return jnp.any(loop[1] > 0)

        def deliver_spike(loop):
            spiked, each, i_dpi, log, late = loop
            lane = jnp.argmax(each > 0).astype(jnp.int32)
            row = jax.lax.dynamic_index_in_dim(spiked, lane, keepdims=False)
            neuron = jnp.argmax(row).astype(jnp.int32)
            i = log["count"]
            log = log | {
                "count": i + 1,
                "step": log["step"].at[i].set(k),
                "part": log["part"].at[i].set(1 - fraction[lane * neurons + neuron]),
                "row": log["row"].at[i].set(lane * neurons + neuron),
            }
            i_dpi = deliver(i_dpi, lane * sources + neuron, scale)
            if shape.late:
                late = schedule(k, late, lane * neurons + neuron)
            return spiked.at[lane, neuron].set(False), each.at[lane].add(-1), i_dpi, log, late

        _, _, i_dpi, log, late = jax.lax.while_loop(more, deliver_spike, (spiked, each, i_dpi, log, late))
        if shape.late:
            slot = (first + k) % shape.slots
            full = jnp.maximum(late["full"], late["due"][slot])

            def deliver_due(j, loop):
                i_dpi, late = loop
                return deliver_any(k, i_dpi, late, late["ring"][slot, j], scale)

            i_dpi, late = jax.lax.fori_loop(0, jnp.minimum(late["due"][slot], shape.room), deliver_due, (i_dpi, late))
            late = late | {"due": late["due"].at[slot].set(0), "full": full}
        if shape.grainy:
            returning = back(settled, c["i0"], c["inverse_kappa"])
            before, now = settled / c["dpi_gain"], i_dpi / c["dpi_gain"]
            variance = dpi_variance(c["dpi_noise"], fall, returning, before, now)
            i_dpi = jnp.maximum(i_dpi * jnp.exp(kicks["dpi"] * jnp.sqrt(variance)), c["i0"])
        if shape.watched:
            current = i_dpi[:-1].reshape(len(names), lanes * neurons)[:, c["watched"]] - c["i0"]
            seen = jnp.concatenate([jnp.exp(u[c["watched"]])[None], current])
            log["sample"] = jax.lax.dynamic_update_index_in_dim(log["sample"], seen, k // every, 0)
        after = {"u": u, "rest": rest, "i": i_dpi}
        after = after | {"late": late} if shape.late else after
        return k + 1, next_event, after | {"gates": gates} if shape.corners else after, log

    def unfinished(carry):
        return carry[0] < count

    _, _, state, log = jax.lax.while_loop(unfinished, one_step, (jnp.int32(0), jnp.int32(0), state, log))
    log["finite"] = jnp.all(jnp.isfinite(state["u"])) & jnp.all(jnp.isfinite(state["i"]))
    return state, log


def _noise_of_step(c, step, state, shape: Shape):
    """Normal numbers of the membranes and of the DPIs, the gates' 1/f noise, and what that multiplies currents with."""
    lanes, neurons, d = shape.lanes, shape.neurons, len(shape.names)
    parts = {
        "membrane": 1 if shape.noisy else 0, "dpi": d if shape.grainy else 0, "gates": shape.corners * gate_rows(d)
    }  # fmt: skip
    if not any(parts.values()):
        return {}, None, None
    drawn = normals(c["keys"], step, lanes, neurons, sum(parts.values()))
    each, at = {}, 0
    for name, rows in parts.items():
        each[name] = drawn[at : at + rows].ravel()
        at += rows
    kicks = {}
    if shape.noisy:
        kicks["membrane"] = each["membrane"]
    if shape.grainy:
        kicks["dpi"] = jnp.append(each["dpi"], F(0))
    if not shape.corners:
        return kicks, None, None
    gates = moved_gates(state["gates"], c["kept"], c["flicker"], each["gates"])
    factor = jnp.exp(c["steepness"] * jnp.sum(gates, axis=0))  # [gate, lane · neuron]
    sink = jnp.ones(1, F)
    factors = {
        "leak": jnp.append(factor[:d].ravel(), sink), "pulse": jnp.append(factor[d : 2 * d].ravel(), sink),
        "membrane_leak": factor[2 * d], "membrane_input": factor[2 * d + 1],
    }  # fmt: skip
    return kicks, gates, factors


def _membrane(c, u, rest, i_dpi, names, feedback, kick=None, factors=None):
    """One step of all membranes: new u, remaining rest (steps), and the part of the step that was integrated."""
    size = u.shape[0]
    i_dpi = {name: i_dpi[k * size : (k + 1) * size] - c["i0"] for k, name in enumerate(names)}
    i_mem = jnp.exp(u)
    drive = c["i_dc"] + i_dpi.get("AMPA", F(0))
    if "NMDA" in i_dpi:
        drive = drive + i_dpi["NMDA"] * i_mem / (i_mem + c["nmda_gate"])
    if "GABA_B" in i_dpi:  # a mirror cannot source a negative current
        drive = jnp.maximum(drive - i_dpi["GABA_B"], F(0))
    own = c["i_leak"]
    if factors is not None:
        drive, own = drive * factors["membrane_input"], own * factors["membrane_leak"]
    leak = own + i_dpi.get("AHP", F(0)) + i_dpi.get("GABA_A", F(0))
    divider = 1 / (1 + i_mem * c["inverse_gain"])
    i_a, slope_a = _feedback_current(c["feedback"], feedback, u, i_mem)
    f = c["slew"] * (drive * divider - leak + i_a)
    slope = c["slew"] * (drive * divider * (divider - 1) + slope_a)
    part = jnp.clip(1 - rest, 0, 1)
    x = slope * part
    # φ1(x) = (e^x - 1)/x by its (0,2) Padé form: second order, positive everywhere, and no exponential.
    u_new = u + f * part / (1 - x * (F(0.5) - x * F(1 / 12)))
    if kick is not None:
        crossing = drive * divider + leak * (1 + back(i_mem, c["i0"], c["inverse_kappa"])) + i_a
        u_new = u_new + kick * jnp.sqrt(c["noise"] * part * phi1(2 * x) * crossing)
    # At I_0 the leak transistor has no drain voltage left: the membrane rests there.
    u_new = jnp.maximum(u_new, c["u_floor"])
    return jnp.where(part > 0, u_new, u), jnp.maximum(rest - 1, 0), part


def _feedback_current(c, kind: str, u, i_mem):
    """I_a (pA) and its derivative by u."""
    if kind == "none":
        return F(0), F(0)
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
