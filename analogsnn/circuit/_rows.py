"""Sparse matrices for lanes: one operation over all lanes for every entry that can differ from zero."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._apart import apart


class Pattern:
    """Where a matrix may differ from zero, entries row by row. Part of the compiled program, which equal ones share."""

    def __init__(self, mask: np.ndarray):
        self.shape = mask.shape
        self.row, self.column = np.nonzero(mask)
        entries = [np.flatnonzero(self.row == row) for row in range(len(mask))]
        longest = max(map(len, entries), default=0)
        # [term, row]: the entries of each row, as many terms as the longest row has, -1 for none
        self.terms = np.full((longest, len(mask)), -1)
        for row, found in enumerate(entries):
            self.terms[: len(found), row] = found
        self.key = (mask.shape, mask.tobytes())

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.key == other.key

    def times(self, values: Any, x: Any) -> Any:
        """The product of entries `[entry, lane]` or `[entry]` and `x [column, lane]`: `[row, lane]`."""
        total = jnp.zeros((self.shape[0], *x.shape[1:]))
        for term in self.terms:
            some = np.maximum(term, 0)
            product = x[self.column[some]] if values is None else values[some] * x[self.column[some]]
            total = total + (product if (term >= 0).all() else jnp.where((term >= 0)[:, None], product, 0.0))
        return total


@jax.tree_util.register_static
class Rows:
    """A matrix of numbers known before compilation, to multiply `[column, lane]` with: `rows @ x`."""

    def __init__(self, matrix: np.ndarray):
        self.shape, self.pattern = matrix.shape, Pattern(matrix != 0)
        self.values = matrix[self.pattern.row, self.pattern.column]
        self.key = (matrix.shape, matrix.tobytes())

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and self.key == other.key

    def __matmul__(self, x: Any) -> Any:
        if not self.values.size:
            return jnp.zeros((self.shape[0], *x.shape[1:]))
        return _times(self, x)

    def times(self, x: Any) -> Any:
        """The same product, merged with what is around it."""
        return self.pattern.times(None if (self.values == 1.0).all() else self.values[:, None], x)


@jax.tree_util.register_pytree_node_class
class Entries:
    """A matrix of each lane's own numbers with a common pattern: `values [entry, lane]`."""

    def __init__(self, pattern: Pattern, values: Any):
        self.pattern, self.values = pattern, values

    @classmethod
    def of(cls, mask: np.ndarray, matrix: Any) -> Entries:
        """The entries of a dense matrix `[row, column, lane]` where the mask is true."""
        pattern = Pattern(mask)
        return cls(pattern, matrix[pattern.row, pattern.column])

    def tree_flatten(self) -> tuple[tuple[Any], Pattern]:
        """For JAX."""
        return (self.values,), self.pattern

    @classmethod
    def tree_unflatten(cls, pattern: Pattern, values: tuple[Any]) -> Entries:
        """For JAX."""
        return cls(pattern, values[0])

    def __matmul__(self, x: Any) -> Any:
        return _times(self, x)

    def times(self, x: Any) -> Any:
        """The same product, merged with what is around it."""
        return self.pattern.times(self.values, x)

    def __truediv__(self, divisor: Any) -> Entries:
        return Entries(self.pattern, self.values * (1.0 / divisor))

    def __add__(self, other: Entries) -> Entries:
        return Entries(self.pattern, self.values + other.values)

    def __sub__(self, other: Entries) -> Entries:
        return Entries(self.pattern, self.values - other.values)


@apart
def _times(matrix: Rows | Entries, x: Any) -> Any:
    return matrix.times(x)
