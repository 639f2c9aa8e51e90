"""Element lines: one reader per letter, from fields to a `Template`."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable

from ._deck import Block, Bound, Template, read_value
from ._expressions import (
    Call,
    Current,
    Expression,
    ExpressionProblem,
    Name,
    Number,
    Voltage,
    evaluate,
    parse_expression,
    walk,
)
from ._fields import Field, split_fields
from ._functions import BEHAVIOURAL_FUNCTIONS
from ._lines import Log, LogicalLine
from ._numbers import is_number
from ._sources import read_source

_NUMBER_OF_NODES = {"m": (4, 4), "d": (2, 2), "q": (3, 4), "j": (3, 3)}
_NOT_READ = {
    "a": "code models", "k": "coupled inductors", "n": "Verilog-A devices", "o": "lossy lines", "p": "coupled lines",
    "s": "switches", "t": "transmission lines", "u": "RC lines", "w": "switches", "y": "lines", "z": "MESFETs",
}  # fmt: skip
_FLAGS = frozenset({"off"})
# Parameters of elements whose names would otherwise be guesses: a wrong one must not pass in silence.
_KNOWN = {
    "r": {"r", "m", "tc1", "tc2", "temp", "dtemp", "scale", "l", "w", "ac", "noisy"},
    "c": {"c", "m", "tc1", "tc2", "temp", "dtemp", "scale", "l", "w", "ic"},
    "l": {"l", "m", "tc1", "tc2", "temp", "dtemp", "scale", "ic", "nt"},
}
_BEHAVIOUR = re.compile(r"\b(i|v|vol|cur|value)\s*=\s*", re.IGNORECASE)


def read_element(line: LogicalLine, block: Block, log: Log) -> Template:
    """The template of an element line.

    **Raises** `ExpressionProblem` for a line that cannot be read.
    """
    letter = line.lower[0]
    reader = _READERS.get(letter)
    if reader is None:
        name = line.lower.split(None, 1)[0]
        if letter in _NOT_READ:
            raise ExpressionProblem(
                f"{name.upper()}: '{letter.upper()}' elements ({_NOT_READ[letter]}) are not read.", 0,
                f"Known letters: {_letters()}.",
            )  # fmt: skip
        raise ExpressionProblem(
            f"'{name[:20]}' begins with '{letter}', which is no element.", 0,
            f"Known letters: {_letters()}; a comment begins with '*'.",
        )  # fmt: skip
    if letter in "beg":
        found = _behaviour(line)
        if found is not None:
            template = _read_behavioural(letter, line, found, log)
            template.name = plain_name(template.name)
            return template
        if letter == "b":
            raise ExpressionProblem("a B-source has no I= or V= expression.", 0, "Write B1 a b I=… or V=….")
    template = reader(letter, split_fields(line.lower), line, log)
    template.name = plain_name(template.name)
    return template


def plain_name(name: str) -> str:
    """The name without ngspice's mark of a flattened element: `v.x1.v1` is `x1.v1`, so that a written deck reads back
    to the same names. Other names with points stay."""
    match = re.fullmatch(r"([a-z])\.(x[^.]*\.(?:[^.]+\.)*\1[^.]*)", name)
    return match.group(2) if match else name


def _letters() -> str:
    return " ".join(sorted(letter.upper() for letter in _READERS))


def _node(item: Field, line: LogicalLine) -> str:
    name = item.value
    if item.key or name[0] in "{'":
        raise ExpressionProblem(f"'{item.key or name}' stands where a node is wanted.", item.key_at or item.at)
    if name[0] == "(" and name[-1] == ")":
        name = name[1:-1].strip()
    if "," in name:
        raise ExpressionProblem(f"'{name}' has a comma where one node is wanted.", item.at, "Put blanks around it.")
    return "0" if name in ("gnd", "0") else name


def _take_nodes(count: int, fields: list[Field], line: LogicalLine) -> tuple[str, ...]:
    """The `count` fields after the name; says what is missing where there are fewer."""
    name = fields[0].value
    words = [item for item in fields[1:] if not item.key]
    if len(words) < count or any(item.key for item in fields[1 : count + 1]):
        raise ExpressionProblem(
            f"{name.upper()} wants {count} nodes and has {min(len(words), count)}.", fields[-1].key_at or fields[-1].at,
            "Add the missing node.",
        )  # fmt: skip
    return tuple(_node(item, line) for item in fields[1 : count + 1])


def _pairs(fields: list[Field], line: LogicalLine, log: Log, known: set[str] | None = None) -> dict[str, Bound]:
    parameters: dict[str, Bound] = {}
    for item in fields:
        if not item.key:
            if item.value in _FLAGS:
                log.note(line, item.at, f"the flag '{item.value}' is ignored.")
                continue
            raise ExpressionProblem(
                f"'{item.value}' is one word too many.", item.at, "Parameters are written name=value; a node may be "
                "missing or too many, or an expression with blanks needs braces.",
            )  # fmt: skip
        if known is not None and item.key not in known:
            from ._names import near

            raise ExpressionProblem(
                f"{line.lower[0].upper()} elements have no parameter '{item.key}'.", item.key_at,
                near(item.key, known, kind="They have"),
            )  # fmt: skip
        if item.key == "ic" and "," in item.value:
            log.note(line, item.key_at, "ic= of a device is ignored.")
            continue
        parameters[item.key] = read_value(item.value, item.at, line, log)
    return parameters


def _passive(letter: str, fields: list[Field], line: LogicalLine, log: Log) -> Template:
    nodes = _take_nodes(2, fields, line)
    name, rest = fields[0].value, fields[3:]
    words = [item for item in rest if not item.key]
    parameters = _pairs([item for item in rest if item.key], line, log, _KNOWN[letter])
    model, model_at = "", 0
    for item in words:
        # A single bare word may be a parameter or a model; which of the two is known when all lines are read.
        bare = len(words) == 1 and not parameters.keys() & {"l", "w"}
        if letter not in parameters and (is_number(item.value) or item.value[0] in "{'+-.(\"" or bare):
            parameters[letter] = read_value(item.value, item.at, line, log)
        elif not model and re.match(r"[a-z_]", item.value):
            model, model_at = item.value, item.at
        else:
            raise ExpressionProblem(
                f"'{item.value}' is one word too many.", item.at, f"{name.upper()} has two nodes and one value."
            )
    if letter not in parameters and not model:
        unit = {"r": "ohm", "c": "farad", "l": "henry"}[letter]
        hint = f"Add one in {unit} after its two nodes."
        if is_number(nodes[1]) and not nodes[1].isdigit():
            hint = f"'{nodes[1]}' was read as its second node: a node is missing."
        raise ExpressionProblem(f"{name.upper()} has no value.", fields[2].at, hint)
    return Template(letter, name, nodes, line, parameters, model, model_at)


def _source(letter: str, fields: list[Field], line: LogicalLine, log: Log) -> Template:
    nodes = _take_nodes(2, fields, line)
    waveform, parameters = read_source(fields[3:], line, log)
    return Template(letter, fields[0].value, nodes, line, parameters, waveform=waveform)


def _split_pair(fields: list[Field]) -> list[Field]:
    """Controlling nodes may be written `(b,0)`."""
    result: list[Field] = []
    for item in fields:
        if not item.key and item.value.startswith("(") and "," in item.value:
            inner = split_fields(item.value[1:-1].replace(",", " "))
            result += [Field(part.value, part.at + item.at + 1) for part in inner]
        else:
            result.append(item)
    return result


def _controlled(letter: str, fields: list[Field], line: LogicalLine, log: Log) -> Template:
    fields = _split_pair(fields)
    name = fields[0].value
    for item in fields[3:4]:
        word = item.value.partition("(")[0]
        if word in ("poly", "table", "laplace", "vol", "cur", "value"):
            hint = "Write V={…} or I={…} on a B-source." if word != "value" else f"Write {name} a b value={{…}}."
            raise ExpressionProblem(f"{name.upper()}: '{word}' is not read in this form.", item.at, hint)
    count = 4 if letter in "eg" else 2
    nodes = _take_nodes(count, fields, line)
    rest = fields[count + 1 :]
    if letter in "fh":
        if not rest or rest[0].key:
            raise ExpressionProblem(f"{name.upper()} names no controlling voltage source.", fields[-1].at)
        nodes, controls, rest = nodes, (rest[0].value,), rest[1:]
    else:
        nodes, controls = nodes[:2], nodes[2:]
    parameters: dict[str, Bound] = {}
    if (rest and not rest[0].key) or (rest and rest[0].key in ("gain", "value")):
        parameters["gain"] = read_value(rest[0].value, rest[0].at, line, log)
        rest = rest[1:]
    else:
        raise ExpressionProblem(f"{name.upper()} has no gain.", fields[-1].at, "Add a number at the end.")
    parameters |= _pairs(rest, line, log, {"m"})
    return Template(letter, name, nodes, line, parameters, controls=controls)


def _behaviour(line: LogicalLine) -> re.Match[str] | None:
    """Where the expression of a B, E or G line begins: `I=`, `V=`, `vol=`, `cur=` or `value=` after the nodes."""
    allowed = ("i", "v") if line.lower[0] == "b" else ("vol", "cur", "value")
    for match in _BEHAVIOUR.finditer(line.lower):
        if match.group(1) in allowed and len(line.lower[: match.start()].split()) >= 3:
            return match
    return None


def _read_behavioural(letter: str, line: LogicalLine, found: re.Match[str], log: Log) -> Template:
    fields = split_fields(line.lower[: found.start()])
    if len(fields) != 3:
        raise ExpressionProblem(f"{fields[0].value.upper()} wants 2 nodes and has {len(fields) - 1}.", fields[-1].at)
    nodes = _take_nodes(2, fields, line)
    key = found.group(1)
    output = {"i": "i", "v": "v", "cur": "i", "vol": "v", "value": "v" if letter == "e" else "i"}[key]
    if (letter == "e" and key == "cur") or (letter == "g" and key == "vol"):
        raise ExpressionProblem(f"{letter.upper()} elements have no {key}=.", found.start())
    text, at = line.lower[found.end() :], found.end()
    # Parameters may follow the expression: m=, tc1=, tc2= and the like.
    tail = re.search(r"\s(m|tc1|tc2|temp|dtemp)\s*=(?!=)", text)
    parameters: dict[str, Bound] = {}
    if tail is not None:
        fields_after = split_fields(line.lower, at + tail.start())
        parameters = _pairs(fields_after, line, log, {"m", "tc1", "tc2", "temp", "dtemp"})
        text = text[: tail.start()]
    stripped = text.strip()
    if stripped[:1] in "{'\"" and stripped[-1:] == {"{": "}", "'": "'", '"': '"'}.get(stripped[:1]):
        try:
            bound = Bound(parse_expression(stripped[1:-1], at + text.index(stripped) + 1, behavioural=True), line, at)
        except ExpressionProblem:
            if stripped[0] not in "{'":
                raise
            bound = Bound(parse_expression(text, at, behavioural=True), line, at)
    else:
        bound = Bound(parse_expression(text, at, behavioural=True), line, at)
    _refuse_dropped_braces(text, at, bound.expression)
    return Template(letter, fields[0].value, nodes, line, parameters, output=output, behaviour=bound)


def _refuse_dropped_braces(text: str, at: int, meant: Expression) -> None:
    """ngspice 39 deletes the braces inside a B expression before it reads it, so `1/{2*ut}` becomes `1/2*ut` there.

    Measured: `{2*3}^{1+1}` gives 7. A deck whose value depends on that means two circuits, so it is refused.
    """
    brace = text.find("{")
    if brace < 0:
        return
    try:
        bare = parse_expression(re.sub(r"[{}']", " ", text), at, behavioural=True)
    except ExpressionProblem:
        return
    if not _alike(meant, bare):
        raise ExpressionProblem(
            "the braces in this expression change its value, and ngspice 39 deletes them.", at + brace,
            "Write parentheses inside or instead: {(2*ut)} or (2*ut).",
        )  # fmt: skip


def _alike(one: Expression, other: Expression) -> bool:
    """Whether two readings of the same text agree, tried at two points of made-up values."""
    functions = BEHAVIOURAL_FUNCTIONS
    for salt in (1, 2):

        def lookup(leaf: Expression, salt: int = salt) -> float:
            word = leaf.name if isinstance(leaf, Name) else str(leaf).partition(", at=")[0]
            return 0.5 + (zlib.crc32(f"{salt}{word}".encode()) % 10007) / 10007

        try:
            first, second = (evaluate(_known(tree), lookup, functions) for tree in (one, other))
        except (ArithmeticError, ValueError, TypeError):
            continue
        if not math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-300):
            return False
    return True


def _known(tree: Expression) -> Expression:
    """The tree with calls of unknown functions (a `.func`) as sums of their arguments, so that it can be tried out."""
    if isinstance(tree, Call):
        arguments = tuple(_known(part) for part in tree.arguments)
        if tree.function in BEHAVIOURAL_FUNCTIONS:
            return Call(tree.function, arguments)
        result: Expression = Number(0.25)
        for i, part in enumerate(arguments):
            result = Call("+", (result, Call("*", (Number(1.0 + i), part))))
        return result
    return tree


def _device(letter: str, fields: list[Field], line: LogicalLine, log: Log) -> Template:
    least, most = _NUMBER_OF_NODES[letter]
    words = [item for item in fields[1:] if not item.key and item.value not in _FLAGS]
    count = len(words) - 1
    if letter == "d" and count == 3 and is_number(words[-1].value):
        count = 2
    if not least <= count <= most:
        raise ExpressionProblem(
            f"{fields[0].value.upper()} wants {least if least == most else f'{least} or {most}'} nodes and a model; "
            f"it has {max(count, 0)} nodes.", words[-1].at if words else 0,
            "Bulk is the fourth node of M." if letter == "m" else "",
        )  # fmt: skip
    nodes = _take_nodes(count, fields, line)
    model = fields[count + 1]
    rest = fields[count + 2 :]
    parameters: dict[str, Bound] = {}
    if letter in "dq" and rest and not rest[0].key and rest[0].value not in _FLAGS:
        parameters["area"] = read_value(rest[0].value, rest[0].at, line, log)
        rest = rest[1:]
    parameters |= _pairs(rest, line, log)
    return Template(letter, fields[0].value, nodes, line, parameters, model.value, model.at)


def _instance(letter: str, fields: list[Field], line: LogicalLine, log: Log) -> Template:
    fields = [item for item in fields if item.value not in ("params:", "param:")]
    for item in fields:
        if item.key.startswith("params:"):
            item.key = item.key[7:]
    first = next((i for i, item in enumerate(fields) if item.key), len(fields))
    if first < 2:
        raise ExpressionProblem(f"{fields[0].value.upper()} names no subcircuit.", 0, "Write X1 nodes… name [w=2u …].")
    name = fields[first - 1]
    nodes = tuple(_node(item, line) for item in fields[1 : first - 1])
    parameters = _pairs(fields[first:], line, log)
    return Template(letter, fields[0].value, nodes, line, parameters, name.value, name.at)


_READERS: dict[str, Callable[[str, list[Field], LogicalLine, Log], Template]] = {
    "r": _passive, "c": _passive, "l": _passive, "v": _source, "i": _source, "e": _controlled, "g": _controlled,
    "f": _controlled, "h": _controlled, "b": _controlled, "m": _device, "d": _device, "q": _device, "j": _device,
    "x": _instance,
}  # fmt: skip


def probes(tree: Expression) -> tuple[list[Voltage], list[Current]]:
    """The voltages and currents that a behavioural expression reads."""
    parts = list(walk(tree))
    return [p for p in parts if isinstance(p, Voltage)], [p for p in parts if isinstance(p, Current)]
