"""The small networks that the tests of this room share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from analogsnn.network import (
    SYNAPSE_TYPES,
    Events,
    Input,
    Network,
    Neuron,
    Population,
    Synapse,
    all_to_all,
    connect,
    one_to_one,
)

NOTHING = Events(np.empty(0), np.empty(0, int))
DRIVEN = Neuron(tau=20e-3, gain=20.0, refractory=5e-3, threshold=200e-12, dc=30e-12)  # some 19 Hz by its own input


def fed(
    size: int,
    kind: str = "AMPA",
    weight: ArrayLike = 1e-9,
    *,
    neuron: Neuron = DRIVEN,
    synapse: Synapse | None = None,
    pairs: ArrayLike | None = None,
    pulse: float = 10e-6,
    delay: str = "none",
    stp: bool = False,
) -> Network:
    """`size` neurons "p" and as many input channels "i", joined one to one unless `pairs` say otherwise."""
    joined = one_to_one(size) if pairs is None else pairs
    synapses = {kind: synapse or Synapse(tau=20e-3, gain=2.0)}
    return Network(
        populations=(Population(name="p", size=size, neuron=neuron, synapses=synapses, pulse=pulse),),
        inputs=(Input(name="i", size=size),),
        connections=(connect("i", "p", kind, joined, weight, delay, stp=stp),),
    )


def recurrent(
    excitatory: int,
    neuron: Neuron,
    inhibitory: Neuron,
    *,
    nmda: float,
    inputs: ArrayLike,
) -> Network:
    """Excitatory neurons "e" and two inhibitory "i" in loops, all four types, two input channels "x" onto "e"."""
    synapses = {k: Synapse(tau=15e-3, gain=2.0) for k in SYNAPSE_TYPES}
    n = excitatory
    return Network(
        populations=(
            Population(name="e", size=n, neuron=neuron, synapses=synapses, pulse=100e-6),
            Population(name="i", size=2, neuron=replace(inhibitory, dc=25e-12), synapses=synapses, pulse=100e-6),
        ),
        inputs=(Input(name="x", size=2),),
        connections=(
            connect("e", "e", "NMDA", all_to_all(n, n, self_connections=False), nmda),
            connect("e", "i", "AMPA", all_to_all(n, 2), 8e-9),
            connect("i", "e", "GABA_A", all_to_all(2, n), 10e-9),
            connect("i", "i", "GABA_B", all_to_all(2, 2, self_connections=False), 10e-9),
            connect("x", "e", "AMPA", inputs, 20e-9),
        ),
    )
