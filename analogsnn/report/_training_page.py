"""A page about one training: what was learned, what of it arrives on the chip, and what mismatch takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..network import GAP, Mismatch, Samples, lanes, simulate
from ._page import Page
from ._raster import raster
from ._style import BLUE, GREY, ORANGE, drawing, new_figure

if TYPE_CHECKING:
    from ..chips import Arrival

GOAL = 0.03  # of accuracy, lost from float to fresh chips
_SHOWN = 3  # samples in the raster
_HEADER = ("trained with", "float", "quantised", "fresh chips, mean", "spread", "worst", "lost, points")


def write_training_report(
    path: Path,
    arrivals: Mapping[str, Arrival],
    check: Samples,
    *,
    title: str,
    outputs: Sequence[str] = (),
    notes: Sequence[str] = (),
    seconds: float | None = None,
    seed: int | None = None,
) -> None:
    """Write the page for trainings by name, the first of which is shown in spikes too.

    `outputs`: names of the classes, in the order of the labels; numbers unless given.
    """
    page, first = Page(title), next(iter(arrivals.values()))
    network = first.mapping.network
    page.text(
        *notes,
        f"{network.size} neurons and {network.synapse_count} synapses on one core of '{first.mapping.chip.name}'. "
        f"Accuracies are shares of right answers on {len(check.label)} samples that training never saw, played one "
        "after the other in steps of 0.1 ms; the configuration was compiled and decoded again.",
    )
    if seed is not None and seconds is not None:
        page.text(f"Seed {seed}; {seconds:.0f} s for everything on this page.")
    page.section("What arrives on the chip")
    rows = [
        (
            name, _percent(a.unquantised), _percent(a.quantised), _percent(float(a.mismatched.mean())),
            _percent(float(a.mismatched.std())), _percent(float(a.mismatched.min())), f"{100 * a.lost:+.1f}",
        )
        for name, a in arrivals.items()
    ]  # fmt: skip
    words = (
        f"Float: as trained, no mismatch. Quantised: four weight currents and bias codes. {len(first.mismatched)} "
        f"fresh chips: 20 % mismatch of every current; the goal is to lose at most {100 * GOAL:.0f} points."
    )
    page.table(_HEADER, rows, words)
    with drawing():
        page.figure(_chips_figure(arrivals), "Every fresh chip is a dot; the lines are float and quantised.")
        page.section("Training")
        page.figure(_loss_figure(arrivals), "Loss and norm of its gradient; levels are quantised from half-way on.")
        page.section("Spikes")
        figure = new_figure(3.9)
        events, period = check.stream(GAP), check.duration + GAP
        end = _SHOWN * period
        here = events.time < end
        shown = type(events)(events.time[here], events.channel[here])
        spikes = simulate(lanes(network, [Mismatch(0.2, 0, 0)]), shown, end)
        axes = figure.add_subplot()
        raster(axes, network, spikes.time, spikes.neuron, 0.0, end)
        for k, label in enumerate(check.label[:_SHOWN]):
            axes.axvspan(k * period, k * period + check.duration, color=BLUE, alpha=0.07, linewidth=0)
            name = list(outputs)[int(label)] if outputs else str(label)
            axes.text(k * period, 1.01, name, transform=axes.get_xaxis_transform(), color=BLUE, fontsize=9)
        used = len(np.unique(spikes.neuron))
        words = (
            f"A chip with 20 % mismatch on the first {_SHOWN} samples; shaded: while a sample lasts, with its class. "
            f"{used} of {network.size} neurons spike in them."
        )
        page.figure(figure, words, dpi=150)
    page.write(path)


def _chips_figure(arrivals: Mapping[str, Arrival]):
    figure = new_figure(2.8)
    axes = figure.add_subplot()
    for k, a in enumerate(arrivals.values()):
        spread = np.linspace(-0.25, 0.25, len(a.mismatched))
        axes.plot(k + spread, 100 * np.sort(a.mismatched), "o", color=BLUE, markersize=4)
        words = ("", "") if k else ("float", "quantised")
        axes.hlines(
            100 * a.unquantised, k - 0.35, k + 0.35, color=GREY, linewidth=3, alpha=0.5, zorder=1, label=words[0]
        )
        axes.hlines(100 * a.quantised, k - 0.35, k + 0.35, color=ORANGE, linestyle="--", zorder=1, label=words[1])
    axes.set_xticks(range(len(arrivals)), list(arrivals))
    axes.set_ylabel("right answers (%)")
    axes.legend()
    return figure


def _loss_figure(arrivals: Mapping[str, Arrival]):
    figure = new_figure(2.8)
    left, right = figure.subplots(1, 2)
    for (name, a), colour in zip(arrivals.items(), (BLUE, ORANGE, GREY), strict=False):
        left.semilogy(a.trained.losses, color=colour, label=name)
        right.semilogy(a.trained.norms, color=colour)
    left.set_ylabel("loss")
    right.set_ylabel("gradient")
    for axes in (left, right):
        axes.set_xlabel("step")
    left.legend()
    return figure


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"
