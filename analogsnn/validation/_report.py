"""What a comparison says: numbers for a program, lines for a terminal, a page for a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..netlist import Netlist
from ..units import format_quantity
from ..waveforms import Waveforms
from ._compare import MEMBRANE_TOLERANCE, SPIKE_TOLERANCE, Row, alignment
from ._models import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER = ("measure", "", "ours", "ngspice", "difference", "tolerance", "", "model", "model's error")
DIGITS = 6


@dataclass(frozen=True)
class BenchReport:
    """A bench on both engines: its waveforms, the model's where there is one, and a `Row` per quantity."""

    name: str
    netlist: Netlist
    ours: Waveforms
    ngspice: Waveforms
    model: Model | None
    rows: Mapping[str, Row]

    @property
    def failed(self) -> tuple[str, ...]:
        """The quantities outside their tolerance."""
        return tuple(name for name, row in self.rows.items() if row.ok is False)

    @property
    def worst(self) -> float | None:
        """The largest relative error of a measure."""
        errors = [abs(row.relative_error) for row in self.rows.values() if row.relative_error is not None]
        return max(errors, default=None)

    def figure(self) -> Figure:
        """Both engines laid over each other, and their difference; to be called within `report.drawing()`."""
        from ._figure import bench_figure

        return bench_figure(self)


@dataclass(frozen=True)
class Report:
    """Benches on both engines.

    **Fields**

    - `benches`: name → `BenchReport`.
    - `against`: the card that ngspice had. `judged`: whether it is the one that our engine computes.
    - `long`: whether the benches ran in full.
    """

    benches: Mapping[str, BenchReport]
    against: str
    judged: bool
    long: bool

    @property
    def ok(self) -> bool:
        """Nothing that was judged is outside its tolerance."""
        return not any(bench.failed for bench in self.benches.values())

    @property
    def failed(self) -> tuple[str, ...]:
        """The quantities outside their tolerance, as `bench.measure`."""
        return tuple(f"{name}.{measure}" for name, bench in self.benches.items() for measure in bench.failed)

    def to_dict(self) -> dict[str, Any]:
        """The keys of `analogsnn validate --json`; SI units, None for what there is not."""
        return {
            "versions": versions(),
            "against": self.against,
            "form": "long" if self.long else "short",
            "judged": self.judged,
            "ok": self.ok if self.judged else None,
            "blocks": {
                name: {measure: row.to_dict() for measure, row in bench.rows.items()}
                for name, bench in self.benches.items()
            },
        }

    def lines(self) -> Iterator[str]:
        """The report for a terminal."""
        for name, bench in self.benches.items():
            yield f"{name}: {self._verdict(bench)}"
            for measure in bench.rows:
                cells = self._cells(bench, measure)
                model = f"  model {cells[7]} ({cells[8]})" if cells[7] else ""
                yield (
                    f"  {measure:<14}{cells[2]:>14}{cells[3]:>14}{cells[4]:>12}{cells[5]:>10} {cells[6]:<8}{model}"
                ).rstrip()
        if self.judged:
            count = sum(len(bench.rows) for bench in self.benches.values())
            wrong = len(self.failed)
            yield f"{count - wrong} of {count} numbers of {len(self.benches)} benches are within their tolerance"

    def write_html(self, path: Path) -> None:
        """One self-contained page: a table and a figure per bench; written whole or not at all."""
        from ..report import Page, drawing

        if self.judged:
            page = Page("One netlist, two engines")
            page.text(
                "The benches of the circuit library in our engine and in ngspice, both computing the EKV card, both at "
                "their reference accuracy: what is left between them is numerical error.",
                f"A spike may be {format_quantity(SPIKE_TOLERANCE, 's')} away; membranes, their spikes laid over each "
                f"other, may differ by {format_quantity(MEMBRANE_TOLERANCE, 'V')} (root mean square).",
            )
        else:
            page = Page(f"Our model against {self.against}")
            page.text(
                f"The benches of the circuit library in our engine on the EKV card, and in ngspice on the card "
                f"{self.against}. What separates them is the device model; nothing is judged."
            )
        page.text(", ".join(f"{name} {version}" for name, version in versions().items()) + ".")
        page.section("Summary", "" if self.ok else "outside tolerance")
        summary = [
            [name, str(len(bench.rows)), _percent(bench.worst, sign=False), self._verdict(bench)]
            for name, bench in self.benches.items()
        ]
        page.table(("bench", "numbers", "largest relative error", "verdict"), summary, left=(0, 3))
        for name, bench in self.benches.items():
            page.section(name, "outside tolerance" if bench.failed else "")
            page.text(bench.netlist.title.strip("* ") + _length(bench))
            table = [self._cells(bench, measure) for measure in bench.rows]
            shown = [i for i in range(len(HEADER)) if bench.model is not None or i < 7]
            shown = [i for i in shown if self.judged or i not in (5, 6)]
            page.table(
                [HEADER[i] for i in shown], [[_unbroken(cells, i) for i in shown] for cells in table], left=(0, 1)
            )
            with drawing():
                page.figure(bench.figure(), _caption(bench), vector=False, dpi=110)
        page.write(path)

    def _cells(self, bench: BenchReport, measure: str) -> list[str]:
        """The cells under `HEADER`; a dash stands for what should have happened and did not."""
        row = bench.rows[measure]
        shown = row.difference if row.absolute else row.relative_error
        difference = _quantity(shown, row.unit, 3) if row.absolute else _percent(shown)
        tolerance = "" if row.tolerance is None else _quantity(row.tolerance, row.unit, 3)
        if row.tolerance is not None and not row.absolute:
            tolerance = _percent(row.tolerance, sign=False)
        verdict = {True: "ok", False: "OUTSIDE", None: ""}[row.ok]
        modelled = row.model is not None or (bench.model is not None and measure in bench.model.measures)
        model = [_quantity(row.model, row.unit), _percent(row.model_relative_error)] if modelled else ["", ""]
        return [
            measure, row.text, _quantity(row.ours, row.unit), _quantity(row.ngspice, row.unit), difference, tolerance,
            verdict, *model,
        ]  # fmt: skip

    def _verdict(self, bench: BenchReport) -> str:
        if not self.judged:
            return f"{len(bench.rows)} numbers, up to {_percent(bench.worst, sign=False)} apart; not judged"
        if bench.failed:
            return f"{len(bench.failed)} of {len(bench.rows)} outside tolerance: {', '.join(bench.failed)}"
        return f"{len(bench.rows)} numbers within tolerance"


def _quantity(value: float | None, unit: str, digits: int = DIGITS) -> str:
    if value is None:
        return "—"
    return f"{value:.{digits}g}" if unit == "1" else format_quantity(value, unit, digits)


def _percent(value: float | None, *, sign: bool = True) -> str:
    if value is None:
        return "—"
    share = 100 * value
    text = f"{share:.0f}" if abs(share) >= 10 else f"{share:.2g}"
    return f"{'+' if sign and share > 0 else ''}{text} %"


def _unbroken(row: list[str], i: int) -> str:
    """A cell of a page, where a number and its unit stay on one line."""
    return row[i] if i == 1 else row[i].replace(" ", "\N{NO-BREAK SPACE}")


def _length(bench: BenchReport) -> str:
    """How long a run over time was, which the title of a shortened bench does not say."""
    if bench.ours.variable != "time":
        return "."
    return f"; run for {format_quantity(float(bench.ours.time[-1]), 's')}."


def _caption(bench: BenchReport) -> str:
    text = "Left: our engine, and ngspice dashed over it. Right: ours - ngspice"
    text += ", spikes laid over each other." if alignment(bench.ours, bench.ngspice) is not None else "."
    return text if bench.model is None else f"{text} Green: {bench.model.about} at textbook parameters."


def versions() -> dict[str, str]:
    """What computed the numbers."""
    import jax

    from .. import __version__, ngspice

    return {"analogsnn": __version__, "jax": jax.__version__, "ngspice": str(ngspice.ngspice_version())}
