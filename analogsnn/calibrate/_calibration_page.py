"""A calibration as a page: the bench by model, circuit and ngspice in one figure, and the errors of the experiments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import library, ngspice
from ..circuit import Circuit
from ..errors import NgspiceError
from ..measure import spike_times
from ..models import TransistorDPI, TransistorGate, TransistorNeuron
from ..report import BLUE, GREY, ORANGE, Page, drawing, new_figure
from ..transient import dc, transient
from ..units import format_quantity
from ..waveforms import Waveforms
from ._calibration import LIMIT, Calibration

_NEURON_END = 22e-3  # s: five spikes of the bench
_SPIKES = 8


_PATIENCE = 300.0  # s, of ngspice: an extracted card's long expressions take it a hundred times a shipped card's time


def write_calibration_page(path: Path, found: Calibration) -> str | None:
    """Write the page of a calibration to `path`. Runs the block's bench in both engines.

    **Returns** None, or why ngspice is not in the figure, as the page says too: the calibration does not need it.
    """
    page = Page(f"Model of {found.block} on {Path(found.card).name}")
    if found.valid_range is None:
        page.text(f"There is no range in which {', '.join(found.judged)} are within {100 * LIMIT:g} %.")
    else:
        low, high = found.valid_range[found.along]
        page.text(
            f"Fitted to {found.experiments} circuit runs. {', '.join(found.judged)} are within {100 * LIMIT:g} % for "
            f"{found.along} from {format_quantity(low, 'A')} to {format_quantity(high, 'A')}."
        )
    with drawing():
        page.section("The bench")
        draw, marks = _FIGURES[type(found.model)]
        figure, missing = draw(found)
        theirs = "Wide grey line: the same circuit in ngspice." if missing is None else f"Without ngspice: {missing}"
        page.figure(figure, f"Blue line: circuit in our engine. {theirs} {marks}")
        page.section("Errors of the experiments")
        page.figure(_errors_figure(found), f"Model - circuit over {found.along}; the band is {100 * LIMIT:g} %.")
    page.table(
        ["quantity", "largest", "rms", "within 3 %"],
        [
            [name, *(f"{100 * row[key]:.1f} %" for key in ("max_relative", "rms_relative", "share_below_limit"))]
            for name, row in found.summary().items()
        ],
        "Relative errors of the model against its circuit.",
    )
    page.section("Parameters")
    page.table(["parameter", "value"], [[k, f"{v:.5g}"] for k, v in found.parameters.items()], "SI units.")
    page.write(path)
    return missing


def _errors_figure(found: Calibration) -> Any:
    names = list(found.summary())
    figure = new_figure(3.2)
    for axes, name in zip(np.ravel(figure.subplots(1, len(names))), names, strict=True):
        rows = [row for row in found.errors if row.quantity == name]
        for celsius, colour in zip(
            sorted({row.condition["celsius"] for row in rows}), (BLUE, GREY, ORANGE) * 9, strict=False
        ):
            here = [row for row in rows if row.condition["celsius"] == celsius]
            axes.semilogx(
                [row.condition[found.along] for row in here], [100 * row.relative_error for row in here], ".",
                color=colour, ms=4, label=f"{celsius:g} °C",
            )  # fmt: skip
        axes.axhspan(-100 * LIMIT, 100 * LIMIT, color=GREY, alpha=0.12)
        axes.set_title(name)
        axes.set_xlabel(f"{found.along} (A)")
    figure.axes[0].set_ylabel("model - circuit (%)")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=9, frameon=False)
    return figure


def _theirs(solve: Callable[[], Waveforms]) -> tuple[Waveforms | None, str | None]:
    """What ngspice says, or why it says nothing."""
    try:
        return solve(), None
    except NgspiceError as error:
        return None, str(error)


def _both(found: Calibration, end: float | None, save: list[str] | None) -> tuple[Circuit, Any, Any, str | None]:
    netlist = library.read_bench(found.block, card=found.card)
    circuit = Circuit.from_netlist(netlist)
    theirs = _theirs(lambda: ngspice.transient(netlist, end, save=save, timeout=_PATIENCE))
    return circuit, transient(circuit, end, accuracy="fast", rtol=1e-5), *theirs


def _styled(ours: Waveforms, theirs: Waveforms | None) -> list[tuple[Waveforms, dict[str, Any]]]:
    """Who is drawn and how: ngspice as a wide line below ours, so that both are seen where they agree."""
    wide = [] if theirs is None else [(theirs, {"color": GREY, "lw": 4, "alpha": 0.45})]
    return [*wide, (ours, {"color": BLUE, "lw": 1})]


def _neuron_figure(found: Calibration) -> tuple[Any, str | None]:
    circuit, ours, theirs, missing = _both(found, _NEURON_END, ["vmem", "spk"])
    start = float(circuit["iin.td"])
    times = start + np.asarray(found.model.spikes(circuit["param.iin"], _SPIKES, _NEURON_END - start)[0])
    figure = new_figure(3.2)
    axes = figure.subplots()
    for waves, style in _styled(ours, theirs):
        axes.plot(1e3 * np.asarray(waves.time), np.asarray(waves.voltage("vmem")), **style)
    axes.plot(1e3 * times, np.full(times.size, 0.82), "v", color=ORANGE)
    last = [("circuit", ours), *([("ngspice", theirs)] if theirs is not None else [])]
    late = [f"{name} {1e3 * float(np.asarray(spike_times(waves, 'spk'))[-1]):.3f} ms" for name, waves in last]
    axes.set_title(f"last spike: {', '.join(late)}, model {np.nanmax(times) * 1e3:.3f} ms")
    axes.set_xlabel("time (ms)")
    axes.set_ylabel("membrane (V)")
    return figure, missing


def _synapse_figure(found: Calibration) -> tuple[Any, str | None]:
    circuit, ours, theirs, missing = _both(found, None, None)
    start, width = (np.array([float(circuit[f"vpre.{key}"])]) for key in ("td", "pw"))
    points = np.linspace(0.0, float(ours.time[-1]), 60)
    model = found.model.trace(points, start, width, circuit["param.iw"])
    figure = new_figure(3.2)
    axes = figure.subplots()
    for waves, style in _styled(ours, theirs):
        axes.semilogy(1e3 * np.asarray(waves.time), np.abs(np.asarray(waves.current("vo"))), **style)
    axes.semilogy(1e3 * points, np.asarray(model), ".", color=ORANGE)
    axes.set_xlabel("time (ms)")
    axes.set_ylabel("output (A)")
    return figure, missing


def _gate_figure(found: Calibration) -> tuple[Any, str | None]:
    netlist = library.read_bench(found.block, card=found.card)
    circuit = Circuit.from_netlist(netlist)
    ours = dc(circuit)
    theirs, missing = _theirs(lambda: ngspice.run(netlist))
    points = np.linspace(float(ours.time[0]), float(ours.time[-1]), 40)
    figure = new_figure(3.2)
    axes = figure.subplots()
    for waves, style in _styled(ours, theirs):
        axes.semilogy(np.asarray(waves.time), np.abs(np.asarray(waves.current("vo"))), **style)
    axes.semilogy(points, np.asarray(found.model.current(circuit["is.dc"], points)), ".", color=ORANGE)
    axes.set_xlabel("membrane (V)")
    axes.set_ylabel("output (A)")
    return figure, missing


_FIGURES = {
    TransistorDPI: (_synapse_figure, "Dots: model."),
    TransistorNeuron: (_neuron_figure, "Marks: spikes of the model."),
    TransistorGate: (_gate_figure, "Dots: model."),
}
