"""Circuit → waveforms over time."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit, Inputs, build_inputs, dc_inputs, extended, is_traced, structure
from ..errors import ConvergenceError, InputError
from ..netlist import Netlist, Tran
from ..units import format_quantity
from ..waveforms import Waveforms
from ._blocks import default_blocks, given_blocks
from ._loop import BUDGET, DONE, SHRUNK, Control, State, advance, equation, start
from ._operating_point import dc_values, first_guess, held_states, operating_state, with_derivative
from ._points import waveforms
from ._replay import Steps, replay
from ._rosenbrock import interpolate, interpolated_slope
from ._tableaus import RODAS4, RODAS5P, Tableau
from ._transport import Blocks, without_wiring

# Method and relative tolerance by name.
ACCURACY: Mapping[str, tuple[Tableau, float]] = {"reference": (RODAS5P, 1e-6), "fast": (RODAS4, 1e-4)}
# Absolute tolerance (V) as a share of the relative one: node voltages are logarithmic in current, so that an error of
# 0.1 mV is 0.3 % of a current wherever the node stands.
ABSOLUTE_SHARE = 0.1
CAPACITY = 4096  # steps a call of the compiled loop keeps
FIRST_STEP = 1e-12  # s
# Points between steps: enough that straight lines between them leave the interpolant by no more than this, V.
STRAIGHT = 2e-5
MOST_POINTS = 16


def transient(
    circuit: Circuit | Netlist,
    t_stop: float | None = None,
    *,
    accuracy: str = "reference",
    rtol: float | None = None,
    save_at: Any = None,
    blocks: Mapping[str, str | int] | None = None,
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
    - `blocks`: for derivatives, which nodes share a phase, as names by node; by default the circuit's subcircuits say so
      (`default_blocks`).
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
    grid = None if save_at is None else _grid(save_at, stop)
    frozen = circuit.frozen()
    if frozen.is_traced:
        raise InputError("transient cannot be compiled by jit or batched by vmap yet; call it outside of them.")
    check_masses(frozen)
    control = Control(tolerance, ABSOLUTE_SHARE * tolerance, tran.max_step or np.inf)
    inputs = build_inputs(frozen.topology, frozen.numbers(), tran.step, stop)
    x0 = initial_state(frozen, tran, stop)
    rows, state = _march(frozen, tableau, inputs, control, x0, max_steps, timeout, progress)
    points = _points(frozen, inputs, x0, rows, tran.start, grid)
    if int(state.status) != DONE:
        raise _unfinished(frozen, state, stop, _plain(frozen, inputs, points, rows, int(state.rejected)), len(rows))
    if not circuit.is_traced:
        return _plain(circuit, inputs, points, rows, int(state.rejected))
    chosen = default_blocks(frozen) if blocks is None else given_blocks(frozen, blocks)
    return _with_derivatives(circuit, tableau, chosen, tran, stop, inputs, x0, rows, points, int(state.rejected))


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
        raise InputError("the capacitances leave a group of nodes undetermined; give each node a capacitor to ground.")


def initial_state(circuit: Circuit, tran: Tran, stop: float) -> np.ndarray:
    """The states at time zero, `[state]` in V."""
    netlist = circuit.netlist
    base = dc_values(circuit, at_time_zero=(tran.step, stop))
    held = {node: float(value) for node, value in netlist.ic.items()}
    if tran.uic:
        for element in circuit.topology.capacitors:
            if "ic" in element.parameters:
                raise InputError(
                    f"{element.name.upper()} has ic=, which our engine does not read; write .ic v(node)=…."
                )
        _, target = held_states(circuit, held, base, circuit.values())
        return target
    guess = first_guess(circuit)
    if netlist.nodeset:
        near = {node: float(value) for node, value in netlist.nodeset.items()}
        guess = operating_state(circuit, base, near | held, guess)
    return np.asarray(operating_state(circuit, base, held, guess))


def _march(
    circuit: Circuit, tableau: Tableau, inputs: Inputs, control: Control, x0: np.ndarray, max_steps: int,
    timeout: float | None, progress: Callable[[float], None] | None,
) -> tuple[np.ndarray, State]:  # fmt: skip
    """All accepted steps, `[step, …]`, and the state at the end."""
    state = start(jnp.asarray(x0), FIRST_STEP)
    values = circuit.values()
    parts = equation(circuit.topology, extended(values), values)
    pieces: list[np.ndarray] = []
    done, started = 0, time.monotonic()
    while True:
        state = advance(circuit.topology, tableau, CAPACITY, parts, inputs, control, state)
        count = int(state.count)
        pieces.append(np.asarray(state.rows[:count]))
        done += count
        if progress is not None:
            progress(float(state.t))
        late = timeout is not None and time.monotonic() - started > timeout
        if int(state.status) != BUDGET or done >= max_steps or late:
            return np.concatenate(pieces), state


class Points(NamedTuple):
    """Where waveforms are given: times in s, each within a step at a fraction `theta`, and the segment of the inputs."""

    t: np.ndarray
    step: np.ndarray
    theta: np.ndarray
    segment: np.ndarray
    start: np.ndarray  # [step, state]
    end: np.ndarray
    dense: np.ndarray  # [step, vector, state]


def _points(
    circuit: Circuit, inputs: Inputs, x0: np.ndarray, rows: np.ndarray, begin: float, grid: np.ndarray | None
) -> Points:
    n = len(circuit.topology.states)
    t0, h, end = rows[:, 0], rows[:, 1], rows[:, 2 : 2 + n]
    start = np.concatenate([x0[None], end[:-1]])
    dense = rows[:, 2 + n :].reshape(len(rows), -1, n)
    if grid is None:
        away = np.abs(dense).sum(axis=1).max(axis=1, initial=0.0) / 4
        counts = np.clip(np.ceil(np.sqrt(away / STRAIGHT)), 1, MOST_POINTS).astype(int)
        step = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(step)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
        theta = within / counts[step]
        step, theta = np.concatenate([np.zeros(1, dtype=int), step]), np.concatenate([np.zeros(1), theta])
        ends = np.append(t0[1:], t0[-1] + h[-1])
        t = np.where(theta == 1.0, ends[step], t0[step] + theta * h[step])
        keep = t >= begin
        t, step, theta = t[keep], step[keep], theta[keep]
    else:
        t, step = grid, np.clip(np.searchsorted(t0, grid, side="right") - 1, 0, len(rows) - 1)
        theta = np.clip((grid - t0[step]) / h[step], 0.0, 1.0)
    segment = step_segments(inputs, t0)[step]
    return Points(t, step, theta, segment, start, end, dense)


def step_segments(inputs: Inputs, t: np.ndarray) -> np.ndarray:
    """The segment of the inputs in which steps that begin at `t` lie."""
    return np.clip(np.searchsorted(inputs.edges, t, side="right") - 1, 0, len(inputs.edges) - 2)


def _plain(circuit: Circuit, inputs: Inputs, points: Points, rows: np.ndarray, rejected: int) -> Waveforms:
    k = points.step
    dense = tuple(points.dense[k, i] for i in range(points.dense.shape[1]))
    x = interpolate(points.start[k], points.end[k], dense, points.theta[:, None])
    return waveforms(circuit, points.t, x, segment=points.segment, inputs=inputs, steps=len(rows), rejected=rejected)


def _with_derivatives(
    circuit: Circuit, tableau: Tableau, blocks: Blocks, tran: Tran, stop: float, frozen_inputs: Inputs, x0: np.ndarray,
    rows: np.ndarray, points: Points, rejected: int,
) -> Waveforms:  # fmt: skip
    """The same waveforms from the same steps, now with the derivatives of the traced parameters."""
    topology, values = circuit.topology, circuit.values()
    if is_traced(values.gain):
        raise InputError("derivatives by the gain of an E element are not offered; use a G element across a resistor.")
    numbers = circuit.numbers()
    inputs = build_inputs(topology, numbers, tran.step, stop)
    base = dc_inputs(topology, numbers, at_time_zero=(tran.step, stop))
    held = {node: numbers.value(voltage) for node, voltage in circuit.netlist.ic.items()}
    if tran.uic:
        start = held_states(circuit, held, base, values)[1]
    else:
        start = with_derivative(circuit, jnp.asarray(x0), base, held)
    parts = equation(topology, extended(values), values)
    steps = Steps(rows[:, 0], rows[:, 1], step_segments(frozen_inputs, rows[:, 0]))
    wiring = jax.tree.map(jax.lax.stop_gradient, parts.currents.wiring)
    taken = replay(topology, tableau, blocks, wiring, without_wiring(parts), inputs, start, steps)
    k, theta = points.step, points.theta[:, None]
    dense = tuple(vector[k] for vector in taken.dense)
    moving = interpolate(taken.start[k], taken.end[k], dense, theta)
    slope = interpolated_slope(points.start[k], points.end[k], points.dense[k], theta) / rows[k, 1][:, None]
    waves = waveforms(
        circuit, points.t, moving + taken.shift[k] * slope, segment=points.segment, inputs=inputs, steps=len(rows),
        rejected=rejected,
    )  # fmt: skip
    s, p = (np.asarray(jax.lax.stop_gradient(matrix)) for matrix in structure(topology, values)[:2])
    # A node that follows one state and no source has that state's phase.
    own = [
        int(np.flatnonzero(a)[0]) if np.count_nonzero(a) == 1 and not b.any() else -1 for a, b in zip(s, p, strict=True)
    ]
    none = jnp.zeros(len(points.t))
    shift, rates = [], []
    for node in waves.nodes:
        i = topology.nodes.index(node) if node in topology.nodes else -1
        state = own[i] if i >= 0 else -1
        shift.append(taken.shift[k, state] if state >= 0 else none)
        rates.append(s[i, state] * slope[:, state] if state >= 0 else none)
    return dataclasses.replace(waves, shift=jnp.stack(shift), rates=jnp.stack(rates))


def _unfinished(circuit: Circuit, state: State, stop: float, waves: Waveforms, steps: int) -> ConvergenceError:
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
