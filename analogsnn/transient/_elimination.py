"""Small matrices, those of a Rosenbrock step first, with few large operations.

The states are ordered by levels (`analogsnn.circuit`): each level but the last is a diagonal block, eliminated at
once; what
is left is inverted by Gauss-Jordan steps. No pivots are exchanged: a step's matrix M/(hγ) - ∂f/∂y is dominated by its
diagonal as soon as the step is short enough, and a step that was spoilt is refused by its error estimate and shortened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Up to this many multiplications a sum over a broadcast product is faster than a call of the matrix library.
SMALL_PRODUCT = 1500
# Up to this many states Gauss-Jordan steps are faster than the matrix library; beyond, XLA repeats work in fusing them.
LARGEST_UNROLLED = 8


def factor(levels: tuple[int, ...], matrix: Any) -> Callable[[Any], Any]:
    """Invert a matrix whose first `levels[0]` rows are a diagonal block, and so on; gives the function that multiplies
    with the inverse."""
    inverse = inverted(levels, matrix)
    return lambda b: _apply(inverse, matrix, b)


@jax.custom_jvp
def _apply(inverse: Any, matrix: Any, b: Any) -> Any:
    return inverse @ b


@_apply.defjvp
def _apply_jvp(primals: Any, tangents: Any) -> Any:
    # From matrix x = b, so that nobody differentiates the inversion itself.
    inverse, _, b = primals
    _, d_matrix, d_b = tangents
    x = inverse @ b
    return x, inverse @ (d_b - d_matrix @ x)


def inverted(levels: tuple[int, ...], matrix: Any) -> Any:
    """The inverse of such a matrix."""
    k = levels[0]
    if len(levels) == 1:
        return _gauss_jordan(matrix) if k <= LARGEST_UNROLLED else jnp.linalg.inv(matrix)
    pivot = 1.0 / jnp.diagonal(matrix)[:k]
    right = pivot[:, None] * matrix[:k, k:]
    below = matrix[k:, :k] * pivot[None, :]
    rest = inverted(levels[1:], matrix[k:, k:] - _product(below, matrix[:k, k:]))
    corner = -_product(right, rest)
    return jnp.block([[jnp.diag(pivot) - _product(corner, below), corner], [-_product(rest, below), rest]])


def _product(a: Any, b: Any) -> Any:
    if a.shape[0] * a.shape[1] * b.shape[1] > SMALL_PRODUCT:
        return a @ b
    return jnp.sum(a[:, :, None] * b[None, :, :], axis=1)


def _gauss_jordan(matrix: Any) -> Any:
    n = matrix.shape[0]
    for k in range(n):
        unit = np.zeros(n)
        unit[k] = 1.0
        column = matrix[:, k]
        cleared = matrix * (1.0 - unit)[None, :] + np.outer(unit, unit)
        matrix = cleared - (column - unit)[:, None] * (cleared[k] / column[k])[None, :]
    return matrix


def solve_by_exchanging(matrix: Any, right: Any) -> Any:
    """The solution of a small system by Gauss-Jordan steps with exchange of rows, in array operations alone.

    What `jnp.linalg.solve` gives, for programs over many systems that several threads run at once: there LAPACK's calls
    share their batch among the threads of XLA's pool and block one of them until it is done, so that as many programs
    as the pool has threads wait for each other for ever.
    """
    place = jnp.arange(len(right))

    def step(k: Any, rows: Any) -> Any:
        size = jnp.where(place >= k, jnp.abs(rows[:, k]), -1.0)
        best = jnp.argmax(size)
        pivot, old = rows[best], rows[k]
        pivot = pivot / pivot[k]
        rows = jnp.where((place == best)[:, None], old[None], rows)
        rows = rows - rows[:, k][:, None] * pivot[None]
        return jnp.where((place == k)[:, None], pivot[None], rows)

    return jax.lax.fori_loop(0, len(right), step, jnp.concatenate([matrix, right[:, None]], axis=1))[:, -1]
