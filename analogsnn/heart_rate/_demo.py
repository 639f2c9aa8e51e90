"""The demonstration: the pulse recording that heartpy ships, read as a file from the installed package."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from ..errors import InputError
from ._recording import Recording, read_recording
from ._reference import reference
from ._run import Run, prepare_chips, preparing_work, run_all
from ._series import retimed, schedule

# The three files, with the rates that were measured from their time stamps (data.csv: from heartpy's documentation).
FILES = {"data.csv": (100.0, None), "data2.csv": (116.99, "hr"), "data3.csv": (100.42, "hr")}
DATA3_SHA256 = "16eedaa7c97c6ca873e7e424d27a84dcd043d4eca0e4f7611d2a37969192b7ea"
ZONES = (60.0, 75.0, 90.0, 105.0)
CHIPS = 20
LENGTH = 681.9  # s, of data3.csv
EXCERPT = 120.0  # s; the beginning of the second half, which was not used for tuning


def shipped_recording(name: str = "data3.csv") -> Recording:
    """A recording of heartpy 1.2.7, read from the installed package without importing it.

    The stamps of data3.csv are not uniform (steps of 0–49 ms); a constant 100.42 Hz, their mean, is assumed.

    **Raises** `InputError` when the package is missing or its data3.csv is another one.
    """
    try:
        path = Path(str(distribution("heartpy").locate_file(f"heartpy/data/{name}")))
    except PackageNotFoundError:
        raise InputError(
            "The demonstration reads a recording that the package heartpy 1.2.7 ships, and it is not installed; "
            "install the extra 'signals' (pip install 'analogsnn[signals]')."
        ) from None
    rate, column = FILES[name]
    recording = read_recording(path, rate, column)
    if name == "data3.csv" and hashlib.sha256(path.read_bytes()).hexdigest() != DATA3_SHA256:
        raise InputError(f"'{path}' is not the file of heartpy 1.2.7; install heartpy==1.2.7.")
    return Recording(recording.signal, recording.rate, f"heartpy {name}")


@dataclass(frozen=True)
class Demo:
    """`semi_synthetic` visits all zones; `recording` and `whole` have one boundary, at the recording's median."""

    semi_synthetic: Run
    recording: Run
    whole: Run


def demo_work(full: bool) -> float:
    """Chip-seconds of simulation that `demo` reports to its `progress`."""
    preparing = preparing_work(ZONES, CHIPS) + preparing_work((1.0,), CHIPS)
    series = float(schedule(ZONES)[0][-1])
    return preparing + CHIPS * (series + EXCERPT) + LENGTH * (CHIPS if full else 1)


def demo(*, seed: int = 1, full: bool = False, progress: Callable[[float], None] | None = None) -> Demo:
    """Twenty chips on a semi-synthetic series and on an excerpt, and one (or all, if `full`) on the whole recording.

    The series takes its pulse shapes from the second half of the recording; weights were chosen on the first.
    """
    recording = shipped_recording()
    half = recording.duration / 2
    series = retimed(recording.excerpt(half, half), ZONES, seed=seed)
    median = round(float(np.nanmedian(reference(recording).rate)), 1)
    (semi,) = run_all([(series, prepare_chips(ZONES, CHIPS, seed=seed, progress=progress))], ZONES, progress=progress)
    chips = prepare_chips((median,), CHIPS, seed=seed, progress=progress)
    part, whole = run_all(
        [(recording.excerpt(half, EXCERPT), chips), (recording, chips if full else chips[:1])],
        (median,),
        progress=progress,
    )
    return Demo(semi, part, whole)
