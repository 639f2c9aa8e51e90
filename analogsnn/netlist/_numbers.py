"""SPICE numbers: mantissa, exponent, scale suffix, unit tail.

Measured on ngspice 39: `1M` is milli, `1F` is femto, `1a` is 1 (the letter is only a unit there), and `1mil` is 25.4e-6
on an element line but 1e-3 inside braces. The first two are noted, because people mean otherwise.
"""

from __future__ import annotations

import math
import re

_EXPONENTS = {"t": 12, "g": 9, "meg": 6, "k": 3, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15}

# The letter d as an exponent mark is Fortran's; ngspice knows it on element lines only.
NUMBER = re.compile(r"((?:\d+\.?\d*|\.\d+))(?:([ed])([+-]?\d+))?((?:meg|mil|[tgkmunpf])?)([a-zΩ]*)", re.IGNORECASE)
_WHOLE = re.compile(r"([+-]?)" + NUMBER.pattern + r"$", re.IGNORECASE)


class NumberProblem(ValueError):
    """A number that cannot be used; `hint` says what to write instead, `malformed` that it is no number at all."""

    def __init__(self, message: str, hint: str = "", *, malformed: bool = False):
        super().__init__(message)
        self.hint, self.malformed = hint, malformed


def scaled(match: re.Match[str], *, braces: bool = False) -> float:
    """The value of a `NUMBER` match, correctly rounded; `braces` selects ngspice's rules inside an expression.

    **Raises** `NumberProblem` where the value does not fit 64 bits.
    """
    mantissa, _, exponent, suffix, _ = match.group(1, 2, 3, 4, 5)
    suffix = suffix.lower()
    if suffix == "mil":
        if not braces:
            return float(f"{mantissa}e{exponent or 0}") * 25.4e-6
        suffix = "m"
    if exponent is None and not suffix:
        return float(mantissa)
    power = _EXPONENTS.get(suffix, 0)
    if exponent is not None:
        if len(exponent) > 6:
            raise NumberProblem(f"{match.group()} does not fit a 64-bit number", "Its exponent is beyond ±308.")
        power += int(exponent)
    value = float(f"{mantissa}e{power}")
    if math.isinf(value):
        raise NumberProblem(f"{match.group()} does not fit a 64-bit number", "The largest is 1.8e308.")
    if value == 0.0 and mantissa.strip("0."):
        raise NumberProblem(f"{match.group()} is too small for a 64-bit number and would become 0", "Write 0 if meant.")
    return value


def trap(text: str, value: float) -> str | None:
    """The note a number deserves because ngspice reads it otherwise than people mean it, or None."""
    match = _WHOLE.match(text)
    if match is None:
        return None
    suffix, tail = match.group(5), match.group(6)
    if suffix == "M":
        return f"{text} is {value:g} ('M' is milli). For mega write MEG; for milli write m."
    if suffix == "F" and not tail:
        return f"{text} is {value:g} ('F' is femto, not farad)."
    if not suffix and tail[:1] in ("a", "A"):
        letter = tail[0]
        return (
            f"{text} is {value:g} ('{letter}' is no scale in ngspice 39, but atto elsewhere). Write the power of ten."
        )
    return None


def is_number(text: str) -> bool:
    """Whether `text` begins as a number does (so that a failure to read it is a number's failure)."""
    return bool(re.match(r"[+-]?\.?\d", text))


def read_number(text: str) -> float:
    """The value of a whole SPICE number on an element line, such as `10uF` or `-2.5e-3k`.

    **Raises** `NumberProblem` for anything else, with the likely meaning as hint.
    """
    match = _WHOLE.match(text)
    if match is None:
        raise _explain(text)
    value = scaled(_Shifted(match))  # type: ignore[arg-type]
    return -value if match.group(1) == "-" else value


class _Shifted:
    """A `_WHOLE` match seen through the group numbers of `NUMBER`."""

    def __init__(self, match: re.Match[str]):
        self._match = match

    def group(self, *indices: int):
        return self._match.group(*(i + 1 for i in indices)) if indices else self._match.group()


def _explain(text: str) -> NumberProblem:
    message, hint = f"'{text}' is not a SPICE number", "Write a number such as 2.2k, 10u or 1e-12."
    split = re.fullmatch(r"([+-]?\d+)([a-z]+)(\d+)", text, re.IGNORECASE)
    if re.fullmatch(r"[+-]?(nan|inf|infinity)", text, re.IGNORECASE):
        message, hint = f"'{text}' is not a number a circuit can use", "Write a finite value."
    elif split:
        whole, scale, fraction = split.groups()
        hint = f"Did you mean {whole}.{fraction}{scale}?"
    elif re.fullmatch(r"[+-]?\d+,\d+\w*", text):
        message, hint = f"'{text}' has a comma", f"The decimal mark is a point: {text.replace(',', '.')}."
    return NumberProblem(message, hint, malformed=True)
