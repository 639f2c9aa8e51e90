"""A fit as a page: before, after, what is left over, and how the search went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from ..report import BLUE, GREY, ORANGE, Page, drawing, new_figure
from ._fit import Fit
from ._targets import GAP

MANY = 2000  # values, beyond which a figure is a picture


def write_fit_page(path: Path, done: Fit, title: str = "Fit") -> None:
    """Write the page of `done` to `path`."""
    page = Page(title)
    count = sum(target.values.size for target in done.targets)
    page.text(
        f"Cost (half the sum of squared residuals, in standard deviations): {done.cost_before:.4g} before, "
        f"{done.cost_after:.4g} after {done.simulator_runs} simulations. Of {count} values that are off by "
        f"their standard deviations alone, {count / 2:.4g} is expected."
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
            page.section(str(target).removeprefix("target ").replace("_", " ").capitalize())
            page.figure(
                _target_figure(target, before, after),
                "Left: measured, before and after. Right: after minus measured, in standard deviations of the target."
                + (" Compared at equal phase between the spikes." if target.spikes is not None else ""),
                vector=target.values.size <= MANY,
            )
        page.section("Convergence")
        figure = new_figure(2.6)
        axes = figure.subplots()
        # Windows of the recordings bring the parameters near before the whole is compared.
        costs = [*([] if done.history[0] == done.cost_before else [done.cost_before]), *done.history]
        axes.semilogy(range(len(costs)), costs, "o-", color=BLUE, ms=3)
        axes.set_xlabel("before, and accepted steps of the best start")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("cost")
        page.figure(figure, "The cost of the whole recordings before, and after each accepted step on them.")
    page.write(path)


def _target_figure(target: Any, before: np.ndarray, after: np.ndarray) -> Any:
    figure = new_figure(3.0)
    left, right = figure.subplots(1, 2)
    axis = target.axis if target.axis is not None else np.arange(1, target.values.size + 1)
    few = target.values.size <= 100
    # A line over what was left out would show what was not compared.
    left.plot(*_broken(axis, before), color=GREY, lw=1, marker="x" if few else None, ms=3, label="before")
    left.plot(axis, target.values, ".", color=ORANGE, ms=4 if few else 2, label="measured")
    left.plot(*_broken(axis, after), color=BLUE, lw=1, label="after")
    left.legend(fontsize=7)
    current = target.name.lower().startswith("i(")
    unit = {"trace": "A" if current else "V", "spike_times": "s", "fi": "Hz"}.get(target.kind)
    shown = "time" if target.kind == "spike_times" else target.name
    left.set_ylabel(f"{shown} ({unit})" if unit else shown)
    right.axhline(0, color=GREY, lw=0.5)
    right.plot(axis, (after - target.values) / target.spread, ".", color=BLUE, ms=4 if few else 1)
    right.set_ylabel("standard deviations")
    for axes in (left, right):
        axes.set_xlabel(
            {"trace": "time (s)", "fi": str(target.sweep), "spike_times": "spike"}.get(target.kind, "value")
        )
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=target.axis is None))
    return figure


def _broken(axis: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A line that is interrupted where points were left out."""
    steps = np.diff(axis)
    gaps = np.flatnonzero(steps > GAP * np.median(steps)) + 1 if len(steps) else []
    return np.insert(axis.astype(float), gaps, np.nan), np.insert(values.astype(float), gaps, np.nan)
