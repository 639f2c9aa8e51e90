"""How constants that a circuit gave a network change with temperature, and where that is known."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

T0 = 27.0  # °C
_UT0, _KELVIN = 0.02586492, 273.15


def ut(celsius: Any) -> Any:
    """Thermal voltage (V)."""
    return _UT0 * (celsius + _KELVIN) / (T0 + _KELVIN)


def warmed(value: Any, growth: Any, celsius: Any) -> Any:
    """A constant of 27 °C at another temperature; `growth` in 1/K."""
    return value * np.exp(growth * (celsius - T0))


def off_growth(parameters: Mapping[str, float]) -> float:
    """By how much an off-current grows (1/K) at 27 °C where the threshold is `vt` (V), falls by `tcv` (V/K), and the
    slope factor is `n`: I_off goes with e^(-V_T/n U_T)."""
    p = parameters
    return (p["vt"] / (T0 + _KELVIN) + p["tcv"]) / (p["n"] * _UT0)


def check_temperature(celsius: float, known: tuple[float, float], what: str) -> None:
    """Warn (`calibrate.RangeWarning`) outside the temperatures of a calibration."""
    from ..calibrate import RangeWarning

    if not known[0] <= celsius <= known[1]:
        warnings.warn(
            f"{celsius:g} °C lies outside the temperatures that the network's {what} was calibrated at, "
            f"{known[0]:g} to {known[1]:g} °C.",
            RangeWarning, stacklevel=3,
        )  # fmt: skip
