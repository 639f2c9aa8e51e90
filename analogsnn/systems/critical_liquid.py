"""A liquid that a slow homeostat brings to the edge: one core-wide weight current, from three starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ..network import chips as produce
from ..report import BLUE, GREY, INK, ORANGE, drawing, new_figure, raster
from ._liquid import (
    APART,
    BIN,
    DT,
    LEAST,
    NEURONS,
    Descent,
    beginnings,
    compiled,
    descent,
    liquid,
    memory,
    patterned,
    ran,
    ranks,
    streamed,
    summed,
    uncertainty,
    weight_of,
)
from ._on_chips import CV
from ._result import Number, Picture, Result

STARTS = (14e-9, 20e-9, 30e-9)  # A: below, near and above
# Of the integrator: how far the logarithm of the weight moves for an error of one, and at most in a round; rounds after
# which it slows down as one over their number.
GAIN, MOST, LATER = 0.06, 0.06, 8
STEP = 10e-3  # s a bit, for the memory capacity
# What moves the weight is a difference of spikes: the mean of a ratio of few is not the ratio of many.
SPIKES = 4.0  # of a beginning, that count as an error of one
SETTLED = 28  # last rounds, whose mean weight is kept
OTHER_BINS = (3e-3, 6e-3)  # s
FACTORS = (0.75, 0.85, 0.92, 0.97, 1.0, 1.03, 1.08, 1.2, 1.4, 1.8)  # of each chip's critical weight
_AIM = "aim of this project"


@dataclass(frozen=True)
class Homeostasis:
    """`weight` (A) and `sigma` [round, start, chip] on the way, and the `kept` weights [start, chip]."""

    weight: np.ndarray
    sigma: np.ndarray
    kept: np.ndarray


@dataclass(frozen=True)
class Judgement:
    """The branching parameter of frozen networks, its standard error, and the same with other `bins`.

    Each [start, chip].
    """

    sigma: np.ndarray
    error: np.ndarray
    by_bin: dict[float, np.ndarray]


def homeostasis(members, rounds: int, count: int, seed: int) -> Homeostasis:
    """Move every chip's weight current from three starts until activity neither grows nor shrinks.

    Each round looks at `count` beginnings, others for each chip and start.
    """
    lanes = [chip for _ in STARTS for chip in members]
    w = np.repeat(STARTS, len(members))
    weights, sigmas = [], []
    for k in range(rounds):
        mappings = [compiled(x) for x in w]
        started, duration = beginnings(count, len(lanes), 1000 * seed + k)
        seen = descent(ran(mappings, lanes, started, duration, 1000 * seed + k), count, len(lanes))
        weights.append([weight_of(m) for m in mappings])
        sigmas.append(seen.sigma)
        gain = GAIN / max(1.0, k / LATER)
        w = np.maximum(w * np.exp(np.clip(gain * seen.deficit / SPIKES, -MOST, MOST)), LEAST)
    kept = np.exp(np.mean(np.log(weights[-min(SETTLED, rounds // 2) :]), axis=0))
    shape = (len(STARTS), len(members))
    return Homeostasis(np.array(weights).reshape(-1, *shape), np.array(sigmas).reshape(-1, *shape), kept.reshape(shape))


def judged(members, kept: np.ndarray, runs: int, count: int, seed: int) -> Judgement:
    """Measure networks frozen at the weights `kept` [start, chip], on `runs` times `count` beginnings of their own."""
    lanes = [chip for _ in STARTS for chip in members]
    mappings = [compiled(x) for x in kept.ravel()]
    parts: dict[float, list[Descent]] = {b: [] for b in (BIN, *OTHER_BINS)}
    for k in range(runs):
        fresh = 1000 * seed + 500 + k
        started, duration = beginnings(count, len(lanes), fresh)
        spikes = ran(mappings, lanes, started, duration, fresh)
        for width, found in parts.items():
            found.append(descent(spikes, count, len(lanes), bin=width))
    sigma = {width: summed(found).sigma.reshape(kept.shape) for width, found in parts.items()}
    own = sigma.pop(BIN)
    return Judgement(own, uncertainty(parts[BIN]).reshape(kept.shape), sigma)


def run(chips: int = 4, seed: int = 1, *, reduced: bool = False) -> Result:
    """The homeostat on `chips` chips from three starts, then what readouts could tell (two minutes of CPU)."""
    rounds, count, runs, fresh = (40, 200, 10, 500) if not reduced else (6, 10, 2, 10)
    members = produce(chips, CV, seed)
    found = homeostasis(members, rounds, count, seed)
    final = judged(members, found.kept, runs, fresh, seed)
    numbers = {
        f"sigma_from_{name}": Number.over(
            final.sigma[k],
            "chips",
            "1",
            f"branching parameter, started {name} the edge",
            least=0.95,
            most=1.05,
            source=_AIM,
        )
        for k, name in enumerate(("below", "near", "above"))
    }
    within = np.abs(final.sigma - 1) <= 0.05
    numbers |= {
        "within_5_percent": Number(float(within.mean()), "1", "share of chips and starts within 1.00 ± 0.05"),
        "sigma_error": Number.over(
            final.error, "chips and starts", "1", "standard error of one of these branching parameters"
        ),
        **{
            f"sigma_{1e3 * width:g}_ms": Number.over(
                sigma, "chips and starts", "1", f"the same spikes in generations of {1e3 * width:g} ms"
            )
            for width, sigma in final.by_bin.items()
        },
        "weight_by_start": Number.over(
            np.ptp(found.kept, axis=0) / found.kept.mean(axis=0),
            "chips",
            "1",
            "how far the weights found from three starts lie apart, relative",
        ),
        "critical_weight": Number.over(1e9 * found.kept[1], "chips", "nA", "the weight current at the edge"),
        "rounds": Number(rounds, "1", f"rounds of {APART * count:.3g} s"),
    }
    mapping = compiled(found.kept[1, 0])
    pictures = [
        Picture(
            "To the edge",
            _course_figure(found),
            (
                "Left: branching parameter of every chip (thin) and their median, round by round, from three starts; a "
                f"round is only {count} beginnings. Right: the weight current, relative to where "
                "the chip ends."
            ),
        )
    ]
    if not reduced:
        some = members[:2]
        lanes = [chip for _ in FACTORS for chip in some]
        mappings = [compiled(f * w) for f in FACTORS for w in found.kept[1, : len(some)]]
        curves = _curves(mappings, lanes, seed)
        numbers |= _of_curves(curves)
        pictures.append(
            Picture(
                "Around the edge",
                _edge_figure(curves),
                (
                    "Against the weight, relative to each chip's edge: branching parameter; rank of the states "
                    "that 40 inputs leave, and that "
                    "40 jittered copies of one leave; memory capacity. Means of two chips."
                ),
            )
        )
        started, duration = beginnings(6, 1, 5)
        spikes = ran([mappings[2 * 4]], [members[0]], started, duration, 5)
        pictures.append(
            Picture(
                "Around the edge",
                _raster_figure(mapping.network, *spikes.of(0), duration),
                ("Six beginnings at the edge, on the first chip: four neurons are made to fire each time."),
            )
        )
    return Result(
        name="critical_liquid",
        title="A liquid at the edge",
        about=(
            f"{NEURONS} adaptive-exponential neurons with twelve random synapses each, all of one weight, 20 % "
            f"mismatch on every "
            "current, and a weak background. Four neurons are made to fire; the branching parameter says by how "
            "much activity "
            "grows from generation to generation. A slow integrator outside the chip moves one core-wide weight "
            "current until "
            "it neither grows nor shrinks.",
            "Fixed random weights of one size are all that the liquid has. The weight is the sum of two of the "
            "core's four "
            "currents, so that its steps are small; the chip gets the nearest codes, and is compiled anew every round.",
        ),
        limits=(
            "After Ivanov and Michmizos (NeurIPS 2021), whose integrator sets a rate of plasticity from spikes "
            "in and out. "
            "Here it moves a weight that all synapses share, and no classification of images was tried.",
            "The branching parameter is that of activity that begins in silence, over at most five generations of 4 "
            "ms and until a "
            "quarter of the neurons have fired. It grows steeply with the weight: several times its relative change.",
            "The branching parameter that is reported is that of frozen networks on beginnings that the integrator has "
            "not seen; it depends on what a generation is, and the same spikes in bins of other widths say something "
            "else.",
            "Rank and memory capacity depend on thresholds and windows that we chose; the table says where they "
            "are largest, "
            "on two chips. The homeostat is not on the chip: DYNAP-SE2 has one, but its equations are not known to us.",
        ),
        numbers=numbers,
        pictures=tuple(pictures),
        network=liquid(float(np.round(found.kept[1, 0], 12))),
        mapping=mapping,
        settings={
            "chips": chips,
            "seed": seed,
            "cv": CV,
            "rounds": rounds,
            "beginnings": count,
            "judged": runs * fresh,
            "dt": DT,
        },
    )


def _curves(mappings, lanes, seed: int) -> dict[str, np.ndarray]:
    """Each [factor, chip]."""
    n, shape = len(lanes), (len(FACTORS), -1)
    started, duration = beginnings(60, n, seed + 7)
    sigma = descent(ran(mappings, lanes, started, duration, 7), 60, n).sigma
    sigma = np.where(np.isfinite(sigma), sigma, np.nan)  # never silent
    started, duration = patterned(40, seed + 8)
    quality, general = ranks(ran(mappings, lanes, started, duration, 8), 40, n)
    started, bits = streamed(600, STEP, seed + 9)
    capacity = memory(ran(mappings, lanes, started, 600 * STEP, 9), bits, STEP, n)
    every = {"sigma": sigma, "separation": quality, "generalisation": general, "memory": capacity}
    return {name: values.reshape(shape) for name, values in every.items()}


def _of_curves(curves) -> dict[str, Number]:
    kept = {name: values.mean(axis=1) for name, values in curves.items()}
    useful = kept["separation"] - kept["generalisation"]
    best, most = int(useful.argmax()), int(kept["memory"].argmax())
    edge = FACTORS.index(1.0)
    return {
        "separation_at_edge": Number(useful[edge], "1", "rank for 40 inputs less that for 40 copies, at the edge"),
        "separation_best": Number(useful[best], "1", "the largest of that over the weights tried"),
        "separation_best_at": Number(kept["sigma"][best], "1", "branching parameter where that difference is largest"),
        "memory_at_edge": Number(kept["memory"][edge], "1", "memory capacity (steps of 10 ms), at the edge"),
        "memory_best": Number(kept["memory"][most], "1", "the largest memory capacity over the weights tried"),
        "memory_best_at": Number(kept["sigma"][most], "1", "branching parameter where memory is largest"),
    }


def _course_figure(found: Homeostasis) -> Figure:
    with drawing():
        figure = new_figure(3.6)
        left, right = figure.subplots(1, 2)
        for k, (name, colour) in enumerate((("below", BLUE), ("near", GREY), ("above", ORANGE))):
            left.plot(found.sigma[:, k], color=colour, linewidth=0.7, alpha=0.45)
            left.plot(np.median(found.sigma[:, k], axis=1), color=colour, linewidth=2, label=f"started {name}")
            right.plot(found.weight[:, k] / found.kept[k], color=colour, linewidth=1)
        left.axhline(1, color=INK, linewidth=0.8)
        left.set(xlabel="round", ylabel="branching parameter", ylim=(0, None))
        left.legend()
        right.set(xlabel="round", ylabel="weight, relative to the kept one")
        return figure


def _edge_figure(curves) -> Figure:
    with drawing():
        figure = new_figure(3.4)
        first, second, third = figure.subplots(1, 3)
        first.semilogx(FACTORS, curves["sigma"].mean(axis=1), color=INK, marker="o", markersize=4)
        first.axhline(1, color=GREY, linewidth=0.8)
        second.semilogx(
            FACTORS, curves["separation"].mean(axis=1), color=BLUE, marker="o", markersize=4, label="40 inputs"
        )
        second.semilogx(
            FACTORS,
            curves["generalisation"].mean(axis=1),
            color=ORANGE,
            marker="o",
            markersize=4,
            label="40 copies of one",
        )
        second.legend(fontsize=8)
        third.semilogx(FACTORS, curves["memory"].mean(axis=1), color=BLUE, marker="o", markersize=4)
        for axes, name in zip((first, second, third), ("branching parameter", "rank", "memory capacity"), strict=True):
            axes.axvline(1, color=GREY, linestyle=(0, (5, 4)), linewidth=1)
            axes.set(xlabel="weight, relative to the edge", ylabel=name, ylim=(0, None))
            axes.set_xticks([0.75, 1.0, 1.4, 1.8], ["0.75", "1", "1.4", "1.8"])
            axes.minorticks_off()
        return figure


def _raster_figure(network, time: np.ndarray, neuron: np.ndarray, duration: float) -> Figure:
    with drawing():
        figure = new_figure(3.6)
        axes = figure.subplots()
        raster(axes, network, time, neuron, 0.0, duration)
        return figure
