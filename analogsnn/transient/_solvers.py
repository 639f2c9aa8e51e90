"""Rodas4 and Rodas5P as solvers of diffrax, on circuits and on plain vector fields.

The step is the transported one, so that what diffrax differentiates is right after many spikes; between steps the
interpolant carries its phase (`Transported`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ..circuit import segment
from ..errors import InputError
from ._replay import moved_edge
from ._rosenbrock import Step, interpolate, interpolated_slope, rosenbrock_step
from ._tableaus import RODAS4, RODAS5P, Tableau
from ._term import CircuitTerm
from ._transport import Transported, transported_step, whole, with_one_phase

# By how much of its length a step may miss an edge: the rounding of its two times.
SLACK = 1e-6


class TransportedInterpolation(diffrax.AbstractLocalInterpolation):
    """y(t) between two steps, with the derivative at a fixed time; its fields have the structure of y."""

    t0: Any
    t1: Any
    start: Any
    end: Any
    shift: Any
    dense: tuple[Any, ...]

    def evaluate(self, t0: Any, t1: Any | None = None, left: bool = True) -> Any:
        """The state at `t0`, or its change from `t0` to `t1`."""
        del left
        if t1 is None:
            return self._state(t0)
        return jax.tree.map(lambda late, early: late - early, self._state(t1), self._state(t0))

    def _state(self, t: Any) -> Any:
        # The step's derivative is that at fixed times, also where its own begin or end moves.
        begin, end = jax.lax.stop_gradient((self.t0, self.t1))
        h = jnp.where(end == begin, 1.0, end - begin)
        theta = (t - begin) / h

        def at(y0: Any, y1: Any, shift: Any, *dense: Any) -> Any:
            return interpolate(y0, y1, dense, theta) + shift * interpolated_slope(y0, y1, dense, theta) / h

        return jax.tree.map(at, self.start, self.end, self.shift, *self.dense)


class _Rodas(diffrax.AbstractAdaptiveSolver):
    """What the two methods have in common."""

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = TransportedInterpolation
    tableau: ClassVar[Tableau]

    def order(self, terms: Any) -> int:
        """The order of the method."""
        return self.tableau.order

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        """The segment of a circuit's sources in which the run begins.

        **Raises** `InputError` for a term that is neither a circuit nor an `ODETerm`.
        """
        term = _inner(terms)
        if isinstance(term, CircuitTerm):
            backward = jnp.asarray(getattr(terms, "direction", 1)) < 0
            return eqx.error_if(term.segment_at(t0), backward, "a circuit is solved forward in time: give t1 > t0.")
        if not isinstance(term, diffrax.ODETerm):
            raise InputError(
                f"{type(self).__name__} solves the term of a circuit (circuit_term) or a diffrax.ODETerm; this is a "
                f"{type(term).__name__}. Take one of diffrax's own solvers."
            )
        return None

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any
    ) -> tuple[Any, Any, dict[str, Any], Any, Any]:
        """One transported step."""
        del made_jump
        term = _inner(terms)
        if isinstance(term, CircuitTerm):
            done, solver_state = _circuit_step(self.tableau, term, solver_state, y0, t0, t1)
            back = _same
        else:
            done, back = _field_step(self.tableau, terms, args, y0, t0, t1)
        moving = {"start": back(done.start), "end": back(done.end), "shift": back(done.shift)}
        moving["dense"] = tuple(back(vector) for vector in done.dense)
        return back(done.after), back(done.error), moving, solver_state, diffrax.RESULTS.successful

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """dy/dt."""
        return terms.vf(t0, y0, args)


class Rodas4(_Rodas):
    """Hairer and Wanner's Rodas: order 4(3), six stages, L-stable, stiffly accurate; `accuracy="fast"` of `transient`.

    Derivatives stay right through spikes: see `docs/gradients.md`. In reverse mode give
    `RecursiveCheckpointAdjoint(checkpoints=max_steps)`: steps that are computed anew are not quite the first ones.
    """

    tableau: ClassVar[Tableau] = RODAS4


class Rodas5P(_Rodas):
    """Steinebach's Rodas5P: order 5(4), eight stages, L-stable, stiffly accurate; `transient`'s `accuracy="reference"`.

    For derivatives as `Rodas4`.
    """

    tableau: ClassVar[Tableau] = RODAS5P


def _inner(terms: Any) -> Any:
    """The user's term within the one that diffrax wraps around it for the direction of time."""
    return getattr(terms, "term", terms)


def _same(x: Any) -> Any:
    return x


def _circuit_step(tableau: Tableau, term: CircuitTerm, last: Any, y: Any, t0: Any, t1: Any) -> tuple[Transported, Any]:
    """The step, and the segment of the sources that it lies in."""
    h = t1 - t0
    k = jax.lax.stop_gradient(term.segment_at(0.5 * (t0 + t1)))
    slack = SLACK * h
    y = eqx.error_if(
        y, (t0 < term.edges[k] - slack) | (t1 > term.edges[k + 1] + slack),
        "a step crosses an edge of the sources, or leaves the time they are given for. Give "
        "stepsize_controller=term.controller(rtol), or ClipStepSizeController(…, step_ts=term.edges), and t1 up to "
        "term.t_stop.",
    )  # fmt: skip
    parts, line = whole(term.numbers, term.wiring), segment(term.inputs, k)
    y = y + moved_edge(parts, term.inputs, line, last, t0)
    return transported_step(term.topology, tableau)(term.wiring, term.numbers, line, y, t0, h), k


def _field_step(tableau: Tableau, terms: Any, args: Any, y: Any, t0: Any, t1: Any) -> tuple[Transported, Any]:
    """A step of a plain vector field: one phase for all of it, the Jacobian by forward mode."""
    flat, back = ravel_pytree(y)
    unit = terms.contr(jnp.zeros_like(t0), jnp.ones_like(t0))  # 1, or -1 where time runs backward

    def field(t: Any, x: Any) -> Any:
        return ravel_pytree(terms.vf_prod(t, back(x), args, unit))[0]

    # Whatever the field closes over becomes an argument, so that it has derivatives.
    arrays, static = eqx.partition(eqx.filter_closure_convert(field, t0, flat), eqx.is_array)
    numbers, fixed = eqx.partition(arrays, eqx.is_inexact_array)

    def velocity(fixed: Any, numbers: Any, x: Any, t: Any) -> Any:
        return eqx.combine(numbers, fixed, static)(t, x)

    def take(fixed: Any, numbers: Any, x: Any, t: Any, h: Any) -> Step:
        f = eqx.combine(numbers, fixed, static)
        f0, by_t = jax.jvp(lambda when: f(when, x), (t,), (jnp.ones_like(t),))
        slope = jax.jacfwd(f, 1)(t, x)
        return rosenbrock_step(
            tableau, x, h, jnp.eye(len(x), dtype=x.dtype), (f0, slope, by_t), lambda late, x: f(t + late, x), _factor
        )

    return with_one_phase(take, velocity)(fixed, numbers, flat, t0, t1 - t0), back


def _factor(matrix: Any) -> Callable[[Any], Any]:
    parts = jax.scipy.linalg.lu_factor(matrix)
    return lambda b: jax.scipy.linalg.lu_solve(parts, b)
