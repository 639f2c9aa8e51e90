"""A neuron that learns to fire at the first of the inputs that belong together: in floating point, and with chips."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..network import chips as produce
from ..report import BLUE, GREY, INK, ORANGE, drawing, new_figure
from ._on_chips import CV
from ._predictive_loop import Learning, learn_on_chips, predictor, start_codes
from ._predictive_rule import learn, traces
from ._predictive_sequence import SEQUENCE, LongSequence, learn_sequence
from ._result import Number, Picture, Result

TAU, THRESHOLD = 10e-3, 2.0
NEURONS = 10  # on each chip; each learns for itself
PAIR = np.array([4e-3, 8e-3])  # s
DELAYS = np.array([2, 5, 10, 20, 40, -2, -5, -10, -20, -40]) * 1e-3  # s, test input before the partner
WINDOW = np.array([1.79, 1.71, 1.41, 1.13, 1.01, 0.94, 0.95, 0.97, 0.99, 0.99])  # two earlier implementations
PARTNER = 50e-3  # s
SHORT = np.array([10e-3 + 2e-3 * k for k in range(16)])  # s, the sequence that a chip learns
PRESENTATIONS = 1000  # of the long sequence, as in the paper's public scripts
SEEDS = 3
LAST = 50  # presentations that the numbers after learning are taken from
_PAPER = "rule: Saponati and Vinck 2023; value: two implementations of ours from its equations"
_AIM = "aim of this project"


def run(chips: int = 10, seed: int = 1, *, reduced: bool = False) -> Result:
    """The rule in floating point, then with `chips` mismatched chips in the loop (about 40 s of CPU)."""
    epochs, loops = (300, 60) if not reduced else (300, 40)
    pair = learn(np.full(2, 0.05), traces(PAIR, 0.05), epochs, tau=TAU, threshold=THRESHOLD, rate=5e-4)
    weak = learn(np.full(2, 0.03), traces(PAIR, 0.05), epochs, tau=TAU, threshold=THRESHOLD, rate=5e-4)
    window = np.array([_paired(d) for d in DELAYS])
    numbers = _floating_point(pair, weak, window)

    members = produce(chips, CV, seed)
    published = float(pair[1][0])
    codes = start_codes(members, NEURONS, PAIR, published)
    faster = 5e-4 * 300 / loops  # as much learning in fewer presentations
    two = learn_on_chips(
        members,
        codes,
        np.full(2, 0.05),
        np.tile(PAIR, (NEURONS, 1)),
        0.05,
        loops,
        wired=2,
        rate=faster,
        tau=TAU,
        threshold=THRESHOLD,
    )
    numbers |= _on_chips(two, codes, float(pair[1][0] - pair[1][-1]), chips)
    pictures = [
        Picture(
            "Two inputs, 4 ms apart",
            _latency_figure(pair, two, codes),
            (
                "Left: first spike after the first input, over presentations. Right: the weights of the neuron "
                "in floating point."
            ),
        )
    ]
    if not reduced:
        beside = np.stack([np.full(len(DELAYS), PARTNER), PARTNER - DELAYS], axis=1)
        stdp = learn_on_chips(
            members, codes, np.array([0.11, 0.001]), beside, 0.12, 60, wired=1, rate=2e-4, tau=TAU, threshold=THRESHOLD
        )
        measured = np.where(codes > 0, stdp.weights[-1, ..., 1] / 0.001, np.nan)
        for delay, column in zip(DELAYS, measured.T, strict=True):
            numbers[f"window_on_chip_{1e3 * delay:+.0f}_ms"] = Number.over(
                column, "chips", "1", f"on chips: weight after 60 pairings, test input {1e3 * delay:+.0f} ms before"
            )
        pictures.append(
            Picture(
                "Pairs: the window of plasticity",
                _window_figure(window, measured),
                (
                    "Weight of a weak input after 60 pairings with a strong one that makes the neuron fire, "
                    "relative to its start. "
                    "On the chips the weak weight is far below the smallest sum of weight currents: only the "
                    "update knows it, and "
                    "what the chips contribute is when they fire."
                ),
            )
        )
        long = learn_sequence(SEEDS, PRESENTATIONS, seed)
        numbers |= _of_sequence(long)
        short = learn_on_chips(
            members,
            codes,
            np.full(len(SHORT), 0.05),
            np.tile(SHORT, (NEURONS, 1)),
            0.06,
            loops,
            wired=len(SHORT),
            rate=2e-3,
            tau=TAU,
            threshold=THRESHOLD,
        )
        numbers |= _of_short(short, codes)
        pictures.append(
            Picture(
                "A sequence is anticipated",
                _sequence_figure(long, short, codes),
                (
                    "Left: weights of 100 inputs that come in turn, 2 ms apart, before and after learning among "
                    "100 distractors, in floating point (first seed). Middle: which of them has the largest weight, "
                    "each seed a line. Right: sixteen inputs in turn on the chips."
                ),
            )
        )
    network = predictor(np.maximum(codes[0], 1)[:, None] * np.ones((1, 2), int))
    return Result(
        name="predictive_plasticity",
        title="Predictive plasticity with chips in the loop",
        about=(
            "A neuron changes its weights so that it predicts its own inputs, and ends up firing at the first input of "
            "those that belong together (Saponati and Vinck 2023, DOI 10.1038/s41467-023-40651-w). The rule runs in "
            "floating point first, then with mismatched chips in the loop: the chips fire, the update is "
            "computed outside.",
            "The weights that a chip gets are rounded to the 15 sums of its four weight currents, and its network is "
            "compiled and decoded anew for every presentation. Every neuron is trimmed once: weight 0.05 is the "
            "code at "
            "which it fires when the rule's neuron does at the start.",
        ),
        limits=(
            "No chip learns here: DYNAP chips have no circuit for the products in this rule. The membrane is not read "
            "either; the update computes v from its own equation and resets it at the chip's spikes.",
            "In floating point a spike subtracts the threshold, as in the paper; with chips it resets v to "
            "zero, as their "
            "membranes do.",
            "The network of ten neurons with recurrence of the paper is not reproduced. The length of a presentation "
            "of two inputs (50 ms) is ours; the late weight depends on it.",
            "The long sequence is that of the paper's public scripts, random onsets and background included. The "
            "sequence on the chips has sixteen inputs, no background and no distractors, and its first spike follows "
            "the second input from the start: there is little left to anticipate.",
            "Nothing was measured on silicon; mismatch is 20 % on every current, drawn independently.",
        ),
        numbers=numbers,
        pictures=tuple(pictures),
        network=network,
        mapping=two.mapping,
        settings={
            "chips": chips,
            "neurons": NEURONS,
            "seed": seed,
            "cv": CV,
            "epochs": epochs,
            "epochs_on_chip": loops,
        },
    )


def _paired(delay: float) -> float:
    """Relative weight after 60 pairings, the test input `delay` (s) before its partner."""
    x = traces(np.array([PARTNER - delay, PARTNER]), 0.12)
    w = learn(np.array([0.001, 0.11]), x, 60, tau=TAU, threshold=THRESHOLD, rate=2e-4)[0]
    return float(w[-1, 0] / w[0, 0])


def _floating_point(pair, weak, window) -> dict[str, Number]:
    weights, first, _ = pair
    numbers = {
        "first_spike_before": Number(
            1e3 * (first[0] - PAIR[0]),
            "ms",
            "first spike after the first input, before",
            least=4.4,
            most=5.0,
            source=_PAPER,
        ),
        "first_spike_after": Number(
            1e3 * (first[-1] - PAIR[0]),
            "ms",
            "first spike after the first input, learned",
            least=1.45,
            most=2.05,
            source=_PAPER,
        ),
        "first_weight": Number(
            weights[-1, 0], "1", "weight of the first input, learned", least=0.0922, most=0.0940, source=_PAPER
        ),
        "second_weight": Number(
            weights[-1, 1], "1", "weight of the second input, learned", least=0.0074, most=0.0274, source=_PAPER
        ),
        "silent_start_after": Number(
            1e3 * (weak[1][-1] - PAIR[0]),
            "ms",
            "first spike, learned from silence (0.03)",
            least=1.4,
            most=2.0,
            source=_PAPER,
        ),
    }
    for delay, value, known in zip(DELAYS, window, WINDOW, strict=True):
        numbers[f"window_{1e3 * delay:+.0f}_ms"] = Number(
            value,
            "1",
            f"weight after 60 pairings, test input {1e3 * delay:+.0f} ms before",
            least=known - 0.03,
            most=known + 0.03,
            source=_PAPER,
        )
    return numbers


def _on_chips(two: Learning, codes: np.ndarray, published: float, chips: int) -> dict[str, Number]:
    used = codes > 0
    moved = np.where(used, (two.first[0] - two.first[-1]) / published, np.nan)
    each = [np.nanmedian(m) if np.isfinite(m).any() else np.nan for m in moved]
    enough = np.where(used, np.nan_to_num(moved, nan=0.0) >= 0.6, np.nan)
    return {
        "moved_on_chip": Number.over(
            each,
            "chips",
            "1",
            "on chips: move of the first spike, relative to floating point; median of a chip's neurons",
            least=0.6,
            source=_AIM,
        ),
        "moved_by_neuron": Number.over(moved, "neurons", "1", "the same, neuron by neuron"),
        "neurons_moved_enough": Number(float(np.nanmean(enough)), "1", "share of trimmed neurons that moved 60 %"),
        "neurons_without_room": Number(
            float(1 - used.mean()),
            "1",
            "share of neurons that no code of 1 to 8 starts after the second input; left out above",
        ),
        "first_weight_on_chip": Number.over(
            np.where(used, two.weights[-1, ..., 0], np.nan),
            "neurons",
            "1",
            "on chips: weight of the first input, learned",
        ),
        "second_weight_on_chip": Number.over(
            np.where(used, two.weights[-1, ..., 1], np.nan),
            "neurons",
            "1",
            "on chips: weight of the second input, learned",
        ),
    }


def _of_sequence(long: LongSequence) -> dict[str, Number]:
    after = long.weights[-1]
    place = long.weights[:, :, :SEQUENCE].argmax(axis=2) + 1  # [presentation, seed]
    settled = [np.flatnonzero(p != 1)[-1] + 1 if p[-1] == 1 else np.nan for p in place.T]
    return {
        "sequence_largest_input": Number.over(
            place[-1],
            "seeds",
            "1",
            f"sequence: input with the largest weight after {len(long.count)} presentations",
            most=1,
            source=_PAPER,
        ),
        "sequence_largest_at_500": Number.over(place[500], "seeds", "1", "sequence: the same after 500 presentations"),
        "sequence_settled": Number.over(settled, "seeds", "1", "sequence: presentation from which that is input 1"),
        "sequence_first_before": Number.over(
            np.nanmedian(1e3 * long.first[10:20], axis=0),
            "seeds",
            "ms",
            "sequence: first spike after the first input, 11th to 20th presentation",
        ),
        "sequence_first_after": Number.over(
            np.nanmedian(1e3 * long.first[-LAST:], axis=0),
            "seeds",
            "ms",
            f"sequence: first spike after the first input, last {LAST} presentations",
        ),
        "sequence_spikes_before": Number.over(
            long.count[10:20].mean(axis=0), "seeds", "1", "sequence: spikes a presentation, 11th to 20th"
        ),
        "sequence_spikes_after": Number.over(
            long.count[-LAST:].mean(axis=0),
            "seeds",
            "1",
            f"sequence: spikes a presentation, last {LAST}",
            most=10,
            source=_PAPER,
        ),
        "sequence_spikes_alone": Number.over(
            long.alone, "seeds", "1", "sequence: spikes when what was learned hears the sequence without background"
        ),
        "sequence_distractors": Number.over(
            after[:, SEQUENCE:].max(axis=1) / after[:, :SEQUENCE].max(axis=1),
            "seeds",
            "1",
            "sequence: largest weight of a distractor, relative to the largest",
            most=0.05,
            source=_PAPER,
        ),
    }


def _of_short(short: Learning, codes: np.ndarray) -> dict[str, Number]:
    used = codes > 0
    share = short.weights[-1, ..., :4].sum(axis=-1) / short.weights[-1].sum(axis=-1)
    return {
        "short_spikes_before": Number.over(
            np.where(used, short.count[0], np.nan),
            "neurons",
            "1",
            "on chips, 16 inputs in turn: spikes of the first presentation",
        ),
        "short_spikes_after": Number.over(
            np.where(used, short.count[-1], np.nan),
            "neurons",
            "1",
            "on chips, 16 inputs in turn: spikes of the last presentation",
        ),
        "short_first_before": Number.over(
            np.where(used, 1e3 * (short.first[0] - SHORT[0]), np.nan),
            "neurons",
            "ms",
            "on chips, 16 inputs in turn: first spike after the first input, before",
        ),
        "short_first_after": Number.over(
            np.where(used, 1e3 * (short.first[-1] - SHORT[0]), np.nan),
            "neurons",
            "ms",
            "on chips, 16 inputs in turn: first spike after the first input, learned",
        ),
        "short_weight_of_first_four": Number.over(
            np.where(used, share, np.nan),
            "neurons",
            "1",
            "on chips, 16 inputs in turn: share of the weight on the first four",
        ),
    }


def _latency_figure(pair, two: Learning, codes: np.ndarray) -> Figure:
    weights, first, _ = pair
    with drawing():
        figure = new_figure(3.8)
        left, right = figure.subplots(1, 2)
        epochs = len(first)
        left.plot(np.arange(epochs), 1e3 * (first - PAIR[0]), color=INK, label="floating point")
        shown = 1e3 * (two.first[:, codes > 0] - PAIR[0])
        at = np.arange(len(shown)) * epochs / len(shown)
        low, middle, high = np.nanpercentile(shown, [10, 50, 90], axis=1)
        left.fill_between(at, low, high, color=BLUE, alpha=0.2, linewidth=0, label="chips, 10 to 90 % of neurons")
        left.plot(at, middle, color=BLUE, label="chips, median of neurons")
        left.axhline(1e3 * np.diff(PAIR)[0], color=ORANGE, linestyle=(0, (5, 4)), linewidth=1, label="second input")
        left.set(
            xlabel="presentations (of 300; chips learn as much in fewer)", ylabel="first spike (ms)", ylim=(0, None)
        )
        left.legend(fontsize=8)
        right.plot(weights[:, 0], color=BLUE, label="first input")
        right.plot(weights[:, 1], color=ORANGE, label="second input")
        right.set(xlabel="presentations", ylabel="weight", ylim=(0, None))
        right.legend()
        return figure


def _window_figure(window: np.ndarray, measured: np.ndarray) -> Figure:
    with drawing():
        figure = new_figure(3.6)
        axes = figure.subplots()
        order = np.argsort(-DELAYS)
        x = -1e3 * DELAYS[order]
        low, middle, high = np.nanpercentile(measured, [10, 50, 90], axis=0)[:, order]
        axes.axhline(1, color=GREY, linewidth=0.8)
        axes.errorbar(
            x,
            middle,
            [middle - low, high - middle],
            color=BLUE,
            marker="o",
            linestyle="none",
            capsize=3,
            label=f"{len(measured)} chips: median, 10 to 90 %",
        )
        axes.plot(x, window[order], color=INK, marker="s", markersize=4, label="floating point")
        axes.set(xlabel="test input after its partner (ms)", ylabel="weight, relative to its start")
        axes.legend()
        return figure


def _sequence_figure(long: LongSequence, short: Learning, codes: np.ndarray) -> Figure:
    before, after = long.weights[0, 0], long.weights[-1, 0]
    place = long.weights[:, :, :SEQUENCE].argmax(axis=2) + 1
    with drawing():
        figure = new_figure(3.6)
        left, middle, right = figure.subplots(1, 3)
        n = np.arange(1, SEQUENCE + 1)
        left.plot(n, before[:SEQUENCE], color=GREY, label="before")
        left.plot(n, after[:SEQUENCE], color=BLUE, label="sequence")
        left.plot(n, after[SEQUENCE:], color=ORANGE, label="distractors")
        left.set(xlabel="input, in order", ylabel="weight", ylim=(0, None))
        left.legend(fontsize=8)
        for one, colour in zip(place.T, (BLUE, GREY, ORANGE), strict=False):
            middle.plot(one, color=colour, linewidth=1)
        middle.set(xlabel="presentations", ylabel="input with the largest weight", ylim=(0, None))
        used = codes > 0
        right.plot(np.mean(short.count[:, used], axis=1), color=ORANGE, label="spikes a presentation")
        right.plot(1e3 * (np.nanmedian(short.first[:, used], axis=1) - SHORT[0]), color=BLUE, label="first spike (ms)")
        right.set(xlabel="presentations", ylabel="mean, median of neurons", ylim=(0, None))
        right.legend(fontsize=8)
        return figure
