"""Input events: from arrays, checked, and from a file, CSV `time_s,input,index`, times ascending."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ._network import Network

HEADER = ("time_s", "input", "index")


@dataclass(frozen=True)
class Events:
    """Input events: `time` (s, ascending) and `channel` (index over all inputs of the network).

    `lane` gives the lane of each event, or None when every lane receives all of them.
    """

    time: np.ndarray
    channel: np.ndarray
    lane: np.ndarray | None = None


def checked(
    time: ArrayLike, channel: ArrayLike, channels: int, duration: float, *, ordered: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Times (float64, s) and channels (int64) of events of a run.

    **Raises** `InputError` that names the first event that is out of order (where that is asked for), outside the run
    or of a channel that is not there.
    """
    try:
        time, channel = np.asarray(time, float), np.asarray(channel, float)
    except (TypeError, ValueError):
        raise InputError("Events are numbers: times in seconds, and the channel of each.") from None
    if time.shape != channel.shape or time.ndim != 1:
        raise InputError(f"Events have {time.shape} times and {channel.shape} channels; give one channel a time.")

    def refuse(wrong: np.ndarray, why: str) -> None:
        if np.any(wrong):
            k = int(np.argmax(wrong))
            raise InputError(f"Event {k} of {len(time)}, at {time[k]:g} s on input channel {channel[k]:g}, {why}.")

    refuse(~np.isfinite(time), "has no finite time; drop it")
    refuse(channel != np.round(channel), "names no whole channel; channels are whole numbers from 0 on")
    if ordered and np.any(np.diff(time) < 0):
        before = np.append(False, np.diff(time) < 0)
        refuse(before, f"comes before the one in front of it ({time[np.argmax(before) - 1]:g} s); sort them, ascending")
    refuse((time < 0) | (time > duration), f"is outside the simulated 0–{duration:g} s")
    there = f"0 to {channels - 1}" if channels else "none"
    refuse((channel < 0) | (channel >= channels), f"has nowhere to go: the network's input channels are {there}")
    return time, channel.astype(np.int64)


def read_events(path: str | Path, network: Network) -> Events:
    """Read the events of a network's inputs.

    **Raises** `InputError` with file and line: no such file, another header, a time that is no number or goes back,
    an input or channel that is not there.
    """
    starts, sizes = network.input_offsets(), {i.name: i.size for i in network.inputs}
    times, channels = [], []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text.") from None
    if not rows or tuple(cell.strip() for cell in rows[0]) != HEADER:
        raise InputError(f"{path}:1: the first line must be {','.join(HEADER)}.")
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(HEADER):
            raise InputError(f"{path}:{line}: has {len(row)} columns; there must be {len(HEADER)}.")
        try:
            time, index = float(row[0]), int(row[2])
        except ValueError:
            raise InputError(f"{path}:{line}: '{','.join(row)}' has no number for time_s or index.") from None
        name = row[1].strip()
        if not math.isfinite(time) or time < 0:
            raise InputError(f"{path}:{line}: time {row[0]} is not a finite time from 0 s on.")
        if times and time < times[-1]:
            raise InputError(f"{path}:{line}: time {time} s comes after {times[-1]} s; sort the events by time.")
        if name not in sizes:
            known = ", ".join(sizes) or "none"
            raise InputError(f"{path}:{line}: there is no input '{name}'; the network has {known}.")
        if not 0 <= index < sizes[name]:
            raise InputError(f"{path}:{line}: input '{name}' has channels 0 to {sizes[name] - 1}, not {index}.")
        times.append(time)
        channels.append(starts[name] + index)
    return Events(np.array(times, float), np.array(channels, np.int64))
