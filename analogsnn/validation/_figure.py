"""A bench on both engines as a figure: signals laid over each other on the left, their difference on the right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from ..measure import spike_times
from ..report import BLUE, GREY, ORANGE, new_figure
from ..simulation import signals
from ..waveforms import Waveforms
from ._compare import MEMBRANE, SPIKE, alignment, deviation

if TYPE_CHECKING:
    from ._report import BenchReport

GREEN = "#2a8c5a"  # the behavioural model
FLAT = {"v": 20e-3, "i": 0.0}  # V, A: what moves less than this,
FLAT_SHARE = 1e-3  # or than this share of itself, is drawn as a straight line, not as rounding


def bench_figure(bench: BenchReport) -> Figure:
    """One row per signal that the bench's measures look at, and the membrane; to be called within `drawing()`."""
    ours, ngspice = bench.ours, bench.ngspice
    names = signals(bench.netlist, ours)
    membrane = f"v({MEMBRANE})"
    if SPIKE in ours.nodes and membrane not in names:
        names = [membrane, *names][:8]
    figure = new_figure(0.9 + 1.35 * len(names), 11.0)
    grid = figure.subplots(len(names), 2, sharex=True, squeeze=False)
    align = alignment(ours, ngspice)
    there = np.asarray(ngspice.time)
    for (left, right), name in zip(grid, names, strict=True):
        left.plot(ours.time, _values(ours, name), color=BLUE, linewidth=1.4, label="ours")
        left.plot(there, _values(ngspice, name), color=ORANGE, linewidth=1.0, linestyle=(0, (4, 3)), label="ngspice")
        other = there if align is None else align(there)
        axis, difference = deviation(ours.time, _values(ours, name), other, _values(ngspice, name))
        right.plot(axis, difference, color=GREY, linewidth=0.9)
        values = _values(ours, name)
        flat = max(FLAT[name[0]], FLAT_SHARE * float(np.abs(values).max()))
        if np.ptp(values) < flat:
            left.set_ylim(float(np.mean(values)) - flat, float(np.mean(values)) + flat)
        left.set_ylabel(name, rotation=0, ha="right", va="center")
        unit = "V" if name[0] == "v" else "A"
        for panel in (left, right):
            panel.yaxis.set_major_formatter(EngFormatter(unit))
            panel.grid(color=GREY, alpha=0.2, linewidth=0.6)
            panel.margins(x=0.0, y=0.12)
    marks = [*grid[0, 0].lines, *_draw_model(bench, dict(zip(names, grid[:, 0], strict=True)))]
    grid[0, 1].set_title("ours - ngspice" + ("" if align is None else ", spikes aligned"))
    labelled = {mark.get_label(): mark for mark in marks}
    grid[0, 0].legend(
        labelled.values(), labelled, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1
    )
    figure.align_ylabels(list(grid[:, 0]))
    for panel in grid[-1]:
        panel.xaxis.set_major_locator(MaxNLocator(6))
        timed = ours.variable == "time"
        panel.set_xlabel("time" if timed else ours.variable)
        if timed or ours.variable[0] in "vi":
            unit = "s" if timed else {"v": "V", "i": "A"}[ours.variable[0]]
            panel.xaxis.set_major_formatter(EngFormatter(unit))
    return figure


def _draw_model(bench: BenchReport, panels: dict[str, Any]) -> list[Any]:
    """The model in the panels that it knows something about; gives what it drew."""
    drawn: list[Any] = []
    if bench.model is None:
        return drawn
    waves = bench.model.waves
    style: dict[str, Any] = {"color": GREEN, "linewidth": 1.2, "linestyle": ":", "label": "model"}
    for name, panel in panels.items():
        if name[0] == "i" and name[2:-1] in waves.branches:
            drawn += panel.plot(waves.time, _values(waves, name), **style)
        elif name == f"v({SPIKE})" and SPIKE in waves.nodes:
            low, high = panel.get_ylim()
            drawn.append(panel.vlines(spike_times(waves, SPIKE), low, high, **style))
    return drawn


def _values(waves: Waveforms, name: str) -> np.ndarray:
    return np.asarray(waves.voltage(name[2:-1]) if name[0] == "v" else waves.current(name[2:-1]))
