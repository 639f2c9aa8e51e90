"""A circuit as a term of diffrax: a vector field over the state voltages that also carries what our solvers need."""

from __future__ import annotations

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp

from ..circuit import (
    Circuit,
    Inputs,
    Segment,
    Structure,
    System,
    Topology,
    Wiring,
    at_time,
    build_inputs,
    extended,
    segment,
    structure,
)
from ..errors import InputError
from ..netlist import Netlist, transient_analysis
from ._derivative import refuse_traced_gains
from ._field import circuit_velocity
from ._loop import equation
from ._start import check_masses
from ._transient import ABSOLUTE_SHARE, longest_step
from ._transport import whole, without_wiring


class CircuitTerm(diffrax.AbstractTerm):
    """dx/dt of a circuit, x its state voltages `[state]` in V; made by `circuit_term`.

    **Fields** for users: `t_stop` (s), and `edges [k]`: the corners of the sources' waveforms (s, the last one repeated
    as padding). No step may cross one: `controller` sees to that.
    """

    wiring: Wiring
    numbers: System
    inputs: Inputs
    nodes: Structure
    longest: Any
    topology: Topology = eqx.field(static=True)

    @property
    def edges(self) -> Any:
        """Times of the sources' corners, `[k]` in s."""
        return self.inputs.edges

    @property
    def t_stop(self) -> Any:
        """The end of the sources' table, s."""
        return self.inputs.edges[-1]

    def controller(self, rtol: float = 1e-6, atol: float | None = None) -> diffrax.ClipStepSizeController:
        """A `PIDController` that lands on every edge; `atol` (V) is a tenth of `rtol` unless given, as in
        `transient`."""
        atol = ABSOLUTE_SHARE * rtol if atol is None else atol
        inner = diffrax.PIDController(rtol=rtol, atol=atol, dtmax=self.longest)
        return diffrax.ClipStepSizeController(inner, step_ts=self.edges)

    def voltage(self, node: str, t: Any, y: Any) -> Any:
        """The voltage (V) of any node at time `t` (s), a number, and state `y [state]`; for events and saved values.

        **Raises** `InputError` for a node that the circuit does not have.
        """
        names = self.topology.nodes
        if node.lower() not in names:
            raise InputError(f"the circuit has no node '{node}'; there are {', '.join(names[:8])}.")
        row = names.index(node.lower())
        c = self.numbers.currents
        u = at_time(self.topology, self._line(self.segment_at(t)), t, c.formula, c.celsius)[0]
        return self.nodes.s[row] @ y + self.nodes.p[row] @ u

    def segment_at(self, t: Any) -> Any:
        """Between which two edges `t` lies; the segment that begins there, for an edge."""
        return jnp.clip(jnp.searchsorted(self.edges, t, side="right") - 1, 0, len(self.edges) - 2)

    def _line(self, k: Any) -> Segment:
        return segment(self.inputs, k)

    def vf(self, t: Any, y: Any, args: Any) -> Any:
        """dx/dt, `[state]` in V/s.

        **Raises** `InputError` for a state that is not this circuit's.
        """
        count = len(self.topology.states)
        if jnp.shape(y) != (count,):
            raise InputError(
                f"y0 has the shape {jnp.shape(y)}; this circuit has {count} states, whose voltages "
                "initial_state(circuit) gives."
            )
        line = self._line(self.segment_at(t))
        return circuit_velocity(self.topology, whole(self.numbers, self.wiring), line, t, y)

    def contr(self, t0: Any, t1: Any, **kwargs: Any) -> Any:
        """The length of an interval, s."""
        return t1 - t0

    def prod(self, vf: Any, control: Any) -> Any:
        """dx/dt times a length in s."""
        return vf * control


def circuit_term(circuit: Circuit | Netlist, t_stop: float | None = None) -> CircuitTerm:
    """A circuit as the term of `diffrax.diffeqsolve`; `initial_state` gives the y0 that belongs to it.

    **Arguments**: `t_stop` (s) as in `transient`: the sources are known from 0 to `t_stop`.

    **Raises** `InputError` as `transient` does.

    ```python
    term = circuit_term(circuit, 0.1)
    solution = diffrax.diffeqsolve(
        term, Rodas5P(), 0.0, term.t_stop, 1e-12, initial_state(circuit, 0.1),
        stepsize_controller=term.controller(rtol=1e-6), max_steps=100_000,
    )
    ```
    """
    if isinstance(circuit, Netlist):
        circuit = Circuit.from_netlist(circuit)
    tran, stop = transient_analysis(circuit.netlist, t_stop)
    topology, values, frozen = circuit.topology, circuit.values(), circuit.frozen()
    refuse_traced_gains(values)
    if not frozen.is_traced:
        check_masses(frozen)
    parts = equation(topology, extended(values), values)
    wiring, numbers, inputs, nodes = jax.tree.map(
        lambda a: jnp.asarray(a, dtype=float),
        (
            jax.lax.stop_gradient(parts.currents.wiring), without_wiring(parts),
            build_inputs(topology, circuit.numbers(), tran.step, stop), structure(topology, values),
        ),
    )  # fmt: skip
    longest = jnp.asarray(longest_step(frozen, tran, stop), dtype=float)
    return CircuitTerm(wiring, numbers, inputs, nodes, longest, topology)
