"""One step of a Rosenbrock method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ._tableaus import Tableau


class Step(NamedTuple):
    """What a step gives: the new state, the error estimate, the interpolant's vectors d_k, and of each stage the state
    at which f is evaluated and the increment U_i."""

    y1: Any
    error: Any
    dense: tuple[Any, ...]
    stages: Any
    increments: Any


def rosenbrock_step(
    tableau: Tableau,
    y: Any,
    h: Any,
    mass: Any,
    first: tuple[Any, Any, Any],
    rate: Callable[[Any, Any], Any],
    factor: Callable[[Any], Callable[[Any], Any]],
) -> Step:
    """One step of length h from y of M dy/dt = f(t, y).

    **Arguments**

    - `mass`: M, constant, `[state, state]`.
    - `first`: f, ∂f/∂y and ∂f/∂t at the start.
    - `rate(late, y)`: f at a time `late` after the start.
    - `factor(matrix)`: gives the function that solves with the matrix.

    Every array may have a trailing axis of lanes, with one length of each in `h`; matrices are then `Entries`.
    """
    f0, jacobian, by_time = first
    solve = factor(mass / (h * tableau.gamma) - jacobian)
    u: list[Any] = []
    stages: list[Any] = []
    stage = y
    for i in range(tableau.stages):
        stage = weighted(y, tableau.a[i], u)
        stages.append(stage)
        f = f0 if i == 0 else rate(tableau.alpha[i] * h, stage)
        if tableau.gammas[i]:
            f = f + (h * tableau.gammas[i]) * by_time
        if i:
            f = f + mass @ (weighted(0.0, tableau.c[i], u) / h)
        u.append(solve(f))
    return Step(stage + u[-1], u[-1], tuple(weighted(0.0, row, u) for row in tableau.dense), tuple(stages), tuple(u))


def weighted(start: Any, weights: Any, vectors: list[Any]) -> Any:
    """start + Σ weights vectors; weights that are zero leave no trace."""
    total = start
    for weight, vector in zip(weights, vectors, strict=False):
        if weight != 0:
            total = total + weight * vector
    return total


def interpolate(y0: Any, y1: Any, dense: tuple[Any, ...], theta: Any) -> Any:
    """The state at a fraction theta of a step."""
    bend: Any = 0.0
    for vector in reversed(dense):
        bend = vector + theta * bend
    return (1 - theta) * y0 + theta * (y1 + (1 - theta) * bend)


def interpolated_slope(y0: Any, y1: Any, dense: tuple[Any, ...], theta: Any) -> Any:
    """The derivative of `interpolate` by theta."""
    slope = y1 - y0
    for k, vector in enumerate(dense):
        # of θ (1 - θ) θ^k
        slope = slope + ((k + 1) * theta**k - (k + 2) * theta ** (k + 1)) * vector
    return slope
