"""The step of a Rosenbrock method with a derivative that stays right through spikes: phase transport.

Differentiating an adaptive solver gives, at a fixed time inside a spike, tangents δy ≈ f τ that are huge and must
cancel afterwards; the solver controls the error of y, not of that cancellation. So the part of δy that is a shift in
time is carried analytically. For a constant diagonal matrix T = diag(τ_i), one phase τ a state, write δy = η + T f.
Then, with J = ∂f/∂y,

    dη/dt = J δy + (∂f/∂p) δp - T df/dt = J η + (J T - T J) f - T ∂f/∂t + (∂f/∂p) δp

exactly, for any T. Along a run this is a linear equation whose coefficients depend on time alone: J, ∂f/∂t and ∂f/∂p at
the run's interpolant, and for f, in what is then φ = (J T - T J) u - T ∂f/∂t, the interpolant's dy/dt. A step of a
Rosenbrock method integrates it, as exactly as the run itself. At every step T is chosen anew (`_ties`) such that η and
φ stay small. The trajectory itself is untouched. The proof is in docs/gradients.md.
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
from ._rosenbrock import Step, interpolate, interpolated_slope, rosenbrock_step
from ._tableaus import RODAS5P, Tableau

# Tangents are integrated by this method, whichever one took the steps. With Rodas4 derivatives by sizes were 0.7 % off
# along the steps of Rodas5P for 1e-6, and those by the temperature 6 % along its own for 1e-4, in place of 1.4 %.
TANGENTS = RODAS5P
# The nodes: the parts of a step at which it evaluates, the end among them, and which one each stage takes.
NODES = np.unique([*TANGENTS.alpha, 1.0])
OF_STAGE = np.searchsorted(NODES, TANGENTS.alpha)
# The nodes that phases are chosen by: of two that lie close together one will do.
TIED = np.flatnonzero(np.diff(NODES, append=2.0) > 0.05)
# A state that moves slower than this (V/s) has no phase worth speaking of.
STILL = 1e-2
# How much more the change of what φ adds to η counts than η itself, at most steps and at those that begin at a corner
# of the inputs; and what φ adds without changing, as a share of that. Measured: docs/gradients.md.
TIE, TIE_AT_CORNER, EVEN = 1e5, 3.0, 1e-3
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
    share an element the entries, those of `Topology.touching`; J is that of M dy/dt."""

    f: Any  # [state]: dy/dt at the start
    phases: Any  # [state, state]: the phases are this times δy, and a part that the parameters force
    in_time: Any  # [entry]: h dJ/dt at the start, along the run
    by_tau: Any  # [stage, entry]: φ, of the phases, with what its dφ/dt at the start adds to a stage
    slopes: Any  # [stage, entry]: J at each stage
    inverse: Any  # [state, state]: of the step's matrix
    h: Any
    end: Any  # [state]: dy/dt at the end


class Taken(NamedTuple):
    """The run at the nodes of steps: what the derivatives by the parameters are worked out along.

    `along [state, node, step]` and `second [state, step]` are dy/dt, and its derivative at the start. Of the nodes
    after the start, `late [node, step]` is when they come (s), `states [state, node, step]` where the run is then, and
    `conductances [3 fet, node, step]` are those of the transistors there. `felt [state, node, step]` and `tied [state,
    state, step]` make the phases of what pushes the states, as `_ties` has it.
    """

    along: Any
    second: Any
    late: Any
    states: Any
    conductances: Any
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
    rate = stage_rate(topology, parts, line, t)
    solve = lane_factor(topology, mass / (h * TANGENTS.gamma) - jacobian)
    known = (lambda _: solve) if tableau is TANGENTS else partial(lane_factor, topology)
    done = rosenbrock_step(tableau, y, h, mass, (rise, jacobian, by_t), rate, known)
    late = NODES[1:, None] * h
    inside = [interpolate(y, done.y1, done.dense, theta) for theta in NODES[1:-1]]
    states = jnp.stack([*inside, done.y1], axis=1)
    rises, slopes, by_times, conductances = _at_stages(
        lambda line, t, y: _linear(topology, parts, line, t, y), (line,), t + late, states
    )
    rises, slopes, by_times = (
        jnp.concatenate([a[:, None], b], axis=1) for a, b in ((rise, rises), (slope, slopes), (by_t, by_times))
    )
    velocity = _product(inverse, rises)
    # Behind a corner of the inputs velocities have jumped, and a state's derivative over its new velocity is its phase,
    # while that of the source may be anything: of a pulse's height it runs through the whole ramp.
    weight = jnp.where(t - line.edge < AT_CORNER * h, TIE_AT_CORNER, TIE)
    felt, tied = _ties(
        pattern, inverse, velocity[:, TIED], slopes[:, TIED], h, _product(inverse, by_times[:, TIED[1:]]), weight
    )
    # M φ at each node, of τ: J (τ y') - M (τ (J y' + ∂f/∂t)), a function of time, of which y' is that of the
    # interpolant: f is off by J times the interpolant's error, which is anything where a node is stiff.
    along = jnp.stack([interpolated_slope(y, done.y1, done.dense, theta) / h for theta in NODES], axis=1)
    turn = _product(inverse, _sparse(pattern, slopes, along) + by_times)
    column, weight = pattern.column, mass.values[:, None]
    phi = slopes * along[column] - weight * turn[column]
    # dJ/dt and dφ/dt at the start, along the run.
    start, second = along[:, 0], turn[:, 0]
    _, (_, in_time, faster, _) = jax.jvp(
        lambda y, t: _linear(topology, parts, line, t, y), (y, t), (start, jnp.ones_like(t))
    )
    third = inverse @ (_sparse(pattern, in_time, start) + _sparse(pattern, slope, second) + faster)
    phi_in_time = in_time * start[column] + slope * second[column] - mass.values * third[column]
    by_tau = phi[:, OF_STAGE] + TANGENTS.gammas[:, None] * h * phi_in_time[:, None]
    units = jnp.broadcast_to(np.eye(len(y))[:, :, None], (*np.shape(tied)[:2], len(h)))
    frame = Frame(
        velocity[:, 0].T, (tied * velocity[:, 0]).transpose(2, 0, 1), (h * in_time).T, by_tau.T, slopes[:, OF_STAGE].T,
        jax.vmap(solve)(units).transpose(2, 1, 0), h, velocity[:, -1].T,
    )  # fmt: skip
    return frame, Taken(along, second, late, states, conductances, felt, tied), done


def forced(
    topology: Topology, wiring: Wiring, numbers: System, line: Segment, y: Any, t: Any, h: Any,
    taken: Taken, d_numbers: System, d_line: Segment,
) -> Forced:  # fmt: skip
    """What changes of the numbers and of the inputs add to the tangents of steps; linear in them."""
    parts = lanes_of(topology, whole(numbers, wiring))
    along, second, late, states, conductances, felt, tied = taken

    def at_start(numbers: System, line: Segment) -> tuple[Any, Any, Any]:
        return _linear(topology, lanes_of(topology, whole(numbers, wiring)), line, t, y)[:3]

    def at_nodes(numbers: System) -> Any:
        parts = lanes_of(topology, whole(numbers, wiring))
        return _at_stages(lambda line, t, y: stage_rate(topology, parts, line, t)(0.0, y), (line,), t + late, states)

    by_line = _at_stages(partial(by_inputs, topology, parts), (line, d_line), t + late, states, conductances)
    pushed = _product(parts.inverse_mass, _chosen(by_line, TIED[1:] - 1))
    tau = jnp.sum(tied * jnp.sum(felt * pushed, axis=1), axis=1)
    _, (first, slope, by_t) = jax.jvp(at_start, (numbers, line), (d_numbers, d_line))
    _, rest = jax.jvp(at_nodes, (numbers,), (d_numbers,))
    # Of M dy/dt = F: M dη/dt = … - δM dy/dt.
    mass = lanes_of(topology, whole(d_numbers, wiring)).mass
    pattern = mass.pattern
    rates = jnp.concatenate([first[:, None], rest + by_line], axis=1) - _sparse(pattern, mass.values[:, None], along)
    in_time = by_t + _sparse(pattern, slope, along[:, 0]) - _sparse(pattern, mass.values, second)
    rates = _chosen(rates, OF_STAGE) + TANGENTS.gammas[:, None] * h * in_time[:, None]
    return Forced(rates.transpose(2, 1, 0), tau.T)


def moved(topology: Topology, mass: Any, frame: Frame, given: Forced, d_y: Any) -> Moved:
    """The tangents of a step from δy at its start; linear in it and in what the parameters force."""
    pattern = Pattern(topology.touching)
    rows, columns = _row_sums(pattern), (np.arange(pattern.shape[1]) == pattern.column[:, None]).astype(float)
    tau = frame.phases @ d_y + given.tau
    eta = d_y - tau * frame.f
    drift = rows @ (frame.in_time * (columns @ eta))
    push = (frame.by_tau * (columns @ tau)) @ rows.T + TANGENTS.gammas[:, None] * drift + given.rates

    def take(d_u: Any, row: Any) -> tuple[Any, Any]:
        i, a, c, push, slope = row
        d_stage = eta + a @ d_u
        bent = rows @ (slope * (columns @ d_stage))
        return d_u.at[i].set(frame.inverse @ (push + bent + mass @ (c @ d_u / frame.h))), d_stage

    stages = TANGENTS.stages
    steps = np.arange(stages), TANGENTS.a, TANGENTS.c, push, frame.slopes
    d_u, d_stages = jax.lax.scan(take, jnp.zeros((stages, len(d_y))), steps)
    end = d_stages[-1] + d_u[-1]
    return Moved(eta, end, d_u, tau, end + tau * frame.end)


@lru_cache(maxsize=64)
def transported_step(
    topology: Topology, tableau: Tableau
) -> Callable[[Wiring, System, Segment, Any, Any, Any], Transported]:
    """The step `(wiring, numbers, line, y, t, h) → Transported`; `numbers` is a `System` without its wiring."""

    def undisturbed(done: Step, y: Any) -> Transported:
        none = jnp.zeros_like(y)
        # As many vectors as the tangents' interpolant has.
        dense = (*done.dense, *[none] * (len(TANGENTS.dense) - len(done.dense)))
        return Transported(y, done.y1, dense, none, done.y1, done.error)

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
        given = forced(topology, wiring, numbers, *at, taken, d_numbers, d_lane)
        frame, given = jax.tree.map(lambda a: a[0], (frame, given))
        done = jax.tree.map(lambda a: a[:, 0], done)
        # A step that begins later begins with what the state was before: nothing else of it moves.
        d = moved(topology, numbers.mass, frame, given, d_y - frame.f * d_t)
        dense = tuple(row @ d.increments for row in TANGENTS.dense)
        after = d.after + (d_t + d_h) * frame.end
        return undisturbed(done, y), Transported(d.start, d.end, dense, d.tau, after, jnp.zeros_like(done.error))

    return step


def _ties(pattern: Pattern, inverse: Any, f: Any, slopes: Any, h: Any, by_t: Any, weight: Any) -> tuple[Any, Any]:
    """What makes the phase of each state, in s: the phases are tied @ (f δy + felt · pushed).

    They are the least squares of η and of what φ adds to it. State i follows state j by v_ij = h J_ij f_j/(1 + h
    |J_ii|) in a step, and takes from it a tangent of v_ij times the difference of their phases. The method integrates
    exactly what stays the same throughout a step, and not what runs up within it: what counts is how far apart v_ij is
    at the nodes, Δv_ij. So with w_ij² = Δv_ij² + ε v_ij², v_ij at its largest, ε = `EVEN`, and
    r the `weight`,

        Σ_i (δy_i - τ_i f_i)² + r Σ_ij w_ij² (τ_i - τ_j)² + r Σ_i (v_i τ_i - w_i)²  is smallest,

    where v_i = h (∂f/∂t)_i/(1 + h |J_ii|) is how it follows the sources, and w_i the same of what their own derivatives
    do to its velocity: a state that follows an edge has the edge's phase, which is zero unless the edge itself moves.

    A neuron's states are tied to one another wherever one of them moves, and what a synapse does while it is driven to
    what drives it; states that nothing connects have phases that know nothing of each other.

    **Arguments**: at the start, some nodes within and the end of the step, since what is at rest at its start may
    follow something before its end: `f [state, node, step]`, velocities, and `slopes [entry, node, step]`, of which
    `inverse` makes ∂f/∂y; without the start, `by_t [state, node, step]`, ∂f/∂t; `weight [step]`, r.

    **Returns** `felt [state, node, step]`, of the derivative of f by the sources times theirs, and `tied [state,
    state, step]`.
    """
    n = len(f)

    def wider(found: Any, node: Any) -> tuple[Any, Any]:
        slope, f = node
        by_y = _product(inverse, _square(pattern, slope))
        follows = h / (1 + h * jnp.abs(by_y[np.arange(n), np.arange(n)]))
        v = by_y * f * follows[:, None]
        return (jnp.minimum(found[0], v), jnp.maximum(found[1], v)), follows

    nodes, none = (jnp.moveaxis(slopes, 1, 0), jnp.moveaxis(f, 1, 0)), jnp.full((n, n, len(h)), jnp.inf)
    (least, most), follows = jax.lax.scan(wider, (none, -none), nodes)
    tie = weight * ((most - least) ** 2 + EVEN * jnp.maximum(most, -least) ** 2) * (1 - np.eye(n))[:, :, None]
    tie, follows = tie + tie.transpose(1, 0, 2), jnp.moveaxis(follows[1:], 0, 1)
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


def _chosen(a: Any, nodes: np.ndarray) -> Any:
    """`a [state, node, step]` at some nodes; slices, since an index would be a scatter in reverse mode."""
    return jnp.stack([a[:, node] for node in nodes], axis=1)


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
