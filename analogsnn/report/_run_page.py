"""A page about one run of a network: spikes, rates, currents, and an estimate of the energy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ._page import Page
from ._raster import raster
from ._style import BLUE, GREY, ORANGE, drawing, new_figure

if TYPE_CHECKING:
    import xarray as xr

    from ..network import Energy, Network, Spikes

_CURRENTS = 4  # neurons whose currents are drawn
_PARTS = ("constant", "pulses", "spikes")


def write_run_report(
    path: Path,
    network: Network,
    spikes: Spikes,
    duration: float,
    *,
    title: str,
    energy: Energy | None = None,
    recorded: xr.Dataset | None = None,
    lane: int = 0,
) -> None:
    """Write the page of a run of `duration` s; `lane` is the chip that is drawn, rates are those of all of them.

    `energy`: from `network.energy`. `recorded`: from `network.record`, of which the first four neurons are drawn.

    **Raises** `InputError` for a run without a time, and for spikes of another network.
    """
    if not duration > 0 or (len(spikes.neuron) and np.max(spikes.neuron) >= network.size):
        raise InputError(f"These are no spikes of this network's {network.size} neurons in {duration!r} s.")
    page = Page(title)
    lanes = 1 + int(np.max(spikes.lane, initial=0)) if energy is None else len(energy.total)
    page.text(f"{network.size} neurons, {network.synapse_count} synapses, {lanes} chips, {duration:g} s.")
    page.section("Rates")
    page.table(
        ("population", "neurons", "mean, Hz", "quietest chip", "busiest chip"), _rates(network, spikes, duration, lanes)
    )
    with drawing():
        page.section("Spikes")
        figure = new_figure(3.6)
        raster(figure.add_subplot(), network, *spikes.of(lane), 0.0, duration)
        page.figure(figure, f"Chip {lane}.", dpi=150)
        if recorded is not None and recorded.sizes["neuron"]:
            page.section("Currents")
            page.figure(_currents(recorded.isel(lane=lane)), f"Chip {lane}; membrane, synapses and adaptation.")
    if energy is not None:
        page.section("Energy")
        rows = [
            (name, *(f"{value * 1e9:.3g}" for value in (each.mean(), each.min(), each.max())))
            for name, each in ((name, getattr(energy, name)) for name in (*_PARTS, "total"))
        ]
        page.table(
            ("part", "nJ, mean of chips", "least", "most"), rows,
            "An estimate of the analog circuits: constant inputs and leaks, charge of the pulses at synapses, and what "
            "the neuron's own transistors draw in a spike. Bias generators, routing, memories and pads are not in it. "
            f"Mean power {energy.power.mean() * 1e9:.3g} nW.",
        )  # fmt: skip
    page.write(path)


def _rates(network: Network, spikes: Spikes, duration: float, lanes: int) -> list[tuple[str, ...]]:
    rows = []
    for p in network.populations:
        first = network.offsets()[p.name]
        mine = spikes.lane[(spikes.neuron >= first) & (spikes.neuron < first + p.size)]
        rate = np.bincount(mine, minlength=lanes) / p.size / duration
        rows.append((p.name, str(p.size), *(f"{x:.2f}" for x in (rate.mean(), rate.min(), rate.max()))))
    return rows


def _currents(recorded: xr.Dataset):
    figure = new_figure(3.6)
    axes = figure.add_subplot()
    colours = (BLUE, ORANGE, GREY)
    for k, quantity in enumerate(recorded["quantity"].values):
        values = recorded["current"].sel(quantity=quantity).values[:, :_CURRENTS] * 1e12
        style = ("-", "--", ":")[k // len(colours)]
        axes.semilogy(
            recorded["time"], np.maximum(values, 1e-3), style, color=colours[k % len(colours)], linewidth=0.8,
            label=[str(quantity), *[""] * (values.shape[1] - 1)],
        )  # fmt: skip
    axes.set_xlabel("s")
    axes.set_ylabel("pA")
    axes.legend()
    return figure
