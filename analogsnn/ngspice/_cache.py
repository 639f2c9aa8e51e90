"""Waveforms kept between runs: a deck that was solved once is not solved again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from ..waveforms import Waveforms

_FORMAT = 2


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/analogsnn/ngspice`, or `~/.cache/analogsnn/ngspice`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "analogsnn" / "ngspice"


def cache_key(deck: list[str], version: int, supply: float | None) -> str:
    """The deck holds the numbers, the options and the analysis; the version says who solved it."""
    text = json.dumps([_FORMAT, version, supply, deck])
    return hashlib.sha256(text.encode()).hexdigest()


def load(key: str) -> Waveforms | None:
    """What was kept under `key`, or None: a file that cannot be read counts as absent."""
    try:
        with np.load(cache_folder() / f"{key}.npz", allow_pickle=False) as file:
            head = json.loads(str(file["head"]))
            return Waveforms(
                time=file["time"], voltages=file["voltages"], nodes=tuple(head["nodes"]), currents=file["currents"],
                branches=tuple(head["branches"]), supply=head["supply"], variable=head["variable"],
                steps=head["steps"], rejected=head["rejected"],
            )  # fmt: skip
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def store(key: str, waves: Waveforms) -> None:
    """Keep `waves`; a folder that cannot be written is no reason to fail a run that succeeded."""
    head = {key: getattr(waves, key) for key in ("nodes", "branches", "supply", "variable", "steps", "rejected")}
    with contextlib.suppress(OSError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, head=json.dumps(head), time=waves.time, voltages=waves.voltages, currents=waves.currents)
            os.replace(name, folder / f"{key}.npz")
        except BaseException:
            os.unlink(name)
            raise
