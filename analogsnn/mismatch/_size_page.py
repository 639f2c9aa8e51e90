"""The page of a sizing: both sizings side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..report import BLUE, GREY, ORANGE, Page, drawing, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ._size import SizeResult


def size_page(result: SizeResult) -> Page:
    """Spread, area and measures before and after, the areas of the transistors, and the samples."""
    spec, sizing = result.spec, result.sizing
    page = Page(f"Sizes for the spread of {spec.measure}")
    aim = "the spread within the area" if spec.minimise == "cv" else "the area within the spread"
    page.text(
        f"Least {aim}, by the gradient through the circuit with mismatch drawn inside the loss: {sizing.iterations} "
        f"iterations, {sizing.evaluations} evaluations ({sizing.message}).",
        "The numbers below are of fresh samples, which the search has not seen.",
    )
    page.section("Before and after")
    rows = []
    for engine, before, after in (
        ("ours", result.before, result.after), ("ngspice", result.ngspice_before, result.ngspice_after),
    ):  # fmt: skip
        if before is None or after is None:
            continue
        a, b = before.statistics[spec.measure], after.statistics[spec.measure]
        cells = [
            "" if s.cv is None or s.cv_ci95 is None else f"{s.cv:.2%} ({s.cv_ci95[0]:.2%} to {s.cv_ci95[1]:.2%})"
            for s in (a, b)
        ]
        ratio = f"{b.cv / a.cv:.3f}" if a.cv and b.cv else ""
        rows.append([f"CV of {spec.measure}, {engine}, {before.samples} samples", *cells, ratio])
        told = ["; ".join(s.sentences()) for s in (a, b)]
        if any(told):
            rows.append([f"left out, {engine}", *told, ""])
    ratio = sizing.area_after / sizing.area_before
    rows.append(
        ["gate area", f"{sizing.area_before * 1e12:.4g} µm²", f"{sizing.area_after * 1e12:.4g} µm²", f"{ratio:.3f}"]
    )
    for name in result.after.names:
        x, y = result.before.nominal[name], result.after.nominal[name]
        rows.append([f"{name}, nominal", f"{x:.5g}", f"{y:.5g}", f"{y / x:.3f}"])
    page.table(("", "before", "after", "ratio"), rows, "In brackets the 95 % interval (bootstrap).")
    with drawing():
        page.figure(
            _samples(result), f"Samples of {spec.measure}, over its own median: before (grey) and after (blue)."
        )
        page.section("Sizes", f"on a grid of {spec.grid * 1e9:g} nm" if spec.grid else "")
        page.figure(_sizes(result), "Every size that was free, before and after.")
    page.table(
        ("parameter", "before (µm)", "after (µm)", "exact (µm)", "bounds (µm)"),
        [
            [
                path, f"{sizing.before[path] * 1e6:.4g}", f"{value * 1e6:.4g}", f"{sizing.exact[path] * 1e6:.5g}",
                f"{spec.parameters[path].min * 1e6:.3g} to {spec.parameters[path].max * 1e6:.3g}",
            ]
            for path, value in sizing.after.items()
        ],
    )  # fmt: skip
    return page


def _samples(result: SizeResult) -> Figure:
    figure = new_figure(3.2)
    axes = figure.subplots()
    for campaign, colour, label in ((result.before, GREY, "before"), (result.after, BLUE, "after")):
        values = campaign[result.spec.measure]
        values = values[~np.isnan(values)]
        values = values / np.median(values)
        axes.hist(values, bins=40, density=True, histtype="step", lw=1.8, color=colour, label=label)
    axes.set(title=result.spec.measure, xlabel="over the median", yticks=[])
    axes.legend()
    return figure


def _sizes(result: SizeResult) -> Figure:
    paths = list(result.sizing.after)
    figure = new_figure(0.8 + 0.26 * len(paths))
    axes = figure.subplots()
    for i, path in enumerate(paths):
        x, y = result.sizing.before[path] * 1e6, result.sizing.after[path] * 1e6
        axes.plot([x, y], [i, i], color=GREY, lw=1)
        axes.plot(x, i, "o", color=GREY, label="before" if i == 0 else None)
        axes.plot(y, i, "o", color=ORANGE, label="after" if i == 0 else None)
    axes.set_yticks(range(len(paths)), paths)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="µm")
    axes.legend()
    return figure
