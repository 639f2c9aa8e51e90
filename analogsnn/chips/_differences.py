"""What two networks do not have in common."""

from __future__ import annotations

import numpy as np

from ..network import DELAYS, SYNAPSE_TYPES, Network, Population

_KINDS = len(SYNAPSE_TYPES) * len(DELAYS) * 2  # of synapses: type, delay, depression
_LISTED = 5  # differing connections that are named, of those there are
TOLERANCE = 0.15  # relative; the largest error of a code that the default limits allow


def differences(asked: Network, realised: Network, *, tolerance: float = TOLERANCE) -> list[str]:
    """Every way in which `realised` is not what was `asked`: one sentence each, none when they are equal.

    Connections must be equal as multisets of (source, index, target, index, type, delay,
    depression). Weights and the quantities
    of populations may differ by `tolerance` (relative); of a population, only types that it receives are compared.
    """
    shapes = [
        f"{what} asked: {', '.join(f'{n} ({s})' for n, s in a)}; realised: {', '.join(f'{n} ({s})' for n, s in b)}."
        for what, a, b in (
            ("Populations", _sizes(asked.populations), _sizes(realised.populations)),
            ("Inputs", _sizes(asked.inputs), _sizes(realised.inputs)),
        )
        if a != b
    ]
    if shapes:
        return shapes
    result = _connection_differences(asked, realised, tolerance)
    for p in asked.populations:
        result.extend(_population_differences(p, realised.population(p.name), _received(asked, p.name), tolerance))
    return result


def _sizes(things) -> list[tuple[str, int]]:
    return [(t.name, t.size) for t in things]


def _received(network: Network, name: str) -> set[str]:
    return {c.synapse for c in network.connections if c.target == name and len(c.pairs)}


def _keys(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """All synapses, sorted: one number each for what must be equal, and the weights (A)."""
    starts = network.offsets()
    starts |= {name: network.size + start for name, start in network.input_offsets().items()}
    count = network.size + sum(i.size for i in network.inputs)
    keys, weights = [np.zeros(0, np.int64)], [np.zeros(0)]
    for c in network.connections:
        ends = (starts[c.source] + c.pairs[:, 0]) * count + starts[c.target] + c.pairs[:, 1]
        kind = (SYNAPSE_TYPES.index(c.synapse) * len(DELAYS) + DELAYS.index(c.delay)) * 2 + c.stp
        keys.append(ends * _KINDS + kind)
        weights.append(c.weight)
    key, weight = np.concatenate(keys), np.concatenate(weights)
    order = np.lexsort((weight, key))
    return key[order], weight[order]


def _connection_differences(asked: Network, realised: Network, tolerance: float) -> list[str]:
    (key, weight), (got, got_weight) = _keys(asked), _keys(realised)
    if np.array_equal(key, got):
        bad = np.flatnonzero(np.abs(got_weight / weight - 1) > tolerance)
        lines = [
            f"Weight of {_words(asked, int(key[k]))}: asked {weight[k]:.4g} A, realised {got_weight[k]:.4g} A."
            for k in bad[:_LISTED]
        ]
        return lines + ([f"… and {len(bad) - _LISTED} more weights."] if len(bad) > _LISTED else [])
    every = np.unique(np.concatenate([key, got]))
    want, have = (np.searchsorted(k, every, "right") - np.searchsorted(k, every, "left") for k in (key, got))
    bad = np.flatnonzero(want != have)
    lines = [
        f"Synapse {_words(asked, int(every[k]))}: asked {want[k]} times, realised {have[k]}." for k in bad[:_LISTED]
    ]
    return lines + ([f"… and {len(bad) - _LISTED} more synapses."] if len(bad) > _LISTED else [])


def _words(network: Network, key: int) -> str:
    ends, kind = divmod(int(key), _KINDS)
    count = network.size + sum(i.size for i in network.inputs)
    names = [f"{t.name}[{k}]" for t in (*network.populations, *network.inputs) for k in range(t.size)]
    source, target = divmod(ends, count)
    kind, stp = divmod(kind, 2)
    synapse, delay = divmod(kind, len(DELAYS))
    late = "" if DELAYS[delay] == "none" else f", {DELAYS[delay]} delay"
    return f"{names[source]}→{names[target]} {SYNAPSE_TYPES[synapse]}{late}{', depressing' if stp else ''}"


def _quantities(p: Population, received: set[str]) -> dict[str, float]:
    n = p.neuron
    values = {"tau": n.tau, "gain": n.gain, "refractory": n.refractory, "threshold": n.threshold, "dc": n.dc}
    if received:
        values["pulse"] = p.pulse
    if n.adaptation is not None:
        values |= {f"adaptation {k}": v for k, v in vars(n.adaptation).items()}
    if n.nmda_gate is not None and "NMDA" in received:
        values["nmda_gate"] = n.nmda_gate
    for kind in sorted(received):
        values |= {f"{kind} tau": p.synapse(kind).tau, f"{kind} gain": p.synapse(kind).gain}
    return values


def _population_differences(asked: Population, realised: Population, received: set[str], tolerance: float):
    a, b = _quantities(asked, received), _quantities(realised, received)
    for key in sorted(a.keys() ^ b.keys()):
        said = "asked for {}, but it is off" if key in a else "was given {}, unasked"
        yield f"Population '{asked.name}' {said.format(key)}."
    for key in sorted(a.keys() & b.keys()):
        if abs(b[key] - a[key]) > tolerance * abs(a[key]):
            yield f"Population '{asked.name}': {key} asked {a[key]:.6g}, realised {b[key]:.6g}."
