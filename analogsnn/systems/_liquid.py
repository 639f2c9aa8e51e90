"""A random liquid on one core, its branching parameter, and what a linear readout could make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..chips import Mapping, compile, load_chip, nearest_code
from ..network import (
    Adaptation,
    Events,
    Input,
    Mismatch,
    Network,
    Neuron,
    Population,
    Spikes,
    Synapse,
    connect,
    one_to_one,
    simulate,
)
from ..network import lanes as devices_of
from ._on_chips import CHIP, counted, played

NEURONS, FAN_IN = 128, 12
REST = 2.5e-9  # A: about the smaller of the two currents that every recurrent synapse selects
LEAST = 8e-9  # A: the smallest weight that the homeostat may ask for
STRONG, WEAK = 400e-9, 20e-9  # A: an event that makes its neuron fire, and one of the background
BACKGROUND = 40.0  # Hz a channel of the background
NOISE = 32  # channels of it, each heard by four neurons
TOGETHER, ENOUGH = 4, 32  # neurons that are made to fire at once; spikes after which a beginning is over
BIN, GENERATIONS = 4e-3, 5  # s; a generation, and how many are looked at
APART = 0.15  # s between two beginnings
AFTER = 48e-3  # s from the beginning of an input of four volleys to its end
DT = 2e-4


def liquid(weight: float, seed: int = 0) -> Network:
    """The network with `weight` (A) for all its recurrent synapses; who is joined is the same on every chip."""
    generator = np.random.default_rng(seed)
    pairs = [
        (i, j)
        for j in range(NEURONS)
        for i in generator.choice(np.delete(np.arange(NEURONS), j), FAN_IN, replace=False)
    ]
    heard = np.stack([np.arange(NEURONS) % NOISE, np.arange(NEURONS)], axis=1)
    cells = Population(
        name="liquid",
        size=NEURONS,
        pulse=200e-6,
        neuron=Neuron(
            tau=10e-3,
            gain=2.0,
            refractory=10e-3,
            threshold=200e-12,
            adaptation=Adaptation(tau=50e-3, weight=100e-9, gain=4.0, pulse=100e-6),
        ),
        synapses={"AMPA": Synapse(tau=3e-3, gain=0.2)},
    )
    return Network(
        populations=(cells,),
        inputs=(Input(name="starter", size=NEURONS), Input(name="background", size=NOISE)),
        connections=(
            connect("liquid", "liquid", "AMPA", np.array(pairs), weight),
            connect("starter", "liquid", "AMPA", one_to_one(NEURONS), STRONG),
            connect("background", "liquid", "AMPA", heard, WEAK),
        ),
    )


def compiled(weight: float) -> Mapping:
    """The liquid on a chip. Every recurrent synapse selects two currents: the code nearest to `weight` less `REST`, and
    the code nearest to what is missing, which is in a finer range of the generator (steps of 17 pA instead of 140)."""
    chip = load_chip(CHIP)
    base = nearest_code(chip, chip.synapse.weight.currents[0], weight - REST).realised
    return compile(liquid(weight), CHIP, cores=1, weight_currents=(base, weight - base, STRONG, WEAK))


def weight_of(mapping: Mapping) -> float:
    """The recurrent weight (A) that a chip really has."""
    (own,) = (c for c in mapping.network.connections if c.source == c.target)
    return float(own.weight[0])


def ran(mappings: list[Mapping], chips: list[Mismatch], started: Events, duration: float, seed: int) -> Spikes:
    """One lane for each mapping and chip, each with a background of its own."""
    generator, lanes = np.random.default_rng(seed), len(mappings)
    count = generator.poisson(BACKGROUND * NOISE * duration, lanes)
    lane = np.tile(np.arange(lanes)[:, None], len(started.time)).ravel() if started.lane is None else started.lane
    each = 1 if started.lane is not None else lanes
    time = np.concatenate([np.tile(started.time, each), generator.uniform(0, duration, count.sum())])
    heard = NEURONS + generator.integers(NOISE, size=count.sum())
    channel = np.concatenate([np.tile(started.channel, each), heard])
    lane = np.concatenate([lane, np.repeat(np.arange(lanes), count)])
    order = np.argsort(time, kind="stable")
    events = Events(time[order], channel[order], lane[order])
    return simulate(devices_of([m.network for m in mappings], chips), events, duration, dt=DT)


def beginnings(count: int, lanes: int, seed: int) -> tuple[Events, float]:
    """`TOGETHER` random neurons made to fire every `APART`, others in each lane, and how long that takes (s)."""
    ranked = np.random.default_rng(seed).random((count, lanes, NEURONS)).argsort(axis=-1)
    channel = ranked[..., :TOGETHER].ravel()
    time = np.repeat(APART * (np.arange(count) + 0.3), lanes * TOGETHER)
    lane = np.tile(np.repeat(np.arange(lanes), TOGETHER), count)
    return Events(time, channel, lane), APART * count


@dataclass(frozen=True)
class Descent:
    """Spikes of beginnings, each [lane]: `descendants`, `ancestors`, and the `number` of beginnings that counted."""

    descendants: np.ndarray
    ancestors: np.ndarray
    number: np.ndarray

    @property
    def sigma(self) -> np.ndarray:
        """The branching parameter [lane]: descendants for each ancestor. Infinite where the network is never silent."""
        return np.where(self.number > 0, self.descendants / np.maximum(self.ancestors, TOGETHER), np.inf)

    @property
    def deficit(self) -> np.ndarray:
        """By how many spikes the descendants of a beginning fall short of its ancestors [lane]."""
        missing = (self.ancestors - self.descendants) / np.maximum(self.number, 1)
        return np.where(self.number > 0, missing, -np.inf)


def descent(spikes: Spikes, count: int, lanes: int, *, bin: float = BIN) -> Descent:
    """What comes of `count` beginnings: descendants are the spikes of generations 1 to 5, ancestors those of 0 to 4.

    Generation 0 are the `TOGETHER` neurons that are made to fire; later ones are bins of `bin` (s), less what fires in
    the same bins when nobody is made to. Only beginnings count before which the network was silent for five bins, and
    only until a quarter of the neurons have fired: in steady activity the ratio of successive bins would be one for
    any network, and an explosion ends when nobody is left to fire.
    """
    start = APART * (np.arange(count) + 0.3)
    made, quiet = _generations(spikes, start, lanes, bin)
    alone, still = _generations(spikes, start + 0.5 * APART, lanes, bin)
    made[..., 1] += made[..., 0] - TOGETHER  # who fires at once although nobody made it
    made[..., 0] = TOGETHER
    alone[..., 1] += alone[..., 0]
    alone[..., 0] = 0.0
    descendants, ancestors, number = np.zeros((3, lanes))
    for lane in range(lanes):
        mine, other = made[lane, quiet[lane]], alone[lane, still[lane]]
        if len(mine) >= 3 and len(other) >= 3:
            young = np.cumsum(mine, axis=-1)[:, :-1] < ENOUGH
            mine = mine - other.mean(axis=0)
            descendants[lane], ancestors[lane] = mine[:, 1:][young].sum(), mine[:, :-1][young].sum()
            number[lane] = len(mine)
    return Descent(descendants, ancestors, number)


def summed(parts: Sequence[Descent]) -> Descent:
    """All beginnings of several runs."""
    return Descent(*(np.sum([getattr(p, f) for p in parts], axis=0) for f in ("descendants", "ancestors", "number")))


def uncertainty(parts: Sequence[Descent]) -> np.ndarray:
    """Standard error [lane] of the branching parameter of all `parts` together, by leaving each out (the jackknife)."""
    left = np.array([summed([*parts[:k], *parts[k + 1 :]]).sigma for k in range(len(parts))])
    return np.sqrt((len(parts) - 1) * left.var(axis=0))


def _generations(spikes: Spikes, start: np.ndarray, lanes: int, bin: float) -> tuple[np.ndarray, np.ndarray]:
    """Spikes by generation [lane, beginning, generation] from `start` (s), and whether it was silent before."""
    edges = (start[:, None] + bin * np.arange(-5, GENERATIONS + 2)).ravel()
    per = counted(spikes, np.append(edges, edges[-1] + 1), lanes, NEURONS).sum(axis=1)
    per = per.reshape(lanes, len(start), GENERATIONS + 7)[..., :-1].astype(float)
    return per[..., 5:], per[..., :5].sum(axis=-1) <= 1


def ranks(spikes: Spikes, patterns: int, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rank of the states [lane] after `patterns` different inputs, and after as many jittered copies of one.

    A state is what each neuron fires within 0.1 s from the end of the input.
    """
    start = 2 * APART * np.arange(2 * patterns)
    edges = np.sort(np.concatenate([start + AFTER, start + AFTER + 0.1]))
    states = counted(spikes, edges, lanes, NEURONS)[:, :, ::2].reshape(lanes, NEURONS, 2, patterns)
    return tuple(np.array([_rank(s[:, k]) for s in states]) for k in (0, 1))  # type: ignore[return-value]


def _rank(states: np.ndarray) -> int:
    """Singular values above that of a single spike: what one spike of noise cannot make."""
    return int(np.sum(np.linalg.svd(states, compute_uv=False) > 1.0))


def patterned(patterns: int, seed: int) -> tuple[Events, float]:
    """First `patterns` different inputs of four volleys each, then as many copies of one, jittered by 2 ms."""
    generator = np.random.default_rng(seed)
    times, channels = [], []
    same = None
    for k in range(2 * patterns):
        volleys = [generator.choice(NEURONS, TOGETHER, replace=False) for _ in range(4)]
        same = volleys if same is None else same
        for v, chosen in enumerate(volleys if k < patterns else same):
            jitter = 0.0 if k < patterns else 2e-3 * generator.standard_normal(TOGETHER)
            times.append(2 * APART * k + 10e-3 + 10e-3 * v + jitter + np.zeros(TOGETHER))
            channels.append(chosen)
    return played(np.concatenate(times), np.concatenate(channels)), 2 * APART * 2 * patterns


def memory(spikes: Spikes, bits: np.ndarray, step: float, lanes: int, longest: int = 8) -> np.ndarray:
    """Memory capacity [lane]: R² of ridge reconstructions of the input, summed over delays of 1 to `longest` steps."""
    counts = counted(spikes, step * np.arange(len(bits) + 1), lanes, NEURONS).astype(float)
    half = len(bits) // 2
    total = np.zeros(lanes)
    for lane, x in enumerate(counts):
        x = np.concatenate([x, np.ones((1, x.shape[1]))])
        for delay in range(1, longest + 1):
            wanted = np.roll(bits, delay)
            train, test = slice(longest, half), slice(half, None)
            w = np.linalg.solve(x[:, train] @ x[:, train].T + 10.0 * np.eye(len(x)), x[:, train] @ wanted[train])
            r = np.corrcoef(w @ x[:, test], wanted[test])[0, 1]
            total[lane] += r**2 if np.isfinite(r) else 0.0
    return total


def streamed(steps: int, step: float, seed: int) -> tuple[Events, np.ndarray]:
    """A random bit every `step` (s): the same `TOGETHER` neurons fire when it is one. The events, and the bits."""
    generator = np.random.default_rng(seed)
    bits = generator.integers(2, size=steps).astype(float)
    ones = np.flatnonzero(bits)
    return played(np.repeat(step * ones, TOGETHER), np.tile(np.arange(TOGETHER), len(ones))), bits
