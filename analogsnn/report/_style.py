"""One look for all figures: colours that colour-blind readers can tell apart, legible sizes, no global state."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK = "#1b2430"  # text, the reference
GREY = "#6b7684"
PALE = "#e3e7ec"  # grids, what is missing
BLUE = "#1768ac"  # the network
ORANGE = "#d1570b"  # thresholds, what to beat

# One colour a family of populations, in the order in which families come.
_FAMILIES = ("#1768ac", "#d1570b", "#2a8c5a", "#7b4fa3", "#b3254b", "#8a6d1d", "#2a9aa8", "#5b6573")

_RC: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "analogsnn",
    "path.simplify": True,
}


def drawing() -> AbstractContextManager[None]:
    """The look, for as long as figures are made and saved."""
    return matplotlib.rc_context(_RC)  # type: ignore[arg-type]


def new_figure(height: float, width: float = 10.0) -> Figure:
    """An empty figure of `width` × `height` inches, free of pyplot; make axes in it within `drawing()`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def population_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each population; those that differ only in their number share one."""
    families = list(dict.fromkeys(family(n) for n in names))
    return {n: _FAMILIES[families.index(family(n)) % len(_FAMILIES)] for n in names}


def family(name: str) -> str:
    """The name without its number: `zone3` → `zone`."""
    return name.rstrip("0123456789") or name
