"""What a campaign measures of every sample, with a reason wherever there is no value."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import AnalogSNNError, InputError
from ..measure import try_measures
from ..netlist import Netlist
from ..waveforms import Waveforms

Measure = str | Sequence[str] | Callable[[Waveforms], Any] | Mapping[str, Callable[[Waveforms], Any]]

# Why a sample has no value of a measure.
RUN_FAILED = "the run failed"
NO_SPIKE = "did not spike"
NO_VALUE = "has no value"


@dataclass(frozen=True)
class Failure:
    """A sample without a value: of one measure, or, with `measure` None, of all since its run failed.

    `kind` is one of `"the run failed"`, `"did not spike"` (less often than was asked for) and `"has no value"`.
    """

    sample: int
    measure: str | None
    kind: str
    reason: str

    def to_list(self) -> list[Any]:
        """As JSON has it."""
        return [self.sample, self.measure, self.kind, self.reason]


@dataclass(frozen=True)
class Measures:
    """The measures of a campaign: names of `.meas` statements, and functions of the waveforms by name."""

    statements: tuple[str, ...]
    functions: Mapping[str, Callable[[Waveforms], Any]]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in order."""
        return (*self.statements, *self.functions)

    def evaluate(self, netlist: Netlist, waves: Waveforms, sample: int) -> tuple[list[float], list[Failure]]:
        """The values of one sample in the order of `names`, NaN where a `Failure` says why."""
        values: dict[str, float] = {}
        failures: list[Failure] = []

        def keep(name: str, number: Any) -> None:
            value = float(number)
            if math.isfinite(value):
                values[name] = value
            else:
                failures.append(Failure(sample, name, NO_VALUE, f"it is {value:g}"))

        if self.statements:
            results, problems = try_measures(waves, netlist.measures, netlist.params)
            for name in self.statements:
                if results[name] is None:
                    failures.append(Failure(sample, name, _kind(problems, name), problems[name]))
                else:
                    keep(name, results[name])
        for name, function in self.functions.items():
            try:
                keep(name, function(waves))
            except InputError as error:
                failures.append(Failure(sample, name, _kind({name: str(error)}, name), str(error)))
        return [values.get(name, math.nan) for name in self.names], failures

    def failed(self, error: AnalogSNNError, sample: int) -> tuple[list[float], list[Failure]]:
        """The same for a run that gave no waveforms."""
        return [math.nan] * len(self.names), [Failure(sample, None, RUN_FAILED, str(error))]

    def record(self, netlist: Netlist) -> dict[str, str]:
        """What identifies the measures: the text of statements, the source of functions."""
        statements = {m.name: m.text for m in netlist.measures}
        # A statement may use the results of others, so that all of them count.
        record = {"": "\n".join(f"{name} {text}" for name, text in statements.items())} if self.statements else {}
        record |= {name: statements[name] for name in self.statements}
        return record | {name: _source(function) for name, function in self.functions.items()}


def choose_measures(netlist: Netlist, measure: Measure | None) -> Measures:
    """The measures that are asked for; by default all `.meas` statements of the deck's first analysis.

    **Raises** `InputError` with near names for one that the deck does not have, or a deck without any.
    """
    kind = type(netlist.analyses[0]).__name__.lower() if netlist.analyses else "tran"
    known = [m.name for m in netlist.measures if m.analysis == kind]
    if measure is None:
        if not known:
            raise InputError(f"{netlist.file} has no .meas {kind} statement; add one, or name a measure.")
        return Measures(tuple(known), {})
    if callable(measure):
        name = getattr(measure, "__name__", "measure")
        return Measures((), {"measure" if name == "<lambda>" else name: measure})
    if isinstance(measure, Mapping):
        return Measures((), dict(measure))
    texts = [measure] if isinstance(measure, str) else list(measure)
    if not texts:
        raise InputError("no measure is named; name at least one.")
    functions = {text.strip(): Expression.read(text, netlist) for text in texts if "(" in text}
    names = [text for text in texts if "(" not in text]
    for name in names:
        if name.lower() not in known:
            close = difflib.get_close_matches(name.lower(), known, 3) or known[:8]
            hint = f"there are {', '.join(close)}." if known else f"add a .meas {kind} statement."
            raise InputError(f"{netlist.file} has no measure '{name}'; {hint}")
    return Measures(tuple(dict.fromkeys(name.lower() for name in names)), functions)


@dataclass(frozen=True)
class Expression:
    """A measure that was given as text, such as `rate(spk)`."""

    text: str
    take: Callable[[Waveforms], Any]

    @classmethod
    def read(cls, text: str, netlist: Netlist) -> Expression:
        """The measure of a text, in the language of `analogsnn sensitivity`.

        **Raises** `InputError` for what cannot be read, with near names.
        """
        from ..sensitivity import read_measure

        quantity = read_measure(text, netlist)
        return cls(quantity.text, lambda waves: quantity.take(waves, netlist.params))

    def __call__(self, waves: Waveforms) -> Any:
        return self.take(waves)


# A node that passes its threshold less often than is asked for: the words of `spike_time` and of `.meas when`.
_SPIKES = re.compile(r"v\(\S+\) (?:has (?:no|one|\d+) spikes?\b|never rises|rises .* (?:once|twice|times) only)")


def _kind(problems: Mapping[str, str], name: str) -> str:
    """Follow `it needs 't2', which has no value` to the measure that was the first to fail."""
    for _ in problems:
        other = re.match(r"it needs '(\w+)', which has no value", problems[name])
        if other is None or other[1] not in problems:
            break
        name = other[1]
    return NO_SPIKE if _SPIKES.search(problems[name]) else NO_VALUE


def _source(function: Any) -> str:
    if isinstance(function, Expression):
        return function.text
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = repr(function) if code is None else repr((code.co_code, code.co_consts, code.co_names))
    return hashlib.sha256(text.encode()).hexdigest()
