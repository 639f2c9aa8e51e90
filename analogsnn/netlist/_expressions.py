"""Expressions as trees: what stands in braces, in quotes, after `.param x=`, and on the right of a B-source.

Precedence, lowest first, measured on ngspice 39: `a ? b : c` (right), `||`, `&&`, `== != < <= > >=` (left), `+ -`,
`* / % \\`, a leading `-`, then `^` and `**`, which associate to the **left** (`2^3^2` is 64) and bind tighter than the
sign on their left (`-2^2` is −4).

A tree knows nothing of numbers: `evaluate` asks a lookup for names and a table for operations, so the same tree gives
floats here and traced, differentiable values in the circuit engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ._functions import RANDOM
from ._numbers import NUMBER, NumberProblem, read_number, scaled

MAX_DEPTH = 150


class ExpressionProblem(ValueError):
    """An expression that cannot be read; `at` is the offset in the logical line, `hint` the change that mends it."""

    def __init__(self, message: str, at: int, hint: str = ""):
        super().__init__(message)
        self.at, self.hint = at, hint


@dataclass(frozen=True, slots=True)
class Number:
    """A literal, in the unit of the place where it stands."""

    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """A parameter, in lower case; `at` is its offset in the logical line."""

    name: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the table or of a `.func`; operators are calls too, named by their sign (`+`, `?:`, `neg`)."""

    function: str
    arguments: tuple[Expression, ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class Voltage:
    """`V(plus)` or `V(plus, minus)` in a behavioural expression, in volt."""

    plus: str
    minus: str = "0"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Current:
    """`I(source)` in a behavioural expression: the current through a voltage source from + to −, in ampere."""

    source: str
    at: int = 0


Expression = Number | Name | Call | Voltage | Current

_BINARY = {
    "||": 1, "&&": 2,
    "==": 3, "=": 3, "!=": 3, "<>": 3, "<": 3, "<=": 3, ">": 3, ">=": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "\\": 5, "**": 7, "^": 7,
}  # fmt: skip
_SAME = {"=": "==", "<>": "!=", "**": "^"}
_SIGN_LEVEL = 6

_TOKEN = re.compile(
    rf"\s*(?:(?P<number>{NUMBER.pattern})(?![\w.])|(?P<name>[a-z_@][\w.@]*)"
    r"|(?P<sign>\*\*|\|\||&&|==|!=|<>|<=|>=|[-+*/%\\^<>=!?:(),{}']))",
    re.IGNORECASE,
)
_PROBE = re.compile(r"\s*\(([^()]*)\)")


def parse_expression(text: str, at: int = 0, *, behavioural: bool = False) -> Expression:
    """Read `text`, which stands at offset `at` of its logical line.

    With `behavioural` the voltages and currents of a B-source are allowed, and `{…}` inside is a parameter expression.

    **Raises** `ExpressionProblem`.
    """
    return _Parser(text, at, behavioural).whole()


class _Parser:
    def __init__(self, text: str, at: int, behavioural: bool):
        self.text, self.at, self.behavioural = text, at, behavioural
        self.position = 0
        self.depth = 0
        self.advance()

    def problem(self, message: str, hint: str = "") -> ExpressionProblem:
        return ExpressionProblem(message, self.at + self.start, hint)

    def advance(self) -> None:
        """Read the next token into `kind` (number, name, sign or end), `token` and `start`."""
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            rest = self.text[self.position :]
            self.start = self.position + len(rest) - len(rest.lstrip())
            if rest.strip():
                word = rest.split()[0]
                if word[0].isdigit() or word[0] == ".":
                    self._bad_number(word)
                raise self.problem(f"'{word[0]}' has no meaning in an expression.")
            self.kind, self.token, self.match = "end", "", None
            return
        self.kind = str(match.lastgroup)
        self.token, self.start, self.position = match.group(self.kind), match.start(self.kind), match.end()
        self.match = match

    def _bad_number(self, word: str) -> None:
        word = re.split(r"[^\w.]", word)[0]
        try:
            read_number(word)
        except NumberProblem as problem:
            raise self.problem(f"{problem}.", problem.hint) from None

    def whole(self) -> Expression:
        if self.kind == "end":
            raise self.problem("an expression is empty.", "Write a number or a parameter.")
        tree = self.ternary()
        if self.kind != "end":
            raise self.problem(f"'{self.token}' does not continue the expression.", "An operator is missing before it.")
        if depth(tree) > MAX_DEPTH:
            raise self.problem(f"the expression is nested more than {MAX_DEPTH} deep.", "Split it over several .param.")
        return tree

    def expect(self, sign: str) -> None:
        if self.kind != "sign" or self.token != sign:
            found = f"'{self.token}'" if self.token else "the end"
            raise self.problem(f"'{sign}' is missing before {found} of the expression '{_short(self.text)}'.")
        self.advance()

    def ternary(self) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH // 5:
            raise self.problem("the expression has too many nested parentheses.", "Split it over several .param.")
        tree = self.binary(1)
        if self.token == "?" and self.kind == "sign":
            at = self.at + self.start
            self.advance()
            then = self.ternary()
            self.expect(":")
            tree = Call("?:", (tree, then, self.ternary()), at)
        self.depth -= 1
        return tree

    def binary(self, level: int) -> Expression:
        tree = self.unary()
        while self.kind == "sign" and _BINARY.get(self.token, 0) >= level:
            sign, at = self.token, self.at + self.start
            self.advance()
            right = self.binary(_BINARY[sign] + 1)
            tree = Call(_SAME.get(sign, sign), (tree, right), at)
        return tree

    def unary(self) -> Expression:
        signs = []
        while self.kind == "sign" and self.token in ("-", "+", "!"):
            signs.append((self.token, self.at + self.start))
            self.advance()
            if len(signs) > MAX_DEPTH // 5:
                raise self.problem("the expression has too many signs in a row.")
        if not signs:
            return self.primary()
        tree = self.binary(_SIGN_LEVEL + 1)
        for sign, at in reversed(signs):
            if sign == "-":
                tree = Number(-tree.value) if isinstance(tree, Number) else Call("neg", (tree,), at)
            elif sign == "!":
                tree = Call("!", (tree,), at)
        return tree

    def primary(self) -> Expression:
        kind, token, at = self.kind, self.token, self.at + self.start
        if kind == "number":
            return self.number()
        if kind == "name":
            return self.name(token.lower(), at)
        if token == "(":
            self.advance()
            tree = self.ternary()
            self.expect(")")
            return tree
        if token == "{" or (self.behavioural and token == "'"):
            return self.braced(token)
        if kind == "end":
            raise self.problem(f"the expression '{_short(self.text)}' ends too early.", "An operand is missing.")
        raise self.problem(f"'{token}' stands where a number or a name is wanted.")

    def number(self) -> Expression:
        assert self.match is not None
        match = NUMBER.match(self.token)
        assert match is not None
        try:
            value = scaled(match, braces=not self.behavioural)
        except NumberProblem as problem:
            raise self.problem(f"{problem}.", problem.hint) from None
        self.advance()
        return Number(value)

    def name(self, name: str, at: int) -> Expression:
        probe = _PROBE.match(self.text, self.position) if name in ("v", "i") else None
        if probe is not None and (self.behavioural or name == "v"):
            if not self.behavioural:
                raise self.problem(f"{self.token}({probe.group(1)}) cannot stand in a parameter.", "Use a B-source.")
            tree = self.probe(name, probe.group(1), at)
            self.position = probe.end()
            self.advance()
            return tree
        self.advance()
        if self.token != "(" or self.kind != "sign":
            return Name(name, at)
        self.advance()
        arguments = []
        if self.token != ")":
            arguments.append(self.ternary())
            while self.token == ",":
                self.advance()
                arguments.append(self.ternary())
        self.expect(")")
        return Call(name, tuple(arguments), at)

    def probe(self, name: str, inside: str, at: int) -> Expression:
        names = [part.strip().lower() for part in inside.split(",")]
        if not all(names) or len(names) > (2 if name == "v" else 1):
            wanted = "one or two nodes" if name == "v" else "one voltage source"
            raise self.problem(f"{name.upper()}({inside}) wants {wanted}.")
        return Voltage(*names, at=at) if name == "v" else Current(names[0], at)

    def braced(self, opening: str) -> Expression:
        closing = "}" if opening == "{" else "'"
        end, level = self.position, 1
        while end < len(self.text):
            if opening == "{" and self.text[end] == "{":
                level += 1
            elif self.text[end] == closing:
                level -= 1
                if level == 0:
                    break
            end += 1
        if level:
            raise self.problem(f"'{closing}' is missing.")
        inside = self.text[self.position : end]
        tree = parse_expression(inside, self.at + self.position, behavioural=self.behavioural)
        self.position = end + 1
        self.advance()
        return tree


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"


def children(tree: Expression) -> tuple[Expression, ...]:
    """The direct parts of a tree."""
    return tree.arguments if isinstance(tree, Call) else ()


def depth(tree: Expression) -> int:
    """Levels of a tree, found without recursion."""
    level, deepest = [tree], 0
    while level:
        deepest += 1
        level = [part for node in level for part in children(node)]
    return deepest


def walk(tree: Expression) -> Iterator[Expression]:
    """Every part of a tree, itself first."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def rewrite(tree: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """The tree with every leaf and call passed through `change`, innermost first."""
    if isinstance(tree, Call):
        tree = Call(tree.function, tuple(rewrite(part, change) for part in tree.arguments), tree.at)
    return change(tree)


def evaluate(tree: Expression, lookup: Callable[[Expression], Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
    """The value of a tree.

    **Arguments**

    - `lookup`: gives the value of a `Name`, a `Voltage` or a `Current`, of any number type.
    - `functions`: an operation for every call, such as `PARAMETER_FUNCTIONS`; a table of JAX functions makes the
      result differentiable.

    **Raises** whatever `lookup` and the functions raise; `KeyError` for a function that the table lacks.
    """
    if isinstance(tree, Number):
        return tree.value
    if not isinstance(tree, Call):
        return lookup(tree)
    if tree.function in RANDOM:
        nominal, spread = (evaluate(part, lookup, functions) for part in tree.arguments[:2])
        if _is_zero(spread):
            return nominal
        raise RandomDraw(tree.function, tree.at)
    arguments, draw = [], None
    for part in tree.arguments:
        try:
            arguments.append(evaluate(part, lookup, functions))
        except RandomDraw as error:
            draw = error
    if draw is not None:
        if tree.function == "*" and any(map(_is_zero, arguments)):
            return 0.0  # `switch*agauss(…)` with the switch off
        raise draw
    return functions[tree.function](*arguments)


class RandomDraw(ExpressionProblem):
    """A random function whose value would count."""

    def __init__(self, function: str, at: int):
        super().__init__(
            f"{function}() draws a random number, so the deck would not mean one circuit.", at,
            "Give the mean here, and the spread to a Monte Carlo campaign.",
        )  # fmt: skip


def _is_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == 0
