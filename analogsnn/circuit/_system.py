"""The circuit as an ordinary differential equation in its states, with the Jacobian.

    M dx/dt = -R (i(v, t) + C P du/dt),    v = S x + P u,    M = R C S

with x the state voltages, u the sources, C the capacitances between nodes, i the currents that leave the nodes (design:
ideal sources are eliminated, so that what remains is stiff but no algebraic equation).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..devices import Coefficients, capacitances, coefficients, conductances, drain_current
from ..netlist import Behavioural, Current, Expression, Name, Voltage, evaluate, walk
from ._functions import JAX_BEHAVIOURAL_FUNCTIONS
from ._rows import Entries, Rows
from ._topology import Topology, refuse
from ._values import Values, is_traced


class Wiring(NamedTuple):
    """What hangs where, as matrices: the same for every value of the parameters (but for the gains of E elements).

    Rows are the nodes that currents leave, or sums over them (`projected`).
    """

    terminals_x: Any  # [3 fet, state]: gate, source, drain against bulk, mirrored for p devices
    terminals_u: Any  # [3 fet, input]
    fet_out: Any  # [row, fet]
    formula_out: Any  # [row, behavioural]
    formula_x: Any  # [nodes read, state]: voltages that behavioural currents read
    formula_u: Any  # [nodes read, input]
    # [entry, 3 fet]: what each conductance adds to the entries of the Jacobian that can differ from zero
    by_conductance: Any = None


# The wiring of transistors: what `Rows` are made of.
ROWS = ("terminals_x", "terminals_u", "fet_out", "by_conductance")


class Currents(NamedTuple):
    """How the currents of a circuit follow from x and u."""

    wiring: Wiring
    fet: Coefficients
    linear_x: Any  # [row, state], S: resistors and G elements
    linear_u: Any  # [row, input], S: the same, and current sources
    formula: tuple[dict[str, Any], ...]
    celsius: Any


class System(NamedTuple):
    """M dx/dt = currents + coupling du/dt.

    - `currents`: rows are the currents into the states, A.
    - `coupling [state, input]`: what the sources' slopes push through the capacitances, F.
    - `mass [state, state]`: M, F, and its inverse.
    """

    currents: Currents
    coupling: Any
    mass: Any
    inverse_mass: Any


class Structure(NamedTuple):
    """v = S x + P u and the capacitances, dense: `s [node, state]`, `p [node, input]`, `c [node, node]`."""

    s: Any
    p: Any
    c: Any


def structure(topology: Topology, values: Values) -> Structure:
    """The matrices S, P and C."""
    s, p = structure_without_gains(topology) if not topology.gains else _with_gains(topology, values.gain)
    return Structure(s, p, _capacitance(topology, values))


def structure_without_gains(topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    """S and P of a circuit without E elements: plain numbers, since nothing moves them."""
    return _solved(topology, _bases(topology))


def _with_gains(topology: Topology, gain: Any) -> tuple[Any, Any]:
    matrix = jnp.asarray(_bases(topology)) if is_traced(gain) else _bases(topology)
    for follow in topology.follows:
        for node, sign in zip(follow.controls, (1.0, -1.0), strict=True):
            if follow.gain >= 0 and node != len(topology.nodes):
                matrix = _added(matrix, follow.node, node, sign * gain[follow.gain])
    return _solved(topology, matrix)


def _added(matrix: Any, row: int, column: int, value: Any) -> Any:
    if not isinstance(matrix, np.ndarray):
        return matrix.at[row, column].add(value)
    matrix[row, column] += float(value)
    return matrix


def _bases(topology: Topology) -> np.ndarray:
    """Which node each eliminated one follows, `[node, node]`."""
    n = len(topology.nodes)
    matrix = np.zeros((n, n))
    for follow in topology.follows:
        if follow.base != n:
            matrix[follow.node, follow.base] = 1.0
    return matrix


def _solved(topology: Topology, matrix: Any) -> tuple[Any, Any]:
    n = len(topology.nodes)
    s, p = np.zeros((n, len(topology.states))), np.zeros((n, len(topology.inputs)))
    s[list(topology.states), range(len(topology.states))] = 1.0
    for follow in topology.follows:
        if follow.input >= 0:
            p[follow.node, follow.input] = follow.sign
    if not topology.follows:
        return s, p
    try:
        inverse = _library(matrix).linalg.inv(np.eye(n) - matrix)
    except np.linalg.LinAlgError:
        inverse = np.full((n, n), np.nan)  # `check_amplifiers` says what that means
    return inverse @ s, inverse @ p


def sparse(topology: Topology, parts: System) -> System:
    """The equations of many lanes, matrices `[row, column, lane]`, as `Entries`, and their wiring as `Rows`.

    Where E elements have a say in the wiring it stays an array, and all entries for the sources are kept.
    """
    n, kcl = len(topology.nodes), np.abs(topology.kcl)
    meet = np.zeros((n + 1, n + 1))
    for nodes in (topology.fet_nodes, topology.capacitor_nodes, topology.resistor_nodes, topology.controlled_nodes):
        for some in nodes:
            meet[np.ix_(some, some)] = 1.0
    pushing = np.zeros((n + 1, len(topology.inputs)))
    for k, some in enumerate(topology.input_nodes):
        pushing[some, k] = 1.0
    follow = np.ones((n, len(topology.inputs))) if topology.gains else np.abs(structure_without_gains(topology)[1])
    sources = kcl @ (meet[:n, :n] @ follow + pushing[:n]) > 0
    currents = parts.currents._replace(
        wiring=rows_of_wiring(topology) or parts.currents.wiring,
        linear_x=Entries.of(topology.touching, parts.currents.linear_x),
        linear_u=Entries.of(sources, parts.currents.linear_u),
    )  # fmt: skip
    return System(
        currents, Entries.of(sources, parts.coupling), Entries.of(topology.touching, parts.mass), parts.inverse_mass
    )


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
    rows, value = [topology.capacitor_nodes], [values.capacitance]
    if topology.fets:
        for pair, array in capacitances(values.card, values.instance).items():
            rows.append(topology.fet_nodes[:, [at[pair[0]], at[pair[1]]]])
            value.append(array)
    a, b = np.concatenate(rows).T
    if all(isinstance(array, np.ndarray) for array in value):
        known, plain = np.concatenate(value), np.zeros((n + 1, n + 1))
        for row, column, sign in ((a, a, 1.0), (b, b, 1.0), (a, b, -1.0), (b, a, -1.0)):
            np.add.at(plain, (row, column), sign * known)
        return plain[:n, :n]
    c = jnp.concatenate([jnp.asarray(array) for array in value])
    matrix = jnp.zeros((n + 1, n + 1))
    matrix = matrix.at[a, a].add(c).at[b, b].add(c).at[a, b].add(-c).at[b, a].add(-c)
    return matrix[:n, :n]


def currents(topology: Topology, values: Values, parts: Structure, extended: bool) -> Currents:
    """The currents that leave the nodes: `out` matrices have a row a node."""
    first, second = (_picked(topology, column) for column in topology.resistor_nodes.T)
    resistors = (first - second).T @ (jnp.asarray(values.conductance)[:, None] * (first - second))
    plus, minus, high, low = (_picked(topology, column) for column in topology.controlled_nodes.T)
    controlled = (plus - minus).T @ (jnp.asarray(values.transconductance)[:, None] * (high - low))
    into, out_of = (_picked(topology, column) for column in topology.input_nodes.T)
    pushed = (into - out_of).T * (topology.pushes * jnp.asarray(values.push))
    linear = resistors + controlled
    return Currents(
        wiring=_wiring(topology, parts.s, parts.p),
        fet=coefficients(values.card, values.instance, values.celsius, extended=extended),
        linear_x=linear @ parts.s, linear_u=linear @ parts.p + pushed, formula=values.formula, celsius=values.celsius,
    )  # fmt: skip


def _picked(topology: Topology, nodes: np.ndarray) -> np.ndarray:
    """What picks some nodes out of all: `[place, node]`, zeros for ground."""
    n = len(topology.nodes)
    chosen = np.zeros((len(nodes), n + 1))
    chosen[range(len(nodes)), nodes] = 1.0
    return chosen[:, :n]


def _wiring(topology: Topology, s: Any, p: Any) -> Wiring:
    """The wiring with a row for each node."""
    drain, gate, source, bulk = (_picked(topology, column) for column in topology.fet_nodes.T)
    sign = topology.polarity[:, None]
    parts = [sign * (part - bulk) for part in (gate, source, drain)]
    terminals = np.concatenate(parts) if topology.fets else np.zeros((0, len(topology.nodes)))
    from_, to = (_picked(topology, column) for column in topology.behavioural_nodes.T)
    reads = _picked(topology, np.array([topology.nodes.index(name) for name in formula_nodes(topology)], dtype=int))
    return Wiring(
        terminals_x=terminals @ s, terminals_u=terminals @ p, fet_out=((drain - source) * sign).T,
        formula_out=(from_ - to).T, formula_x=reads @ s, formula_u=reads @ p,
    )  # fmt: skip


def _with_entries(topology: Topology, wiring: Wiring) -> Wiring:
    """The wiring into the states, with what conductances add to the entries of the Jacobian."""
    row, column = np.nonzero(topology.touching)
    entries = _library(wiring.terminals_x).tile(wiring.fet_out[row], 3) * wiring.terminals_x.T[column]
    return wiring._replace(by_conductance=entries)


@lru_cache(maxsize=64)
def rows_of_wiring(topology: Topology) -> Wiring | None:
    """The wiring into the states as `Rows`, to multiply lanes with; None where E elements have a say in it."""
    if topology.gains:
        return None
    wiring = _projected(_wiring(topology, *structure_without_gains(topology)), -topology.kcl)
    wiring = _with_entries(topology, wiring)
    return wiring._replace(**{name: Rows(getattr(wiring, name)) for name in ROWS})


def projected(c: Currents, rows: Any) -> Currents:
    """The same currents with every matrix of rows multiplied from the left."""
    return c._replace(
        wiring=_projected(c.wiring, rows), linear_x=rows @ c.linear_x, linear_u=rows @ c.linear_u
    )  # fmt: skip


def _projected(wiring: Wiring, rows: Any) -> Wiring:
    return wiring._replace(fet_out=rows @ wiring.fet_out, formula_out=rows @ wiring.formula_out)


def system(topology: Topology, values: Values, extended: bool) -> System:
    """The differential equation."""
    parts = structure(topology, values)
    rows = topology.kcl
    into = projected(currents(topology, values, parts, extended), -rows)
    into = into._replace(wiring=_with_entries(topology, into.wiring))
    mass = rows @ parts.c @ parts.s
    return System(into, -rows @ parts.c @ parts.p, mass, jnp.linalg.inv(mass))


def _library(array: Any) -> Any:
    """NumPy for what is known before a run, else JAX."""
    return np if isinstance(array, np.ndarray) else jnp


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
    """The currents, `[row]` in A. All arguments may have a trailing axis of lanes."""
    total = c.linear_u @ u
    if topology.resistors or topology.controlled:
        total = total + c.linear_x @ x
    if topology.fets:
        total = total + c.wiring.fet_out @ drain_current(c.fet, *_terminals(c, x, u))
    if topology.behavioural:
        total = total + c.wiring.formula_out @ _formulas(
            topology, c, c.wiring.formula_x @ x + c.wiring.formula_u @ u, t
        )
    return total


class Linearised(NamedTuple):
    """The currents near a point."""

    total: Any  # [row]
    by_x: Any  # [row, state]
    by_t: Any  # [row]: along time, the sources moving
    conductances: Any  # [3 fet]: of the transistors, by gate, source and drain


def linearised_current(topology: Topology, c: Currents, x: Any, u: Any, du: Any, t: Any) -> Linearised:
    """The currents and their derivatives, where u moves with slope du.

    All arguments may have a trailing axis of lanes.
    """
    total, by_x, weights = c.linear_u @ u, c.linear_x, jnp.zeros((0, *jnp.shape(x)[1:]))
    if topology.resistors or topology.controlled:
        total = total + c.linear_x @ x
    if topology.fets:
        i, *g = conductances(c.fet, *_terminals(c, x, u))
        total, weights = total + c.wiring.fet_out @ i, jnp.concatenate(g)
        by_x = _with_conductances(topology, c, by_x, weights)
    by_t = by_sources(topology, c, x, u, du, t, weights)
    if topology.behavioural:
        read = c.wiring.formula_x @ x + c.wiring.formula_u @ u
        total = total + c.wiring.formula_out @ _formulas(topology, c, read, t)
        t = jnp.asarray(t, dtype=float)
        for k, row in enumerate(c.wiring.formula_x):
            one = jnp.zeros_like(read).at[k].set(1.0)
            slope = c.wiring.formula_out @ jax.jvp(lambda r: _formulas(topology, c, r, t), (read,), (one,))[1]
            by_x = by_x + _outer(by_x, slope, row)
        in_time = jax.jvp(lambda s: _formulas(topology, c, read, s), (t,), (jnp.ones_like(t),))[1]
        by_t = by_t + c.wiring.formula_out @ in_time
    return Linearised(total, by_x, by_t, weights)


def by_sources(topology: Topology, c: Currents, x: Any, u: Any, du: Any, t: Any, weights: Any) -> Any:
    """The derivative of the currents `[row]` along a change du of the sources; linear in it. `weights` are the
    conductances there."""
    moved = c.linear_u @ du
    if topology.fets:
        count, pushed = len(topology.fets), weights * (c.wiring.terminals_u @ du)
        moved = moved + c.wiring.fet_out @ (pushed[:count] + pushed[count : 2 * count] + pushed[2 * count :])
    if topology.behavioural:
        read, moving = c.wiring.formula_x @ x + c.wiring.formula_u @ u, c.wiring.formula_u @ du
        moved = moved + c.wiring.formula_out @ jax.jvp(lambda r: _formulas(topology, c, r, t), (read,), (moving,))[1]
    return moved


def _with_conductances(topology: Topology, c: Currents, by_x: Any, weights: Any) -> Any:
    """The derivative by x with that of the transistors, whose conductances are `weights [3 fet]`."""
    if c.wiring.by_conductance is None:
        per_fet, count = weights[:, None] * c.wiring.terminals_x, len(topology.fets)
        return by_x + c.wiring.fet_out @ (per_fet[:count] + per_fet[count : 2 * count] + per_fet[2 * count :])
    entries = c.wiring.by_conductance @ weights
    if isinstance(by_x, Entries):
        return Entries(by_x.pattern, by_x.values + entries)
    place = np.full(topology.touching.shape, len(entries))
    place[topology.touching] = range(len(entries))
    return by_x + jnp.append(entries, 0.0)[place]


def _outer(by_x: Any, column: Any, row: Any) -> Any:
    """The product of a column and a row, as `by_x` is kept."""
    if not isinstance(by_x, Entries):
        return column[:, None] * row
    return Entries(by_x.pattern, column[by_x.pattern.row] * row[by_x.pattern.column][:, None])


def _terminals(c: Currents, x: Any, u: Any) -> tuple[Any, Any, Any]:
    v = c.wiring.terminals_x @ x + c.wiring.terminals_u @ u
    third = v.shape[0] // 3
    return v[:third], v[third : 2 * third], v[2 * third :]


def _formulas(topology: Topology, c: Currents, read: Any, t: Any) -> Any:
    voltages = dict(zip(formula_nodes(topology), read, strict=True))
    return jnp.stack(
        [
            jnp.broadcast_to(formula_value(element, voltages, names, t, c.celsius), jnp.shape(t)).astype(float)
            for element, names in zip(topology.behavioural, c.formula, strict=False)
        ]
    )
