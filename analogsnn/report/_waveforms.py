"""Waveforms as stacked panels over one axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from ..waveforms import Waveforms
from ._style import BLUE, GREY, ORANGE, new_figure


def waveforms_figure(
    waves: Waveforms, signals: Sequence[str], *, title: str = "", threshold: float | None = None, width: float = 10.0
) -> Figure:
    """One panel per signal: `v(node)` or `i(branch)`; to be called within `drawing()`.

    **Arguments**

    - `threshold`: V, drawn dashed where a voltage crosses it.
    - `width`: of the figure, in inches.
    """
    figure = new_figure(0.9 + 1.25 * len(signals), width)
    panels = figure.subplots(len(signals), 1, sharex=True, squeeze=False)[:, 0]
    axis = np.asarray(waves.time)
    point = axis.size == 1
    for panel, name in zip(panels, signals, strict=True):
        kind, inner = name[0], name[2:-1]
        values = np.asarray(waves.voltage(inner) if kind == "v" else waves.current(inner))
        panel.plot(axis, values, color=BLUE, linewidth=1.1, marker="o" if point else None)
        if kind == "v" and threshold is not None and values.min() < threshold < values.max():
            panel.axhline(threshold, color=ORANGE, linewidth=0.8, linestyle="--")
        panel.set_ylabel(name, rotation=0, ha="right", va="center")
        panel.yaxis.set_major_formatter(EngFormatter("V" if kind == "v" else "A"))
        panel.grid(color=GREY, alpha=0.2, linewidth=0.6)
        panel.margins(x=0.0 if not point else 0.05, y=0.12)
    if title:
        panels[0].set_title(title)
    figure.align_ylabels(list(panels))
    if waves.variable == "time":
        panels[-1].set_xlabel("time")
        panels[-1].xaxis.set_major_formatter(EngFormatter("s"))
    else:
        panels[-1].set_xlabel("operating point" if waves.variable == "op" else waves.variable)
        if waves.variable[0] in "vi":
            panels[-1].xaxis.set_major_formatter(EngFormatter("V" if waves.variable[0] == "v" else "A"))
    return figure
