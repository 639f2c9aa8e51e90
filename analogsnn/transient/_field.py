"""The differential equation of a circuit near a point in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from ..circuit import Linearised, Segment, System, Topology, at_time, by_sources, linearised_current, total_current
from ..devices import drain_current


def is_straight(topology: Topology) -> bool:
    """Whether all that the sources do between two edges is a straight line in time."""
    return topology.linear_inputs == len(topology.inputs) and not topology.behavioural


def linearisation(topology: Topology, parts: System, line: Segment, t: Any, y: Any) -> Linearised:
    """M dy/dt and its derivatives by y and by t.

    All arguments may have a trailing axis of lanes, each with its own time and inputs.
    """
    c = parts.currents
    u, du, d2u = at_time(topology, line, t, c.formula, c.celsius)
    found = linearised_current(topology, c, y, u, du, t)
    by_t = found.by_t
    if topology.linear_inputs < len(topology.inputs):
        by_t = by_t + parts.coupling @ d2u
    return found._replace(total=found.total + parts.coupling @ du, by_t=by_t)


def by_inputs(topology: Topology, parts: System, line: Segment, d_line: Any, t: Any, y: Any, conductances: Any) -> Any:
    """The derivative of M dy/dt along a change of the inputs' segment, `[state]`; `conductances` are those there."""
    c = parts.currents
    (u, _, _), (d_u, d_du, _) = jax.jvp(
        lambda s: at_time(topology, s, t, c.formula, c.celsius), (line,), (d_line,)
    )  # fmt: skip
    return by_sources(topology, c, y, u, d_u, t, conductances) + parts.coupling @ d_du


def stage_rate(topology: Topology, parts: System, line: Segment, t: Any) -> Callable[[Any, Any], Any]:
    """M dy/dt as a function of (time since t, y)."""
    c = parts.currents
    if not is_straight(topology):

        def general(late: Any, y: Any) -> Any:
            u, du, _ = at_time(topology, line, t + late, c.formula, c.celsius)
            return total_current(topology, c, y, u, t + late) + parts.coupling @ du

        return general
    # What the sources do is worked out once, so that a stage costs the transistors alone.
    u, du, _ = at_time(topology, line, t, c.formula, c.celsius)
    terminals, terminals_slope = c.wiring.terminals_u @ u, c.wiring.terminals_u @ du
    start, slope = c.linear_u @ u + parts.coupling @ du, c.linear_u @ du
    count = len(topology.fets)
    linear = bool(topology.resistors or topology.controlled)

    def straight(late: Any, y: Any) -> Any:
        v = c.wiring.terminals_x @ y + (terminals + late * terminals_slope)
        total = start + late * slope
        if count:
            current = drain_current(c.fet, v[:count], v[count : 2 * count], v[2 * count :])
            total = total + c.wiring.fet_out @ current
        return total + c.linear_x @ y if linear else total

    return straight


def circuit_velocity(topology: Topology, parts: System, line: Segment, t: Any, y: Any) -> Any:
    """dy/dt, `[state]` in V/s."""
    return parts.inverse_mass @ stage_rate(topology, parts, line, t)(0.0, y)
