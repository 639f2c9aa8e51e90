"""A fit as a page: before, after, what is left over, and how the search went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..report import BLUE, GREY, ORANGE, Page, drawing, new_figure
from ._fit import Fit


def write_fit_page(path: Path, done: Fit, title: str = "Fit") -> None:
    """Write the page of `done` to `path`."""
    page = Page(title)
    page.text(
        f"Cost (half the sum of squared residuals, in standard deviations): {done.cost_before:.4g} before, "
        f"{done.cost_after:.4g} after {done.simulator_runs} simulations."
    )
    if not done.finished:
        page.text("The search was ended by its limit of simulations; the best so far is shown.")
    page.section("Parameters", "" if done.ok else "look here")
    rows = [
        [
            name, f"{p.value:.5g}", "—" if p.stderr is None else f"{p.stderr:.2g}", "yes" if p.identifiable else "NO",
            "YES" if p.at_bound else "no",
        ]
        for name, p in done.parameters.items()
    ]  # fmt: skip
    page.table(["parameter", "value", "standard error", "told by the data", "at a bound"], rows, "SI units.")
    for group in done.inseparable:
        page.text(f"The data tell only a combination of {', '.join(group)}.")
    with drawing():
        for target, before, after in zip(done.targets, done.before, done.after, strict=True):
            page.section(str(target))
            page.figure(
                _target_figure(target, before, after), "Left: measured, before and after. Right: what is left over."
            )
        page.section("Convergence")
        figure = new_figure(2.6)
        axes = figure.subplots()
        axes.semilogy(range(len(done.history)), done.history, "o-", color=BLUE, ms=3)
        axes.set_xlabel("accepted step of the best start")
        axes.set_ylabel("cost")
        page.figure(figure, "The cost after each accepted step.")
    page.write(path)


def _target_figure(target: Any, before: np.ndarray, after: np.ndarray) -> Any:
    figure = new_figure(3.0)
    left, right = figure.subplots(1, 2)
    axis = target.axis if target.axis is not None else np.arange(1, target.values.size + 1)
    left.plot(axis, before, color=GREY, lw=1, marker="x", ms=3, label="before")
    left.plot(axis, target.values, ".", color=ORANGE, ms=4, label="measured")
    left.plot(axis, after, color=BLUE, lw=1, label="after")
    left.legend(fontsize=7)
    right.axhline(0, color=GREY, lw=0.5)
    right.plot(axis, (after - target.values) / target.spread, ".", color=BLUE, ms=4)
    right.set_ylabel("standard deviations")
    for axes in (left, right):
        axes.set_xlabel({"trace": "time (s)", "fi": str(target.sweep)}.get(target.kind, "number"))
    return figure
