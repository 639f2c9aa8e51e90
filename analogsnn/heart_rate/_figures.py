"""The figures of a heart-rate run."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..report import BLUE, GREY, INK, ORANGE, PALE, new_figure, raster
from ._run import Run

SEMI_SYNTHETIC = "semi-synthetic: real pulse shapes, artificial timing"
_SIGNAL = "#7d8794"
_COLUMNS = 1600  # of the overview; more samples than that are drawn as their extremes


def kind(run: Run) -> str:
    """What every title and legend says of where the timing comes from; empty for a real recording."""
    return SEMI_SYNTHETIC if run.recording.semi_synthetic else ""


def excerpt(run: Run, seconds: float) -> tuple[float, float]:
    """Start and end (s) of a part worth looking at: around the first switch, or in the middle."""
    duration = run.recording.duration
    centre = run.truth.switches[0][0] if run.truth.switches else duration / 2
    start = float(np.clip(round(centre - seconds / 2), 0.0, max(0.0, duration - seconds)))
    return start, min(duration, start + seconds)


def zone_names(boundaries: tuple[float, ...]) -> list[str]:
    """`< 60`, `60–75`, …, `≥ 105` (bpm)."""
    b = [f"{x:g}" for x in boundaries]
    return [f"< {b[0]}", *(f"{x}–{y}" for x, y in itertools.pairwise(b)), f"≥ {b[-1]}"]


def signal_figure(run: Run) -> Figure:
    """The whole signal, and 20 s of it with the beats of both."""
    recording = run.recording
    start, end = excerpt(run, 20.0)
    figure = new_figure(5.2)
    whole, part = figure.subplots(2, 1, height_ratios=[1, 1.7])
    low, high = _limits(recording.signal)
    _overview(whole, recording.signal, recording.rate)
    whole.axvspan(start, end, color=BLUE, alpha=0.15, linewidth=0)
    whole.set_xlim(0, recording.duration)
    whole.set_title(_titled("Whole signal; the shaded part is enlarged below", run))

    t = np.arange(len(recording.signal)) / recording.rate
    near = (t >= start) & (t <= end)
    part.plot(t[near], recording.signal[near], color=_SIGNAL, linewidth=1.1)
    height = high - low
    known = "known beats\n(semi-synthetic)" if recording.semi_synthetic else "reference"
    for beats, y, colour, name in (
        (run.reference.beats, low - 0.14 * height, INK, known),
        (run.answers[0].beats, low - 0.32 * height, BLUE, "beat neurons"),
    ):
        shown = beats[(beats >= start) & (beats <= end)]
        part.vlines(shown, y - 0.07 * height, y + 0.07 * height, color=colour, linewidth=2.0, label=name)
        inside = np.clip(np.searchsorted(t, shown), 0, len(t) - 1)
        part.plot(shown, recording.signal[inside], linestyle="none", marker="o", markersize=4.5, color=colour)
        part.text(start - 0.004 * (end - start), y, name, ha="right", va="center", color=colour, fontsize=9)
    part.set_xlim(start, end)
    part.set_ylim(low - 0.45 * height, high + 0.05 * height)
    part.set_title(_titled("Beats", run))
    for axes in (whole, part):
        _gaps(axes, run)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("time (s)")
    whole.set_ylim(low - 0.05 * height, high + 0.05 * height)
    whole.set_ylabel("signal")
    return figure


def raster_figure(run: Run) -> Figure:
    """Spikes of chip 0, up to 40 s of them."""
    start, end = excerpt(run, 40.0)
    network = run.chips[0].network
    figure = new_figure(max(4.0, 1.2 + 0.042 * network.size))
    axes = figure.subplots()
    raster(axes, network, *run.spikes, start, end)
    axes.set_title(_titled("Spikes of chip 0, by population (neurons)", run))
    return figure


def rate_figure(run: Run) -> Figure:
    """Heart rate from the beat neurons of all chips against the reference."""
    figure = new_figure(3.9)
    axes = figure.subplots()
    time = run.reference.time
    rates = np.array([a.heart_rate for a in run.answers])
    _gaps(axes, run)
    for b in run.boundaries:
        axes.axhline(b, color=ORANGE, linewidth=0.9, linestyle=(0, (5, 4)))
    axes.plot([], [], color=ORANGE, linewidth=0.9, linestyle=(0, (5, 4)), label="zone boundary")
    if len(rates) > 1:
        heard = np.isfinite(rates).any(axis=0)
        low = np.where(heard, np.min(np.where(np.isnan(rates), np.inf, rates), axis=0), np.nan)
        high = np.where(heard, np.max(np.where(np.isnan(rates), -np.inf, rates), axis=0), np.nan)
        axes.fill_between(
            time, low, high, color=BLUE, alpha=0.18, linewidth=0, label=f"{len(rates)} chips, their range"
        )
    axes.plot(time, run.reference.rate, color=INK, linewidth=2.2, label=_labelled("reference", run))
    axes.plot(time, rates[0], color=BLUE, linewidth=1.2, label="beat neurons of chip 0")
    axes.set_xlim(0, run.recording.duration)
    shown = np.concatenate([run.reference.rate, rates[0], run.boundaries])
    shown = shown[np.isfinite(shown)]
    axes.set_ylim(shown.min() - 6, shown.max() + 6)
    axes.set_xlabel("time (s)")
    axes.set_ylabel("heart rate (bpm)")
    axes.grid(axis="y")
    _legend_above(axes, _titled("Heart rate", run))
    return figure


def zone_figure(run: Run) -> Figure:
    """Zones of the reference and of chip 0, and how many chips agree with the reference."""
    figure = new_figure(5.0)
    zones, share = figure.subplots(2, 1, sharex=True, height_ratios=[1.5, 1])
    time, names = run.reference.time, zone_names(run.boundaries)
    expected = np.where(run.truth.zone >= 0, run.truth.zone, np.nan)
    zones.step(time, expected, where="mid", color=INK, linewidth=5, alpha=0.35, solid_capstyle="butt",
               label=_labelled("reference", run))  # fmt: skip
    given = run.answers[0].zone
    zones.step(time, np.where(given >= 0, given, np.nan), where="mid", color=BLUE, linewidth=1.6, label="chip 0")
    zones.set_yticks(range(len(names)), names)
    zones.set_ylim(-0.4, len(names) - 0.6)
    zones.set_ylabel("zone (bpm)")
    zones.grid(axis="y")
    _legend_above(zones, _titled("Zones", run))

    agree = np.mean([a.zone == run.truth.zone for a in run.answers], axis=0)
    counted = run.truth.zone >= 0
    _spans(share, time, counted & ~run.truth.clear, "#f1d9c6", "reference within 2 bpm of a boundary")
    _spans(share, time, ~counted, PALE, "not counted")
    share.fill_between(time, np.where(counted, 100 * agree, np.nan), step="mid", color=BLUE, alpha=0.45, linewidth=0)
    share.step(time, np.where(counted, 100 * agree, np.nan), where="mid", color=BLUE, linewidth=1.2)
    share.set_ylim(0, 105)
    share.set_yticks([0, 50, 100])
    share.set_ylabel(f"chips in\nagreement (%)\nof {len(run.answers)}")
    share.set_xlabel("time (s)")
    share.set_xlim(0, run.recording.duration)
    _legend_above(share)
    for axes in (zones, share):
        _gaps(axes, run)
    return figure


def accuracy_figure(run: Run) -> Figure:
    """Zone accuracy of every chip, their mean, and what the best constant answer reaches."""
    figure = new_figure(3.5)
    axes = figure.subplots()
    accuracy = 100 * np.array([s.zone_accuracy for s in run.scores])
    count = len(accuracy)
    axes.bar(range(count), accuracy, width=0.72, color=BLUE, alpha=0.8)
    if count <= 24:
        for i, a in enumerate(accuracy):
            if np.isfinite(a):
                inside = a > 15  # at the foot of the bar, where no line crosses it
                axes.text(i, 3 if inside else a + 1, f"{a:.0f}", ha="center", va="bottom", fontsize=9,
                          color="#ffffff" if inside else INK)  # fmt: skip
    if np.isfinite(accuracy).all():
        axes.axhline(accuracy.mean(), color=INK, linewidth=1.5, label=f"mean {accuracy.mean():.1f} %")
    if np.isfinite(run.truth.constant):
        best = 100 * run.truth.constant
        axes.axhline(best, color=ORANGE, linewidth=1.6, linestyle="--", label=f"best constant answer {best:.1f} %")
    axes.bar([0], [0], color=BLUE, alpha=0.8, label=_labelled("one chip", run))
    step = max(1, -(-count // 25))
    axes.set_xticks(range(0, count, step))
    axes.set_xlim(-0.7, max(count, 8) - 0.3)
    axes.set_ylim(0, 112)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_xlabel("chip")
    axes.set_ylabel("zone accuracy (%)")
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")
    _legend_above(axes, _titled("Zone accuracy of every chip", run))
    return figure


def _titled(words: str, run: Run) -> str:
    return f"{words} ({kind(run)})" if kind(run) else words


def _labelled(words: str, run: Run) -> str:
    return f"{words} (semi-synthetic)" if kind(run) else words


def _legend_above(axes: Axes, title: str = "") -> None:
    if title:
        axes.set_title(title, pad=26)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderaxespad=0.2, handlelength=1.6)


def _limits(signal: np.ndarray) -> tuple[float, float]:
    """Lowest and highest value to show: single spikes of an artefact do not set the scale."""
    present = signal[~np.isnan(signal)]
    low, high = np.percentile(present, [0.02, 99.98])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _overview(axes: Axes, signal: np.ndarray, rate: float) -> None:
    size = max(1, -(-len(signal) // _COLUMNS))
    padded = np.concatenate([signal, np.full(-len(signal) % size, np.nan)]).reshape(-1, size)
    missing = np.isnan(padded)
    empty = missing.all(axis=1)
    low = np.where(empty, np.nan, np.where(missing, np.inf, padded).min(axis=1))
    high = np.where(empty, np.nan, np.where(missing, -np.inf, padded).max(axis=1))
    at = (np.arange(len(padded)) + 0.5) * size / rate
    axes.fill_between(at, low, high, color=_SIGNAL, linewidth=0.3)


def _gaps(axes: Axes, run: Run) -> None:
    for start, end in run.recording.gaps:
        axes.axvspan(start, end, facecolor="#ffffff", edgecolor=GREY, hatch="////", linewidth=0, alpha=0.6, zorder=0.5)


def _spans(axes: Axes, time: np.ndarray, use: np.ndarray, colour: str, name: str) -> None:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], use, [False]]).astype(int)))
    for a, b in zip(edges[0::2], edges[1::2], strict=True):
        axes.axvspan(float(time[a]) - 0.5, float(time[b - 1]) + 0.5, color=colour, linewidth=0)
    if len(edges):
        axes.bar([0], [0], color=colour, label=name)
