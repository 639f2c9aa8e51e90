"""Values of parameters: once when a deck is flattened, and again, with any number type, for the circuit engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ._expressions import Expression, ExpressionProblem, Name, Number, evaluate, walk
from ._functions import PARAMETER_FUNCTIONS
from ._names import near
from ._netlist import Binding, Element, Netlist, Parameter, Scope


class Undefined(ExpressionProblem):
    """A name without a value."""


class Circular(ExpressionProblem):
    """Parameters that depend on one another in a circle, which `circle` holds, first to last."""

    def __init__(self, circle: list[Binding]):
        names = " → ".join(binding.name for binding in [*circle, circle[0]])
        super().__init__(f"parameter '{circle[0].name}' depends on itself: {names}.", 0, "Break the circle.")
        self.circle = circle


def _names(expression: Expression) -> list[Name]:
    if isinstance(expression, Name):
        return [expression]
    return [] if isinstance(expression, Number) else [part for part in walk(expression) if isinstance(part, Name)]


class Evaluator:
    """Computes values from expressions, remembering each parameter once.

    **Arguments**

    - `functions`: the operations; the default computes with floats. A table of JAX functions with `overrides` of traced
      arrays makes every value differentiable with respect to them.
    - `overrides`: parameter path → value: `param.iw`, `x1.w` (a parameter of an instance), `x1.csyn.c` (a value of an
      element, whatever its expression says), and `temp` [°C] for the name `temper`.
    - `offsets`: parameter path → what is added to the value there, whether an expression or an override gave it.
    """

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]] = PARAMETER_FUNCTIONS,
        overrides: Mapping[str, Any] | None = None,
        offsets: Mapping[str, Any] | None = None,
    ):
        self.functions = functions
        self.overrides = dict(overrides or {})
        self.offsets = dict(offsets or {})
        self._values: dict[int, Any] = {}
        self._kept: list[Binding] = []  # so that an id stays the id of the same binding

    def element(self, element: Element) -> dict[str, Any]:
        """All parameters of an element."""
        return {name: self.parameter(element, name) for name in element.parameters}

    def parameter(self, element: Element, name: str) -> Any:
        """One parameter of an element; an override of its own path goes before its expression."""
        path = f"{element.name}.{name}"
        if path in self.overrides:
            value = self.overrides[path]
        else:
            parameter = element.parameters[name]
            value = self.value(parameter)
            # A whole device's parameter may be a name of its own body: there the binding has the offset already.
            binding = (
                parameter.scope.find(parameter.expression.name) if isinstance(parameter.expression, Name) else None
            )
            if binding is not None and binding.path == path:
                return value
        return value + self.offsets[path] if path in self.offsets else value

    def value(self, parameter: Parameter) -> Any:
        """The value of a parameter under the overrides."""
        return self.expression(parameter.expression, parameter.scope)

    def expression(self, expression: Expression, scope: Scope) -> Any:
        """The value of an expression whose names are looked up in `scope`.

        **Raises** `Undefined`, `Circular`, and the `ArithmeticError` or `ValueError` of the functions.
        """
        if isinstance(expression, Number):
            return expression.value

        def lookup(leaf: Expression) -> Any:
            assert isinstance(leaf, Name), leaf
            binding = scope.find(leaf.name)
            return self._special(leaf) if binding is None else self.binding(binding)

        return evaluate(expression, lookup, self.functions)

    def _special(self, leaf: Name) -> Any:
        if leaf.name == "temper" and "temp" in self.overrides:
            return self.overrides["temp"]
        raise Undefined(f"parameter '{leaf.name}' is not defined.", leaf.at)

    def binding(self, wanted: Binding) -> Any:
        """The value of a binding. Chains are followed with a stack of their own, so their length is not limited."""
        values = self._values
        if id(wanted) in values:
            return values[id(wanted)]
        stack, waiting = [wanted], {id(wanted)}
        while stack:
            binding = stack[-1]
            if binding.path in self.overrides:
                self._keep(binding, self.overrides[binding.path])
            elif id(binding) not in values:
                needed = self._needed(binding)
                if needed is not None:
                    if id(needed) in waiting:
                        raise Circular(stack[next(i for i, b in enumerate(stack) if b is needed) :])
                    stack.append(needed)
                    waiting.add(id(needed))
                    continue
                self._keep(binding, self._evaluate(binding))
            waiting.discard(id(stack.pop()))
        return values[id(wanted)]

    def _keep(self, binding: Binding, value: Any) -> None:
        offset = self.offsets.get(binding.path)
        self._values[id(binding)] = value if offset is None else value + offset
        self._kept.append(binding)

    def _needed(self, binding: Binding) -> Binding | None:
        for leaf in _names(binding.expression):
            other = binding.resolve(leaf.name)
            if other is not None and id(other) not in self._values:
                return other
        return None

    def _evaluate(self, binding: Binding) -> Any:
        expression = binding.expression
        if isinstance(expression, Number):
            return expression.value

        def lookup(leaf: Expression) -> Any:
            assert isinstance(leaf, Name), leaf
            other = binding.resolve(leaf.name)
            if other is None:
                if leaf.name in binding.outer:
                    raise _hidden(binding, leaf)
                return self._special(leaf)
            return self._values[id(other)]

        return evaluate(expression, lookup, self.functions)


def parameter_values(netlist: Netlist) -> dict[str, float]:
    """Every parameter path of a netlist with its value: `temp`, `param.NAME`, parameters of instances, of elements.

    These are the keys that `Evaluator(overrides=…)` takes.
    """
    evaluator = Evaluator(overrides={"temp": float(netlist.temperature), **netlist.changes})
    values = {"temp": float(netlist.temperature)}
    for scope in netlist.scopes.values():
        for name in scope.arguments:
            values[scope.path_of(name)] = float(evaluator.binding(scope.bindings[name]))
    for element in netlist.elements:
        values |= {f"{element.name}.{name}": float(value) for name, value in element.parameters.items()}
    return values


def _hidden(binding: Binding, leaf: Name) -> ExpressionProblem:
    """Why a fellow parameter of the same instance cannot be used, and nothing further out has its name."""
    paths = [[binding.scope.bindings[leaf.name]]]
    seen = {id(paths[0][0])}
    while paths:
        path = paths.pop()
        if path[-1] is binding:
            return Circular([binding, *path[:-1]])
        for name in _names(path[-1].expression):
            other = binding.scope.bindings.get(name.name)
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                paths.append([*path, other])
    return Undefined(f"parameter '{leaf.name}' is not defined yet where '{binding.name}' needs it.", leaf.at)


def describe_failure(error: Exception, at: int, names: list[str]) -> tuple[int, str, str]:
    """Offset, message and hint for whatever an evaluation raised."""
    if isinstance(error, Undefined):
        return error.at, str(error), near(str(error).split("'")[1], names)
    if isinstance(error, ExpressionProblem):
        return error.at, str(error), error.hint
    if isinstance(error, ZeroDivisionError):
        return at, "the expression divides by zero.", "Check the parameters in its denominator."
    if isinstance(error, OverflowError):
        return at, "the expression does not fit a 64-bit number.", "Check its exponents."
    return at, "the expression has no real value (a logarithm, root or power of a negative number).", ""


def finite(value: Any) -> bool:
    """Whether a computed value is a usable number."""
    return not isinstance(value, complex) and math.isfinite(value)
