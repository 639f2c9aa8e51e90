"""From states to what a designer looks at: all node voltages and the currents through the sources."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import (
    Circuit,
    Inputs,
    Topology,
    Values,
    at_time,
    currents,
    expression_nodes,
    extended,
    formula_value,
    input_values,
    structure,
    system,
    total_current,
)
from ..netlist import Behavioural, Controlled, Name, walk
from ..waveforms import Waveforms

# Points are worked on in pieces of this size, so that one compiled program serves every length.
PIECE = 2048


@partial(jax.jit, static_argnames=("topology", "with_extension", "moving"))
def _piece(
    topology: Topology, with_extension: bool, moving: bool, values: Values, inputs: Any, segment: Any, t: Any, x: Any
) -> tuple[Any, Any]:
    """Voltages `[point, node]` and branch currents `[point, branch]` at states `x [point, state]`.

    `moving`: states change and sources have slopes; otherwise `inputs [point, input]` are values at rest.
    """
    parts = structure(topology, values)
    c = currents(topology, values, parts, with_extension)
    ground = len(topology.nodes)
    ties = np.zeros((ground + 1, len(topology.branches)))
    for k, (a, b) in enumerate(topology.branch_nodes):
        ties[a, k] += 1.0
        ties[b, k] -= 1.0
    share = -np.linalg.pinv(ties[:ground])
    equation = system(topology, values, with_extension) if moving else None
    inverse = None if equation is None else jnp.linalg.inv(equation.mass)

    def one(segment: Any, t: Any, x: Any, base: Any) -> tuple[Any, Any]:
        if equation is None:
            u = input_values(topology, base, values.formula, t, values.celsius)
            return parts.s @ x + parts.p @ u, share @ total_current(topology, c, x, u, t)
        u, du, _ = at_time(topology, inputs, segment, t, values.formula, values.celsius)
        rate = inverse @ (total_current(topology, equation.currents, x, u, t) + equation.coupling @ du)
        leaving = total_current(topology, c, x, u, t) + parts.c @ (parts.s @ rate + parts.p @ du)
        return parts.s @ x + parts.p @ u, share @ leaving

    if moving:
        return jax.vmap(lambda s, t, x: one(s, t, x, None))(segment, t, x)
    return jax.vmap(one)(segment, t, x, inputs)


def waveforms(
    circuit: Circuit, t: np.ndarray, x: np.ndarray, *, segment: np.ndarray | None = None, inputs: Any = None,
    variable: str = "time", steps: int | None = None, rejected: int | None = None,
) -> Waveforms:  # fmt: skip
    """Waveforms from states `x [point, state]` at times `t [point]`.

    With `segment [point]` the inputs are a table (`Inputs`) and states move; without, `inputs [point, input]` are
    values at rest.
    """
    topology, values = circuit.topology, circuit.values()
    moving = segment is not None
    count = len(t)
    voltages, flows = [], []
    place = np.zeros(count, dtype=int) if segment is None else segment
    if moving:
        assert isinstance(inputs, Inputs)
        inputs = Inputs(*(jax.tree.map(jnp.asarray, field) for field in inputs))
    for begin in range(0, count, PIECE):
        index = np.minimum(np.arange(begin, begin + PIECE), count - 1)
        given = inputs if moving else np.asarray(inputs)[index]
        v, i = _piece(topology, extended(values), moving, values, given, place[index], t[index], x[index])
        voltages.append(np.asarray(v)[: count - begin])
        flows.append(np.asarray(i)[: count - begin])
    v, i = np.concatenate(voltages).T, np.concatenate(flows).T
    shown = {node: v[k] for k, node in enumerate(topology.nodes)}
    through = {element.name: i[k] for k, element in enumerate(topology.branches)}
    for element, value in _observed(circuit, shown, through, t):
        shown[element.nodes[0]] = value
    return Waveforms(
        time=t, voltages=np.array(list(shown.values())).reshape(-1, count), nodes=tuple(shown),
        currents=np.array(list(through.values())).reshape(-1, count), branches=tuple(through),
        supply=circuit.netlist.supply, variable=variable, steps=steps, rejected=rejected,
    )  # fmt: skip


def _observed(circuit: Circuit, shown: dict[str, Any], through: dict[str, Any], t: np.ndarray) -> Any:
    """Values of the elements that only look at the circuit, each after those that it reads."""
    numbers = circuit.numbers()
    waiting = list(circuit.topology.observed)
    while waiting:
        ready = [e for e in waiting if all(n in shown or n == "0" for n in _reads(e))]
        if not ready:
            raise AssertionError("elements that look at each other in a circle")  # the topology refuses them
        for element in ready:
            waiting.remove(element)
            if isinstance(element, Controlled):
                yield element, numbers.parameter(element, "gain") * through[element.controls[0]]
                continue
            names = {n: numbers.expression(leaf, element.scope) for n, leaf in _names(element).items()}
            value = formula_value(element, shown, names, t, float(circuit["temp"]), through)
            yield element, np.broadcast_to(np.asarray(value), t.shape)


def _reads(element: Behavioural | Controlled) -> list[str]:
    return expression_nodes(element.expression) if isinstance(element, Behavioural) else []


def _names(element: Behavioural) -> dict[str, Any]:
    found = {part.name: part for part in walk(element.expression) if isinstance(part, Name)}
    return {n: p for n, p in found.items() if n not in ("time", "temper") or element.scope.find(n) is not None}
