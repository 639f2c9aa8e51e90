"""What sensitivities say: lines for a terminal, numbers for a program, a page for a designer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..circuit import Circuit
from ..netlist import Device
from ..units import format_quantity
from ._check import Check
from ._parameters import kind, unit
from ._sensitivity import Sensitivity, Slopes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Checks = Mapping[str, Mapping[str, Check]]
_PANELS = (("dvt", "threshold, % per mV"), ("dbt", "current factor, % per %"), ("w", "width, % per %"),
           ("l", "length, % per %"))  # fmt: skip
_BARS = 16  # transistors in a figure


def to_dict(found: Sensitivity, checks: Checks) -> dict[str, Any]:
    """The keys of `analogsnn sensitivity --json`."""
    return {
        "accuracy": found.settings["accuracy"],
        "measures": {
            text: {
                "value": slopes.value, "unit": slopes.quantity.unit or None, "gradient": dict(slopes.gradient),
                "relative": dict(slopes.relative), "zero": list(slopes.zeros),
                "check": {path: one.to_dict() for path, one in checks.get(text, {}).items()},
            }
            for text, slopes in found.measures.items()
        },
        "notes": list(found.notes), "seconds_forward": found.seconds_forward,
        "seconds_gradient": found.seconds_gradient,
    }  # fmt: skip


def lines(found: Sensitivity, checks: Checks, top: int) -> list[str]:
    """A table for each measure, the parameters that matter most first."""
    said = []
    for text, slopes in found.measures.items():
        said.append(f"{text} = {_value(slopes)}")
        rows = [_row(found.circuit, slopes, path) for path in slopes.ranked[:top]]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
        said += ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        said += [f"  {sentence}" for sentence in _remarks(found.circuit, slopes, top)]
        said += [f"  check: {path}: {_compared(one)}" for path, one in checks.get(text, {}).items()]
    return said


def _value(slopes: Slopes) -> str:
    unit = slopes.quantity.unit
    return format_quantity(slopes.value, unit, 7) if unit else f"{slopes.value:.7g}"


def _remarks(circuit: Circuit, slopes: Slopes, top: int) -> list[str]:
    said = []
    more = len(slopes.ranked) - top
    if more > 0:
        said.append(f"and {more} smaller ones.")
    unscaled = [
        p for p, share in slopes.relative.items() if share is None and slopes.gradient[p] != 0.0 and slopes.value != 0
    ]
    if unscaled:
        said.append(
            "parameters that are zero have no relative derivative: "
            + ", ".join(f"{p} ({slopes.gradient[p]:+.4g})" for p in unscaled) + "."
        )  # fmt: skip
    if slopes.value == 0:
        said.append("the measure is zero, so that there are no relative derivatives.")
    if slopes.zeros:
        names = ", ".join(slopes.zeros[:12]) + (f" and {len(slopes.zeros) - 12} more" if len(slopes.zeros) > 12 else "")
        said.append(f"cannot depend on (exactly zero): {names}.")
    return said


def _compared(one: Check) -> str:
    text = (
        f"{one.ours:+.6g}; differences {one.finite_difference:+.6g}, with half the step "
        f"{one.finite_difference_half_step:+.6g} ({_off(one.ours, one.extrapolated)} from both): {one.verdict}"
    )
    if one.ngspice is not None and one.ngspice_half_step is not None and one.ngspice_allows is not None:
        share = abs(one.ngspice_allows / one.ours) if one.ours else 0.0
        text += (
            f"; ngspice {one.ngspice:+.6g}, {one.ngspice_half_step:+.6g} "
            f"({_off(one.ours, one.ngspice)} from the first, its tolerance allows {100 * share:.2g} %): "
            f"{one.ngspice_verdict}"
        )
    return text


def _off(ours: float, other: float) -> str:
    return f"{100 * (ours / other - 1):+.2g} %" if other else "of nothing"


def failed(checks: Checks) -> list[str]:
    """What differs, as `measure by path`."""
    return [
        f"{text} by {path}" for text, ones in checks.items() for path, one in ones.items()
        if "differs" in (one.verdict, one.ngspice_verdict)
    ]  # fmt: skip


def write_page(found: Sensitivity, checks: Checks, path: Path, *, title: str, top: int = 20) -> None:
    """A page: for each measure the transistors that matter as bars, the first parameters, and the check."""
    from ..report import Page, drawing

    page = Page(title)
    page.text(
        "Derivatives of measures by every number of the deck, from one run and one reverse pass a measure. Relative: "
        "per cent of the measure for one per cent of the parameter; for a threshold per millivolt, for the temperature "
        "per kelvin."
    )
    page.text(*found.notes)
    for text, slopes in found.measures.items():
        wrong = [one for one in checks.get(text, {}).values() if "differs" in (one.verdict, one.ngspice_verdict)]
        page.section(f"{text} = {_value(slopes)}", "the check failed" if wrong else "")
        names = transistors(found.circuit, slopes)
        if names:
            with drawing():
                page.figure(
                    transistor_figure(slopes, names[:_BARS]),
                    f"Which transistor matters: what {text} does when one number of one transistor grows"
                    + (f"; the first {_BARS} of {len(names)}." if len(names) > _BARS else "."),
                )  # fmt: skip
        page.table(
            ("parameter", "kind", "value", "relative", "for", "derivative (SI)"),
            [_row(found.circuit, slopes, p) for p in slopes.ranked[:top]],
            f"The first {min(top, len(slopes.ranked))} of {len(slopes.ranked)} parameters.", left=(0, 1, 4),
        )  # fmt: skip
        page.text(*_remarks(found.circuit, slopes, top))
        if checks.get(text):
            page.table(
                ("parameter", "ours", "differences", "half the step", "", "ngspice", "half the step", "allowed", ""),
                [_check_row(p, one) for p, one in checks[text].items()],
                "Against central differences of our solver at 1e-9, extrapolated from both steps, and of ngspice "
                "(reference), less what the measure bends over its larger steps by our solver. Allowed: what ngspice's "
                "own distance from the tight run makes of its differences. Undecided: the two steps disagree "
                "themselves.", left=(0, 4, 8),
            )  # fmt: skip
    page.write(path)


def _row(circuit: Circuit, slopes: Slopes, path: str) -> tuple[str, ...]:
    share, by = slopes.relative[path] or 0.0, unit(circuit, path)
    amount = f"{share:+.4g} %" if by == "relative" else f"{100 * share:+.4g} %"
    return (
        path, kind(circuit, path), f"{float(circuit[path]):.4g}", amount,
        {"relative": "1 %"}.get(by, "1 " + by.removeprefix("per ")), f"{slopes.gradient[path]:+.6g}",
    )  # fmt: skip


def _check_row(path: str, one: Check) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:+.5g}"

    allowed = "" if one.ngspice_allows is None or not one.ours else f"{100 * abs(one.ngspice_allows / one.ours):.2g} %"
    return (
        path, number(one.ours), number(one.finite_difference), number(one.finite_difference_half_step), one.verdict,
        number(one.ngspice), number(one.ngspice_half_step), allowed, one.ngspice_verdict or "",
    )  # fmt: skip


def transistors(circuit: Circuit, slopes: Slopes) -> tuple[str, ...]:
    """The transistors whose threshold, current factor or size was differentiated by, the most important first.

    Ranked by the current factor and by a threshold's millivolt in units of a per cent, whichever is larger.
    """

    def weight(name: str) -> float:
        return max(abs(slopes.relative.get(f"{name}.{key}") or 0.0) for key in ("dvt", "dbt", "w", "l"))

    names = [e.name for e in circuit.netlist.elements if isinstance(e, Device)]
    names = [name for name in names if any(f"{name}.{key}" in slopes.relative for key, _ in _PANELS)]
    return tuple(sorted(names, key=lambda name: -weight(name)))


def transistor_figure(slopes: Slopes, names: tuple[str, ...]) -> Figure:
    """Bars by transistor: threshold, current factor, width, length; to be drawn within `report.drawing()`."""
    from ..report import BLUE, GREY, ORANGE, new_figure

    figure = new_figure(1.2 + 0.26 * len(names), 11.0)
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    rows = range(len(names))
    for panel, (key, label) in zip(panels, _PANELS, strict=True):
        factor = 100.0 if key == "dvt" else 1.0
        shares = [factor * (slopes.relative.get(f"{name}.{key}") or 0.0) for name in names]
        panel.barh(rows, shares, color=[BLUE if share >= 0 else ORANGE for share in shares])
        panel.axvline(0.0, color=GREY, linewidth=0.8)
        panel.set_title(label, fontsize=10)
        panel.grid(axis="x")
        panel.margins(y=0.01)
    panels[0].set_yticks(rows, names)
    panels[0].invert_yaxis()
    return figure
