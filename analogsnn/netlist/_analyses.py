"""Analyses, options, measures: the dot statements that say what to do with a circuit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ._deck import Bound, read_value
from ._expressions import ExpressionProblem
from ._fields import closing, split_fields
from ._lines import Location, Log, LogicalLine


@dataclass(frozen=True, slots=True)
class Tran:
    """`.tran step stop [start [max_step]] [uic]`, times in s."""

    step: float
    stop: float
    start: float = 0.0
    max_step: float | None = None
    uic: bool = False


@dataclass(frozen=True, slots=True)
class Sweep:
    """One swept quantity: a source, a resistor or `temp`; from `start` to `stop` by `step`."""

    source: str
    start: float
    stop: float
    step: float


@dataclass(frozen=True, slots=True)
class Dc:
    """`.dc`: the first sweep is the inner one."""

    sweeps: tuple[Sweep, ...]


@dataclass(frozen=True, slots=True)
class Op:
    """`.op`."""


Analysis = Tran | Dc | Op


@dataclass(frozen=True, slots=True)
class Measure:
    """A `.meas` statement: `analysis` (tran, dc), result `name`, and the words after it, `{…}` replaced by numbers."""

    analysis: str
    name: str
    text: str
    location: Location


@dataclass(slots=True)
class AnalysisTemplate:
    """An analysis before its expressions are evaluated."""

    kind: str
    values: list[Bound]
    names: list[str]
    uic: bool
    line: LogicalLine


@dataclass(slots=True)
class MeasureTemplate:
    """A `.meas` before its `{…}` are evaluated: `parts` are the words around them and they themselves, in order."""

    analysis: str
    name: str
    parts: list[str | Bound]
    line: LogicalLine


@dataclass(slots=True)
class Directives:
    """What the dot statements of the top level say, expressions not yet evaluated."""

    analyses: list[AnalysisTemplate] = field(default_factory=list)
    measures: list[MeasureTemplate] = field(default_factory=list)
    options: dict[str, Bound | str | bool] = field(default_factory=dict)
    temperature: Bound | None = None
    saves: list[str] = field(default_factory=list)
    globals: list[str] = field(default_factory=list)

    def bounds(self) -> Iterator[Bound]:
        """Every expression in these statements."""
        for analysis in self.analyses:
            yield from analysis.values
        for measure in self.measures:
            yield from (part for part in measure.parts if isinstance(part, Bound))
        yield from (value for value in self.options.values() if isinstance(value, Bound))
        if self.temperature is not None:
            yield self.temperature


def read_analysis(line: LogicalLine, log: Log) -> AnalysisTemplate:
    """`.tran`, `.dc` or `.op`.

    **Raises** `ExpressionProblem`.
    """
    fields = split_fields(line.lower)
    kind, rest = fields[0].value[1:], fields[1:]
    for item in rest:
        if item.key:
            raise ExpressionProblem(f".{kind} takes no {item.key}=.", item.key_at)
    uic = False
    if kind == "tran" and rest and rest[-1].value == "uic":
        uic, rest = True, rest[:-1]
    if kind == "op":
        if rest:
            raise ExpressionProblem(".op takes nothing.", rest[0].at)
        return AnalysisTemplate(kind, [], [], False, line)
    if kind == "tran":
        if not 2 <= len(rest) <= 4:
            raise ExpressionProblem(
                f".tran wants a step and a stop time, and has {len(rest)} number{'s' * (len(rest) != 1)}.", 0,
                "Write .tran 10u 100m.",
            )  # fmt: skip
        return AnalysisTemplate(kind, [read_value(f.value, f.at, line, log) for f in rest], [], uic, line)
    if len(rest) not in (4, 8):
        raise ExpressionProblem(
            f".dc wants source start stop step, once or twice, and has {len(rest)} words.", 0, "Write .dc V1 0 1.8 10m."
        )
    names = [rest[i].value for i in range(0, len(rest), 4)]
    values = [read_value(f.value, f.at, line, log) for i, f in enumerate(rest) if i % 4]
    return AnalysisTemplate(kind, values, names, False, line)


def read_options(line: LogicalLine, log: Log) -> dict[str, Bound | str | bool]:
    """`.options` as name → value, word or True.

    **Raises** `ExpressionProblem`.
    """
    options: dict[str, Bound | str | bool] = {}
    for item in split_fields(line.lower)[1:]:
        if not item.key:
            options[item.value] = True
        elif re.fullmatch(r"[a-z_]\w*", item.value):
            options[item.key] = item.value
        else:
            options[item.key] = read_value(item.value, item.at, line, log)
    return options


_NODE_VALUE = re.compile(r"v\s*\(\s*([^\s(),]+)\s*\)\s*=\s*", re.IGNORECASE)


def read_node_values(line: LogicalLine, log: Log) -> list[tuple[str, Bound]]:
    """`v(node)=value …` of `.ic` and `.nodeset`.

    **Raises** `ExpressionProblem`.
    """
    text = line.lower
    position = len(text.split(None, 1)[0])
    result: list[tuple[str, Bound]] = []
    while position < len(text):
        if text[position] in " ,":
            position += 1
            continue
        match = _NODE_VALUE.match(text, position)
        if match is None:
            raise ExpressionProblem(
                f"'{text[position:].split()[0]}' is not v(node)=value.", position, "Write .ic v(out)=0.5."
            )
        fields = split_fields(text[match.end() :])
        if not fields or fields[0].key:
            raise ExpressionProblem(f"'{match.group().strip()}' has no value.", position)
        at = match.end() + fields[0].at
        node = match.group(1)
        result.append(("0" if node == "gnd" else node, read_value(fields[0].value, at, line, log)))
        position = at + len(fields[0].value)
    return result


def read_measure(line: LogicalLine, log: Log) -> MeasureTemplate:
    """A `.meas` statement.

    **Raises** `ExpressionProblem`.
    """
    text = line.lower
    match = re.match(r"\.meas\w*\s+(\w+)\s+([^\s=]+)\s+(?=\S)", text)
    if match is None:
        raise ExpressionProblem(
            ".meas wants an analysis, a name and what to measure.", 0, "Write .meas tran t1 when v(spk)=0.9 rise=1."
        )
    if match.group(1) not in ("tran", "dc", "ac", "sp", "op"):
        raise ExpressionProblem(f"'{match.group(1)}' is no analysis.", match.start(1), "Write tran or dc.")
    parts: list[str | Bound] = []
    position = match.end()
    while (brace := text.find("{", position)) >= 0:
        end = closing(text, brace)
        parts += [text[position:brace], read_value(text[brace : end + 1], brace, line, log)]
        position = end + 1
    return MeasureTemplate(match.group(1), match.group(2), [*parts, text[position:]], line)
