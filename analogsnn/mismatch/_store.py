"""A campaign's folder: chunks of samples as they finish, which survive a kill at any moment.

    campaign.json   what the samples are of: deck, measures, law, key, engine, versions; another campaign is refused
    samples.zarr    values [sample, measure] and status [sample] (-1 not done, 0 whole, 1 part missing, 2 failed)
    marks/000003.json   chunk 3 is done: its samples, their failures with reasons, and a digest of their values
    lock            held by the operating system for as long as a process works here, gone with it however it ends

A chunk's values are written first and its mark is moved into place afterwards. What has no mark, or another digest, is
done anew; since every sample has its own address and chunks always have the same width, it comes out bit-equal.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import InputError, SimulationError
from ._measures import RUN_FAILED, Failure

FORMAT = 1
_OWN = {"lock", "campaign.json", "campaign.json.part", "samples.zarr", "samples.zarr.part", "marks", "timing.jsonl"}
# What differs → what to say. Keys of campaign.json.
_WORDS = {
    "format": "in another format", "version": "by another version of analogsnn", "engine": "by another engine",
    "solver": "by another version of the solver", "deck": "of another deck (or card, or parameter values)",
    "measures": "of other measures", "law": "with another mismatch law", "key": "with another random key",
    "settings": "with other settings", "width": "with another chunk width",
}  # fmt: skip
WAIT = 120.0  # s that a process waits for the first one to make the store


class Store:
    """The samples of a campaign in a folder. Use `open_store`."""

    def __init__(self, folder: Path, names: tuple[str, ...], width: int):
        self.folder, self.names, self.width = folder, names, width

    def forget(self, chunk: int) -> None:
        """Take the mark of a chunk away, so that nobody takes it for whole."""
        (self.folder / "marks" / f"{chunk:06d}.json").unlink(missing_ok=True)

    def write(self, chunk: int, start: int, values: np.ndarray, failures: list[Failure], seconds: float) -> None:
        """Keep a chunk: samples from `start` on, `values [sample, measure]`.

        **Raises** `SimulationError` when that cannot be written.
        """
        stop = start + len(values)
        marks = self.folder / "marks"
        try:
            # A kill may have left half a file, which zarr would try to read before it writes a part of the last chunk.
            for part in (f"values/c/{chunk}/0", f"status/c/{chunk}"):
                (self.folder / "samples.zarr" / part).unlink(missing_ok=True)
            arrays = self._arrays()
            arrays["values"][start:stop] = values
            arrays["status"][start:stop] = _status(values, failures, start)
            with (self.folder / "timing.jsonl").open("a") as file:
                file.write(json.dumps({"chunk": chunk, "samples": len(values), "seconds": seconds}) + "\n")
            mark = {
                "start": start, "stop": stop, "digest": _digest(values),
                "failures": [failure.to_list() for failure in failures],
            }  # fmt: skip
            write_json(marks / f"{chunk:06d}.json", mark)
        except OSError as error:
            raise SimulationError(
                f"chunk {chunk} could not be written to {self.folder}: {error.strerror or error}. "
                f"{len(list(marks.glob('*.json')))} chunks are safe there; make room, then start again."
            ) from None

    def read(self, chunk: int) -> tuple[int, np.ndarray, list[Failure]] | None:
        """First sample, values and failures of a chunk; None for one that is not whole and must be done anew."""
        try:
            mark = json.loads((self.folder / "marks" / f"{chunk:06d}.json").read_text())
            values = np.asarray(self._arrays()["values"][mark["start"] : mark["stop"]])
            if len(values) != mark["stop"] - mark["start"] or _digest(values) != mark["digest"]:
                return None
            return mark["start"], values, [Failure(*entry) for entry in mark["failures"]]
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # a damaged file of either kind
            return None

    def seconds(self) -> float:
        """What all chunks took, each from the end of the one before it."""
        try:
            lines = (self.folder / "timing.jsonl").read_text().splitlines()
        except OSError:
            return 0.0
        total: dict[int, float] = {}
        for line in lines:
            try:
                entry = json.loads(line)
                total[entry["chunk"]] = float(entry["seconds"])
            except (ValueError, KeyError, TypeError):
                continue  # a line that a kill cut off
        return sum(total.values())

    def _arrays(self) -> Any:
        import zarr

        return zarr.open_group(self.folder / "samples.zarr", mode="r+")

    def samples(self) -> int:
        """For how many samples there is room."""
        return self._arrays()["values"].shape[0]

    def grow(self, samples: int) -> None:
        """Make room for so many samples; what is there stays."""
        group = self._arrays()
        if self.samples() < samples:
            group["values"].resize((samples, len(self.names)))
            group["status"].resize((samples,))


@contextmanager
def open_store(
    folder: Path, record: Mapping[str, Any], names: tuple[str, ...], samples: int, width: int,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Store]:  # fmt: skip
    """The store in `folder`, made or continued, for as long as this process works on it.

    **Arguments**

    - `record`: what the campaign is, JSON; a store with another record is refused.
    - `share`: this process's number and how many there are; the first one makes the store, the others wait for it.

    **Raises** `InputError` for a folder that cannot be used, holds something else or another campaign, or is at work.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"'{folder}' cannot be used as a store: {error.strerror}. Choose another folder.") from None
    foreign = sorted(entry.name for entry in folder.iterdir() if not _ours(entry.name))
    if foreign:
        raise InputError(f"'{folder}' holds other files ({', '.join(foreign[:3])}); choose an empty folder.")
    with _locked(folder, share):
        store = Store(folder, names, width)
        if share[0] == 0:
            if (folder / "campaign.json").exists():
                _compare(folder, record)
            else:
                _create(folder, record, names, samples, width)
            try:
                store.grow(samples)
            except OSError as error:
                raise SimulationError(f"the store {folder} cannot grow: {error.strerror or error}.") from None
        else:
            _await(store, record, samples)
        yield store


def _ours(name: str) -> bool:
    return name in _OWN or name.startswith("lock.")


def _create(folder: Path, record: Mapping[str, Any], names: tuple[str, ...], samples: int, width: int) -> None:
    """Whole or not at all: campaign.json comes last, and what has none is made anew."""
    import zarr

    try:
        for left in ("samples.zarr.part", "samples.zarr", "marks"):
            shutil.rmtree(folder / left, ignore_errors=True)
        (folder / "timing.jsonl").unlink(missing_ok=True)
        group = zarr.open_group(folder / "samples.zarr.part", mode="w")
        group.create_array(
            "values", shape=(samples, len(names)), chunks=(width, len(names)), dtype="float64", fill_value=np.nan,
            dimension_names=("sample", "measure"), attributes={"measures": list(names)},
        )  # fmt: skip
        group.create_array(
            "status", shape=(samples,), chunks=(width,), dtype="int8", fill_value=-1, dimension_names=("sample",),
            attributes={"meaning": "-1 not done, 0 all values, 1 some missing, 2 run failed"},
        )  # fmt: skip
        os.replace(folder / "samples.zarr.part", folder / "samples.zarr")
        (folder / "marks").mkdir()
        write_json(folder / "campaign.json", record)
    except OSError as error:
        raise SimulationError(f"the store {folder} could not be made: {error.strerror or error}.") from None


def _compare(folder: Path, record: Mapping[str, Any]) -> None:
    try:
        found = json.loads((folder / "campaign.json").read_text())
    except (OSError, ValueError):
        raise InputError(f"{folder / 'campaign.json'} cannot be read; delete the folder, or choose another.") from None
    wrong = [key for key in _WORDS if found.get(key) != record[key]]
    if wrong:
        reasons = []
        for key in wrong:
            shown = key in ("version", "engine", "solver", "width", "format")
            old_new = f" ({found.get(key)}, now {record[key]})" if shown else ""
            reasons.append(_WORDS[key] + old_new)
        raise InputError(
            f"the store '{folder}' was made {', and '.join(reasons)}; its samples cannot be mixed with these. Choose "
            "another folder, or delete that one."
        )


def _await(store: Store, record: Mapping[str, Any], samples: int) -> None:
    end = time.monotonic() + WAIT
    while not ((store.folder / "campaign.json").exists() and store.samples() >= samples):
        if time.monotonic() > end:
            raise SimulationError(f"the first process did not make the store {store.folder} within {WAIT:g} s.")
        time.sleep(0.05)
    _compare(store.folder, record)


@contextmanager
def _locked(folder: Path, share: tuple[int, int]) -> Iterator[None]:
    """A lock for each share; a campaign in one process is the first share of one, and looks at all locks."""
    name = "lock" if share[0] == 0 else f"lock.{share[0]}"
    others = [path for path in folder.glob("lock*") if path.name != name] if share[1] == 1 else []
    with (folder / name).open("a+") as mine:
        _take(folder, mine)
        for path in others:
            with path.open("a+") as other:
                _take(folder, other)  # nobody is at work there; let go again at once
        mine.truncate(0)
        mine.write(f"process {os.getpid()} on {socket.gethostname()}")
        mine.flush()
        yield


def _take(folder: Path, file: IO[str]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise InputError(f"the store '{folder}' cannot be locked: {error.strerror}.") from None
        file.seek(0)
        who = file.read().strip() or "another process"
        raise InputError(f"{who} is at work on the store '{folder}'; wait for it, or choose another folder.") from None


def _status(values: np.ndarray, failures: list[Failure], start: int) -> np.ndarray:
    status = np.where(np.isnan(values).any(axis=1), 1, 0).astype(np.int8)
    for failure in failures:
        if failure.kind == RUN_FAILED:
            status[failure.sample - start] = 2
    return status


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f8").tobytes()).hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w") as file:
        file.write(json.dumps(data, indent=1, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
