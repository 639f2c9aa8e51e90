"""How well the data tell the parameters of a fit: standard errors, and what cannot be told apart."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

# Parameters with more than this share of a direction that the data do not tell belong to it.
_SHARE = 0.3
# A direction that the data do not tell to this is not told at all: it is no error to be named in digits.
_NONE = 1e150


class Certainty(NamedTuple):
    """Standard errors of the coordinates `[parameter]`, and groups of which only a combination is told."""

    errors: np.ndarray
    groups: tuple[tuple[str, ...], ...]


def certainty(jacobian: np.ndarray, names: list[str], variance: float, precision: float) -> Certainty:
    """Standard errors from the Gauss-Newton Hessian: Cov = variance (J'J)^-1.

    **Arguments**

    - `jacobian`: `[residual, parameter]` by coordinates in which a step of one is comparable between parameters.
    - `variance`: of a residual. `precision`: what twice a standard error must stay below to be told.
    """
    _, singular, directions = np.linalg.svd(jacobian, full_matrices=False)
    along = math.sqrt(variance) / np.maximum(singular, 1 / _NONE)
    # Fewer residuals than parameters: the directions that are left out are not told either.
    errors = np.sqrt(np.sum((directions.T * along) ** 2, axis=1))
    if len(singular) < len(names):
        errors[:] = np.where(1 - np.sum(directions**2, axis=0) > 1e-12, _NONE, errors)
    unknown = 2 * errors >= precision
    groups: list[tuple[str, ...]] = []
    for error, direction in sorted(zip(along, directions, strict=True), key=lambda pair: -pair[0]):
        group = tuple(
            name for name, share, open_ in zip(names, direction, unknown, strict=True) if open_ and abs(share) > _SHARE
        )
        if 2 * error >= precision and len(group) > 1 and group not in groups:
            groups.append(group)
    return Certainty(errors, tuple(groups))
