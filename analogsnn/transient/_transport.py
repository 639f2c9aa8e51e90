"""The step of a Rosenbrock method with a derivative that stays right through spikes: phase transport.

Differentiating an adaptive solver gives, at a fixed time inside a spike, tangents δy ≈ f τ that are huge and must
cancel afterwards; the solver controls the error of y, not of that cancellation. So the part of δy that is a shift in
time is carried analytically. For a constant diagonal matrix T = diag(τ_i), one phase τ a state, write δy = η + T f.
Then, with J = ∂f/∂y,

    dη/dt = J δy + (∂f/∂p) δp - T df/dt = J η + (J T - T J) f - T ∂f/∂t + (∂f/∂p) δp

so that η is the tangent of the same step applied to the field f + φ. This is exact for any T, with φ = J T dy/dt -
T d²y/dt² a function of time along the trajectory. At every step T is chosen anew (`_phases`) such that η and φ stay
small. The trajectory itself is untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Segment, System, Topology, Wiring
from ._elimination import factor
from ._field import by_inputs, linearisation, stage_rate
from ._rosenbrock import Step, interpolated_slope, rosenbrock_step, weighted
from ._tableaus import Tableau

# A state that moves slower than this (V/s) has no phase worth speaking of.
STILL = 1e-2
# How much more what φ adds to η counts than η itself. Measured at a coupled pair: with 1, phases follow what is no
# shift in time at all and errors are ten times as large; with 100, twice as large; beyond 1e4 nothing changes but for
# neurons that spike at once, which then share a phase.
TIE = 1e4
# Share of its ties by which a state's phase is held near zero, so that the equations for the phases keep full rank.
HELD = 1e-13


class Transported(NamedTuple):
    """A step. In value `start` is y, `after` is `end`, and `shift` is zero; their derivatives differ.

    - `start`, `end`, `dense`: the interpolant y(t + θh), with derivatives η: at a time that moves along with the phase.
    - `shift`: its derivative is that phase, τ of each state, in s: y(t + θh) + shift dy/dt has the derivative at a
      fixed time.
    - `after`: the state at the end, with its derivative at a fixed time.
    """

    start: Any
    end: Any
    dense: tuple[Any, ...]
    shift: Any
    after: Any
    error: Any


@lru_cache(maxsize=64)
def transported_step(
    topology: Topology, tableau: Tableau
) -> Callable[[Wiring, System, Segment, Any, Any, Any], Transported]:
    """The step `(wiring, numbers, line, y, t, h) → Transported`; `numbers` is a `System` without its wiring."""

    def plain(parts: System, line: Segment, y: Any, t: Any, h: Any, first: Any, solve: Any) -> Any:
        rate = stage_rate(topology, parts, line, t)
        return rosenbrock_step(tableau, y, h, parts.mass, first, rate, lambda _: solve)

    def solver(parts: System, slope: Any, h: Any) -> Any:
        return factor(topology.levels, parts.mass / (h * tableau.gamma) - slope)

    @jax.custom_jvp
    def step(wiring: Wiring, numbers: System, line: Segment, y: Any, t: Any, h: Any) -> Transported:
        parts = whole(numbers, wiring)
        first = linearisation(topology, parts, line, t, y)
        done = plain(parts, line, y, t, h, first, solver(parts, first[1], h))
        return Transported(y, done.y1, done.dense, jnp.zeros_like(y), done.y1, done.error)

    @step.defjvp
    def step_jvp(primals: Any, tangents: Any) -> Any:
        wiring, numbers, line, y, t, h = primals
        _, d_numbers, d_line, d_y, d_t, d_h = tangents
        parts = whole(numbers, wiring)
        mass, inverse = parts.mass, parts.inverse_mass
        late = np.append(tableau.alpha[1:], 1.0) * h  # the stages after the first, and the end

        def slopes_at(numbers: System, line: Segment, y: Any, t: Any) -> Any:
            return linearisation(topology, whole(numbers, wiring), line, t, y)

        def later(numbers: System, line: Segment, late: Any, y: Any) -> Any:
            return stage_rate(topology, whole(numbers, wiring), line, t)(late, y)

        first = slopes_at(numbers, line, y, t)
        _, slope, by_t = first
        solve = solver(parts, slope, h)
        done = plain(parts, line, y, t, h, first, solve)
        f = inverse @ first[0]
        # A step that begins later begins with what the state was before: nothing else of it moves.
        d_y = d_y - f * d_t
        states = jnp.stack([*done.stages[1:], done.y1])
        total, slopes, by_times = jax.vmap(lambda s, a: slopes_at(numbers, line, s, t + a))(states, late)

        def at_line(y: Any, t: Any) -> Any:
            return by_inputs(topology, parts, line, d_line, t, y)

        by_line = jnp.concatenate([at_line(y, t)[None], jax.vmap(lambda s, a: at_line(s, t + a))(states, late)])
        _, by_numbers = jax.jvp(
            lambda n: jax.vmap(lambda a, y: later(n, line, a, y))(late, states), (numbers,), (d_numbers,)
        )
        slopes = jnp.concatenate([slope[None], slopes])
        velocity = total @ inverse.T
        sources = by_times @ inverse.T, by_line[1:] @ inverse.T
        tau = _phases(jnp.concatenate([f[None], velocity]), inverse @ slopes, h, d_y, *sources)
        eta = d_y - tau * f
        # M φ in time, `[stage, state]`. dy/dt is that of the interpolant: at a stage, f is off by J times the stage's
        # own error, which is anything where a node is stiff.
        theta = jnp.asarray(np.array([0.0, *tableau.alpha[1:], 1.0]))[:, None]
        along = interpolated_slope(y, done.y1, done.dense, theta) / h
        push = jnp.einsum("sij,sj->si", slopes, along) + jnp.concatenate([by_t[None], by_times])
        phi = jnp.einsum("sij,sj->si", slopes, tau * along) - (tau * (push @ inverse.T)) @ mass.T
        # Its derivative at the start, from those of ∂(M f)/∂y and ∂(M f)/∂t along the trajectory
        _, (_, d_slope, d_by) = jax.jvp(
            lambda y, t: slopes_at(numbers, line, y, t), (y, t), (along[0], jnp.ones(()))
        )  # fmt: skip
        second = inverse @ push[0]
        third = inverse @ (d_slope @ along[0] + slope @ second + d_by)
        phi_by_t = d_slope @ (tau * along[0]) + slope @ (tau * second) - mass @ (tau * third)
        # What moved edges do is a function of time likewise, so that a phase that is theirs cancels it.
        _, line_by_t = jax.jvp(at_line, (y, t), (along[0], jnp.ones(())))
        # The tangent of the step for the field f + φ
        _, (d_first, d_slope, d_by_t) = jax.jvp(lambda n, y: slopes_at(n, line, y, t), (numbers, y), (d_numbers, eta))
        d_mass = d_numbers.mass
        d_matrix = (d_slope - d_mass / (h * tableau.gamma)) @ jnp.stack(done.increments, axis=1)
        d_u: list[Any] = []
        d_stage = eta
        for i in range(tableau.stages):
            d_stage = weighted(eta, tableau.a[i], d_u)
            d_rate = phi[i] + by_line[i] + (d_first if i == 0 else by_numbers[i - 1] + slopes[i] @ d_stage)
            if tableau.gammas[i]:
                d_rate = d_rate + (h * tableau.gammas[i]) * (d_by_t + phi_by_t + line_by_t)
            if i:
                d_rate = d_rate + mass @ (weighted(0.0, tableau.c[i], d_u) / h)
                d_rate = d_rate + d_mass @ (weighted(0.0, tableau.c[i], list(done.increments)) / h)
            d_u.append(solve(d_rate + d_matrix[:, i]))
        d_y1 = d_stage + d_u[-1]
        d_dense = tuple(weighted(0.0, row, d_u) for row in tableau.dense)
        value = Transported(y, done.y1, done.dense, jnp.zeros_like(y), done.y1, done.error)
        after = d_y1 + (tau + d_t + d_h) * velocity[-1]
        return value, Transported(eta, d_y1, d_dense, tau, after, jnp.zeros_like(done.error))

    return step


def _phases(f: Any, by_y: Any, h: Any, d_y: Any, by_t: Any, pushed: Any) -> Any:
    """The phase of each state, `[state]` in s, linear in δy: least squares of η and of what φ adds to it.

    State i follows state j by v_ij = h J_ij f_j/(1 + h |J_ii|) in a step, and takes from it a tangent of v_ij times the
    difference of their phases. So with r the ratio of the two,

        Σ_i (δy_i - τ_i f_i)² + r Σ_ij v_ij² (τ_i - τ_j)² + r Σ_i (v_i τ_i - w_i)²  is smallest,

    where v_i = h (∂f/∂t)_i/(1 + h |J_ii|) is how it follows the sources, and w_i the same of what their own derivatives
    do to its velocity: a state that follows an edge has the edge's phase, which is zero unless the edge itself moves.

    A neuron's states are tied to one another wherever one of them moves, and what a synapse does while it is driven to
    the neuron that drives it; states that nothing connects have phases that know nothing of each other.

    **Arguments**: at the start, the stages and the end of the step, since what is at rest at its start may follow
    something before its end: `f [stage, state]` and `by_y [stage, state, state]`, velocities and ∂f/∂y; without the
    start, `by_t` and `pushed [stage, state]`, ∂f/∂t and the derivative of f by the sources times theirs. `d_y [state]`:
    δy at the start.
    """
    follows = h / (1 + h * jnp.abs(jnp.diagonal(by_y, axis1=1, axis2=2)))
    pull = jnp.max(jnp.abs(by_y * f[:, None, :] * follows[:, :, None]), axis=0) * (1 - np.eye(f.shape[1]))
    tie = TIE * (pull**2 + pull.T**2)
    tied = jnp.sum(tie, axis=1)
    driven = by_t * follows[1:]
    own = f[0] ** 2 + STILL**2 + HELD * tied + TIE * jnp.sum(driven**2, axis=0)
    known = f[0] * d_y + TIE * jnp.sum(driven * (pushed * follows[1:]), axis=0)
    return jnp.linalg.solve(jnp.diag(own + tied) - tie, known)


def with_one_phase(
    take: Callable[..., Step], velocity: Callable[..., Any]
) -> Callable[[Any, Any, Any, Any, Any], Transported]:
    """The transported step `(fixed, numbers, y, t, h) → Transported` of any equation, with one phase for all states:
    then J T = T J, and what is left of φ, - τ ∂f/∂t, is the same step taken τ earlier.

    **Arguments**: `take(fixed, numbers, y, t, h)`: a step; `velocity(fixed, numbers, y, t)`: dy/dt; both are pure, and
    `fixed` has no derivatives.
    """

    def undisturbed(done: Step, y: Any) -> Transported:
        return Transported(y, done.y1, done.dense, jnp.zeros_like(y), done.y1, done.error)

    @jax.custom_jvp
    def step(fixed: Any, numbers: Any, y: Any, t: Any, h: Any) -> Transported:
        return undisturbed(take(fixed, numbers, y, t, h), y)

    @step.defjvp
    def step_jvp(primals: Any, tangents: Any) -> Any:
        fixed, numbers, y, t, h = primals
        _, d_numbers, d_y, d_t, d_h = tangents
        f = velocity(fixed, numbers, y, t)
        d_y = d_y - f * d_t
        tau = jnp.sum(f * d_y) / (jnp.sum(f * f) + STILL**2)
        eta = d_y - tau * f
        done, d_done = jax.jvp(lambda n, y, t: take(fixed, n, y, t, h), (numbers, y, t), (d_numbers, eta, -tau))
        after = d_done.y1 + (tau + d_t + d_h) * velocity(fixed, numbers, done.y1, t + h)
        shift = jnp.full_like(y, tau)
        moving = Transported(eta, d_done.y1, d_done.dense, shift, after, jnp.zeros_like(done.error))
        return undisturbed(done, y), moving

    return step


def whole(numbers: System, wiring: Wiring) -> System:
    """A system with its wiring in place."""
    return numbers._replace(currents=numbers.currents._replace(wiring=wiring))


def without_wiring(parts: System) -> System:
    """The numbers of a system: what has derivatives."""
    return parts._replace(currents=parts.currents._replace(wiring=None))
