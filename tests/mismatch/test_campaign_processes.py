"""Campaigns as processes: killed, two at once, spread over `jax.distributed` and over Dask."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogsnn import library
from analogsnn.errors import InputError
from analogsnn.mismatch import monte_carlo
from analogsnn.mismatch._store import Store

from .decks import mirror, mirror_path

SAMPLES, WIDTH = 240, 8


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A cache of compiled programs that the processes of this file share."""
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")), "JAX_PLATFORMS": "cpu"}


def start(deck: Path, folder: Path, environment: dict[str, str], *options: str) -> subprocess.Popen:
    """A campaign as a process."""
    command = [sys.executable, "-m", "analogsnn.cli", "monte-carlo", str(deck), "--dir", str(folder), *options]
    command += ["--samples", str(SAMPLES), "--chunk", str(WIDTH)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def content(folder: Path) -> tuple[bytes, bytes, list[str]]:
    """What a store says of its samples: the bytes of both arrays, and the marks."""
    arrays = Store(folder, (), WIDTH)._arrays()
    marks = [path.read_text() for path in sorted((folder / "marks").iterdir())]
    return np.asarray(arrays["values"]).tobytes(), np.asarray(arrays["status"]).tobytes(), marks


def wait_for(count: int, folder: Path, process: subprocess.Popen) -> None:
    """Until a campaign has finished so many chunks, or has ended."""
    while process.poll() is None and len(list(folder.glob("marks/*.json"))) < count:
        time.sleep(0.002)


def kill(process: subprocess.Popen) -> bool:
    """SIGKILL; whether that is what ended it."""
    process.send_signal(signal.SIGKILL)
    assert process.stderr is not None
    process.stderr.close()
    return process.wait() == -signal.SIGKILL


def kill_and_finish(deck: Path, folder: Path, environment: dict[str, str], kills: int, *options: str) -> int:
    """Kill a campaign `kills` times, at random moments of it, and let it end; gives the seed of the moments."""
    seed = int.from_bytes(os.urandom(4), "little")
    chance = random.Random(seed)
    chunks, died = SAMPLES // WIDTH, 0
    for k in range(kills):
        running = start(deck, folder, environment, *options)
        wait_for(chance.randrange(chunks * k // kills, chunks * (k + 1) // kills), folder, running)
        time.sleep(chance.random() * 0.02)
        died += kill(running)
    assert died >= kills - 1, f"seed {seed}: only {died} of {kills} were killed at work"
    last = start(deck, folder, environment, *options)
    _, said = last.communicate()
    assert last.returncode == 0, (seed, said)
    return seed


def test_killed_twice_it_ends_as_if_unbroken(tmp_path: Path, environment: dict[str, str]):
    deck, folder = mirror_path(tmp_path), tmp_path / "broken"
    first = start(deck, folder, environment)
    wait_for(2, folder, first)
    first.send_signal(signal.SIGSTOP)  # at work for as long as it takes to try
    whole: dict[str, Any] = {"samples": SAMPLES, "key": 1, "width": WIDTH}
    who = f"process {first.pid} on {socket.gethostname()} is at work on the store"
    with pytest.raises(InputError, match=who):
        monte_carlo(mirror(tmp_path), **whole, folder=folder)
    kill(first)
    seed = kill_and_finish(deck, folder, environment, 1)
    monte_carlo(mirror(tmp_path), **whole, folder=tmp_path / "whole")
    assert content(folder) == content(tmp_path / "whole"), f"seed {seed}"


@pytest.mark.validate_long
def test_killed_ten_times_it_ends_as_if_unbroken(tmp_path: Path, environment: dict[str, str]):
    """The DPI synapse over time, its lanes side by side."""
    deck, options = library.bench_path("dpi_synapse"), ("--accuracy", "fast", "--ideal", "xb*")
    unbroken = start(deck, tmp_path / "whole", environment, *options)
    unbroken.communicate()
    assert unbroken.returncode == 0
    seed = kill_and_finish(deck, tmp_path / "broken", environment, 10, *options)
    assert content(tmp_path / "broken") == content(tmp_path / "whole"), f"seed {seed}"


@pytest.mark.long
def test_two_processes_of_jax_distributed_are_one(tmp_path: Path, environment: dict[str, str]):
    deck, folder = mirror_path(tmp_path), tmp_path / "store"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = textwrap.dedent(f"""
        import sys, jax, json
        jax.distributed.initialize("127.0.0.1:{port}", 2, int(sys.argv[1]))
        from analogsnn import simulation
        from analogsnn.mismatch import monte_carlo
        seen = []
        deck = simulation.read_deck({str(deck)!r})
        chips = monte_carlo(deck, samples=20, key=1, width=4, folder={str(folder)!r}, progress=seen.append)
        print(json.dumps([chips.values.tolist(), seen[-1]]))
    """)
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(k)], env=environment, stdout=subprocess.PIPE) for k in (0, 1)
    ]
    results = [json.loads(process.communicate(timeout=300)[0].decode().splitlines()[-1]) for process in both]
    one = monte_carlo(mirror(tmp_path), samples=20, key=1, width=4)
    for values, _ in results:
        assert np.array_equal(values, one.values)
    assert [done for _, done in results] == [12, 8]  # five chunks of four: three and two


@pytest.fixture
def cluster() -> Iterator[str]:
    from distributed import LocalCluster

    settings: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    running: Any = LocalCluster(**settings)
    with running:
        yield running.scheduler_address.replace("tcp://", "dask://")


@pytest.mark.long
def test_two_workers_of_dask_are_one(tmp_path: Path, cluster: str):
    deck = mirror(tmp_path)
    one = monte_carlo(deck, samples=4, key=1, width=1, engine="ngspice")
    two = monte_carlo(deck, samples=4, key=1, width=1, engine="ngspice", workers=cluster, folder=tmp_path / "store")
    assert np.array_equal(one.values, two.values)
