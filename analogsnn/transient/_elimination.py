"""Inverting the small matrices of a Rosenbrock step, with few large operations.

The states are ordered by levels (`analogsnn.circuit`): each level but the last is a diagonal block, eliminated at
once; what is left is inverted by Gauss-Jordan steps. No pivots are exchanged: a step's matrix M/(hγ) - ∂f/∂y is
dominated by its diagonal as soon as the step is short enough, and a step that was spoilt is refused by its error
estimate and shortened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import product

# Up to this many multiplications a sum over a broadcast product is faster than a call of the matrix library.
SMALL_PRODUCT = 1500
# Up to this many states Gauss-Jordan steps are faster than the matrix library; beyond, XLA repeats work in fusing them.
LARGEST_UNROLLED = 8


def factor(levels: tuple[int, ...], matrix: Any) -> Callable[[Any], Any]:
    """Invert a matrix whose first `levels[0]` rows are a diagonal block, and so on; gives the function that multiplies
    with the inverse.

    The matrix `[state, state]` may have a trailing axis of lanes.
    """
    inverted = _invert(levels, matrix)
    return lambda b: _apply(inverted, matrix, b)


@jax.custom_jvp
def _apply(inverted: Any, matrix: Any, b: Any) -> Any:
    return product(inverted, b)


@_apply.defjvp
def _apply_jvp(primals: Any, tangents: Any) -> Any:
    # From matrix x = b, so that nobody differentiates the inversion itself.
    inverted, _, b = primals
    _, d_matrix, d_b = tangents
    x = product(inverted, b)
    return x, product(inverted, d_b - product(d_matrix, x))


def _invert(levels: tuple[int, ...], matrix: Any) -> Any:
    k = levels[0]
    if len(levels) == 1:
        return _gauss_jordan(matrix) if k <= LARGEST_UNROLLED else _library_inverse(matrix)
    pivot = 1.0 / matrix[np.arange(k), np.arange(k)]
    right = pivot[:, None] * matrix[:k, k:]
    below = matrix[k:, :k] * pivot[None, :]
    rest = _invert(levels[1:], matrix[k:, k:] - _product(below, matrix[:k, k:]))
    corner = -_product(right, rest)
    diagonal = _spread(np.eye(k), matrix) * pivot[None, :]
    upper = jnp.concatenate([diagonal - _product(corner, below), corner], axis=1)
    return jnp.concatenate([upper, jnp.concatenate([-_product(rest, below), rest], axis=1)], axis=0)


def _product(a: Any, b: Any) -> Any:
    if a.ndim == 3:
        return sum(a[:, j, None] * b[None, j] for j in range(a.shape[1]))
    if a.shape[0] * a.shape[1] * b.shape[1] > SMALL_PRODUCT:
        return a @ b
    return jnp.sum(a[:, :, None] * b[None, :, :], axis=1)


def _gauss_jordan(matrix: Any) -> Any:
    n = matrix.shape[0]
    for k in range(n):
        unit = np.zeros(n)
        unit[k] = 1.0
        column = matrix[:, k]
        cleared = matrix * _spread(1.0 - unit[None, :], matrix) + _spread(np.outer(unit, unit), matrix)
        matrix = cleared - (column - _spread(unit, column))[:, None] * (cleared[k] / column[k])[None, :]
    return matrix


def _library_inverse(matrix: Any) -> Any:
    if matrix.ndim == 2:
        return jnp.linalg.inv(matrix)
    return jnp.moveaxis(jnp.linalg.inv(jnp.moveaxis(matrix, -1, 0)), 0, -1)


def _spread(numbers: np.ndarray, like: Any) -> np.ndarray:
    """The numbers with a trailing axis where `like` has one of lanes."""
    return numbers.reshape(numbers.shape + (1,) * (like.ndim - numbers.ndim))
