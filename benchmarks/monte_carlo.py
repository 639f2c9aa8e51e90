"""Mismatch in lanes and ngspice, side by side: CPU time per sample at equal spike-time error, growth, peak memory.

    python benchmarks/monte_carlo.py [--stop 0.1] [--samples 1000] [--opponents 3] [--readme] [--json FILE]

Samples of `spice/adexp_neuron.cir` with threshold and current factor of every transistor drawn by the area law. Ours
run on all cores and count the CPU seconds of the whole process, what is done before and after the loops included, after
a first run has compiled it. ngspice runs the circuit without mismatch, which costs it the same, on one thread
(`set num_threads=1`) and counts those of the child process: both are per sample, so that all cores on both sides give
the same ratio. Errors are the largest of a spike time: ours over the first samples, against our Rodas5P at 1e-9;
ngspice's over its run, against that of the circuit without mismatch, or ngspice at 1e-7 for the native BSIM3 card. A
row of ngspice is compared with our cheapest setting that is at least as exact.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from transient import FOLDER, ORACLE, README, TRAP, error, machine, run_ngspice, run_ours

from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.compilation_cache import use_compilation_cache
from analogsnn.measure import spike_times
from analogsnn.report import BLUE, GREY, drawing, new_figure
from analogsnn.transient import transient_lanes
from analogsnn.waveforms import Waveforms

BENCH, NODE = "adexp_neuron", "spk"
FIGURE = FOLDER / "docs" / "figures" / "monte_carlo.png"
BEGIN, END = "<!-- monte_carlo: begin -->\n", "<!-- monte_carlo: end -->\n"
A_VT, A_BETA = 3.5e-9, 1e-8  # V m and m: 3.5 mV µm and 1 % µm
OURS = {f"fast, {rtol:g}": {"accuracy": "fast", "rtol": rtol} for rtol in (3e-3, 1e-3, 3e-4, 1e-4)}
NGSPICE = {
    "reltol 1e-4": {}, "trap, trtol 1, 1e-5": {**TRAP, "reltol": 1e-5}, "trap, trtol 1, 1e-6": {**TRAP, "reltol": 1e-6}
}  # fmt: skip
GROWTH = (1, 10, 100, 1000, 10000)


def draws(circuit: Circuit, samples: int) -> dict[str, np.ndarray]:
    """Mismatch of every transistor, `[sample]` by path; the first samples are the same for any number of them."""
    fets = [fet.name for fet in circuit.topology.fets]
    normal = np.stack([np.random.default_rng((1, k)).normal(size=(2, len(fets))) for k in range(samples)], axis=-1)
    found = {}
    for i, name in enumerate(fets):
        side = np.sqrt(float(circuit[f"{name}.w"]) * float(circuit[f"{name}.l"]))
        found[f"{name}.dvt"], found[f"{name}.dbt"] = A_VT / side * normal[0, i], A_BETA / side * normal[1, i]
    return found


def run_lanes(circuit: Circuit, stop: float, samples: int, settings: dict[str, Any]) -> dict[str, Any]:
    """CPU and wall seconds per sample, spikes of each sample, failures."""
    parameters = draws(circuit, samples)
    cpu, wall = time.process_time(), time.perf_counter()
    spikes, steps = {}, 0
    for lane, waves in transient_lanes(circuit, parameters, stop, save=[NODE], **settings):
        if isinstance(waves, Waveforms):
            spikes[lane] = spike_times(waves, NODE)
            steps += int(waves.steps) + int(waves.rejected)
    return {
        "cpu": (time.process_time() - cpu) / samples, "wall": (time.perf_counter() - wall) / samples,
        "spikes": spikes, "failed": samples - len(spikes), "steps": steps / samples,
    }  # fmt: skip


def worst(found: Any, oracle: list[np.ndarray]) -> float | None:
    """The largest error of a spike time over the first samples; None where spikes are missing."""
    errors = [error(found[k], spikes) for k, spikes in enumerate(oracle) if k in found]
    return None if len(errors) < len(oracle) or None in errors else max(e for e in errors if e is not None)


def side_by_side(stop: float, samples: int, opponents: int) -> list[dict[str, Any]]:
    """Every setting of either engine."""
    decks = {card: library.read_bench(BENCH, card=card) for card in ("ekv", "bsim3")}
    circuit = Circuit.from_netlist(decks["ekv"])
    parameters = draws(circuit, samples)
    exact = {"accuracy": "reference", "rtol": 1e-9}
    samples_of = [{p: float(v[k]) for p, v in parameters.items()} for k in range(opponents)]
    members = [circuit.replace(sample) for sample in samples_of]
    oracle = {
        "ekv": [run_ours(circuit, stop, exact, NODE)[1]],
        "bsim3": [run_ngspice(decks["bsim3"], stop, ORACLE, NODE)[1]],
    }
    ours_oracle = [run_ours(member, stop, exact, NODE)[1] for member in members]
    rows: list[dict[str, Any]] = []
    for name, settings in tqdm(OURS.items(), unit=" settings", disable=None):
        run_lanes(circuit, min(stop, 1e-3), 1, settings)  # compiles
        done = run_lanes(circuit, stop, samples, settings)
        wrong = worst(done.pop("spikes"), ours_oracle)
        rows.append({"engine": "ours", "settings": name, **done, "error": wrong})
    for card, spikes in oracle.items():
        for name, options in tqdm(NGSPICE.items(), unit=" settings", disable=None):
            done = [run_ngspice(decks[card], stop, options, NODE) for k in range(opponents)]
            wrong = worst({0: done[0][1]}, spikes)
            cpu = statistics.mean(run[0] for run in done)
            rows.append({"engine": f"ngspice {card}", "settings": name, "cpu": cpu, "error": wrong})
    for row in rows:
        limit = float("inf") if row["error"] is None else row["error"]
        ours = [r for r in rows if r["engine"] == "ours" and r["error"] is not None and r["error"] <= limit]
        best = min(ours, key=lambda r: r["cpu"]) if ours and row["engine"] != "ours" else None
        row["against"] = best and best["settings"]
        row["ratio"] = best and row["cpu"] / best["cpu"]
    return rows


CHILD = """
import json, resource, sys
sys.path.insert(0, {here!r})
import monte_carlo as m
m.use_compilation_cache()
circuit = m.Circuit.from_netlist(m.library.read_bench(m.BENCH))
m.run_lanes(circuit, 1e-3, 1, {settings!r})
done = m.run_lanes(circuit, {stop!r}, {samples!r}, {settings!r})
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
done = {{key: done[key] for key in ("cpu", "wall", "failed")}}
print(json.dumps({{"samples": {samples!r}, "peak": peak, **done}}))
"""


def growth(stop: float, most: int) -> list[dict[str, Any]]:
    """Cost per sample and peak memory of a process of its own, against the number of samples."""
    rows = []
    for samples in tqdm([n for n in GROWTH if n <= most], unit=" sizes", disable=None):
        code = CHILD.format(here=str(Path(__file__).parent), settings=OURS["fast, 0.001"], stop=stop, samples=samples)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(FOLDER)},
        )  # fmt: skip
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Cost per sample against samples."""
    with drawing():
        figure = new_figure(3.4, 7.5)
        ax = figure.subplots()
        ax.loglog([r["samples"] for r in rows], [1e3 * r["cpu"] for r in rows], "o-", color=BLUE, label="CPU time")
        ax.loglog([r["samples"] for r in rows], [1e3 * r["wall"] for r in rows], "s--", color=GREY, label="wall time")
        ax.set_xlabel("samples")
        ax.set_ylabel("ms per sample")
        ax.set_title("Monte Carlo of the neuron: cost per sample")
        ax.grid(color=GREY, alpha=0.2, linewidth=0.6)
        ax.legend()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None})


def markdown(result: dict[str, Any]) -> str:
    """The result as it stands in the README."""
    where = result["machine"]
    lines = [
        f"`python benchmarks/monte_carlo.py`: {result['samples']} mismatch samples of `spice/{BENCH}.cir` over "
        f"{result['stop'] * 1e3:g} ms, {where['cpu']}, {where['cores']} cores, load {where['load']:.1f}; ngspice "
        f"{where['ngspice']}, {result['opponents']} runs. CPU seconds per sample; error: the largest of a "
        "spike time, ours over as many samples.",
        "", "| engine | settings | CPU s per sample | error | our setting at least as exact | ratio |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    names = {"ours": "ours, EKV", "ngspice ekv": "ngspice, same equations", "ngspice bsim3": "ngspice, native BSIM3"}
    for row in result["side_by_side"]:
        wrong = "spikes differ" if row["error"] is None else f"{row['error'] * 1e6:.3g} µs"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.0f}"
        cells = (names[row["engine"]], row["settings"], f"{row['cpu']:.3g}", wrong, row["against"] or "", ratio)
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| samples | CPU ms per sample | wall ms per sample | peak memory, MiB | failed |",
        "|---|---|---|---|---|",
    ]
    for r in result["growth"]:
        cells = (f"{1e3 * r['cpu']:.3g}", f"{1e3 * r['wall']:.3g}", f"{r['peak'] / 2**20:.0f}", str(r["failed"]))
        lines.append(f"| {r['samples']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "![Cost per sample against samples](docs/figures/monte_carlo.png)"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Mismatch in lanes and ngspice, side by side.")
    parser.add_argument("--stop", type=float, default=0.1, metavar="S", help="simulated time in s (default 0.1)")
    parser.add_argument("--samples", type=int, default=1000, metavar="N", help="of ours (default 1000)")
    parser.add_argument("--opponents", type=int, default=3, metavar="N", help="of ngspice (default 3)")
    parser.add_argument("--most", type=int, default=10000, metavar="N", help="largest number in the growth")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--readme", action="store_true", help="put the tables into README.md")
    chosen = parser.parse_args()
    if chosen.opponents > chosen.samples:
        parser.error("--opponents are the first of --samples")
    use_compilation_cache()
    result: dict[str, Any] = {
        "machine": machine(), "stop": chosen.stop, "samples": chosen.samples, "opponents": chosen.opponents,
        "side_by_side": side_by_side(chosen.stop, chosen.samples, chosen.opponents),
        "growth": growth(chosen.stop, chosen.most),
    }  # fmt: skip
    draw(result["growth"], FIGURE)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")
    text = markdown(result)
    print(text)
    if chosen.readme:
        head, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
        _, found, tail = rest.partition(END)
        if not found:
            sys.exit("README.md has no place for the tables")
        README.write_text(head + BEGIN + text + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
