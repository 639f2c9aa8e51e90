"""What a fit may change, and within which bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from ..errors import InputError


@dataclass(frozen=True)
class Parameter:
    """What a fit may change: a parameter path, bounds, and how.

    - `minimum`, `maximum`: SI units. `initial`: start, by default the circuit's own value.
    - `log`: step in the logarithm. `per_chip`: every chip has its own value.
    """

    path: str
    minimum: float
    maximum: float
    initial: float | None = None
    log: bool = True
    per_chip: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.minimum) and math.isfinite(self.maximum) and self.minimum < self.maximum):
            raise InputError(f"'{self.path}': min is {self.minimum:g} and max {self.maximum:g}; min must be below max.")
        if self.log and self.minimum <= 0:
            raise InputError(f"'{self.path}': min is {self.minimum:g}, which has no logarithm; give log = false.")

    def inside(self, value: float) -> float:
        """Value → coordinate from 0 to 1 between the bounds."""
        if self.log:
            return math.log(value / self.minimum) / math.log(self.maximum / self.minimum)
        return (value - self.minimum) / (self.maximum - self.minimum)

    def value(self, x: Any) -> Any:
        """Coordinate → value."""
        if self.log:
            return self.minimum * jnp.exp(x * math.log(self.maximum / self.minimum))
        return self.minimum + x * (self.maximum - self.minimum)

    def slope(self, value: float) -> float:
        """d value/d coordinate."""
        if self.log:
            return value * math.log(self.maximum / self.minimum)
        return self.maximum - self.minimum


def start_of(parameter: Parameter, base: Mapping[str, float]) -> float:
    value = parameter.initial if parameter.initial is not None else base.get(parameter.path)
    if value is None:
        return 0.5
    if not parameter.minimum <= value <= parameter.maximum:
        which = "initial" if parameter.initial is not None else "value in the deck"
        raise InputError(
            f"'{parameter.path}': its {which}, {value:g}, lies outside its bounds, {parameter.minimum:g} to "
            f"{parameter.maximum:g}; give another start or wider bounds."
        )
    return parameter.inside(value)
