"""The step of a Rosenbrock method with a derivative that stays right through spikes: phase transport.

Differentiating an adaptive solver gives, at a fixed time inside a spike, tangents δy ≈ f τ that are huge and must
cancel afterwards; the solver controls the error of y, not of that cancellation. So the part of δy that is a shift in
time is carried analytically. For a constant diagonal matrix T = diag(τ_i), one phase τ a state, write δy = η + T f.
Then, with J = ∂f/∂y,

    dη/dt = J δy + (∂f/∂p) δp - T df/dt = J η + (J T - T J) f - T ∂f/∂t + (∂f/∂p) δp

so that η is the tangent of the same step applied to the field f + φ. This is exact for any T, with φ = J T u - T (J u +
∂f/∂t) a function of time and state, where u is the interpolant's dy/dt. At every step T is chosen anew (`_phases`) such
that η and φ stay small. The trajectory itself is untouched. The proof is in docs/gradients.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Segment, System, Topology, Wiring
from ._elimination import factor, inverted
from ._field import by_inputs, linearisation, stage_rate
from ._rosenbrock import Step, interpolated_slope, looped_step, rosenbrock_step
from ._tableaus import Tableau

# A state that moves slower than this (V/s) has no phase worth speaking of.
STILL = 1e-2
# How much more what φ adds to η counts than η itself. Measured at late spikes with 1e3 and 1e5: a pair is 5.4e-4
# off with either, two synchronised cells 4.5e-3, a driven neuron 3.6e-4 and 1.0e-4, two that inhibit each other 2.5e-3
# and 4.4e-3.
TIE = 1e3


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


class Frame(NamedTuple):
    """What a step does to tangents: everything that does not depend on them."""

    f: Any  # [state]: dy/dt at the start
    phases: Any  # [state, state]: the phases are this times δy, and a part that the parameters force
    by_eta: Any  # [stage, state, state]: what η at the start adds to a stage's rate, besides what it does to its state
    by_tau: Any  # [stage, state, state]: φ, of the phases
    slopes: Any  # [stage, state, state]: of M dy/dt at each stage
    inverse: Any  # [state, state]: of the step's matrix
    h: Any
    end: Any  # [state]: dy/dt at the end


class Taken(NamedTuple):
    """A step as it was taken: what the derivatives by the parameters are worked out along.

    `states [stage, state]` at `late` (s) after the start are those of the stages from the second one on, and the end;
    `increments [stage, state]` all U_i; `sources` what `_phases` wants to know.
    """

    late: Any
    states: Any
    increments: Any
    sources: tuple[Any, ...]


class Forced(NamedTuple):
    """What the parameters add to the tangents of a step: to the rates `[stage, state]`, and to the phases `[state]`."""

    rates: Any
    tau: Any


class Moved(NamedTuple):
    """The tangents of a step: η at its start and end, the increments' `[stage, state]`, τ, and δy at the end."""

    start: Any
    end: Any
    increments: Any
    tau: Any
    after: Any


def frame_of(
    topology: Topology, tableau: Tableau, parts: System, line: Segment, y: Any, t: Any, h: Any
) -> tuple[Frame, Taken, Step]:
    """What the step of length h from y does to tangents, and the step itself."""
    mass, inverse = parts.mass, parts.inverse_mass
    late = np.append(tableau.alpha[1:], 1.0) * h  # the stages after the first, and the end

    def slopes_at(y: Any, t: Any) -> Any:
        return linearisation(topology, parts, line, t, y)

    first = slopes_at(y, t)
    _, slope, by_t = first
    matrix = inverted(topology.levels, mass / (h * tableau.gamma) - slope)
    rate = stage_rate(topology, parts, line, t)
    done = looped_step(tableau, y, h, mass, by_t, rate, matrix)
    f = inverse @ first[0]
    states = jnp.concatenate([done.stages[1:], done.y1[None]])
    total, slopes, by_times = jax.vmap(lambda s, a: slopes_at(s, t + a))(states, late)
    slopes = jnp.concatenate([slope[None], slopes])
    velocity = total @ inverse.T
    sources = jnp.concatenate([f[None], velocity]), inverse @ slopes, h, by_times @ inverse.T
    known, by_y, _, moving = sources
    units = np.eye(len(topology.states))
    phases = jax.vmap(lambda e: _phases(known, by_y, h, e, moving, jnp.zeros_like(moving)), out_axes=1)(units)
    # M φ at each stage, of τ: J (τ y') - M (τ (J y' + ∂f/∂t)), a function of state and time. Its dy/dt is a function of
    # time, that of the interpolant: at a stage, f is off by J times the stage's own error, which is anything where a
    # node is stiff.
    theta = jnp.asarray(np.array([0.0, *tableau.alpha[1:]]))[:, None]
    along = interpolated_slope(y, done.y1, done.dense, theta) / h
    push = jnp.einsum("sij,sj->si", slopes[:-1], along) + jnp.concatenate([by_t[None], by_times[:-1]])
    phi = slopes[:-1] * along[:, None, :] - mass * (push @ inverse.T)[:, None, :]
    # Its derivatives at the start by time and, along every increment, by the state, from those of ∂(M f)/∂y and
    # ∂(M f)/∂t; along every increment, what η does to the first of them is the same with η in place of τ y'.
    ways = jnp.stack([*done.increments, jnp.zeros_like(y), along[0]]), np.append(np.zeros(tableau.stages), (1.0, 1.0))
    _, (_, bent, turned) = jax.vmap(lambda dy, dt: jax.jvp(slopes_at, (y, t), (dy, dt)))(*ways)
    by_increments, in_time, in_all = bent[:-2], bent[-2], bent[-1]
    second = inverse @ push[0]
    third = inverse @ (slope @ second + turned[-1])
    phi_by_t = in_time * along[0] + slope * second - mass * third
    phi_by_y = by_increments * along[0] - mass * (done.increments @ (inverse @ in_all).T)[:, None, :]
    lag = (h * tableau.gammas)[:, None, None]
    frame = Frame(
        f, phases, by_increments + lag * in_time, phi + lag * phi_by_t + phi_by_y, slopes[:-1], matrix, h,
        velocity[-1],
    )  # fmt: skip
    return frame, Taken(late, states, done.increments, sources), done


def forced(
    topology: Topology, tableau: Tableau, wiring: Wiring, numbers: System, line: Segment, y: Any, t: Any, taken: Taken,
    d_numbers: System, d_line: Segment,
) -> Forced:  # fmt: skip
    """What changes of the numbers and of the inputs add to a step's tangents; linear in them."""
    parts = whole(numbers, wiring)
    late, states, u, (known, by_y, h, moving) = taken

    def later(numbers: System, late: Any, y: Any) -> Any:
        return stage_rate(topology, whole(numbers, wiring), line, t)(late, y)

    by_line = jax.vmap(lambda s, a: by_inputs(topology, parts, line, d_line, t + a, s))(states, late)
    tau = _phases(known, by_y, h, jnp.zeros_like(y), moving, by_line @ parts.inverse_mass.T)
    _, (first, slope, by_t) = jax.jvp(
        lambda n, line: linearisation(topology, whole(n, wiring), line, t, y), (numbers, line), (d_numbers, d_line)
    )
    _, rest = jax.jvp(lambda n: jax.vmap(lambda a, y: later(n, a, y))(late[:-1], states[:-1]), (numbers,), (d_numbers,))
    mass = d_numbers.mass
    rates = jnp.concatenate([first[None], rest + by_line[:-1]]) + (h * tableau.gammas)[:, None] * by_t
    rates = rates + u @ (slope - mass / (h * tableau.gamma)).T + (tableau.c @ u / h) @ mass.T
    return Forced(rates, tau)


def moved(tableau: Tableau, mass: Any, frame: Frame, given: Forced, d_y: Any) -> Moved:
    """The tangents of a step from δy at its start; linear in it and in what the parameters force."""
    tau = frame.phases @ d_y + given.tau
    eta = d_y - tau * frame.f
    push = frame.by_eta @ eta + frame.by_tau @ tau + given.rates

    def take(d_u: Any, row: Any) -> tuple[Any, Any]:
        i, a, c, push, slope = row
        d_stage = eta + a @ d_u
        return d_u.at[i].set(frame.inverse @ (push + slope @ d_stage + mass @ (c @ d_u / frame.h))), d_stage

    rows = np.arange(tableau.stages), tableau.a, tableau.c, push, frame.slopes
    d_u, d_stages = jax.lax.scan(take, jnp.zeros((tableau.stages, len(d_y))), rows)
    end = d_stages[-1] + d_u[-1]
    return Moved(eta, end, d_u, tau, end + tau * frame.end)


@lru_cache(maxsize=64)
def transported_step(
    topology: Topology, tableau: Tableau
) -> Callable[[Wiring, System, Segment, Any, Any, Any], Transported]:
    """The step `(wiring, numbers, line, y, t, h) → Transported`; `numbers` is a `System` without its wiring."""

    def undisturbed(done: Step, y: Any) -> Transported:
        return Transported(y, done.y1, done.dense, jnp.zeros_like(y), done.y1, done.error)

    @jax.custom_jvp
    def step(wiring: Wiring, numbers: System, line: Segment, y: Any, t: Any, h: Any) -> Transported:
        parts = whole(numbers, wiring)
        first, rate = linearisation(topology, parts, line, t, y), stage_rate(topology, parts, line, t)
        return undisturbed(rosenbrock_step(tableau, y, h, parts.mass, first, rate, partial(factor, topology.levels)), y)

    @step.defjvp
    def step_jvp(primals: Any, tangents: Any) -> Any:
        wiring, numbers, line, y, t, h = primals
        _, d_numbers, d_line, d_y, d_t, d_h = tangents
        frame, taken, done = frame_of(topology, tableau, whole(numbers, wiring), line, y, t, h)
        given = forced(topology, tableau, wiring, numbers, line, y, t, taken, d_numbers, d_line)
        # A step that begins later begins with what the state was before: nothing else of it moves.
        d = moved(tableau, numbers.mass, frame, given, d_y - frame.f * d_t)
        dense = tuple(row @ d.increments for row in tableau.dense)
        after = d.after + (d_t + d_h) * frame.end
        return undisturbed(done, y), Transported(d.start, d.end, dense, d.tau, after, jnp.zeros_like(done.error))

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
    driven = by_t * follows[1:]
    own = f[0] ** 2 + STILL**2 + TIE * jnp.sum(driven**2, axis=0)
    known = f[0] * d_y + TIE * jnp.sum(driven * (pushed * follows[1:]), axis=0)
    return _inverse_of_tied(own, tie) @ known


def _inverse_of_tied(own: Any, tie: Any) -> Any:
    """The inverse of diag(own + Σ_j tie_ij) - tie, each entry to a few roundings however far the numbers lie apart.

    Just before a spike a membrane moves by 60 V/s, and ties are 10²¹ (V/s)²: in the sum of both the membrane's own part
    would be lost, and with it what its phase is. So the two are kept apart, and eliminated without a subtraction, in
    the way of Grassmann, Taksar and Heyman (Operations Research 33, 1985; for inverses: Alfa, Xue and Ye, Mathematics
    of Computation 71, 2002).
    """
    n = own.shape[0]
    order = jnp.arange(n)

    def row(k: Any, own: Any, tie: Any) -> tuple[Any, Any]:
        left = jnp.where(order > k, tie[k], 0.0)
        return left, own[k] + jnp.sum(left)

    def eliminate(k: Any, given: Any) -> Any:
        own, tie, known = given
        left, pivot = row(k, own, tie)
        share = left / pivot
        return own + share * own[k], tie + share[:, None] * left, known + share[:, None] * known[k]

    def resolve(back: Any, found: Any) -> Any:
        k = n - 1 - back
        left, pivot = row(k, own, tie)
        return found.at[k].set((known[k] + left @ found) / pivot)

    own, tie, known = jax.lax.fori_loop(0, n, eliminate, (own, tie, jnp.eye(n)))
    return jax.lax.fori_loop(0, n, resolve, jnp.zeros((n, n)))


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
