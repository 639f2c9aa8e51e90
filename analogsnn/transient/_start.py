"""The states at time zero: the operating point with `.ic` held, or those voltages alone (`uic`)."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit, dc_inputs, extended, refuse, structure
from ..errors import InputError
from ..netlist import Netlist, Tran, transient_analysis
from ._operating_point import dc_values, first_guess, held_states, operating_state, solve_point, with_derivative


def initial_state(circuit: Circuit | Netlist, t_stop: float | None = None) -> Any:
    """The state voltages at time zero, `[state]` in V in the order of `circuit.topology.state_names`, as `transient`
    starts from; differentiable, and under `jit` too.

    **Raises** `InputError` for a node without capacitance, `ConvergenceError` where there is no operating point.

    ```python
    y0 = initial_state(circuit)
    ```
    """
    if isinstance(circuit, Netlist):
        circuit = Circuit.from_netlist(circuit)
    tran, stop = transient_analysis(circuit.netlist, t_stop)
    frozen = circuit.frozen()
    if frozen.is_traced:
        x0 = start_in_graph(frozen, tran, stop)
    else:
        check_masses(frozen)
        x0 = jnp.asarray(start_state(frozen, tran, stop))
    return start_with_derivative(circuit, tran, stop, x0) if circuit.is_traced else x0


def start_state(circuit: Circuit, tran: Tran, stop: float) -> np.ndarray:
    """The states at time zero of a circuit whose parameters are numbers, `[state]` in V."""
    netlist = circuit.netlist
    base = dc_values(circuit, at_time_zero=(tran.step, stop))
    held = {node: float(value) for node, value in netlist.ic.items()}
    if tran.uic:
        for element in circuit.topology.capacitors:
            if "ic" in element.parameters:
                message = f"{element.name.upper()} has ic=, which our engine does not read."
                raise refuse(element, message, f"Write .ic v({element.nodes[0]})=… instead.")
        _, target = held_states(circuit, held, base, circuit.values())
        return target
    guess = first_guess(circuit)
    if netlist.nodeset:
        near = {node: float(value) for node, value in netlist.nodeset.items()}
        guess = operating_state(circuit, base, near | held, guess)
    return np.asarray(operating_state(circuit, base, held, guess))


def start_in_graph(circuit: Circuit, tran: Tran, stop: float) -> Any:
    """The same inside a program that JAX compiles or batches; a failure is raised when it runs."""
    values, (base, held) = circuit.values(), _sources(circuit, tran, stop)
    clamped, target = held_states(circuit, held, base, values)
    if tran.uic:
        return jnp.asarray(target)
    guess = first_guess(circuit)
    x0, found, _ = solve_point(circuit.topology, extended(values), values, base, clamped, target, guess)
    return eqx.error_if(x0, ~found, "no operating point was found; run without jit to learn at which node.")


def start_with_derivative(circuit: Circuit, tran: Tran, stop: float, x0: Any) -> Any:
    """The state `x0` at time zero with its derivative by the circuit's parameters."""
    base, held = _sources(circuit, tran, stop)
    if tran.uic:
        return jnp.asarray(held_states(circuit, held, base, circuit.values())[1])
    return with_derivative(circuit, jnp.asarray(x0), base, held)


def _sources(circuit: Circuit, tran: Tran, stop: float) -> tuple[Any, dict[str, Any]]:
    """The sources at time zero, and the voltages of `.ic`."""
    numbers = circuit.numbers()
    base = dc_inputs(circuit.topology, numbers, at_time_zero=(tran.step, stop))
    return base, {node: numbers.value(voltage) for node, voltage in circuit.netlist.ic.items()}


def check_masses(circuit: Circuit) -> None:
    """Refuse nodes without capacitance: their voltage would be no state.

    **Raises** `InputError` that names the node.
    """
    topology = circuit.topology
    parts = structure(topology, circuit.values())
    rows = topology.kcl @ np.asarray(parts.c) @ np.asarray(parts.s)
    for i, node in enumerate(topology.state_names):
        if not rows[i, i] > 0:
            raise InputError(
                f"node '{node}' has no capacitance, so its voltage is not a state. Add a capacitor (a few fF of wiring "
                "is realistic) or use a device model with gate and junction capacitance."
            )
    # Nodes that only capacitors between each other hold share one state too many.
    scale = 1 / np.sqrt(np.diag(rows))
    if len(rows) and np.linalg.cond(scale[:, None] * rows * scale) > 1e13:
        free = np.abs(np.linalg.eigh(scale[:, None] * rows * scale)[1][:, 0]) > 0.1
        names = ", ".join(f"'{name}'" for name, there in zip(topology.state_names, free, strict=True) if there)
        raise InputError(
            f"the nodes {names} have capacitance between each other only, so their common voltage is not a state. Add "
            "a capacitor from one of them to ground."
        )
