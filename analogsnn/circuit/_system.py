"""The circuit as an ordinary differential equation in its states, with the Jacobian.

    M dx/dt = -R (i(v, t) + C P du/dt),    v = S x + P u,    M = R C S

with x the state voltages, u the sources, C the capacitances between nodes, i the currents that leave the nodes (design:
ideal sources are eliminated, so that what remains is stiff but no algebraic equation).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..devices import Coefficients, capacitances, coefficients, conductances, drain_current
from ..netlist import Behavioural, Current, Expression, Name, Voltage, evaluate, walk
from ._functions import JAX_BEHAVIOURAL_FUNCTIONS
from ._topology import Topology, refuse
from ._values import Values


class Currents(NamedTuple):
    """How the currents of a circuit follow from x and u; matrices per unit of current or voltage.

    Rows are the nodes that the currents leave, or sums over them (`projected`).
    """

    fet: Coefficients
    terminals_x: Any  # [3 fet, state]: gate, source, drain against bulk, mirrored for p devices
    terminals_u: Any  # [3 fet, input]
    by_conductance: Any  # [entry, 3 fet]: what conductances add to the entries of the Jacobian in `touching`
    fet_out: Any  # [row, fet]
    linear_x: Any  # [row, state]: resistors and G elements
    linear_u: Any  # [row, input]: the same, and current sources
    formula_out: Any  # [row, behavioural]
    formula_x: Any  # [nodes read + 1, state]: voltages that behavioural currents read
    formula_u: Any
    formula: tuple[dict[str, Any], ...]
    celsius: Any


class System(NamedTuple):
    """M dx/dt = currents + coupling du/dt.

    - `currents`: rows are the currents into the states, A.
    - `coupling [state, input]`: what the sources' slopes push through the capacitances, F.
    - `mass [state, state]`: M, F.
    """

    currents: Currents
    coupling: Any
    mass: Any


class Structure(NamedTuple):
    """v = S x + P u and the capacitances, dense: `s [node, state]`, `p [node, input]`, `c [node, node]`."""

    s: Any
    p: Any
    c: Any


def structure(topology: Topology, values: Values) -> Structure:
    """The matrices S, P and C."""
    n, ground = len(topology.nodes), len(topology.nodes)
    s = np.zeros((n, len(topology.states)))
    s[list(topology.states), range(len(topology.states))] = 1.0
    p = np.zeros((n, len(topology.inputs)))
    bases = np.zeros((n, n))
    gains = []
    for follow in topology.follows:
        if follow.input >= 0:
            p[follow.node, follow.input] = follow.sign
        if follow.base != ground:
            bases[follow.node, follow.base] = 1.0
        if follow.gain >= 0:
            gains.append(follow)
    if not topology.follows:
        s_all, p_all = s, p
    elif not gains:
        s_all, p_all = np.linalg.solve(np.eye(n) - bases, s), np.linalg.solve(np.eye(n) - bases, p)
    else:
        matrix = jnp.asarray(bases)
        for follow in gains:
            for node, sign in zip(follow.controls, (1.0, -1.0), strict=True):
                if node != ground:
                    matrix = matrix.at[follow.node, node].add(sign * values.gain[follow.gain])
        inverse = jnp.linalg.inv(jnp.eye(n) - matrix)
        s_all, p_all = inverse @ s, inverse @ p
    return Structure(s_all, p_all, _capacitance(topology, values))


def check_amplifiers(topology: Topology, values: Values) -> None:
    """Refuse E elements that feed each other with a gain of one: then any voltage solves them.

    **Raises** `NetlistError`.
    """
    if not topology.gains:
        return
    parts = structure(topology, values)
    if not all(np.all(np.isfinite(np.asarray(matrix))) for matrix in (parts.s, parts.p)):
        names = ", ".join(element.name.upper() for element in topology.gains)
        raise refuse(topology.gains[0], f"the voltages of {names} feed each other with a gain of one, so they are not "
                     "determined.", "Change a gain.")  # fmt: skip


def _capacitance(topology: Topology, values: Values) -> Any:
    """Capacitance matrix over all nodes, ground left out: `[node, node]` in F."""
    n = len(topology.nodes)
    at = {"d": 0, "g": 1, "s": 2, "b": 3}
    rows, value = [topology.capacitor_nodes], [jnp.asarray(values.capacitance)]
    if topology.fets:
        for pair, array in capacitances(values.card, values.instance).items():
            rows.append(topology.fet_nodes[:, [at[pair[0]], at[pair[1]]]])
            value.append(jnp.asarray(array))
    a, b = np.concatenate(rows).T
    c = jnp.concatenate(value)
    matrix = jnp.zeros((n + 1, n + 1))
    matrix = matrix.at[a, a].add(c).at[b, b].add(c).at[a, b].add(-c).at[b, a].add(-c)
    return matrix[:n, :n]


def currents(topology: Topology, values: Values, parts: Structure, extended: bool) -> Currents:
    """The currents that leave the nodes: `out` matrices have a row a node."""
    n = len(topology.nodes)

    def pick(nodes: np.ndarray) -> np.ndarray:
        chosen = np.zeros((len(nodes), n + 1))
        chosen[range(len(nodes)), nodes] = 1.0
        return chosen[:, :n]

    d, g, s, b = (pick(column) for column in topology.fet_nodes.T)
    sign = topology.polarity[:, None]
    terminals = np.concatenate([sign * (part - b) for part in (g, s, d)]) if topology.fets else np.zeros((0, n))
    first, second = (pick(column) for column in topology.resistor_nodes.T)
    resistors = (first - second).T @ (jnp.asarray(values.conductance)[:, None] * (first - second))
    plus, minus, high, low = (pick(column) for column in topology.controlled_nodes.T)
    controlled = (plus - minus).T @ (jnp.asarray(values.transconductance)[:, None] * (high - low))
    into, out_of = (pick(column) for column in topology.input_nodes.T)
    pushed = (into - out_of).T * (topology.pushes * jnp.asarray(values.push))
    linear = resistors + controlled
    from_, to = (pick(column) for column in topology.behavioural_nodes.T)
    reads = pick(np.array([topology.nodes.index(name) for name in formula_nodes(topology)], dtype=int))
    return Currents(
        fet=coefficients(values.card, values.instance, values.celsius, extended=extended),
        terminals_x=terminals @ parts.s, terminals_u=terminals @ parts.p, by_conductance=None,
        fet_out=((d - s) * sign).T,
        linear_x=linear @ parts.s, linear_u=linear @ parts.p + pushed,
        formula_out=(from_ - to).T,
        formula_x=reads @ parts.s, formula_u=reads @ parts.p,
        formula=values.formula, celsius=values.celsius,
    )  # fmt: skip


def projected(c: Currents, rows: Any) -> Currents:
    """The same currents with every `out` matrix multiplied from the left."""
    return c._replace(
        fet_out=rows @ c.fet_out, linear_x=rows @ c.linear_x, linear_u=rows @ c.linear_u,
        formula_out=rows @ c.formula_out,
    )  # fmt: skip


def system(topology: Topology, values: Values, extended: bool) -> System:
    """The differential equation."""
    parts = structure(topology, values)
    rows = topology.kcl
    into = projected(currents(topology, values, parts, extended), -rows)
    row, column = np.nonzero(topology.touching)
    into = into._replace(by_conductance=jnp.tile(into.fet_out[row], 3) * into.terminals_x.T[column])
    return System(into, -rows @ parts.c @ parts.p, rows @ parts.c @ parts.s)


def formula_nodes(topology: Topology) -> list[str]:
    """The nodes that behavioural currents read, each once."""
    found: dict[str, None] = {}
    for element in topology.behavioural:
        for node in expression_nodes(element.expression):
            found[node] = None
    return list(found)


def expression_nodes(expression: Expression) -> list[str]:
    """The nodes in an expression, ground left out."""
    probes = [part for part in walk(expression) if isinstance(part, Voltage)]
    return [node for probe in probes for node in (probe.plus, probe.minus) if node != "0"]


def formula_value(
    element: Behavioural,
    voltages: Mapping[str, Any],
    names: Mapping[str, Any],
    time: Any,
    celsius: Any,
    currents: Mapping[str, Any] | None = None,
) -> Any:
    """The value of a B-source (V or A) from node voltages, the values of its names, and currents of voltage sources."""

    def lookup(leaf: Expression) -> Any:
        if isinstance(leaf, Current):
            return (currents or {})[leaf.source]
        if isinstance(leaf, Voltage):
            return voltages.get(leaf.plus, 0.0) - voltages.get(leaf.minus, 0.0)
        assert isinstance(leaf, Name)
        if leaf.name in names:
            return names[leaf.name]
        return time if leaf.name == "time" else celsius

    return evaluate(element.expression, lookup, JAX_BEHAVIOURAL_FUNCTIONS) * names.get("m=", 1.0)


def total_current(topology: Topology, c: Currents, x: Any, u: Any, t: Any) -> Any:
    """The currents, `[row]` in A."""
    total = c.linear_x @ x + c.linear_u @ u
    if topology.fets:
        total = total + c.fet_out @ drain_current(c.fet, *_terminals(c, x, u))
    if topology.behavioural:
        total = total + c.formula_out @ _formulas(topology, c, c.formula_x @ x + c.formula_u @ u, t)
    return total


def linearised_current(topology: Topology, c: Currents, x: Any, u: Any, du: Any, t: Any) -> tuple[Any, Any, Any]:
    """The currents `[row]`, their derivative by x `[row, state]`, and that by time at slope du of u `[row]`."""
    total = c.linear_x @ x + c.linear_u @ u
    by_x, by_t = c.linear_x, c.linear_u @ du
    if topology.fets:
        i, *g = conductances(c.fet, *_terminals(c, x, u))
        total = total + c.fet_out @ i
        weights, count = jnp.concatenate(g), len(topology.fets)
        if c.by_conductance is not None:
            place = np.full(topology.touching.shape, c.by_conductance.shape[0])
            place[topology.touching] = range(c.by_conductance.shape[0])
            by_x = by_x + jnp.append(c.by_conductance @ weights, 0.0)[place]
        else:
            per_fet = weights[:, None] * c.terminals_x
            by_x = by_x + c.fet_out @ (per_fet[:count] + per_fet[count : 2 * count] + per_fet[2 * count :])
        moved = weights * (c.terminals_u @ du)
        by_t = by_t + c.fet_out @ (moved[:count] + moved[count : 2 * count] + moved[2 * count :])
    if topology.behavioural:
        read, moving = c.formula_x @ x + c.formula_u @ u, c.formula_u @ du
        total = total + c.formula_out @ _formulas(topology, c, read, t)
        slopes = jax.jacfwd(lambda r: _formulas(topology, c, r, t))(read)
        in_time = jax.jvp(lambda s: _formulas(topology, c, read, s), (jnp.asarray(t, dtype=float),), (jnp.ones(()),))[1]
        by_x = by_x + c.formula_out @ slopes @ c.formula_x
        by_t = by_t + c.formula_out @ (slopes @ moving + in_time)
    return total, by_x, by_t


def _terminals(c: Currents, x: Any, u: Any) -> tuple[Any, Any, Any]:
    v = c.terminals_x @ x + c.terminals_u @ u
    third = v.shape[0] // 3
    return v[:third], v[third : 2 * third], v[2 * third :]


def _formulas(topology: Topology, c: Currents, read: Any, t: Any) -> Any:
    voltages = dict(zip(formula_nodes(topology), read, strict=True))
    return jnp.stack(
        [
            jnp.asarray(formula_value(element, voltages, names, t, c.celsius), dtype=float)
            for element, names in zip(topology.behavioural, c.formula, strict=False)
        ]
    )
