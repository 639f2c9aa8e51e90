"""Quantities as text: `"20 pA"` → 2e-11, and back."""

from __future__ import annotations

import math
import re

from .errors import InputError

_PREFIX = {
    "": 1.0, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6,
    "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9,
}  # fmt: skip
_QUANTITY = re.compile(r"^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zA-Zµμ]*)\s*$")


def parse_quantity(value: float | int | str, unit: str, what: str = "value") -> float:
    """Read a quantity in SI units: a bare number, or text with an SI prefix and exactly the unit asked for.

    **Arguments**

    - `value`: a number (taken as SI) or text such as `"20 pA"` or `"2e-3 s"`.
    - `unit`: the unit's symbol, such as `"A"`, `"s"`, `"V"`, `"F"`, `"Hz"`.
    - `what`: the name of the quantity, for the message.

    **Raises** `InputError` for another unit, text that is no number, and values that are not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InputError(f"{what} is {value!r}; give a number in {unit} or text such as '20 p{unit}'.")
    if isinstance(value, str):
        match = _QUANTITY.match(value)
        if match is None:
            raise InputError(f"{what} is '{value}', not a quantity; give a number and a unit such as '20 p{unit}'.")
        number, suffix = float(match[1]), match[2]
        if suffix and not (suffix.endswith(unit) and suffix[: -len(unit)] in _PREFIX):
            raise InputError(f"{what} is '{value}', but its unit must be {unit} with an SI prefix, as in '20 p{unit}'.")
        number *= _PREFIX[suffix[: -len(unit)]] if suffix else 1.0
    else:
        number = float(value)
    if not math.isfinite(number):
        raise InputError(f"{what} is {value!r}; it must be finite.")
    return number


def format_quantity(value: float, unit: str, digits: int = 3) -> str:
    """Write an SI value with the prefix that leaves one to three digits before the point: 2e-11 → `"20 pA"`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    value = float(f"{value:.{digits - 1}e}")  # round first: 0.9999 V is 1 V, not 1000 mV
    exponent = min(9, max(-15, 3 * math.floor(math.log10(abs(value)) / 3 + 1e-12)))
    prefix = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}[exponent]
    return f"{value / 10.0**exponent:.{digits}g} {prefix}{unit}"
