"""Derivatives of spike times: how exact, spike by spike, against other methods; and what they cost.

    python benchmarks/gradient.py [--stop 0.1] [--repeats 3] [--without diffrax] [--json FILE] [--figure FILE]
        [--page FILE]

The circuit is `spice/adexp_neuron.cir` (25 transistors and seven of bias); the second one is two of its neurons with
inputs 5 % apart, which share biases only. Errors are those of the derivative of a spike time against central
differences of Rodas5P at 1e-9. Methods, all over the same steps of Rodas5P at 1e-6 but for the last:

- ours: the default. One phase: all nodes in one block. Plain: the same steps differentiated as they are.
- diffrax: Kvaerno5 with a full Newton iteration at the same tolerance, in its own forward mode. (Its adjoints
  differentiate the same steps.) The time of a crossing follows from the derivative at the time of the crossing.

Cost is CPU seconds of this process, settings in turns, medians; ngspice as in `benchmarks/transient.py`, and its
differences by all parameters are computed from a measured run: two runs a parameter.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm
from transient import TRAP, array_text, machine, run_ngspice

from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.compilation_cache import use_compilation_cache
from analogsnn.measure import spike_time, spike_times
from analogsnn.netlist import read_netlist_text
from analogsnn.report import BLUE, GREY, ORANGE, drawing, new_figure
from analogsnn.sensitivity import parameter_paths
from analogsnn.transient import _transport, transient

BENCH = "adexp_neuron"
FOLDER = Path(__file__).resolve().parents[1]
FIGURE = FOLDER / "docs" / "figures" / "gradient.png"
PAGE = FOLDER / "docs" / "gradients.md"
BEGIN, END = "<!-- gradient: begin -->\n", "<!-- gradient: end -->\n"
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


def pair() -> Circuit:
    text = array_text(2)
    return Circuit.from_netlist(read_netlist_text(text, str(library.bench_path(BENCH)), [library.root()]))


def changed(circuit: Circuit, path: str, value: Any) -> Circuit:
    return circuit.replace({path: value})


def differences(circuit: Circuit, path: str, step: float, absolute: bool, stop: float, node: str) -> np.ndarray:
    """Central differences of all spike times, `[spike]`."""
    value = float(circuit[path])
    step = step if absolute else step * abs(value)
    late, early = (
        np.asarray(spike_times(transient(changed(circuit, path, value + s), stop, save=[node], rtol=ORACLE), node))
        for s in (step, -step)
    )
    if len(late) != len(early):
        sys.exit(f"the number of spikes changes with {path}; take a smaller step")
    return (late - early) / (2 * step)


def slopes(circuit: Circuit, path: str, stop: float, node: str, **settings: Any) -> np.ndarray:
    """Derivatives of all spike times in forward mode, `[spike]`."""

    def times(value: Any) -> Any:
        return spike_times(transient(changed(circuit, path, value), stop, save=[node], **settings), node)

    return np.asarray(jax.jvp(times, (float(circuit[path]),), (1.0,))[1])


def no_phases(pattern: Any, inverse: Any, f: Any, slopes: Any, h: Any, by_t: Any) -> tuple[Any, Any]:
    """Plain differentiation of the steps."""
    return jnp.zeros_like(by_t), jnp.zeros((len(f), len(f), len(h)))


def one_phase(pattern: Any, inverse: Any, f: Any, slopes: Any, h: Any, by_t: Any) -> tuple[Any, Any]:
    """One phase for all states, by least squares."""
    tied = 1 / (jnp.sum(f[:, 0] ** 2, axis=0) + _transport.STILL**2)
    return jnp.zeros_like(by_t), jnp.broadcast_to(tied, (len(f), len(f), len(h)))


@contextlib.contextmanager
def phases_by(rule: Callable[..., Any]) -> Iterator[None]:
    """Let another rule choose the phases of the states."""
    kept = _transport._ties
    _transport._ties = rule  # type: ignore[assignment]
    _transport.transported_step.cache_clear()
    jax.clear_caches()
    try:
        yield
    finally:
        _transport._ties = kept
        _transport.transported_step.cache_clear()
        jax.clear_caches()


def by_diffrax(circuit: Circuit, path: str, stop: float, node: str) -> np.ndarray | None:
    """Derivatives of all spike times by diffrax, or None when its run does not end."""
    import diffrax
    import optimistix

    from analogsnn.circuit import build_inputs, extended, segment
    from analogsnn.netlist import transient_analysis
    from analogsnn.transient._field import stage_rate
    from analogsnn.transient._loop import equation
    from analogsnn.transient._start import start_state

    tran = transient_analysis(circuit.netlist, stop)[0]
    place = circuit.topology.state_names.index(node)
    start = jnp.asarray(start_state(circuit, tran, stop))
    level = 0.5 * float(circuit.netlist.supply or 0.0)
    edges = np.asarray(build_inputs(circuit.topology, circuit.numbers(), tran.step, stop).edges)

    def velocity(value: Any) -> Callable[[Any, Any, Any], Any]:
        here = changed(circuit, path, value)
        values = here.values()
        parts = equation(circuit.topology, extended(values), values)
        inputs = jax.tree.map(jnp.asarray, build_inputs(circuit.topology, here.numbers(), tran.step, stop))

        def field(t: Any, y: Any, _: Any) -> Any:
            k = jnp.clip(jnp.searchsorted(jnp.asarray(edges), t, side="right") - 1, 0, len(edges) - 2)
            line = segment(inputs, k)
            return parts.inverse_mass @ stage_rate(circuit.topology, parts, line, t)(0.0, y)

        return field

    def solve(value: Any, save: Any) -> Any:
        controller = diffrax.ClipStepSizeController(
            diffrax.PIDController(rtol=1e-6, atol=1e-7), jump_ts=jnp.asarray(edges[1:-1])
        )
        solver = diffrax.Kvaerno5(root_finder=optimistix.Newton(rtol=1e-8, atol=1e-9))
        return diffrax.diffeqsolve(
            diffrax.ODETerm(velocity(value)), solver, 0.0, stop, 1e-12, start, saveat=save, max_steps=1 << 17,
            stepsize_controller=controller, throw=False, adjoint=diffrax.ForwardMode(),
        )  # fmt: skip

    point = float(circuit[path])
    found = solve(point, diffrax.SaveAt(steps=True))
    if found.result != diffrax.RESULTS.successful:
        return None
    t, v = np.asarray(found.ts), np.asarray(found.ys)[:, place]
    rising = np.flatnonzero((v[:-1] < level) & (v[1:] >= level))
    guess = t[rising] + (level - v[rising]) * (t[rising + 1] - t[rising]) / (v[rising + 1] - v[rising])
    # The derivative at the time of the crossing, over the slope there.
    saved = diffrax.SaveAt(ts=jnp.asarray(guess))
    y, tangent = jax.jvp(lambda value: solve(value, saved).ys, (point,), (1.0,))
    field = velocity(point)
    rate = np.array([np.asarray(field(when, state, None))[place] for when, state in zip(guess, y, strict=True)])
    return -np.asarray(tangent)[:, place] / rate


def accuracy(stop: float, bar: Any) -> dict[str, Any]:
    """Relative errors by kind, accuracy and spike, in reverse mode."""
    circuit = neuron()
    wanted = {}
    for kind, (path, step, absolute) in KINDS.items():
        wanted[kind] = differences(circuit, path, step, absolute, stop, "spk")
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
    return {"spikes": chosen, "errors": rows}


def by_spike(stop: float, with_diffrax: bool, bar: Any) -> dict[str, Any]:
    """Relative error of the derivative by the membrane capacitor against the number of the spike, by method."""
    path, step, absolute = KINDS[PLOTTED]
    result: dict[str, Any] = {}
    for name, circuit, node in (("one neuron", neuron(), "spk"), ("two neurons", pair(), "spk1")):
        wanted = differences(circuit, path, step, absolute, stop, node)
        bar.update()
        methods: dict[str, Callable[[], np.ndarray | None]] = {
            "ours": lambda c=circuit, n=node: slopes(c, path, stop, n),
            "ours, fast": lambda c=circuit, n=node: slopes(c, path, stop, n, accuracy="fast"),
        }
        if name == "one neuron" and with_diffrax:
            methods["diffrax, Kvaerno5"] = lambda c=circuit, n=node: by_diffrax(c, path, stop, n)
        found = {}
        for method, compute in methods.items():
            found[method] = compute()
            bar.update()
        with phases_by(one_phase):
            found["one phase"] = slopes(circuit, path, stop, node)
        with phases_by(no_phases):
            found["plain"] = slopes(circuit, path, stop, node)
            found["plain, fast"] = slopes(circuit, path, stop, node, accuracy="fast")
        bar.update()
        result[name] = {
            method: None if slope is None or len(slope) != len(wanted) else np.abs(slope / wanted - 1).tolist()
            for method, slope in found.items()
        }
    return result


def cost(stop: float, repeats: int, bar: Any) -> dict[str, Any]:
    """CPU seconds of a run, of the run with all derivatives of one spike time, and of ngspice's runs."""
    circuit = neuron()
    paths = parameter_paths(circuit)
    free = {path: float(circuit[path]) for path in paths if path in circuit.parameters}
    bound = {path: 0.0 for path in paths if path not in circuit.parameters}

    def last(free: Any, bound: Any, setting: str) -> Any:
        waves = transient(circuit.replace(free).shifted(bound), stop, save=["spk"], accuracy=setting)
        return spike_time(waves, "spk", -1)

    def forward(setting: str) -> float:
        started = time.process_time()
        spike_time(transient(circuit, stop, save=["spk"], accuracy=setting), "spk", -1)
        return time.process_time() - started

    def reverse(setting: str) -> float:
        started = time.process_time()
        found = jax.grad(lambda f, b: last(f, b, setting), argnums=(0, 1))(free, bound)
        jax.block_until_ready(found)
        return time.process_time() - started

    jobs: dict[str, Callable[[], float]] = {}
    for setting in ("reference", "fast"):
        jobs[f"forward, {setting}"] = lambda s=setting: forward(s)
        jobs[f"reverse, {setting}"] = lambda s=setting: reverse(s)
    for job in jobs.values():
        job()
        bar.update()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for card in ("ekv", "bsim3"):
        netlist = library.read_bench(BENCH, card=card)
        for name, options in NGSPICE.items():
            what = f"ngspice {'same equations' if card == 'ekv' else 'native BSIM3'}, {name}"
            jobs[what] = lambda n=netlist, o=options: run_ngspice(n, stop, o, "spk")[0]
            seconds[what] = []
    for turn in range(repeats):
        for name, job in jobs.items():
            if turn < 2 or not name.startswith("ngspice"):
                seconds[name].append(job())
            bar.update()
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    ratios = {s: medians[f"reverse, {s}"] / medians[f"forward, {s}"] for s in ("reference", "fast")}
    against = {
        name: {s: 2 * len(paths) * value / medians[f"reverse, {s}"] for s in ("reference", "fast")}
        for name, value in medians.items() if name.startswith("ngspice")
    }  # fmt: skip
    return {"parameters": len(paths), "seconds": medians, "reverse_over_forward": ratios, "against_ngspice": against}


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
        "plain, fast": (ORANGE, "^--"), "diffrax, Kvaerno5": ("#7b4fa3", "d-"),
    }  # fmt: skip
    with drawing():
        figure = new_figure(4.2, 10.0)
        panels = figure.subplots(1, len(result), sharey=True)
        for panel, (title, methods) in zip(panels, result.items(), strict=True):
            for method, errors in methods.items():
                if errors is None:
                    continue
                colour, style = styles[method]
                spikes = np.arange(1, len(errors) + 1)
                panel.semilogy(spikes, np.maximum(errors, 1e-9), style, color=colour, markersize=3.5, label=method)
            panel.set_title(title)
            panel.set_xlabel("spike")
            panel.grid(color=GREY, alpha=0.2, linewidth=0.6)
            panel.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
        panels[0].set_ylabel("relative error of dt/dC")
        panels[0].legend()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None})


def markdown(result: Mapping[str, Any]) -> str:
    """The result as tables."""
    where, table = result["machine"], result["accuracy"]
    said = [
        f"`python benchmarks/gradient.py`: `spice/{BENCH}.cir`, {result['stop'] * 1e3:g} ms, {where['cpu']}, "
        f"{where['cores']} cores, load {where['load']:.1f}. Error of the derivative of a spike time, against central "
        "differences of Rodas5P at 1e-9.", "",
        "| accuracy | kind | path | " + " | ".join(f"spike {k}" for k in table["spikes"]) + " |",
        "|---|---|---|" + "---|" * len(table["spikes"]),
    ]  # fmt: skip
    for setting, kinds in table["errors"].items():
        for kind, errors in kinds.items():
            said.append(f"| {setting} | {kind} | {KINDS[kind][0]} | " + " | ".join(f"{e:.1e}" for e in errors) + " |")
    said += ["", "| circuit | method | first spike | last spike | largest |", "|---|---|---|---|---|"]
    for name, methods in result["by_spike"].items():
        for method, errors in methods.items():
            cells = (
                "did not finish | | " if errors is None else f"{errors[0]:.1e} | {errors[-1]:.1e} | {max(errors):.1e}"
            )
            said.append(f"| {name} | {method} | {cells} |")
    money = result["cost"]
    said += ["", f"| CPU s, {money['parameters']} parameters | | all derivatives, times forward |", "|---|---|---|"]
    for name, seconds in money["seconds"].items():
        ratio = (
            money["reverse_over_forward"].get(name.removeprefix("reverse, ")) if name.startswith("reverse") else None
        )
        said.append(f"| {name} | {seconds:.3g} | {'' if ratio is None else f'{ratio:.1f}'} |")
    said += ["", "| differences by all parameters (computed: two runs each) | over ours, reference | over ours, fast |",
             "|---|---|---|"]  # fmt: skip
    for name, ratios in money["against_ngspice"].items():
        said.append(f"| {name} | {ratios['reference']:.0f} | {ratios['fast']:.0f} |")
    if result["compilation"] is not None:
        said += ["", "| compilation, wall s (CPU s) | run | derivatives |", "|---|---|---|"]
        for name, (a, b, c, d) in result["compilation"].items():
            said.append(f"| {name} | {a:.1f} ({b:.1f}) | {c:.1f} ({d:.1f}) |")
    return "\n".join(said) + "\n"


def write_table(table: str, page: Path) -> None:
    """The table and the figure in place of what stands between the page's marks."""
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{page} lacks the lines {BEGIN.strip()} and {END.strip()} between which the table goes")
    head, _, rest = text.partition(BEGIN)
    figure = "\n![Error of the derivative against the number of the spike](figures/gradient.png)\n"
    page.write_text(head + BEGIN + table + figure + END + rest.partition(END)[2], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Derivatives of spike times: how exact, and what they cost.")
    parser.add_argument("--stop", type=float, default=0.1, metavar="S", help="simulated time in s (default 0.1)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs of each setting (default 3)")
    parser.add_argument("--without", choices=["diffrax", "compilation", "both"], help="leave out what takes longest")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="the page whose table is written anew")
    parser.add_argument("--figure", type=Path, default=FIGURE, metavar="FILE", help="where the figure goes")
    chosen = parser.parse_args()
    use_compilation_cache()
    with_diffrax = chosen.without not in ("diffrax", "both")
    total = len(KINDS) + 2 + 2 * 5 + with_diffrax + 4 + chosen.repeats * (4 + 2 * len(NGSPICE))
    with tqdm(total=total, unit=" runs", disable=None) as bar:
        result: dict[str, Any] = {
            "machine": machine(), "stop": chosen.stop, "accuracy": accuracy(chosen.stop, bar),
            "by_spike": by_spike(chosen.stop, with_diffrax, bar), "cost": cost(chosen.stop, chosen.repeats, bar),
            "compilation": None if chosen.without in ("compilation", "both") else compilation(),
        }  # fmt: skip
    draw(result["by_spike"], chosen.figure)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")
    table = markdown(result)
    print(table)
    write_table(table, chosen.page)


if __name__ == "__main__":
    main()
