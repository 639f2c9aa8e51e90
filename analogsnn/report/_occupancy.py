"""What a mapping takes of the chip, beside what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ._style import BLUE, INK, ORANGE, PALE, family, new_figure, population_colours

if TYPE_CHECKING:
    from ..chips import Mapping


def occupancy_figure(mapping: Mapping) -> Figure:
    """The first core's neurons where they are placed, the resources in use, and the words of every neuron."""
    figure = new_figure(6.6)
    grid = figure.add_gridspec(2, 2, width_ratios=[1.0, 1.5], height_ratios=[1.35, 1.0])
    _core(figure.add_subplot(grid[0, 0]), mapping)
    _meters(figure.add_subplot(grid[0, 1]), mapping)
    _words(figure.add_subplot(grid[1, :]), mapping)
    return figure


def meters_figure(mapping: Mapping) -> Figure:
    """The resources in use, and the words of every neuron."""
    figure = new_figure(5.6)
    grid = figure.add_gridspec(2, 1, height_ratios=[1.0, 1.0])
    _meters(figure.add_subplot(grid[0]), mapping)
    _words(figure.add_subplot(grid[1]), mapping)
    return figure


def _core(axes: Axes, mapping: Mapping) -> None:
    o = mapping.occupancy
    where = next(iter(o.neurons), (0, 0))
    names = [p.name for p in mapping.network.populations]
    colours = population_colours(names)
    side = int(np.ceil(np.sqrt(o.neurons_per_core)))
    image = np.ones((side * side, 3)) * to_rgb("#ffffff")
    image[: o.neurons_per_core] = to_rgb(PALE)
    for p in mapping.neurons:
        if (p.chip, p.core) == where:
            image[p.neuron] = to_rgb(colours[p.population])
    axes.imshow(image.reshape(side, side, 3), interpolation="nearest")
    axes.set_xticks(np.arange(-0.5, side), [])
    axes.set_yticks(np.arange(-0.5, side), [])
    axes.grid(color="#ffffff", linewidth=1.2)
    axes.set_axisbelow(False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"Chip {where[0]}, core {where[1]}: {o.neurons.get(where, 0)} of {o.neurons_per_core} neurons")
    shown = {family(n): colours[n] for n in names}
    handles = [axes.plot([], [], linestyle="none", marker="s", color=c, label=n)[0] for n, c in shown.items()]
    handles.append(axes.plot([], [], linestyle="none", marker="s", color=PALE, label="free")[0])
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=4, handletextpad=0.1,
                columnspacing=0.9)  # fmt: skip


def _meters(axes: Axes, mapping: Mapping) -> None:
    o = mapping.occupancy
    most, routes = int(o.synapse_words.max(initial=0)), int(o.route_words.max(initial=0))
    rows = [
        ("neurons of the core", max(o.neurons.values(), default=0), o.neurons_per_core),
        ("tags", o.tags, o.tags_usable),
        ("CAM words of the fullest neuron", most, o.words_per_neuron),
        ("destination words, with the host's", routes, o.destinations),
    ]
    for y, (name, used, there) in enumerate(rows):
        share = used / there if there else 0.0
        axes.barh(y, 100, color=PALE, height=0.36)
        axes.barh(y, 100 * share, color=BLUE, height=0.36)
        axes.text(0, y - 0.27, name, va="bottom", fontsize=9.5)
        axes.text(102, y, f"{used} of {there}", va="center", fontsize=9.5)
    axes.set_yticks([])
    axes.set_ylim(len(rows) - 0.6, -0.75)
    axes.set_xlim(0, 122)
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title("Resources in use")


def _words(axes: Axes, mapping: Mapping) -> None:
    o = mapping.occupancy
    populations = mapping.network.populations
    colours = population_colours([p.name for p in populations])
    offsets = mapping.network.offsets()
    for p in populations:
        at = offsets[p.name] + np.arange(p.size)
        axes.bar(at, o.synapse_words[at], width=1.0, color=colours[p.name], linewidth=0)
    axes.axhline(o.words_per_neuron, color=ORANGE, linewidth=1.4, linestyle="--")
    axes.text(0, o.words_per_neuron + 1, f"{o.words_per_neuron} words available", color=ORANGE, va="bottom", fontsize=9)
    ticks = [offsets[p.name] + (p.size - 1) / 2 for p in populations]
    axes.set_xticks(ticks, [p.name for p in populations], rotation=90, fontsize=8.5)
    axes.tick_params(axis="x", length=0, labelcolor=INK)
    axes.set_xlim(-0.7, mapping.network.size - 0.3)
    axes.set_ylim(0, o.words_per_neuron * 1.18)
    axes.set_ylabel("CAM words")
    axes.set_title("CAM words of every neuron (its fan-in)")
    axes.grid(axis="y")
