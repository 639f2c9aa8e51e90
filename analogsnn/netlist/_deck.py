"""What a deck says before it is flattened: nested blocks of statements, expressions not yet evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ._expressions import Expression, ExpressionProblem, Name, Number, parse_expression
from ._fields import split_fields
from ._lines import Location, Log, LogicalLine
from ._numbers import NumberProblem, is_number, read_number, trap

_SIMPLE = re.compile(r"[a-z_][\w.]*$")


@dataclass(slots=True)
class Bound:
    """An expression with the line it stands on, for messages."""

    expression: Expression
    line: LogicalLine
    at: int = 0


@dataclass(slots=True)
class Template:
    """An element line: what every instance of its block makes from it.

    - `parameters`: values by name; the main value of R, C, L is `r`, `c`, `l`, the gain of E, F, G, H is `gain`.
    - `output`: "i" or "v" for a behavioural source, whose `behaviour` holds its expression.
    - `waveform`: "pulse", "pwl", "sin", "exp", "am", "sffm", or "" for a source without one.
    - `model`: of M, D, Q, J, and R or C with a model; the subcircuit of X.
    - `controls`: controlling nodes of E and G; the controlling source of F and H.
    """

    letter: str
    name: str
    nodes: tuple[str, ...]
    line: LogicalLine
    parameters: dict[str, Bound] = field(default_factory=dict)
    model: str = ""
    model_at: int = 0
    waveform: str = ""
    controls: tuple[str, ...] = ()
    output: str = ""
    behaviour: Bound | None = None


@dataclass(slots=True)
class ModelTemplate:
    """A `.model` line."""

    name: str
    type: str
    parameters: dict[str, Bound | str]
    line: LogicalLine


@dataclass(slots=True)
class Function:
    """A `.func`: its arguments stand for themselves in `body`, every other name is looked up where it is called."""

    arguments: tuple[str, ...]
    body: Expression


@dataclass(slots=True)
class NodeValue:
    """`v(node)=value` of `.ic` or `.nodeset`."""

    node: str
    value: Bound


@dataclass(slots=True)
class Block:
    """The top level (name "") or the body of a `.subckt`.

    - `defaults`: parameters of the `.subckt` line; `params`: `.param` of the body. Both may refer to one another, and a
      value given by an instance goes before either (measured on ngspice 39).
    """

    name: str
    pins: tuple[str, ...]
    location: Location
    parent: Block | None = None
    line: LogicalLine | None = None
    defaults: dict[str, Bound] = field(default_factory=dict)
    params: dict[str, Bound] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    elements: list[Template] = field(default_factory=list)
    names: dict[str, LogicalLine] = field(default_factory=dict)
    models: dict[str, ModelTemplate] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    ic: list[NodeValue] = field(default_factory=list)
    nodeset: list[NodeValue] = field(default_factory=list)

    def find_block(self, name: str) -> Block | None:
        """The subcircuit that `name` means inside this block: the nearest definition outwards."""
        block: Block | None = self
        while block is not None:
            if name in block.blocks:
                return block.blocks[name]
            block = block.parent
        return None

    def find_model(self, name: str) -> tuple[ModelTemplate, Block] | None:
        """The model card that `name` means inside this block, and the block that holds it."""
        block: Block | None = self
        while block is not None:
            if name in block.models:
                return block.models[name], block
            block = block.parent
        return None

    def visible(self, kind: str) -> list[str]:
        """Names of `blocks`, `models` or `functions` that can be used here, for messages."""
        names: list[str] = []
        block: Block | None = self
        while block is not None:
            names.extend(getattr(block, kind))
            block = block.parent
        return names


def read_value(text: str, at: int, line: LogicalLine, log: Log, *, behavioural: bool = False) -> Bound:
    """A value on an element line or after `name=`: number, `{…}`, `'…'`, or a bare expression.

    **Raises** `ExpressionProblem`.
    """
    if is_number(text):
        try:
            value = read_number(text)
        except NumberProblem as problem:
            if problem.malformed and re.search(r"[*/(){}^]|[\w.][+-]", text) and not re.search(r"\d[a-z]*,\d", text):
                return Bound(parse_expression(text, at, behavioural=behavioural), line, at)
            raise ExpressionProblem(f"{problem}.", at, problem.hint) from None
        note = trap(line.text[at : at + len(text)], value)
        if note:
            log.note(line, at, note)
        return Bound(Number(value), line, at)
    if (text[0] == "{" and text[-1] == "}") or (text[0] in "'\"" and text[-1] == text[0] and len(text) > 1):
        inside = text[1:-1]
        tree = parse_expression(inside, at + 1, behavioural=behavioural)
        if re.search(r"\dmil\b", inside) and not behavioural:
            log.note(line, at, "'mil' inside braces is read by ngspice 39 as milli (1e-3), not as 25.4e-6.")
        return Bound(tree, line, at)
    if text in ("nan", "inf", "infinity", "-inf", "+inf"):
        raise ExpressionProblem(f"'{text}' is not a number a circuit can use.", at, "Write a finite value.")
    if _SIMPLE.match(text):
        return Bound(Name(text, at), line, at)
    return Bound(parse_expression(text, at, behavioural=behavioural), line, at)


def read_pairs(text: str, start: int, line: LogicalLine, log: Log) -> dict[str, Bound]:
    """The `name=value` pairs of a `.param` line. A word that is no pair is a problem, and the pairs around it are kept.

    **Raises** `ExpressionProblem` for a value that cannot be read.
    """
    pairs: dict[str, Bound] = {}
    for item in split_fields(text, start):
        if item.key:
            pairs[item.key] = read_value(item.value, item.at, line, log)
        else:
            hint = "A value with blanks inside needs braces: {…}." if pairs else "Write .param w=2u."
            log.problem(line, item.at, f"'{item.value}' is not a name=value pair.", hint)
            break
    return pairs
