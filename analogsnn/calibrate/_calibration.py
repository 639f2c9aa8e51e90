"""What a calibration gives: a model, its errors, and where it may be used."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError

LIMIT = 0.03  # the error below which a model counts as right


class RangeWarning(UserWarning):
    """A model is used where it was not found to be right."""


@dataclass(frozen=True)
class ErrorRow:
    """A quantity of one experiment by both: `condition` in A and °C, `model` and `circuit` in the quantity's unit."""

    quantity: str
    condition: Mapping[str, float]
    model: float
    circuit: float

    @property
    def relative_error(self) -> float:
        """(model - circuit)/circuit."""
        return self.model / self.circuit - 1

    def to_dict(self) -> dict[str, Any]:
        """The row as it stands in the JSON file; what is not finite is null."""
        numbers = {"model": self.model, "circuit": self.circuit, "relative_error": self.relative_error}
        finite = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
        return {"quantity": self.quantity, "condition": dict(self.condition), **finite}


@dataclass(frozen=True)
class Calibration:
    """A behavioural model that was fitted to a circuit.

    - `model`: of `analogsnn.models`. `parameters`: by name, SI units.
    - `errors`: one `ErrorRow` per experiment and quantity.
    - `valid_range`: by condition, the smallest and largest value between which every judged error is below 3 %; None
      where there is no such range.
    - `block`, `card`: what it was fitted to; `experiments`: circuit runs.
    - `judged`: the quantities that the range is about; `along`: the condition that it is sought along.
    - `make`: the model at the conditions that it is given by name (see `at`).
    """

    block: str
    card: str
    model: Any
    parameters: Mapping[str, float]
    errors: Sequence[ErrorRow]
    valid_range: Mapping[str, tuple[float, float]] | None
    experiments: int
    judged: tuple[str, ...] = ("gain", "tau")
    along: str = "i_out"
    make: Callable[..., Any] | None = None

    def at(self, **condition: float) -> Any:
        """The model at a condition, its own where a name is left out; warns (`RangeWarning`) outside the valid range.

        **Raises** `InputError` for a name that the model does not have.
        """
        if self.make is None:
            raise InputError(f"the model of {self.block} was given no way to be made at other conditions.")
        made = self.make(**condition)
        self.check(**condition)
        return made

    def worst(self) -> dict[str, float]:
        """The largest error of each quantity, relative."""
        return {
            quantity: max(abs(row.relative_error) for row in self.errors if row.quantity == quantity)
            for quantity in dict.fromkeys(row.quantity for row in self.errors)
        }

    def summary(self) -> dict[str, dict[str, float]]:
        """Per quantity: largest and root mean square error, and the share of the experiments below 3 %."""
        found = {}
        for quantity in dict.fromkeys(row.quantity for row in self.errors):
            errors = [abs(row.relative_error) for row in self.errors if row.quantity == quantity]
            found[quantity] = {
                "max_relative": max(errors), "rms_relative": math.sqrt(sum(e * e for e in errors) / len(errors)),
                "share_below_limit": sum(e < LIMIT for e in errors) / len(errors),
            }  # fmt: skip
        return found

    def check(self, **condition: float) -> bool:
        """Whether a condition (`i_out=1e-9`, `celsius=20`, …) lies within the valid range; warns where it does not.

        Conditions that the range does not name are not judged.
        """
        inside = True
        for name, value in condition.items():
            if self.valid_range is None or name in self.valid_range:
                low, high = (self.valid_range or {}).get(name, (math.nan, math.nan))
                if not low <= value <= high:
                    inside = False
                    warnings.warn(
                        f"{name} = {value:g} lies outside the range in which the model of {self.block} is within "
                        f"{100 * LIMIT:g} % of its circuit, {low:g} to {high:g}.",
                        RangeWarning, stacklevel=2,
                    )  # fmt: skip
        return inside

    def to_dict(self) -> dict[str, Any]:
        """What `analogsnn calibrate --json` writes."""
        return {
            "block": self.block, "card": self.card, "parameters": dict(self.parameters),
            "errors": [row.to_dict() for row in self.errors], "summary": self.summary(),
            "judged": list(self.judged), "along": self.along,
            "valid_range": None if self.valid_range is None else {k: list(v) for k, v in self.valid_range.items()},
            "experiments": self.experiments,
        }  # fmt: skip

    def to_toml(self) -> str:
        """Parameters, range and errors by quantity as TOML."""
        lines = [f'block = "{self.block}"', f'card = "{self.card}"', "", "[parameters]"]
        lines += [f"{key} = {float(value)!r}" for key, value in self.parameters.items()]
        if self.valid_range is not None:
            lines += ["", "[valid_range]"]
            lines += [f"{key} = [{low!r}, {high!r}]" for key, (low, high) in self.valid_range.items()]
        for quantity, row in self.summary().items():
            lines += ["", f"[errors.{quantity}]", *(f"{key} = {float(value)!r}" for key, value in row.items())]
        return "\n".join(lines) + "\n"


def valid_range(
    rows: Sequence[ErrorRow], quantities: Sequence[str], along: str = "i_out"
) -> dict[str, tuple[float, float]] | None:
    """The longest stretch of experiments, in the order of `along`, whose judged errors are all below 3 %; with the
    extent of the other conditions among them. A value of `along` counts when all experiments at it do. None where no
    experiment is."""
    judged: dict[tuple[tuple[str, float], ...], float] = {}
    for row in rows:
        if row.quantity in quantities:
            key = tuple(row.condition.items())
            error = abs(row.relative_error)
            judged[key] = max(judged.get(key, 0.0), error if math.isfinite(error) else math.inf)
    there: dict[float, list[Any]] = {}
    for key in judged:
        there.setdefault(dict(key)[along], []).append(key)
    best: list[Any] = []
    current: list[Any] = []
    for value in sorted(there):
        current = [*current, *there[value]] if all(judged[key] < LIMIT for key in there[value]) else []
        if len(current) > len(best):
            best = current
    if not best:
        return None
    found = [dict(key) for key in best]
    return {name: (min(c[name] for c in found), max(c[name] for c in found)) for name in found[0]}
