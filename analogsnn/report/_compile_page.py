"""A page about one compilation: the chip as it is used, biases and weights as realised, where every neuron is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..chips import BiasRow, Mapping
from ..units import format_quantity
from ._board import board_figure, flow, traffic_figure
from ._occupancy import meters_figure
from ._page import Page
from ._style import drawing

_BIASES = ("bias", "cores", "stands for", "requested", "realised", "current asked", "current realised", "code", "error")
_PLACES = ("population", "index", "chip", "core", "neuron")


def write_compile_report(path: Path, mapping: Mapping, *, title: str, notes: Sequence[str] = ()) -> None:
    """Write the page; `notes` are remarks about the network's file."""
    page, network, o = Page(title), mapping.network, mapping.occupancy
    traffic = flow(mapping)
    chips = len({chip for chip, _ in o.neurons})
    page.text(
        f"{network.size} neurons and {network.synapse_count} synapses on {len(o.neurons)} cores of {chips} "
        f"{'chips' if chips > 1 else 'chip'} of '{mapping.chip.name}' ({mapping.chip.meta.revision}). The "
        "configuration was decoded again, by code that shares only the chip's description with the compiler, and it "
        "equals what was asked.",
        f"At the expected rates {traffic.crossing:.0f} spikes per second leave their core.",
    )
    with drawing():
        page.section("The board")
        words = "Cells are neurons in the colours of their populations, grey ones are free."
        words += " Arrows are the busiest ways of spikes between cores." if len(o.neurons) > 1 else ""
        page.figure(board_figure(mapping), words, vector=False, dpi=170)
        if len(o.neurons) > 1 or traffic.outside.any():
            words = (
                "Spikes per second at the expected rates, 20 Hz where none is given; the diagonal stays on its core."
            )
            page.figure(traffic_figure(mapping), words)
        page.section("Resources")
        words = "What the fullest core and the fullest neuron use of what they have, and the words of every neuron."
        page.figure(meters_figure(mapping), words, vector=network.size <= 400, dpi=150)
    page.section("Warnings")
    every = [*notes, *mapping.warnings]
    page.text(*(every or ["None."]))
    page.section("Biases")
    worst = max((abs(b.relative_error) for b in mapping.biases), default=0.0)
    words = f"Rows that are equal on several cores stand once. The largest error of a current is {100 * worst:.1f} %."
    page.table(_BIASES, list(_bias_lines(mapping)), words, left=(0, 1, 2))
    page.section("Weights")
    header = ("core", "synapses", "wanted", "realised", "error", "worst", "error of all")
    words = (
        "Weights of every core: their range, the one that is furthest off, and the relative L2 error over all synapses."
    )
    page.table(header, list(_weight_lines(mapping)), words)
    page.section("Where every neuron is")
    words = "Indices and places that run on together stand in one row; the configuration names every neuron."
    page.table(_PLACES, list(_places(mapping)), words)
    page.write(path)


def _bias_lines(mapping: Mapping) -> Iterator[tuple[str, ...]]:
    def key(b: BiasRow) -> tuple:
        return (b.name, b.coarse, b.fine, b.quantity, b.asked, b.got, b.requested)

    where: dict[tuple, list[str]] = {}
    rows = {}
    for b in mapping.biases:
        where.setdefault(key(b), []).append(f"{b.chip}.{b.core}")
        rows[key(b)] = b
    for k in sorted(where, key=lambda k: (k[0], k[1], k[2])):
        b, cores = rows[k], where[k]
        shown = ", ".join(cores) if len(cores) <= 6 else f"{', '.join(cores[:5])} and {len(cores) - 5} more"
        yield (
            b.name, shown, b.quantity, _quantity(b.asked, b.unit), _quantity(b.got, b.unit),
            format_quantity(b.requested, "A"), format_quantity(b.realised, "A"), f"{b.coarse}, {b.fine}",
            f"{100 * b.relative_error:+.2f} %",
        )  # fmt: skip


def _weight_lines(mapping: Mapping) -> Iterator[tuple[str, ...]]:
    each = mapping.chip.topology.cores_per_chip
    for w in mapping.weights:
        worst = int(np.argmax(np.abs(w.error)))
        low, high = (format_quantity(float(f(w.wanted)), "A") for f in (np.min, np.max))
        got_low, got_high = (format_quantity(float(f(w.realised)), "A") for f in (np.min, np.max))
        yield (
            f"{w.core // each}.{w.core % each}", str(int(w.counts.sum())), f"{low} – {high}", f"{got_low} – {got_high}",
            f"{100 * w.error[worst]:+.1f} %", format_quantity(float(w.wanted[worst]), "A"),
            f"{100 * w.relative_l2:.2f} %",
        )  # fmt: skip


def _places(mapping: Mapping) -> Iterator[tuple[str, ...]]:
    run: list = []

    def line() -> tuple[str, ...]:
        first, last = run[0], run[-1]
        span = [f"{a}" if a == b else f"{a}–{b}" for a, b in ((first.index, last.index), (first.neuron, last.neuron))]
        return (first.population, span[0], str(first.chip), str(first.core), span[1])

    for p in mapping.neurons:
        if run:
            q = run[-1]
            same = (q.population, q.chip, q.core) == (p.population, p.chip, p.core)
            if not (same and p.index == q.index + 1 and p.neuron == q.neuron + 1):
                yield line()
                run = []
        run.append(p)
    if run:
        yield line()


def _quantity(value: float, unit: str) -> str:
    return format_quantity(value, unit) if unit not in ("", "1") else f"{value:.4g}"
