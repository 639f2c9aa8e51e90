r"""Surrogate gradients event by event: what `stepped` computes on matrices, for networks whose synapses are few.

Forwards only neurons that spike touch their targets. Backwards a spike's derivative needs the sum over all targets of a
neuron, at every step, for every neuron that might have spiked: on matrices nearly all of the cost. Here the surrogate
ends `reach` e-folds from the threshold, and only neurons within it collect from their targets (sparse spiking
gradients: Perez-Nieves & Goodman 2021, arXiv:2105.08810). Weights of synapses move with the spikes that there were.

States are stored at the begin of every piece of steps, and a piece is computed again on the way back: with pieces of
$\sqrt T$ steps, memory is that of some $2\sqrt T$ of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..errors import InputError
from ._exact import membrane_slope
from ._stepping import on_phase

WAIT = 20e-3  # s: a membrane that stands still below its threshold counts as if it would rise by an e-fold in this time


class Plan(NamedTuple):
    """What a compiled run is made for: steps, those of a piece, between samples, before the counts; the surrogate."""

    total: int
    piece: int
    every: int
    start: int
    dt: float
    fade: float
    sharpness: float
    reach: float


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
    """All DPIs in one row, D · N of them (the adaptation last) and a sink, and what the sources do to them.

    `decay`: factor of a step, `gain`: pA, [D · N + 1]; `charge`: dimensionless, [S, F].
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
    u_new = jnp.maximum(u + slope * dt * part / (1 - x * (0.5 - x / 12)), jnp.log(jnp.asarray(cells.i0, u.dtype)))
    return jnp.where(part > 0, u_new, u)


def density(over: jax.Array, way: jax.Array, dt: float, sharpness: float, reach: float) -> jax.Array:
    """The surrogate derivative of a spike by u: a crossing weighs the same at any step (see `_surrogate`)."""
    value = 0.5 * sharpness * (way + dt / WAIT) / (1 + sharpness * jnp.abs(over)) ** 2
    return jnp.where(jnp.abs(over) <= reach, value, 0)


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
    n, dtype = cells.i_leak.shape[0], wires.u_spike.dtype
    return {
        "u": wires.u_reset, "rest": jnp.zeros(n, dtype), "i": jnp.full(wires.gain.shape, cells.i0, dtype),
        "trace": jnp.zeros(n, dtype),
    }  # fmt: skip


def _split(cells: Cells, i: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Synaptic currents [K, N] and adaptation [N] above the floor."""
    k, n = len(cells.names), cells.i_leak.shape[0]
    above = i[:-1].reshape(-1, n) - cells.i0
    return above[:k], above[k] if len(above) > k else jnp.zeros_like(cells.i_leak)


def _each(active: jax.Array, body, carry):
    """`body(index, carry)` for every index that is active."""

    def one(loop):
        active, carry = loop
        index = jnp.argmax(active).astype(jnp.int32)
        return active.at[index].set(False), body(index, carry)

    return jax.lax.while_loop(lambda loop: jnp.any(loop[0]), one, (active, carry))[1]


def _step(plan: Plan, cells: Cells, wires: Wires, targets, x, state):
    """One step: the state after it, and what became of the membranes."""
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
    i, spiked, left, over = jax.lax.optimization_barrier((i, spiked, left, over))

    def deliver(row, times, i):
        at = jax.lax.dynamic_index_in_dim(targets, row, keepdims=False)
        charge = jax.lax.dynamic_index_in_dim(wires.charge, row, keepdims=False)
        gain = wires.gain[at]
        return i.at[at].set(on_phase(i[at] / gain, charge * times) * gain, mode="promise_in_bounds")

    if inputs_of(x):
        i = _each(x > 0, lambda c, i: deliver(n + c, x[c], i), i)

    def fire(j, carry):
        i, trace = carry
        return deliver(j, 1, i), trace.at[j].add(plan.fade ** jnp.clip(left[j], 0, 1))

    i, trace = _each(spiked, fire, (i, state["trace"] * plan.fade))
    return {"u": jnp.where(spiked, wires.u_reset, u_new), "rest": rest, "i": i, "trace": trace}, (spiked, over)


def inputs_of(x: jax.Array) -> bool:
    """Whether there are input channels."""
    return x.shape[0] > 0


def _pieces(plan: Plan) -> int:
    return -(-plan.total // plan.piece)


def _forward(plan: Plan, cells: Cells, wires: Wires, targets, inputs):
    n, dtype = cells.i_leak.shape[0], wires.u_spike.dtype
    state = _begin(cells, wires)
    saved = {k: jnp.zeros((_pieces(plan), *v.shape), dtype) for k, v in state.items() if k != "trace"}
    found = {
        "counts": jnp.zeros(n, dtype), "peak": jnp.full(n, -jnp.inf, dtype), "peak_at": jnp.full(n, -1, jnp.int32),
        "samples": jnp.zeros((plan.total // plan.every, n), dtype),
    }  # fmt: skip

    def one(k, carry):
        state, saved, found = carry
        saved = jax.lax.cond(
            k % plan.piece == 0,
            lambda s: {key: s[key].at[k // plan.piece].set(state[key]) for key in s},
            lambda s: s,
            saved,
        )
        state, (spiked, over) = _step(plan, cells, wires, targets, inputs[k], state)
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
        return state, saved, found

    _, saved, found = jax.lax.fori_loop(0, plan.total, one, (state, saved, found))
    return (found["samples"], found["counts"], found["peak"]), (saved, found["peak_at"])


def _forward_saving(plan: Plan, cells: Cells, wires: Wires, targets, inputs):
    out, kept = _forward(plan, cells, wires, targets, inputs)
    return out, (cells, wires, targets, inputs, *kept)


def _backward(plan: Plan, kept, given):
    cells, wires, targets, inputs, saved, peak_at = kept
    given_samples, given_counts, given_peak = given
    n, dtype = cells.i_leak.shape[0], wires.u_spike.dtype
    zero = jnp.zeros(n, dtype)

    def again(first, count):
        """The states at the begin of every step of a piece, and after its last one."""
        state = {k: v[first // plan.piece] for k, v in saved.items()} | {"trace": zero}
        steps = {k: jnp.zeros((plan.piece + 1, *v.shape), dtype) for k, v in state.items() if k != "trace"}

        def one(j, carry):
            state, steps = carry
            steps = {k: v.at[j].set(state[k]) for k, v in steps.items()}
            state, _ = _step(plan, cells, wires, targets, inputs[first + j], state)
            return state, steps

        state, steps = jax.lax.fori_loop(0, count, one, (state, steps))
        return {k: v.at[count].set(state[k]) for k, v in steps.items()}

    def back(k, j, steps, carry):
        lam, total = carry
        u, rest, start, after = steps["u"][j], steps["rest"][j], steps["i"][j], steps["i"][j + 1]
        before = jnp.maximum(start * wires.decay, cells.i0)
        part = jnp.clip(1 - rest, 0, 1)
        i, ahp = _split(cells, before)
        u_new, pull = jax.vjp(lambda c, u, i, a: advance(c, u, i, a, part, plan.dt), cells, u, i, ahp)
        over = u_new - wires.u_spike
        spiked = over >= 0
        steep = density(over, jnp.abs(u_new - u), plan.dt, plan.sharpness, plan.reach)
        weight_of = jnp.where(spiked, plan.fade ** jnp.clip(part * over / jnp.maximum(u_new - u, 1e-6), 0, 1), 1)
        trace = lam["trace"] + jnp.where(
            (k + 1) % plan.every == 0, given_samples[jnp.minimum(k // plan.every, len(given_samples) - 1)], 0
        )
        direct = trace * weight_of + jnp.where(k >= plan.start, given_counts, 0)
        ratio = after / (after + wires.gain)
        by_charge = lam["i"] * wires.gain * ratio
        by_before = lam["i"] * ratio * (before + wires.gain) / before
        by_gain = lam["i"] * (after - before * ratio * (before + wires.gain) / before) / wires.gain
        by_charge, direct, steep, spiked = jax.lax.optimization_barrier((by_charge, direct, steep, spiked))

        def gather(row):
            return by_charge[jax.lax.dynamic_index_in_dim(targets, row, keepdims=False)]

        def collect(row, carry):
            by_over, by_weight = carry
            received = gather(row)
            own = jax.lax.dynamic_index_in_dim(wires.charge, row, keepdims=False)
            by_over = by_over.at[row].set((jnp.sum(own * received) + direct[row]) * steep[row])
            return by_over, by_weight.at[row].add(jnp.where(spiked[row], received, 0))

        by_over, by_weight = _each(spiked | (steep > 0), collect, (zero, total["charge"]))
        x = inputs[k]
        if inputs_of(x):
            by_weight = _each(x > 0, lambda c, w: w.at[n + c].add(gather(n + c) * x[c]), by_weight)
        by_over = by_over + jnp.where(peak_at == k, given_peak, 0)
        by_cells, by_u, by_i, by_ahp = pull(jnp.where(spiked, 0, lam["u"]) + by_over)
        rows = [by_i, by_ahp[None]] if wires.gain.shape[0] > by_i.size + 1 else [by_i]
        by_before = by_before + jnp.append(jnp.concatenate(rows).ravel(), jnp.zeros(1, dtype))
        by_before = jnp.where(start * wires.decay > cells.i0, by_before, 0)
        total = {
            "cells": jax.tree.map(jnp.add, total["cells"], by_cells),
            "decay": total["decay"] + by_before * start,
            "gain": total["gain"] + by_gain,
            "charge": by_weight,
            "u_spike": total["u_spike"] - by_over,
            "u_reset": total["u_reset"] + jnp.where(spiked, lam["u"], 0),
        }
        return {"u": by_u, "i": by_before * wires.decay, "trace": trace * plan.fade}, total

    def piece(p, carry):
        first = (_pieces(plan) - 1 - p) * plan.piece
        count = jnp.minimum(plan.piece, plan.total - first)
        steps = again(first, count)
        return jax.lax.fori_loop(
            0, count, lambda j, c: back(first + count - 1 - j, count - 1 - j, steps, c), carry
        )

    lam = {"u": zero, "i": jnp.zeros_like(wires.gain), "trace": zero}
    total = {
        "cells": jax.tree.map(jnp.zeros_like, cells), "decay": jnp.zeros_like(wires.decay),
        "gain": jnp.zeros_like(wires.gain), "charge": jnp.zeros_like(wires.charge), "u_spike": zero, "u_reset": zero,
    }  # fmt: skip
    lam, total = jax.lax.fori_loop(0, _pieces(plan), piece, (lam, total))
    by_wires = Wires(
        total["decay"], total["gain"], total["charge"], total["u_spike"], total["u_reset"] + lam["u"], zero
    )
    return total["cells"], by_wires, None, None


run.defvjp(_forward_saving, _backward)
