"""The specification of a sizing: a TOML file, read hard."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from ..documents import Count, Integer, Positive, Section, read_toml, sentences
from ..errors import InputError


class Parameter(Section):
    """A size that may change: bounds, and where to start from if not from the deck; SI units."""

    min: Positive
    max: Positive
    initial: Positive | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Parameter:
        if not self.min < self.max:
            raise ValueError(f"min {self.min:g} must be below max {self.max:g}.")
        if self.initial is not None and not self.min <= self.initial <= self.max:
            raise ValueError(f"initial {self.initial:g} lies outside min {self.min:g} and max {self.max:g}.")
        return self


class Hold(Section):
    """A measure that must stay where it is: its value in SI units (default: that of the deck), relative tolerance."""

    value: float | None = None
    tolerance: Annotated[float, Field(gt=0, lt=1)]


class SizeSpec(Section):
    """What `analogsnn size` is asked for.

    **Fields**

    - `deck`: a path, relative to the specification. `card`: a file or name that takes the place of its device card.
    - `measure`: a `.meas` of the deck. `minimise`: its `"cv"` with `area_max` (m²; default: the area at the start), or
      the `"area"` with `cv_max`. The area is the gate area of all transistors that are not `ideal`.
    - `parameters`: path → bounds. `hold`: measure → value and tolerance.
    - `grid`: of the process, m; sizes are rounded to it at the end. `samples`, `seed`: of the Monte Carlo afterwards.
    - `ideal`: patterns of transistors without mismatch. `avt`: V m, in place of the card's. `t_stop`: s.
    - `accuracy`: of the runs in the loss. `iterations`: at most.
    """

    deck: str
    card: str | None = None
    measure: str
    minimise: Literal["cv", "area"] = "cv"
    area_max: Positive | None = None
    cv_max: Positive | None = None
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]
    hold: dict[str, Hold] = Field(default_factory=dict)
    grid: Positive | None = None
    samples: Count = 300
    seed: Annotated[Integer, Field(ge=0)] = 1
    ideal: tuple[str, ...] = ()
    avt: Positive | None = None
    t_stop: Positive | None = None
    accuracy: Literal["fast", "reference"] = "fast"
    iterations: Count = 30

    @model_validator(mode="after")
    def _aim(self) -> SizeSpec:
        if self.minimise == "area" and self.cv_max is None:
            raise ValueError("minimise = 'area' needs cv_max.")
        if self.minimise == "cv" and self.cv_max is not None:
            raise ValueError("minimise = 'cv' takes area_max, not cv_max.")
        if self.minimise == "area" and self.area_max is not None:
            raise ValueError("minimise = 'area' takes cv_max, not area_max.")
        return self


def read_size_spec(path: Path) -> SizeSpec:
    """The specification in a file.

    **Raises** `InputError` with one sentence per problem.
    """
    document = read_toml(path)
    try:
        return SizeSpec.model_validate(document)
    except ValidationError as error:
        raise InputError("\n".join(sentences(error, SizeSpec, str(path)))) from None


def on_grid(value: float, grid: float | None, down: bool = False) -> float:
    """The nearest (or next lower) multiple of the grid, at least one."""
    if grid is None:
        return value
    steps = math.floor(value / grid + 1e-9) if down else round(value / grid)
    return max(1, steps) * grid
