"""Residuals and their derivatives from one compiled function, for solvers that ask for them one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class LastStep:
    """A function that gives (derivatives, (residuals, predictions)) of parameters, and its last values.

    Compiling takes most of a calibration, and a derivative holds the values anyway.
    """

    def __init__(self, function: Callable[[np.ndarray], Any]):
        self.function = function
        self.kept: tuple[bytes, Any] = (b"", None)

    def _at(self, x: np.ndarray) -> Any:
        key = np.asarray(x).tobytes()
        if self.kept[0] != key:
            self.kept = key, self.function(x)
        return self.kept[1]

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """`[residual]`."""
        return np.asarray(self._at(x)[1][0])

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """`[residual, parameter]`."""
        return np.asarray(self._at(x)[0])

    def found(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The predictions by name."""
        return {name: np.asarray(value) for name, value in self._at(x)[1][1].items()}
