"""A reservoir on mismatched chips whose readout tells how probable an outcome is, and when it comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ..network import Adaptation, Events, Input, Network, Neuron, Population, Synapse, connect
from ..report import BLUE, GREY, INK, ORANGE, drawing, new_figure, raster
from ._on_chips import CV, counted, on_chips, played
from ._result import Number, Picture, Result

EXCITATORY, INHIBITORY, CHANNELS = 80, 16, 8  # channels for each of two cues
DELAYS = (0.15, 0.30)  # s, of the outcomes of the two cues
PROBABILITIES = tuple((p, round(1 - p, 1)) for p in (0.1, 0.3, 0.5, 0.7, 0.9))
TRIAL, LEAD, WATCHED, BIN = 1.2, 0.05, 0.5, 0.02  # s
SMOOTH = 0.04  # s, of the readout's traces
BUMP = 0.04  # s, standard deviation of the target around its delay
JITTER, NOISE = 1e-3, 0.05  # s; Hz a channel
RATE = 0.01  # of the normalised delta rule
DT = 2e-4
_AIM = "aim of this project"


def reservoir(seed: int = 0) -> Network:
    """The network; who is joined is drawn with `seed` and is the same on every chip."""
    generator = np.random.default_rng(seed)

    def some(sources: int, targets: int, count) -> np.ndarray:
        return np.array(
            [(i, j) for j in range(targets) for i in generator.choice(sources, int(count(j)), replace=False)]
        )

    kinds = {
        "NMDA": Synapse(tau=0.15, gain=4.0),
        "AMPA": Synapse(tau=10e-3, gain=1.0),
        "GABA_B": Synapse(tau=20e-3, gain=1.0),
    }
    neuron = Neuron(
        tau=20e-3,
        gain=4.0,
        refractory=5e-3,
        threshold=200e-12,
        adaptation=Adaptation(tau=0.1, weight=5e-9, gain=1.0, pulse=20e-6),
    )
    size = {"exc": EXCITATORY, "inh": INHIBITORY}
    populations = tuple(
        Population(name=n, size=s, neuron=neuron, synapses=kinds, pulse=100e-6) for n, s in size.items()
    )
    connections = [
        # Who hears more of a cue's channels fires longer: with mismatch, a ladder of times.
        connect("cue", "exc", "NMDA", some(2 * CHANNELS, EXCITATORY, lambda j: generator.integers(2, 9)), 17e-9),
        connect("exc", "inh", "AMPA", some(EXCITATORY, INHIBITORY, lambda j: 16), 12e-9),
        connect("exc", "exc", "AMPA", some(EXCITATORY, EXCITATORY, lambda j: 6), 6e-9),
        connect("inh", "exc", "GABA_B", some(INHIBITORY, EXCITATORY, lambda j: 4), 6e-9),
    ]
    return Network(
        populations=populations, inputs=(Input(name="cue", size=2 * CHANNELS),), connections=tuple(connections)
    )


def presented(cues: np.ndarray, generator: np.random.Generator) -> Events:
    """One trial for each of `cues` (0 or 1), after each other: a jittered event a channel, and some noise."""
    begin = TRIAL * np.arange(len(cues)) + LEAD
    time = begin[:, None] + np.abs(JITTER * generator.standard_normal((len(cues), CHANNELS)))
    channel = cues[:, None] * CHANNELS + np.arange(CHANNELS)
    noise = generator.poisson(NOISE * TRIAL * len(cues) * 2 * CHANNELS)
    times = np.concatenate([time.ravel(), generator.uniform(0, TRIAL * len(cues), noise)])
    return played(times, np.concatenate([channel.ravel(), generator.integers(2 * CHANNELS, size=noise)]))


def states(spikes, cues: np.ndarray, lanes: int, neurons: int) -> np.ndarray:
    """Smoothed counts after the cue, each neuron's scaled, with a constant: float [lane, trial, bin, neuron + 1]."""
    bins = round(WATCHED / BIN)
    per_trial = round(TRIAL / BIN)
    edges = LEAD + BIN * np.arange(per_trial * len(cues) + 1)
    counts = (
        counted(spikes, edges, lanes, neurons).reshape(lanes, neurons, len(cues), per_trial)[..., :bins].astype(float)
    )
    decay = np.exp(-BIN / SMOOTH)
    for k in range(1, bins):
        counts[..., k] += decay * counts[..., k - 1]
    r = counts.transpose(0, 2, 3, 1)
    mean, std = r.mean(axis=(1, 2), keepdims=True), r.std(axis=(1, 2), keepdims=True)
    return np.concatenate([(r - mean) / np.maximum(std, 0.1), np.ones_like(r[..., :1])], axis=-1)


def bump(delay: float) -> np.ndarray:
    """The target [bin] of an outcome."""
    middle = BIN * (np.arange(round(WATCHED / BIN)) + 0.5)
    return np.exp(-0.5 * ((middle - delay) / BUMP) ** 2)


@dataclass(frozen=True)
class Readout:
    """What was learned on one chip: `output` [trial, bin] before the trial's update, and the trial's `cue`."""

    output: np.ndarray
    cue: np.ndarray

    def expected(self, cue: int, last: slice) -> np.ndarray:
        """Mean output [bin] for a cue over some trials."""
        chosen = np.arange(len(self.cue))[last]
        return self.output[chosen[self.cue[chosen] == cue]].mean(axis=0)


def learn(
    r: np.ndarray, cues: np.ndarray, probability: np.ndarray, generator: np.random.Generator, *, rate=RATE
) -> Readout:
    """The normalised delta rule, dW = rate (target - W r) r / |r|² in every bin, with outcomes drawn by `probability`
    [trial, cue].

    States `r` [recorded trial, bin, neuron] are drawn again and again: learning takes more trials than were recorded.
    """
    w = np.zeros(r.shape[-1])
    scale = rate / (np.sum(r**2, axis=-1) + r.shape[-1] / 10)
    order = generator.integers(len(cues), size=len(probability))
    outputs = []
    for trial, k in enumerate(order):
        cue = cues[k]
        target = bump(DELAYS[cue]) * (generator.random() < probability[trial, cue])
        outputs.append(r[k] @ w)
        for state, wanted, step in zip(r[k], target, scale[k], strict=True):
            w = w + step * (wanted - state @ w) * state
    return Readout(np.array(outputs), cues[order])


def least_squares(
    r: np.ndarray, cues: np.ndarray, probability: np.ndarray, generator: np.random.Generator, every: int = 20
):
    """The same trials by least squares on all that came so far, solved anew `every` so many trials."""
    n = r.shape[-1]
    gram, cross, w = 1.0 * np.eye(n), np.zeros(n), np.zeros(n)
    order = generator.integers(len(cues), size=len(probability))
    outputs = []
    for trial, k in enumerate(order):
        target = bump(DELAYS[cues[k]]) * (generator.random() < probability[trial, cues[k]])
        outputs.append(r[k] @ w)
        gram, cross = gram + r[k].T @ r[k], cross + target @ r[k]
        if trial % every == every - 1:
            w = np.linalg.solve(gram, cross)
    return Readout(np.array(outputs), cues[order])


def run(chips: int = 8, seed: int = 1, *, reduced: bool = False) -> Result:
    """Record trials on `chips` chips, learn readouts outside (about 30 s of CPU)."""
    recorded, trials, changed = (80, 600, 600) if not reduced else (24, 200, 0)
    network = reservoir()
    cues = np.arange(recorded) % 2
    r, spikes, machine = _recorded(network, chips, seed, CV, cues)
    plain, *_ = _recorded(network, 1, seed, 0.0, cues)
    tables = [_conditions(x, cues, trials, seed + 100 + k) for k, x in enumerate(r)]
    control = _conditions(plain[0], cues, trials, seed + 100)

    def fit(table, cue=None) -> tuple[float, float]:
        rows = table if cue is None else table[table[:, 0] == cue]
        slope = np.polyfit(rows[:, 1], rows[:, 2], 1)[0]
        return float(slope), float(np.corrcoef(rows[:, 1], rows[:, 2])[0, 1] ** 2)

    numbers = {
        "r2": Number.over(
            [fit(t)[1] for t in tables],
            "chips",
            "1",
            "R² of the peak's height against probability, both intervals together",
            least=0.9,
            source=_AIM,
        ),
        "r2_short": Number.over([fit(t, 0)[1] for t in tables], "chips", "1", "the same, 150 ms"),
        "r2_long": Number.over([fit(t, 1)[1] for t in tables], "chips", "1", "the same, 300 ms"),
        "slope_short": Number.over(
            [fit(t, 0)[0] for t in tables], "chips", "1", "slope of height against probability, 150 ms; ideal 1"
        ),
        "slope_long": Number.over(
            [fit(t, 1)[0] for t in tables], "chips", "1", "slope of height against probability, 300 ms; ideal 1"
        ),
        "timing_error": Number.over(
            [1e3 * np.mean(np.abs(t[:, 3])) for t in tables],
            "chips",
            "ms",
            "mean distance of the peak from the interval (bins of 20 ms)",
        ),
        "r2_without_mismatch": Number(fit(control)[1], "1", "R² on a chip without mismatch"),
        "timing_error_without_mismatch": Number(
            1e3 * float(np.mean(np.abs(control[:, 3]))), "ms", "timing error on a chip without mismatch"
        ),
        "neurons_active": Number.over(
            [np.mean(np.ptp(x[..., :-1], axis=(0, 1)) > 0) for x in r],
            "chips",
            "1",
            "share of neurons that fire after a cue",
        ),
    }
    pictures = [
        Picture(
            "The reservoir",
            _raster_figure(machine.mapping.network, *spikes.of(0)),
            "Two trials of each cue on the first chip.",
        ),
        Picture(
            "What and when",
            _expectation_figure(r[0], cues, trials, seed + 100, tables),
            (
                "Left: the readout's output after learning, on the first chip, for probabilities of 0.1 to 0.9 "
                "of an outcome at "
                "150 ms (blue) and at 300 ms (orange). Right: height of the peak against probability, all chips."
            ),
        ),
    ]
    if changed:
        courses = [_change(x, cues, trials, changed, seed + 200 + k) for k, x in enumerate(r)]
        slow, quick = (np.array([c[k][0] for c in courses]) for k in (1, 0))
        numbers |= {
            "readapts_delta_rule": Number.over(
                quick,
                "chips",
                "1",
                "trials of a cue until the mean output of ten is half way, after its probability changed: delta rule",
            ),
            "readapts_least_squares": Number.over(
                slow,
                "chips",
                "1",
                "the same with least squares on all trials (as many as were played where it never gets there)",
            ),
        }
        pictures.append(
            Picture(
                "After a change",
                _change_figure(courses),
                (
                    "Height of the output for a cue whose probability changes from 0.8 to 0.2, means over the "
                    "chips; running mean of "
                    "ten trials."
                ),
            )
        )
    return Result(
        name="reservoir_what_when",
        title="What and when, from a reservoir",
        about=(
            "Two cues set off a network of adaptive-exponential neurons on one core. After one cue an outcome "
            "may follow at "
            "150 ms, after the other at 300 ms. A linear readout outside the chip learns by the delta rule to "
            "predict the "
            "outcome: the height of its output follows the probability, its peak the interval.",
            "Nothing on the chip is trained or trimmed. The neurons differ by how many channels they hear and "
            "by the mismatch "
            "of the chip; slow synapses (150 ms) let each of them stop firing at a time of its own.",
        ),
        limits=(
            "The mechanism transfers; nothing is replicated. Yamada and Chao (arXiv 2510.14382) have an "
            "Izhikevich reservoir, "
            "an attention-gated rule with three factors, and orthogonal subspaces for what and when; none of "
            "that is here.",
            "The output is too low by the factor given as the slope: single trials differ, and the long "
            "interval more so. The two slopes differ, "
            "which is what lowers the common R².",
            "Least squares forgets nothing by definition: on all trials it needs about as many new trials as it "
            "saw old ones. "
            "With a window or with forgetting it would be as quick as one chooses.",
            "Learning draws its trials from the recorded ones again and again, and scales every neuron by its "
            "mean and spread. "
            "Random wiring alone makes the neurons different: without mismatch R² is about the same.",
        ),
        numbers=numbers,
        pictures=tuple(pictures),
        network=network,
        mapping=machine.mapping,
        settings={"chips": chips, "seed": seed, "cv": CV, "recorded_trials": recorded, "learning_trials": trials},
    )


def _recorded(network: Network, chips: int, seed: int, cv: float, cues: np.ndarray):
    machine = on_chips(network, chips, seed, cv=cv, cores=1)
    events = presented(cues, np.random.default_rng(seed))
    spikes = machine.simulate(events, TRIAL * len(cues) + LEAD, dt=DT)
    return states(spikes, cues, chips, network.size), spikes, machine


def _conditions(r: np.ndarray, cues: np.ndarray, trials: int, seed: int) -> np.ndarray:
    """One row a condition: cue, probability, height of the peak, its distance from the interval (s)."""
    rows = []
    for number, probability in enumerate(PROBABILITIES):
        learned = learn(r, cues, np.tile(probability, (trials, 1)), np.random.default_rng([seed, number]))
        for cue in (0, 1):
            y = learned.expected(cue, slice(-trials // 2, None))
            rows.append((cue, probability[cue], y.max(), BIN * (y.argmax() + 0.5) - DELAYS[cue]))
    return np.array(rows)


def _change(r: np.ndarray, cues: np.ndarray, before: int, after: int, seed: int):
    """For the delta rule and for least squares: trials until half way, and the course of the heights."""
    probability = np.concatenate([np.tile((0.8, 0.2), (before, 1)), np.tile((0.2, 0.8), (after, 1))])
    results = []
    for rule in (learn, least_squares):
        done = rule(r, cues, probability, np.random.default_rng(seed))
        target = bump(DELAYS[0])
        height = done.output @ target / (target @ target)
        mine = np.flatnonzero(done.cue == 0)
        course = np.convolve(height[mine], np.ones(10) / 10, mode="valid")
        change = int(np.searchsorted(mine, before))
        # 0.8 becomes 0.2: a quarter is reached, half way is five eighths of what it was.
        half = 0.625 * course[max(0, change - 60) : change - 9].mean()
        below = np.flatnonzero(course[change:] < half)
        results.append((int(below[0]) + 10 if len(below) else len(mine) - change, course, change))
    return results


def _raster_figure(network: Network, time: np.ndarray, neuron: np.ndarray) -> Figure:
    with drawing():
        figure = new_figure(4.4)
        axes = figure.subplots()
        raster(axes, network, time, neuron, 0.0, 4 * TRIAL)
        for k in range(4):
            axes.axvline(LEAD + k * TRIAL, color=(BLUE, ORANGE)[k % 2], linewidth=1)
        return figure


def _expectation_figure(r: np.ndarray, cues: np.ndarray, trials: int, seed: int, tables) -> Figure:
    with drawing():
        figure = new_figure(3.8)
        left, right = figure.subplots(1, 2)
        middle = 1e3 * BIN * (np.arange(r.shape[1]) + 0.5)
        for number, probability in enumerate(PROBABILITIES):
            learned = learn(r, cues, np.tile(probability, (trials, 1)), np.random.default_rng([seed, number]))
            for cue, colour in ((0, BLUE), (1, ORANGE)):
                left.plot(middle, learned.expected(cue, slice(-trials // 2, None)), color=colour, linewidth=1.2)
        for delay in DELAYS:
            left.axvline(1e3 * delay, color=GREY, linewidth=0.8, linestyle=(0, (5, 4)))
        left.set(xlabel="time after the cue (ms)", ylabel="output")
        every = np.concatenate(tables)
        for cue, colour, name in ((0, BLUE, "150 ms"), (1, ORANGE, "300 ms")):
            mine = every[every[:, 0] == cue]
            right.plot(
                mine[:, 1] + 0.01 * (2 * cue - 1), mine[:, 2], color=colour, marker=".", linestyle="none", label=name
            )
        right.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        right.set(xlabel="probability", ylabel="height of the peak", ylim=(0, 1))
        right.legend()
        return figure


def _change_figure(courses) -> Figure:
    with drawing():
        figure = new_figure(3.2)
        axes = figure.subplots()
        for k, (name, colour) in enumerate((("delta rule", BLUE), ("least squares on all trials", INK))):
            some = [course[k][1][course[k][2] - 150 : course[k][2] + 250] for course in courses]
            size = min(map(len, some))
            axes.plot(np.arange(size) - 150, np.mean([s[:size] for s in some], axis=0), color=colour, label=name)
        axes.axvline(0, color=ORANGE, linestyle=(0, (5, 4)), linewidth=1)
        axes.set(xlabel="trials of the cue after the change", ylabel="height of the output", ylim=(0, None))
        axes.legend()
        return figure
