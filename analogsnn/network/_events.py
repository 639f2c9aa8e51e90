"""Input events from a file: CSV `time_s,input,index`, times ascending."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from ..errors import InputError
from ._network import Network
from ._simulate import Events

HEADER = ("time_s", "input", "index")


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
