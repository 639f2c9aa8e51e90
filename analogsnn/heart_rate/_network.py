"""The heart-rate network: from level crossings to the zone of the heart rate, within one core of a chip.

Inspired by De Luca, Tincani, Indiveri, Donati, npj Unconventional Computing 2025 (DOI 10.1038/s44335-025-00024-6) and
by the precursor of Carpegna et al. (arXiv 2409.02618); zones, sizes, wiring and metrics are ours.

```
level ─► edge ─► beat ─► rate1 ─► rate2 ─► above1 … aboveK-1 ─► zone0 … zoneK-1 ⇄ rival0 … rivalK-1
                   │       │                   ▲     ┴               ┴
                   │       └───────────────────┼─► under1 … underK-1 ┘
                   └────── quench ─────────────┤◄── tonic
```
- `edge`: 12 neurons; the events of one upstroke drive each over its threshold once, adaptation forbids a second spike.
- `beat`: 6 neurons; a majority of the edges within some 15 ms makes each fire, once a heartbeat. A beat shunts all
  edges for some 0.3 s, so that a slow upstroke or a tall dicrotic wave counts once even where adaptation is short.
- `rate1`, `rate2`: slow NMDA-type synapses (1.25 s) average the beats; two stages, the synapse onto `above` and the one
  onto the zones average over about five seconds, which no single time constant that the chip reaches would do.
- `above<k>`: fires together when the averaged rate, as excitation, exceeds the constant inhibition from `tonic`, which
  happens at boundary k. Self-excitation makes the step steep; every beat quenches it, so that it decides anew and
  keeps no memory of its last decision.
- `under<k>`: a gate, driven by `rate1` and silenced by `above<k>`: there are beats, and fewer than boundary k asks for.
- `zone<k>`: an attractor a zone, holding itself by self-excitation, excited by `above<k>` (the lowest by `under1`),
  vetoed by `above<k+1>` and by `under<k>`; its inhibitory partners `rival<k>` keep the other zones silent. Without
  beats no gate is open: the zone is held.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import InputError
from ..network import (
    Adaptation,
    Connection,
    Input,
    Network,
    Neuron,
    Population,
    Synapse,
    all_to_all,
    connect,
)

# One pulse carries the charge weight · PULSE; four weight currents a core, in units of the smallest.
PULSE = 50e-6
UNITS = (1, 3, 15, 60)
CURRENTS = tuple(0.6e-9 * u for u in UNITS)
# Which totals two synapses can have whose weights are sums of the two smallest currents (1, 3, 4 units).
DRIVES = (2, 4, 5, 6, 7, 8, 16, 18, 19, 20, 22, 23, 30, 31, 33, 34, 36, 38, 61, 64, 79)
_TWO = {a + b: (a, b) for a in (1, 3, 4, 15, 16, 18, 19, 60) for b in (1, 3, 4, 15, 16, 18, 19)}


@dataclass(frozen=True, kw_only=True)
class Design:
    """Sizes and weights of the network; weights in units of the smallest weight current.

    `zone_partners`, `rival_partners`, `above_heard` and `zone_heard` are the sources that a target hears of a
    population (the partners of one's own kind, of the rivals, of `above<k>`, of a zone): with other sizes than these a
    target keeps as many synapses, from some of the sources or from each several times. See `sized`.
    """

    edge: int = 12
    beat: int = 6
    rate: int = 8
    tonic: int = 6
    above: int = 8
    zone: int = 9
    rival: int = 3
    level_weight: tuple[int, ...] = (75, 15)
    edge_weight: int = 75
    refractory_weight: tuple[int, ...] = (19, 19)
    beat_weight: tuple[int, ...] = (60, 60)
    relay_weight: tuple[int, ...] = (4, 1)
    above_self: tuple[int, ...] = (15, 15)
    quench: int = 75
    tonic_weight: tuple[int, ...] = (4, 1)
    dc: float = 30e-12
    above_zone: tuple[int, ...] = (19, 19)
    veto: tuple[int, ...] = (15,)
    under: int = 4
    under_drive: int = 75
    under_shut: tuple[int, ...] = (15, 15)
    under_veto: int = 15
    lowest_drive: int = 60
    zone_self: tuple[int, ...] = (60,)
    zone_partners: int = 4
    above_heard: int = 8
    zone_heard: int = 9
    zone_rival: int = 60
    rival_zone: tuple[int, ...] = (15,)
    rival_partners: int = 3
    neuron: Neuron = field(
        default_factory=lambda: Neuron(tau=20e-3, gain=20.0, refractory=12e-3, threshold=200e-12, dc=0.0)
    )
    adaptation: Adaptation = field(
        default_factory=lambda: Adaptation(tau=70e-3, weight=250e-9, gain=70.0, pulse=100e-6)
    )
    ampa: Synapse = field(default_factory=lambda: Synapse(tau=15e-3, gain=1.0))
    nmda: Synapse = field(default_factory=lambda: Synapse(tau=1.25, gain=1.0))
    gaba_a: Synapse = field(default_factory=lambda: Synapse(tau=0.3, gain=3.0))
    gaba_b: Synapse = field(default_factory=lambda: Synapse(tau=26e-3, gain=24.0))


def sized(size: int, design: Design | None = None) -> Design:
    """The design with `size` neurons in every `above<k>` and every zone; what each neuron hears stays as much."""
    return replace(design or Design(), above=size, zone=size)


def check_zones(boundaries: Sequence[float]) -> tuple[float, ...]:
    """Zone boundaries in bpm: at least one, finite, positive, ascending and at least 1 bpm apart."""
    b = tuple(float(x) for x in boundaries)
    text = ", ".join(f"{x:g}" for x in b)
    if not b:
        raise InputError("There are no zone boundaries; give at least one, in bpm, as in --zones 60,75,90,105.")
    if not all(np.isfinite(b)) or min(b) < 35 or max(b) > 180:
        raise InputError(f"The zone boundaries are {text} bpm; they must lie between 35 and 180 bpm.")
    if any(y - x < 1 for x, y in itertools.pairwise(b)):
        raise InputError(f"The zone boundaries are {text} bpm; they must ascend by at least 1 bpm.")
    return b


def heart_rate_network(
    zones: int,
    drives: np.ndarray | None = None,
    *,
    currents: Sequence[float] = CURRENTS,
    design: Design | None = None,
) -> Network:
    """The network for `zones` zones.

    **Arguments**

    - `drives`: int array [zones - 1, above, rate], one of `DRIVES`: how strongly each neuron of `rate2` drives each
      neuron of `above<k>`, in units. This is where a chip is trimmed; by default all are 4.
    - `currents`: the four weight currents (A), asked for or as the chip realises them.
    """
    d = design or Design()
    if drives is None:
        drives = np.full((zones - 1, d.above, d.rate), 4)
    kinds = {"AMPA": d.ampa, "NMDA": d.nmda, "GABA_A": d.gaba_a, "GABA_B": d.gaba_b}
    adapting = replace(d.neuron, adaptation=d.adaptation)

    steady = replace(d.neuron, dc=d.dc)

    def population(name: str, size: int, neuron: Neuron = d.neuron) -> Population:
        return Population(name=name, size=size, neuron=neuron, synapses=kinds, pulse=PULSE)

    def units(source: str, target: str, kind: str, pairs: np.ndarray, *weights: int) -> list[Connection]:
        """A synapse of its own for each weight, given in units."""
        return [connect(source, target, kind, pairs, weight_current(u, currents)) for u in weights]

    populations = [population("edge", d.edge, adapting), population("beat", d.beat, adapting)]
    populations += [population("rate1", d.rate), population("rate2", d.rate)]
    populations += [population("tonic", d.tonic, steady)]
    populations += [population(f"above{k}", d.above) for k in range(1, zones)]
    populations += [population(f"under{k}", d.under) for k in range(1, zones)]
    populations += [population(f"zone{k}", d.zone) for k in range(zones)]
    populations += [population(f"rival{k}", d.rival) for k in range(zones)]
    c = [
        *units("level", "edge", "AMPA", all_to_all(1, d.edge), *d.level_weight),
        *units("edge", "beat", "AMPA", all_to_all(d.edge, d.beat), d.edge_weight),
        *units("beat", "edge", "GABA_A", all_to_all(d.beat, d.edge), *d.refractory_weight),
        *units("beat", "rate1", "NMDA", all_to_all(d.beat, d.rate), *d.beat_weight),
        *units("rate1", "rate2", "NMDA", all_to_all(d.rate, d.rate), *d.relay_weight),
        *units("under1", "zone0", "AMPA", all_to_all(d.under, d.zone), d.lowest_drive),
    ]
    for k in range(1, zones):
        above = f"above{k}"
        c.append(drive(above, drives[k - 1], currents))
        c += units(above, above, "AMPA", hearing(d.above, d.above, d.above_heard), *d.above_self)
        c += units("tonic", above, "GABA_A", all_to_all(d.tonic, d.above), *d.tonic_weight)
        c += units("beat", above, "GABA_B", all_to_all(d.beat, d.above), d.quench)
        c += units(above, f"zone{k}", "NMDA", hearing(d.above, d.zone, d.above_heard), *d.above_zone)
        c += units(above, f"zone{k - 1}", "GABA_B", hearing(d.above, d.zone, d.above_heard), *d.veto)
        under = f"under{k}"
        c += units("rate1", under, "AMPA", all_to_all(d.rate, d.under), d.under_drive)
        c += units(above, under, "GABA_A", hearing(d.above, d.under, d.above_heard), *d.under_shut)
        c += units(under, f"zone{k}", "GABA_B", all_to_all(d.under, d.zone), d.under_veto)
    generator = np.random.default_rng(0)  # which partners: part of the design, the same on every chip

    def some(n_source: int, n_target: int, count: int) -> np.ndarray:
        if count > n_source:
            return hearing(n_source, n_target, count)
        return np.array([(i, j) for j in range(n_target) for i in generator.choice(n_source, count, replace=False)])

    for k in range(zones):
        c += units(f"zone{k}", f"zone{k}", "AMPA", some(d.zone, d.zone, d.zone_partners), *d.zone_self)
        c += units(f"zone{k}", f"rival{k}", "AMPA", hearing(d.zone, d.rival, d.zone_heard), d.zone_rival)
        for other in range(zones):
            if other != k:
                pairs = some(d.rival, d.zone, d.rival_partners)
                c += units(f"rival{k}", f"zone{other}", "GABA_B", pairs, *d.rival_zone)
    return Network(populations=tuple(populations), inputs=(Input(name="level", size=1),), connections=tuple(c))


def hearing(n_source: int, n_target: int, count: int) -> np.ndarray:
    """Pairs in which every target hears `count` times of the sources, in turn: each once where there are as many."""
    if count == n_source:
        return all_to_all(n_source, n_target)
    target, turn = np.indices((n_target, count))
    return np.stack([(target * count + turn).ravel() % n_source, target.ravel()], axis=1)


def weight_current(units: int, currents: Sequence[float] = CURRENTS) -> float:
    """The sum of weight currents (A) that stands for a weight in units: 75 is 60 + 15."""
    total, rest = 0.0, units
    for unit, current in sorted(zip(UNITS, currents, strict=True), reverse=True):
        if unit <= rest:
            total, rest = total + current, rest - unit
    if rest:
        raise InputError(f"A weight of {units} units is no sum of different ones of {UNITS}.")
    return total


def drive(above: str, drives: np.ndarray, currents: Sequence[float] = CURRENTS) -> Connection:
    """`rate2` → `above`, two synapses a pair whose units sum up to `drives` [above, rate]."""
    target, source = np.indices(drives.shape)
    two = np.array([_TWO[int(x)] for x in drives.ravel()])
    pairs = np.repeat(np.stack([source.ravel(), target.ravel()], axis=1), 2, axis=0)
    weight = [weight_current(int(u), currents) for u in two.ravel()]
    return connect("rate2", above, "NMDA", pairs, weight)


def part(network: Network, populations: Sequence[str], inputs: Sequence[Input] = ()) -> Network:
    """Some populations of a network, with the connections among them and from `inputs`.

    An input that bears the name of a population stands in for it, so that its recorded spikes can drive the part.
    """
    kept = set(populations)
    sources = kept | {i.name for i in (*network.inputs, *inputs)}
    return Network(
        populations=tuple(p for p in network.populations if p.name in kept),
        inputs=tuple(inputs) or network.inputs,
        connections=tuple(c for c in network.connections if c.target in kept and c.source in sources),
        physics=network.physics,
    )


def spread(means: np.ndarray, sources: int) -> np.ndarray:
    """Drives [above, rate], each of `DRIVES`: each neuron's mean is as near to `means` [above] as they allow."""
    levels = np.array(DRIVES)
    means = np.clip(np.asarray(means, float), levels[0], levels[-1])
    lower = np.minimum(np.searchsorted(levels, means, side="right") - 1, len(levels) - 2)
    low, high = levels[lower], levels[lower + 1]
    count = np.rint(sources * (means - low) / (high - low))
    # Which sources get the higher drive differs from neuron to neuron, so that no source dominates.
    turn = (np.arange(sources)[None, :] + np.arange(len(means))[:, None]) % sources
    return np.where(turn < count[:, None], high[:, None], low[:, None])


def nudged(drives: np.ndarray, factor: float) -> np.ndarray:
    """Drives [above, rate] with every neuron's sum multiplied by a factor near one, as few of them changed as can be.

    Sources differ as well: another mixture of the same sum would move a neuron by several per cent.
    """
    levels = np.array(DRIVES)
    nudged = np.array(drives)
    missing = 0.0  # a neuron's rounding is made up for by the next
    for neuron, row in enumerate(nudged):
        missing += row.sum() * (factor - 1)
        while True:
            at = np.searchsorted(levels, row) + (1 if missing > 0 else -1)
            step = np.where((at >= 0) & (at < len(levels)), levels[np.clip(at, 0, len(levels) - 1)] - row, np.inf)
            step = np.where(np.abs(step) < abs(missing) + 0.5, np.abs(step), 0)
            turned = np.roll(step, -neuron)
            if not turned.any():
                break
            which = (int(turned.argmax()) + neuron) % len(row)
            row[which] = levels[at[which]]
            missing -= np.copysign(step[which], missing)
    return nudged
