"""From parameters by lane to what lanes compute with: equations, inputs, states at time zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import (
    Circuit,
    Inputs,
    System,
    Topology,
    Values,
    build_inputs,
    extended,
    is_traced,
    lane_axes,
    sparse,
    system,
)
from ..devices import KELVIN
from ..errors import AnalogSNNError, InputError
from ._lane_loop import VACANT, Lanes, Load
from ._loop import RUNNING
from ._operating_point import FIRST_STEP, dc_values, held_states, settled_points
from ._plan import Plan
from ._start import start_state


class Drive(NamedTuple):
    """What the sources of a circuit do, and which states `.ic` holds at what voltage."""

    inputs: Inputs
    base: Any
    clamped: np.ndarray
    target: Any


class Family(NamedTuple):
    """Circuits that differ in some parameters, and what they have in common.

    - `parameters`: by path, the values `[lane]`.
    - `extended`: whether the terms that the short form of the transistor leaves out take part in any lane.
    - `drive`: the sources' doing, or None where it differs from lane to lane.
    - `near [state]`: the state at time zero of the circuit itself; Newton's method finds the lanes' from there.
    """

    circuit: Circuit
    plan: Plan
    parameters: Mapping[str, np.ndarray]
    extended: bool
    drive: Drive | None
    near: np.ndarray

    def member(self, lane: int) -> Circuit:
        """The circuit of one lane."""
        return self.circuit.replace({path: array[lane] for path, array in self.parameters.items()})


class Batch(NamedTuple):
    """Lanes that are ready to start: the load, by lane its column in it, and the lanes that cannot start."""

    load: Load
    columns: dict[int, int]
    inputs: Sequence[Inputs]  # of each column
    x0: np.ndarray  # [column, state]
    failures: dict[int, AnalogSNNError]


def family(circuit: Circuit, plan: Plan, parameters: Mapping[str, np.ndarray]) -> Family:
    """Find out what the parameters move, by differentiating: what one moves has a tangent in it.

    **Raises** `InputError` for the gain of an E element: it is part of how the circuit hangs together;
    `ConvergenceError` where the circuit itself has no operating point.
    """
    found: list[tuple[bool, bool]] = []

    def look(chosen: dict[str, Any]) -> Any:
        moved = circuit.replace(chosen)
        values = moved.values()
        if is_traced(values.gain):
            raise InputError("lanes cannot differ in the gain of an E element; use a G element across a resistor.")
        numbers = moved.numbers()
        sources = [numbers.parameter(source, name) for source in circuit.topology.inputs for name in source.parameters]
        found.append((extended(values), any(map(is_traced, [*sources, *jax.tree.leaves(values.formula)]))))
        return jnp.zeros(())

    point = {path: jnp.asarray(circuit[path], dtype=float) for path in parameters}
    jax.jvp(look, (point,), (jax.tree.map(jnp.ones_like, point),))
    with_extension, sources = found[0]
    drive = None if sources else _drive(circuit, plan)
    return Family(circuit, plan, parameters, with_extension, drive, start_state(circuit, plan.tran, plan.stop))


def _drive(circuit: Circuit, plan: Plan) -> Drive:
    base = dc_values(circuit, at_time_zero=(plan.tran.step, plan.stop))
    held = {node: float(value) for node, value in circuit.netlist.ic.items()}
    inputs = build_inputs(circuit.topology, circuit.numbers(), plan.tran.step, plan.stop)
    return Drive(inputs, base, *held_states(circuit, held, base, circuit.values()))


def prepare(family: Family, chosen: Sequence[int], width: int) -> Batch:
    """Make the lanes `chosen` ready to start, in the first columns of a load of the given width.

    The other columns repeat the first lane, so that programs of one width serve any number of lanes.
    """
    circuit, plan, topology = family.circuit, family.plan, family.circuit.topology
    padded = np.array([*chosen, *[chosen[0]] * (width - len(chosen))])
    given = {path: jnp.asarray(array[padded]) for path, array in family.parameters.items()}
    values: Values = jax.vmap(lambda some: circuit.replace(some).values(), out_axes=lane_axes())(given)
    failures: dict[int, AnalogSNNError] = {}
    drives: list[Drive | None] = []
    for lane, doubtful in zip(chosen, _doubtful(topology, values), strict=False):
        try:
            if doubtful:
                family.member(lane).values()  # says what is wrong
            drives.append(family.drive or _drive(family.member(lane), plan))
        except AnalogSNNError as problem:
            failures[lane] = problem
            drives.append(None)
    any_drive = next((drive for drive in drives if drive is not None), family.drive)
    if any_drive is None:
        any_drive = _drive(circuit, plan)
    every = [drive or any_drive for drive in drives] + [any_drive] * (width - len(chosen))
    base, target = np.stack([drive.base for drive in every]), np.stack([drive.target for drive in every])
    x0 = target.copy()
    if not plan.tran.uic:
        states, settled = settled_points(
            topology, family.extended, values, base, any_drive.clamped, target, family.near
        )
        x0, settled = np.array(states), np.asarray(settled)
        for column, lane in enumerate(chosen):
            if not settled[column] and lane not in failures:
                try:
                    x0[column] = start_state(family.member(lane), plan.tran, plan.stop)
                except AnalogSNNError as problem:
                    failures[lane] = problem
    columns = {lane: column for column, lane in enumerate(chosen) if lane not in failures}
    status = np.full(width, VACANT)
    status[list(columns.values())] = RUNNING
    zero = np.zeros(width)
    lanes = Lanes(
        t=zero, h=np.full(width, FIRST_STEP), y=x0.T, segment=zero.astype(int), status=status, steps=zero.astype(int),
        rejected=zero.astype(int), ratio=np.zeros(x0.T.shape), previous=zero, rest=zero,
    )  # fmt: skip
    inputs = [drive.inputs for drive in every]
    load = Load(sparse(topology, equations(topology, family.extended, values)), _tables(inputs), lanes)
    return Batch(jax.tree.map(jnp.asarray, load), columns, inputs, x0, failures)


@partial(jax.jit, static_argnames=("topology", "with_extension"))
def equations(topology: Topology, with_extension: bool, values: Values) -> System:
    """The differential equations of all lanes, lanes last; the wiring is the same for all."""

    def one(values: Values) -> tuple[Any, System]:
        parts = system(topology, values, with_extension)
        bare = parts._replace(currents=parts.currents._replace(wiring=None), inverse_mass=None)
        return parts.currents.wiring, bare

    wiring, parts = jax.vmap(one, in_axes=(lane_axes(),), out_axes=(None, -1))(values)
    return parts._replace(currents=parts.currents._replace(wiring=wiring))


def _tables(inputs: Sequence[Inputs]) -> Inputs:
    """The tables of all lanes in one, lanes last, the shorter ones padded."""
    length = max(len(one.edges) for one in inputs)
    return jax.tree.map(lambda *arrays: np.stack(arrays, axis=-1), *[lengthened(one, length) for one in inputs])


def lengthened(inputs: Inputs, length: int) -> Inputs:
    """The same table with the end of the run repeated up to `length` edges. A trailing axis of lanes is carried."""
    more = length - len(inputs.edges)
    if more == 0:
        return inputs

    def longer(array: Any) -> Any:
        return np.concatenate([array, np.repeat(np.asarray(array)[-1:], more, axis=0)])

    return inputs._replace(edges=longer(inputs.edges), value=longer(inputs.value), slope=longer(inputs.slope))


def _doubtful(topology: Topology, values: Values) -> np.ndarray:
    """Lanes with a number that a circuit may not have, or a node without capacitance: `[lane]`."""
    good = np.asarray(values.celsius) > -KELVIN
    positive = [values.instance[key] for key in ("w", "l", "m")] + [1 + values.instance["dbt"], values.conductance]
    positive += [values.card[key] for key in ("kp", "ve", "ph", "ut", "eps", "n")]
    for array in positive:
        good &= (np.asarray(array) > 0).all(axis=-1)
    for array in (values.capacitance, *values.card.values(), *values.instance.values(), values.transconductance):
        good &= np.isfinite(np.asarray(array)).all(axis=-1)
    for array in (values.capacitance, *(values.card[key] for key in ("gm", "th", "dib", "cox", "cgo", "cjw"))):
        good &= (np.asarray(array) >= 0).all(axis=-1)
    return ~good
