"""Shared by all tests: recordings, a small network, and the shipped file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from analogsnn.heart_rate import Recording, shipped_recording


def pytest_configure(config: pytest.Config) -> None:
    """Every process of the tests keeps what takes long to compile for itself and for the commands that it starts."""
    folder = tempfile.mkdtemp(prefix="analogsnn-compiled-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture(scope="session", autouse=True)
def _own_ngspice_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every session asks ngspice itself; within a session equal runs are shared."""
    from analogsnn.ngspice import _cache

    folder: Path = tmp_path_factory.mktemp("ngspice-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_cache, "cache_folder", lambda: folder)
        yield


@pytest.fixture(scope="session")
def shipped() -> Recording:
    """The 11-minute recording of heartpy 1.2.7; `make test` installs it, so its absence is a failure."""
    return shipped_recording()


@pytest.fixture(scope="session")
def pulses() -> Recording:
    """A synthetic pulse at 72 bpm for 40 s, 100 Hz: a raised cosine of 0.3 s once a beat."""
    rate, duration = 100.0, 40.0
    t = np.arange(0, duration, 1 / rate)
    phase = np.mod(t, 60.0 / 72.0)
    signal = np.where(phase < 0.3, 0.5 - 0.5 * np.cos(2 * np.pi * phase / 0.3), 0.0)
    return Recording(signal, rate, "synthetic pulses, 72 bpm")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process; gives status, stdout, stderr."""
    from analogsnn import cli

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["analogsnn", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert isinstance(caught.value.code, int)
        return caught.value.code, said.out, said.err

    return call


@pytest.fixture
def browser_dom(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """A page as headless Chromium understands it; `make test` installs Chromium, so its absence is a failure."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is missing; run `make system` or install it with the system's package manager"
    profile = tmp_path_factory.mktemp("profile")
    flags = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync "
        "--disable-component-update"
    )

    def dom(path: Path) -> str:
        done = subprocess.run(
            [chromium, *flags.split(), f"--user-data-dir={profile}", "--dump-dom", path.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return done.stdout

    return dom
