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

import numpy as np
import pytest

from analogsnn import library
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
    options_ = ["--samples", str(SAMPLES), "--chunk", str(WIDTH)]
    return subprocess.Popen(command + options_, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def content(folder: Path) -> tuple[bytes, bytes, list[str]]:
    """What a store says of its samples: the bytes of both arrays, and the marks."""
    arrays = Store(folder, (), WIDTH)._arrays()
    marks = [path.read_text() for path in sorted((folder / "marks").iterdir())]
    return np.asarray(arrays["values"]).tobytes(), np.asarray(arrays["status"]).tobytes(), marks


def kill_and_compare(deck: Path, tmp_path: Path, environment: dict[str, str], kills: int, *options: str) -> None:
    """Kill a campaign `kills` times, at random moments of it, and compare its store with that of an unbroken one."""
    folder, whole = tmp_path / "broken", tmp_path / "whole"
    unbroken = start(deck, whole, environment, *options)
    assert unbroken.communicate()[1] is not None
    assert unbroken.returncode == 0
    seed = int.from_bytes(os.urandom(4), "little")
    chance = random.Random(seed)
    chunks, died = SAMPLES // WIDTH, 0
    for k in range(kills):
        running = start(deck, folder, environment, *options)
        goal = chance.randrange(max(1, chunks * k // kills), max(2, chunks * (k + 1) // kills))
        while running.poll() is None and len(list(folder.glob("marks/*.json"))) < goal:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.02)
        running.send_signal(signal.SIGKILL)
        died += running.wait() == -signal.SIGKILL
        assert running.stderr is not None
        running.stderr.close()
    assert died >= kills - 1, f"seed {seed}: only {died} of {kills} were killed at work"
    last = start(deck, folder, environment, *options)
    _, said = last.communicate()
    assert last.returncode == 0, (seed, said)
    assert content(folder) == content(whole), f"seed {seed}"


def test_killed_twice_it_ends_as_if_unbroken(tmp_path: Path, environment: dict[str, str]):
    kill_and_compare(mirror_path(tmp_path), tmp_path, environment, 2)


@pytest.mark.validate_long
def test_killed_ten_times_it_ends_as_if_unbroken(tmp_path: Path, environment: dict[str, str]):
    """The DPI synapse over time, its lanes side by side."""
    deck = library.bench_path("dpi_synapse")
    kill_and_compare(deck, tmp_path, environment, 10, "--accuracy", "fast", "--ideal", "xb*")


def test_a_second_process_is_refused(tmp_path: Path, environment: dict[str, str]):
    deck, folder = mirror_path(tmp_path), tmp_path / "store"
    first = start(deck, folder, environment)
    while not (folder / "campaign.json").exists():
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # at work for as long as it takes
    second = start(deck, folder, environment)
    _, said = second.communicate()
    assert second.returncode == 2
    assert f"process {first.pid} on {socket.gethostname()} is at work on the store" in said.decode()
    first.send_signal(signal.SIGCONT)
    assert first.communicate()[1] is not None
    assert first.returncode == 0


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

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as running:
        yield running.scheduler_address.replace("tcp://", "dask://")


@pytest.mark.long
def test_two_workers_of_dask_are_one(tmp_path: Path, cluster: str):
    deck = mirror(tmp_path)
    one = monte_carlo(deck, samples=4, key=1, width=1, engine="ngspice")
    two = monte_carlo(deck, samples=4, key=1, width=1, engine="ngspice", workers=cluster, folder=tmp_path / "store")
    assert np.array_equal(one.values, two.values)
