"""Which states share a phase: a neuron and what locks to it, a synapse and the node that drives it.

A block is an instance of the deepest subcircuit that holds a capacitor of its own (a neuron, a synapse; an inverter or a
bias diode is part of what it hangs on). A node belongs to the block whose capacitance it carries most of.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..circuit import Circuit, element_values, evaluator
from ..devices import capacitances
from ..errors import InputError


def chosen_blocks(circuit: Circuit, blocks: Mapping[str, str | int] | None) -> tuple[int, ...]:
    """The block of each state, `[state]`: the default, or that with the nodes in `blocks` moved."""
    return default_blocks(circuit) if blocks is None else given_blocks(circuit, blocks)


def default_blocks(circuit: Circuit) -> tuple[int, ...]:
    """The block of each state, `[state]`, numbered in the order of the states, from the deck's own capacitances."""
    topology = circuit.topology
    values = element_values(topology, evaluator({"temp": float(circuit.netlist.temperature)}))
    holders = {e.name.rpartition(".")[0] for e in topology.capacitors}
    holders |= {e.name.rpartition(".")[0] for e in topology.resistors if e.name.count(".")}
    names = sorted(holders) or [""]
    number = {name: i for i, name in enumerate(names)}

    def block(element: str) -> int | None:
        path = element
        while path:
            path = path.rpartition(".")[0]
            if path in number:
                return number[path]
        return None

    share = np.zeros((len(topology.nodes) + 1, len(names)))
    for element, nodes, value in zip(
        topology.capacitors, topology.capacitor_nodes, np.asarray(values.capacitance, dtype=float), strict=True
    ):
        home = block(element.name)
        if home is not None:
            share[nodes, home] += value
    if topology.fets:
        card = {key: np.asarray(value, dtype=float) for key, value in values.card.items()}
        sizes = {key: np.asarray(value, dtype=float) for key, value in values.instance.items()}
        at = {"d": 0, "g": 1, "s": 2, "b": 3}
        for pair, farads in capacitances(card, sizes).items():
            for fet, nodes, value in zip(topology.fets, topology.fet_nodes, farads, strict=True):
                home = block(fet.name)
                if home is not None:
                    share[nodes[[at[pair[0]], at[pair[1]]]], home] += value
    of_state = (topology.kcl > 0) @ share[:-1]
    chosen = [int(row.argmax()) if row.max() > 0 else len(names) + i for i, row in enumerate(of_state)]
    return renumbered(chosen)


def given_blocks(circuit: Circuit, blocks: Mapping[str, str | int]) -> tuple[int, ...]:
    """The block of each state from a block's name by node; nodes that are not named keep their default.

    **Raises** `InputError` for a node that is no state.
    """
    names = circuit.topology.state_names
    chosen: list[object] = list(default_blocks(circuit))
    for node, block in blocks.items():
        if node.lower() not in names:
            raise InputError(f"blocks names node '{node}', which is no state; there are {', '.join(names[:8])} ….")
        chosen[names.index(node.lower())] = f"given {block}"
    return renumbered(chosen)


def renumbered(labels: list) -> tuple[int, ...]:
    """Labels → numbers in the order of their first use."""
    first = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return tuple(first[label] for label in labels)
