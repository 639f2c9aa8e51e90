"""Networks as NIR graphs, the interchange format of neuromorphic tools (https://neuroir.org).

NIR has no adaptive-exponential neuron and no DPI synapse. Written graphs hold leaky integrate-and-fire neurons with our
time constants and weights in ampere, for other tools to read, and all of our parameters as metadata, from which
`read_nir` makes the same network again. Both say what the plain graph cannot hold.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ._file import Defaults
from ._network import Adaptation, Connection, Input, Network, Neuron, Population, Synapse

_KEY = "analogsnn"
_INHIBITORY = ("GABA_A", "GABA_B")


def write_nir(network: Network, path: str | Path) -> list[str]:
    """Write a network; **Returns** one sentence for everything that only our metadata keeps."""
    import nir

    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    for thing in (*network.populations, *network.inputs):
        if "/" in thing.name:
            raise InputError(f"The name '{thing.name}' has a '/', which NIR files cannot hold; rename it.")
    for i in network.inputs:
        nodes[i.name] = nir.Input({"input": np.array([i.size])}, metadata={_KEY: json.dumps({"input": i.size})})
    for p in network.populations:
        one = np.ones(p.size)
        data = {"size": p.size, "neuron": asdict(p.neuron), "pulse": p.pulse, "rate": p.rate}
        data["synapses"] = {kind: asdict(s) for kind, s in p.synapses.items()}
        nodes[p.name] = nir.LIF(
            tau=one * p.neuron.tau, r=one, v_leak=0 * one, v_threshold=one * p.neuron.threshold,
            metadata={_KEY: json.dumps({"population": data})},
        )  # fmt: skip
        nodes[f"{p.name}.out"] = nir.Output({"output": np.array([p.size])})
        edges.append((p.name, f"{p.name}.out"))
    sizes = {t.name: t.size for t in (*network.populations, *network.inputs)}
    for k, c in enumerate(network.connections):
        matrix = np.zeros((sizes[c.target], sizes[c.source]))
        sign = -1.0 if c.synapse in _INHIBITORY else 1.0
        np.add.at(matrix, (c.pairs[:, 1], c.pairs[:, 0]), sign * c.weight)
        data = {"source": c.source, "target": c.target, "synapse": c.synapse, "delay": c.delay, "stp": c.stp}
        data |= {"pairs": c.pairs.tolist(), "weight": c.weight.tolist()}
        name = f"connection{k}"
        nodes[name] = nir.Linear(weight=matrix, metadata={_KEY: json.dumps({"connection": data})})
        edges += [(c.source, name), (name, c.target)]
    metadata: dict[str, Any] = {_KEY: json.dumps({"version": 1})}
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata))
    return list(_lost(network))


def _lost(network: Network):
    yield "NIR has no node for the DPI adaptive-exponential neuron: other tools see leaky integrate-and-fire neurons."
    yield "Gains, refractory periods, synaptic time constants and pulse widths are kept in metadata only."
    for feature, who in (
        ("adaptation", [p.name for p in network.populations if p.neuron.adaptation is not None]),
        ("constant input", [p.name for p in network.populations if p.neuron.dc > 0]),
        ("NMDA gates", [p.name for p in network.populations if p.neuron.nmda_gate is not None]),
    ):
        if who:
            yield f"The {feature} of {', '.join(who)} is kept in metadata only."
    kinds = sorted({c.synapse for c in network.connections})
    if len(kinds) > 1:
        yield f"Synapse types ({', '.join(kinds)}) are kept in metadata only; inhibition is a negative weight."
    if any(c.delay != "none" or c.stp for c in network.connections):
        yield "Delay classes and short-term depression are kept in metadata only."
    if any(len(np.unique(c.pairs, axis=0)) < len(c.pairs) for c in network.connections):
        yield "Several synapses of one pair are one weight, their sum; they are kept apart in metadata only."


def read_nir(
    path: str | Path, *, weight_unit: float | None = None, defaults: Defaults | None = None
) -> tuple[Network, list[str]]:
    """Read a graph, with our metadata where it has them; else as leaky integrate-and-fire neurons.

    **Arguments**

    - `weight_unit` (A): what a weight of 1 is, for graphs of other tools, whose weights have no unit.
    - `defaults`: quantities that a NIR neuron does not have.

    **Returns** the network, and one sentence for everything that was left out or filled in.

    **Raises** `InputError` for files that are no NIR, nodes that a chip of neurons cannot be, and missing units.
    """
    import nir

    try:
        graph = nir.read(path)
    except Exception as error:  # h5py and nir raise many kinds for files that are not theirs
        raise InputError(f"{path}: cannot be read as NIR ({error}).") from None
    if _KEY in graph.metadata:
        return _from_metadata(graph, path), []
    return _from_nodes(graph, path, weight_unit, defaults or Defaults())


def _from_metadata(graph: Any, path: str | Path) -> Network:
    populations, inputs, connections = [], [], []
    try:
        for name, node in graph.nodes.items():
            data = json.loads(node.metadata.get(_KEY, "{}"))
            if "population" in data:
                p = data["population"]
                adaptation = p["neuron"].pop("adaptation")
                neuron = Neuron(**p["neuron"], adaptation=None if adaptation is None else Adaptation(**adaptation))
                synapses = {kind: Synapse(**s) for kind, s in p["synapses"].items()}
                populations.append(
                    Population(
                        name=name, size=p["size"], neuron=neuron, synapses=synapses, pulse=p["pulse"], rate=p["rate"]
                    )
                )
            elif "input" in data:
                inputs.append(Input(name=name, size=data["input"]))
            elif "connection" in data:
                connections.append((int(name.removeprefix("connection")), Connection(**data["connection"])))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: its analogsnn metadata cannot be read ({error!r}); write it again.") from None
    ordered = tuple(c for _, c in sorted(connections, key=lambda item: item[0]))
    return Network(populations=tuple(populations), inputs=tuple(inputs), connections=ordered)


def _from_nodes(
    graph: Any, path: str | Path, weight_unit: float | None, defaults: Defaults
) -> tuple[Network, list[str]]:
    import nir

    populations, inputs, problems, notes = [], [], [], []
    weights: dict[str, np.ndarray] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input):
            inputs.append(Input(name=name, size=int(np.prod(node.input_type["input"]))))
        elif isinstance(node, nir.LIF | nir.CubaLIF):
            tau = np.unique(node.tau if isinstance(node, nir.LIF) else node.tau_mem)
            if len(tau) > 1:
                problems.append(f"node '{name}' has {len(tau)} time constants; split it into populations of one each.")
                continue
            neuron, synapses = replace(defaults.neuron, tau=float(tau[0])), {}
            if isinstance(node, nir.CubaLIF):
                syn = np.unique(node.tau_syn)
                if len(syn) > 1:
                    problems.append(f"node '{name}' has {len(syn)} synaptic time constants; split it.")
                    continue
                synapses = {kind: Synapse(tau=float(syn[0])) for kind in ("AMPA", "GABA_B")}
            populations.append(Population(name=name, size=int(node.v_threshold.size), neuron=neuron, synapses=synapses))
        elif isinstance(node, nir.Linear | nir.Affine):
            weights[name] = np.atleast_2d(node.weight)
            if isinstance(node, nir.Affine) and np.any(node.bias != 0):
                problems.append(f"node '{name}' has a bias; give it as the constant input of a population.")
        elif not isinstance(node, nir.Output):
            problems.append(
                f"node '{name}' is a {type(node).__name__}; LIF, CubaLIF, Linear, Affine, Input, Output are read."
            )
    if weights and weight_unit is None:
        problems.append("its weights have no unit; say what a weight of 1 is, as in --weight-unit '1 nA'.")
    sizes = {t.name: t.size for t in (*populations, *inputs)}
    connections = []
    for name, matrix in weights.items():
        for source in (a for a, b in graph.edges if b == name):
            for target in (b for a, b in graph.edges if a == name):
                if source not in sizes or target not in sizes:
                    problems.append(
                        f"node '{name}' joins '{source}' to '{target}', which are not both neurons or inputs."
                    )
                elif matrix.shape != (sizes[target], sizes[source]):
                    shape = (sizes[target], sizes[source])
                    problems.append(f"node '{name}' has weights {matrix.shape}; '{source}'→'{target}' needs {shape}.")
                else:
                    connections += _signed(source, target, matrix * (weight_unit or 1.0))
    for a, b in graph.edges:
        if a in sizes and b in sizes:
            problems.append(f"'{a}' and '{b}' are joined without a weight; put a Linear node between them.")
    if problems:
        raise InputError("\n".join(f"{path}: {p}" for p in problems))
    notes.append("Neurons became DPI adaptive-exponential ones with the graph's time constants; thresholds, resets and "
                 "resistances were left out, everything else is the default.")  # fmt: skip
    if any(c.synapse == "GABA_B" for c in connections):
        notes.append("Negative weights became synapses of type GABA_B (subtractive).")
    return Network(populations=tuple(populations), inputs=tuple(inputs), connections=tuple(connections)), notes


def _signed(source: str, target: str, matrix: np.ndarray) -> list[Connection]:
    result = []
    for kind, part in (("AMPA", matrix), ("GABA_B", -matrix)):
        post, pre = np.nonzero(part > 0)
        if len(post):
            pairs = np.stack([pre, post], axis=1)
            result.append(Connection(source=source, target=target, synapse=kind, pairs=pairs, weight=part[post, pre]))
    return result
