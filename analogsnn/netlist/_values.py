"""Numbers for bound expressions while a deck is flattened, and one message for each expression that has none."""

from __future__ import annotations

from ._deck import Bound
from ._evaluate import Circular, Evaluator, Undefined, describe_failure, finite
from ._expressions import Expression, Name, Number, RandomDraw, walk
from ._lines import Log, LogicalLine
from ._netlist import Binding, Parameter, Scope

_FAILURES = (Circular, Undefined, RandomDraw, ArithmeticError, ValueError, TypeError)


class Values:
    """Binds names in scopes and evaluates them; what fails is in the log, at the line that causes it, once."""

    def __init__(self, log: Log):
        self.log = log
        self.evaluator = Evaluator()
        self.lines: dict[str, tuple[LogicalLine, int]] = {}
        self.failed: set[tuple[int, int]] = set()

    def bind(self, scope: Scope, bounds: dict[str, Bound], outer: dict[str, frozenset[str]] | None = None) -> None:
        for name, bound in bounds.items():
            hidden = outer[name] if outer is not None else frozenset()
            binding = Binding(name, bound.expression, scope, bound.line.location(bound.at), hidden)
            scope.bindings[name] = binding
            self.lines[binding.path] = (bound.line, bound.at)

    def value(self, bound: Bound, scope: Scope) -> Parameter | None:
        """The number of a bound expression, or None with a problem in the log."""
        expression = bound.expression
        location = bound.line.location(bound.at)
        if isinstance(expression, Number):
            return Parameter(expression.value, expression, scope, location)
        try:
            number = self.evaluator.expression(expression, scope)
            if not finite(number):
                raise OverflowError
        except _FAILURES as error:
            self.fail(error, bound, scope)
            return None
        return Parameter(float(number), expression, scope, location)

    def fail(self, error: Exception, bound: Bound, scope: Scope) -> None:
        """Report a failed evaluation at the line that causes it, once."""
        if isinstance(error, Circular):
            # Told where its first parameter stands in the deck, wherever it was met.
            first = min(error.circle, key=lambda binding: (binding.location.line, binding.location.column))
            turn = error.circle.index(first)
            error = Circular(error.circle[turn:] + error.circle[:turn])
            line, at = self.lines[first.path]
            self.once(line, at, str(error), error.hint)
            return
        line, at = bound.line, bound.at
        culprit = self.culprit(bound.expression, scope)
        if culprit is not None:
            line, at = self.lines[culprit.path]
        names = [name for outer in outwards(scope) for name in outer.bindings]
        at, message, hint = describe_failure(error, at, names)
        self.once(line, at, message, hint)

    def culprit(self, expression: Expression, scope: Scope) -> Binding | None:
        """The innermost parameter whose own evaluation fails."""
        found: Binding | None = None
        parts, lookup = list(walk(expression)), scope.find
        for _ in range(2000):
            for part in parts:
                binding = lookup(part.name) if isinstance(part, Name) else None
                if binding is None:
                    continue
                try:
                    if finite(self.evaluator.binding(binding)):
                        continue
                except _FAILURES:
                    pass
                if binding is found:
                    return found
                found, lookup, parts = binding, binding.resolve, list(walk(binding.expression))
                break
            else:
                return found
        return found

    def parameters(self, bounds: dict[str, Bound], scope: Scope) -> dict[str, Parameter]:
        return {name: v for name, bound in bounds.items() if (v := self.value(bound, scope)) is not None}

    def once(self, line: LogicalLine, at: int, message: str, hint: str = "") -> None:
        """A problem of a line inside a subcircuit is told once, not once per instance."""
        if (id(line), at) not in self.failed:
            self.failed.add((id(line), at))
            self.log.problem(line, at, message, hint)


def hidden_names(own: dict[str, Bound]) -> dict[str, frozenset[str]]:
    """For each parameter of an instance, which of its fellow parameters its expression does *not* see.

    ngspice sorts them by dependence and assigns in that order; an expression sees what is assigned already, and the
    caller's names otherwise. Only where they depend on each other in a circle, or on themselves (`w={2*w} l={w}`), does
    the order of the `.subckt` line decide (measured on ngspice 39).
    """
    needs = {
        name: frozenset(part.name for part in walk(bound.expression) if isinstance(part, Name) and part.name in own)
        for name, bound in own.items()
    }
    if not any(needs.values()):
        return needs
    hidden: dict[str, frozenset[str]] = {}
    waiting = list(own)
    while waiting:
        ready = [name for name in waiting if needs[name] <= hidden.keys()]
        for name in ready or waiting[:1]:
            hidden[name] = needs[name] - hidden.keys()
        waiting = [name for name in waiting if name not in hidden]
    return hidden


def outwards(scope: Scope) -> list[Scope]:
    """The scope and those around it, innermost first."""
    chain, current = [], scope
    while current is not None:
        chain.append(current)
        current = current.parent
    return chain
