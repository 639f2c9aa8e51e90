"""Times of the chip compiler, and how it does where others lose.

    python -m benchmarks.compile [--rounds 5] [--peer PYTHON]

Prints CPU and wall seconds of compilations (decoder included), of the weight fit, and the error of the bias search,
each beside its target. `--peer` names the Python of an environment of its own in which Rockpool is installed; it runs
`benchmarks/peer_mapper.py` there, on the same connection matrices.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analogsnn import __version__
from analogsnn.chips import choose_weights, compile, load_chip, nearest_code, uniform_rounding
from analogsnn.network import Network, Population, connect

WEIGHTS = (1e-9, 2e-9, 4e-9, 8e-9)


def ring(clusters: int, size: int, fan_in: int, seed: int = 0) -> Network:
    """Clusters that excite themselves and the next one: `fan_in` synapses a neuron."""
    rng = np.random.default_rng(seed)
    populations = [Population(name=f"p{k}", size=size, rate=float(rng.uniform(1, 50))) for k in range(clusters)]
    connections = []
    for k in range(clusters):
        sources = sorted({k, (k + 1) % clusters})
        each = fan_in // len(sources)
        for s in sources:
            pre = np.concatenate([rng.choice(size, each, replace=False) for _ in range(size)])
            pairs = np.stack([pre, np.repeat(np.arange(size), each)], axis=1)
            connections.append(connect(f"p{s}", f"p{k}", "AMPA", pairs, rng.choice(WEIGHTS, len(pairs))))
    return Network(populations=tuple(populations), connections=tuple(connections))


def timed(work: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Least and median wall seconds, and the median CPU seconds, of `rounds` runs after one to warm up."""
    work()
    wall, cpu = [], []
    for _ in range(rounds):
        started, spent = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - spent)
    return min(wall), float(np.median(wall)), float(np.median(cpu))


def compilations(rounds: int) -> None:
    """Compile three sizes, with the solver's search for less traffic and without."""
    print("network                          limit   wall min   median      CPU   target")
    for neurons, clusters, chips, target in ((256, 1, 1, 2.0), (1024, 4, 1, 15.0), (4096, 16, 4, 60.0)):
        network = ring(clusters, neurons // clusters, 64)
        for limit in (0.0, 1.0, 10.0):
            least, median, cpu = timed(lambda n=network, c=chips, t=limit: compile(n, chips=c, time_limit=t), rounds)
            met = "met" if median <= target else "MISSED"
            name = f"{neurons} neurons, 64 inputs, {chips} chip{'s' if chips > 1 else ''}"
            print(f"{name:31} {limit:5.0f} s {least:8.2f} s {median:6.2f} s {cpu:6.2f} s   {target:.0f} s {met}")


def weights(rounds: int) -> None:
    """The public example of 1536 weights on four bits."""
    wanted = np.abs(np.random.default_rng(0).standard_normal(1536)) * 1e-9
    reachable = np.unique(load_chip("dynapse2").sorted_currents["p"][0]) * 0.22
    least, median, cpu = timed(lambda: choose_weights(wanted, reachable), rounds)
    choice, plain = choose_weights(wanted, reachable), uniform_rounding(wanted)
    error = float(np.linalg.norm(plain - wanted) / np.linalg.norm(wanted))
    print(f"1536 weights: {100 * choice.relative_l2:.2f} % relative L2, plain rounding {100 * error:.2f} %; "
          f"{least:.2f} s least, {median:.2f} s median, {cpu:.2f} s CPU, target 2 s; {int(choice.zero.sum())} would "
          f"rather be zero, plain rounding makes {int((plain == 0).sum())} zero")  # fmt: skip


def biases() -> None:
    """Search for 10 000 log-uniform currents in the range of one bias."""
    for name, bias in (("dynapse2", "SOIF_LEAK_N"), ("dynapse1", "IF_TAU1_N")):
        chip = load_chip(name)
        currents = chip.sorted_currents["n"][0] * (chip.bias(bias).scale or 1.0)
        low = float(currents[currents > 0.1e-12][0])
        asked = np.exp(np.random.default_rng(0).uniform(np.log(low), np.log(currents[-1]), 10_000))
        loose = chip.model_copy(update={"limits": chip.limits.model_copy(update={"bias_error_fail": 1.0})})
        error = np.abs([nearest_code(loose, bias, float(i), allow_subfloor=True).relative_error for i in asked])
        print(
            f"{name} {bias}: mean error {100 * error.mean():.2f} %, largest {100 * error.max():.1f} %, target mean 1 %"
        )


def peer(python: str) -> None:
    """The same recurrent matrices through Rockpool's mapper in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        for size in (200, 256):
            rng = np.random.default_rng(size)
            pairs = np.stack([rng.integers(0, size, 3 * size), np.repeat(np.arange(size), 3)], axis=1)
            np.savez(Path(folder) / f"{size}.npz", pairs=pairs, size=size)
            network = Network(
                populations=(Population(name="r", size=size),), connections=(connect("r", "r", "AMPA", pairs, 1e-9),)
            )
            half = size // 2
            mapping = compile(network, pins={"r": [(0, k // half, k % half) for k in range(size)]})
            wanted = len({(s, t // half) for s, t in pairs.tolist()})
            print(f"{size} neurons on two cores: {wanted} routes wanted, ours decode to "
                  f"{mapping.network.synapse_count} of {len(pairs)} synapses")  # fmt: skip
        script = Path(__file__).with_name("peer_mapper.py")
        done = subprocess.run([python, script, folder], capture_output=True, text=True, timeout=1800)
        print(done.stdout.strip() or f"the peer did not run: {done.stderr.strip().splitlines()[-1:]}")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", metavar="PYTHON", help="Python of an environment with Rockpool")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    print(json.dumps({"analogsnn": __version__, "python": sys.version.split()[0], "numpy": np.__version__,
                      "cores": os.cpu_count(), "load": round(load, 2)}))  # fmt: skip
    compilations(arguments.rounds)
    weights(arguments.rounds)
    biases()
    if arguments.peer is not None:
        peer(arguments.peer)


if __name__ == "__main__":
    main()
