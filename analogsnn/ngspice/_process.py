"""The parent's side of a child process: start it, wait, and say in one sentence what went wrong."""

from __future__ import annotations

import ctypes.util
import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import NgspiceError

MINIMUM_VERSION = 34  # the oldest that distributions in use still have; the tests know 39
VERSION_TIMEOUT = 60.0  # s, to load the library and ask
_INSTALL = "install ngspice's library (Debian: sudo apt-get install libngspice0)"


def library_path() -> str:
    """Path or name of libngspice: `NGSPICE_LIBRARY_PATH`, else what the system's linker knows.

    The system is asked because PySpice looks for `libngspice.so`, a link that only development packages bring.

    **Raises** `NgspiceError` where there is none.
    """
    given = os.environ.get("NGSPICE_LIBRARY_PATH")
    if given:
        if not Path(given).is_file():
            raise NgspiceError(f"NGSPICE_LIBRARY_PATH is '{given}', but there is no such file; unset it or {_INSTALL}.")
        return given
    found = ctypes.util.find_library("ngspice")
    if found is None:
        raise NgspiceError(f"ngspice is missing: no libngspice was found; {_INSTALL}, or set NGSPICE_LIBRARY_PATH.")
    return found


def _command() -> list[str]:
    if importlib.util.find_spec("PySpice") is None:
        raise NgspiceError("PySpice is missing; install it with pip install 'analogsnn[spice]'.")
    return [sys.executable, "-m", "analogsnn.ngspice._worker"]


def call(
    deck: list[str] | None, probes: list[list[str]], timeout: float
) -> tuple[dict[str, Any], dict[str, np.ndarray] | None]:
    """Run a job in a child process.

    **Arguments**

    - `deck`: lines of a deck with one analysis, or None.
    - `probes`: decks with an `.op` each, solved before it.
    - `timeout`: wall-clock limit in s.

    **Returns** the answer (`version`, `log`, `probes`) and the vectors of the deck by ngspice's names.

    **Raises** `NgspiceError` for a library that is missing or no ngspice, one that is too old, a child that crashes,
    runs past the limit, or answers with something that cannot be read.
    """
    library = library_path()
    package = str(Path(__file__).parents[2])
    with tempfile.TemporaryDirectory(prefix="analogsnn-ngspice-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps({"deck": deck, "probes": probes}))
        environment = {
            **os.environ,
            "NGSPICE_LIBRARY_PATH": library,
            "PYTHONPATH": os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH", "")) if p),
            "OMP_NUM_THREADS": "1",
            "HOME": name,  # a user's .spiceinit would change results behind the cache's back
        }
        try:
            done = subprocess.run(
                [*_command(), name], cwd=name, env=environment, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise NgspiceError(
                f"ngspice did not finish within {timeout:g} s and was stopped; "
                "give a longer time limit, a shorter stop time, or a looser reltol."
            ) from None
        said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
        if done.returncode:
            raise NgspiceError(_failure(done.returncode, said, library), said)
        try:
            answer = json.loads((folder / "answer.json").read_text())
            version, log = answer["version"], answer["log"]
            names, solved = answer["names"], answer["probes"]
            if not (isinstance(log, list) and isinstance(solved, list) and isinstance(answer["statistics"], dict)):
                raise TypeError
            rows = None if names is None else np.load(folder / "answer.npy", allow_pickle=False)
            vectors = None if names is None or rows is None else dict(zip(names, rows, strict=True))
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            raise NgspiceError(
                f"ngspice ({library}) gave an answer that cannot be read; check it with `ngspice --version`.",
                said,
            ) from None
    if not isinstance(version, int):
        raise NgspiceError(f"{library} does not say that it is ngspice; {_INSTALL}.", said)
    if version < MINIMUM_VERSION:
        raise NgspiceError(
            f"ngspice {version} is too old; analogsnn needs {MINIMUM_VERSION} or newer: {_INSTALL}.", said
        )
    return answer, vectors


def _failure(status: int, said: str, library: str) -> str:
    last = said.splitlines()[-1] if said else "nothing was printed"
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return (
            f"ngspice crashed ({name}); your process is unharmed. The deck or the library {library} is at fault: {last}"
        )
    if "cannot load library" in said or "undefined symbol" in said or "not found in library" in said:
        return f"{library} cannot be used as ngspice's library ({last}); {_INSTALL}."
    if "No module named" in said:
        return f"the process for ngspice could not start: {last}"
    return f"the process for ngspice ended with status {status}: {last}"


@functools.lru_cache(maxsize=8)
def _version_of(library: str, stamp: tuple[int, int]) -> int:
    answer, _ = call(None, [], timeout=VERSION_TIMEOUT)
    return answer["version"]


def ngspice_version() -> int:
    """The major version of the ngspice library that runs would use.

    **Raises** `NgspiceError`.
    """
    library = library_path()
    try:
        status = os.stat(library)
        stamp = (status.st_size, status.st_mtime_ns)
    except OSError:  # a bare name that the linker resolves
        stamp = (0, 0)
    return _version_of(library, stamp)
