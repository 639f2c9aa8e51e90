"""A random liquid on one core, its branching parameter, and what a linear readout could make of it."""

from __future__ import annotations

import numpy as np

from ..chips import Mapping, compile
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
BASE = 10e-9  # A: every recurrent synapse selects this current and the one that the homeostat moves
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
    """The liquid on a chip; the moved current becomes the nearest that the bias generator has."""
    return compile(liquid(weight), CHIP, cores=1, weight_currents=(BASE, weight - BASE, STRONG, WEAK))


def weight_of(mapping: Mapping) -> float:
    """The recurrent weight (A) that a chip really has."""
    (own,) = (c for c in mapping.network.connections if c.source == c.target)
    return float(own.weight[0])


def ran(mappings: list[Mapping], chips: list[Mismatch], started: Events, duration: float, seed: int) -> Spikes:
    """One lane for each mapping and chip, all with the same beginnings and the same background."""
    generator = np.random.default_rng(seed)
    count = generator.poisson(BACKGROUND * NOISE * duration)
    events = played(
        np.concatenate([started.time, generator.uniform(0, duration, count)]),
        np.concatenate([started.channel, NEURONS + generator.integers(NOISE, size=count)]),
    )
    return simulate(devices_of([m.network for m in mappings], chips), events, duration, dt=DT)


def beginnings(count: int, seed: int) -> tuple[Events, float]:
    """`TOGETHER` random neurons made to fire every `APART`, and how long that takes (s)."""
    generator = np.random.default_rng(seed)
    channel = np.array([generator.choice(NEURONS, TOGETHER, replace=False) for _ in range(count)])
    time = np.repeat(APART * (np.arange(count) + 0.3), TOGETHER)
    return played(time, channel.ravel()), APART * count


def branching(spikes: Spikes, count: int, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """The branching parameter [lane], and by how many spikes a beginning's descendants fall short of its ancestors.

    Descendants are the spikes of generations 1 to 5, ancestors those of 0 to 4; the parameter is their ratio.
    Generation 0 are the `TOGETHER` neurons that are made to fire; later ones are bins of `BIN`, less what fires in the
    same bins when nobody is made to. Only beginnings count before which the network was silent for five bins, and only
    until a quarter of the neurons have fired: in steady activity the ratio of successive bins would be one for any
    network, and an explosion ends when nobody is left to fire. Infinite where the network is never silent.
    """
    start = APART * (np.arange(count) + 0.3)
    made, quiet = _generations(spikes, start, lanes)
    alone, still = _generations(spikes, start + 0.5 * APART, lanes)
    made[..., 1] += made[..., 0] - TOGETHER  # who fires at once although nobody made it
    made[..., 0] = TOGETHER
    alone[..., 1] += alone[..., 0]
    alone[..., 0] = 0.0
    ratio, deficit = np.full(lanes, np.inf), np.full(lanes, -np.inf)
    for lane in range(lanes):
        mine, other = made[lane, quiet[lane]], alone[lane, still[lane]]
        if len(mine) >= 3 and len(other) >= 3:
            young = np.cumsum(mine, axis=-1)[:, :-1] < ENOUGH
            mine = mine - other.mean(axis=0)
            descendants, ancestors = mine[:, 1:][young].sum(), mine[:, :-1][young].sum()
            ratio[lane] = descendants / max(ancestors, TOGETHER)
            deficit[lane] = (ancestors - descendants) / len(mine)
    return ratio, deficit


def _generations(spikes: Spikes, start: np.ndarray, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """Spikes by generation [lane, beginning, generation] from `start` (s), and whether it was silent before."""
    edges = (start[:, None] + BIN * np.arange(-5, GENERATIONS + 2)).ravel()
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
