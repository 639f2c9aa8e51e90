"""Circuit → waveforms over a swept quantity, or at one operating point."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..circuit import Circuit
from ..errors import InputError
from ..netlist import Dc, Netlist, Sweep
from ..waveforms import Waveforms
from ._operating_point import dc_values, first_guess, operating_state
from ._points import waveforms


def operating_point(circuit: Circuit | Netlist) -> Waveforms:
    """The operating point, sources at their DC values: `Waveforms` of one point.

    A circuit with several is taken to one of them; `.nodeset` says from where. A neuron's is the mid-rail branch on
    which it never spikes: start transient runs with `.ic` on its state nodes.

    **Raises** `ConvergenceError` naming the node that would not settle.
    """
    circuit = Circuit.from_netlist(circuit) if isinstance(circuit, Netlist) else circuit
    base = dc_values(circuit)
    x = _first(circuit, base)
    return waveforms(circuit, np.zeros(1), np.asarray(x)[None], inputs=np.asarray(base)[None], variable="op")


def dc(circuit: Circuit | Netlist) -> Waveforms:
    """The deck's `.dc`: operating points along a sweep, each found from the one before.

    **Returns** `Waveforms` whose `time` is the swept quantity; with two sweeps the inner one, repeated.

    **Raises** `InputError` without a `.dc`, `ConvergenceError` naming the node that would not settle.
    """
    circuit = Circuit.from_netlist(circuit) if isinstance(circuit, Netlist) else circuit
    analysis = next((a for a in circuit.netlist.analyses if isinstance(a, Dc)), None)
    if analysis is None:
        raise InputError(f"{circuit.netlist.file} has no .dc; add one such as .dc vin 0 1.8 0.01.")
    inner, *outer = analysis.sweeps
    axis, pieces = _values(inner), []
    for outside in _values(outer[0]) if outer else (None,):
        begun = circuit if outside is None else circuit.replace({_path(circuit, outer[0].source): outside})
        pieces.append(_along(begun, inner, axis))
    if len(pieces) == 1:
        return pieces[0]
    first = pieces[0]
    return Waveforms(
        time=np.tile(axis, len(pieces)), voltages=np.concatenate([p.voltages for p in pieces], axis=1),
        currents=np.concatenate([p.currents for p in pieces], axis=1), nodes=first.nodes, branches=first.branches,
        supply=first.supply, variable=first.variable,
    )  # fmt: skip


def _first(circuit: Circuit, base: Any) -> Any:
    near = {node: float(value) for node, value in circuit.netlist.nodeset.items()}
    return operating_state(circuit, base, near, first_guess(circuit), release=bool(near))


def _path(circuit: Circuit, source: str) -> str:
    if source == "temp":
        return "temp"
    element = circuit.netlist.element(source)
    return f"{source}.r" if element.letter == "r" else f"{source}.dc"


def _values(sweep: Sweep) -> np.ndarray:
    count = math.floor((sweep.stop - sweep.start) / sweep.step * (1 + 1e-12) + 1e-9) + 1
    return sweep.start + sweep.step * np.arange(count)


def _along(circuit: Circuit, sweep: Sweep, axis: np.ndarray) -> Waveforms:
    path = _path(circuit, sweep.source)
    source = next((i for i, e in enumerate(circuit.topology.inputs) if e.name == sweep.source), None)
    states, bases = [], []
    nominal, values = np.asarray(dc_values(circuit), dtype=float), circuit.values()
    x: Any = None
    for value in axis:
        here, base = circuit, nominal.copy()
        if source is None:
            here = circuit.replace({path: value})
            base, values = dc_values(here), here.values()
        else:
            base[source] = value
        x = _first(here, base) if x is None else operating_state(here, base, {}, x, values=values)
        states.append(np.asarray(x))
        bases.append(np.asarray(base))
    if source is not None:
        return waveforms(circuit, axis, np.array(states), inputs=np.array(bases), variable=sweep.source)
    points = [
        waveforms(circuit.replace({path: v}), np.array([v]), s[None], inputs=b[None], variable=sweep.source)
        for v, s, b in zip(axis, states, bases, strict=True)
    ]
    return Waveforms(
        time=axis, voltages=np.concatenate([p.voltages for p in points], axis=1),
        currents=np.concatenate([p.currents for p in points], axis=1), nodes=points[0].nodes,
        branches=points[0].branches, supply=points[0].supply, variable=sweep.source,
    )  # fmt: skip
