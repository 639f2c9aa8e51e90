"""In which order to eliminate the states, so that the small matrices of a step invert in few large operations.

States that share no element can be eliminated together, their block being diagonal. Such sets are taken greedily,
smallest degree first, with the fill-in of each counted, until the sets become small.
"""

from __future__ import annotations

import numpy as np

# A set of fewer states costs more in matrix products than as many Gauss-Jordan steps.
SMALLEST_LEVEL = 3


def elimination_levels(touching: np.ndarray) -> list[list[int]]:
    """Sets of states that can be eliminated together, in order; the last one holds the rest.

    **Arguments**: `touching [state, state]`, which states share an element.
    """
    left = set(range(len(touching)))
    neighbours = {i: {j for j in left if j != i and touching[i, j]} for i in left}
    levels: list[list[int]] = []
    while left:
        chosen: list[int] = []
        barred: set[int] = set()
        for i in sorted(left, key=lambda i: (len(neighbours[i]), i)):
            if i not in barred:
                chosen.append(i)
                barred |= neighbours[i]
        if len(chosen) < SMALLEST_LEVEL or len(chosen) == len(left):
            break
        for i in chosen:
            around = neighbours.pop(i)
            left.discard(i)
            for j in around:
                neighbours[j] = (neighbours[j] | around) - {i, j}
        levels.append(sorted(chosen))
    return [*levels, sorted(left)]
