"""Circuit → waveforms over time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit, Inputs, build_inputs, extended, moving_formulas
from ..errors import ConvergenceError, InputError
from ..netlist import Netlist, Tran, transient_analysis
from ..units import format_quantity
from ..waveforms import Waveforms
from ._derivative import plain_waveforms, run_in_graph, waveforms_with_derivatives
from ._lane_loop import Lanes
from ._loop import BUDGET, DONE, SHRUNK, Control, State, advance, equation, start
from ._operating_point import FIRST_STEP
from ._plan import Plan, Run, choose_points, kept_states, padded
from ._start import check_masses, start_state
from ._tableaus import RODAS4, RODAS5P, Tableau

# Method and relative tolerance by name.
ACCURACY: Mapping[str, tuple[Tableau, float]] = {"reference": (RODAS5P, 1e-6), "fast": (RODAS4, 1e-4)}
# By how much a slow state's tolerance may become smaller, that nothing is late: what derivatives need, and a reference.
TIGHTEST: Mapping[str, float] = {"reference": 1e-2, "fast": 1.0}
# Absolute tolerance (V) as a share of the relative one: node voltages are logarithmic in current, so that an error of
# 0.1 mV is 0.3 % of a current wherever the node stands.
ABSOLUTE_SHARE = 0.1
CAPACITY = 4096  # steps a call of the compiled loop keeps
# With a time limit the clock is looked at after so many steps at first, and then about LATENESS of the limit apart.
FIRST_PORTION, LATENESS = 64, 0.05


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
    - `max_steps`, `timeout`: a run that needs more steps, or more seconds by the clock (compilation included), stops
      with an error.
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
    frozen = circuit.frozen()
    plan = make_plan(frozen, t_stop, accuracy=accuracy, rtol=rtol, save_at=save_at, save=save, max_steps=max_steps)
    if frozen.is_traced:
        return run_in_graph(circuit, frozen, plan)
    return shown(circuit, plan, solved(frozen, plan, circuit.is_traced, timeout, progress))


def solved(
    frozen: Circuit, plan: Plan, with_states: bool, timeout: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Run:  # fmt: skip
    """The run of a circuit of plain numbers; `with_states` for one along which derivatives will be taken.

    **Raises** `ConvergenceError` as `transient` does.
    """
    check_masses(frozen)
    stop = plan.stop
    inputs = build_inputs(frozen.topology, frozen.numbers(), plan.tran.step, stop)
    x0 = start_state(frozen, plan.tran, stop)
    rows, states, state, late = _march(frozen, plan, inputs, x0, timeout, progress, with_states)
    budget = f"its {timeout:g} s are used up" if late else f"its {plan.max_steps} steps are used up"
    if not len(rows):
        raise unfinished(frozen, state, stop, None, budget)
    points = choose_points(plan, inputs, x0, rows)
    run = Run(inputs, x0, rows, state.rejected, padded(plan, points) if with_states else points, states=states)
    if int(state.status) != DONE:
        raise unfinished(frozen, state, stop, plain_waveforms(frozen, plan, run), budget)
    return run


def shown(circuit: Circuit, plan: Plan, run: Run) -> Waveforms:
    """The waveforms of a run, with derivatives where the circuit's parameters have them."""
    return waveforms_with_derivatives(circuit, plan, run) if circuit.is_traced else plain_waveforms(circuit, plan, run)


def make_plan(
    circuit: Circuit, t_stop: float | None, *, accuracy: str, rtol: float | None, save_at: Any,
    save: Sequence[str] | None, max_steps: int,
) -> Plan:  # fmt: skip
    """The plan of a run with the arguments of `transient`.

    **Raises** `InputError` for arguments that cannot be.
    """
    tran, stop = transient_analysis(circuit.netlist, t_stop)
    if accuracy not in ACCURACY:
        raise InputError(f"the accuracy is '{accuracy}'; choose {' or '.join(sorted(ACCURACY))}.")
    tableau, tolerance = ACCURACY[accuracy]
    tolerance = tolerance if rtol is None else rtol
    if not 0 < tolerance < 1:
        raise InputError(f"the relative tolerance is {tolerance:g}; it must lie between 0 and 1, such as 1e-4.")
    if max_steps < 1:
        raise InputError(f"max_steps is {max_steps}; give at least 1.")
    return Plan(
        tableau, tran, stop,
        Control(tolerance, ABSOLUTE_SHARE * tolerance, longest_step(circuit, tran, stop), TIGHTEST[accuracy]),
        None if save_at is None else _grid(save_at, stop), kept_states(circuit.topology, save), max_steps,
    )  # fmt: skip


def longest_step(circuit: Circuit, tran: Tran, stop: float) -> float:
    """That of the deck; else none, but for formulas in time, which have no edges: there it is ngspice's."""
    return tran.max_step or (min(tran.step, stop / 50) if moving_formulas(circuit.topology) else np.inf)


def _grid(save_at: Any, stop: float) -> np.ndarray:
    grid = np.asarray(save_at, dtype=float)
    if grid.ndim != 1 or grid.size == 0 or not np.all(np.isfinite(grid)) or np.any(np.diff(grid) < 0):
        raise InputError("save_at holds the times to keep: at least one, finite, ascending.")
    if grid[0] < 0 or grid[-1] > stop * (1 + 1e-12):
        raise InputError(f"save_at spans {grid[0]:g} to {grid[-1]:g} s; the run spans 0 to {stop:g} s.")
    return grid


def _march(
    circuit: Circuit, plan: Plan, inputs: Inputs, x0: np.ndarray, timeout: float | None,
    progress: Callable[[float], None] | None, with_states: bool,
) -> tuple[np.ndarray, np.ndarray | None, State, bool]:  # fmt: skip
    """All accepted steps, `[step, …]` of the states that are kept, all states at the start and at every end where
    they are wanted, where the run stands at the end, and whether time was up."""
    state = start(jnp.asarray(x0), FIRST_STEP)
    values, n = circuit.values(), len(x0)
    parts = equation(circuit.topology, extended(values), values)
    vectors = 1 + len(plan.tableau.dense)
    columns = [0, 1, *(2 + n * k + i for k in range(vectors) for i in plan.kept)]
    rows, states = np.empty((0, len(columns))), x0[None].copy()
    done, began = 0, time.monotonic()
    portion = CAPACITY if timeout is None else min(CAPACITY, FIRST_PORTION)
    while True:
        called = time.monotonic()
        limit = min(portion, plan.max_steps - done)
        state = advance(circuit.topology, plan.tableau, CAPACITY, parts, inputs, plan.control, state, limit)
        count = int(state.count)
        found = np.asarray(state.rows)[:count]
        _append(rows, found[:, columns])
        if with_states:
            _append(states, found[:, 2 : 2 + n])
        done += count
        if progress is not None:
            progress(float(state.t))
        now = time.monotonic()
        late = timeout is not None and now - began > timeout
        if int(state.status) != BUDGET or done >= plan.max_steps or late:
            return rows, states if with_states else None, state, late
        if timeout is not None and now - called < LATENESS * timeout:
            portion = min(2 * portion, CAPACITY)


def _append(rows: np.ndarray, more: np.ndarray) -> None:
    """Append to rows where they are: of a long run there is never a second copy."""
    begin = len(rows)
    rows.resize((begin + len(more), rows.shape[1]), refcheck=False)
    rows[begin:] = more


def unfinished(
    circuit: Circuit, state: State | Lanes, stop: float, waves: Waveforms | None, budget: str
) -> ConvergenceError:
    """What to say of a run, or of one lane of many, that stopped before its end."""
    names = circuit.topology.state_names
    node = names[int(np.argmax(np.nan_to_num(np.asarray(state.ratio), nan=np.inf)))]
    voltage = float(state.y[names.index(node)])
    where = f"t = {format_quantity(float(state.t), 's')} of {format_quantity(stop, 's')}"
    if int(state.status) == SHRUNK:
        text = f"the simulation stopped at {where}: the step shrank to nothing at node '{node}' ({voltage:.4g} V)."
        hint = f"Try another rtol or a start voltage for '{node}', and look at what drives it."
    else:
        text = f"the simulation stopped at {where}: {budget}; the last step was set by node '{node}'."
        hint = "Allow more, or give a looser rtol."
    return ConvergenceError(f"{text} {hint}", time=float(state.t), node=node, waves=waves)
