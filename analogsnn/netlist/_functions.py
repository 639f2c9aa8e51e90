"""Two tables of operations, because ngspice has two evaluators that disagree.

Measured on ngspice 39 (V-source `{…}` against B-source):

| call | parameter | B-source |
|---|---|---|
| `pow(-2, 3)` | −8 | 8 |
| `pwr(-2, 3)` | 8 | −8 |
| `(-2)^3` | 8 | 8 |
| `1/0`, `exp(1000)`, `ln(0)` | refused | 1e32, 1e99, −1e99 |

`min` and `max` take two arguments: ngspice accepts more and then computes with the last two only. `nint` rounds halves
to even, `int` cuts towards zero, `log` is the natural logarithm; all measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

# Functions that draw a random number at every reading, with their numbers of arguments; the first is the nominal value,
# the second its spread. Refused where it matters, because a deck must mean one circuit.
RANDOM = {"agauss": 3, "gauss": 3, "aunif": 2, "unif": 2, "limit": 2}
# Names with a meaning of their own on a B-source; a parameter of the same name goes before.
BEHAVIOURAL_NAMES = {"pi": math.pi, "e": math.e}
BEHAVIOURAL_VARIABLES = frozenset({"time", "temper", "hertz"})


def _sign(x: float) -> float:
    return float((x > 0) - (x < 0))


def _power_of_magnitude(x: float, y: float) -> float:
    return abs(x) ** y


def _signed_power(x: float, y: float) -> float:
    return math.copysign(abs(x) ** y, x)


def _divide(x: float, y: float) -> float:
    # ngspice keeps B-sources finite by a tiny shift of the denominator away from zero.
    return x / (y + 1e-32 if y >= 0 else y - 1e-32)


def _exp(x: float) -> float:
    return math.exp(x) if x <= 227.9559242 else 1e99


def _log(x: float) -> float:
    return math.log(x) if x > 0 else (-1e99 if x == 0 else math.log(x))


def _condition(condition: float, then: float, otherwise: float) -> float:
    return then if condition else otherwise


_COMMON: dict[str, Callable[..., Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "neg": lambda x: -x,
    "^": _power_of_magnitude,
    "==": lambda x, y: float(x == y),
    "!=": lambda x, y: float(x != y),
    "<": lambda x, y: float(x < y),
    "<=": lambda x, y: float(x <= y),
    ">": lambda x, y: float(x > y),
    ">=": lambda x, y: float(x >= y),
    "&&": lambda x, y: float(bool(x) and bool(y)),
    "||": lambda x, y: float(bool(x) or bool(y)),
    "!": lambda x: float(not x),
    "?:": _condition,
    "ternary_fcn": _condition,
    "sgn": _sign,
    "abs": abs,
    "sqrt": math.sqrt,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "asinh": math.asinh,
    "acosh": math.acosh,
    "atanh": math.atanh,
    "floor": lambda x: float(math.floor(x)),
    "ceil": lambda x: float(math.ceil(x)),
    "nint": lambda x: float(round(x)),
    "min": lambda x, y: min(x, y),
    "max": lambda x, y: max(x, y),
}

PARAMETER_FUNCTIONS: Mapping[str, Callable[..., Any]] = _COMMON | {
    "/": lambda x, y: x / y,
    "%": math.fmod,
    "\\": lambda x, y: float(math.trunc(x / y)),
    "pow": math.pow,
    "pwr": _power_of_magnitude,
    "sqr": lambda x: x * x,
    "exp": math.exp,
    "ln": math.log,
    "log": math.log,
    "arctan": math.atan,
    "int": lambda x: float(math.trunc(x)),
}

BEHAVIOURAL_FUNCTIONS: Mapping[str, Callable[..., Any]] = _COMMON | {
    "/": _divide,
    "pow": _power_of_magnitude,
    "pwr": _signed_power,
    "exp": _exp,
    "ln": _log,
    "log": _log,
    "u": lambda x: float(x > 0) if x else 0.5,
    "u2": lambda x: min(max(x, 0.0), 1.0),
    "uramp": lambda x: max(x, 0.0),
    "eq0": lambda x: float(x == 0),
    "ne0": lambda x: float(x != 0),
    "gt0": lambda x: float(x > 0),
    "lt0": lambda x: float(x < 0),
    "ge0": lambda x: float(x >= 0),
    "le0": lambda x: float(x <= 0),
}

# Named functions with more than one argument; all others take one.
ARGUMENTS = {"pow": 2, "pwr": 2, "min": 2, "max": 2, "ternary_fcn": 3}
