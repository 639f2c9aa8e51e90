"""The page of one or several heart-rate runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..report import Page, bias_table, drawing, occupancy_figure
from ..units import format_quantity
from ._figures import (
    accuracy_figure,
    kind,
    raster_figure,
    rate_figure,
    signal_figure,
    zone_figure,
    zone_names,
)
from ._network import CURRENTS
from ._run import Run
from ._score import MARGIN, SETTLED, SLACK

_ABOUT = (
    "A pulse recording becomes events, the events drive a small spiking network on one core of an emulated analog "
    "neuromorphic chip, and the chip names the zone of the heart rate. What is simulated is the network decoded from "
    "each chip's configuration, with quantised biases and the mismatch of its devices.",
    "Inspired by De Luca, Tincani, Indiveri and Donati, npj Unconventional Computing 2025 (DOI "
    "10.1038/s44335-025-00024-6); zones, sizes and metrics are ours. An engineering demonstration: no result here says "
    "anything about anyone's health.",
)
_MEASURES = (
    f"Zone accuracy is the mean over the zones that the reference visits, of the windows after {SETTLED:g} s "
    f"in which the reference is more than {MARGIN:g} bpm from a boundary. A constant answer therefore reaches one over "
    f"the number of visited zones; its share of time stands beside it. A switch may come up to {SLACK:g} s before or "
    "after the reference's; a change to a zone that the reference is not near within that time is false. Heart-rate "
    "errors compare trailing windows of 10 s."
)


def write_report(path: Path, runs: Sequence[Run], *, title: str, seed: int, notes: Sequence[str] = ()) -> None:
    """Write one self-contained HTML page about `runs`: numbers side by side, then a section a run.

    **Arguments**

    - `path`: where to; written whole or not at all. `title`: of the page.
    - `seed`: the seed that reproduces the runs. `notes`: paragraphs under the title.
    """
    page = Page(title)
    page.text(*notes, *_ABOUT)
    page.section("The numbers")
    numbers = [_numbers(run, seed) for run in runs]
    if numbers:
        header = ["", *(f"{i}. {run.recording.name}" for i, run in enumerate(runs, 1))]
        rows = [[name, *(n[name] for n in numbers)] for name in numbers[0]]
        page.table(header, rows, _MEASURES)
    for i, run in enumerate(runs, 1):
        _section(page, i, run)
    page.write(path)


def _numbers(run: Run, seed: int) -> dict[str, str]:
    """The rows of the summary: name → text."""

    def over_chips(field: str, unit: str, worst: Callable | None = None, scale: float = 1.0, digits: int = 1) -> str:
        values = scale * np.array([getattr(s, field) for s in run.scores], float)
        text = _number(float(values.mean()), digits, unit)
        return text if worst is None else f"{text} ({_number(float(worst(values)), digits, unit)})"

    truth = run.truth
    share = _number(100 * truth.constant_time_share, 1, " %")
    visited = [zone_names(run.boundaries)[z] for z in truth.visited]
    cv = run.chips[0].mismatch.cv
    return {
        "timing": kind(run) or "recorded",
        "zones (bpm)": ", ".join(zone_names(run.boundaries)),
        "zones visited": f"{len(visited)} of {len(run.boundaries) + 1}",
        "zone accuracy, mean (worst chip)": over_chips("zone_accuracy", " %", np.min, 100.0),
        "  the same with windows near a boundary": over_chips("zone_accuracy_near", " %", np.min, 100.0),
        "best constant answer (share of time)": f"{_number(100 * truth.constant, 1, ' %')} ({share})",
        "heart rate, mean absolute error (worst chip)": over_chips("heart_rate_mae", " bpm", np.max, digits=2),
        "switches of the reference": str(len(truth.switches)),
        "switches missed, mean a chip": over_chips("switches_missed", ""),
        "false switches an hour, mean (worst chip)": over_chips("false_switches_per_hour", "", np.max),
        "chips": str(len(run.chips)),
        "current mismatch (coefficient of variation)": "by parameter" if isinstance(cv, Mapping) else f"{100 * cv:g} %",
        "seed": str(seed),
        "recording": f"{run.recording.duration:.1f} s at {run.recording.rate:g} Hz",
        "gaps in the signal": _gaps(run),
        "windows without a reference": f"{100 * run.reference.discarded:.1f} %",
        "input events a second": f"{run.events_per_second:.1f}",
        "speed, one chip": f"{run.real_time_factor:.0f} × real time",
    }


def _number(value: float, digits: int, unit: str) -> str:
    return f"{value:.{digits}f}{unit}" if np.isfinite(value) else "–"


def _gaps(run: Run) -> str:
    gaps = run.recording.gaps
    if not gaps:
        return "none"
    seconds = sum(b - a for a, b in gaps)
    first = ", ".join(f"{a:.1f}–{b:.1f} s" for a, b in gaps[:4])
    return f"{len(gaps)}, {seconds:.1f} s in all ({first}{', …' if len(gaps) > 4 else ''})"


def _section(page: Page, number: int, run: Run) -> None:
    label = kind(run)
    tail = f" This run is {label}." if label else ""
    page.section(f"{number}. {run.recording.name}", label)
    if run.recording.gaps:
        page.text(f"Gaps in the signal: {_gaps(run)}. They are bridged by silence: no event is made up there.")
    with drawing():
        page.subsection("Signal and beats")
        marks = (
            "The known beats stand where a pulse begins; beat neurons answer to its upstroke."
            if run.recording.semi_synthetic
            else "The reference marks the top of a pulse; beat neurons answer to its upstroke, so a little earlier."
        )
        page.figure(signal_figure(run), f"The signal and its beats. {marks}{tail}", vector=False, dpi=170)
        page.subsection("Spikes")
        words = "Spikes of chip 0, one row a neuron, ordered by population."
        page.figure(raster_figure(run), words + tail, vector=False, dpi=170)
        page.subsection("Heart rate")
        words = "Heart rate in trailing windows of 10 s, from the beat neurons and from the reference."
        page.figure(rate_figure(run), words + tail)
        page.subsection("Zones")
        words = "Zones of the reference and of chip 0 over time; below, the share of chips that name the same zone."
        page.figure(zone_figure(run), words + tail)
        page.subsection("Accuracy over chips")
        page.figure(accuracy_figure(run), f"Every chip has its own mismatch; the numbers are percentages.{tail}")
        page.subsection("Occupancy of the core")
        mapping = run.chips[0].mapping
        words = "Neurons of chip 0 where they are placed, in the colours of their populations, and what they take."
        page.figure(occupancy_figure(mapping), words)
    page.subsection("Requested and realised biases")
    worst = max((abs(b.relative_error) for b in mapping.biases), default=0.0)
    words = (
        f"Biases of chip 0. A bias is a coarse and a fine code; the current it realises is off by at most "
        f"{100 * worst:.1f} %. The four weight currents (SYAM_W) are asked for as the chip realises the design's "
        f"{', '.join(format_quantity(c, 'A') for c in CURRENTS)}, so their error here is nil by construction."
    )
    page.table(*bias_table(mapping), words, left=(0, 1))
