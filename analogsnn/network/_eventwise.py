r"""Surrogate gradients event by event: what `stepped` computes on matrices, for networks whose synapses are few.

Forwards only neurons that spike touch their targets. Backwards the surrogate asks of every neuron at every step what a
spike of it would do, a sum over all its targets: nearly all of the cost. That answer, the adjoint of the targets'
currents, moves with the time constants of synapses and membranes, so it is asked for every `hold` steps and kept in
between; for spikes that there were, and for the weights that they passed, it is exact. With `hold` one step the result
is that of the matrices.

States are stored at the begin of every piece of steps. On the way back a piece is run again, and the derivatives of
its steps by u and by the currents are computed for all of them at once: for small networks a few passes over long
arrays in place of many over short ones. The way back itself only multiplies. With pieces of $\sqrt T$ steps, memory is
that of some $2\sqrt T$ of them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..errors import InputError
from ._exact import feedback, membrane_slope
from ._stepping import on_phase

# A current of each DPI acts as an input, a leak, or as what the NMDA gate lets pass.
_ACTS = {
    "by_drive": {"AMPA": 1, "GABA_B": -1},
    "by_leak": {"GABA_A": 1, "AHP": 1},
    "by_nmda": {"NMDA": 1},
}
WAIT = 20e-3  # s: a membrane that stands still below its threshold counts as if it would rise by an e-fold in this time


class Plan(NamedTuple):
    """What a compiled run is made for: steps, those of a piece, between samples, before the counts, of `hold`."""

    total: int
    piece: int
    every: int
    start: int
    dt: float
    fade: float
    sharpness: float
    hold: int


class Cells(eqx.Module):
    """The membranes' devices, as in `Devices`."""

    i_leak: jax.Array
    i_gain: jax.Array
    i_dc: jax.Array
    nmda_gate: jax.Array
    slew: float = eqx.field(static=True)
    i0: float = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    feedback: tuple[str, tuple[float, ...]] = eqx.field(static=True)


class Wires(NamedTuple):
    """All DPIs in one row, D · N of them (the adaptation last), and what the sources do to them.

    `decay`: factor of a step, `gain`: pA, [D · N]; `charge`: dimensionless, [S, F], with targets from D · N on for
    padding.
    """

    decay: jax.Array
    gain: jax.Array
    charge: jax.Array
    u_spike: jax.Array
    u_reset: jax.Array
    refractory: jax.Array


def advance(cells: Any, u: jax.Array, i: jax.Array, ahp: jax.Array, part: jax.Array, dt: float) -> jax.Array:
    """Membranes after the `part` of a step: the exponential method of second order, without amplifying derivatives."""
    _, bend = jax.jvp(lambda v: membrane_slope(cells, v, i, ahp), (u,), (jnp.ones_like(u),))
    slope = membrane_slope(cells, u, i, ahp, frozen=True)
    x = jax.lax.stop_gradient(bend) * part * dt
    u_new = jnp.maximum(u + slope * dt * part / second_order(x), jnp.log(jnp.asarray(cells.i0, u.dtype)))
    return jnp.where(part > 0, u_new, u)


def second_order(x: jax.Array) -> jax.Array:
    """x/(e^x - 1) by a Padé form: the divisor of the exponential method."""
    return 1 - x * (0.5 - x / 12)


def density(over: jax.Array, way: jax.Array, dt: float, sharpness: float) -> jax.Array:
    """The surrogate derivative of a spike by u: a crossing weighs the same at any step (see `_surrogate`)."""
    return 0.5 * sharpness * (way + dt / WAIT) / (1 + sharpness * jnp.abs(over)) ** 2


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def run(plan: Plan, cells: Cells, wires: Wires, targets: jax.Array, inputs: jax.Array):
    """Samples of the filtered spikes [sample, N], counts [N] and peak [N]; see `_surrogate.Stepped`."""
    return _forward(plan, cells, wires, targets, inputs)[0]


@jax.custom_jvp
def without_derivative(inputs: jax.Array) -> jax.Array:
    """Events as they are; asking for their derivative is an error, not zero."""
    return inputs


@without_derivative.defjvp
def _no_derivative(primals, tangents):
    raise InputError("Inputs of a sparse network have no derivative; use dense(network) for that.")


def _begin(cells: Cells, wires: Wires) -> dict[str, jax.Array]:
    zero = jnp.zeros_like(wires.u_spike)
    return {"u": wires.u_reset, "rest": zero, "i": jnp.full_like(wires.gain, cells.i0), "trace": zero}


def _split(cells: Cells, i: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Synaptic currents [K, N] and adaptation [N] above the floor."""
    k, n = len(cells.names), cells.i_leak.shape[0]
    above = i.reshape(-1, n) - cells.i0
    return above[:k], above[k] if len(above) > k else jnp.zeros_like(cells.i_leak)


def _each(active: jax.Array, body, carry):
    """`body(index, carry)` for every index that is active."""

    def one(loop):
        active, carry = loop
        index = jnp.argmax(active).astype(jnp.int32)
        return active.at[index].set(False), body(index, carry)

    return jax.lax.while_loop(lambda loop: jnp.any(loop[0]), one, (active, carry))[1]


def _row(array: jax.Array, index) -> jax.Array:
    return jax.lax.dynamic_index_in_dim(array, index, keepdims=False)


def _at(array: jax.Array, index: jax.Array) -> jax.Array:
    return array.at[index].get(mode="clip")  # padding reads the last one, and is dropped or has no charge


def _step(plan: Plan, cells: Cells, wires: Wires, targets, x, state):
    """One step: the state after it, its spikes, and its membranes before any reset."""
    n = cells.i_leak.shape[0]
    u, rest = state["u"], state["rest"]
    i = jnp.maximum(state["i"] * wires.decay, cells.i0)
    part = jnp.clip(1 - rest, 0, 1)
    u_new = advance(cells, u, *_split(cells, i), part, plan.dt)
    over = u_new - wires.u_spike
    spiked = over >= 0
    left = part * over / jnp.maximum(u_new - u, 1e-6)  # of the step, after the crossing
    rest = jnp.where(spiked, wires.refractory - left, jnp.maximum(rest - 1, 0))
    # The membranes have read the currents before any event changes them, so the change can be made in place.
    i, spiked, left, u_new = jax.lax.optimization_barrier((i, spiked, left, u_new))

    def deliver(row, times, i):
        at, charge = _row(targets, row), _row(wires.charge, row)
        gain = _at(wires.gain, at)
        return i.at[at].set(on_phase(_at(i, at) / gain, charge * times) * gain, mode="drop")

    if len(x):
        i = _each(x > 0, lambda c, i: deliver(n + c, x[c], i), i)

    def fire(j, carry):
        i, trace = carry
        return deliver(j, 1, i), trace.at[j].add(_faded(plan, left[j]))

    i, trace = _each(spiked, fire, (i, state["trace"] * plan.fade))
    return {"u": jnp.where(spiked, wires.u_reset, u_new), "rest": rest, "i": i, "trace": trace}, spiked, u_new


def _faded(plan: Plan, left: jax.Array) -> jax.Array:
    return jnp.exp(math.log(plan.fade) * jnp.clip(left, 0, 1))


def _once(k: jax.Array, values: Any) -> Any:
    """The values as arrays of their own (k is not negative), where XLA would compute them anew for every use."""
    return jax.lax.cond(k >= 0, lambda v: v, lambda v: jax.tree.map(jnp.zeros_like, v), values)


def _pieces(plan: Plan) -> int:
    return -(-plan.total // plan.piece)


def _forward(plan: Plan, cells: Cells, wires: Wires, targets, inputs):
    n, dtype = cells.i_leak.shape[0], wires.u_spike.dtype
    state = _begin(cells, wires)
    saved = {k: jnp.zeros((_pieces(plan), *v.shape), dtype) for k, v in state.items()}
    found = {
        "counts": jnp.zeros(n, dtype), "peak": jnp.full(n, -jnp.inf, dtype), "peak_at": jnp.full(n, -1, jnp.int32),
        "samples": jnp.zeros((plan.total // plan.every, n), dtype),
    }  # fmt: skip

    def one(k, carry):
        state, found = carry
        state, spiked, u_new = _step(plan, cells, wires, targets, inputs[k], state)
        over = u_new - wires.u_spike
        higher = ~spiked & (over > found["peak"])
        samples = jax.lax.cond(
            (k + 1) % plan.every == 0,
            lambda s: s.at[k // plan.every].set(state["trace"]),
            lambda s: s,
            found["samples"],
        )
        found = {
            "counts": found["counts"] + jnp.where(spiked & (k >= plan.start), 1, 0).astype(dtype),
            "peak": jnp.where(higher, over, found["peak"]),
            "peak_at": jnp.where(higher, k, found["peak_at"]),
            "samples": samples,
        }
        return state, found

    def piece(p, carry):
        state, saved, found = carry
        saved = {key: value.at[p].set(state[key]) for key, value in saved.items()}
        last = jnp.minimum((p + 1) * plan.piece, plan.total)
        state, found = jax.lax.fori_loop(p * plan.piece, last, one, (state, found))
        return state, saved, found

    _, saved, found = jax.lax.fori_loop(0, _pieces(plan), piece, (state, saved, found))
    return (found["samples"], found["counts"], found["peak"]), (saved, found["peak_at"])


class _Wanted(eqx.Module):
    """Whether anything but the weights is differentiated by, which costs more."""

    devices: bool = eqx.field(static=True)


def _forward_saving(plan: Plan, cells: Any, wires: Any, targets: Any, inputs: Any):
    given = (cells, wires, targets, inputs)

    def is_given(x: Any) -> bool:
        return hasattr(x, "perturbed")

    others = jax.tree.leaves((cells, wires._replace(charge=None)), is_leaf=is_given)
    wanted = _Wanted(any(x.perturbed for x in others))
    values = jax.tree.map(lambda x: x.value, given, is_leaf=is_given)
    out, kept = _forward(plan, *values)
    return out, (wanted, *values, *kept)


def _room(plan: Plan, cells: Cells, wires: Wires) -> dict[str, jax.Array]:
    """State before each step of a piece, and u after it before any reset; the currents after the last step too."""
    shape, dtype = (plan.piece, cells.i_leak.shape[0]), wires.gain.dtype
    currents = jnp.full((plan.piece + 1, *wires.gain.shape), cells.i0, dtype)
    return {name: jnp.zeros(shape, dtype) for name in ("u", "rest", "to")} | {"i": currents}


def _again(plan: Plan, cells: Cells, wires: Wires, targets, inputs, state, first, count, steps):
    """A piece once more, into the room for its `steps`."""

    def one(j, carry):
        state, steps = carry
        before = {name: state[name] for name in ("u", "rest", "i")}
        state, _, u_new = _step(plan, cells, wires, targets, inputs[first + j], state)
        return state, {name: steps[name].at[j].set(value) for name, value in (before | {"to": u_new}).items()}

    state, steps = jax.lax.fori_loop(0, count, one, (state, steps))
    return steps | {"i": steps["i"].at[count].set(state["i"])}


def _slopes(plan: Plan, cells: Cells, wires: Wires, names: list[str], steps: dict[str, jax.Array]):
    """Derivatives of all steps of a piece, [step, N], those of `advance`: by u, and by each way in which currents act.

    `steep`: of their spikes by u; `left`: what is left of a step after the crossing, -1 without a spike.
    """
    u, to, part = steps["u"], steps["to"], jnp.clip(1 - steps["rest"], 0, 1)
    n = u.shape[-1]
    currents = jnp.maximum(steps["i"][:-1] * wires.decay, cells.i0)
    given = {name: currents[:, k * n : (k + 1) * n] - cells.i0 for k, name in enumerate(names)}
    nothing = jnp.zeros_like(u)
    nmda = given.get("NMDA", nothing)
    i_mem = jnp.exp(u)
    divider, gate = 1 / (1 + i_mem / cells.i_gain), i_mem / (i_mem + cells.nmda_gate)
    drive = cells.i_dc + given.get("AMPA", nothing) + nmda * gate
    used = jnp.ones_like(u)
    if "GABA_B" in given:
        drive = drive - given["GABA_B"]
        used = 0.5 * (1 + jnp.sign(drive))  # a rectifier's derivative, as JAX has it
        drive = jnp.maximum(drive, 0)
    _, amplifies = jax.jvp(lambda v: jnp.zeros_like(v) + feedback(cells, v, jnp.exp(v)), (u,), (jnp.ones_like(u),))
    falls = -drive * divider * (1 - divider)  # of the divided input, by u
    bend = cells.slew * (falls + used * nmda * gate * (1 - gate) * divider + amplifies)
    x = bend * part * plan.dt
    moves = jnp.where(to > jnp.log(jnp.asarray(cells.i0, u.dtype)), cells.slew * plan.dt * part / second_order(x), 0)
    by_drive = used * divider * moves
    over, way = to - wires.u_spike, to - u
    return {
        "by_drive": by_drive,
        "by_leak": -moves,
        "by_nmda": by_drive * gate,
        "by_u": jnp.where((part > 0) & (moves == 0), 0, 1 + falls * moves),
        "steep": density(over, jnp.abs(way), plan.dt, plan.sharpness),
        "left": jnp.where(over >= 0, part * over / jnp.maximum(way, 1e-6), -1),
    }


def _backward(plan: Plan, kept: Any, given: Any):
    wanted, cells, wires, targets, inputs, saved, peak_at = kept
    sums: list[Any] = [
        jnp.zeros(g.shape, wires.u_spike.dtype) if isinstance(g, jax.custom_derivatives.SymbolicZero) else g
        for g in given
    ]
    given_samples, given_counts, given_peak = sums
    n, dtype = cells.i_leak.shape[0], wires.u_spike.dtype
    zero = jnp.zeros(n, dtype)
    # [F, N], summed row by row and without bounds to check: several times as fast on a CPU as one sum over all.
    fan_out, own_charge = jnp.minimum(targets[:n], wires.gain.shape[0] - 1).T, wires.charge[:n].T
    names = [*cells.names, "AHP"][: wires.gain.shape[0] // n]
    decay = wires.decay.reshape(-1, n)
    # A column of signs for each way in which a current acts: a sum vectorises where a choice of rows does not.
    signs = {act: jnp.asarray([[mine.get(name, 0)] for name in names], dtype) for act, mine in _ACTS.items()}

    def back(k, j, steps, carry):
        lam, held, total = carry
        lam_i = lam["i"].ravel()
        step = {name: _row(value, j) for name, value in steps.items()}
        faded = step["i"] * wires.decay
        spiked = step["left"] >= 0
        sampled = jnp.where((k + 1) % plan.every == 0, _row(given_samples, k // plan.every), 0)
        trace = lam["trace"] + sampled

        def ask(held):
            """What a spike of each neuron would do now."""
            after = _row(steps["i"], j + 1)
            charged = lam_i * wires.gain * after / (after + wires.gain)

            def more(f, total):
                return total + own_charge[f] * charged.at[fan_out[f]].get(mode="promise_in_bounds")

            return jax.lax.fori_loop(0, len(fan_out), more, jnp.zeros_like(held))

        held = jax.lax.cond(((k + 1) % plan.hold == 0) | (k == plan.total - 1), ask, lambda h: h, held)

        def pulses(row, carry):
            """What the pulses of a row received, and the way of the adjoint through them."""
            by_i, by_charge = carry
            at = _row(targets, row)
            mine, gain, fading = (_at(x, at) for x in (lam_i, wires.gain, wires.decay))
            i0, i1 = (steps["i"].at[m, at].get(mode="clip") for m in (j, j + 1))
            i0, ratio = jnp.maximum(i0 * fading, cells.i0), i1 / (i1 + gain)
            received = mine * gain * ratio
            return received, (by_i.at[at].set(mine * ratio * (i0 + gain) / i0, mode="drop"), by_charge)

        def spike(row, carry):
            direct, held, *rest = carry
            received, (by_i, by_charge) = pulses(row, rest)
            held = held.at[row].set(jnp.sum(_row(wires.charge, row) * received))
            direct = direct.at[row].multiply(_faded(plan, step["left"][row]))
            return direct, held, by_i, by_charge.at[row].add(received)

        def event(c, carry):
            received, (by_i, by_charge) = pulses(n + c, carry)
            return by_i, by_charge.at[n + c].add(received * inputs[k, c])

        found = (trace, held, lam_i, total["charge"])
        direct, held, by_i, by_charge = _each(spiked, spike, found)
        if inputs.shape[1]:
            by_i, by_charge = _each(inputs[k] > 0, event, (by_i, by_charge))
        direct = direct + jnp.where(k >= plan.start, given_counts, 0)
        by_over = (held + direct) * step["steep"] + jnp.where(peak_at == k, given_peak, 0)
        by_new = jnp.where(spiked, 0, lam["u"]) + by_over
        # In two dimensions: a CPU is ten times slower where it has to find the neuron of each of D · N currents.
        by_new = _once(k, by_new)
        by_start = by_i.reshape(-1, n) + sum(sign * (step[act] * by_new) for act, sign in signs.items())
        by_start = jnp.where(faded.reshape(-1, n) > cells.i0, by_start, 0)
        total = total | {"charge": by_charge}
        if wanted.devices:
            part, before = jnp.clip(1 - step["rest"], 0, 1), jnp.maximum(faded, cells.i0)
            after = _row(steps["i"], j + 1)
            _, pull = jax.vjp(lambda c: advance(c, step["u"], *_split(cells, before), part, plan.dt), cells)
            total |= {
                "cells": jax.tree.map(jnp.add, total["cells"], pull(by_new)[0]),
                "decay": total["decay"] + by_start.ravel() * step["i"],
                "gain": total["gain"] + (lam_i * after - by_i * before) / wires.gain,
                "u_spike": total["u_spike"] - by_over,
                "u_reset": total["u_reset"] + jnp.where(spiked, lam["u"], 0),
            }
        return {"u": step["by_u"] * by_new, "i": by_start * decay, "trace": trace * plan.fade}, held, total

    def piece(p, carry):
        p = _pieces(plan) - 1 - p
        first = p * plan.piece
        count = jnp.minimum(plan.piece, plan.total - first)
        state = {name: value[p] for name, value in saved.items()}
        carry, room = carry
        room = _again(plan, cells, wires, targets, inputs, state, first, count, room)
        steps = room | _slopes(plan, cells, wires, names, room)

        def one(j, carry):
            j = count - 1 - j
            return back(first + j, j, steps, carry)

        return jax.lax.fori_loop(0, count, one, carry), room

    lam = {"u": zero, "i": jnp.zeros_like(decay), "trace": zero}
    total: dict[str, Any] = {"charge": jnp.zeros_like(wires.charge)}
    others = {
        "cells": jax.tree.map(jnp.zeros_like, cells), "decay": jnp.zeros_like(wires.decay),
        "gain": jnp.zeros_like(wires.gain), "u_spike": zero, "u_reset": zero,
    }  # fmt: skip
    carry = (lam, zero, total | (others if wanted.devices else {})), _room(plan, cells, wires)
    (lam, _, total), _ = jax.lax.fori_loop(0, _pieces(plan), piece, carry)
    charge = jnp.where(targets < wires.gain.shape[0], total["charge"], 0)
    total = others | total
    by_wires = Wires(total["decay"], total["gain"], charge, total["u_spike"], total["u_reset"] + lam["u"], zero)
    return total["cells"], by_wires, None, None


run.defvjp(_forward_saving, _backward, symbolic_zeros=True)
