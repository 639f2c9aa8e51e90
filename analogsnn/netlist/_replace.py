"""The same circuit with other numbers, as if the deck had said them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ._evaluate import Evaluator, parameter_values
from ._expressions import Number
from ._names import near
from ._netlist import Element, Netlist, Parameter


def replace_values(netlist: Netlist, values: Mapping[str, float]) -> Netlist:
    """The netlist with other values, by parameter path; what follows from them by an expression follows.

    **Raises** `KeyError` with near names for a path that does not exist.
    """
    known = parameter_values(netlist)
    for path in values:
        if path not in known:
            raise KeyError(f"no parameter '{path}'. {near(path, known)}".strip())
    changes = {**netlist.changes, **{path: float(value) for path, value in values.items()}}
    celsius = netlist.temperature
    if "temp" in changes:
        celsius = Parameter(changes["temp"], Number(changes["temp"]), celsius.scope, celsius.location)
    evaluator = Evaluator(overrides={"temp": float(celsius), **changes})

    def again(parameter: Parameter) -> Parameter:
        return Parameter(evaluator.value(parameter), parameter.expression, parameter.scope, parameter.location)

    def element(old: Element) -> Element:
        new = {}
        for name, parameter in old.parameters.items():
            path = f"{old.name}.{name}"
            if path in changes:
                new[name] = Parameter(changes[path], Number(changes[path]), parameter.scope, parameter.location)
            else:
                new[name] = again(parameter)
        return dataclasses.replace(old, parameters=new)

    models = {
        name: dataclasses.replace(
            model,
            parameters={k: again(v) if isinstance(v, Parameter) else v for k, v in model.parameters.items()},
        )
        for name, model in netlist.models.items()
    }
    ic, nodeset, params = (
        {name: again(value) for name, value in part.items()} for part in (netlist.ic, netlist.nodeset, netlist.params)
    )
    return dataclasses.replace(
        netlist, elements=tuple(map(element, netlist.elements)), models=models, ic=ic, nodeset=nodeset, params=params,
        temperature=celsius, changes=changes,
    )  # fmt: skip
