"""Derivatives of spike times: how exact, spike by spike, against other methods; and what they cost.

    python benchmarks/gradient.py [--only accuracy|spikes|cost|compilation …] [--stop 0.1] [--repeats 3]
        [--without-diffrax] [--json FILE] [--figure FILE] [--page FILE]

The circuit is `spice/adexp_neuron.cir` (25 transistors and seven of bias); the second one of the plot is two of its
neurons with inputs 5 % apart, which share biases only; that of the costs has a synapse from each to the other. Errors
are those of the derivative of a spike time against central differences of Rodas5P at 1e-9, extrapolated from a step and
half of it. The tables say by how much half the step was off from that: the error of what is extrapolated is a part
of it, and an error of ours as small says no more. Methods, all over the same steps of Rodas5P at 1e-6 but for
diffrax's (`gradient_methods.py`):

- ours: the default. One phase: all nodes in one block. Plain: the same steps differentiated as they are.
- diffrax: Kvaerno5 with a full Newton iteration at the same tolerance, in its own forward mode, and in reverse with its
  default adjoint, `RecursiveCheckpointAdjoint`, at some of the spikes.

Cost is CPU seconds of this process, and seconds by the clock, settings in turns, medians; ngspice as in
`benchmarks/transient.py`, and its differences by all parameters are computed from a measured run: two runs a parameter.

Each table has its place in the page, so that one can be measured without the others.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gradient_methods import by_diffrax, by_plain, one_phase, phases_by
from matplotlib.ticker import MaxNLocator
from tqdm import tqdm
from transient import TRAP, array_text, machine, run_ngspice

from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.compilation_cache import use_compilation_cache
from analogsnn.measure import spike_time, spike_times
from analogsnn.netlist import read_netlist_text
from analogsnn.report import BLUE, GREY, ORANGE, drawing, new_figure
from analogsnn.sensitivity import parameter_paths
from analogsnn.transient import transient

Seconds = tuple[float, float]  # CPU time, wall time

BENCH = "adexp_neuron"
FOLDER = Path(__file__).resolve().parents[1]
FIGURE = FOLDER / "docs" / "figures" / "gradient.png"
PAGE = FOLDER / "docs" / "gradients.md"
TABLES = ("accuracy", "spikes", "cost", "compilation")
ORACLE = 1e-9
# A path of every kind, and the step of its difference: relative, or absolute (V, °C) where it says so.
KINDS: Mapping[str, tuple[str, float, bool]] = {
    "threshold": ("x1.xl3.dvt", 2e-4, True),
    "current factor": ("x1.xl3.dbt", 1e-3, True),
    "capacitor": ("x1.cm", 1e-3, False),
    "width": ("x1.xa1.w", 1e-3, False),
    "length": ("x1.xa1.l", 1e-3, False),
    "bias": ("param.iin", 1e-3, False),
    "temperature": ("temp", 0.02, True),
    "supply": ("vdd.dc", 1e-3, True),
}
PLOTTED = "capacitor"
NGSPICE = {"reltol 1e-4": {}, "trap, trtol 1, 1e-6": {**TRAP, "reltol": 1e-6}}


def neuron() -> Circuit:
    return Circuit.from_netlist(library.read_bench(BENCH))


def pair(coupled: bool = False) -> Circuit:
    """Two neurons that share their biases; `coupled`: each drives the other one through a DPI synapse."""
    text = array_text(2)
    if coupled:
        links = [f"XS{k} spk{k} vw vgain vtau iin{3 - k} vdd 0 dpi_synapse C=0.5p" for k in (1, 2)]
        added = [
            ".include ../circuits/dpi_synapse.cir", "Iw vb vw 1n", "Xw vw 0 bias_n", "Ig vgain 0 50p",
            "Xg vgain vb bias_p", "It vtau 0 20p", "Xt vtau vb bias_p", *links,
        ]  # fmt: skip
        text = text.replace("\n.end\n", "\n" + "\n".join(added) + "\n.end\n")
    return Circuit.from_netlist(read_netlist_text(text, str(library.bench_path(BENCH)), [library.root()]))


@functools.cache
def differences(kind: str, stop: float, two: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of all spike times by central differences, extrapolated from two steps, and their error, `[spike]`.

    The error is relative: what the extrapolation changed, of the half step's difference. That of the result is less.
    """
    circuit, node = (pair(), "spk1") if two else (neuron(), "spk")
    path, step, absolute = KINDS[kind]
    value = float(circuit[path])
    step = step if absolute else step * abs(value)
    found = []
    for share in (1.0, 0.5):
        late, early = (
            np.asarray(spike_times(transient(circuit.replace({path: value + s}), stop, save=[node], rtol=ORACLE), node))
            for s in (share * step, -share * step)
        )
        if len(late) != len(early):
            sys.exit(f"the number of spikes changes with {path}; take a smaller step")
        found.append((late - early) / (2 * share * step))
    full, half = found
    best = (4 * half - full) / 3
    return best, np.abs(half / best - 1)


def slopes(circuit: Circuit, path: str, stop: float, node: str, **settings: Any) -> np.ndarray:
    """Derivatives of all spike times in forward mode, `[spike]`."""

    def times(value: Any) -> Any:
        return spike_times(transient(circuit.replace({path: value}), stop, save=[node], **settings), node)

    return np.asarray(jax.jvp(times, (float(circuit[path]),), (1.0,))[1])


def accuracy(stop: float, bar: Any) -> dict[str, Any]:
    """Relative errors by kind, accuracy and spike, in reverse mode."""
    circuit = neuron()
    wanted, apart = {}, {}
    for kind in KINDS:
        wanted[kind], apart[kind] = differences(kind, stop)
        bar.update()
    count = len(wanted[PLOTTED])
    chosen = sorted({k for k in (1, 3, 10, count) if k <= count})
    point = {path: float(circuit[path]) for path, _, _ in KINDS.values()}
    rows: dict[str, Any] = {}
    for setting in ("reference", "fast"):

        def times(values: Any, setting: str = setting) -> Any:
            waves = transient(circuit.replace(values), stop, save=["spk"], accuracy=setting)
            return [spike_time(waves, "spk", k) for k in chosen]

        _, pull = jax.vjp(times, point)
        rows[setting] = {kind: [] for kind in KINDS}
        for i, k in enumerate(chosen):
            found = pull([jnp.asarray(float(i == j)) for j in range(len(chosen))])[0]
            for kind, (path, _, _) in KINDS.items():
                rows[setting][kind].append(float(found[path]) / wanted[kind][k - 1] - 1)
        bar.update()
    steps = {kind: [float(each[k - 1]) for k in chosen] for kind, each in apart.items()}
    return {"spikes": chosen, "errors": rows, "steps_apart": steps}


def by_spike(stop: float, with_diffrax: bool, bar: Any) -> dict[str, Any]:
    """Relative error of the derivative by the membrane capacitor against the number of the spike, by method."""
    path = KINDS[PLOTTED][0]
    result: dict[str, Any] = {}
    for name, circuit, node in (("one neuron", neuron(), "spk"), ("two neurons", pair(), "spk1")):
        wanted, apart = differences(PLOTTED, stop, name == "two neurons")
        bar.update()
        methods: dict[str, Callable[[], np.ndarray | None]] = {
            "ours": lambda c=circuit, n=node: slopes(c, path, stop, n),
            "ours, fast": lambda c=circuit, n=node: slopes(c, path, stop, n, accuracy="fast"),
        }
        if name == "one neuron" and with_diffrax:
            methods["diffrax, forward"] = lambda c=circuit, n=node: by_diffrax(c, path, stop, n, "forward")
            methods["diffrax, adjoint"] = lambda c=circuit, n=node: by_diffrax(c, path, stop, n, "checkpointed")
        found = {}
        for method, compute in methods.items():
            found[method] = compute()
            bar.update()
        with phases_by(one_phase):
            found["one phase"] = slopes(circuit, path, stop, node)
        found["plain"] = by_plain(circuit, path, stop, node)
        found["plain, fast"] = by_plain(circuit, path, stop, node, accuracy="fast")
        bar.update()
        result[name] = {
            method: None if slope is None or len(slope) != len(wanted)
            else [None if np.isnan(e) else float(e) for e in np.abs(slope / wanted - 1)]
            for method, slope in found.items()
        }  # fmt: skip
        result[name]["differences"] = apart.tolist()
    return result


def cost_of(circuit: Circuit, node: str, stop: float, card: bool) -> tuple[int, dict[str, Callable[[str], Seconds]]]:
    """How many parameters there are, with the card's or without; and by direction what gives, at an accuracy, the
    seconds of a run, and of a run with the derivatives of its last spike by all of them."""
    paths = [path for path in parameter_paths(circuit) if card or not path.startswith("param.ekv_")]
    free = {path: float(circuit[path]) for path in paths if path in circuit.parameters}
    bound = {path: 0.0 for path in paths if path not in circuit.parameters}

    def last(free: Any, bound: Any, setting: str) -> Any:
        waves = transient(circuit.replace(free).shifted(bound), stop, save=[node], accuracy=setting)
        return spike_time(waves, node, -1)

    def forward(setting: str) -> Seconds:
        return seconds_of(lambda: spike_time(transient(circuit, stop, save=[node], accuracy=setting), node, -1))

    def reverse(setting: str) -> Seconds:
        return seconds_of(lambda: jax.grad(lambda f, b: last(f, b, setting), argnums=(0, 1))(free, bound))

    return len(paths), {"forward": forward, "reverse": reverse}


def seconds_of(work: Callable[[], Any]) -> Seconds:
    """How long it takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    jax.block_until_ready(work())
    return time.process_time() - cpu, time.perf_counter() - wall


def cost(stop: float, repeats: int, bar: Any) -> dict[str, Any]:
    """CPU and wall seconds of a run, of the run with all derivatives of one spike time, and of ngspice's runs."""
    jobs: dict[str, Callable[[], Seconds]] = {}
    parameters: dict[str, int] = {}
    for name, circuit, node in (("one neuron", neuron(), "spk"), ("coupled pair", pair(coupled=True), "spk1")):
        for card in (False, True):
            count, ways = cost_of(circuit, node, stop, card)
            by = f"{name}, {count} parameters"
            parameters[by] = count
            for setting in ("reference", "fast"):
                jobs[f"forward, {name}, {setting}"] = functools.partial(ways["forward"], setting)
                jobs[f"reverse, {by}, {setting}"] = functools.partial(ways["reverse"], setting)
    for job in jobs.values():
        job()
        bar.update()
    seconds: dict[str, list[Seconds]] = {name: [] for name in jobs}
    for kind in ("ekv", "bsim3"):
        netlist = library.read_bench(BENCH, card=kind)
        for name, options in NGSPICE.items():
            what = f"ngspice {'same equations' if kind == 'ekv' else 'native BSIM3'}, {name}"
            jobs[what] = lambda n=netlist, o=options: 2 * (run_ngspice(n, stop, o, "spk")[0],)
            seconds[what] = []
    for turn in range(repeats):
        for name, job in jobs.items():
            if turn < 2 or not name.startswith("ngspice"):
                seconds[name].append(job())
            bar.update()
    medians = {name: [statistics.median(kind) for kind in zip(*each, strict=True)] for name, each in seconds.items()}
    ratios = {
        f"reverse, {by}, {setting}": [
            ours / run
            for ours, run in zip(
                medians[f"reverse, {by}, {setting}"], medians[f"forward, {by.split(',')[0]}, {setting}"], strict=True
            )
        ]
        for by in parameters for setting in ("reference", "fast")
    }  # fmt: skip
    every = max((by for by in parameters if by.startswith("one neuron")), key=lambda by: parameters[by])
    against = {
        name: {
            s: 2 * parameters[every] * value[0] / medians[f"reverse, {every}, {s}"][0] for s in ("reference", "fast")
        }
        for name, value in medians.items() if name.startswith("ngspice")
    }  # fmt: skip
    return {"parameters": parameters, "seconds": medians, "reverse_over_forward": ratios, "against_ngspice": against}


COLD = """
import time, jax
from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.compilation_cache import use_compilation_cache
from analogsnn.measure import spike_time
from analogsnn.transient import _transport, transient
use_compilation_cache()
circuit = Circuit.from_netlist(library.read_bench("adexp_neuron"))
point = {path: float(circuit[path]) for path in circuit.parameters if not path.startswith("param.ekv")}
def first(values):
    return spike_time(transient(circuit.replace(values), 5e-3, save=["spk"]), "spk", 1)
def lap(work):
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(work())
    return time.perf_counter() - wall, time.process_time() - cpu
forward, again = lap(lambda: first({})), lap(lambda: first({}))
reverse, warm = lap(lambda: jax.grad(first)(point)), lap(lambda: jax.grad(first)(point))
print(*(forward[0] - again[0], forward[1] - again[1], reverse[0] - warm[0], reverse[1] - warm[1]))
"""


def compilation() -> dict[str, list[float]]:
    """Wall and CPU seconds to compile a run, and then its derivatives, with an empty cache and with it filled."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_CACHE_HOME": folder, "PYTHONPATH": str(FOLDER)}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        for name in ("cold", "cached"):
            done = subprocess.run(
                [sys.executable, "-c", COLD], env=environment, capture_output=True, text=True, check=True
            )
            result[name] = [float(word) for word in done.stdout.split()]
    return result


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Error against the number of the spike."""
    styles = {
        "ours": (BLUE, "o-"), "ours, fast": (BLUE, "o--"), "one phase": ("#2a8c5a", "s-"), "plain": (ORANGE, "^-"),
        "plain, fast": (ORANGE, "^--"), "diffrax, forward": ("#7b4fa3", "d-"), "diffrax, adjoint": ("#7b4fa3", "x"),
        "differences": (GREY, ":"),
    }  # fmt: skip
    lines: dict[str, Any] = {}
    with drawing():
        figure = new_figure(4.2, 11.5)
        panels = figure.subplots(1, len(result), sharey=True)
        for panel, (title, methods) in zip(panels, result.items(), strict=True):
            for method, errors in methods.items():
                if errors is None:
                    continue
                colour, style = styles[method]
                spikes = [k for k, error in enumerate(errors, 1) if error is not None]
                shown = [max(error, 1e-9) for error in errors if error is not None]
                size = 3.5 + 3 * (style == "x")
                (lines[method],) = panel.semilogy(spikes, shown, style, color=colour, markersize=size)
            panel.set_title(title)
            panel.set_xlabel("spike")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.grid(color=GREY, alpha=0.2, linewidth=0.6)
            panel.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
        panels[0].set_ylabel("relative error of dt/dC")
        figure.legend(lines.values(), lines.keys(), loc="outside right upper")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None})


def markdown(name: str, table: Mapping[str, Any], where: Mapping[str, Any], stop: float) -> str:
    """A table, with how it was made."""
    made = (
        f"`python benchmarks/gradient.py --only {name}`: `spice/{BENCH}.cir`, {stop * 1e3:g} ms, {where['cpu']}, "
        f"{where['cores']} cores, load {where['load']:.1f}."
    )
    return "\n".join([made, "", *ROWS[name](table)]) + "\n"


def accuracy_rows(table: Mapping[str, Any]) -> list[str]:
    """By kind and accuracy the error at each spike."""
    said = [
        "| accuracy | kind | path | " + " | ".join(f"spike {k}" for k in table["spikes"]) + " |",
        "|---|---|---|" + "---|" * len(table["spikes"]),
    ]
    for setting, kinds in {**table["errors"], "differences: half the step beside both": table["steps_apart"]}.items():
        for kind, errors in kinds.items():
            said.append(f"| {setting} | {kind} | {KINDS[kind][0]} | " + " | ".join(f"{e:.1e}" for e in errors) + " |")
    return said


def spike_rows(table: Mapping[str, Any]) -> list[str]:
    """By circuit and method the first, the last and the largest error; the figure."""
    said = ["| circuit | method | first spike | last spike | largest |", "|---|---|---|---|---|"]
    for name, methods in table.items():
        for method, errors in methods.items():
            known = [error for error in errors or [] if error is not None]
            cells = f"{known[0]:.1e} | {known[-1]:.1e} | {max(known):.1e}" if known else "did not finish | |"
            said.append(f"| {name} | {method} | {cells} |")
    return [*said, "", "![Error of the derivative against the number of the spike](figures/gradient.png)"]


def cost_rows(table: Mapping[str, Any]) -> list[str]:
    """Seconds, their ratios, and what differences of ngspice would cost."""
    said = [
        "Derivatives of the last spike time by all sizes, thresholds, current factors, elements, sources and the",
        "temperature, and by the card's parameters too: terms of the card that are zero are left out of a run",
        "unless derivatives by them are asked for, so that those derivatives are along more equations.",
        "",
    ]
    said += ["| CPU s (wall s) | | times forward |", "|---|---|---|"]
    for name, (cpu, wall) in table["seconds"].items():
        ratio = table["reverse_over_forward"].get(name)
        took = f"{cpu:.3g}" if name.startswith("ngspice") else f"{cpu:.3g} ({wall:.3g})"
        said.append(f"| {name} | {took} | {'' if ratio is None else f'{ratio[0]:.1f} ({ratio[1]:.1f})'} |")
    said += ["", "| differences by all of the neuron's (two runs each) | over ours, reference | over ours, fast |",
             "|---|---|---|"]  # fmt: skip
    for name, ratios in table["against_ngspice"].items():
        said.append(f"| {name} | {ratios['reference']:.0f} | {ratios['fast']:.0f} |")
    return said


def compilation_rows(table: Mapping[str, Any]) -> list[str]:
    """Seconds to compile."""
    said = ["| compilation, wall s (CPU s) | run | derivatives |", "|---|---|---|"]
    return said + [f"| {name} | {a:.1f} ({b:.1f}) | {c:.1f} ({d:.1f}) |" for name, (a, b, c, d) in table.items()]


ROWS: Mapping[str, Callable[[Any], list[str]]] = {
    "accuracy": accuracy_rows, "spikes": spike_rows, "cost": cost_rows, "compilation": compilation_rows,
}  # fmt: skip


def marks(name: str) -> tuple[str, str]:
    """The lines of the page between which a table stands."""
    return f"<!-- gradient {name}: begin -->\n", f"<!-- gradient {name}: end -->\n"


def write_table(name: str, table: str, page: Path) -> None:
    """The table in place of what stands between its marks."""
    text, (begin, end) = page.read_text(encoding="utf-8"), marks(name)
    head, _, rest = text.partition(begin)
    page.write_text(head + begin + table + end + rest.partition(end)[2], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Derivatives of spike times: how exact, and what they cost.")
    parser.add_argument("--only", action="append", choices=TABLES, help="measure this table alone; repeatable")
    parser.add_argument("--stop", type=float, default=0.1, metavar="S", help="simulated time in s (default 0.1)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs of each setting (default 3)")
    parser.add_argument("--without-diffrax", action="store_true", help="leave out what takes longest")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="the page with the tables")
    parser.add_argument("--figure", type=Path, default=FIGURE, metavar="FILE", help="where the figure goes")
    chosen = parser.parse_args()
    names = chosen.only or TABLES
    text = chosen.page.read_text(encoding="utf-8")
    for mark in (mark for name in names for mark in marks(name)):
        if text.count(mark) != 1:
            sys.exit(f"{chosen.page} lacks the line {mark.strip()}, by which a table has its place")
    use_compilation_cache()
    steps = {
        "accuracy": len(KINDS) + 2, "spikes": 2 * 4 + 2 * (not chosen.without_diffrax), "compilation": 1,
        "cost": 12 + chosen.repeats * (12 + 2 * len(NGSPICE)),
    }  # fmt: skip
    result: dict[str, Any] = {"machine": machine(), "stop": chosen.stop}
    with tqdm(total=sum(steps[name] for name in names), unit=" runs", disable=None) as bar:
        for name in names:
            if name == "accuracy":
                result[name] = accuracy(chosen.stop, bar)
            elif name == "spikes":
                result[name] = by_spike(chosen.stop, not chosen.without_diffrax, bar)
                draw(result[name], chosen.figure)
            elif name == "cost":
                result[name] = cost(chosen.stop, chosen.repeats, bar)
            else:
                result[name] = compilation()
                bar.update()
            table = markdown(name, result[name], machine(), chosen.stop)
            print(table)
            write_table(name, table, chosen.page)
            if chosen.json:
                chosen.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
