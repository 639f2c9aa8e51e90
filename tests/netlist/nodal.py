"""A few lines of nodal analysis over a `Netlist` of linear elements: the operating point without ngspice."""

from __future__ import annotations

import numpy as np

from analogsnn.netlist import (
    BEHAVIOURAL_FUNCTIONS,
    Behavioural,
    Controlled,
    Current,
    Evaluator,
    IndependentSource,
    Name,
    Netlist,
    Passive,
    Voltage,
    evaluate,
    resolve_waveform,
)


def operating_point(netlist: Netlist) -> dict[str, float]:
    """Node → V. Behavioural sources must be linear in voltages."""
    index = {node: i for i, node in enumerate(netlist.nodes)}
    branches = [e for e in netlist.elements if e.letter in "veh"]
    branch = {e.name: len(index) + i for i, e in enumerate(branches)}
    size = len(index) + len(branches)
    matrix, right = np.zeros((size + 1, size + 1)), np.zeros(size + 1)
    ground = size  # a spare row and column that is cut off at the end
    evaluator = Evaluator(overrides={"temp": float(netlist.temperature)})

    def at(node: str) -> int:
        return index.get(node, ground)

    for element in netlist.elements:
        plus, minus = (at(node) for node in element.nodes[:2])
        p = element.parameters
        if isinstance(element, Passive):
            warm = netlist.temperature - 27.0
            factor = 1 + p.get("tc1", 0.0) * warm + p.get("tc2", 0.0) * warm**2
            g = element.multiplicity / (p["r"] * factor)
            for row, column, sign in ((plus, plus, 1), (minus, minus, 1), (plus, minus, -1), (minus, plus, -1)):
                matrix[row, column] += sign * g
            continue
        row = branch.get(element.name)
        if row is not None:
            matrix[plus, row] += 1
            matrix[minus, row] -= 1
            matrix[row, plus] += 1
            matrix[row, minus] -= 1
        if isinstance(element, IndependentSource):
            value = p.get("dc", 0.0)
            if "dc" not in p and element.waveform:
                value = resolve_waveform(element.waveform, p, 1e-6, 1e-3).at(0.0)
            if row is not None:
                right[row] = value
            else:
                right[plus] -= value * element.multiplicity
                right[minus] += value * element.multiplicity
        elif isinstance(element, Controlled):
            gain = p["gain"]
            if element.letter in "eg":
                columns = ((at(element.controls[0]), 1.0), (at(element.controls[1]), -1.0))
            else:
                columns = ((branch[element.controls[0]], 1.0),)
            for column, sign in columns:
                if row is not None:
                    matrix[row, column] -= sign * gain
                else:
                    matrix[plus, column] += sign * gain * element.multiplicity
                    matrix[minus, column] -= sign * gain * element.multiplicity
        elif isinstance(element, Behavioural):
            scope = element.scope

            def current(voltages: dict[str, float], element=element, scope=scope) -> float:
                def lookup(leaf):
                    if isinstance(leaf, Voltage):
                        return voltages.get(leaf.plus, 0.0) - voltages.get(leaf.minus, 0.0)
                    assert isinstance(leaf, Name), not isinstance(leaf, Current)
                    return evaluator.expression(leaf, scope)

                return evaluate(element.expression, lookup, BEHAVIOURAL_FUNCTIONS)

            offset = current({})
            right[plus] -= offset
            right[minus] += offset
            for node, column in index.items():
                slope = current({node: 1.0}) - offset
                matrix[plus, column] += slope
                matrix[minus, column] -= slope
    solution = np.linalg.solve(matrix[:size, :size], right[:size])
    return {node: float(solution[i]) for node, i in index.items()}
