"""The detector of long rises: latches that remember for minutes below what the heart rate has been.

```
above<k> ──┤ not<k> ──► since<k> ⇄ (itself)         "has been below boundary k since the last flag"
              not<k+2> ──┤ step<k> ◄── since<k>     "and is above boundary k + 2 now"
                             step<k> ──► wait1 ─► wait2 ─► … ─► rise ──┤ all since
                                └──┤ idle ──┤ all wait
```
- `not<k>`: always active, silenced by `above<k>`: the heart rate is below boundary k.
- `since<k>`: an attractor that `not<k>` ignites and that holds itself when the heart rate has gone above.
- `step<k>`: a gate. `since<k>` excites it, `not<k+2>` keeps it closed: it opens when the heart rate has crossed the
  boundaries k, k + 1 and k + 2 upwards, however long that took and whatever happened at each of them.
- `wait<i>`: attractors that a gate lights one after the other, each some 1.2 s after the one before; `idle` puts all of
  them out as soon as no gate is open. So a gate must stay open for 5 to 10 s: one beat that is counted twice moves the
  averaged rate by up to 13 bpm, but only for some two seconds.
- `rise`: the flag, lit by the last of them. It puts out all `since`, so that a flag is a short burst and counting
  begins anew from where the heart rate is.

Boundaries are 5 bpm apart. A rise by 20 bpm crosses four of them, and three are enough, so that one lost to jitter or
to a boundary that is off does not matter; an unchanging heart rate must wander by 10 bpm to be flagged. What latches
remember has no time constant: a rise is flagged however slow it is, unless the heart rate falls back in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..network import Input, Network, Population, all_to_all, connect
from ._network import CURRENTS, PULSE, Design, hearing, heart_rate_network, part, weight_current
from ._trim import FRONT

BOUNDARIES = tuple(float(b) for b in range(60, 100, 5))  # bpm
CROSSED = 3  # boundaries, upwards, that make a flag
UNDER, SINCE, STEP, IDLE, WAIT, RISE = 3, 3, 3, 3, 3, 6  # neurons
WAITS = 5  # attractors in a row; on 20 mismatched chips the last one is lit 5.1 to 9.6 s after a gate opens
IGNITE, SELF, GATE, CLOSE, SILENCE, BEGIN, PASS, FLAG, CLEAR = 60, 60, 19, 75, 4, 75, 1, 75, 75  # units of a synapse
APART = 5.0  # s without a spike of `rise` between two flags


def rise_network(
    drives: np.ndarray | None = None,
    *,
    boundaries: int = len(BOUNDARIES),
    currents: Sequence[float] = CURRENTS,
    design: Design | None = None,
) -> Network:
    """The comparisons of the heart-rate network with `boundaries`, and the latches and gates on top of them.

    **Arguments** as for `heart_rate_network`. The input `reset` forgets what the latches remember.
    """
    d = design or Design()
    count = boundaries
    whole = heart_rate_network(count + 1, drives, currents=currents, design=d)
    above = [f"above{k}" for k in range(1, count + 1)]
    compared = part(whole, [*FRONT, *above])
    kinds = compared.population("tonic").synapses
    steady = compared.population("tonic").neuron
    plain = replace(steady, dc=0.0)

    def population(name: str, size: int, neuron) -> Population:
        return Population(name=name, size=size, neuron=neuron, synapses=kinds, pulse=PULSE)

    def to(source: str, target: str, kind: str, pairs: np.ndarray, units: int, times: int = 1):
        return connect(source, target, kind, np.repeat(pairs, times, axis=0), weight_current(units, currents))

    populations, c = [], []
    others = all_to_all(SINCE, SINCE, self_connections=False)
    for k in range(1, count + 1):
        populations += [population(f"not{k}", UNDER, steady), population(f"since{k}", SINCE, plain)]
        c.append(to(f"above{k}", f"not{k}", "GABA_A", hearing(d.above, UNDER, d.above_heard), SILENCE))
        c.append(to(f"not{k}", f"since{k}", "AMPA", all_to_all(UNDER, SINCE), IGNITE))
        c.append(to(f"since{k}", f"since{k}", "AMPA", others, SELF, 2))
        c.append(to("rise", f"since{k}", "GABA_A", all_to_all(RISE, SINCE), CLEAR, 2))
        c.append(to("reset", f"since{k}", "GABA_A", all_to_all(1, SINCE), CLEAR, 2))
    for k in range(1, count + 2 - CROSSED):
        populations.append(population(f"step{k}", STEP, plain))
        c.append(to(f"since{k}", f"step{k}", "AMPA", all_to_all(SINCE, STEP), GATE))
        c.append(to(f"not{k + CROSSED - 1}", f"step{k}", "GABA_A", all_to_all(UNDER, STEP), CLOSE, 2))
        c.append(to(f"step{k}", "idle", "GABA_A", all_to_all(STEP, IDLE), CLOSE, 2))
        c.append(to(f"step{k}", "wait1", "NMDA", all_to_all(STEP, WAIT), BEGIN))
    populations.append(population("idle", IDLE, steady))
    others = all_to_all(WAIT, WAIT, self_connections=False)
    for i in range(1, WAITS + 1):
        populations.append(population(f"wait{i}", WAIT, plain))
        c.append(to(f"wait{i}", f"wait{i}", "AMPA", others, SELF, 2))
        c.append(to("idle", f"wait{i}", "GABA_A", all_to_all(IDLE, WAIT), CLOSE, 2))
        if i > 1:
            c.append(to(f"wait{i - 1}", f"wait{i}", "NMDA", all_to_all(WAIT, WAIT), PASS, 2))
    populations.append(population("rise", RISE, plain))
    c.append(to(f"wait{WAITS}", "rise", "NMDA", all_to_all(WAIT, RISE), FLAG, 2))
    return Network(
        populations=(*compared.populations, *populations),
        inputs=(*compared.inputs, Input(name="reset", size=1)),
        connections=(*compared.connections, *c),
        physics=compared.physics,
    )


def flags(network: Network, time: np.ndarray, neuron: np.ndarray) -> np.ndarray:
    """When one chip flagged a rise (s): the first spike of each burst in which half of the `rise` neurons fired.

    **Arguments** `time`, `neuron`: the chip's spikes.
    """
    first = network.offsets()["rise"]
    mine = (neuron >= first) & (neuron < first + RISE)
    order = np.argsort(time[mine], kind="stable")
    when, who = time[mine][order], neuron[mine][order]
    starts = np.flatnonzero(np.diff(when, prepend=-np.inf) > APART)
    bursts = np.split(np.arange(len(when)), starts[1:]) if len(when) else []
    return np.array([when[b[0]] for b in bursts if len(np.unique(who[b])) >= RISE / 2])
