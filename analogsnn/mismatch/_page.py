"""The page of a campaign: distributions with their fits, correlations, and what has no value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..report import BLUE, GREY, INK, ORANGE, PALE, Page, drawing, new_figure
from ..units import format_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ._contributions import Contributions
    from ._result import Campaign
    from ._statistics import Statistics

NARROW = "\u202f"  # a space at which no line is broken
Specifications = Mapping[str, tuple[float, float]]


def campaign_page(campaign: Campaign, specifications: Specifications, parts: Sequence[Contributions] = ()) -> Page:
    """The page; `specifications` are drawn into the distributions, `parts` are the contributions to show."""
    page = Page(f"Mismatch of {campaign.netlist.title or campaign.netlist.file}")
    law = campaign.law
    page.text(
        f"{campaign.samples} samples on {campaign.engine}; A_VT {law.avt_n * 1e9:.3g} mV µm (n), {law.avt_p * 1e9:.3g} "
        f"mV µm (p), A_β {law.abeta_n * 1e8:.3g} and {law.abeta_p * 1e8:.3g} % µm; common threshold shift "
        f"{law.common_vt * 1e3:.3g} mV." + (f" Ideal: {', '.join(law.ideal)}." if law.ideal else ""),
    )
    notes = [f"{name}: {sentence}." for name, s in campaign.statistics.items() for sentence in s.sentences()]
    page.section("Measures", f"{campaign.failed} samples lack a value" if notes else "")
    page.table(
        ("measure", "nominal", "mean", "std", "CV", "95 % interval of CV", "5 %", "median", "95 %", "log-normal"),
        [_row(campaign, s) for s in campaign.statistics.values()],
        "In SI units, m for 1e-3, p for 1e-12 and so on. CV is the standard deviation over the mean; its interval is a "
        "bootstrap over the samples. A log-normal fit is "
        "rejected at 5 % (Lilliefors). What has no value is in none of these numbers.",
    )
    page.text(*notes)
    for name, (low, high) in specifications.items():
        share = campaign.yields({name: (low, high)})
        page.text(f"Within the specification of {name}: {share.passed} of {share.samples} ({share.share:.1%}).")
    if len(specifications) > 1:
        both = campaign.yields(specifications)
        page.text(f"Within all specifications: {both.passed} of {both.samples} ({both.share:.1%}).")
    with drawing():
        page.section("Distributions")
        for name, s in campaign.statistics.items():
            if s.count > 1:
                page.figure(
                    distribution_figure(campaign, s, specifications.get(name)),
                    f"{name}: {s.count} samples, the log-normal with the same mean and spread of logarithms, and the "
                    "nominal value.",
                )
        if parts:
            page.section("Contributions")
            page.text(
                "To first order: (∂m/∂p)² σ² of every independent number that the mismatch law draws, from one reverse "
                "pass through the circuit without mismatch."
            )
        for part in parts:
            page.figure(
                contribution_figure(part),
                f"{part.measure}: first order gives CV {part.cv:.2%}; it explains {part.explained:.1%} of the variance "
                "of the samples (of their logarithms, where positive).",
            )
        names = [name for name, s in campaign.statistics.items() if s.std]
        if len(names) > 1:
            page.section("Correlations")
            page.figure(
                correlation_figure(campaign, names),
                "Correlation of the logarithms (of the values, where not positive).",
            )
    if campaign.failures:
        page.section("Failures")
        kinds = Counter((f.measure or "all measures", f.kind, f.reason) for f in campaign.failures)
        first = {}
        for f in campaign.failures:
            first.setdefault((f.measure or "all measures", f.kind, f.reason), f.sample)
        rows = [[m, k, str(n), str(first[m, k, r]), r] for (m, k, r), n in kinds.most_common(30)]
        page.table(("measure", "what", "samples", "first", "reason"), rows, left=(0, 1, 4))
    return page


def _row(campaign: Campaign, s: Statistics) -> list[str]:
    def text(value: float | None) -> str:
        return "" if value is None else _number(value)

    ci = "" if s.cv_ci95 is None else f"{s.cv_ci95[0]:.2%} to {s.cv_ci95[1]:.2%}"
    fit = "" if s.lognormal is None else f"σ {s.lognormal.sigma:.3g}"
    if s.lognormal is not None and s.lognormal.distance > s.lognormal.distance_limit:
        fit += ", rejected"
    quantiles = [text(s.quantiles.get(share)) for share in (0.05, 0.5, 0.95)]
    return [
        s.name, text(campaign.nominal[s.name]), text(s.mean), text(s.std), "" if s.cv is None else f"{s.cv:.2%}", ci,
        *quantiles, fit,
    ]  # fmt: skip


def _number(value: float) -> str:
    """Four digits and a prefix of the unit, in one word."""
    return format_quantity(value, "", 4).strip().replace(" ", NARROW)


def distribution_figure(campaign: Campaign, s: Statistics, limits: tuple[float, float] | None = None) -> Figure:
    """A histogram with the log-normal fit; to be called within `report.drawing()`."""
    from matplotlib.ticker import EngFormatter

    figure = new_figure(3.2)
    axes = figure.subplots()
    values = campaign[s.name]
    values = values[~np.isnan(values)]
    axes.hist(values, bins=max(8, min(60, round(2 * len(values) ** (1 / 3) * 2))), density=True, color=PALE, ec=GREY)
    if s.lognormal is not None:
        low, high = values.min(), values.max()
        x = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 300)
        x = x[x > 0]
        mu, sigma = s.lognormal.mu, s.lognormal.sigma
        axes.plot(x, np.exp(-((np.log(x) - mu) ** 2) / (2 * sigma**2)) / (x * sigma * np.sqrt(2 * np.pi)), color=BLUE,
                  label="log-normal")  # fmt: skip
    axes.axvline(campaign.nominal[s.name], color=INK, lw=1.2, ls="--", label="nominal")
    for limit in limits or ():
        if np.isfinite(limit):
            axes.axvline(limit, color=ORANGE, lw=1.5)
    if limits is not None:
        axes.plot([], [], color=ORANGE, label="specification")
    axes.set(title=s.name, xlabel=f"{s.name} (SI units)", yticks=[])
    axes.xaxis.set_major_formatter(EngFormatter(sep=NARROW))
    axes.legend()
    return figure


def contribution_figure(part: Contributions) -> Figure:
    """The largest contributions as bars; to be called within `report.drawing()`."""
    shares = sorted(part.shares.items(), key=lambda item: -item[1])[:20]
    figure = new_figure(0.9 + 0.27 * len(shares))
    axes = figure.subplots()
    axes.barh([name for name, _ in shares], [100 * share for _, share in shares], color=BLUE)
    axes.invert_yaxis()
    axes.set(title=part.measure, xlabel="% of the variance")
    return figure


def correlation_figure(campaign: Campaign, names: list[str]) -> Figure:
    """The correlations between measures as a matrix; to be called within `report.drawing()`."""
    rows = [campaign.names.index(name) for name in names]
    matrix = campaign.correlations[np.ix_(rows, rows)]
    width, whole = 2.4 + 0.6 * len(names), 10.0  # a page stretches every figure to its own width
    figure = new_figure(1.2 + 0.45 * len(names), whole)
    axes = figure.add_subplot(figure.add_gridspec(1, 2, width_ratios=(width, max(whole - width, 0.1)))[0])
    image = axes.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    for i in range(len(names)):
        for j in range(len(names)):
            if np.isfinite(matrix[i, j]):
                axes.text(j, i, f"{matrix[i, j]:.2f}", ha="center", va="center", fontsize=8,
                          color="white" if abs(matrix[i, j]) > 0.6 else INK)  # fmt: skip
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure
