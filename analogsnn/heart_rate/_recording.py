"""Pulse recordings from text files: one column or CSV, with or without a header."""

from __future__ import annotations

import csv
import difflib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError

SHORTEST = 20.0  # s; two windows of the reference, and the network needs about ten seconds to settle


@dataclass(frozen=True)
class Recording:
    """A signal at a uniform rate.

    - `signal`: float [n], NaN where the recording has a gap. `rate`: Hz. `name`: for titles and results.
    - `beats`: the known times of the beats (s) of a semi-synthetic recording, which has real pulse shapes with
      artificial timing; None for a real one, whose beats nobody has marked.
    """

    signal: np.ndarray
    rate: float
    name: str
    beats: np.ndarray | None = None

    @property
    def semi_synthetic(self) -> bool:
        """Whether the timing is artificial; every title and legend then says so."""
        return self.beats is not None

    @property
    def duration(self) -> float:
        """Length in s."""
        return len(self.signal) / self.rate

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Start and end (s) of every run of missing samples."""
        missing = np.concatenate([[False], np.isnan(self.signal), [False]])
        edges = np.flatnonzero(np.diff(missing.astype(int))) / self.rate
        return list(zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True))

    def excerpt(self, start: float, duration: float) -> Recording:
        """A part of it, from `start` for `duration` seconds."""
        a, b = round(start * self.rate), round((start + duration) * self.rate)
        name = f"{self.name}, {start:.0f}–{start + duration:.0f} s"
        beats = self.beats
        if beats is not None:
            beats = beats[(beats >= start) & (beats < start + duration)] - start
        return Recording(self.signal[a:b], self.rate, name, beats)


def read_recording(path: str | Path, rate: float, column: str | int | None = None) -> Recording:
    """Read a recording.

    **Arguments**

    - `path`: a text file with one sample a line, or a table separated by comma, semicolon or tab; a first line that
      is not a number is the header.
    - `rate`: samples per second (Hz). `column`: name, or 0-based number, of the column; not needed if there is one.

    Empty cells and `nan` are gaps: kept as NaN, reported, and bridged by silence.

    **Raises** `InputError` for everything that cannot be a recording, with the line where there is one.
    """
    if not math.isfinite(rate) or rate <= 0:
        raise InputError(f"The sampling rate is {rate:g} Hz; give a positive number of samples per second (--rate).")
    rows = _rows(Path(path))
    header = rows[0][1] if any(not _is_number(cell) for cell in rows[0][1]) and len(rows) > 1 else None
    names = header if header is not None and not all(_is_missing(c) for c in header) else None
    width = len(rows[0][1])
    index = _column(path, column, names, width)
    body = rows[1:] if names is not None else rows
    signal = np.array([_number(path, line, cells, index, width) for line, cells in body])
    _check(path, signal, rate)
    return Recording(signal, float(rate), Path(path).name)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], 1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise InputError(f"There is no file '{path}'.{hint}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise InputError(f"'{path}' is not a text file (byte {e.start}); export the recording as CSV.") from None
    except OSError as e:
        raise InputError(f"'{path}' cannot be read: {e.strerror}.") from None
    lines = text.splitlines()
    head = next((line for line in lines if line.strip() and not line.startswith("#")), None)
    if head is None:
        raise InputError(f"'{path}' is empty; a recording has one sample a line.")
    separator = max(",;\t", key=head.count)
    return [
        (number, [cell.strip() for cell in next(csv.reader([line], delimiter=separator))])
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]


def _is_missing(cell: str) -> bool:
    return cell == "" or cell.lower() in ("nan", "na", "null")


def _is_number(cell: str) -> bool:
    if _is_missing(cell):
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _column(path, column: str | int | None, names: list[str] | None, width: int) -> int:
    listing = ", ".join(f"{i} '{n}'" for i, n in enumerate(names)) if names else f"0 to {width - 1}"
    if column is None:
        if width == 1:
            return 0
        raise InputError(f"'{path}' has {width} columns; say which one is the signal (--column): {listing}.")
    if names and column in names:
        return names.index(str(column))
    try:
        index = int(column)
    except ValueError:
        near = difflib.get_close_matches(str(column), names or [], 1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise InputError(f"'{path}' has no column '{column}'; its columns: {listing}.{hint}") from None
    if not 0 <= index < width:
        raise InputError(f"'{path}' has no column {index}; its columns: {listing}.")
    return index


def _number(path, line: int, cells: list[str], index: int, width: int) -> float:
    if len(cells) != width:  # a decimal comma, for one, would otherwise lose its digits without a word
        raise InputError(
            f"{path}:{line}: the line has {len(cells)} cells, the first line has {width}; write decimals with a point "
            "and the same number of columns on every line."
        )
    cell = cells[index]
    if _is_missing(cell):
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        raise InputError(f"{path}:{line}: '{cell}' is not a number; correct it, or leave the cell empty.") from None
    if math.isinf(value):
        raise InputError(f"{path}:{line}: '{cell}' is not finite; leave the cell empty where a sample is missing.")
    return value


def _check(path, signal: np.ndarray, rate: float) -> None:
    seconds = len(signal) / rate
    if seconds < SHORTEST:
        raise InputError(
            f"'{path}' holds {len(signal)} samples, {seconds:.1f} s at {rate:g} Hz; at least {SHORTEST:g} s are "
            "needed. Check --rate, or record longer."
        )
    present = signal[~np.isnan(signal)]
    if not len(present):
        raise InputError(f"'{path}' has no number in this column; choose another one (--column).")
    if np.ptp(present) == 0:
        raise InputError(f"'{path}' is flat: every sample is {present[0]:g}; choose another column or recording.")
