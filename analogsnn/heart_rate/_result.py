"""Runs as plain data for `--json`: numbers of every chip, never NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._run import CHIP, Run
from ._score import MARGIN, score, truth


def result(run: Run, *, halves: bool = False) -> dict[str, Any]:
    """The keys of the command's JSON contract for one run.

    Every rate is `{mean, worst, per_chip}`. `zone_accuracy` is the mean over the zones that the reference visits, in
    windows more than 2 bpm from every boundary; `zone_accuracy_near` takes all windows; `zone_accuracy_constant` is the
    best constant answer by the same measure and `constant_time_share` its share of the windows. `halves` adds both
    halves of the recording, of which only the first was used for tuning.
    """
    mapping = run.chips[0].mapping
    occupancy = mapping.occupancy
    network = run.answers[0].heart_rate
    data: dict[str, Any] = {
        "recording": run.recording.name,
        "semi_synthetic": run.recording.semi_synthetic,
        "seconds_of_signal": run.recording.duration,
        "gaps": run.recording.gaps,
        "zones": list(run.boundaries),
        **_rates(run),
        "zone_accuracy_constant": run.truth.constant,
        "constant_time_share": run.truth.constant_time_share,
        "zones_visited": list(run.truth.visited),
        "switches": len(run.truth.switches),
        "margin_bpm": MARGIN,
        "neurons": int(sum(occupancy.neurons.values())),
        "core": {
            "chip": CHIP,
            "neurons_available": occupancy.neurons_per_core,
            "synapse_words_used": int(np.sum(occupancy.synapse_words)),
            "synapse_words_largest": int(np.max(occupancy.synapse_words)),
            "synapse_words_per_neuron": occupancy.words_per_neuron,
            "destination_words_largest": int(np.max(occupancy.route_words)),
            "tags_used": int(occupancy.tags),
        },
        "chips": [{"seed": c.mismatch.seed, "chip": c.mismatch.chip, "cv": c.mismatch.cv} for c in run.chips],
        "real_time_factor": run.real_time_factor,
        "encoder_events_per_second": run.events_per_second,
        "reference": {
            "windows": len(run.reference.time),
            "discarded": run.reference.discarded,
            "beats": len(run.reference.beats),
            "source": "known timing" if run.recording.semi_synthetic else "two detectors that agree",
        },
        "heart_rate_bpm": {
            "time": run.reference.time.tolist(),
            "network": network.tolist(),
            "reference": run.reference.rate.tolist(),
        },
    }
    if halves:
        end = run.recording.duration
        data["halves"] = {
            "first, used for tuning": _part(run, 0.0, end / 2),
            "second, held out": _part(run, end / 2, end),
        }
    return without_nan(data)


def summary_lines(run: dict[str, Any], name: str = "") -> list[str]:
    """A run's key numbers as text, from its plain data."""

    def text(value: float | None, scale: float = 1.0) -> str:
        return "–" if value is None else f"{scale * value:.1f}"

    accuracy, mae, false = run["zone_accuracy"], run["heart_rate_mae_bpm"], run["false_switches_per_hour"]
    label = " (semi-synthetic: real pulse shapes, artificial timing)" if run["semi_synthetic"] else ""
    return [
        f"{name + ': ' if name else ''}{run['recording']}{label}",
        f"  {len(run['chips'])} chips, {run['neurons']} neurons each, {len(run['zones_visited'])} zones visited",
        f"  zone accuracy {text(accuracy['mean'], 100)} % (worst chip {text(accuracy['worst'], 100)} %, "
        f"best constant answer {text(run['zone_accuracy_constant'], 100)} %)",
        f"  heart rate within {text(mae['mean'])} bpm (worst chip {text(mae['worst'])}); "
        f"{text(false['mean'])} false switches an hour; {run['switches']} switches, "
        f"{text(run['switches_missed']['mean'])} missed",
        f"  one chip runs {text(run['real_time_factor'])} times faster than real time",
    ]


def _rates(run: Run, scores: Sequence | None = None) -> dict[str, Any]:
    scores = run.scores if scores is None else scores
    larger_is_worse = {
        "heart_rate_mae_bpm": "heart_rate_mae",
        "switches_missed": "switches_missed",
        "false_switches_per_hour": "false_switches_per_hour",
    }
    rates = {
        "zone_accuracy": _spread([s.zone_accuracy for s in scores], min),
        "zone_accuracy_near": _spread([s.zone_accuracy_near for s in scores], min),
    }
    return rates | {k: _spread([getattr(s, v) for s in scores], max) for k, v in larger_is_worse.items()}


def _spread(values: Sequence[float], worst) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "worst": float(worst(values)), "per_chip": [float(v) for v in values]}


def _part(run: Run, start: float, end: float) -> dict[str, Any]:
    known = truth(run.reference, run.boundaries, start, end)
    scores = [score(a, known, run.reference, run.boundaries) for a in run.answers]
    return {
        **_rates(run, scores),
        "zone_accuracy_constant": known.constant,
        "constant_time_share": known.constant_time_share,
        "zones_visited": list(known.visited),
    }


def without_nan(value: Any) -> Any:
    """The same data with None in place of every number that is not finite."""
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
