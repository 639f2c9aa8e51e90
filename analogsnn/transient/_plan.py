"""What a run is asked for, what it leaves, and at which points its waveforms are given."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ..circuit import Inputs, Topology, is_traced, structure_without_gains
from ..errors import InputError
from ..netlist import Tran
from ._loop import Control
from ._tableaus import Tableau

# Points between steps: enough that straight lines between them leave the interpolant by no more than this, V.
STRAIGHT = 2e-5
MOST_POINTS = 16
# Points with derivatives are of a number that is a multiple of this.
LEAST_POINTS = 4096


class Kept(NamedTuple):
    """What of a run is kept: `nodes`, or None for all and the currents, and the states that they follow from."""

    nodes: tuple[str, ...] | None
    states: tuple[int, ...]


class Plan(NamedTuple):
    """What a run is asked for."""

    tableau: Tableau
    tran: Tran
    stop: float
    control: Control
    grid: np.ndarray | None
    keep: Kept
    max_steps: int

    @property
    def kept(self) -> tuple[int, ...]:
        """The states that are kept."""
        return self.keep.states


class Points(NamedTuple):
    """Where waveforms are given, `[point]`: times in s, the step and the fraction of it, the segment of the inputs.

    `valid`: how many of them count, where those after repeat the last; else None.
    """

    t: Any
    step: Any
    theta: Any
    segment: Any
    valid: Any = None


class Run(NamedTuple):
    """What a run leaves: `rows [step, …]` hold t, h, and of the kept states the end and the interpolant's vectors.

    `states [step + 1, state]`: all states at the start and at the end of every step, where derivatives are wanted; then
    the points are padded.
    """

    inputs: Inputs
    x0: Any
    rows: Any
    rejected: Any
    points: Points
    count: Any = None  # of valid rows, where they are padded
    states: Any = None


def kept_states(topology: Topology, save: Sequence[str] | None) -> Kept:
    """Which states the nodes in `save` follow from.

    **Raises** `InputError` with near names for a node that does not exist.
    """
    everything = tuple(range(len(topology.states)))
    if save is None:
        return Kept(None, everything)
    names = tuple(name.lower() for name in save)
    for name in names:
        if name not in topology.nodes:
            close = difflib.get_close_matches(name, topology.nodes, 3) or topology.nodes[:8]
            raise InputError(f"save names node '{name}', which is none of the circuit's; there are {', '.join(close)}.")
    if topology.gains:
        return Kept(names, everything)
    s = structure_without_gains(topology)[0]
    used = np.flatnonzero(s[[topology.nodes.index(name) for name in names]].any(axis=0))
    if not len(used):  # sources hold these nodes; derivatives go along some state all the same
        used = np.arange(min(1, len(topology.states)))
    return Kept(names, tuple(int(i) for i in used))


def states_of(plan: Plan, run: Run) -> tuple[Any, Any, tuple[Any, ...]]:
    """Start, end and interpolant's vectors of every step, each `[step, kept state]`."""
    m = len(plan.kept)
    end = run.rows[:, 2 : 2 + m]
    library = jnp if is_traced(end) else np
    start = library.concatenate([run.x0[np.array(plan.kept, dtype=int)][None], end[:-1]])
    return start, end, tuple(run.rows[:, 2 + m * (k + 1) : 2 + m * (k + 2)] for k in range(len(plan.tableau.dense)))


def narrowed(plan: Plan, run: Run) -> Run:
    """What a plan keeps of a run of all states, which are its ends."""
    n, vectors = len(run.x0), 1 + len(plan.tableau.dense)
    states = np.concatenate([run.x0[None], run.rows[:, 2 : 2 + n]])
    rows = run.rows[:, [0, 1, *(2 + n * k + i for k in range(vectors) for i in plan.kept)]]
    points = padded(plan, choose_points(plan, run.inputs, run.x0, rows))
    return run._replace(rows=rows, points=points, states=states)


def choose_points(plan: Plan, inputs: Inputs, x0: np.ndarray, rows: np.ndarray) -> Points:
    """The plan's own times, or every step's end and as many points within it as straight lines need."""
    t0, h = rows[:, 0], rows[:, 1]
    if plan.grid is not None:
        t, step = plan.grid, np.clip(np.searchsorted(t0, plan.grid, side="right") - 1, 0, len(rows) - 1)
        theta = np.clip((t - t0[step]) / h[step], 0.0, 1.0)
        return Points(t, step, theta, step_segments(inputs, t0)[step])
    m = len(plan.kept)
    bend = (
        np.abs(rows[:, 2 + m :].reshape(len(rows), len(plan.tableau.dense), m)).sum(axis=1).max(axis=1, initial=0.0) / 4
    )
    counts = np.clip(np.ceil(np.sqrt(bend / STRAIGHT)), 1, MOST_POINTS).astype(int)
    step = np.repeat(np.arange(len(rows)), counts)
    theta = (np.arange(len(step)) - np.repeat(np.cumsum(counts) - counts, counts) + 1) / counts[step]
    step, theta = np.concatenate([np.zeros(1, dtype=int), step]), np.concatenate([np.zeros(1), theta])
    ends = np.append(t0[1:], t0[-1] + h[-1])
    t = np.where(theta == 1.0, ends[step], t0[step] + theta * h[step])
    late = t >= plan.tran.start
    late |= not late.any()  # a run that stopped before the start of its output shows what there is
    return Points(t[late], step[late], theta[late], step_segments(inputs, t0)[step[late]])


def one_of_few(count: int, least: int = 1) -> int:
    """The next of few lengths, at most a sixteenth or `least` longer than `count`: each one that occurs is compiled
    for."""
    unit = max(least, 2 ** (int(np.log2(max(count, 1))) - 4))
    return int(-(-count // unit) * unit)


def padded(plan: Plan, points: Points) -> Points:
    """Points of one of few numbers, the last repeated, unless the plan gives the times."""
    if plan.grid is not None:
        return points
    count = len(points.t)
    more = one_of_few(count, LEAST_POINTS) - count
    return Points(*(np.pad(array, (0, more), mode="edge") for array in points[:4]), valid=count)


def step_segments(inputs: Inputs, t: Any) -> Any:
    """The segment of the inputs in which steps that begin at `t` lie."""
    return np.clip(np.searchsorted(inputs.edges, t, side="right") - 1, 0, len(inputs.edges) - 2)
