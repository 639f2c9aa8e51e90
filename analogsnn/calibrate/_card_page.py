"""An extracted card as a page: currents over each other, and the error by region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..devices import CORE, Currents, relative_errors
from ..report import BLUE, GREY, ORANGE, Page, drawing, new_figure
from ..units import format_quantity
from ._card import REGIONS, ExtractedCard

_KINDS = {"n": "nmos", "p": "pmos"}


def write_card_page(path: Path, card: ExtractedCard) -> None:
    """Write the page of `card` to `path`."""
    page = Page(f"EKV card from {Path(card.source).name}")
    page.text(
        f"Fitted to {card.names[0]} and {card.names[1]} as ngspice computes them. The core is 1 pA to 1 µA at a "
        "drain-source voltage of at least 0.1 V; inverters also reach what is above and below it.",
        *(
            f"{_KINDS[p]}: of the core's currents the largest error is {_percent(row['max_relative'])}, the root mean "
            f"square {_percent(row['rms_relative'])}, and 95 % of the points within {_percent(row['p95_relative'])}."
            for p, row in card.overall.items()
        ),
    )
    with drawing():
        for polarity, data in card.data.items():
            values = card.nmos if polarity == "n" else card.pmos
            page.section(_KINDS[polarity])
            page.figure(_figure({**values, **card.common}, data.usable()), _CAPTION)
    page.section("Error by size, temperature and region")
    page.table(
        ["device", "W", "L", "°C", *REGIONS],
        _table(card),
        "Largest relative error of the current; — where no point lies.",
    )
    page.section("Parameters")
    names = [*card.nmos]
    page.table(
        ["parameter", "nmos", "pmos"],
        [[name, f"{card.nmos[name]:.5g}", f"{card.pmos[name]:.5g}"] for name in names]
        + [[name, f"{value:.5g}", f"{value:.5g}"] for name, value in card.common.items()],
        "Names and equations: circuits/cards/ekv.lib. SI units.",
    )
    page.write(path)


_CAPTION = (
    "Left: measured (dots) and fitted (lines) currents of the middle size at 27 °C, half the supply from drain to "
    "source, for each source voltage. Right: the error of every point of the core, all sizes and temperatures."
)


def _figure(card: dict[str, float], data: Currents) -> Any:
    figure = new_figure(3.6)
    left, right = figure.subplots(1, 2)
    w, length = float(np.median(data.w)), float(np.median(data.l))
    size = (data.w == w) & (data.l == length) & (np.abs(data.celsius - 27) < 1)
    drops = np.unique(np.round((data.drain - data.source)[size], 6)) if size.any() else []
    error = relative_errors(card, data)
    if len(drops):
        drop = drops[len(drops) // 2]
        for k, source in enumerate(np.unique(data.source[size])):
            here = size & (data.source == source) & (np.abs(data.drain - data.source - drop) < 1e-5)
            order = np.argsort(data.gate[here])
            gate, current = data.gate[here][order], data.current[here][order]
            left.semilogy(gate, current * (1 + error[here][order]), color=BLUE, lw=1)
            left.semilogy(gate[::3], current[::3], ".", color=ORANGE, ms=3, label="measured" if not k else None)
    left.axhspan(*CORE, color=GREY, alpha=0.12)
    left.set_xlabel("gate voltage against the bulk (V)")
    left.set_ylabel("drain current (A)")
    core = data.core
    right.semilogx(data.current[core], 100 * error[core], ".", color=BLUE, ms=1.5)
    right.set_xlabel("drain current (A)")
    right.set_ylabel("fitted - measured (%)")
    return figure


def _table(card: ExtractedCard) -> list[list[str]]:
    rows: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in card.errors:
        if row["region"] in REGIONS:
            key = (row["polarity"], row["w"], row["l"], row["temperature"])
            rows.setdefault(key, {})[row["region"]] = row["max_relative"]
    return [
        [_KINDS[p], format_quantity(w, "m"), format_quantity(length, "m"), f"{t:g}"]
        + [_percent(found[name]) if name in found else "—" for name in REGIONS]
        for (p, w, length, t), found in rows.items()
    ]  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
