"""Stand-ins for the child process that drives ngspice: real processes that fail in the ways ngspice can."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from analogsnn.ngspice import _process

ANSWER = '{"version": VERSION, "log": [], "probes": [], "statistics": {}, "names": null}'

# name → (Python that the child runs with the job's folder in sys.argv[1], part of the sentence)
FAILURES = {
    "too old": (
        f"answer('''{ANSWER.replace('VERSION', '26')}''')",
        "ngspice 26 is too old; analogsnn needs 34 or newer",
    ),
    "no version": (f"answer('''{ANSWER.replace('VERSION', 'null')}''')", "does not say that it is ngspice"),
    "hanging": ("import time; time.sleep(60)", "did not finish within 1 s and was stopped"),
    "crashing": (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "ngspice crashed (SIGSEGV); your process is",
    ),
    "aborting": ("import os; os.abort()", "ngspice crashed (SIGABRT)"),
    "exiting": ("print('exit from C'); sys.exit(1)", "ended with status 1: exit from C"),
    "silent": ("pass", "gave an answer that cannot be read"),
    "garbage": ("answer('%PDF-1.4')", "gave an answer that cannot be read"),
    "half an answer": ('answer(\'{"version": 39, "log": [\')', "gave an answer that cannot be read"),
    "other things": ("answer('[1, 2]')", "gave an answer that cannot be read"),
    "binary": ("sys.stdout.buffer.write(bytes(range(256))); sys.exit(3)", "ended with status 3"),
}
_HEAD = "import pathlib, sys\ndef answer(text): pathlib.Path(sys.argv[1], 'answer.json').write_text(text)\n"


def fake_worker(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """From here on the child process runs `body` in place of ngspice."""
    script = folder / "worker.py"
    script.write_text(_HEAD + body + "\n")
    monkeypatch.setattr(_process, "_command", lambda: [sys.executable, str(script)])
    _process._version_of.cache_clear()
    monkeypatch.setattr(_process, "VERSION_TIMEOUT", 1.0)


@pytest.fixture
def forget_version():
    """No version is remembered from before, nor left for later."""
    _process._version_of.cache_clear()
    yield
    _process._version_of.cache_clear()
