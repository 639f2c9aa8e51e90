"""What a neuron and step of the network simulation costs, beside DynapSim and Brian2.

    python benchmarks/network.py [--rockpool PYTHON] [--brian2 PYTHON] [--repeats 5] [--quick] [--json FILE] [--readme]

N neurons with 64 inputs each, 16 of every synapse type from random neurons, adaptation and NMDA gates on, driven by a
constant current to some 8 Hz, 0.1 ms a step, one chip of 20 % mismatch. CPU seconds of this process while `simulate`
runs on one thread, after a first run has compiled it; the smallest and the median of the repeats. Small networks run
longer, so that every simulator steps as many neurons and what a run costs besides its steps does not count.

The gradient is that of all spikes of a run by all weights, event by event (`sparse`, `stepped`), forward runs
and gradients in turns; its memory is that of the compiled program.

The peers run in environments of their own, whose interpreters are given; without one, nothing is compared. DynapSim
(Rockpool) steps its own neuron at 1 ms, its default, and at 0.1 ms, with a dense matrix of the same connections;
its recurrent weights are of one synapse type. Brian2 compiles our statement of the same equations to C++, with the
linear jump of a DPI in place of the exact one, which costs it less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from analogsnn.network import (
    SYNAPSE_TYPES,
    Adaptation,
    Events,
    Network,
    Neuron,
    Population,
    chips,
    connect,
    lanes,
    mismatched,
    simulate,
    sparse,
    stepped,
)
from analogsnn.report import BLUE, GREY, ORANGE, drawing, new_figure

FOLDER = Path(__file__).resolve().parents[1]
README = FOLDER / "README.md"
FIGURE = FOLDER / "docs" / "figures" / "network.png"
BEGIN, END = "<!-- network: begin -->\n", "<!-- network: end -->\n"
SIZES = (64, 256, 1024)
TURNS = 2
GROWTH = (64, 256, 1024, 4096, 8192)
DT, EACH, WEIGHT = 1e-4, 16, 5e-9
# Constant inputs (A) and the rates (Hz) that they give; measured rates are reported.
DRIVES = {1: 16e-12, 8: 36e-12, 50: 0.8e-9, 200: 15e-9}
TARGET, STRETCH = 16.0, 10.0  # ns
NOTHING = Events(np.empty(0), np.empty(0, int))


def sources(n: int) -> np.ndarray:
    """Random sources of every neuron, type by type: int array [type, target, each]."""
    rng = np.random.default_rng(0)
    return rng.integers(0, n, (len(SYNAPSE_TYPES), n, EACH))


def network(n: int, drive: float) -> Network:
    """The network of all tables."""
    target = np.repeat(np.arange(n), EACH)
    connections = tuple(
        connect("p", "p", kind, np.stack([own.ravel(), target], axis=1), WEIGHT)
        for kind, own in zip(SYNAPSE_TYPES, sources(n), strict=True)
    )
    neuron = Neuron(dc=drive, nmda_gate=1e-9, adaptation=Adaptation())
    return Network(populations=(Population(name="p", size=n, neuron=neuron),), connections=connections)


def ours(n: int, count: int, drive: float, seconds: float, repeats: int) -> dict[str, Any]:
    """CPU ns a neuron and step of `count` chips on one thread, and the rate."""
    devices = lanes(network(n, drive), chips(count, 0.2, 0))
    started = time.process_time()
    simulate(devices, NOTHING, seconds, dt=DT, chunk=seconds, workers=1)
    first = time.process_time() - started
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        spikes = simulate(devices, NOTHING, seconds, dt=DT, chunk=seconds, workers=1)
        taken.append(time.process_time() - started)
    unit = n * count * seconds / DT * 1e-9
    return {
        "neurons": n, "chips": count, "rate": len(spikes.time) / n / count / seconds, "ns": min(taken) / unit,
        "ns_median": statistics.median(taken) / unit, "compile_s": first - min(taken),
    }  # fmt: skip


def length(n: int, seconds: float) -> float:
    """Seconds that make a network of n neurons as much work as one of 1024."""
    return seconds * max(1.0, 1024 / n)


def throughput(repeats: int) -> dict[str, Any]:
    """Wall clock: one chip of 1024 neurons, and 16 of them on all cores; chip-seconds a second, the best of turns."""
    seconds, taken = 1.0, {1: [], 16: []}
    devices = {count: lanes(network(1024, DRIVES[8]), chips(count, 0.2, 0)) for count in taken}
    for turn in range(repeats + 1):
        for count, d in devices.items():
            started = time.perf_counter()
            simulate(d, NOTHING, seconds, dt=DT, chunk=seconds)
            if turn:
                taken[count].append((time.perf_counter() - started) / (seconds * count))
    one, many = (1 / min(taken[k]) for k in (1, 16))
    with ThreadPoolExecutor(2) as pool:  # two processes' worth: what two cores give two single chips at once
        started = time.perf_counter()
        list(pool.map(lambda _: simulate(devices[1], NOTHING, seconds, dt=DT, chunk=seconds), range(2)))
        two = 2 * seconds / (time.perf_counter() - started)
    return {"single": one, "batch": many, "ratio": many / one, "two_singles": two}


def gradient(n: int, repeats: int, steps: int = 2000) -> dict[str, Any]:
    """CPU ns a neuron and step of training's run in steps, and of its gradient by all weights, one sample on one chip.

    `memory`: bytes that the gradient needs beside its result; `memory_quarter`: for a quarter of the steps.
    """
    steps = round(length(n, steps))
    devices = mismatched(sparse(network(n, DRIVES[8])), 0.2, jax.random.key(0))
    inputs = jnp.zeros((steps, 0), jnp.float32)

    def loss(w: jax.Array, length: int) -> jax.Array:
        return jnp.sum(stepped(replace(devices, weight=w), inputs[:length], DT).counts)

    def compiled(f: Any) -> Any:
        return jax.jit(f).lower(devices.weight).compile()

    programs = {
        "forward": compiled(lambda w: loss(w, steps)),
        "gradient": compiled(jax.grad(lambda w: loss(w, steps))),
    }
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(repeats + 1):
        for name, program in programs.items():
            started = time.process_time()
            jax.block_until_ready(program(devices.weight))
            if turn:
                taken[name].append((time.process_time() - started) / (n * steps) * 1e9)
    row: dict[str, Any] = {"neurons": n} | {name: min(values) for name, values in taken.items()}
    row["memory"] = programs["gradient"].memory_analysis().temp_size_in_bytes
    row["memory_quarter"] = compiled(jax.grad(lambda w: loss(w, steps // 4))).memory_analysis().temp_size_in_bytes
    return row


def cold() -> float:
    """CPU seconds of the first run of a new process without a compilation cache, less that of the second."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import network as b\n"
        "print(b.ours(1024, 1, b.DRIVES[8], 0.1, 2)['compile_s'])"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPATH": str(FOLDER), "JAX_COMPILATION_CACHE_DIR": cache}
        done = subprocess.run(
            [sys.executable, "-c", code, str(FOLDER / "benchmarks")],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
    return float(done.stdout.split()[-1])


def peer(script: str, python: str | None, sizes: tuple[int, ...], repeats: int) -> list[dict[str, Any]]:
    """Rows of a peer that runs in its own environment; none where it is not given."""
    if python is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        wiring = Path(folder) / "wiring.npz"
        np.savez(wiring, **{str(n): sources(n) for n in sizes})
        command = [python, str(FOLDER / "benchmarks" / script), str(wiring), str(repeats)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{script} failed: {done.stderr[-1500:]}")
        return json.loads(done.stdout.splitlines()[-1])


def draw(growth: list[dict[str, Any]], rates: list[dict[str, Any]], peers: list[dict[str, Any]], path: Path) -> None:
    """Cost against size and against rate."""
    with drawing():
        figure = new_figure(3.4)
        left, right = figure.subplots(1, 2)
        left.loglog([r["neurons"] for r in growth], [r["ns"] for r in growth], "o-", color=BLUE, label="ours")
        for name, mark in zip(dict.fromkeys(r["name"] for r in peers), "s^v", strict=False):
            rows = [r for r in peers if r["name"] == name]
            left.loglog([r["neurons"] for r in rows], [r["ns"] for r in rows], f"{mark}-", color=ORANGE, label=name)
        left.set_xlabel("neurons")
        right.loglog([r["rate"] for r in rates], [r["ns"] for r in rates], "o-", color=BLUE)
        right.set_xlabel("rate (Hz), 1024 neurons")
        for axes in (left, right):
            axes.set_ylabel("CPU ns per neuron and step")
            axes.grid(color=GREY, alpha=0.2, linewidth=0.6)
        left.legend()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None})


def markdown(result: dict[str, Any]) -> str:
    """The result as it stands in the README."""
    where = result["machine"]
    names = sorted({r["name"] for r in result["peers"]})
    lines = [
        f"`python benchmarks/network.py`: {where['cpu']}, {where['cores']} cores, load {where['load']:.1f}; 64 inputs "
        "a neuron, all four synapse types, gates and adaptation, 0.1 ms; CPU ns a neuron and step on one thread, the "
        f"least of {TURNS} turns of {result['repeats']} runs.",
        "",
        "| neurons | rate, Hz | ours | " + "".join(f"{n} | " for n in names),
        "|---|---|---|" + "---|" * len(names),
    ]
    for row in result["sizes"]:
        cells = []
        for name in names:
            found = [r["ns"] for r in result["peers"] if r["name"] == name and r["neurons"] == row["neurons"]]
            cells.append(f"{found[0]:.0f} ({found[0] / row['ns']:.1f}×)" if found else "")
        lines.append(f"| {row['neurons']} | {row['rate']:.1f} | {row['ns']:.1f} | " + "".join(f"{c} | " for c in cells))
    if not names:
        lines += ["", "No peer was given (`--rockpool`, `--brian2`), so nothing is compared."]
    lines += [
        "",
        "| neurons | training's run, ns | its gradient by all weights | ratio | memory, MB | at 4 × the steps |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["gradients"]:
        grown = row["memory"] / row["memory_quarter"]
        lines.append(
            f"| {row['neurons']} | {row['forward']:.0f} | {row['gradient']:.0f} | "
            f"{row['gradient'] / row['forward']:.1f} | {row['memory'] / 1e6:.1f} | {grown:.1f}× |"
        )
    t = result["throughput"]
    lines += [
        "",
        f"A chip of 1024 neurons runs {t['single']:.1f} times faster than real time on one thread; 16 chips on all "
        f"cores give {t['ratio']:.2f} times the chip-seconds a second of one. First run of a process, without cache: "
        f"{result['compile_s']:.1f} CPU s more.",
        "",
        "![Cost against size and rate](docs/figures/network.png)",
    ]
    return "\n".join(lines) + "\n"


def machine() -> dict[str, Any]:
    """Where the numbers were measured."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    models = [line.partition(": ")[2] for line in text.splitlines() if "model name" in line]
    return {
        "cpu": models[0] if models else platform.processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0],
        "python": platform.python_version(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of the network simulation, beside its peers.")
    parser.add_argument(
        "--rockpool", metavar="PYTHON", help="an interpreter that has rockpool[dynapse] 3.1.0, no samna"
    )
    parser.add_argument("--brian2", metavar="PYTHON", help="an interpreter that has brian2 2.9.0, and a C++ compiler")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each (default 5)")
    parser.add_argument("--quick", action="store_true", help="short runs, no growth")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--readme", action="store_true", help="put the tables into README.md")
    chosen = parser.parse_args()
    seconds = 0.1 if chosen.quick else 0.5
    further = 0 if chosen.quick else len(GROWTH) + len(DRIVES)
    bar = tqdm(total=TURNS * (len(SIZES) + 2) + len(SIZES) + 2 + further, disable=None)

    def done(value: Any) -> Any:
        bar.update()
        tqdm.write(json.dumps(value), file=sys.stderr)  # a long run that is broken off has said what it measured
        return value

    result: dict[str, Any] = {"machine": machine(), "repeats": chosen.repeats, "peers": [], "growth": [], "rates": []}
    # A machine has slow minutes: everybody has a turn before anybody has a second one.
    turns: list[list[dict[str, Any]]] = []
    for _ in range(TURNS):
        rows = [done(ours(n, 1, DRIVES[8], length(n, seconds), chosen.repeats)) for n in SIZES]
        rows += done(peer("peer_dynapsim.py", chosen.rockpool, SIZES, chosen.repeats))
        turns.append(rows + done(peer("peer_brian2.py", chosen.brian2, SIZES, chosen.repeats)))
    least = [min(rows, key=lambda row: row["ns"]) for rows in zip(*turns, strict=True)]
    result["sizes"], result["peers"] = least[: len(SIZES)], least[len(SIZES) :]
    result["gradients"] = [done(gradient(n, chosen.repeats)) for n in SIZES]
    result["throughput"] = done(throughput(2 if chosen.quick else chosen.repeats))
    result["compile_s"] = done(cold())
    if not chosen.quick:
        few = max(1, chosen.repeats // 2)
        result["growth"] = [done(ours(n, 1, DRIVES[8], length(n, 0.3), few)) for n in GROWTH]
        result["rates"] = [done(ours(1024, 1, drive, 1.0 if rate == 1 else 0.3, few)) for rate, drive in DRIVES.items()]
        draw(result["growth"], result["rates"], result["peers"], FIGURE)
    bar.close()
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")
    text = markdown(result)
    print(text)
    for row in result["growth"]:
        print(f"{row['neurons']} neurons, {row['rate']:.1f} Hz: {row['ns']:.1f} ns")
    for row in result["rates"]:
        print(f"1024 neurons, {row['rate']:.1f} Hz: {row['ns']:.1f} ns")
    if chosen.readme:
        page = README.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        _, found, tail = rest.partition(END)
        if not found:
            sys.exit("README.md has no place for the tables")
        README.write_text(head + BEGIN + text + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
