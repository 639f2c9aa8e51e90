"""Our engine and ngspice, side by side: CPU time, spike-time error, growth with the circuit, compilation.

    python benchmarks/transient.py [--stop 0.1] [--repeats 5] [--readme] [--json FILE]

Both solve `spice/adexp_neuron.cir` (25 transistors and seven of bias). ngspice runs as `ngspice -b` on one thread
(`set num_threads=1`) and keeps one node; its CPU seconds are those of the child process. Ours are those of this
process while `transient` runs, all threads together, after a first run has compiled it; it keeps that one node too, and
in the rows that say so every node and the currents of all sources. Settings take turns, so that a busy minute falls on
all of them. The oracle of spike times is our Rodas5P at 1e-9, and has to agree with ngspice at 1e-7; for the native
BSIM3 card, whose spikes are others, it is ngspice at 1e-7.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.compilation_cache import use_compilation_cache
from analogsnn.measure import crossings, spike_times
from analogsnn.netlist import Netlist, Tran, read_netlist_text, write_netlist
from analogsnn.ngspice import ACCURACY, DEFAULT_OPTIONS
from analogsnn.report import BLUE, GREY, ORANGE, drawing, new_figure
from analogsnn.transient import transient

BENCH = "adexp_neuron"
FOLDER = Path(__file__).resolve().parents[1]
FIGURE = FOLDER / "docs" / "figures" / "growth.png"
README = FOLDER / "README.md"
BEGIN, END = "<!-- transient: begin -->\n", "<!-- transient: end -->\n"
AGREEMENT = 10e-6  # s: between the oracle and ngspice at 1e-7
LIMIT = 3600.0  # s, of one ngspice run

# Settings by the name in the table. trtol 7 and Gear are those of the bench.
OURS = {
    "fast, 1e-3": {"accuracy": "fast", "rtol": 1e-3},
    "fast (1e-4)": {"accuracy": "fast"},
    "fast, 1e-5": {"accuracy": "fast", "rtol": 1e-5},
    "reference, 1e-5": {"accuracy": "reference", "rtol": 1e-5},
    "reference (1e-6)": {"accuracy": "reference"},
    "fast (1e-4), all kept": {"accuracy": "fast", "save": None},
    "reference (1e-6), all kept": {"accuracy": "reference", "save": None},
}
TRAP = {"method": "trap", "trtol": 1.0}
NGSPICE = {
    "reltol 1e-3": {"reltol": 1e-3},
    "reltol 1e-4": {},
    "reltol 1e-5": {"reltol": 1e-5},
    "trap, trtol 1, 1e-5": {**TRAP, "reltol": 1e-5},
    "trap, trtol 1, 1e-6": {**TRAP, "reltol": 1e-6},
}
ORACLE = ACCURACY["reference"]  # trapezoidal, trtol 1, 1e-7
# Circuits of growing size: the synapse alone, then neurons side by side on shared biases, at inputs 5 % apart.
NEURONS = (1, 2, 4, 8)
GROWTH_STOP = 10e-3  # s; two spikes a neuron


@dataclasses.dataclass
class Timing:
    """CPU seconds of the repeats, and the spikes found."""

    seconds: list[float]
    spikes: np.ndarray
    steps: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def run_ngspice(netlist: Netlist, stop: float, options: Mapping[str, Any], node: str) -> tuple[float, np.ndarray, int]:
    """CPU seconds of a child process, the spikes of `node`, and the number of time points."""
    tran = next(a for a in netlist.analyses if isinstance(a, Tran))
    netlist = dataclasses.replace(netlist, options={**DEFAULT_OPTIONS, **netlist.options, **options})
    lines = write_netlist(netlist, analyses=False).splitlines()[:-1]
    with tempfile.TemporaryDirectory() as name:
        deck, raw = Path(name) / "deck.cir", Path(name) / "out.raw"
        control = [".control", "set num_threads=1", "run", f"write {raw}", "quit", ".endc"]
        lines += [f".save v({node})", f".tran {tran.step!r} {stop!r}", *control, ".end"]
        deck.write_text("\n".join(lines) + "\n")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HOME": name}
        done = subprocess.run(
            ["ngspice", "-b", str(deck)], capture_output=True, env=environment, timeout=LIMIT, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if not raw.is_file():
            sys.exit(f"ngspice gave nothing: {done.stdout.decode()[-500:]} {done.stderr.decode()[-500:]}")
        head, _, data = raw.read_bytes().partition(b"Binary:\n")
        axis, values = np.frombuffer(data).reshape(-1, head.count(b"\tvoltage") + 1).T[:2]
    if axis[-1] < stop * (1 - 1e-9):
        sys.exit(f"ngspice stopped at {axis[-1]:g} s of {stop:g} s with {options}")
    assert netlist.supply is not None
    return seconds, crossings(axis, values, 0.5 * netlist.supply), len(axis) - 1


def run_ours(circuit: Circuit, stop: float, settings: Mapping[str, Any], node: str) -> tuple[float, np.ndarray, int]:
    """CPU seconds of this process, the spikes of `node`, and the number of steps."""
    started = time.process_time()
    waves = transient(circuit, stop, **{"save": [node], **settings})
    seconds = time.process_time() - started
    return seconds, spike_times(waves, node), int(waves.steps)


def error(spikes: np.ndarray, oracle: np.ndarray) -> float | None:
    """The largest error of a spike time, or None where spikes are missing or too many."""
    return float(np.abs(spikes - oracle).max()) if len(spikes) == len(oracle) and len(oracle) else None


def side_by_side(stop: float, repeats: int) -> dict[str, Any]:
    """Every setting of either engine, in turns."""
    decks = {card: library.read_bench(BENCH, card=card) for card in ("ekv", "bsim3")}
    circuit = Circuit.from_netlist(decks["ekv"])
    jobs: dict[tuple[str, str], Any] = {}
    for name, settings in OURS.items():
        jobs["ours", name] = lambda settings=settings: run_ours(circuit, stop, settings, "spk")
    for card, netlist in decks.items():
        for name, options in NGSPICE.items():
            jobs[f"ngspice {card}", name] = lambda n=netlist, o=options: run_ngspice(n, stop, o, "spk")
    bar = tqdm(total=len(jobs) * repeats + len(OURS) + 3, unit=" runs", disable=None)
    for settings in OURS.values():  # compile: the shapes of the output depend on the run, hence a whole one
        run_ours(circuit, stop, settings, "spk")
        bar.update()
    oracle = {"ours": run_ours(circuit, stop, {"rtol": 1e-9}, "spk")[1]}
    bar.update()
    oracle["ngspice ekv"] = oracle["ours"]
    oracle["ngspice bsim3"] = run_ngspice(decks["bsim3"], stop, ORACLE, "spk")[1]
    bar.update()
    confirmed = error(run_ngspice(decks["ekv"], stop, ORACLE, "spk")[1], oracle["ours"])
    bar.update()
    if confirmed is None or confirmed > AGREEMENT:
        print(f"warning: ngspice at 1e-7 and the oracle differ by {confirmed} s", file=sys.stderr)
    timings: dict[tuple[str, str], Timing] = {}
    for _ in range(repeats):
        for key, job in jobs.items():
            seconds, spikes, steps = job()
            timings.setdefault(key, Timing([], spikes, steps)).seconds.append(seconds)
            bar.update()
    bar.close()
    rows = []
    for (engine, name), timing in timings.items():
        rows.append(
            {
                "engine": engine, "settings": name, "cpu_median": timing.median, "cpu_min": min(timing.seconds),
                "spikes": len(timing.spikes), "steps": timing.steps,
                "spike_time_error": error(timing.spikes, oracle[engine]),
            }
        )  # fmt: skip
    for row in rows:
        row.update(_opponent(row, rows) if row["engine"] != "ours" else {"against": None, "ratio": None})
    return {"stop": stop, "repeats": repeats, "oracle_and_ngspice": confirmed, "rows": rows}


def _opponent(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Our cheapest setting whose spikes are at least as exact as those of `row`."""
    limit = float("inf") if row["spike_time_error"] is None else row["spike_time_error"]
    ours = [
        r for r in rows
        if r["engine"] == "ours" and r["spike_time_error"] is not None and r["spike_time_error"] <= limit
    ]  # fmt: skip
    if not ours:
        return {"against": None, "ratio": None}
    best = min(ours, key=lambda r: r["cpu_median"])
    return {"against": best["settings"], "ratio": row["cpu_median"] / best["cpu_median"]}


def array_text(neurons: int) -> str:
    """The bench with `neurons` neurons instead of one; all share the biases, each has its own input."""
    text = library.bench_text(BENCH)
    source = next(line for line in text.splitlines() if line.startswith("Iin "))
    neuron = next(line for line in text.splitlines() if line.startswith("X1 "))
    start = next(line for line in text.splitlines() if line.startswith(".ic "))
    lines = [line for line in text.splitlines() if not line.startswith((".meas", "Iin ", "X1 ", ".ic "))]
    end = lines.index(".end")
    added = []
    for k in range(1, neurons + 1):
        added.append(
            source.replace("Iin vb iin", f"Iin{k} vb iin{k}").replace("{iin}", f"{{iin*{1 + 0.05 * (k - 1):g}}}")
        )
        added.append(neuron.replace("X1 iin", f"X{k} iin{k}").replace(" vmem spk ", f" vmem{k} spk{k} "))
        added.append(start.replace("v(vmem)", f"v(vmem{k})").replace("x1.", f"x{k}."))
    return "\n".join([*lines[:end], *added, ".end"]) + "\n"


def growth(repeats: int) -> list[dict[str, Any]]:
    """Cost of a simulated second against the number of transistors, both engines at 1e-4."""
    decks = {"dpi_synapse": (library.read_bench("dpi_synapse"), 80e-3, "pre")}
    for n in NEURONS:
        text = array_text(n)
        decks[f"{n} neuron{'s' if n > 1 else ''}"] = (
            read_netlist_text(text, str(library.bench_path(BENCH)), [library.root()]),
            GROWTH_STOP,
            "spk1",
        )
    rows = []
    for name, (netlist, stop, node) in tqdm(decks.items(), unit=" circuits", disable=None):
        circuit = Circuit.from_netlist(netlist)
        started = time.process_time()
        run_ours(circuit, stop, {"accuracy": "fast"}, node)
        first = time.process_time() - started
        ours, theirs = [], []
        for _ in range(repeats):
            ours.append(run_ours(circuit, stop, {"accuracy": "fast"}, node))
            theirs.append(run_ngspice(netlist, stop, {}, node))
        rows.append(
            {
                "circuit": name, "transistors": len(circuit.topology.fets), "states": len(circuit.topology.states),
                "stop": stop, "ours": statistics.median(r[0] for r in ours), "steps": ours[0][2],
                "ngspice": statistics.median(r[0] for r in theirs), "points": theirs[0][2],
                "compilation": first - statistics.median(r[0] for r in ours),
            }
        )  # fmt: skip
    return rows


def draw_growth(rows: list[dict[str, Any]], path: Path) -> None:
    with drawing():
        figure = new_figure(3.6, 7.5)
        ax = figure.subplots()
        fets = [row["transistors"] for row in rows]
        for key, colour, label in (("ngspice", ORANGE, "ngspice, same equations"), ("ours", BLUE, "ours")):
            ax.loglog(fets, [row[key] / row["stop"] for row in rows], "o-", color=colour, label=label)
        for row in rows:
            middle = (row["ours"] * row["ngspice"]) ** 0.5 / row["stop"]
            ax.annotate(f"{row['ngspice'] / row['ours']:.0f}×", (row["transistors"], middle), ha="center", color=GREY)
        ax.set_xlabel("transistors")
        ax.set_ylabel("CPU s per simulated s")
        ax.set_title("Cost against size, both at 1e-4")
        ax.set_xticks(fets, [str(n) for n in fets])
        ax.minorticks_off()
        ax.grid(color=GREY, alpha=0.2, linewidth=0.6)
        ax.legend()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None})


CHILD = """
import json, time
wall, cpu = time.perf_counter(), time.process_time()
def lap(name):
    global wall, cpu
    done[name] = [time.perf_counter() - wall, time.process_time() - cpu]
    wall, cpu = time.perf_counter(), time.process_time()
done = {}
import analogsnn; lap("import analogsnn")
from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.compilation_cache import use_compilation_cache
from analogsnn.transient import transient
use_compilation_cache(); lap("import the engine")
circuit = Circuit.from_netlist(library.read_bench("%s")); lap("read the deck")
transient(circuit, 1e-2, accuracy="fast"); lap("compile, and run 10 ms")
print(json.dumps(done))
"""


def compilation() -> dict[str, dict[str, list[float]]]:
    """Wall and CPU seconds of the first steps of a process: without a compilation cache, and with it filled."""
    with tempfile.TemporaryDirectory() as name:
        environment = {**os.environ, "XDG_CACHE_HOME": name, "PYTHONPATH": str(FOLDER)}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)

        def child() -> dict[str, list[float]]:
            done = subprocess.run(
                [sys.executable, "-c", CHILD % BENCH], env=environment, capture_output=True, text=True, check=True
            )
            return json.loads(done.stdout.splitlines()[-1])

        return {"cold": child(), "cached": child()}


def markdown(result: dict[str, Any]) -> str:
    """The result as it stands in the README."""
    table, where = result["side_by_side"], result["machine"]
    lines = [
        f"`python benchmarks/transient.py`: `spice/{BENCH}.cir`, {table['stop'] * 1e3:g} ms, {where['cpu']}, "
        f"{where['cores']} cores, load {where['load']:.1f}, ngspice {where['ngspice']} on one thread; CPU seconds, "
        f"median of {table['repeats']} runs in turns, without compilation. Error: the largest of a spike time. "
        "Both keep one node; *all kept*: every node and the currents of all sources.",
        "",
        "| engine | settings | spikes | steps | CPU s | error | our setting at least as exact | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    names = {"ours": "ours, EKV", "ngspice ekv": "ngspice, same equations", "ngspice bsim3": "ngspice, native BSIM3"}
    for row in table["rows"]:
        wrong = "spikes missing" if row["spike_time_error"] is None else f"{row['spike_time_error'] * 1e6:.3g} µs"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.1f}"
        lines.append(
            f"| {names[row['engine']]} | {row['settings']} | {row['spikes']} | {row['steps']} "
            f"| {row['cpu_median']:.3g} | {wrong} | {row['against'] or ''} | {ratio} |"
        )
    confirmed = table["oracle_and_ngspice"]
    lines += ["", "The oracle of spike times, Rodas5P at 1e-9, and ngspice at 1e-7 (trapezoidal, trtol 1) differ by "
              + ("more than a spike." if confirmed is None else f"{confirmed * 1e6:.2g} µs.")]  # fmt: skip
    if result["compilation"] is not None:
        cold, cached = result["compilation"]["cold"], result["compilation"]["cached"]
        lines += ["", "| first use, wall s (CPU s) | empty cache | from the cache |", "|---|---|---|"]
        lines += [
            f"| {k} | {cold[k][0]:.2f} ({cold[k][1]:.2f}) | {cached[k][0]:.2f} ({cached[k][1]:.2f}) |" for k in cold
        ]
    if result["growth"] is not None:
        lines += [
            "",
            "| circuit | transistors | ours, CPU s | ngspice, CPU s | ratio | compilation, CPU s |",
            "|---|---|---|---|---|---|",
        ]
        for row in result["growth"]:
            lines.append(
                f"| {row['circuit']}, {row['stop'] * 1e3:g} ms | {row['transistors']} | {row['ours']:.3g} | "
                f"{row['ngspice']:.3g} | {row['ngspice'] / row['ours']:.1f} | {row['compilation']:.1f} |"
            )
        lines += ["", "![Cost against size](docs/figures/growth.png)"]
    return "\n".join(lines) + "\n"


def machine() -> dict[str, Any]:
    """Where the numbers were measured."""
    said = subprocess.run(["ngspice", "--version"], capture_output=True, text=True, check=False).stdout
    models = [
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "cpu": models[0] if models else platform.processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0],
        "python": platform.python_version(), "ngspice": said.partition("ngspice-")[2].partition(" ")[0],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Our engine and ngspice, side by side.")
    parser.add_argument("--stop", type=float, default=0.1, metavar="S", help="simulated time in s (default 0.1)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each setting (default 5)")
    parser.add_argument("--only", choices=["side", "growth", "compilation"], help="one part only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--readme", action="store_true", help="put the tables into README.md")
    chosen = parser.parse_args()
    if chosen.readme and chosen.only:
        parser.error("--readme needs every part; leave --only out")
    use_compilation_cache()
    where = machine()
    result: dict[str, Any] = {"machine": where, "side_by_side": None, "growth": None, "compilation": None}
    if chosen.only in (None, "compilation"):
        result["compilation"] = compilation()
    if chosen.only in (None, "side"):
        result["side_by_side"] = side_by_side(chosen.stop, chosen.repeats)
    if chosen.only in (None, "growth"):
        result["growth"] = growth(max(1, min(3, chosen.repeats)))
        draw_growth(result["growth"], FIGURE)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")
    if chosen.only in ("growth", "compilation"):
        print(json.dumps(result[chosen.only], indent=1))
        return
    text = markdown(result)
    print(text)
    if chosen.readme:
        page = README.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        _, found, tail = rest.partition(END)
        if not found:
            sys.exit("README.md has no place for the tables")
        README.write_text(head + BEGIN + text + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
