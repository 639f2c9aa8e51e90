"""Currents to generator codes and back, by search over the real curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import DoesNotFitError, InputError, Misfit
from ..units import format_quantity
from ._chip import Chip

_SLACK = 1e-9  # relative: a current that the generator itself gave is in range after rounding in float64


@dataclass(frozen=True)
class BiasCode:
    """The code nearest to a current: requested and realised current (A), code, and (realised - requested)/requested."""

    requested: float
    realised: float
    coarse: int
    fine: int

    @property
    def relative_error(self) -> float:
        """(realised - requested) / requested."""
        return self.realised / self.requested - 1.0


def code_to_current(chip: Chip, name: str, coarse: int, fine: int) -> float:
    """Current (A) of bias `name` at a code, its scale included.

    **Raises** `InputError` for a bias that is not there or has no known scale, and a code outside the generator.
    """
    generator = chip.biases.generator
    if not (0 <= coarse < generator.coarse and 0 <= fine < generator.fine):
        raise InputError(
            f"Code ({coarse}, {fine}) of {name} is outside the generator of '{chip.name}': coarse 0 to "
            f"{generator.coarse - 1}, fine 0 to {generator.fine - 1}."
        )
    polarity, scale = _scaled(chip, name)
    return float(chip.generator_currents[polarity][coarse, fine] * scale)


def nearest_code(chip: Chip, name: str, current: float, *, allow_subfloor: bool = False) -> BiasCode:
    """The code whose current is nearest to `current` (A), over all codes: the curve is not monotone.

    A current of zero has no code: a feature is switched off by its latch, or by leaving its bias unset.

    **Raises** `DoesNotFitError` naming `bias_range`, `bias_floor` or `bias_resolution`; `InputError` for a bias
    that is not there.
    """
    code = find_code(chip, name, current, f"the request for {name}", allow_subfloor=allow_subfloor)
    if isinstance(code, Misfit):
        raise DoesNotFitError([code])
    return code


def find_code(chip: Chip, name: str, current: float, who: str, *, allow_subfloor: bool = False) -> BiasCode | Misfit:
    """As `nearest_code`, but a request that cannot be met comes back as a `Misfit` that names `who`."""
    polarity, scale = _scaled(chip, name)
    currents, order = chip.sorted_currents[polarity]
    low, high = bounds(chip, name, allow_subfloor=True)
    ask = format_quantity(current, "A", 4)
    if current <= 0 or not low * (1 - _SLACK) <= current <= high * (1 + _SLACK):
        bound = float(high if current > high else low)
        text = f"{who}: {name} reaches {format_quantity(low, 'A')} to {format_quantity(high, 'A')}, asked {ask}"
        return Misfit("bias_range", current, bound, who, f"ask {format_quantity(bound, 'A')} at the nearest", text)
    floor = chip.limits.i_floor
    if current < floor * (1 - _SLACK) and not allow_subfloor:
        text = f"{who}: {name} = {ask} lies below the floor of {format_quantity(floor, 'A')}, where no law holds"
        return Misfit("bias_floor", current, floor, who, "ask more, or allow_subfloor", text)
    code = closest(chip, name, current, allow_subfloor=True)
    if abs(code.relative_error) > chip.limits.bias_error_fail:
        right = int(np.clip(np.searchsorted(currents, current / scale), 1, len(currents) - 1))
        two = ", ".join(
            f"{_split(chip, int(order[k]))} gives {format_quantity(currents[k] * scale, 'A', 4)}"
            for k in (right - 1, right)
        )
        text = (
            f"{who}: {name} = {ask} lies between codes, the nearest is {100 * code.relative_error:+.1f} % off and at "
            f"most {100 * chip.limits.bias_error_fail:.0f} % are allowed"
        )
        return Misfit("bias_resolution", abs(code.relative_error), chip.limits.bias_error_fail, who, two, text)
    return code


def closest(chip: Chip, name: str, current: float, *, allow_subfloor: bool = False) -> BiasCode:
    """The nearest code to `current` (A) among those that may be used, however far it is."""
    polarity, scale = _scaled(chip, name)
    currents, order = chip.sorted_currents[polarity]
    floor = 0.0 if allow_subfloor else chip.limits.i_floor * (1 - _SLACK)
    first = int(np.searchsorted(currents, max(floor / scale, np.nextafter(0.0, 1.0))))  # no code of zero current
    right = int(np.clip(np.searchsorted(currents, current / scale), first, len(currents) - 1))
    left = max(right - 1, first)
    best = left if current - currents[left] * scale <= currents[right] * scale - current else right
    best = int(np.searchsorted(currents, currents[best]))  # the first of equal currents
    return BiasCode(current, float(currents[best] * scale), *_split(chip, int(order[best])))


def bounds(chip: Chip, name: str, *, allow_subfloor: bool = False) -> tuple[float, float]:
    """The smallest and the largest current (A) that a bias can be asked for; with the floor, unless that is waived."""
    polarity, scale = _scaled(chip, name)
    currents = chip.sorted_currents[polarity][0]
    low, high = float(currents[0] * scale), float(currents[-1] * scale)
    return (low if allow_subfloor else max(low, chip.limits.i_floor)), high


def _split(chip: Chip, flat: int) -> tuple[int, int]:
    return divmod(flat, chip.biases.generator.fine)


def _scaled(chip: Chip, name: str) -> tuple[str, float]:
    bias = chip.bias(name)
    if bias.polarity is None or bias.scale is None:
        raise InputError(
            f"Bias '{name}' of chip '{chip.name}' has no known {'polarity' if bias.polarity is None else 'scale'}, so "
            "it cannot be asked for in ampere; give it in the chip file."
        )
    return bias.polarity, bias.scale
