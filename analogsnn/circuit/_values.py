"""The numbers of a circuit's elements, as arrays, from its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..devices import COMMON_KEYS, INSTANCE_KEYS, KELVIN, OPTIONAL_KEYS, POLAR_KEYS
from ..errors import InputError
from ..netlist import PARAMETER_FUNCTIONS, Behavioural, Device, Element, Evaluator, Name, walk
from ._functions import JAX_PARAMETER_FUNCTIONS
from ._topology import Topology, refuse


class Values(NamedTuple):
    """What a run needs of the parameters; arrays in the order of the topology, SI units."""

    card: dict[str, Any]  # [fet]
    instance: dict[str, Any]  # [fet]
    celsius: Any
    capacitance: Any  # [capacitor]
    conductance: Any  # [resistor]
    transconductance: Any  # [controlled]
    gain: Any  # [gains]
    formula: tuple[dict[str, Any], ...]  # the names in each B-source: behavioural currents first, then inputs
    push: Any  # [input]: how many parallel sources, 1 for voltages


def lane_axes() -> Values:
    """The axes of `Values` with a leading axis of lanes, for `vmap`: all but the gains, which lanes share."""
    return Values(**dict.fromkeys(Values._fields, 0) | {"gain": None})  # type: ignore[arg-type]


# Terms of the card that are left out of the program while they are all zero.
_EXTENDED_KEYS = ("gm", "dib", "th", "bk", "ns", "tbk", "thb", "kw", "cw")


def extended(values: Values) -> bool:
    """Whether body effect, DIBL or mobility reduction take part: any of them not zero, or being differentiated."""
    terms = [values.card[key] for key in _EXTENDED_KEYS]
    return any(is_traced(term) or bool(np.any(np.asarray(term) != 0)) for term in terms)


def is_traced(value: Any) -> bool:
    """Whether JAX is looking: differentiating, batching or compiling."""
    return isinstance(value, Tracer)


_constant = jax.jit(jax.lax.stop_gradient)


def without_derivatives(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers by name as constants: plain ones where JAX knows them. All at once: one by one, each takes 0.2 ms."""
    names = [name for name, value in values.items() if is_traced(value)]
    constant = _constant([values[name] for name in names]) if names else []
    return {**values, **{k: v if is_traced(v) else np.float64(v) for k, v in zip(names, constant, strict=True)}}


def stack(values: Sequence[Any]) -> Any:
    """Numbers → one array; a JAX array only where one of them is traced."""
    if any(is_traced(v) for v in values):
        return jnp.stack([jnp.asarray(v, dtype=float) for v in values])
    return np.array([float(v) for v in values], dtype=float)


def evaluator(overrides: Mapping[str, Any], offsets: Mapping[str, Any] | None = None) -> Evaluator:
    """An evaluator whose results are floats, or traced where an override or an offset is."""
    offsets = offsets or {}
    if any(is_traced(v) for v in (*overrides.values(), *offsets.values())):
        return Evaluator(JAX_PARAMETER_FUNCTIONS, overrides, offsets)
    overrides, offsets = ({k: float(v) for k, v in given.items()} for given in (overrides, offsets))
    return Evaluator(PARAMETER_FUNCTIONS, overrides, offsets)


def element_values(topology: Topology, numbers: Evaluator) -> Values:
    """The numbers of all elements.

    **Raises** `NetlistError` for a card that lacks a value or has one that cannot be, and for sizes, resistances and
    multiples that are not positive; `InputError` for a temperature that is not above absolute zero.
    """
    card: dict[str, list[Any]] = {key: [] for key in (*POLAR_KEYS, *COMMON_KEYS)}
    instance: dict[str, list[Any]] = {key: [] for key in INSTANCE_KEYS}
    for fet in topology.fets:
        polarity = fet.definition.name[0]
        for key in (*POLAR_KEYS, *COMMON_KEYS):
            name = f"ekv_{key}{polarity if key in POLAR_KEYS else ''}"
            binding = fet.inside.find(name)
            if binding is None and key in OPTIONAL_KEYS:
                card[key].append(OPTIONAL_KEYS[key])
                continue
            if binding is None:
                where = fet.definition.file
                raise refuse(fet, f"the card in {where} says '* model: ekv' and has no parameter '{name}'.",
                             f"Add .param {name}=… to the card; circuits/cards/ekv.lib explains it.")  # fmt: skip
            card[key].append(numbers.binding(binding))
            check_card(fet, key, card[key][-1])
        for key in INSTANCE_KEYS:
            given = key in fet.parameters
            if not given and key != "m":
                raise refuse(fet, f"subcircuit '{fet.definition.name}' has no parameter '{key}'.",
                             "An EKV card's nfet and pfet have W, L, dvt and dbt.")  # fmt: skip
            value = numbers.parameter(fet, key) if given else 1.0
            if key in ("w", "l", "m"):
                check_positive(fet, {"w": "W", "l": "L", "m": "m"}[key], value)
            elif key == "dbt":
                check_positive(fet, "1 + dbt", 1 + value)
            instance[key].append(value)
    celsius = numbers.overrides["temp"]
    if not is_traced(celsius) and not float(celsius) > -KELVIN:
        raise InputError(f"the temperature is {float(celsius):g} °C; it must lie above absolute zero.")
    formulas = [*topology.behavioural, *(e for e in topology.inputs if isinstance(e, Behavioural))]
    return Values(
        card={key: stack(values) for key, values in card.items()},
        instance={key: stack(values) for key, values in instance.items()},
        celsius=celsius,
        capacitance=stack([_value(e, "c", numbers) * multiple(e, numbers) for e in topology.capacitors]),
        conductance=stack([multiple(e, numbers) / _resistance(e, numbers) for e in topology.resistors]),
        transconductance=stack([_value(e, "gain", numbers) * multiple(e, numbers) for e in topology.controlled]),
        gain=stack([_value(e, "gain", numbers) for e in topology.gains]),
        formula=tuple(_names(e, numbers) for e in formulas),
        push=stack([multiple(e, numbers) if e.letter == "i" else 1.0 for e in topology.inputs]),
    )


def multiple(element: Element, numbers: Evaluator) -> Any:
    """How many of an element stand in parallel.

    **Raises** `NetlistError` where that is not positive.
    """
    if "m" not in element.parameters:
        return 1.0
    value = numbers.parameter(element, "m")
    check_positive(element, "m", value)
    return value


def check_positive(element: Element, name: str, value: Any) -> None:
    """Refuse a size that is not positive, where its value is known.

    **Raises** `NetlistError`.
    """
    if not is_traced(value) and not float(value) > 0:
        raise refuse(element, f"{name} of {element.name.upper()} is {float(value):g}.", "It must be positive.")


# Values of a card that divide, or stand under a root: not zero. Those that multiply a size: not negative.
_POSITIVE_KEYS = ("kp", "ve", "ph", "ut", "eps")
_NOT_NEGATIVE_KEYS = ("gm", "th", "dib", "cox", "cgo", "cjw")


def check_card(fet: Device, key: str, value: Any) -> None:
    """Refuse values of a card that no transistor has, where they are known.

    **Raises** `NetlistError`.
    """
    if is_traced(value):
        return
    number = float(value)
    wrong = (
        "it must be positive" if key in _POSITIVE_KEYS and not number > 0
        else "it must not be negative" if key in _NOT_NEGATIVE_KEYS and not number >= 0
        else "a slope factor is at least 1" if key == "n" and not number >= 1
        else ""
    )  # fmt: skip
    if wrong:
        name = f"ekv_{key}{fet.definition.name[0] if key in POLAR_KEYS else ''}"
        raise refuse(fet, f"the card of {fet.name.upper()} has {name}={number:g}; {wrong}.")


def _value(element: Element, key: str, numbers: Evaluator) -> Any:
    value = numbers.parameter(element, key)
    if element.letter == "c" and not is_traced(value) and float(value) < 0:
        raise refuse(element, f"{element.name.upper()} is {float(value):g} F.", "A capacitance is not negative.")
    return value


def _resistance(element: Element, numbers: Evaluator) -> Any:
    value = numbers.parameter(element, "r")
    check_positive(element, "the resistance", value)
    return value


def _names(element: Behavioural, numbers: Evaluator) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for part in walk(element.expression):
        if isinstance(part, Name) and part.name not in values:
            if part.name in ("time", "temper") and element.scope.find(part.name) is None:
                continue
            values[part.name] = numbers.expression(part, element.scope)
    if "m" in element.parameters:
        values["m="] = multiple(element, numbers)
    return values
