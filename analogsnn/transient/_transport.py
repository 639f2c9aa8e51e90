"""The step of a Rosenbrock method with a derivative that stays right through spikes: block phase transport.

Differentiating an adaptive solver gives, at a fixed time inside a spike, tangents δy ≈ f τ that are huge and must
cancel afterwards; the solver controls the error of y, not of that cancellation. So the part of δy that is a shift in
time is carried analytically. For a constant diagonal matrix T = diag(τ_b), one phase τ a block of states, write
δy = η + T f. Then, with J = ∂f/∂y,

    dη/dt = J η + (J T - T J) f - T ∂f/∂t + (∂f/∂p) δp

so that η is the tangent of the same step applied to the field f + φ, φ = (J T - T J) f - T ∂f/∂t, whose value is zero
and whose Jacobian enters the step. At every step τ is chosen anew, τ_b = ⟨f, δy⟩_b / ⟨f, f⟩_b, which leaves η small.
The trajectory itself is untouched. With a single block J T = T J, and - τ ∂f/∂t is the same step taken τ earlier.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Segment, System, Topology, Wiring
from ._elimination import factor
from ._field import circuit_velocity, linearisation, stage_rate
from ._rosenbrock import Step, rosenbrock_step
from ._tableaus import Tableau

# A block that moves slower than this (V/s) has no phase worth speaking of. Where there are several, a phase that is
# only the solver's noise over a block at rest would be felt by the others: there the phase begins with the spike.
STILL, STILL_COUPLED = 1e-2, 1e3

Blocks = tuple[int, ...]


class Transported(NamedTuple):
    """A step. In value `start` is y, `after` is `end`, and `shift` is zero; their derivatives differ.

    - `start`, `end`, `dense`: the interpolant y(t + θh), with derivatives η: at a time that moves along with the phase.
    - `shift`: its derivative is that phase, τ of each state's block, in s: y(t + θh) + shift dy/dt has the derivative
      at a fixed time.
    - `after`: the state at the end, with its derivative at a fixed time.
    """

    start: Any
    end: Any
    dense: tuple[Any, ...]
    shift: Any
    after: Any
    error: Any


class Carried(NamedTuple):
    """What transport needs to know of an equation; all of these are pure functions.

    - `take(fixed, numbers, y, t, h, tau)`: a step, with the field f + φ, or with f alone where `tau` is None;
      `tau [state]` is zero in value and has derivatives.
    - `velocity(fixed, numbers, y, t)`: dy/dt.
    - `by_y(fixed, numbers, y, t)`: its derivative by y; asked for where there are several blocks.
    """

    take: Callable[..., Step]
    velocity: Callable[..., Any]
    by_y: Callable[..., Any] | None = None


def with_transport(equation: Carried, blocks: Blocks) -> Callable[[Any, Any, Any, Any, Any], Transported]:
    """The step function `(fixed, numbers, y, t, h) → Transported` of an equation; `fixed` has no derivatives.

    **Arguments**: `blocks [state]`, which block each state belongs to.
    """
    count = max(blocks, default=0) + 1
    member = np.zeros((count, len(blocks)))
    member[list(blocks), range(len(blocks))] = 1.0
    take, velocity, by_y = equation

    def undisturbed(done: Step, y: Any) -> Transported:
        return Transported(y, done.y1, done.dense, jnp.zeros_like(y), done.y1, done.error)

    @jax.custom_jvp
    def step(fixed: Any, numbers: Any, y: Any, t: Any, h: Any) -> Transported:
        return undisturbed(take(fixed, numbers, y, t, h, None), y)

    @step.defjvp
    def step_jvp(primals: Any, tangents: Any) -> Any:
        fixed, numbers, y, t, h = primals
        _, d_numbers, d_y, d_t, d_h = tangents
        f0 = velocity(fixed, numbers, y, t)
        # A step that begins later begins with what the state was before: nothing else of it moves.
        d_y = d_y - f0 * d_t
        if by_y is None or count == 1:
            weight = (member @ (f0 * d_y)) / (member @ (f0 * f0) + STILL**2)
        else:
            weight = _tied_phases(member, f0, by_y(fixed, numbers, y, t), d_y)
        tau = member.T @ weight
        eta = d_y - tau * f0

        def earlier(numbers: Any, y: Any, t: Any) -> Step:
            return take(fixed, numbers, y, t, h, None)

        def moved(numbers: Any, y: Any, tau: Any) -> Step:
            return take(fixed, numbers, y, t, h, tau)

        if count == 1:
            done, d_done = jax.jvp(earlier, (numbers, y, t), (d_numbers, eta, -weight[0]))
        else:
            done, d_done = jax.jvp(moved, (numbers, y, jnp.zeros_like(y)), (d_numbers, eta, tau))
        f1 = velocity(fixed, numbers, done.y1, t + h)
        after = d_done.y1 + (tau + d_t + d_h) * f1
        derivative = Transported(eta, d_done.y1, d_done.dense, tau, after, jnp.zeros_like(done.error))
        return undisturbed(done, y), derivative

    return step


@lru_cache(maxsize=64)
def transported_step(
    topology: Topology, tableau: Tableau, blocks: Blocks
) -> Callable[[Wiring, System, Segment, Any, Any, Any], Transported]:
    """The step function of a circuit, `(wiring, numbers, line, y, t, h) → Transported`; `numbers` is a `System`
    without its wiring.

    **Arguments**: `blocks [state]`, which block each state belongs to.
    """

    def take(wiring: Wiring, given: tuple[System, Segment], y: Any, t: Any, h: Any, tau: Any) -> Step:
        parts, line = whole(given[0], wiring), given[1]
        rate = stage_rate(topology, parts, line, t)
        first = linearisation(topology, parts, line, t, y)
        if tau is not None:
            rate, first = _with_phase(topology, parts, line, t, y, tau, rate, first)
        return rosenbrock_step(tableau, y, h, parts.mass, first, rate, partial(factor, topology.levels))

    def velocity(wiring: Wiring, given: tuple[System, Segment], y: Any, t: Any) -> Any:
        return circuit_velocity(topology, whole(given[0], wiring), given[1], t, y)

    def by_y(wiring: Wiring, given: tuple[System, Segment], y: Any, t: Any) -> Any:
        parts = whole(given[0], wiring)
        return parts.inverse_mass @ linearisation(topology, parts, given[1], t, y)[1]

    step = with_transport(Carried(take, velocity, by_y), blocks)

    def of_circuit(wiring: Wiring, numbers: System, line: Segment, y: Any, t: Any, h: Any) -> Transported:
        return step(wiring, (numbers, line), y, t, h)

    return of_circuit


def _tied_phases(member: np.ndarray, f: Any, by_y: Any, d_y: Any) -> Any:
    """The phase of each block, `[block]` in s: least squares of what they leave over.

    - δy - T f within each block, and
    - what different phases of two blocks do to a node that follows another one at once: node i follows node j with the
      velocity J_ij f_j/|J_ii|, and so takes from it a tangent of that times the difference of their phases.
    """
    own = member @ (f * f) + STILL_COUPLED**2
    following = (by_y * f / jnp.abs(jnp.diagonal(by_y))[:, None]) @ member.T
    tie = member @ (following * following) * (1 - np.eye(len(member)))
    tie = tie + tie.T
    return jnp.linalg.solve(jnp.diag(own + jnp.sum(tie, axis=1)) - tie, member @ (f * d_y))


def whole(numbers: System, wiring: Wiring) -> System:
    """A system with its wiring in place."""
    return numbers._replace(currents=numbers.currents._replace(wiring=wiring))


def without_wiring(parts: System) -> System:
    """The numbers of a system: what has derivatives."""
    return parts._replace(currents=parts.currents._replace(wiring=None))


def _with_phase(
    topology: Topology, parts: System, line: Segment, t: Any, y: Any, tau: Any, rate: Any, first: Any
) -> Any:
    """M (f + φ) for the stages, and its linearisation at the start. Only first derivatives by tau count."""
    mass, inverse = parts.mass, parts.inverse_mass
    total, slope, by_t = first

    def slopes(y: Any, t: Any) -> Any:
        """∂(M f)/∂y and ∂(M f)/∂t."""
        return linearisation(topology, parts, line, t, y)[1:]

    def phi(late: Any, y: Any) -> Any:
        """M φ."""
        by_y, by_t = slopes(y, t + late)
        f = inverse @ rate(late, y)
        return by_y @ (tau * f) - mass @ (tau * (inverse @ (by_y @ f + by_t)))

    def moved(late: Any, y: Any) -> Any:
        return rate(late, y) + phi(late, y)

    zero = jnp.zeros(())
    phi_by_t = jax.jvp(lambda late: phi(late, y), (zero,), (jnp.ones(()),))[1]
    # ∂(K v)/∂y for a fixed v is the derivative of K along v, since second derivatives commute.
    slope_by_t = jax.jvp(lambda late: slopes(y, t + late)[0], (zero,), (jnp.ones(()),))[1]
    f = inverse @ total
    step = inverse @ slope  # ∂f/∂y

    def along(v: Any) -> Any:
        return jax.jvp(lambda y: slopes(y, t)[0], (y,), (v,))[1]

    left = along(tau * f) + slope @ (tau[:, None] * step)
    phi_by_y = left - mass @ (tau[:, None] * (inverse @ (along(f) + slope @ step + slope_by_t)))
    return moved, (total + phi(zero, y), slope + phi_by_y, by_t + phi_by_t)
