"""The numbers of all elements with derivatives, as one operation.

Hundreds of parameters become a dozen arrays by thousands of small operations. Differentiated one by one, as they are
without `jit`, they cost more than the run; so they are compiled into one function, once for a circuit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ._topology import Topology
from ._values import Values, element_values, evaluator, is_traced, without_derivatives

Paths = tuple[tuple[str, ...], tuple[str, ...]]


def differentiated_values(topology: Topology, parameters: Mapping[str, Any], offsets: Mapping[str, Any]) -> Values:
    """As `element_values`; numbers that no traced parameter moves are plain, the rest come from one operation.

    **Raises** what `element_values` does.
    """
    given = (dict(parameters), dict(offsets))
    moving: Paths = tuple(tuple(sorted(k for k, v in part.items() if is_traced(v))) for part in given)  # type: ignore[assignment]
    known = tuple(map(without_derivatives, given))
    if any(is_traced(v) for part in known for v in part.values()):
        # Under jit or vmap everything becomes one program anyway.
        return element_values(topology, evaluator(*given))
    plain, tree = jax.tree.flatten(element_values(topology, evaluator(*known)))
    places, function = _compiled(_Identity(topology), moving)
    moved = tuple({k: part[k] for k in names} for part, names in zip(given, moving, strict=True))
    for place, value in zip(places(known), function(moved, known), strict=True):
        plain[place] = value
    return jax.tree.unflatten(tree, plain)


class _Identity:
    """A key that is equal to itself only: circuits of equal equations may differ in their decks' expressions."""

    def __init__(self, topology: Topology):
        self.topology = topology

    def __hash__(self) -> int:
        return id(self.topology)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.topology is other.topology


@lru_cache(maxsize=64)
def _compiled(key: _Identity, moving: Paths) -> tuple[Callable[[Any], list[int]], Callable[[Any, Any], list[Any]]]:
    """Which numbers move, and the function that computes them from the moving and from all parameters."""
    found: list[int] = []

    def leaves(moved: Any, known: Any) -> list[Any]:
        both = ({**plain, **part} for plain, part in zip(known, moved, strict=True))
        return jax.tree.leaves(element_values(key.topology, evaluator(*both)))

    def places(known: Any) -> list[int]:
        if not found and any(moving):

            def look(moved: Any) -> None:
                found.extend(i for i, leaf in enumerate(leaves(moved, known)) if is_traced(leaf))

            jax.eval_shape(look, tuple({k: np.float64(0) for k in names} for names in moving))
        return found

    @jax.jit
    def function(moved: Any, known: Any) -> list[Any]:
        every = leaves(moved, known)
        return [every[i] for i in found]

    return places, function
