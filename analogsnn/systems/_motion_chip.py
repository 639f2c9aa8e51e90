"""The motion detectors as a network: delay lines of relay neurons, and a neuron a class and position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..network import (
    Connection,
    Events,
    Input,
    Mismatch,
    Network,
    Neuron,
    Population,
    Spikes,
    Synapse,
    connect,
    lanes,
    one_to_one,
    simulate,
)
from ._motion import CLASSES, DELAYS, MOVIE, PIXELS, POSITIONS, REACH, STAGE, Movies, perfect
from ._on_chips import counted

UNIT = 12e-9  # A: the smallest of four weight currents; a code is a sum of 1, 2, 4 and 8 of them
CURRENTS = tuple(UNIT * u for u in (1, 2, 4, 8))
TOP = 9  # the code of the largest kernel weight, before trimming
RELAY = 6  # code of a relay's synapse: sets the delay of a stage
GAP = 90e-3  # s between movies
PULSE = 500e-6  # s, of a relay
SHORT = 120e-6  # s, of a detector
_RELAY = Population(
    name="relay",
    size=PIXELS,
    neuron=Neuron(tau=10e-3, gain=4.0, refractory=60e-3, threshold=200e-12),
    synapses={"AMPA": Synapse(tau=15e-3, gain=0.2)},
    pulse=PULSE,
)
_DETECTOR = Neuron(tau=3e-3, gain=2.0, refractory=3e-3, threshold=200e-12)
_DENDRITE = {"AMPA": Synapse(tau=2e-3, gain=0.05), "GABA_B": Synapse(tau=2e-3, gain=0.05)}


def codes_of(kernels: np.ndarray, scale: float | np.ndarray = 1.0) -> np.ndarray:
    """Signed codes [class, position, tap], `TOP` times `scale` [class, position] for the largest weight, 15 at most.

    Weights below half a unit become none.
    """
    plain = TOP * (kernels / np.abs(kernels).max()).T[:, None, :]
    codes = np.rint(plain * np.broadcast_to(scale, (len(CLASSES), POSITIONS))[..., None])
    return np.clip(codes, -15, 15).astype(int)


def current(code: np.ndarray, currents: Sequence[float] = CURRENTS) -> np.ndarray:
    """The sum of weight currents (A) that a code stands for."""
    bits = (np.asarray(code)[..., None] >> np.arange(4)) & 1
    return bits @ np.asarray(currents)


def detectors(codes: np.ndarray, relays: np.ndarray | None = None, currents: Sequence[float] = CURRENTS) -> Network:
    """The network for signed codes [class, position, tap], and codes [stage, pixel] of the relays' synapses.

    `relay<d>` is the d-th stage of every pixel's delay line; the detectors of a class stand in the order of positions.
    """
    relays = np.full((DELAYS - 1, PIXELS), RELAY) if relays is None else relays
    populations, connections = [], []
    for stage in range(1, DELAYS):
        before = "pixel" if stage == 1 else f"relay{stage - 1}"
        populations.append(replace(_RELAY, name=f"relay{stage}"))
        connections.append(
            connect(before, f"relay{stage}", "AMPA", one_to_one(PIXELS), current(relays[stage - 1], currents))
        )
    for k in range(len(CLASSES)):
        populations.append(
            Population(name=f"class{k}", size=POSITIONS, neuron=_DETECTOR, synapses=_DENDRITE, pulse=SHORT)
        )
        connections += _wires(f"class{k}", codes[k].reshape(POSITIONS, DELAYS, 2 * REACH + 1), currents)
    return Network(
        populations=tuple(populations), inputs=(Input(name="pixel", size=PIXELS),), connections=tuple(connections)
    )


def _wires(name: str, codes: np.ndarray, currents: Sequence[float]) -> list[Connection]:
    wires = []
    for delay in range(DELAYS):
        source = "pixel" if delay == 0 else f"relay{delay}"
        for kind, sign in (("AMPA", 1), ("GABA_B", -1)):
            place, offset = np.nonzero(sign * codes[:, delay] > 0)
            if len(place):
                weights = current(np.abs(codes[place, delay, offset]), currents)
                wires.append(connect(source, name, kind, np.stack([place + offset, place], axis=1), weights))
    return wires


def played_one_by_one(m: Movies) -> tuple[Events, np.ndarray]:
    """All movies after each other, and the edges [movie + 1] (s) of their times."""
    edges = (MOVIE + GAP) * np.arange(len(m.label) + 1)
    time = edges[m.movie] + m.time
    order = np.argsort(time, kind="stable")
    return Events(time[order], m.pixel[order]), edges


def answers(counts: np.ndarray) -> np.ndarray:
    """The class whose detectors fired most [lane, movie], -1 for none or several; `counts` [lane, neuron, movie]."""
    first = (DELAYS - 1) * PIXELS
    votes = counts[:, first:].reshape(len(counts), len(CLASSES), POSITIONS, -1).sum(axis=2)
    best = votes.max(axis=1)
    unique = (votes == best[:, None]).sum(axis=1) == 1
    return np.where(unique & (best > 0), votes.argmax(axis=1), -1)


def delays(spikes: Spikes, chips: int, onset: float) -> np.ndarray:
    """When each stage fired first after all pixels at `onset` (s): [chip, stage, pixel], NaN: never."""
    late = np.full((chips, (DELAYS - 1) * PIXELS), np.nan)
    for t, lane, neuron in zip(spikes.time[::-1], spikes.lane[::-1], spikes.neuron[::-1], strict=True):
        if neuron < late.shape[1]:
            late[lane, neuron] = t - onset
    return late.reshape(chips, DELAYS - 1, PIXELS)


def trimmed(codes: np.ndarray, chips: Sequence[Mismatch], currents: Sequence[float], rounds: int = 8) -> tuple:
    """Codes of every chip's relays [chip, stage, pixel], changed until each stage is as late as it should be.

    Only spikes are observed and only synapse words are changed. **Returns** the best codes, and the delays that they
    give [chip, stage, pixel] (s).
    """
    shape = (len(chips), DELAYS - 1, PIXELS)
    wanted = STAGE * np.arange(1, DELAYS)[None, :, None]
    trial = np.full(shape, RELAY)
    best, found, least = trial, np.full(shape, np.nan), np.full((len(chips), 1, PIXELS), np.inf)
    once = Events(np.full(PIXELS, 0.01), np.arange(PIXELS))
    for _ in range(rounds):
        devices = lanes([detectors(codes, r, currents) for r in trial], chips)
        late = delays(simulate(devices, once, 0.2), len(chips), 0.01)
        off = np.where(np.isnan(late), 1.0, np.abs(late - wanted)).sum(axis=1, keepdims=True)
        best, found = np.where(off < least, trial, best), np.where(off < least, late, found)
        least = np.minimum(off, least)
        before = np.concatenate([np.zeros_like(late[:, :1]), late[:, :-1]], axis=1)
        # A stage's delay falls about as its current rises; what earlier stages are off by is made up for.
        factor = (late - before) / np.maximum(wanted - before, 0.3 * STAGE)
        step = np.where(np.isnan(factor), 1.3, np.clip(factor, 0.6, 1.6))
        trial = np.clip(np.rint(trial * step), 2, 15).astype(int)
    return best, found


def balanced(
    kernels: np.ndarray, relays: np.ndarray, chips: Sequence[Mismatch], currents: Sequence[float]
) -> np.ndarray:
    """Scales [chip, class, position] at which each detector just fires when its own motion passes, by halving."""
    shape = (len(chips), len(CLASSES), POSITIONS)
    events, edges = played_one_by_one(perfect())
    low, high = np.full(shape, 0.3), np.full(shape, 1.7)
    for _ in range(7):
        middle = np.sqrt(low * high)
        networks = [detectors(codes_of(kernels, m), r, currents) for m, r in zip(middle, relays, strict=True)]
        counts = counted(simulate(lanes(networks, chips), events, edges[-1]), edges, len(chips), networks[0].size)
        mine = counts[:, (DELAYS - 1) * PIXELS :].reshape(*shape, len(CLASSES))
        fires = np.stack([mine[:, k, :, k] > 0 for k in range(len(CLASSES))], axis=1)
        high, low = np.where(fires, middle, high), np.where(fires, low, middle)
    return np.sqrt(low * high)
