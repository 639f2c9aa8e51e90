"""The two Rosenbrock methods by themselves: order conditions, orders of convergence, interpolants, stiffness."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.circuit import use_float64
from analogsnn.transient import RODAS4, RODAS5P
from analogsnn.transient._rosenbrock import interpolate, rosenbrock_step

use_float64()
METHODS = pytest.mark.parametrize("tableau", [RODAS4, RODAS5P], ids=lambda t: t.name)
# Two states and time: y' = f(t, y) with the solution (sin t + e^-t, 1/(1 + t)), and a mass matrix that mixes them.
MASS = np.array([[2.0, -0.7], [-0.7, 1.0]])


def solution(t):
    return jnp.array([jnp.sin(t) + jnp.exp(-t), 1 / (1 + t)])


def field(t, y):
    a, b = y
    rate = jnp.array([jnp.cos(t) - jnp.exp(-t) - 3 * (a - jnp.sin(t) - jnp.exp(-t)), -b * b + (b - 1 / (1 + t)) * a])
    return MASS @ rate


def run(tableau, steps: int, end: float = 1.0):
    """All states and interpolants of a run with steps of equal length."""
    h, y, t = end / steps, solution(0.0), 0.0
    kept = []

    @jax.jit
    def step(t, y):
        first = (field(t, y), jax.jacfwd(field, 1)(t, y), jax.jacfwd(field, 0)(t, y))
        return rosenbrock_step(
            tableau, y, h, MASS, first, lambda late, x: field(t + late, x), lambda m: lambda b: jnp.linalg.solve(m, b)
        )

    for _ in range(steps):
        done = step(t, y)
        kept.append((t, y, done))
        t, y = t + h, done.y1
    return h, y, kept


@METHODS
def test_orders(tableau):
    ends, errors, middles, estimates = [], [], [], []
    for steps in (8, 16, 32):
        h, y, kept = run(tableau, steps)
        ends.append(float(jnp.abs(y - solution(1.0)).max()))
        estimates.append(max(float(jnp.abs(done.error).max()) for _, _, done in kept))
        wrong = [
            jnp.abs(interpolate(y0, done.y1, done.dense, theta) - solution(t + theta * h)).max()
            for t, y0, done in kept for theta in (0.2, 0.5, 0.8)
        ]  # fmt: skip
        middles.append(float(max(wrong)))
        errors.append(h)
    found = [np.log2(x[-2] / x[-1]) for x in (ends, middles, estimates)]
    assert found[0] > tableau.order - 0.3, ends
    # The interpolant is of one order less than the end point (local order: the same)
    assert found[1] > tableau.order - 0.3, middles
    # The estimate is the local error of the embedded method: its order, one less, and one for a single step
    assert found[2] > tableau.order - 0.3, estimates


@METHODS
def test_order_conditions(tableau):
    """The sums that hold for every Rosenbrock method of its order (Hairer and Wanner II, table IV.7.1), up to third
    order, with the untransformed coefficients: U = sum gamma_ij k_j."""
    gamma = np.linalg.inv(np.eye(tableau.stages) / tableau.gamma - tableau.c)  # c = diag(1/gamma) - Gamma^-1
    alpha = tableau.a @ gamma
    b = np.append(tableau.a[-1, :-1], 1.0) @ gamma
    beta = (alpha + gamma).sum(axis=1)
    node = alpha.sum(axis=1)
    assert node == pytest.approx(tableau.alpha, abs=1e-11)
    assert gamma.sum(axis=1) == pytest.approx(tableau.gammas, abs=1e-11)
    assert b.sum() == pytest.approx(1.0, abs=1e-11)
    assert b @ beta == pytest.approx(1 / 2, abs=1e-11)
    assert b @ node**2 == pytest.approx(1 / 3, abs=1e-11)
    assert b @ (alpha + gamma) @ beta == pytest.approx(1 / 6, abs=1e-11)
    assert b @ node**3 == pytest.approx(1 / 4, abs=1e-11)


@METHODS
def test_a_stiff_step_lands_on_the_slow_solution(tableau):
    # y' = -1e9 (y - cos t): one step of any length must damp what is off (stiffly accurate, L-stable)
    rate = 1e9

    def f(t, y):
        return -rate * (y - jnp.cos(t))

    first = (f(0.0, jnp.array([2.0])), jnp.array([[-rate]]), jnp.array([0.0]))
    done = rosenbrock_step(
        tableau, jnp.array([2.0]), 0.1, np.eye(1), first, lambda late, x: f(late, x), lambda m: lambda b: b / m[0, 0]
    )
    assert float(done.y1[0]) == pytest.approx(np.cos(0.1), abs=1e-6)
