"""Whether a card that says `* model: ekv` is the transistor that the engine computes.

The engine takes such a card's values and computes with its own equations. A card with another body would then be solved
as something that it is not, so its B-source and capacitors are compared with the engine's, at a few points.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..devices import COMMON_KEYS, POLAR_KEYS, capacitances, coefficients, drain_current
from ..errors import NetlistError
from ..netlist import BEHAVIOURAL_FUNCTIONS, Behavioural, Device, Element, Evaluator, Netlist, Voltage, evaluate
from ._topology import refuse

_TOLERANCE = 1e-9  # both compute the same in 64 bit; the cards round kT/q and such in their own order
_FLOOR = 1e-30  # A
# Gate, source and drain against bulk: weak and strong inversion, saturated and not, forward and reverse.
_POINTS = ((0.3, 0.0, 0.9), (0.9, 0.1, 0.15), (1.5, 0.6, 0.2), (0.2, -0.1, 0.05))
# The card's values as they are, and with every term on at another temperature and size.
_TERMS = {
    "gm": 0.2, "th": 0.3, "dib": 2e-8, "bk": 0.2, "ns": 0.1, "vl": 4e-8, "vll": -3e-15, "nl": -2e-9, "tcn": -0.03,
    "bex": -1.2, "lam": 0.01, "tbk": 0.05, "thb": 0.4, "kw": 0.6, "cw": 0.3,
}  # fmt: skip
_INSTANCE = {"w": 3.1e-6, "l": 0.7e-6, "dvt": 4e-3, "dbt": -0.05}


def check_cards(netlist: Netlist, whole: Netlist) -> None:
    """Compare the body of every EKV card in `whole` (transistors as devices) with the engine's equations.

    **Raises** `NetlistError` that says what differs.
    """
    best: dict[int, Device] = {}
    for device in whole.elements:
        if isinstance(device, Device):
            known = best.get(id(device.definition))
            if known is None or len(set(device.nodes)) > len(set(known.nodes)):
                best[id(device.definition)] = device
    if not best:
        return
    parts = netlist.flatten().elements
    for device in best.values():
        body = [e for e in parts if e.name.startswith(device.name + ".")]
        difference = _difference(device, body, {**whole.changes, "temp": float(whole.temperature)})
        if difference:
            raise _refusal(device, difference)


def _refusal(device: Device, difference: str) -> NetlistError:
    where = device.definition
    return refuse(device, f"{where.file} says '* model: ekv', but the body of its {where.name} is not that of "
                  f"circuits/cards/ekv.lib: {difference}.",
                  "Remove that comment to have its elements solved as they are, or copy the body.")  # fmt: skip


def _difference(device: Device, body: list[Element], given: Mapping[str, float]) -> str:
    """What is other than in the engine's transistor, in words, or ""."""
    sources = [e for e in body if isinstance(e, Behavioural) and e.output == "i"]
    capacitors = [e for e in body if e.letter == "c"]
    others = [e.name.rpartition(".")[2].upper() for e in body if e not in sources and e not in capacitors]
    if len(sources) != 1 or others:
        return f"it has {', '.join(others) or f'{len(sources)} B-sources of current'}, and not one B-source alone"
    polarity = device.definition.name[0]
    bindings = {
        key: device.inside.find(f"ekv_{key}{polarity if key in POLAR_KEYS else ''}")
        for key in (*POLAR_KEYS, *COMMON_KEYS)
    }
    settings: list[dict[str, float]] = [dict(given)]
    # A card without the optional keys is without their terms.
    terms = {found.path: value for key, value in _TERMS.items() if (found := bindings[key]) is not None}
    sizes = {f"{device.name}.{key}": value for key, value in _INSTANCE.items()}
    settings.append({**given, "temp": given["temp"] + 40.0, **terms, **sizes})
    for overrides in settings:
        numbers = Evaluator(overrides=overrides)
        card = {key: float(numbers.binding(binding)) for key, binding in bindings.items() if binding is not None}
        instance = {key: float(numbers.parameter(device, key)) for key in _INSTANCE} | {"m": 1.0}
        wrong = _capacitors_differ(device, capacitors, capacitances(card, instance), numbers)
        wrong = wrong or _current_differs(device, sources[0], card, instance, numbers)
        if wrong:
            return wrong
    return ""


def _capacitors_differ(device: Device, found: list[Element], wanted: Mapping[str, Any], numbers: Evaluator) -> str:
    at = dict(zip("dgsb", device.nodes, strict=True))
    between: dict[frozenset[str], list[float]] = {}
    for pair, value in wanted.items():
        between.setdefault(frozenset((at[pair[0]], at[pair[1]])), [0.0, 0.0])[0] += float(value)
    for element in found:
        value = float(numbers.parameter(element, "c"))
        between.setdefault(frozenset(element.nodes), [0.0, 0.0])[1] += value
    for nodes, (ours, theirs) in between.items():
        if len(nodes) == 2 and not abs(ours - theirs) <= _TOLERANCE * ours:
            pair = "".join(sorted(name for name in "dgsb" if at[name] in nodes))
            return f"the capacitance between its terminals {pair} is {theirs:.6g} F, and not {ours:.6g} F"
    return ""


def _current_differs(
    device: Device, source: Behavioural, card: Mapping[str, float], instance: Mapping[str, float], numbers: Evaluator
) -> str:
    sign = 1.0 if device.definition.name == "nfet" else -1.0
    drain, gate, in_, bulk = device.nodes
    c = coefficients(card, instance, numbers.overrides["temp"], extended=True)
    for (g, s, d), base in itertools.product(_POINTS, (0.0, 0.3)):
        # Only differences count, so a grounded terminal may take part like any other.
        volts: dict[str, float] = {}
        for node, value in ((bulk, 0.0), (in_, s), (drain, d), (gate, g)):
            volts.setdefault(node, sign * value + base)
        against = [sign * (volts[node] - volts[bulk]) for node in (gate, in_, drain)]
        ours = sign * float(np.asarray(drain_current(c, *against)))

        def lookup(leaf: Any, volts: Mapping[str, float] = volts) -> Any:
            if isinstance(leaf, Voltage):
                return volts.get(leaf.plus, 0.0) - volts.get(leaf.minus, 0.0)
            own = source.scope.find(leaf.name)
            if own is None:
                return numbers.overrides["temp"]
            return numbers.expression(leaf, source.scope)

        theirs = float(evaluate(source.expression, lookup, BEHAVIOURAL_FUNCTIONS))
        theirs *= 1.0 if source.nodes == (drain, in_) else -1.0 if source.nodes == (in_, drain) else np.nan
        if not abs(theirs - ours) <= _TOLERANCE * abs(ours) + _FLOOR:
            place = f"V(g), V(s), V(d) = {g:g}, {s:g}, {d:g} V against the bulk"
            return f"at {place} its current is {theirs:.6g} A, and not {ours:.6g} A"
    return ""
