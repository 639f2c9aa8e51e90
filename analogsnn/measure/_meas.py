"""`.meas` statements of decks, evaluated on waveforms as ngspice evaluates them on its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..netlist import (
    PARAMETER_FUNCTIONS,
    Current,
    Expression,
    Measure,
    Name,
    Voltage,
    evaluate,
    parse_expression,
    walk,
)
from ..netlist._expressions import ExpressionProblem
from ..waveforms import Waveforms
from ._signal import Direction, crossing, integral, namespace, value_at, window
from ._spikes import GRAZE

_STATISTICS = {"min", "max", "pp", "avg", "rms", "integ", "integral", "min_at", "max_at"}
_KEYS = {"val", "rise", "fall", "cross", "td", "from", "to", "at", "param"}
_WORD = re.compile(r"(?:'[^']*'|\"[^\"]*\"|\([^()]*\)|[^\s'\"()])+")


def evaluate_measures(
    waves: Waveforms,
    measures: Sequence[Measure],
    params: Mapping[str, float] | None = None,
    *,
    strict: bool = True,
) -> dict[str, Any]:
    """Evaluate a deck's `.meas` statements in order; later ones may use the results of earlier ones.

    Statements for another analysis than the one that gave the waveforms are left out.

    Understood: `trig … targ …`, `when`, `find … when`, `find … at`, `deriv … at|when` (which ngspice 39 itself lacks),
    `min`, `max`, `pp`, `avg`, `rms`, `integ`, `min_at`, `max_at`, `param`, with `val rise fall cross td from to at`.
    Signals are `v(a)`, `v(a,b)`, `i(v)` and arithmetic on them; levels are numbers, expressions of `params` and earlier
    results, or signals.

    **Arguments**

    - `params`: the deck's parameters, `netlist.params`; traced ones where their derivatives count.
    - `strict`: raise when a measure does not happen; else its value is None.

    **Returns** name → value in SI units, differentiable where the waveforms are.

    **Raises** `InputError` with every measure that does not happen or cannot be read, each with its place.
    """
    results, problems = try_measures(waves, measures, params)
    if problems and strict:
        places = {measure.name: measure.location for measure in measures}
        raise InputError(
            "\n".join(f"{places[n]}: measure '{n}' has no value: {reason}" for n, reason in problems.items())
        )
    return results


def try_measures(
    waves: Waveforms, measures: Sequence[Measure], params: Mapping[str, float] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """As `evaluate_measures`, for callers that go on where a measure does not happen.

    **Returns** name → value, None without one; and name → why there is none.
    """
    results: dict[str, Any] = {}
    problems: dict[str, str] = {}
    kind = {"time": "tran", "op": "op"}.get(waves.variable, "dc")
    for measure in measures:
        if measure.analysis != kind:
            continue
        try:
            results[measure.name] = _Statement(measure, waves, {**(params or {}), **results}).value()
        except (InputError, ExpressionProblem, ArithmeticError, LookupError, ValueError, TypeError) as error:
            results[measure.name] = None
            missing = [n for n in _names(measure.text) if n in results and results[n] is None and n != measure.name]
            if missing:
                reason = f"it needs '{missing[0]}', which has no value."
            elif isinstance(error, (InputError, ExpressionProblem)):
                reason = str(error)
            else:
                reason = (
                    f"'{measure.text}' cannot be evaluated ({error}); see the measures that docs/simulate.md lists."
                )
            problems[measure.name] = reason
    return results, problems


def _names(text: str) -> list[str]:
    return re.findall(r"[a-z_]\w*", text)


@dataclass
class _Event:
    """A crossing that is asked for: `signal` passes `level`, or a fixed place `at`."""

    signal: Expression | None
    level: Expression | None
    options: dict[str, str]
    text: str


class _Statement:
    def __init__(self, measure: Measure, waves: Waveforms, names: Mapping[str, Any]):
        self.fixed, self.names = waves, names
        self.waves = waves.moving()  # equal in value, by points whose derivatives stay small inside spikes
        text = re.sub(r"\s*=\s*", "=", measure.text.strip())
        self.words = _WORD.findall(text)

    def value(self) -> Any:
        kind = self.words[0]
        if kind.startswith("param="):
            return self.number(kind[len("param=") :])
        if kind == "trig":
            split = next((i for i, word in enumerate(self.words) if word == "targ"), None)
            if split is None:
                raise InputError("a trig needs a targ.")
            return self.place(self.event(self.words[split + 1 :])) - self.place(self.event(self.words[1:split]))
        if kind == "when":
            return self.place(self.event(self.words[1:]))
        if kind in ("find", "deriv", "derivative"):
            return self.find(slope=kind != "find")
        if kind in _STATISTICS:
            return self.statistic(kind)
        known = ", ".join(sorted(_STATISTICS))
        raise InputError(f"'{kind}' is no kind of measure; there are trig, when, find, deriv, param, {known}.")

    def find(self, slope: bool) -> Any:
        signal, rest = self.signal(self.words[1]), self.words[2:]
        if rest and rest[0] == "when":
            place = self.place(self.event(rest[1:]))
        else:
            place = self.place(self.event(rest))
        axis = self.waves.time
        if not slope:
            return value_at(axis, signal, place, self.words[1])
        xp = namespace(axis)
        width = 1e-6 * (axis[-1] - axis[0])
        low, high = xp.maximum(place - width, axis[0]), xp.minimum(place + width, axis[-1])
        return (value_at(axis, signal, high) - value_at(axis, signal, low)) / (high - low)

    def statistic(self, kind: str) -> Any:
        signal, options = self.signal(self.words[1]), self.options(self.words[2:])
        start, stop = (self.number(options[key]) if key in options else None for key in ("from", "to"))
        if "td" in options and start is None:
            start = self.number(options["td"])
        time, values = window(self.waves.time, signal, start, stop, self.words[1])
        xp = namespace(values)
        match kind:
            case "min":
                return xp.min(values)
            case "max":
                return xp.max(values)
            case "pp":
                return xp.max(values) - xp.min(values)
            case "min_at":
                return time[xp.argmin(values)]
            case "max_at":
                return time[xp.argmax(values)]
            case "avg":
                return integral(time, values) / (time[-1] - time[0])
            case "rms":
                return (integral(time, values**2) / (time[-1] - time[0])) ** 0.5
            case _:
                return integral(time, values)

    def event(self, words: list[str]) -> _Event:
        signal = level = None
        text = ""
        if words and not re.match(rf"(?:{'|'.join(_KEYS)})=", words[0]):
            left, equals, right = words[0].partition("=")
            signal, text = self.parse(left), left
            level = self.parse(right) if equals else None
            words = words[1:]
        options = self.options(words)
        if "val" in options:
            level = self.parse(options["val"])
        return _Event(signal, level, options, text)

    def place(self, event: _Event) -> Any:
        """Where an event happens, in the unit of the axis."""
        options = event.options
        if "at" in options:
            return self.number(options["at"])
        if event.signal is None or event.level is None:
            raise InputError("a crossing needs a signal and a level, as in when v(out)=0.9 rise=1, or at=1m.")
        direction: Direction = "cross"
        count = "1"
        for key in ("rise", "fall", "cross"):
            if key in options:
                direction, count = key, options[key]
        k = -1 if count == "last" else round(float(self.number(count)))
        after = [self.number(options[key]) for key in ("td", "from") if key in options]
        nodes = _nodes(event.signal) | _nodes(event.level)
        waves = self.fixed.moving(*nodes)
        return crossing(
            waves.time, self.array(event.signal, waves), self.resolve(event.level, waves), k, direction=direction,
            after=max(after) if after else None, before=self.number(options["to"]) if "to" in options else None,
            what=event.text or "the signal", grazing=None if self.fixed.shift is None or not nodes else GRAZE,
        )  # fmt: skip

    def options(self, words: list[str]) -> dict[str, str]:
        options = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not equals or key not in _KEYS:
                raise InputError(f"'{word}' is not understood here; there are {', '.join(sorted(_KEYS))}.")
            options[key] = value
        return options

    def parse(self, text: str) -> Expression:
        return parse_expression(text.strip("'\""), behavioural=True)

    def signal(self, text: str) -> Any:
        return self.array(self.parse(text))

    def array(self, expression: Expression, waves: Waveforms | None = None) -> Any:
        return self.resolve(expression, waves) + 0.0 * (waves or self.waves).time

    def number(self, text: str) -> Any:
        return self.resolve(self.parse(text))

    def resolve(self, expression: Expression, waves: Waveforms | None = None) -> Any:
        def lookup(leaf: Expression) -> Any:
            match leaf:
                case Voltage():
                    return (waves or self.waves).voltage(leaf.plus, leaf.minus)
                case Current():
                    return (waves or self.waves).current(leaf.source)
                case Name():
                    value = self.names.get(leaf.name)
                    if value is None:
                        raise InputError(f"'{leaf.name}' is neither a parameter nor an earlier measure.")
                    return value
            raise TypeError(leaf)

        functions = PARAMETER_FUNCTIONS
        if self.fixed.shift is not None:
            from ..circuit import JAX_PARAMETER_FUNCTIONS as functions  # a run with derivatives has loaded JAX
        return evaluate(expression, lookup, functions)


def _nodes(expression: Expression) -> set[str]:
    """The nodes that an expression looks at."""
    voltages = [leaf for leaf in walk(expression) if isinstance(leaf, Voltage)]
    return {node for leaf in voltages for node in (leaf.plus, leaf.minus) if node != "0"}
