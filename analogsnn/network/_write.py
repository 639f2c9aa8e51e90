"""A network as the text of a network file (see `_file`), so that it can be compiled for another chip."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np

from ._network import Connection, Network, Population


def network_text(network: Network, comment: str = "") -> str:
    """The TOML that `read_network` reads back as the same populations, inputs and connections.

    Every pair and weight is written out. The physics is not part of a network file: it is the chip's.
    """
    lines = [f"# {line}" for line in comment.splitlines()]
    for p in network.populations:
        lines += ["", f"[population.{json.dumps(p.name)}]", *_population(p)]
    for i in network.inputs:
        lines += ["", f"[input.{json.dumps(i.name)}]", f"size = {i.size}"]
    for c in network.connections:
        for part in _distinct(c):
            lines += ["", "[[connection]]", *part]
    return "\n".join(lines).lstrip("\n") + "\n"


def _population(p: Population) -> list[str]:
    neuron = {k: v for k, v in asdict(p.neuron).items() if v is not None}
    lines = [f"size = {p.size}", f"neuron = {_inline(neuron)}"]
    if p.synapses:
        lines.append(f"synapses = {_inline({kind: asdict(s) for kind, s in p.synapses.items()})}")
    lines.append(f"pulse = {float(p.pulse)!r}")
    return lines + ([] if p.rate is None else [f"rate = {float(p.rate)!r}"])


def _distinct(c: Connection) -> list[list[str]]:
    """A file names a pair once a connection: pairs that stand several times go to several connections."""
    parts = []
    rest = np.arange(len(c.pairs))
    while len(rest):
        _, first = np.unique(c.pairs[rest], axis=0, return_index=True)
        here = rest[np.sort(first)]
        rest = np.setdiff1d(rest, here)
        weights = [float(w) for w in c.weight[here]]
        same = len(set(weights)) == 1
        lines = [
            f"source = {json.dumps(c.source)}",
            f"target = {json.dumps(c.target)}",
            f'synapse = "{c.synapse}"',
            f"weight = {weights[0] if same else weights!r}",
            f"pattern = {{ pairs = {c.pairs[here].tolist()} }}",
        ]
        lines += [f'delay = "{c.delay}"'] if c.delay != "none" else []
        lines += ["stp = true"] if c.stp else []
        lines += (
            ["self_connections = true"] if c.source == c.target and np.any(np.diff(c.pairs[here])[:, 0] == 0) else []
        )
        parts.append(lines)
    return parts


def _inline(table: dict) -> str:
    cells = [f"{k} = {_inline(v) if isinstance(v, dict) else repr(float(v))}" for k, v in table.items()]
    return "{ " + ", ".join(cells) + " }"
