"""The page of a system: its numbers beside their targets, its figures, the chip that it ran on, and its limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..report import Page, bias_table, drawing, occupancy_figure
from ._result import Number, Result


def write_page(path: Path, result: Result) -> None:
    """Write one self-contained HTML page."""
    page = Page(result.title)
    page.text(*result.about)
    page.section("The numbers")
    sources = list(dict.fromkeys(n.source for n in result.numbers.values() if n.source is not None))
    words = "Values are medians where a spread is given: lowest to highest, and standard deviation. "
    words += " ".join(f"[{i}] {source}." for i, source in enumerate(sources, 1))
    rows = [_row(n, sources) for n in result.numbers.values()]
    page.table(("number", "value", "spread", "target", "met"), rows, words, left=(0, 2, 3, 4))
    heading = ""
    for picture in result.pictures:
        if picture.section != heading:
            page.section(picture.section)
            heading = picture.section
        page.figure(picture.figure, picture.caption)
    if result.mapping is not None:
        mapping = result.mapping
        page.section("The chip")
        page.text(*mapping.warnings)
        with drawing():
            page.figure(occupancy_figure(mapping), "Synapse words and neurons that the network takes.")
        page.table(*bias_table(mapping), "Biases, requested and realised by a coarse and a fine code.", left=(0, 1))
    page.section("What this does not show")
    page.text(*result.limits)
    page.write(path)


def _row(number: Number, sources: list[str]) -> list[str]:
    met = {True: "yes", False: "no", None: ""}[number.met]
    mark = "" if number.source is None else f" [{sources.index(number.source) + 1}]"
    return [number.text, shown(number), _spread(number), target(number) + mark, met]


def shown(number: Number) -> str:
    """The value with its unit."""
    if not np.isfinite(number.value):
        return "none"
    return f"{number.value:.3g}" if number.unit == "1" else f"{number.value:.3g} {number.unit}"


def target(number: Number) -> str:
    """The target in words."""
    if number.least is not None and number.most is not None:
        return f"{number.least:g} to {number.most:g}"
    if number.least is not None:
        return f"≥ {number.least:g}"
    return "" if number.most is None else f"≤ {number.most:g}"


def _spread(number: Number) -> str:
    s = number.spread
    return "" if s is None else f"{s['low']:.3g} to {s['high']:.3g}, {s['std']:.2g} ({s['count']} {s['over']})"
