"""`.func` calls replaced by their bodies, and every other function name checked, once per block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ._deck import Block, Bound, Function
from ._expressions import Call, Current, Expression, ExpressionProblem, Name, Number, RandomDraw, Voltage, rewrite, walk
from ._functions import ARGUMENTS, BEHAVIOURAL_FUNCTIONS, PARAMETER_FUNCTIONS, RANDOM
from ._lines import Log
from ._names import near

MAX_SIZE = 20_000
_OPERATORS = frozenset(
    {"+", "-", "*", "/", "%", "\\", "^", "neg", "!", "?:", "&&", "||", "==", "!=", "<", "<=", ">", ">="}
)  # fmt: skip


def check_block(block: Block, log: Log, outer: Mapping[str, Function] | None = None) -> None:
    """Expand the functions in every expression of a block and of those inside it; problems go to the log."""
    functions = {**(outer or {}), **block.functions}
    for bound, behavioural in _bounds(block):
        check_bound(bound, functions, log, behavioural=behavioural)
    for inner in block.blocks.values():
        check_block(inner, log, functions)


def check_bound(bound: Bound, functions: Mapping[str, Function], log: Log, *, behavioural: bool = False) -> None:
    """Expand the functions in one expression, and check the names of the others; problems go to the log."""
    try:
        bound.expression = _expand(bound.expression, functions)
        _check_calls(bound.expression, behavioural, functions)
    except ExpressionProblem as problem:
        log.problem(bound.line, problem.at, str(problem), problem.hint)
        bound.expression = Number(1.0)  # the deck is refused; this keeps one mistake from being told many times


def _bounds(block: Block) -> Iterator[tuple[Bound, bool]]:
    for group in (block.defaults, block.params):
        yield from ((bound, False) for bound in group.values())
    for template in block.elements:
        yield from ((bound, False) for bound in template.parameters.values())
        if template.behaviour is not None:
            yield template.behaviour, True
    for model in block.models.values():
        yield from ((bound, False) for bound in model.parameters.values() if isinstance(bound, Bound))
    yield from ((item.value, False) for item in [*block.ic, *block.nodeset])


def _expand(tree: Expression, functions: Mapping[str, Function]) -> Expression:
    if not isinstance(tree, Call) or not functions:
        return tree
    for _ in range(20):
        if not any(isinstance(node, Call) and node.function in functions for node in walk(tree)):
            return tree
        tree = rewrite(tree, lambda node: _called(node, functions))
        if sum(1 for _ in walk(tree)) > MAX_SIZE:
            break
    at = tree.at if isinstance(tree, Call) else 0
    raise ExpressionProblem("a .func calls itself, or its expansion does not end.", at)


def _called(node: Expression, functions: Mapping[str, Function]) -> Expression:
    function = functions.get(node.function) if isinstance(node, Call) else None
    if function is None or not isinstance(node, Call):
        return node
    if len(node.arguments) != len(function.arguments):
        raise ExpressionProblem(
            f"{node.function}() takes {len(function.arguments)} arguments and has {len(node.arguments)}.", node.at
        )
    given = dict(zip(function.arguments, node.arguments, strict=True))

    def substitute(part: Expression) -> Expression:
        if isinstance(part, Name):
            return given.get(part.name, Name(part.name, node.at))
        return Call(part.function, part.arguments, node.at) if isinstance(part, Call) else part

    return rewrite(function.body, substitute)


def _check_calls(tree: Expression, behavioural: bool, functions: Mapping[str, Function]) -> None:
    table = BEHAVIOURAL_FUNCTIONS if behavioural else PARAMETER_FUNCTIONS
    for node in walk(tree):
        if not isinstance(node, Call):
            if not behavioural and isinstance(node, (Voltage, Current)):
                raise ExpressionProblem("a voltage or current cannot stand in a parameter.", node.at, "Use a B-source.")
            continue
        name, count = node.function, len(node.arguments)
        if name not in table:
            if name in RANDOM and not behavioural and count == RANDOM[name]:
                continue  # a foundry's mismatch switch may turn it off, which only its value shows
            if name in RANDOM:
                raise RandomDraw(name, node.at)
            if name in PARAMETER_FUNCTIONS or name in _OPERATORS:
                raise ExpressionProblem(f"'{name}' cannot be used in a B-source (nor by ngspice).", node.at)
            where = "B-sources" if behavioural else "parameters"
            known = [*(f for f in table if f not in _OPERATORS), *functions]
            raise ExpressionProblem(f"there is no function {name}() in {where}.", node.at, near(name, known))
        if name not in _OPERATORS:
            wanted = ARGUMENTS.get(name, 1)
            if count != wanted:
                nest = name in ("min", "max") and count > 2
                raise ExpressionProblem(
                    f"{name}() takes {wanted} argument{'s' * (wanted > 1)} and has {count}.", node.at,
                    f"Nest the calls: {name}(a,{name}(b,c)); ngspice 39 drops all but the last two." if nest else "",
                )  # fmt: skip
