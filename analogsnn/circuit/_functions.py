"""The operations of deck expressions as JAX functions, after the two tables of `analogsnn.netlist`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp


def _truth(x: Any) -> Any:
    return jnp.asarray(x) != 0


def _number(x: Any) -> Any:
    return jnp.asarray(x).astype(float)


def _power_of_magnitude(x: Any, y: Any) -> Any:
    # 0 to a power has a derivative that automatic differentiation would call NaN; |x|² needs no power at all.
    if isinstance(y, (int, float)) and float(y) == 2.0:
        return x * x
    safe = jnp.where(x == 0, 1.0, jnp.abs(x))
    return jnp.where(x == 0, jnp.where(jnp.asarray(y) == 0, 1.0, 0.0), safe**y)


def _signed_power(x: Any, y: Any) -> Any:
    return jnp.sign(x) * _power_of_magnitude(x, y)


def _safe_divide(x: Any, y: Any) -> Any:
    return x / (y + jnp.where(jnp.asarray(y) >= 0, 1e-32, -1e-32))


def _exp(x: Any) -> Any:
    return jnp.where(jnp.asarray(x) <= 227.9559242, jnp.exp(jnp.minimum(x, 227.9559242)), 1e99)


def _log(x: Any) -> Any:
    return jnp.where(jnp.asarray(x) == 0, -1e99, jnp.log(jnp.where(jnp.asarray(x) == 0, 1.0, x)))


_COMMON: dict[str, Callable[..., Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "neg": lambda x: -x,
    "^": _power_of_magnitude,
    "==": lambda x, y: _number(jnp.asarray(x) == y),
    "!=": lambda x, y: _number(jnp.asarray(x) != y),
    "<": lambda x, y: _number(jnp.asarray(x) < y),
    "<=": lambda x, y: _number(jnp.asarray(x) <= y),
    ">": lambda x, y: _number(jnp.asarray(x) > y),
    ">=": lambda x, y: _number(jnp.asarray(x) >= y),
    "&&": lambda x, y: _number(_truth(x) & _truth(y)),
    "||": lambda x, y: _number(_truth(x) | _truth(y)),
    "!": lambda x: _number(~_truth(x)),
    "?:": lambda c, x, y: jnp.where(_truth(c), x, y),
    "ternary_fcn": lambda c, x, y: jnp.where(_truth(c), x, y),
    "sgn": jnp.sign,
    "abs": jnp.abs,
    "sqrt": jnp.sqrt,
    "log10": jnp.log10,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "atan": jnp.arctan,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "tanh": jnp.tanh,
    "asinh": jnp.arcsinh,
    "acosh": jnp.arccosh,
    "atanh": jnp.arctanh,
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "nint": jnp.round,
    "min": jnp.minimum,
    "max": jnp.maximum,
}

JAX_PARAMETER_FUNCTIONS: Mapping[str, Callable[..., Any]] = _COMMON | {
    "/": lambda x, y: x / y,
    "%": jnp.fmod,
    "\\": lambda x, y: jnp.trunc(x / y),
    "pow": lambda x, y: x**y,
    "pwr": _power_of_magnitude,
    "sqr": lambda x: x * x,
    "exp": jnp.exp,
    "ln": jnp.log,
    "log": jnp.log,
    "arctan": jnp.arctan,
    "int": jnp.trunc,
}

JAX_BEHAVIOURAL_FUNCTIONS: Mapping[str, Callable[..., Any]] = _COMMON | {
    "/": _safe_divide,
    "pow": _power_of_magnitude,
    "pwr": _signed_power,
    "exp": _exp,
    "ln": _log,
    "log": _log,
    "u": lambda x: jnp.heaviside(x, 0.5),
    "u2": lambda x: jnp.clip(x, 0.0, 1.0),
    "uramp": lambda x: jnp.maximum(x, 0.0),
    "eq0": lambda x: _number(jnp.asarray(x) == 0),
    "ne0": lambda x: _number(jnp.asarray(x) != 0),
    "gt0": lambda x: _number(jnp.asarray(x) > 0),
    "lt0": lambda x: _number(jnp.asarray(x) < 0),
    "ge0": lambda x: _number(jnp.asarray(x) >= 0),
    "le0": lambda x: _number(jnp.asarray(x) <= 0),
}
