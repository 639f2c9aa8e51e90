"""Mismatch in lanes and ngspice, side by side: cost per sample at equal spike-time error, growth, peak memory.

    python benchmarks/monte_carlo.py [--stop 0.1] [--samples 1000] [--opponents 8] [--readme] [--json FILE]

Samples of `spice/adexp_neuron.cir`, threshold and current factor of every transistor drawn by the area law. Both sides
have the same samples and all cores. Ours run all of them, one setting after the other, and count the CPU seconds of the
whole process, what is done before and after the loops included, after a first run has compiled it. ngspice runs the
first samples with the same `dvt` and `dbt`, each run on one thread (`set num_threads=1`), as many at once as there are
cores, and counts those of its processes; the wall clock counts the whole batch. Errors are the largest of a spike time
in these first samples: against our Rodas5P at 1e-9 for the same equations, against ngspice at 1e-7 for the native BSIM3
card, whose spikes are others. A row of ngspice is compared with our cheapest setting that is at least as exact on our
own equations.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from tqdm import tqdm
from transient import FOLDER, ORACLE, README, TRAP, error, machine, run_ngspice

from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.compilation_cache import use_compilation_cache
from analogsnn.measure import spike_times
from analogsnn.mismatch import AreaLaw, draws
from analogsnn.netlist import Netlist
from analogsnn.report import BLUE, GREY, INK, ORANGE, drawing, new_figure
from analogsnn.transient import transient_lanes
from analogsnn.waveforms import Waveforms

BENCH, NODE = "adexp_neuron", "spk"
FIGURE = FOLDER / "docs" / "figures" / "monte_carlo.png"
BEGIN, END = "<!-- monte_carlo: begin -->\n", "<!-- monte_carlo: end -->\n"
# 3.5 mV µm and 1 % µm
LAW = AreaLaw(avt_n=3.5e-9, avt_p=3.5e-9, abeta_n=1e-8, abeta_p=1e-8)
OURS = {f"fast, {rtol:g}": {"accuracy": "fast", "rtol": rtol} for rtol in (3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)}
EXACT = {"accuracy": "reference", "rtol": 1e-9}
USUAL = "fast, 0.001"
NGSPICE = {
    "reltol 1e-4": {}, "trap, trtol 1, 1e-5": {**TRAP, "reltol": 1e-5}, "trap, trtol 1, 1e-6": {**TRAP, "reltol": 1e-6}
}  # fmt: skip
AIMS = {"ngspice ekv": 150, "ngspice bsim3": 20}  # times as fast
GROWTH = (1, 10, 100, 1000, 10000)
PATIENCE = 200.0  # s by the clock: a number of samples that would take longer runs over a shorter time


def shifts(netlist: Netlist, samples: int) -> dict[str, np.ndarray]:
    """Mismatch of every transistor, `[sample]` by path; the first samples are the same for any number of them."""
    return draws(netlist, 1, samples, LAW)


def run_lanes(netlist: Netlist, stop: float, samples: int, settings: dict[str, Any]) -> dict[str, Any]:
    """CPU and wall seconds per sample, spikes of each sample, failures, steps tried."""
    parameters = shifts(netlist, samples)
    cpu, wall = time.process_time(), time.perf_counter()
    circuit = Circuit.from_netlist(netlist)
    spikes, steps = {}, 0
    for lane, waves in transient_lanes(circuit, parameters, stop, save=[NODE], **settings):
        if isinstance(waves, Waveforms):
            spikes[lane] = spike_times(waves, NODE)
            steps += int(waves.steps) + int(waves.rejected)
    return {
        "cpu": (time.process_time() - cpu) / samples, "wall": (time.perf_counter() - wall) / samples,
        "spikes": spikes, "failed": samples - len(spikes), "steps": steps / samples,
    }  # fmt: skip


def run_batch(members: list[Netlist], stop: float, options: Mapping[str, Any]) -> dict[str, Any]:
    """ngspice on all cores: CPU and wall seconds per sample, spikes of each sample."""
    wall = time.perf_counter()
    done: Any = joblib.Parallel(n_jobs=-1)(
        joblib.delayed(run_ngspice)(member, stop, options, NODE) for member in members
    )
    wall = (time.perf_counter() - wall) / len(members)
    spikes = {k: run[1] for k, run in enumerate(done)}
    return {"cpu": statistics.mean(run[0] for run in done), "wall": wall, "spikes": spikes}


def worst(found: dict[int, np.ndarray], oracle: dict[int, np.ndarray]) -> float | None:
    """The largest error of a spike time over the oracle's samples; None where spikes are missing."""
    errors = [error(found[k], spikes) if k in found else None for k, spikes in oracle.items()]
    return None if None in errors else max(e for e in errors if e is not None)


def side_by_side(stop: float, samples: int, opponents: int) -> list[dict[str, Any]]:
    """Every setting of either engine."""
    decks = {card: library.read_bench(BENCH, card=card) for card in ("ekv", "bsim3")}
    given = shifts(decks["ekv"], opponents)
    members = {
        card: [deck.replace({p: float(v[k]) for p, v in given.items()}) for k in range(opponents)]
        for card, deck in decks.items()
    }
    joblib.Parallel(n_jobs=-1)(joblib.delayed(int)(k) for k in range(2 * (os.cpu_count() or 1)))  # starts the workers
    rows: list[dict[str, Any]] = []
    with tqdm(total=len(OURS) + 2 * len(NGSPICE) + 2, unit=" settings", disable=None) as bar:
        oracle = {"ekv": run_lanes(decks["ekv"], stop, opponents, EXACT)["spikes"]}
        bar.update()
        for name, settings in OURS.items():
            run_lanes(decks["ekv"], min(stop, 1e-3), samples, settings)  # compiles
            done = run_lanes(decks["ekv"], stop, samples, settings)
            rows.append({"engine": "ours", "settings": name, "error": worst(done.pop("spikes"), oracle["ekv"]), **done})
            bar.update()
        oracle["bsim3"] = run_batch(members["bsim3"], stop, ORACLE)["spikes"]
        bar.update()
        for card, some in members.items():
            for name, options in NGSPICE.items():
                done = run_batch(some, stop, options)
                wrong = worst(done.pop("spikes"), oracle[card])
                rows.append({"engine": f"ngspice {card}", "settings": name, "error": wrong, **done})
                bar.update()
    for row in rows:
        limit = float("inf") if row["error"] is None else row["error"]
        ours = [r for r in rows if r["engine"] == "ours" and r["error"] is not None and r["error"] <= limit]
        best = min(ours, key=lambda r: r["cpu"]) if ours and row["engine"] != "ours" else None
        row["against"] = best and best["settings"]
        row["ratio"] = best and row["cpu"] / best["cpu"]
        row["wall_ratio"] = best and row["wall"] / best["wall"]
    return rows


CHILD = """
import json, resource, sys
sys.path.insert(0, {here!r})
import monte_carlo as m
m.use_compilation_cache()
netlist = m.library.read_bench(m.BENCH)
m.run_lanes(netlist, 1e-3, {samples!r}, {settings!r})
done = m.run_lanes(netlist, {stop!r}, {samples!r}, {settings!r})
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
done = {{key: done[key] for key in ("cpu", "wall", "failed")}}
print(json.dumps({{"samples": {samples!r}, "stop": {stop!r}, "peak": peak, **done}}))
"""


def growth(stop: float, most: int) -> list[dict[str, Any]]:
    """Cost per sample and peak memory of a process of its own, against the number of samples."""
    rows: list[dict[str, Any]] = []
    for samples in tqdm([n for n in GROWTH if n <= most], unit=" sizes", disable=None):
        expected = samples * rows[-1]["wall"] if rows else 0.0
        shorter = stop if expected < PATIENCE else float(f"{stop * PATIENCE / expected:.1g}")
        code = CHILD.format(here=str(Path(__file__).parent), settings=OURS[USUAL], stop=shorter, samples=samples)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(FOLDER)},
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"{samples} samples failed:\n{done.stderr[-2000:]}")
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return rows


def draw(result: dict[str, Any], path: Path) -> None:
    """Cost per sample against samples, per simulated time as long as that of the comparison; ngspice as lines."""
    rows, stop = result["growth"], result["stop"]
    with drawing():
        figure = new_figure(3.6, 7.5)
        ax = figure.subplots()
        for key, style, colour, label in (("cpu", "o-", BLUE, "ours, CPU time"), ("wall", "s--", GREY, "ours, clock")):
            cost = [1e3 * r[key] * stop / r["stop"] for r in rows]
            ax.loglog([r["samples"] for r in rows], cost, style, color=colour, label=label)
        for engine, colour, label in (
            ("ngspice ekv", ORANGE, "ngspice, same equations"), ("ngspice bsim3", INK, "ngspice, native BSIM3"),
        ):  # fmt: skip
            cost = next(1e3 * r["cpu"] for r in result["side_by_side"] if r["engine"] == engine)
            ax.axhline(cost, color=colour, lw=1.2, ls=":", label=f"{label}, reltol 1e-4, CPU time")
        ax.set_xlabel("samples")
        ax.set_ylabel(f"ms per sample of {1e3 * stop:g} ms")
        ax.set_title("Monte Carlo of the neuron: cost per sample")
        ax.grid(color=GREY, alpha=0.2, linewidth=0.6)
        figure.legend(loc="outside lower center", ncols=2)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None})


def markdown(result: dict[str, Any]) -> str:
    """The result as it stands in the README."""
    where = result["machine"]
    lines = [
        f"`python benchmarks/monte_carlo.py`: {result['samples']} mismatch samples of `spice/{BENCH}.cir` over "
        f"{result['stop'] * 1e3:g} ms by our lanes; the first {result['opponents']} of them, with the same `dvt` and "
        f"`dbt`, by ngspice {where['ngspice']}. {where['cpu']}, all {where['cores']} cores on both sides, load "
        f"{where['load']:.1f} at the start. Seconds per sample; error: the largest of a spike time in those first "
        f"{result['opponents']}. Aims: {AIMS['ngspice ekv']} and {AIMS['ngspice bsim3']} times.",
        "", "| engine | settings | CPU s | clock s | error | our setting at least as exact | ratio of CPU | of clock |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    names = {"ours": "ours, EKV", "ngspice ekv": "ngspice, same equations", "ngspice bsim3": "ngspice, native BSIM3"}
    for row in result["side_by_side"]:
        wrong = "spikes differ" if row["error"] is None else f"{row['error'] * 1e6:.3g} µs"
        ratios = ["" if row[key] is None else f"{row[key]:.0f}" for key in ("ratio", "wall_ratio")]
        costs = [f"{row['cpu']:.3g}", f"{row['wall']:.3g}"]
        against = row["against"] or ("" if row["engine"] == "ours" else "none")
        lines.append("| " + " | ".join((names[row["engine"]], row["settings"], *costs, wrong, against, *ratios)) + " |")
    failed = sum(row["failed"] for row in result["side_by_side"] if row["engine"] == "ours")
    lines += [
        "", f"{failed or 'None'} of our runs failed." + (
            " Where spikes differ (one is missing, or one too many), our least exact setting that has them all is "
            "compared." if any(r["error"] is None for r in result["side_by_side"]) else ""
        ),
        "", f"Cost against the number of samples ({USUAL}), each number in a process of its own:",
        "", "| samples | over, ms | CPU ms per sample | clock ms per sample | peak memory, MiB | failed |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in result["growth"]:
        costs = (f"{1e3 * r['cpu']:.3g}", f"{1e3 * r['wall']:.3g}", f"{r['peak'] / 2**20:.0f}")
        lines.append(f"| {r['samples']} | {1e3 * r['stop']:g} | " + " | ".join((*costs, str(r["failed"]))) + " |")
    shorter = [r for r in result["growth"] if r["stop"] < result["stop"]]
    if shorter:
        some = " and ".join(str(r["samples"]) for r in shorter)
        lines += ["", f"{some} samples over {result['stop'] * 1e3:g} ms would have taken more than {PATIENCE:g} s, so "
                  "they ran over less; the plot scales their cost by the time."]  # fmt: skip
    return "\n".join([*lines, "", "![Cost per sample against samples](docs/figures/monte_carlo.png)"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Mismatch in lanes and ngspice, side by side.")
    parser.add_argument("--stop", type=float, default=0.1, metavar="S", help="simulated time in s (default 0.1)")
    parser.add_argument("--samples", type=int, default=1000, metavar="N", help="of ours (default 1000)")
    parser.add_argument("--opponents", type=int, default=8, metavar="N", help="of ngspice (default 8)")
    parser.add_argument("--most", type=int, default=10000, metavar="N", help="largest number in the growth")
    parser.add_argument("--figure", type=Path, default=FIGURE, metavar="FILE", help="where the plot goes")
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
    draw(result, chosen.figure)
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
