"""What a bias means in physical units, and which code a physical quantity needs: both ways, with mismatch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import DoesNotFitError, InputError, Misfit
from ..units import format_quantity
from ._biases import BiasCode, bounds, closest, code_to_current, nearest_code
from ._chip import Chip

Kind = Literal["tau", "duration", "gain", "current"]
_DURATIONS = {"refractory": "ref", "pulse": "pulse", "adaptation_pulse": "pulse_ahp"}
_TAUS = {"tau": "mem", "adaptation_tau": "ahp"}
_GAINS = ("gain", "adaptation_gain")


@dataclass(frozen=True)
class Meaning:
    """What a bias sets: `quantity` such as `tau` or `AMPA tau`, its kind, and the capacitor behind it."""

    quantity: str
    kind: Kind
    cell: str | None = None


@dataclass(frozen=True)
class Translation:
    """A bias in both languages.

    - `code`: requested and realised current (A) and the code; `meaning`: what the bias sets, or None.
    - `asked`, `got`: the quantity in `unit`, as asked for (None: only a code or current was) and as realised.
    - `current_spread`, `spread`: the current (A) and the quantity at one standard deviation of mismatch to either side.
    """

    code: BiasCode
    meaning: Meaning | None
    unit: str
    asked: float | None
    got: float
    current_spread: tuple[float, float]
    spread: tuple[float, float]


def meaning(chip: Chip, name: str) -> Meaning | None:
    """What the bias `name` sets, None for one that no quantity of the model stands for."""
    chip.bias(name)
    second = chip.neuron.second_leak
    named = {k: v for k, v in vars(chip.neuron.biases).items() if v is not None}
    for quantity, bias in named.items():
        if bias == name or (quantity == "tau" and second is not None and second.bias == name):
            if quantity in _TAUS:
                return Meaning(quantity, "tau", _TAUS[quantity])
            if quantity in _DURATIONS:
                return Meaning(quantity, "duration", _DURATIONS[quantity])
            return Meaning(quantity, "gain" if quantity in _GAINS else "current")
    for kind, synapse in chip.synapse.types.items():
        if synapse.tau == name:
            return Meaning(f"{kind} tau", "tau", kind)
        if synapse.gain == name:
            return Meaning(f"{kind} gain", "gain")
    weights = {*chip.synapse.weight.currents, *chip.synapse.weight.per_type.values()}
    return Meaning("weight", "current") if name in weights else None


def translate(
    chip: Chip,
    name: str,
    *,
    time: float | None = None,
    current: float | None = None,
    code: tuple[int, int] | None = None,
    profile: str = "A",
    cv: float = 0.2,
    allow_subfloor: bool = False,
    nearest: bool = False,
) -> Translation:
    """A time (s), a current (A) or a code (coarse, fine) of one bias, in all three languages.

    Mismatch is log-normal with the coefficient of variation `cv` of the current.

    **Raises** `InputError` for a bias that is not there or a time of one that sets no time, `DoesNotFitError` for
    values that cannot be reached, unless `nearest` takes the nearest.
    """
    physics, what = chip.model_physics(profile), meaning(chip, name)
    if sum(x is not None for x in (time, current, code)) != 1:
        raise InputError("Give one of a time, a current and a code.")
    if cv < 0 or not np.isfinite(cv):
        raise InputError(f"cv is {cv!r}; it must be finite and not negative.")
    to_quantity: Callable[[float], float] = float
    timed = what is not None and what.kind in ("tau", "duration")
    if what is not None and timed and what.cell is not None:
        cell, law = what.cell, physics.time_constant if what.kind == "tau" else physics.discharge_time
        to_quantity = lambda i: float(law(i, cell))  # noqa: E731
    if time is not None:
        if what is None or not timed or what.cell is None:
            sets = "no quantity of the model" if what is None else f"'{what.quantity}', which is no time"
            raise InputError(f"Bias '{name}' sets {sets}; give a current or a code.")
        if not time > 0:
            raise InputError(f"A time of {time!r} s cannot be set; it must be positive.")
        wanted = physics.leak_current if what.kind == "tau" else physics.discharge_current
        current = float(wanted(time, what.cell))
    if code is not None:
        realised = code_to_current(chip, name, *code)
        found = BiasCode(realised, realised, *code)
    elif nearest:
        found = closest(chip, name, current or 0.0, allow_subfloor=allow_subfloor)
    else:
        low, high = bounds(chip, name, allow_subfloor=allow_subfloor)
        if time is not None and current is not None and not low <= current <= high and low > 0:
            near, reach = (low, to_quantity(low)) if current < low else (high, to_quantity(high))
            text = (
                f"{format_quantity(time, 's')} needs {format_quantity(current, 'A')} on {name}; the nearest usable "
                f"current is {format_quantity(near, 'A')}"
            )
            hint = f"ask {format_quantity(reach, 's')}" + ("" if allow_subfloor else ", or allow_subfloor")
            raise DoesNotFitError([Misfit("time_constant", time, reach, name, hint, text)])
        found = nearest_code(chip, name, current or 0.0, allow_subfloor=allow_subfloor)
    sigma = float(np.sqrt(np.log1p(cv**2)))
    low, high = (found.realised * float(np.exp(s - 0.5 * sigma**2)) for s in (-sigma, sigma))
    got = to_quantity(found.realised) if found.realised > 0 else float("inf") if timed else 0.0
    spread = sorted(to_quantity(i) if i > 0 else got for i in (low, high))
    unit = "s" if timed else "A"
    return Translation(found, what, unit, time, got, (low, high), (spread[0], spread[1]))
