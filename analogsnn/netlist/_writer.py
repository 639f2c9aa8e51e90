"""Netlist → a flat deck of plain numbers that ngspice reads to the same circuit."""

from __future__ import annotations

from collections.abc import Iterator

from ._analyses import Dc, Op, Tran
from ._evaluate import Evaluator
from ._expressions import Call, Current, Expression, Name, Number, Voltage
from ._functions import BEHAVIOURAL_VARIABLES
from ._netlist import (
    Behavioural,
    Controlled,
    Device,
    Element,
    IndependentSource,
    Model,
    ModelElement,
    Netlist,
    Parameter,
    Passive,
    Scope,
)
from ._sources import FIELDS

_WIDTH = 110


def write_netlist(netlist: Netlist, *, analyses: bool = True) -> str:
    """The flat deck: numbers with 17 digits, names as ngspice's own flattening makes them (`r.x1.r1`), so that what
    `.save`, `.meas` and `.ic` say keeps its meaning.

    With `analyses` false, `.tran`, `.dc`, `.op`, `.meas` and `.save` are left out, for a caller that has its own.

    **Raises** `ValueError` for a netlist with whole devices; flatten it without them first.
    """
    evaluator = Evaluator(overrides={"temp": float(netlist.temperature), **netlist.changes})
    title = "* " + (netlist.title or "no title")
    lines = [_model(model) for model in netlist.models.values()]
    lines += [_element(element, evaluator) for element in netlist.elements]
    lines += list(_directives(netlist, analyses))
    lines.append(".end")
    return "\n".join([title, *(wrapped for line in lines for wrapped in _wrap(line))]) + "\n"


def flat_name(name: str, letter: str) -> str:
    """ngspice's name of an element: `x1.r1` → `r.x1.r1`; a top-level name stays."""
    return name if name[0] == letter else f"{letter}.{name}"


def format_number(value: float) -> str:
    """A number that reads back to the same 64 bits."""
    return repr(float(value))


def _model(model: Model) -> str:
    values = [f"{k}={v if isinstance(v, str) else format_number(v)}" for k, v in model.parameters.items()]
    return " ".join([".model", model.name, model.type, *values])


def _element(element: Element, evaluator: Evaluator) -> str:
    head = [flat_name(element.name, element.letter), *element.nodes]
    values = {name: format_number(value) for name, value in element.parameters.items()}
    match element:
        case Passive():
            main = values.pop(element.letter, None)
            body = [word for word in (main, element.model) if word]
        case IndependentSource():
            body = _source(element, values)
        case Controlled():
            controls = element.controls if element.letter in "eg" else (flat_name(element.controls[0], "v"),)
            body = [*controls, values.pop("gain")]
        case Behavioural():
            key = element.output if element.letter == "b" else {"v": "vol", "i": "cur"}[element.output]
            factor, text = values.pop("m", None), format_expression(element.expression, element.scope, evaluator)
            if factor is not None and float(factor) != 1.0 and element.output == "i":
                text = f"{factor}*({text})"
            body = [f"{key}={text}" if element.letter == "b" else f"{key}='{text}'"]
        case ModelElement():
            area = values.pop("area", None)
            body = [element.model, *([area] if area is not None else [])]
        case Device():
            what = element.definition.name
            raise ValueError(f"{element.name} is a whole '{what}'; flatten without devices to write it")
        case _:
            raise TypeError(type(element).__name__)
    return " ".join([*head, *body, *(f"{name}={value}" for name, value in values.items())])


def _source(element: IndependentSource, values: dict[str, str]) -> list[str]:
    words: list[str] = []
    if "dc" in values:
        words += ["dc", values.pop("dc")]
    if "acmag" in values:
        words += ["ac", values.pop("acmag"), *([values.pop("acphase")] if "acphase" in values else [])]
    if element.waveform == "pwl":
        count = sum(1 for name in values if name[0] == "t" and name[1:].isdigit())
        points = [values.pop(f"{letter}{i}") for i in range(count) for letter in "tv"]
        words.append(f"pwl({' '.join(points)})")
    elif element.waveform:
        given = [values.pop(name) for name in FIELDS[element.waveform] if name in values]
        words.append(f"{element.waveform}({' '.join(given)})")
    return words


_LEVELS = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "+": 4, "-": 4, "*": 5, "/": 5, "^": 7}


def format_expression(expression: Expression, scope: Scope, evaluator: Evaluator) -> str:
    """A behavioural expression with every parameter as a number.

    Parentheses are written around every operand that is not a leaf: ngspice's evaluator of B-sources and its two
    preprocessors disagree with each other about bare signs and powers.
    """
    if isinstance(expression, Number):
        return _literal(expression.value)
    if isinstance(expression, Voltage):
        return f"v({expression.plus})" if expression.minus == "0" else f"v({expression.plus},{expression.minus})"
    if isinstance(expression, Current):
        return f"i({flat_name(expression.source, 'v')})"
    if isinstance(expression, Name):
        if expression.name in BEHAVIOURAL_VARIABLES and scope.find(expression.name) is None:
            return expression.name
        return _literal(evaluator.expression(expression, scope))
    assert isinstance(expression, Call)
    return _format_call(expression, scope, evaluator)


def _literal(value: float) -> str:
    return f"({format_number(value)})" if value < 0 else format_number(value)


def _format_call(call: Call, scope: Scope, evaluator: Evaluator) -> str:
    parts = [format_expression(part, scope, evaluator) for part in call.arguments]
    if call.function == "?:":
        return f"(({parts[0]}) ? ({parts[1]}) : ({parts[2]}))"
    if call.function == "neg":
        return f"(-({parts[0]}))"
    if call.function == "!":
        return f"(!({parts[0]}))"
    level = _LEVELS.get(call.function)
    if level is None:
        return f"{call.function}({','.join(parts)})"
    left, right = (
        f"({text})" if isinstance(part, Call) and part.function in _LEVELS and _weaker(part, level, side) else text
        for side, (part, text) in enumerate(zip(call.arguments, parts, strict=True))
    )
    return f"{left}{call.function}{right}"


def _weaker(part: Call, level: int, side: int) -> bool:
    """Whether an operand needs parentheses: a weaker operator, or an equal one on the right."""
    inner = _LEVELS[part.function]
    return inner < level or (inner == level and side == 1) or level in (3, 7)


def _directives(netlist: Netlist, analyses: bool) -> Iterator[str]:
    for name, value in netlist.options.items():
        if value is True:
            yield f".options {name}"
        elif name != "temp":
            yield f".options {name}={value if isinstance(value, str) else format_number(value)}"
    yield f".temp {format_number(netlist.temperature)}"
    for kind, values in (("ic", netlist.ic), ("nodeset", netlist.nodeset)):
        if values:
            yield f".{kind} " + " ".join(f"v({node})={format_number(value)}" for node, value in values.items())
    if not analyses:
        return
    for analysis in netlist.analyses:
        match analysis:
            case Op():
                yield ".op"
            case Dc():
                sweeps = (f"{_swept(s.source)} {_numbers(s.start, s.stop, s.step)}" for s in analysis.sweeps)
                yield " ".join([".dc", *sweeps])
            case Tran():
                times = [analysis.step, analysis.stop]
                if analysis.start or analysis.max_step is not None:
                    times.append(analysis.start)
                if analysis.max_step is not None:
                    times.append(analysis.max_step)
                yield f".tran {_numbers(*times)}" + (" uic" if analysis.uic else "")
    if netlist.saves:
        yield ".save " + " ".join(netlist.saves)
    for measure in netlist.measures:
        yield f".meas {measure.analysis} {measure.name} {measure.text}"


def _swept(source: str) -> str:
    return flat_name(source, source.rpartition(".")[2][0])


def _numbers(*values: float) -> str:
    return " ".join(format_number(value) for value in values)


def _wrap(line: str) -> Iterator[str]:
    """Break a long line at blanks into continuations; expressions have few blanks, and one word is never broken."""
    current = ""
    for word in line.split(" "):
        if current and len(current) + len(word) >= _WIDTH:
            yield current
            current = "+ " + word
        else:
            current = f"{current} {word}" if current else word
    yield current


__all__ = ["Parameter", "flat_name", "format_expression", "format_number", "write_netlist"]
