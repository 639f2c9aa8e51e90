"""The heart rate on several time scales: its zone held by attractors, long rises flagged, on chips with mismatch."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import beta, chi2

from ..heart_rate import (
    Chip,
    Run,
    heart_rate_network,
    prepare_chips,
    retimed,
    rise_network,
    run_all,
    shipped_recording,
    side_by_side,
)
from ..heart_rate._demo import EXCERPT, ZONES
from ..heart_rate._figures import rate_figure, zone_figure
from ..heart_rate._rise import BOUNDARIES
from ..heart_rate._score import MARGIN
from ..report import BLUE, GREY, INK, ORANGE, drawing, new_figure
from ._heart_measures import (
    DT,
    EARLY,
    LONGEST,
    RESET,
    Calm,
    Course,
    Flags,
    calm,
    detected,
    detectors,
    held,
    kept_alone,
    latencies,
    unchanging,
    untrimmed,
    with_noise,
)
from ._heart_sizes import SILENCE as SIZED_SILENCE
from ._heart_sizes import SIZES, Sized, by_size
from ._on_chips import CV
from ._result import Number, Picture, Result

NOISE = (0.05, 0.1, 0.2)  # of a pulse's height
NOISY = 4  # chips that are also run with noise
SHAKEN = (0.05, 0.1)  # for the detector of long rises
WATCHERS, RISES = 10, 4  # chips that have the detector of long rises, and rises that each sees
CONTROLS, LASTING = 1, 900.0  # series of each kind without a rise that each sees, and how long (s) each counts
JITTERS = {"flat": 0.02, "jittered": 0.05}  # relative standard deviation of an interval in them
FRESH = 1000  # is added to the seed for chips with the detector, whose weights were chosen on those of seed 1
QUICK = Course(rising=100.0, after=20.0)  # for the runs with noise
SILENCE = 120.0  # s without a pulse
LOWEST, HIGHEST = 56.0, 78.0  # bpm at which rises begin: from there four boundaries are crossed
# Drives of a chip without mismatch, in units, found by trimming: what a reduced run needs no trimming for.
IDEAL = {75.0: 33.94, 80.0: 32.13, 85.0: 30.63, 90.0: 29.31}
LABEL = "semi-synthetic: real pulse shapes, artificial timing"
_AIM = "aim of this project"


def run(chips: int = 20, seed: int = 1, *, reduced: bool = False) -> Result:
    """Zones on `chips` chips, long rises and noise on some of them (some six minutes of CPU)."""
    recording = shipped_recording()
    half = recording.duration / 2
    source = recording.excerpt(half, half)
    generator = np.random.default_rng(seed)
    starts = generator.permutation(np.linspace(LOWEST, HIGHEST, RISES * min(WATCHERS, chips)))
    if reduced:
        return _reduced(source, chips, seed)

    def of_zones():
        members = prepare_chips(ZONES, chips, seed=seed, dt=DT)
        series = retimed(source, ZONES, seed=seed)
        median = 98.8  # of the recording; the boundary that the demonstration uses too
        noises = [(with_noise([series], level, seed)[0], members[:NOISY]) for level in NOISE]
        semi, *noisy_runs = run_all([(series, members), *noises], ZONES, dt=DT)
        narrow = prepare_chips((median,), chips, seed=seed, dt=DT)
        (excerpt,) = run_all([(recording.excerpt(half, EXCERPT), narrow)], (median,), dt=DT)
        same, _ = held(members, ZONES, source, SILENCE, seed)
        alone = kept_alone(chips, seed, SILENCE)
        sizes = [by_size(size, chips, seed) for size in SIZES]
        return members, semi, noisy_runs, excerpt, same, alone, sizes

    def of_rises():
        watchers = detectors(BOUNDARIES, min(WATCHERS, chips), FRESH + seed)
        course = Course()
        series = [course.series(source, s, seed=seed + k) for k, s in enumerate(starts)]
        found = detected(watchers * RISES, series, course)
        rates = unchanging(len(watchers) * CONTROLS, seed)
        still = calm(watchers, source, rates, LASTING, JITTERS, seed)
        short = [QUICK.series(source, s, seed=100 + seed + k) for k, s in enumerate(starts[: len(watchers)])]
        shaken = detected(
            watchers * len(SHAKEN), [r for level in SHAKEN for r in with_noise(short, level, seed)], QUICK
        )
        rises = [Flags(QUICK, shaken.when[k * len(short) : (k + 1) * len(short)]) for k in range(len(SHAKEN))]
        return watchers, found, still, rises

    (watchers, found, still, rises), zones = side_by_side(of_rises, of_zones)
    members, semi, noisy_runs, excerpt, same, alone, sizes = zones

    numbers = _of_zones(semi, excerpt) | _of_holding(same, alone, SILENCE) | _of_flags(found, len(watchers))
    numbers |= _of_calm(still)
    numbers |= _of_noise([(0.0, semi), *zip(NOISE, noisy_runs, strict=True)]) | _of_shaken(rises) | _of_sizes(sizes)
    with drawing():
        pictures = (
            Picture(
                "Zones", zone_figure(semi), f"The zones that chip 0 names, and the share of chips that agree; {LABEL}."
            ),
            Picture("Zones", rate_figure(semi), f"The heart rate from the beat neurons of chip 0; {LABEL}."),
            Picture("Zones", zone_figure(excerpt), "Two minutes of the recording; one boundary, its median."),
            Picture("Held", _held_figure(alone), _HELD),
            Picture("Long rises", _flags_figure(found, starts), f"{_FLAGS} {LABEL}."),
            Picture("Noise", _noise_figure([semi, *noisy_runs], rises), f"{_NOISE} {LABEL}."),
            Picture("Sizes of populations", _size_figure(sizes), _SIZES),
        )
    settings = {
        "chips": chips, "seed": seed, "cv": CV, "dt": DT, "zones_bpm": list(ZONES),
        "rise_boundaries_bpm": list(BOUNDARIES),
        "noise": list(NOISE), "chips_with_noise": NOISY, "chips_with_detector": len(watchers),
        "material": f"second half of {recording.name}; {LABEL}",
    }  # fmt: skip
    return _result(numbers, pictures, members[0], settings)


def _reduced(source, chips: int, seed: int) -> Result:
    """One boundary, one quick rise, chips with a quarter of the mismatch that are not trimmed."""
    cv, zones, rises = CV / 4, (75.0,), (80.0, 85.0, 90.0)
    members = untrimmed(heart_rate_network(2, _ideal(zones)), chips, seed, cv)
    semi, *_ = run_all([(retimed(source, zones, seed=seed), members)], zones, dt=DT)
    course = Course(flat=40.0, rising=50.0, after=15.0, rise=25.0)
    watchers = untrimmed(rise_network(_ideal(rises), boundaries=len(rises)), chips, seed, cv)
    found = detected(watchers, [course.series(source, 73.0, seed=seed + k) for k in range(chips)], course)
    still = calm(watchers, source, np.full(chips, 73.0), 15.0, {"flat": JITTERS["flat"]}, seed)
    alone = kept_alone(chips, seed, 40.0)
    numbers = _of_zones(semi, None) | _of_alone(alone) | _of_flags(found, chips) | _of_calm(still)
    with drawing():
        picture = Picture("Long rises", _flags_figure(found, np.full(chips, 73.0)), f"{_FLAGS} {LABEL}.")
    return _result(numbers, (picture,), members[0], {"chips": chips, "seed": seed, "cv": cv, "reduced": True})


def _ideal(boundaries: tuple[float, ...]) -> np.ndarray:
    from ..heart_rate._network import spread

    return np.stack([spread(np.full(8, IDEAL[b]), 8) for b in boundaries])


def _result(numbers: dict[str, Number], pictures, chip: Chip, settings: dict[str, Any]) -> Result:
    return Result(
        name="heart_rate",
        title="The heart rate on several time scales",
        about=(
            "A pulse recording becomes events; a spiking network on one core counts beats, averages them, compares the "
            "rate with boundaries, and names its zone. Zones are attractors behind gates: they change only by "
            "evidence of a beat, "
            "and are held when there is none. A second network, on another core, remembers for minutes below which "
            "boundaries the rate has been, and flags a rise across three of them, 5 bpm apart, that holds for seconds.",
            "Inspired by De Luca, Tincani, Indiveri and Donati (npj Unconventional Computing 2025, DOI "
            "10.1038/s44335-025-00024-6) and Carpegna et al. (arXiv 2409.02618); zones, sizes and metrics are "
            "ours. Pulses of "
            "the second half of the recording, which no weight was chosen on, are placed on artificial schedules "
            f"({LABEL}). "
            "An engineering demonstration: no result here says anything about anyone's health.",
        ),
        limits=(
            "Every number but those of the recording is semi-synthetic. No recording within reach holds a long "
            "rise, and "
            "three people's recordings are no population.",
            "Motion is not rejected: none of the recordings has a second channel, such as an accelerometer, to "
            "reject it with. "
            "Noise is white and added to every sample.",
            "A rise is flagged however slow it is, unless the rate falls back by a boundary in between: what the "
            "latches remember "
            "has no time constant. Rises begin between 56 and 78 bpm, where four of the eight boundaries lie "
            "above them.",
            "A latency counts from the change of the schedule, to windows 1 s apart. The reference is the median "
            "interval of "
            "the last 10 s and itself needs 5 s to change.",
            "False flags are counted where the schedule's rate never changes, beat intervals jittered independently by "
            "2 or 5 %. Real rates wander: how often that is flagged was not measured.",
            "Populations of other sizes are compared on chips that are not trimmed, in a metronome's sweep: what size "
            "does to a trimmed chip's zones in real pulses was not measured.",
            "Chips are trimmed with a metronome, neuron by neuron. Zones with noise are those of four chips.",
            "Time constants above 86 ms ask for less than 10 pA of leak, where transistors leave the model by "
            "more than 5 %. "
            "Nothing was measured on silicon.",
        ),
        numbers=numbers,
        pictures=tuple(pictures),
        network=chip.mapping.network,
        mapping=chip.mapping,
        settings=settings,
    )


def _share(hits: int, count: int, of: str, text: str, **rest: Any) -> Number:
    """A share with its 95 % interval (Clopper and Pearson)."""
    p = hits / count if count else np.nan
    low = float(beta.ppf(0.025, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, count - hits)) if hits < count else 1.0
    std = float(np.sqrt(p * (1 - p) / count)) if count else 0.0
    return Number(
        p, "1", text, {"std": std, "low": low, "high": high, "count": count, "over": f"{of}, 95 % interval"}, **rest
    )


def _hourly(events: int, hours: float, text: str, **rest: Any) -> Number:
    """Events an hour with their 95 % interval (Poisson)."""
    low = float(chi2.ppf(0.025, 2 * events) / 2 / hours) if events else 0.0
    high = float(chi2.ppf(0.975, 2 * events + 2) / 2 / hours)
    spread = {
        "std": float(np.sqrt(events) / hours),
        "low": low,
        "high": high,
        "count": events,
        "over": f"flags in {hours:.3g} chip-hours, 95 % interval",
    }
    return Number(events / hours, "1/h", text, spread, **rest)


def _of_zones(semi: Run, excerpt: Run | None) -> dict[str, Number]:
    scores = semi.scores
    accuracy = [s.zone_accuracy for s in scores]
    found = latencies(semi)
    numbers = {
        "zone_accuracy": Number.over(
            accuracy, "chips", "1",
            f"zones, {LABEL}: accuracy, mean over the {len(semi.truth.visited)} visited zones, more than "
            f"{MARGIN:g} bpm from a boundary", least=0.95, source=_AIM,
        ),
        "zone_accuracy_worst": Number(min(accuracy), "1", "zones, semi-synthetic: the worst chip"),
        "zone_accuracy_constant": Number(semi.truth.constant, "1", "zones, semi-synthetic: the best constant answer"),
        "zone_accuracy_near": Number.over(
            [s.zone_accuracy_near for s in scores], "chips", "1",
            "zones, semi-synthetic: accuracy with windows near a boundary",
        ),
        "heart_rate_error": Number.over(
            [s.heart_rate_mae for s in scores], "chips", "bpm",
            "zones, semi-synthetic: mean absolute error of the heart rate",
        ),
        "false_switches": Number.over(
            [s.false_switches_per_hour for s in scores], "chips", "1/h", "zones, semi-synthetic: false switches an hour"
        ),
        "switches_missed": Number.over(
            [s.switches_missed for s in scores], "chips", "1",
            f"zones, semi-synthetic: switches missed of {len(semi.truth.switches)}",
        ),
        "latency": Number.over(
            found, "switches", "s", "zones, semi-synthetic: from a change of the schedule to the new zone"
        ),
    }  # fmt: skip
    if excerpt is not None:
        numbers |= {
            "recording_accuracy": Number.over(
                [s.zone_accuracy for s in excerpt.scores], "chips", "1",
                "recording, two held-out minutes, one boundary: zone accuracy",
            ),
            "recording_worst": Number(min(s.zone_accuracy for s in excerpt.scores), "1", "recording: the worst chip"),
            "recording_constant": Number(excerpt.truth.constant, "1", "recording: the best constant answer"),
            "recording_error": Number.over(
                [s.heart_rate_mae for s in excerpt.scores], "chips", "bpm",
                "recording: mean absolute error of the heart rate",
            ),
            "recording_false_switches": Number.over(
                [s.false_switches_per_hour for s in excerpt.scores], "chips", "1/h", "recording: false switches an hour"
            ),
        }  # fmt: skip
    return numbers


def _of_holding(same: np.ndarray, alone: dict[str, np.ndarray], seconds: float) -> dict[str, Number]:
    kept = _share(int(same.sum()), len(same), "chips", f"whole network: zone held for {seconds:g} s without a pulse")
    return {"zone_held": kept} | _of_alone(alone)


def _of_alone(alone: dict[str, np.ndarray]) -> dict[str, Number]:
    return {
        "attractor_alone": Number.over(
            alone["attractor"], "chips", "s", "one zone cut off from its input: how long it fires (the run ends there)"
        ),
        "integrator_alone": Number.over(
            alone["integrator"], "chips", "s",
            f"the same without self-excitation, {LONGEST:g} s as time constant, all weights: how long it fires",
        ),
    }  # fmt: skip


def _of_flags(found: Flags, chips: int) -> dict[str, Number]:
    course = found.course
    flagged = np.isfinite(found.delay)
    by_chip = [flagged[k::chips].mean() for k in range(chips)]
    return {
        "rises_flagged": _share(
            int(flagged.sum()), len(flagged), "rises",
            f"long rises, semi-synthetic: share of rises by {course.rise:g} bpm in {course.rising:g} s that are "
            f"flagged from {EARLY:g} bpm on",
            least=0.95, source=_AIM,
        ),
        "rises_flagged_early": _share(
            int(found.early.sum()), len(flagged), "rises",
            "long rises, semi-synthetic: share that is flagged before as well, a false flag",
        ),
        "rises_flagged_by_chip": Number.over(
            by_chip, "chips", "1", "long rises, semi-synthetic: the same share, chip by chip"
        ),
        "time_to_flag": Number.over(
            found.delay, "rises", "s", "long rises, semi-synthetic: from their beginning to the flag"
        ),
    }  # fmt: skip


def _of_calm(still: dict[str, Calm]) -> dict[str, Number]:
    numbers = {
        f"false_flags_{name}": _hourly(
            int(found.flags.sum()), found.hours,
            f"unchanging rate, intervals jittered by {100 * JITTERS[name]:g} %, semi-synthetic: false flags an hour",
            most=0.5, source=_AIM,
        )
        for name, found in still.items()
    }  # fmt: skip
    flags, hours = sum(int(f.flags.sum()) for f in still.values()), sum(f.hours for f in still.values())
    text = "unchanging rate, both kinds together, semi-synthetic: false flags an hour"
    return numbers | {"false_flags": _hourly(flags, hours, text)}


def _of_sizes(sizes: list[Sized]) -> dict[str, Number]:
    numbers = {}
    for one in sizes:
        text = f"populations of {one.size}, not trimmed"
        numbers[f"size_{one.size}_point"] = Number.over(
            one.point, "chips that switch", "1", f"{text}: where the zone changes, relative to the boundary"
        )
        numbers[f"size_{one.size}_held"] = _share(
            int(one.held.sum()), len(one.held), "chips",
            f"{text}: share of chips that are in the upper zone and hold it for {SIZED_SILENCE:g} s without a pulse",
        )  # fmt: skip
    return numbers


def _of_noise(runs) -> dict[str, Number]:
    numbers = {}
    for level, one in runs:
        scores = one.scores[:NOISY]
        name, text = f"noise_{100 * level:g}", f"noise of {100 * level:g} % of a pulse, {len(scores)} chips"
        numbers |= {
            f"{name}_accuracy": Number.over([s.zone_accuracy for s in scores], "chips", "1", f"{text}: zone accuracy"),
            f"{name}_false_switches": Number.over(
                [s.false_switches_per_hour for s in scores], "chips", "1/h", f"{text}: false switches an hour"
            ),
            f"{name}_latency": Number.over(latencies(one)[:NOISY], "switches", "s", f"{text}: latency of a switch"),
        }
    return numbers


def _of_shaken(rises: list[Flags]) -> dict[str, Number]:
    numbers = {}
    for level, found in zip(SHAKEN, rises, strict=True):
        numbers[f"noise_{100 * level:g}_missed"] = _share(
            int(np.isnan(found.delay).sum()), len(found.delay), "rises",
            f"noise of {100 * level:g} %: share of rises by {QUICK.rise:g} bpm in {QUICK.rising:g} s that are missed",
        )  # fmt: skip
    return numbers


_HELD = (
    "How long the neurons of one zone fire after their input has ended, each chip a dot: held by self-excitation "
    "(all reach the end of the run), and without it, with the longest time constant of the chip."
)
_FLAGS = (
    "Each row is one series: grey where the rate rises, the marks are flags. What the network says while it starts "
    "from rest is cleared by a reset (dashed, grey). Flags before the rate has risen by 7.5 bpm (dashed, orange) are "
    "false."
)
_NOISE = "Zone accuracy of every chip against noise, and the share of rises that are missed."
_SIZES = (
    "Where the zone of each chip changes in a slow sweep of a metronome, relative to the boundary, for populations of "
    "1 to 64 neurons. All chips have the configuration that suits a chip without mismatch. Chips that are not in the "
    "upper zone at the end of the sweep, or were in it from the beginning, are left out."
)


def _held_figure(alone: dict[str, np.ndarray]) -> Figure:
    figure = new_figure(2.8)
    axes = figure.subplots()
    for row, (name, colour) in enumerate((("integrator", ORANGE), ("attractor", BLUE))):
        seconds = alone[name]
        axes.plot(seconds, row + np.linspace(-0.2, 0.2, len(seconds)), "o", color=colour, markersize=5, alpha=0.8)
    axes.set_yticks([0, 1], [f"integrator,\n{LONGEST:g} s", "attractor"])
    axes.set(xlabel="fires for (s)", ylim=(-0.6, 1.6), xlim=(0, None))
    return figure


def _flags_figure(found: Flags, starts: np.ndarray) -> Figure:
    figure = new_figure(5.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    ends = found.course.ends
    time = np.arange(0.0, ends[-1], 1.0)
    start = float(np.median(starts))
    above.plot(time, np.interp(time, ends[:2], [start, start + found.course.rise]), color=INK)
    above.set(ylabel="heart rate (bpm),\nmedian start")
    below.axvspan(ends[0], ends[1], color=GREY, alpha=0.15, linewidth=0)
    below.axvline(RESET, color=GREY, linestyle="--", linewidth=1)
    known = ends[0] + found.course.rising * EARLY / found.course.rise
    below.axvline(known, color=ORANGE, linestyle=(0, (5, 4)), linewidth=1)
    for row, when in enumerate(found.when):
        late = when > RESET
        below.plot(when[late], np.full(late.sum(), row), "|", color=BLUE, markersize=5, markeredgewidth=2)
        below.plot(when[~late], np.full((~late).sum(), row), "|", color=GREY, markersize=4)
    below.set(xlabel="time (s)", ylabel="series", xlim=(0, ends[-1]), ylim=(-0.7, len(found.when) - 0.3))
    return figure


def _noise_figure(runs: list[Run], rises: list[Flags]) -> Figure:
    figure = new_figure(3.2)
    axes = figure.subplots()
    for level, one in zip((0.0, *NOISE), runs, strict=True):
        accuracy = [100 * s.zone_accuracy for s in one.scores[:NOISY]]
        axes.plot(np.full(len(accuracy), 100 * level), accuracy, "o", color=BLUE, markersize=4, alpha=0.7)
    missed = [100 * float(np.mean(np.isnan(f.delay))) for f in rises]
    axes.plot([], [], "o", color=BLUE, markersize=4, label="zone accuracy")
    axes.plot(100 * np.array(SHAKEN), missed, color=ORANGE, marker="s", markersize=4, label="rises missed")
    axes.set(xlabel="noise (% of a pulse)", ylabel="%", ylim=(-4, 104))
    axes.legend()
    return figure


def _size_figure(sizes: list[Sized]) -> Figure:
    figure = new_figure(3.0)
    axes = figure.subplots()
    for place, one in enumerate(sizes):
        known = one.point[np.isfinite(one.point)]
        axes.plot(place + np.linspace(-0.15, 0.15, len(known)), 100 * known, "o", color=BLUE, markersize=4, alpha=0.7)
    axes.axhline(100, color=GREY, linewidth=0.8)
    axes.set_xticks(range(len(sizes)), [str(one.size) for one in sizes])
    axes.set(xlabel="neurons in a population", ylabel="switching point (%)", xlim=(-0.5, len(sizes) - 0.5))
    return figure
