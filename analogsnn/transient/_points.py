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
    extended,
    formula_value,
    input_values,
    is_traced,
    structure,
    structure_without_gains,
    system,
    total_current,
)
from ..circuit import segment as input_segment
from ..errors import SimulationError
from ..netlist import Behavioural, Controlled, Name, walk
from ..waveforms import Waveforms
from ._plan import Kept

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
        u, du, _ = at_time(topology, input_segment(inputs, segment), t, values.formula, values.celsius)
        rate = inverse @ (total_current(topology, equation.currents, x, u, t) + equation.coupling @ du)
        leaving = total_current(topology, c, x, u, t) + parts.c @ (parts.s @ rate + parts.p @ du)
        return parts.s @ x + parts.p @ u, share @ leaving

    if moving:
        return jax.vmap(lambda s, t, x: one(s, t, x, None))(segment, t, x)
    return jax.vmap(one)(segment, t, x, inputs)


def waveforms(
    circuit: Circuit, t: np.ndarray, x: np.ndarray, *, segment: np.ndarray | None = None, inputs: Any = None,
    variable: str = "time", **numbers: Any,
) -> Waveforms:  # fmt: skip
    """Waveforms from states `x [point, state]` at times `t [point]`.

    With `segment [point]` the inputs are a table (`Inputs`) and states move; without, `inputs [point, input]` are
    values at rest. `numbers`: further fields of the waveforms.
    """
    topology, values = circuit.topology, circuit.values()
    moving = segment is not None
    count = len(t)
    voltages, flows = [], []
    place = np.zeros(count, dtype=int) if segment is None else segment
    if moving:
        assert isinstance(inputs, Inputs)
        inputs = Inputs(*(jax.tree.map(jnp.asarray, field) for field in inputs))
    library = jnp if is_traced(x) or is_traced(t) or circuit.is_traced else np
    length = PIECE if _is_known(t) else count
    each = [inputs] * -(-count // length) if moving else _pieces(inputs, length)
    for given, at, when, where in zip(each, *(_pieces(a, length) for a in (place, t, x)), strict=True):
        v, i = _piece(topology, extended(values), moving, values, given, at, when, where)
        voltages.append(library.asarray(v))
        flows.append(library.asarray(i))
    v, i = library.concatenate(voltages)[:count].T, library.concatenate(flows)[:count].T
    shown = {node: v[k] for k, node in enumerate(topology.nodes)}
    through = {element.name: i[k] for k, element in enumerate(topology.branches)}
    for element, value in _observed(circuit, shown, through, t):
        if not is_traced(value) and not np.all(np.isfinite(value)):
            bad = np.flatnonzero(~np.isfinite(value))
            at = f"at {variable} = {t[bad[0]]:.6g}" if variable != "op" else "at the operating point"
            raise SimulationError(
                f"{element.name.upper()} has no finite value {at}, so node '{element.nodes[0]}' has none: look for a "
                "root, logarithm or quotient outside its range."
            )
        shown[element.nodes[0]] = value
    return Waveforms(
        time=t, voltages=_rows(library, shown, count), nodes=tuple(shown), currents=_rows(library, through, count),
        branches=tuple(through), supply=circuit.netlist.supply, variable=variable, **numbers,
    )  # fmt: skip


def _pieces(array: Any, length: int) -> list[Any]:
    """Pieces of `length`, the last filled up with its last; cut rather than indexed, so that derivatives in reverse
    mode are joined, where those of every index would be as long as the array."""
    library = array.__array_namespace__()
    pieces = library.split(array, list(range(length, len(array), length)))
    short = len(pieces[-1])
    if short < length:
        pieces[-1] = pieces[-1][np.minimum(np.arange(length), short - 1)]
    return pieces


def node_waveforms(
    circuit: Circuit, keep: Kept, t: Any, x: Any, segment: Any, inputs: Inputs, **numbers: Any
) -> Waveforms:
    """Waveforms of the kept nodes alone, from the kept states `x [point, kept state]`."""
    topology = circuit.topology
    assert keep.nodes is not None
    rows = [topology.nodes.index(node) for node in keep.nodes]
    s, p = structure(topology, circuit.values())[:2] if topology.gains else structure_without_gains(topology)
    voltages = x @ s[rows][:, list(keep.states)].T
    p = p[rows]
    if is_traced(p) or np.any(np.asarray(p)):
        values = circuit.values()
        given = jax.tree.map(jnp.asarray, inputs)

        def one(k: Any, when: Any) -> Any:
            return at_time(topology, input_segment(given, k), when, values.formula, values.celsius)[0]

        voltages = voltages + jax.vmap(one)(segment, t) @ p.T
    return Waveforms(
        time=t, voltages=voltages.T, nodes=keep.nodes, currents=np.zeros((0, len(t))), branches=(),
        supply=circuit.netlist.supply, **numbers,
    )  # fmt: skip


def _is_known(t: Any) -> bool:
    """Whether a program runs as it is written, and not under jit or vmap."""
    try:
        float(t[0])
    except TypeError:  # JAX's ConcretizationTypeError is one
        return False
    return True


def _rows(library: Any, rows: dict[str, Any], count: int) -> Any:
    return library.stack(list(rows.values())) if rows else library.zeros((0, count))


def _observed(circuit: Circuit, shown: dict[str, Any], through: dict[str, Any], t: np.ndarray) -> Any:
    """Values of the elements that only look at the circuit; `shown` grows with them."""
    numbers = circuit.numbers()
    for element in circuit.topology.observed:
        if isinstance(element, Controlled):
            yield element, numbers.parameter(element, "gain") * through[element.controls[0]]
            continue
        names = {n: numbers.expression(leaf, element.scope) for n, leaf in _names(element).items()}
        value = formula_value(element, shown, names, t, circuit["temp"], through)
        yield element, jnp.broadcast_to(value, t.shape)


def _names(element: Behavioural) -> dict[str, Any]:
    found = {part.name: part for part in walk(element.expression) if isinstance(part, Name)}
    return {n: p for n, p in found.items() if n not in ("time", "temper") or element.scope.find(n) is not None}
