"""The step of a Rosenbrock method with a derivative that stays right through spikes: phase transport.

Differentiating an adaptive solver gives, at a fixed time inside a spike, tangents δy ≈ f τ that are huge and must
cancel afterwards; the solver controls the error of y, not of that cancellation. So the part of δy that is a shift in
time is carried analytically. For a constant diagonal matrix T = diag(τ_i), one phase τ a state, write δy = η + T f.
Then, with J = ∂f/∂y,

    dη/dt = J δy + (∂f/∂p) δp - T df/dt = J η + (J T - T J) f - T ∂f/∂t + (∂f/∂p) δp

so that η is the tangent of the same step applied to the field f + φ. This is exact for any T, with φ = J T u - T (J u +
∂f/∂t) a function of time and state, where u is the interpolant's dy/dt. At every step T is chosen anew (`_ties`) such
that η and φ stay small. The trajectory itself is untouched. The proof is in docs/gradients.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._apart import apart
from ..circuit import Entries, Pattern, Segment, System, Topology, Wiring, rows_of_wiring
from ._elimination import factor
from ._field import by_inputs, linearisation, stage_rate
from ._lane_elimination import lane_factor
from ._rosenbrock import Step, interpolated_slope, rosenbrock_step
from ._tableaus import Tableau

# A state that moves slower than this (V/s) has no phase worth speaking of.
STILL = 1e-2
# How much more what φ adds to η counts than η itself. Measured at late spikes with 1e3 and 1e5: a pair is 5.4e-4
# off with either, two synchronised cells 4.5e-3, a driven neuron 3.6e-4 and 1.0e-4, two that inhibit each other 2.5e-3
# and 4.4e-3.
TIE = 1e3
# A step begins at a corner when it lies no further behind it than this part of its length: what rounding leaves.
AT_CORNER = 1e-6


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
    """What steps do to tangents, `[step, …]`: everything that does not depend on them. Of matrices between states that
    share an element the entries, those of `Topology.touching`."""

    f: Any  # [state]: dy/dt at the start
    phases: Any  # [state, state]: the phases are this times δy, and a part that the parameters force
    by_eta: Any  # [stage, entry]: what η at the start adds to a stage's rate, besides what it does to its state
    by_tau: Any  # [stage, entry]: φ, of the phases
    slopes: Any  # [stage, entry]: of M dy/dt at each stage
    inverse: Any  # [state, state]: of the step's matrix
    h: Any
    end: Any  # [state]: dy/dt at the end


class Taken(NamedTuple):
    """Steps as they were taken: what the derivatives by the parameters are worked out along.

    `states [state, stage, step]` at `late [stage, step]` (s) after the start are those of the stages from the second
    one on, and the end, `conductances [3 fet, stage, step]` those of the transistors there; `increments [state, stage,
    step]` all U_i; `felt [state, stage, step]` and `tied [state, state, step]` make the phases of what pushes the
    states, as `_ties` has it.
    """

    late: Any
    states: Any
    conductances: Any
    increments: Any
    felt: Any
    tied: Any


class Forced(NamedTuple):
    """What the parameters add to the tangents of steps: to the rates `[step, stage, state]`, and to the phases
    `[step, state]`."""

    rates: Any
    tau: Any


class Moved(NamedTuple):
    """The tangents of a step: η at its start and end, the increments' `[stage, state]`, τ, and δy at the end."""

    start: Any
    end: Any
    increments: Any
    tau: Any
    after: Any


def lanes_of(topology: Topology, parts: System) -> System:
    """The equations for many steps side by side, steps being the last axis."""
    last = jax.tree.map(lambda a: jnp.asarray(a)[..., None], (parts.currents.fet, parts.currents.linear_x, parts.mass))
    fet, linear, mass = last
    currents = parts.currents._replace(fet=fet, linear_x=Entries.of(topology.touching, linear))
    return parts._replace(currents=currents, mass=Entries.of(topology.touching, mass))


def frames_of(
    topology: Topology, tableau: Tableau, parts: System, line: Segment, y: Any, t: Any, h: Any
) -> tuple[Frame, Taken, Step]:
    """What steps of lengths h from y do to tangents, and the steps themselves.

    **Arguments**: `parts`: the equations; of every step its own `line`, `y [state, step]`, `t` and `h [step]`.
    """
    parts = lanes_of(topology, parts)
    rows = rows_of_wiring(topology)
    if rows is not None:
        # Where each conductance goes is nearly empty, and would be the largest product. Only here: an array is what
        # has a fast transpose.
        parts = whole(parts, parts.currents.wiring._replace(by_conductance=rows.by_conductance))
    mass, inverse, pattern = parts.mass, parts.inverse_mass, parts.mass.pattern
    rise, slope, by_t, _ = _linear(topology, parts, line, t, y)
    jacobian = Entries(pattern, slope)
    solve = lane_factor(topology, mass / (h * tableau.gamma) - jacobian)
    rate = stage_rate(topology, parts, line, t)
    done = rosenbrock_step(tableau, y, h, mass, (rise, jacobian, by_t), rate, lambda _: solve)
    late = np.append(tableau.alpha[1:], 1.0)[:, None] * h  # the stages after the first, and the end
    states, increments = jnp.stack([*done.stages[1:], done.y1], axis=1), jnp.stack(done.increments, axis=1)
    rises, slopes, by_times, conductances = _at_stages(
        lambda line, t, y: _linear(topology, parts, line, t, y), (line,), t + late, states
    )
    rises, slopes = (jnp.concatenate([a[:, None], b], axis=1) for a, b in ((rise, rises), (slope, slopes)))
    velocity = _product(inverse, rises)
    # Behind a corner of the inputs velocities have jumped, and a state's derivative over its new velocity is its phase,
    # while that of the source may be anything: of a pulse's height it runs through the whole ramp.
    weight = jnp.where(t - line.edge < AT_CORNER * h, 1.0, TIE)
    felt, tied = _ties(pattern, inverse, velocity, slopes, h, _product(inverse, by_times), weight)
    # M φ at each stage, of τ: J (τ y') - M (τ (J y' + ∂f/∂t)), a function of state and time. Its dy/dt is a function of
    # time, that of the interpolant: at a stage, f is off by J times the stage's own error, which is anything where a
    # node is stiff.
    slopes = slopes[:, :-1]
    theta = [interpolated_slope(y, done.y1, done.dense, x) / h for x in (0.0, *tableau.alpha[1:])]
    along = jnp.stack(theta, axis=1)
    turn = _product(
        inverse, _sparse(pattern, slopes, along) + jnp.concatenate([by_t[:, None], by_times[:, :-1]], axis=1)
    )
    column, weight = pattern.column, mass.values[:, None]
    phi = slopes * along[column] - weight * turn[column]
    # Its derivatives at the start by time and, along every increment, by the state, from those of ∂(M f)/∂y and
    # ∂(M f)/∂t; along every increment, what η does to the first of them is the same with η in place of τ y'.

    def bent(dy: Any, dt: Any) -> tuple[Any, Any]:
        _, (_, slope, by_t, _) = jax.jvp(
            lambda y, t: _linear(topology, parts, line, t, y), (y, t), (dy, jnp.broadcast_to(dt, t.shape))
        )
        return slope, by_t

    by_increments, _ = jax.vmap(bent, in_axes=(1, None), out_axes=1)(increments, 0.0)
    start, second = along[:, 0], turn[:, 0]
    (in_time, _), (in_all, faster) = bent(jnp.zeros_like(y), 1.0), bent(start, 1.0)
    third = inverse @ (_sparse(pattern, slope, second) + faster)
    phi_by_t = in_time * start[column] + slope * second[column] - mass.values * third[column]
    turned = _product(inverse, _sparse(pattern, in_all[:, None], increments))
    phi_by_y = by_increments * start[column][:, None] - weight * turned[column]
    lag = tableau.gammas[:, None] * h
    by_eta = by_increments + lag * in_time[:, None]
    by_tau = phi + lag * phi_by_t[:, None] + phi_by_y
    units = jnp.broadcast_to(np.eye(len(y))[:, :, None], (*np.shape(tied)[:2], len(h)))
    frame = Frame(
        velocity[:, 0].T, (tied * velocity[:, 0]).transpose(2, 0, 1), by_eta.T, by_tau.T, slopes.T,
        jax.vmap(solve)(units).transpose(2, 1, 0), h, velocity[:, -1].T,
    )  # fmt: skip
    return frame, Taken(late, states, conductances, increments, felt, tied), done


def forced(
    topology: Topology, tableau: Tableau, wiring: Wiring, numbers: System, line: Segment, y: Any, t: Any, h: Any,
    taken: Taken, d_numbers: System, d_line: Segment,
) -> Forced:  # fmt: skip
    """What changes of the numbers and of the inputs add to the tangents of steps; linear in them."""
    parts = lanes_of(topology, whole(numbers, wiring))
    late, states, conductances, u, felt, tied = taken

    def at_start(numbers: System, line: Segment) -> tuple[Any, Any, Any]:
        return _linear(topology, lanes_of(topology, whole(numbers, wiring)), line, t, y)[:3]

    def at_stages(numbers: System) -> Any:
        parts = lanes_of(topology, whole(numbers, wiring))
        return _at_stages(
            lambda line, t, y: stage_rate(topology, parts, line, t)(0.0, y), (line,), t + late[:-1], states[:, :-1]
        )

    by_line = _at_stages(partial(by_inputs, topology, parts), (line, d_line), t + late, states, conductances)
    tau = jnp.sum(tied * jnp.sum(felt * _product(parts.inverse_mass, by_line), axis=1), axis=1)
    _, (first, slope, by_t) = jax.jvp(at_start, (numbers, line), (d_numbers, d_line))
    _, rest = jax.jvp(at_stages, (numbers,), (d_numbers,))
    mass = lanes_of(topology, whole(d_numbers, wiring)).mass
    rates = jnp.concatenate([first[:, None], rest + by_line[:, :-1]], axis=1)
    rates = rates + tableau.gammas[:, None] * h * by_t[:, None]
    change = (slope - mass.values / (h * tableau.gamma))[:, None] * u[mass.pattern.column]
    change = change + (mass.values / h)[:, None] * jnp.einsum("ij,njs->nis", tableau.c, u)[mass.pattern.column]
    return Forced((rates + _product(_row_sums(mass.pattern), change)).transpose(2, 1, 0), tau.T)


def moved(topology: Topology, tableau: Tableau, mass: Any, frame: Frame, given: Forced, d_y: Any) -> Moved:
    """The tangents of a step from δy at its start; linear in it and in what the parameters force."""
    pattern = Pattern(topology.touching)
    rows, columns = _row_sums(pattern), (np.arange(pattern.shape[1]) == pattern.column[:, None]).astype(float)
    tau = frame.phases @ d_y + given.tau
    eta = d_y - tau * frame.f
    push = (frame.by_eta * (columns @ eta) + frame.by_tau * (columns @ tau)) @ rows.T + given.rates

    def take(d_u: Any, row: Any) -> tuple[Any, Any]:
        i, a, c, push, slope = row
        d_stage = eta + a @ d_u
        bent = rows @ (slope * (columns @ d_stage))
        return d_u.at[i].set(frame.inverse @ (push + bent + mass @ (c @ d_u / frame.h))), d_stage

    steps = np.arange(tableau.stages), tableau.a, tableau.c, push, frame.slopes
    d_u, d_stages = jax.lax.scan(take, jnp.zeros((tableau.stages, len(d_y))), steps)
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
        first, rate = linearisation(topology, parts, line, t, y)[:3], stage_rate(topology, parts, line, t)
        return undisturbed(rosenbrock_step(tableau, y, h, parts.mass, first, rate, partial(factor, topology.levels)), y)

    @step.defjvp
    def step_jvp(primals: Any, tangents: Any) -> Any:
        wiring, numbers, line, y, t, h = primals
        _, d_numbers, d_line, d_y, d_t, d_h = tangents
        lane, d_lane = _as_lane(line), _as_lane(d_line)
        at = lane, y[:, None], jnp.reshape(t, 1), jnp.reshape(h, 1)
        frame, taken, done = frames_of(topology, tableau, whole(numbers, wiring), *at)
        given = forced(topology, tableau, wiring, numbers, *at, taken, d_numbers, d_lane)
        frame, given = jax.tree.map(lambda a: a[0], (frame, given))
        done = jax.tree.map(lambda a: a[:, 0], done)
        # A step that begins later begins with what the state was before: nothing else of it moves.
        d = moved(topology, tableau, numbers.mass, frame, given, d_y - frame.f * d_t)
        dense = tuple(row @ d.increments for row in tableau.dense)
        after = d.after + (d_t + d_h) * frame.end
        return undisturbed(done, y), Transported(d.start, d.end, dense, d.tau, after, jnp.zeros_like(done.error))

    return step


def _ties(pattern: Pattern, inverse: Any, f: Any, slopes: Any, h: Any, by_t: Any, weight: Any) -> tuple[Any, Any]:
    """What makes the phase of each state, in s: the phases are tied @ (f δy + felt · pushed).

    They are the least squares of η and of what φ adds to it. State i follows state j by v_ij = h J_ij f_j/(1 + h
    |J_ii|) in a step, and takes from it a tangent of v_ij times the difference of their phases. So with r the `weight`
    of the two,

        Σ_i (δy_i - τ_i f_i)² + r Σ_ij v_ij² (τ_i - τ_j)² + r Σ_i (v_i τ_i - w_i)²  is smallest,

    where v_i = h (∂f/∂t)_i/(1 + h |J_ii|) is how it follows the sources, and w_i the same of what their own derivatives
    do to its velocity: a state that follows an edge has the edge's phase, which is zero unless the edge itself moves.

    A neuron's states are tied to one another wherever one of them moves, and what a synapse does while it is driven to
    the neuron that drives it; states that nothing connects have phases that know nothing of each other.

    **Arguments**: at the start, the stages and the end of the step, since what is at rest at its start may follow
    something before its end (with the start, the middle and the end alone a driven neuron was twenty times worse): `f
    [state, stage, step]`, velocities, and `slopes [entry, stage, step]`, of which `inverse` makes ∂f/∂y; without the
    start, `by_t [state, stage, step]`, ∂f/∂t; `weight [step]`, r.

    **Returns** `felt [state, stage, step]`, of the derivative of f by the sources times theirs, and `tied [state,
    state, step]`.
    """
    n = len(f)

    def stronger(pull: Any, stage: Any) -> tuple[Any, Any]:
        slope, f = stage
        by_y = _product(inverse, _square(pattern, slope))
        follows = h / (1 + h * jnp.abs(by_y[np.arange(n), np.arange(n)]))
        return jnp.maximum(pull, jnp.abs(by_y * f * follows[:, None])), follows

    stages = jnp.moveaxis(slopes, 1, 0), jnp.moveaxis(f, 1, 0)
    pull, follows = jax.lax.scan(stronger, jnp.zeros((n, n, len(h))), stages)
    pull, follows = pull * (1 - np.eye(n))[:, :, None], jnp.moveaxis(follows[1:], 0, 1)
    tie = weight * (pull**2 + pull.transpose(1, 0, 2) ** 2)
    driven = by_t * follows
    own = f[:, 0] ** 2 + STILL**2 + weight * jnp.sum(driven**2, axis=1)
    return weight * driven * follows, _inverse_of_tied(own, tie)


def _inverse_of_tied(own: Any, tie: Any, smallest: int | None = None) -> Any:
    """The inverse of diag(own + Σ_j tie_ij) - tie, each entry to a few roundings however far the numbers lie apart.

    Just before a spike a membrane moves by 60 V/s, and ties are 10²¹ (V/s)²: in the sum of both the membrane's own part
    would be lost, and with it what its phase is. So the two are kept apart, and eliminated without a subtraction, in
    the way of Grassmann, Taksar and Heyman (Operations Research 33, 1985; for inverses: Alfa, Xue and Ye, Mathematics
    of Computation 71, 2002), half of the states at once: to the others, what ties them by way of the first half adds to
    their ties, and what holds those to their own.

    **Arguments**: `own [state, step]`, `tie [state, state, step]`, of which the diagonal does not count. `smallest`:
    how many states are no longer halved, a quarter if not given. **Returns** `[state, state, step]`.
    """
    n = len(own)
    smallest = smallest or -(-n // 4)
    if n <= smallest:
        return _inverse_of_few(own, tie)
    k = n // 2
    to_rest = tie[:k, k:]
    first = _inverse_of_half(smallest, own[:k] + jnp.sum(to_rest, axis=1), tie[:k, :k])
    share, *reduced = _without_first(first, own, tie)
    return _joined(first, share, _inverse_of_half(smallest, *reduced))


@partial(apart, known=1)
def _inverse_of_half(smallest: int, own: Any, tie: Any) -> Any:
    return _inverse_of_tied(own, tie, smallest)


@apart
def _without_first(first: Any, own: Any, tie: Any) -> tuple[Any, Any, Any]:
    k = len(first)
    share = _lane_product(first, tie[:k, k:])
    turned = jnp.swapaxes(share, 0, 1)
    return share, own[k:] + jnp.sum(share * own[:k, None], axis=0), tie[k:, k:] + _lane_product(turned, tie[:k, k:])


@apart
def _joined(first: Any, share: Any, rest: Any) -> Any:
    corner = _lane_product(share, rest)
    upper = jnp.concatenate([first + _lane_product(corner, jnp.swapaxes(share, 0, 1)), corner], axis=1)
    return jnp.concatenate([upper, jnp.concatenate([jnp.swapaxes(corner, 0, 1), rest], axis=1)])


def _lane_product(a: Any, b: Any) -> Any:
    """Of matrices `[row, column, step]`; the sum is written out, which is one loop over all steps."""
    return sum(a[:, j, None] * b[j] for j in range(len(b)))


def _inverse_of_few(own: Any, tie: Any) -> Any:
    """The same, state by state."""
    n = own.shape[0]
    places = jnp.arange(n)

    def eliminate(given: Any, k: Any) -> Any:
        own, tie = given
        left = jnp.where(places[:, None] > k, tie[k], 0.0)
        pivot = own[k] + jnp.sum(left, axis=0)
        share = left / pivot
        return _less(own, tie, share, left, own[k]), (share, pivot)

    def resolve(found: Any, given: Any) -> Any:
        # Of L D Lᵀ, whose Lᵀ has the shares, with their signs turned, above its diagonal.
        k, share, pivot = given
        row = _weighted_sum(share, found)
        row = row.at[k].set(1 / pivot + jnp.sum(share * row, axis=0))
        return _with_row(found, row, places == k), None

    _, (share, pivot) = jax.lax.scan(eliminate, (own, tie), places)
    return jax.lax.scan(resolve, jnp.zeros_like(tie), (places, share, pivot), reverse=True)[0]


@apart
def _less(own: Any, tie: Any, share: Any, left: Any, own_k: Any) -> tuple[Any, Any]:
    return own + share * own_k, tie + share[:, None] * left


@apart
def _weighted_sum(share: Any, found: Any) -> Any:
    return jnp.sum(share[:, None] * found, axis=0)


@apart
def _with_row(found: Any, row: Any, here: Any) -> Any:
    found = jnp.where(here[None, :, None], row[:, None], found)
    return jnp.where(here[:, None, None], row[None], found)


def _linear(topology: Topology, parts: System, line: Segment, t: Any, y: Any) -> tuple[Any, Any, Any, Any]:
    """`linearisation` with the entries of the matrix as an array, `[entry, step]`."""
    total, slope, by_t, conductances = linearisation(topology, parts, line, t, y)
    found = (jnp.broadcast_to(a, (len(a), y.shape[1])) for a in (total, slope.values, by_t, conductances))
    return tuple(found)  # type: ignore[return-value]


def _as_lane(line: Segment) -> Segment:
    """The segment of one step as that of a lane."""
    edge, middle, value, slope = (jnp.asarray(a)[..., None] for a in line[:4])
    return Segment(edge, middle, value, slope, line.smooth)


def _at_stages(function: Callable[..., Any], lines: tuple[Segment, ...], t: Any, *arrays: Any) -> Any:
    """A function of (segments, t, arrays) with lanes, for the stages of all steps at once: `t [stage, step]`, the
    arrays `[state, stage, step]` or the like."""

    def repeated(line: Segment) -> Segment:
        edge, middle, value, slope = (jnp.tile(a, len(t)) for a in line[:4])
        return Segment(edge, middle, value, slope, line.smooth)

    found = function(*map(repeated, lines), t.reshape(-1), *(a.reshape(len(a), t.size) for a in arrays))
    # What is the same for all lanes has one.
    return jax.tree.map(lambda a: jnp.broadcast_to(a, (len(a), t.size)).reshape(len(a), *t.shape), found)


def _product(matrix: Any, x: Any) -> Any:
    """A matrix times `[column, …]`."""
    return (matrix @ x.reshape(len(x), -1)).reshape(-1, *x.shape[1:])


def _row_sums(pattern: Pattern) -> np.ndarray:
    """What sums entries over their rows: a matrix of numbers, whose transpose is as fast."""
    return (np.arange(pattern.shape[0])[:, None] == pattern.row).astype(float)


def _sparse(pattern: Pattern, values: Any, x: Any) -> Any:
    """The product of entries `[entry, …]` and `[column, …]`."""
    values = jnp.broadcast_to(values, (len(values), *x.shape[1:]))
    product = Entries(pattern, values.reshape(len(values), -1)) @ x.reshape(len(x), -1)
    return product.reshape(-1, *x.shape[1:])


def _square(pattern: Pattern, values: Any) -> Any:
    """The matrices of entries `[entry, …]`: `[row, column, …]`."""
    place = np.full(pattern.shape, len(pattern.row))
    place[pattern.row, pattern.column] = range(len(pattern.row))
    return jnp.concatenate([values, jnp.zeros_like(values[:1])])[place]


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
