"""Spikes as dots, ordered by population."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from ._style import GREY, PALE, population_colours

if TYPE_CHECKING:
    from ..network import Network

_DENSE = 8.0  # Hz; populations that fire more are drawn finer, so that their rhythm shows


def raster(axes: Axes, network: Network, time: np.ndarray, neuron: np.ndarray, start: float, end: float) -> None:
    """Draw the spikes between `start` and `end` (s), the first population on top.

    **Arguments** `time` (s) and `neuron` (logical index) of every spike. Dots are drawn as pixels, so that thousands
    of them weigh little.
    """
    colours = population_colours([p.name for p in network.populations])
    offsets = network.offsets()
    shown = (time >= start) & (time < end)
    time, neuron = time[shown], neuron[shown]
    tall = min(6.0, max(2.4, 200 / network.size))  # points
    ticks, labels = [], []
    for k, p in enumerate(network.populations):
        first = offsets[p.name]
        mine = (neuron >= first) & (neuron < first + p.size)
        if k % 2:
            axes.axhspan(first - 0.5, first + p.size - 0.5, color=PALE, alpha=0.45, linewidth=0)
        dense = np.count_nonzero(mine) > _DENSE * p.size * (end - start)
        axes.plot(
            time[mine], neuron[mine], linestyle="none", marker="|", markersize=tall,
            color=colours[p.name], markeredgewidth=0.5 if dense else 0.9, alpha=0.6 if dense else 1.0, rasterized=True,
        )  # fmt: skip
        ticks.append(first + (p.size - 1) / 2)
        labels.append(f"{p.name} ({p.size})")
    axes.set_yticks(ticks, labels, fontsize=9)
    axes.tick_params(axis="y", length=0)
    for label, p in zip(axes.get_yticklabels(), network.populations, strict=True):
        label.set_color(colours[p.name])
    axes.set_ylim(network.size - 0.5, -0.5)
    axes.set_xlim(start, end)
    axes.set_xlabel("time (s)")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GREY, alpha=0.2, linewidth=0.6)
