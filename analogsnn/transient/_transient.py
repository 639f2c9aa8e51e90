"""Circuit → waveforms over time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit, Inputs, build_inputs, extended, moving_formulas, refuse, structure
from ..errors import ConvergenceError, InputError
from ..netlist import Netlist, Tran
from ..units import format_quantity
from ..waveforms import Waveforms
from ._derivative import plain_waveforms, run_in_graph, waveforms_with_derivatives
from ._loop import BUDGET, DONE, SHRUNK, Control, State, advance, equation, start
from ._operating_point import FIRST_STEP, dc_values, first_guess, held_states, operating_state
from ._plan import Plan, Run, choose_points, kept_states
from ._tableaus import RODAS4, RODAS5P, Tableau

# Method and relative tolerance by name.
ACCURACY: Mapping[str, tuple[Tableau, float]] = {"reference": (RODAS5P, 1e-6), "fast": (RODAS4, 1e-4)}
# Absolute tolerance (V) as a share of the relative one: node voltages are logarithmic in current, so that an error of
# 0.1 mV is 0.3 % of a current wherever the node stands.
ABSOLUTE_SHARE = 0.1
CAPACITY = 4096  # steps a call of the compiled loop keeps


def transient(
    circuit: Circuit | Netlist,
    t_stop: float | None = None,
    *,
    accuracy: str = "reference",
    rtol: float | None = None,
    save_at: Any = None,
    save: Sequence[str] | None = None,
    max_steps: int = 5_000_000,
    timeout: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Waveforms:
    """Solve a circuit over time, as the deck's `.tran` says.

    It starts from the operating point with the nodes in `.ic` held at their voltages; with `uic` from those voltages,
    all other nodes at zero. Corners of the sources' waveforms are step boundaries.

    **Arguments**

    - `circuit`: or a netlist, of which a circuit is made.
    - `t_stop`: end in s; by default that of the `.tran`, which also gives print step (rise times that are zero),
      start of output and largest step.
    - `accuracy`: `"reference"` is Rodas5P at a relative tolerance of 1e-6, `"fast"` is Rodas4 at 1e-4. `rtol`: another
      tolerance for the same method.
    - `save_at`: times in s `[n]`, ascending, at which to give the waveforms; by default the solver's steps and as many
      points between them as straight lines need.
    - `save`: nodes to keep; by default all, and the currents of voltage sources. Long runs that are differentiated fit
      into memory when only what is looked at is kept.
    - `max_steps`, `timeout`: a run that needs more steps, or more seconds by the clock, stops with an error.
    - `progress`: called with the time reached (s).

    **Returns** `Waveforms` of all nodes and of the currents of voltage sources.

    **Raises** `InputError` for arguments that cannot be, `ConvergenceError` with time, node and the waveforms so far
    when a step shrinks to nothing or the steps run out.

    ```python
    circuit = Circuit.from_netlist(read_netlist("spice/dpi_synapse.cir"))
    waves = transient(circuit)
    waves.current("vo").max()  # 845e-12
    ```
    """
    if isinstance(circuit, Netlist):
        circuit = Circuit.from_netlist(circuit)
    tran, stop = _analysis(circuit.netlist, t_stop)
    if accuracy not in ACCURACY:
        raise InputError(f"the accuracy is '{accuracy}'; choose {' or '.join(sorted(ACCURACY))}.")
    tableau, tolerance = ACCURACY[accuracy]
    tolerance = tolerance if rtol is None else rtol
    if not 0 < tolerance < 1:
        raise InputError(f"the relative tolerance is {tolerance:g}; it must lie between 0 and 1, such as 1e-4.")
    frozen = circuit.frozen()
    plan = Plan(
        tableau, tran, stop, Control(tolerance, ABSOLUTE_SHARE * tolerance, _longest_step(frozen, tran, stop)),
        None if save_at is None else _grid(save_at, stop), kept_states(circuit.topology, save), max_steps,
    )  # fmt: skip
    if frozen.is_traced:
        return run_in_graph(circuit, frozen, plan)
    check_masses(frozen)
    inputs = build_inputs(frozen.topology, frozen.numbers(), tran.step, stop)
    x0 = initial_state(frozen, tran, stop)
    rows, state = _march(frozen, plan, inputs, x0, timeout, progress)
    if not len(rows):
        raise _unfinished(frozen, state, stop, None, 0)
    run = Run(inputs, x0, rows, state.rejected, choose_points(plan, inputs, x0, rows))
    if int(state.status) != DONE:
        raise _unfinished(frozen, state, stop, plain_waveforms(frozen, plan, run), len(rows))
    if not circuit.is_traced:
        return plain_waveforms(circuit, plan, run)
    return waveforms_with_derivatives(circuit, plan, run)


def _analysis(netlist: Netlist, t_stop: float | None) -> tuple[Tran, float]:
    tran = next((a for a in netlist.analyses if isinstance(a, Tran)), None)
    if tran is None:
        if t_stop is None:
            raise InputError(f"{netlist.file} has no .tran; add one, or give the stop time.")
        tran = Tran(t_stop / 1000, t_stop)
    stop = tran.stop if t_stop is None else float(t_stop)
    if not (math.isfinite(stop) and stop > tran.start):
        raise InputError(f"the stop time is {stop:g} s; it must be finite and after the start, {tran.start:g} s.")
    return tran, stop


def _longest_step(circuit: Circuit, tran: Tran, stop: float) -> float:
    """That of the deck; else none, but for formulas in time, which have no edges: there it is ngspice's."""
    return tran.max_step or (min(tran.step, stop / 50) if moving_formulas(circuit.topology) else np.inf)


def _grid(save_at: Any, stop: float) -> np.ndarray:
    grid = np.asarray(save_at, dtype=float)
    if grid.ndim != 1 or grid.size == 0 or not np.all(np.isfinite(grid)) or np.any(np.diff(grid) < 0):
        raise InputError("save_at holds the times to keep: at least one, finite, ascending.")
    if grid[0] < 0 or grid[-1] > stop * (1 + 1e-12):
        raise InputError(f"save_at spans {grid[0]:g} to {grid[-1]:g} s; the run spans 0 to {stop:g} s.")
    return grid


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


def initial_state(circuit: Circuit, tran: Tran, stop: float) -> np.ndarray:
    """The states at time zero, `[state]` in V."""
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


def _march(
    circuit: Circuit, plan: Plan, inputs: Inputs, x0: np.ndarray, timeout: float | None,
    progress: Callable[[float], None] | None,
) -> tuple[np.ndarray, State]:  # fmt: skip
    """All accepted steps, `[step, …]` of the states that are kept, and the state at the end."""
    state = start(jnp.asarray(x0), FIRST_STEP)
    values, n = circuit.values(), len(x0)
    parts = equation(circuit.topology, extended(values), values)
    vectors = 1 + len(plan.tableau.dense)
    columns = [0, 1, *(2 + n * k + i for k in range(vectors) for i in plan.kept)]
    pieces: list[np.ndarray] = []
    done, began = 0, time.monotonic()
    while True:
        state = advance(circuit.topology, plan.tableau, CAPACITY, parts, inputs, plan.control, state)
        count = int(state.count)
        pieces.append(np.asarray(state.rows)[:count, columns])
        done += count
        if progress is not None:
            progress(float(state.t))
        late = timeout is not None and time.monotonic() - began > timeout
        if int(state.status) != BUDGET or done >= plan.max_steps or late:
            return np.concatenate(pieces), state


def _unfinished(circuit: Circuit, state: State, stop: float, waves: Waveforms | None, steps: int) -> ConvergenceError:
    names = circuit.topology.state_names
    node = names[int(np.argmax(np.nan_to_num(np.asarray(state.ratio), nan=np.inf)))]
    voltage = float(state.y[names.index(node)])
    where = f"t = {format_quantity(float(state.t), 's')} of {format_quantity(stop, 's')}"
    if int(state.status) == SHRUNK:
        text = f"the simulation stopped at {where}: the step shrank to nothing at node '{node}' ({voltage:.4g} V)."
        hint = f"Try another rtol or a start voltage for '{node}', and look at what drives it."
    else:
        text = (
            f"the simulation stopped at {where}: its steps or its time are used up ({steps} steps); the last one was "
        )
        text += f"set by node '{node}'."
        hint = "Allow more, or give a looser rtol."
    return ConvergenceError(f"{text} {hint}", time=float(state.t), node=node, waves=waves)
