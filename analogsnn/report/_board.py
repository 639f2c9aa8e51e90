"""A board as it is used: its chips and cores, the neurons on them, and the traffic between cores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from ..chips import RATE, Mapping
from ._style import BLUE, GREY, INK, PALE, family, new_figure, population_colours

_ARROWS = 24  # the busiest pairs of cores; the matrix shows all
_NAMED = 12  # populations in the legend


@dataclass(frozen=True)
class Flow:
    """Spikes per second between cores, at the expected rates.

    `cores`: (chip, core) in use; `between`: float array [from, to]; `outside`: from inputs, float array [to].
    """

    cores: list[tuple[int, int]]
    between: np.ndarray
    outside: np.ndarray

    @property
    def crossing(self) -> float:
        """Spikes per second that leave their core."""
        return float(self.between.sum() - np.trace(self.between))


def flow(mapping: Mapping) -> Flow:
    """The traffic of a mapping; what has no expected rate counts with `RATE`."""
    network, cores = mapping.network, sorted(mapping.occupancy.neurons)
    number = {where: k for k, where in enumerate(cores)}
    at = np.array([number[p.chip, p.core] for p in mapping.neurons])
    rate = np.concatenate([np.full(p.size, RATE if p.rate is None else p.rate) for p in network.populations])
    starts, inputs = network.offsets(), network.input_offsets()
    between, outside = np.zeros((len(cores), len(cores))), np.zeros(len(cores))
    for inside in (True, False):
        hits = [np.zeros((0, 2), np.int64)]
        for c in network.connections:
            if (c.source in starts) == inside:
                first = (starts if inside else inputs)[c.source]
                hits.append(np.stack([first + c.pairs[:, 0], at[starts[c.target] + c.pairs[:, 1]]], axis=1))
        source, to = np.unique(np.concatenate(hits), axis=0).T
        if inside:
            np.add.at(between, (at[source], to), rate[source])
        else:
            np.add.at(outside, to, RATE)
    return Flow(cores, between, outside)


def board_figure(mapping: Mapping) -> Figure:
    """Every chip in use with its cores; a cell is a neuron, in the colour of its population; arrows are traffic."""
    top, used = mapping.chip.topology, mapping.occupancy.neurons
    chips = sorted({chip for chip, _ in used})
    wide = int(np.ceil(np.sqrt(top.cores_per_chip)))
    high = -(-top.cores_per_chip // wide)
    columns = min(len(chips), 4)
    rows = -(-len(chips) // columns)
    figure = new_figure(min(9.0, 1.1 + 9.6 * rows * (high + 0.35) / (columns * (wide + 0.35))))
    axes = figure.add_subplot()
    colours = population_colours([p.name for p in mapping.network.populations])
    middle: dict[tuple[int, int], tuple[float, float]] = {}
    for k, chip in enumerate(chips):
        x0, y0 = (k % columns) * (wide + 0.35), (k // columns) * (high + 0.35)
        frame = Rectangle((x0 - 0.08, y0 - 0.08), wide + 0.06, high + 0.06, fill=False, edgecolor=GREY, linewidth=1.2)
        axes.add_patch(frame)
        axes.text(x0 - 0.06, y0 - 0.12, f"chip {chip}", va="bottom", fontsize=9.5, fontweight="bold")
        for core in range(top.cores_per_chip):
            x, y = x0 + core % wide, y0 + core // wide
            _core(axes, mapping, (chip, core), (x, y), colours)
            middle[chip, core] = (x + 0.45, y + 0.45)
    _arrows(axes, flow(mapping), middle)
    axes.set_xlim(-0.15, columns * (wide + 0.35) - 0.2)
    axes.set_ylim(rows * (high + 0.35) - 0.2, -0.35)
    axes.set_aspect("equal")
    axes.axis("off")
    shown = {family(p.name): colours[p.name] for p in mapping.network.populations}
    named = list(shown.items())[:_NAMED]
    handles = [axes.plot([], [], linestyle="none", marker="s", color=c, label=n)[0] for n, c in named]
    handles.append(axes.plot([], [], linestyle="none", marker="s", color=PALE, label="free")[0])
    figure.legend(handles=handles, loc="outside lower center", ncols=7, handletextpad=0.1, columnspacing=0.9)
    return figure


def _core(axes: Axes, mapping: Mapping, where: tuple[int, int], corner: tuple[float, float], colours: dict) -> None:
    size = mapping.occupancy.neurons_per_core
    side = int(np.ceil(np.sqrt(size)))
    image = np.ones((side * side, 3))
    image[:size] = to_rgb(PALE)
    for p in mapping.neurons:
        if (p.chip, p.core) == where:
            image[p.neuron] = to_rgb(colours[p.population])
    x, y = corner
    axes.imshow(image.reshape(side, side, 3), extent=(x, x + 0.9, y + 0.9, y), interpolation="nearest", zorder=1)
    count = mapping.occupancy.neurons.get(where, 0)
    axes.add_patch(Rectangle((x, y), 0.9, 0.9, fill=False, edgecolor=INK if count else GREY, linewidth=0.8))
    box = {"boxstyle": "round,pad=0.15", "facecolor": "#ffffff", "edgecolor": "none", "alpha": 0.85}
    words = f"core {where[1]}: {count}"
    axes.text(x + 0.04, y + 0.05, words, va="top", fontsize=7.5, bbox=box, zorder=3)


def _arrows(axes: Axes, traffic: Flow, middle: dict[tuple[int, int], tuple[float, float]]) -> None:
    moving = traffic.between.copy()
    np.fill_diagonal(moving, 0.0)
    order = np.argsort(moving, axis=None)[::-1][:_ARROWS]
    for a, b in zip(*np.unravel_index(order, moving.shape), strict=True):
        if moving[a, b] > 0:
            strength = moving[a, b] / moving.max()
            arrow = FancyArrowPatch(
                middle[traffic.cores[a]], middle[traffic.cores[b]], connectionstyle="arc3,rad=0.12",
                arrowstyle="-|>", mutation_scale=9, linewidth=0.6 + 2.2 * strength, color=INK,
                alpha=0.35 + 0.45 * strength, zorder=4, shrinkA=7, shrinkB=7,
            )  # fmt: skip
            axes.add_patch(arrow)


def traffic_figure(mapping: Mapping) -> Figure:
    """Spikes per second from every core (row) and from the inputs to every core (column)."""
    traffic = flow(mapping)
    matrix = np.vstack([traffic.between, traffic.outside])
    names = [f"{chip}.{core}" for chip, core in traffic.cores]
    figure = new_figure(min(8.0, 1.8 + 0.33 * len(matrix)))
    axes = figure.add_subplot()
    shown = axes.imshow(matrix, cmap="Blues", aspect="auto", vmin=0.0)
    axes.set_xticks(range(len(names)), names, fontsize=8.5)
    axes.set_yticks(range(len(matrix)), [*names, "inputs"], fontsize=8.5)
    axes.set_xlabel("to core (chip.core)")
    axes.set_ylabel("from core")
    for (row, column), value in np.ndenumerate(matrix):
        if value > 0 and len(names) <= 16:
            dark = value > 0.6 * matrix.max()
            words = f"{value:.0f}" if value < 1e4 else f"{value / 1e3:.0f}k"
            axes.text(column, row, words, ha="center", va="center", fontsize=7, color="#ffffff" if dark else INK)
    figure.colorbar(shown, ax=axes, label="spikes per second", shrink=0.8)
    axes.axhline(len(names) - 0.5, color=BLUE, linewidth=1.0)
    axes.set_title("Spikes sent to each core")
    return figure
