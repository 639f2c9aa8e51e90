"""Plots and self-contained HTML pages."""

from typing import TYPE_CHECKING, Any

from ._bias_table import bias_table as bias_table
from ._occupancy import occupancy_figure as occupancy_figure
from ._page import Page as Page
from ._raster import raster as raster
from ._style import BLUE as BLUE
from ._style import GREY as GREY
from ._style import INK as INK
from ._style import ORANGE as ORANGE
from ._style import PALE as PALE
from ._style import drawing as drawing
from ._style import new_figure as new_figure
from ._style import population_colours as population_colours
from ._waveforms import waveforms_figure as waveforms_figure

if TYPE_CHECKING:
    from ._board import board_figure as board_figure
    from ._board import traffic_figure as traffic_figure
    from ._compile_page import write_compile_report as write_compile_report
    from ._run_page import write_run_report as write_run_report
    from ._training_page import write_training_report as write_training_report

# Looked up when used: they know chips, and so JAX, which a drawing of waveforms does not need.
_HOMES = {
    "board_figure": "_board",
    "traffic_figure": "_board",
    "write_compile_report": "_compile_page",
    "write_run_report": "_run_page",
    "write_training_report": "_training_page",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
