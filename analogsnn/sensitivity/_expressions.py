"""Measures as text, such as `spike_time(spk, 20)`, and what they look at."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import measure
from ..documents import near
from ..errors import InputError
from ..netlist import PARAMETER_FUNCTIONS, Expression, Name, Netlist, evaluate, parse_expression
from ..netlist._expressions import ExpressionProblem
from ..waveforms import Waveforms


@dataclass(frozen=True)
class Quantity:
    """A measure that can be taken from waveforms.

    - `text`: as it was asked for. `unit`: its SI unit's symbol, or "" where it is not known.
    - `nodes`: what it looks at, or None for everything.
    - `take`: waveforms and the deck's parameters by name → a number.
    """

    text: str
    unit: str
    nodes: tuple[str, ...] | None
    take: Callable[[Waveforms, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class _Kind:
    """What a function takes: `subject` is a node, a branch or a signal (`spk`, `v(spk)`, `i(vdd)`)."""

    usage: str
    subject: str
    fewest: int
    most: int
    unit: str
    take: Callable[..., Any]


def _along(waves: Waveforms, signal: str) -> tuple[Any, Any]:
    if signal.startswith("i("):
        moving = waves.moving()
        return moving.time, moving.current(signal[2:-1])
    return waves.along(signal)


def _rate(waves: Waveforms, signal: str) -> Any:
    """A node's slopes in a run with derivatives; those of currents have no derivatives of their own."""
    return None if signal.startswith("i(") else waves.rate(signal)


def _extreme(take: Callable[..., Any], waves: Waveforms, signal: str) -> Any:
    time, values = _along(waves, signal)
    return take(values, time, _rate(waves, signal))


def _count(value: float, what: str) -> int:
    if value != int(value):
        raise InputError(f"{what} counts with {value:g}; give a whole number.")
    return int(value)


_FUNCTIONS: Mapping[str, _Kind] = {
    "spike_time": _Kind(
        "spike_time(node, k[, threshold])", "node", 1, 2, "s",
        lambda w, node, level, k, own=None: measure.spike_time(w, node, _count(k, "spike_time"), own or level),
    ),
    "rate": _Kind(
        "rate(node[, first[, threshold]])", "node", 0, 2, "Hz",
        lambda w, node, level, first=1.0, own=None: measure.rate(w, node, own or level, first=_count(first, "rate")),
    ),
    "interval": _Kind(
        "interval(node, k[, threshold])", "node", 1, 2, "s",
        lambda w, node, level, k, own=None: measure.interval(w, node, _count(k, "interval"), own or level),
    ),
    "peak": _Kind("peak(signal)", "signal", 0, 0, "", lambda w, s, _: _extreme(measure.peak, w, s)),
    "trough": _Kind("trough(signal)", "signal", 0, 0, "", lambda w, s, _: _extreme(measure.trough, w, s)),
    "value_at": _Kind(
        "value_at(signal, t)", "signal", 1, 1, "", lambda w, s, _, t: measure.value_at(*_along(w, s), t, s)
    ),
    "mean": _Kind(
        "mean(signal[, start, stop])", "signal", 0, 2, "", lambda w, s, _, *ends: measure.mean(*_along(w, s), *ends)
    ),
    "rise_time": _Kind(
        "rise_time(signal[, low, high])", "signal", 0, 2, "s",
        lambda w, s, _, *shares: measure.rise_time(*_along(w, s), *shares, rate=_rate(w, s)),
    ),
    "decay_time": _Kind(
        "decay_time(signal[, high, low])", "signal", 0, 2, "s",
        lambda w, s, _, *shares: measure.decay_time(*_along(w, s), *shares, rate=_rate(w, s)),
    ),
    "charge": _Kind(
        "charge(source[, start, stop])", "branch", 0, 2, "C", lambda w, b, _, *ends: measure.charge(w, b, *ends)
    ),
    "energy_per_spike": _Kind(
        "energy_per_spike(node[, first])", "node", 0, 1, "J",
        lambda w, node, level, first=1.0: measure.energy_per_spike(
            w, node, first=_count(first, "energy_per_spike"), threshold=level
        ),
    ),
}  # fmt: skip


def read_measure(text: str, netlist: Netlist, threshold: float | None = None) -> Quantity:
    """The measure that a text asks for: a function of the table above, or the name of one of the deck's `.meas`.

    Numbers may be written as in the deck, with suffixes and the names of its parameters.

    - `threshold`: of spikes where the text gives none, in V; by default half of the deck's supply, which stays where it
      is while the supply is varied.

    **Raises** `InputError` for what cannot be read, with near names.
    """
    level = threshold if threshold is not None or netlist.supply is None else 0.5 * netlist.supply
    match = re.fullmatch(r"\s*([a-z_]\w*)\s*(?:\((.*)\))?\s*", text.lower(), re.DOTALL)
    if match is None:
        raise InputError(f"'{text}' is no measure; write {_FUNCTIONS['spike_time'].usage} or the name of a .meas.")
    name, inner = match[1], match[2]
    if inner is None:
        return _statement(text.strip(), name, netlist)
    if name not in _FUNCTIONS:
        usages = ", ".join(kind.usage for kind in _FUNCTIONS.values())
        raise InputError(f"'{text}': there is no measure '{name}'{near(name, _FUNCTIONS)}; there are {usages}.")
    kind = _FUNCTIONS[name]
    subject, *rest = [part.strip() for part in re.split(r",(?![^()]*\))", inner)]
    numbers = [_number(part, text, netlist) for part in rest]
    window = name in ("mean", "charge")  # both ends, or none
    if not subject or not kind.fewest <= len(numbers) <= kind.most or (window and len(numbers) == 1):
        raise InputError(f"'{text}' is not {kind.usage}.")
    subject, nodes = _subject(subject, kind, netlist, text)
    if name == "energy_per_spike":
        nodes = None
    unit = kind.unit or ("A" if subject.startswith("i(") else "V")
    return Quantity(text.strip(), unit, nodes, lambda waves, _: kind.take(waves, subject, level, *numbers))


def _subject(subject: str, kind: _Kind, netlist: Netlist, text: str) -> tuple[str, tuple[str, ...] | None]:
    """The subject as the measures want it, and the nodes that they need."""
    wrapped = re.fullmatch(r"([vi])\s*\(\s*(.*?)\s*\)", subject)
    letter, name = (wrapped[1], wrapped[2]) if wrapped else ("i" if kind.subject == "branch" else "v", subject)
    if (letter == "i") != (kind.subject == "branch") and kind.subject != "signal":
        raise InputError(f"'{text}' is not {kind.usage}.")
    if letter == "i":
        sources = [e.name for e in netlist.elements if e.letter in "ve"]
        if name not in sources:
            raise InputError(f"'{text}': the deck has no voltage source '{name}'{near(name, sources) or '.'}")
        return (name if kind.subject == "branch" else f"i({name})"), None
    if name not in netlist.nodes:
        raise InputError(f"'{text}': the deck has no node '{name}'{near(name, netlist.nodes) or '.'}")
    return name, (name,)


def _number(part: str, text: str, netlist: Netlist) -> float:
    def lookup(leaf: Expression) -> float:
        if isinstance(leaf, Name) and leaf.name in netlist.params:
            return float(netlist.params[leaf.name])
        raise InputError(f"'{text}': '{part}' is neither a number nor a parameter of the deck.")

    try:
        return float(evaluate(parse_expression(part), lookup, PARAMETER_FUNCTIONS))
    except (ExpressionProblem, ArithmeticError, ValueError, TypeError):
        raise InputError(f"'{text}': '{part}' is neither a number nor a parameter of the deck.") from None


def _statement(text: str, name: str, netlist: Netlist) -> Quantity:
    """The `.meas` called `name` with those that it needs."""
    known = {m.name: m for m in netlist.measures if m.analysis == "tran"}
    if name not in known:
        there = f"there are {', '.join(known)}" if known else "it has none"
        raise InputError(
            f"the deck has no .meas tran '{name}'{near(name, known)}; {there}. Functions are written as in "
            f"{_FUNCTIONS['spike_time'].usage}."
        )
    needed, waiting = {name}, [name]
    while waiting:
        words = set(re.findall(r"[a-z_]\w*", known[waiting.pop()].text)) & known.keys() - needed
        needed |= words
        waiting += words
    statements = [m for m in netlist.measures if m.analysis == "tran" and m.name in needed]
    looked_at = re.findall(r"[vi]\s*\(([^()]*)\)", " ".join(m.text for m in statements))
    currents = any(re.search(r"\bi\s*\(", m.text) for m in statements)
    nodes = tuple(sorted({n.strip() for part in looked_at for n in part.split(",")} - {"0", "gnd"}))

    def take(waves: Waveforms, params: Mapping[str, Any]) -> Any:
        return measure.evaluate_measures(waves, statements, params)[name]

    return Quantity(text, "", None if currents or not nodes else nodes, take)
