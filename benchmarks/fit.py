"""How many simulator runs a fit takes: ours with exact derivatives, and finite differences on ngspice.

Two problems, each the same for both sides:

- `synapse`: thirty parameters of the DPI synapse (sizes and thresholds of its transistors and bias diodes, its
  capacitor, three currents, two slope factors and an Early voltage) from a recording of two nodes.
- `row`: two such synapses, the output of one being the weight of the other: widths, lengths, thresholds and current
  factors of all sixteen transistors, capacitors, currents and nine values of the card, 76 parameters, from five nodes.

The recording is by ngspice with tight options and 1 mV of noise, made with other values than those in the deck. Both
minimise the same residuals, the weak prior of the bounds among them, from the same start between the same bounds with
scipy's trust region; the finite differences are scipy's own, with the step given here (its default of 1.5e-8 is below
ngspice's rounding). Runs are counted until the cost that our fit ends with is reached within ten per cent.

    python benchmarks/fit.py [--problem synapse|row] [--runs 400] [--json F]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares

import analogsnn as asn
from analogsnn import library, ngspice
from analogsnn.calibrate import FitWarning, Parameter, Target, fit
from analogsnn.calibrate._search import PRIOR
from analogsnn.netlist import read_netlist_text

# Of sizes and currents, relative; of thresholds, V; of current factors and the card, relative.
SPREAD, SHIFT, FACTOR, CARD = 0.2, 15e-3, 0.05, 0.05
NOISE = 1e-3  # V
TIGHT = {"reltol": 1e-6, "trtol": 1}


class Case(NamedTuple):
    """A deck, what is fitted, and what was recorded."""

    netlist: Any
    paths: tuple[str, ...]
    nodes: tuple[str, ...]
    times: np.ndarray
    stop: float


def synapse() -> Case:
    """The synapse's bench with a short pulse and without its measures."""
    path = library.spice_folder() / "dpi_synapse.cir"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith((".meas", "* meas"))]
    text = "\n".join(lines).replace("2m 1u 1u 40m 10", "1m 1u 1u 7m 10")
    sizes = ("xpre", "xw", "xin", "xthr", "xtau", "xsyn")
    paths = (
        *(f"x1.{name}.{key}" for name in sizes for key in ("w", "l", "dvt") if (name, key) != ("xsyn", "dvt")),
        *(f"{name}.x1.{key}" for name in ("xbw", "xbt", "xbth") for key in ("w", "dvt")),
        "x1.csyn.c", "param.iw", "param.itau", "param.igain", "param.ekv_nn", "param.ekv_np", "param.ekv_ven",
    )  # fmt: skip
    netlist = read_netlist_text(text, str(path), [path.parent, library.circuits_folder()])
    return Case(netlist, paths, ("x1.syn", "x1.t"), np.linspace(0.5e-3, 15.9e-3, 150), 16e-3)


def row() -> Case:
    """Two synapses in a row: the output of the first is the weight of the second."""
    path = library.spice_folder() / "dpi_synapse.cir"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith((".meas", "* meas"))]
    text = "\n".join(lines).replace("2m 1u 1u 40m 10", "0.5m 1u 1u 4m 10")
    text = text.replace(
        "Vo out 0 0.9", "Xbo out 0 bias_n\nX2 pre out vthr vtau out2 vdd 0 dpi_synapse C=2p\nVo out2 0 0.9"
    )
    sizes = ("xpre", "xw", "xin", "xthr", "xtau", "xsyn")
    transistors = (*(f"x{k}.{name}" for k in (1, 2) for name in sizes), *(f"xb{k}.x1" for k in ("w", "t", "th", "o")))
    card = ("nn", "np", "vtn", "vtp", "kpn", "kpp", "cox", "cgo", "cjw")
    paths = (
        *(f"{name}.{key}" for name in transistors for key in ("w", "l", "dvt", "dbt")
          if name != "x2.xsyn" or key in ("w", "l")),
        "x1.csyn.c", "x2.csyn.c", "param.iw", "param.itau", "param.igain", *(f"param.ekv_{name}" for name in card),
    )  # fmt: skip
    netlist = read_netlist_text(text, str(path), [path.parent, library.circuits_folder()])
    nodes = ("x1.syn", "x1.t", "out", "x2.syn", "x2.t")
    return Case(netlist, paths, nodes, np.linspace(0.2e-3, 6.9e-3, 150), 7e-3)


CASES: dict[str, Callable[[], Case]] = {"synapse": synapse, "row": row}


def bounds(path: str, value: float) -> tuple[float, float, bool]:
    """Between which a parameter lies, and whether in its logarithm."""
    if path.endswith(("dvt", "dbt")):
        most = SHIFT if path.endswith("dvt") else FACTOR
        return -2 * most, 2 * most, False
    width = 1 + 2 * (CARD if path.startswith("param.ekv") else SPREAD)
    return value / width, value * width, True


class Enough(Exception):
    """No more runs."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--problem", choices=CASES, default="synapse")
    parser.add_argument("--runs", type=int, default=400, help="of ngspice, at most")
    parser.add_argument(
        "--steps", default="1e-3", help="of the finite differences, as shares of the range, with commas"
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore", FitWarning)
    case = CASES[given.problem]()
    circuit = asn.Circuit.from_netlist(case.netlist)
    parameters = []
    for path in case.paths:
        low, high, log = bounds(path, float(circuit[path]))
        parameters.append(Parameter(path, low, high, log=log))
    generator = np.random.default_rng(2026)
    secret = generator.uniform(0.2, 0.8, len(parameters))
    truth = {p.path: float(p.value(x)) for p, x in zip(parameters, secret, strict=True)}

    def recorded(values: dict[str, float], options: dict[str, Any]) -> np.ndarray:
        waves = ngspice.transient(
            case.netlist.replace(values), case.stop, options=options, save=case.nodes, keep=False, fresh=True
        )
        return np.stack([np.interp(case.times, waves.time, waves.voltage(node)) for node in case.nodes])

    data = recorded(truth, TIGHT)
    data = data + NOISE * generator.standard_normal(data.shape)
    targets = [
        Target("trace", node, row, case.times, sigma=NOISE, align=False)
        for node, row in zip(case.nodes, data, strict=True)
    ]
    start = np.array([p.inside(float(circuit[p.path])) for p in parameters])

    began, cpu = time.monotonic(), time.process_time()
    ours_history: list[tuple[int, float]] = []
    done = fit(
        circuit, targets, parameters, t_stop=case.stop, progress=lambda runs, cost: ours_history.append((runs, cost))
    )
    ours = {"runs": done.simulator_runs, "seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu}
    goal = 1.1 * done.cost_after
    ours |= {"cost": done.cost_after, "to_goal": next(r for r, cost in ours_history if cost <= goal)}
    print(f"{len(parameters)} parameters, {data.size} values; at the secret the cost is about {0.5 * data.size:.0f}")
    print(
        f"ours: cost {done.cost_before:.4g} to {done.cost_after:.4g} in {ours['runs']} runs, {ours['seconds']:.0f} s, "
        f"{ours['cpu_seconds']:.0f} CPU s; within ten per cent of it after {ours['to_goal']}",
        flush=True,
    )

    theirs = []
    for step in map(float, given.steps.split(",")):
        history: list[tuple[int, float]] = []
        runs = 0

        def residuals(x: np.ndarray, history: list[tuple[int, float]] = history) -> np.ndarray:
            nonlocal runs
            if runs >= given.runs:
                raise Enough
            runs += 1
            values = {p.path: float(p.value(v)) for p, v in zip(parameters, x, strict=True)}
            found = ((recorded(values, {}) - data) / NOISE).ravel()
            cost = 0.5 * float(found @ found)
            if not history or cost < history[-1][1]:
                history.append((runs, cost))
            if cost <= goal:
                raise Enough
            return np.concatenate([found, (x - start) / PRIOR])

        began = time.monotonic()
        with contextlib.suppress(Enough):
            least_squares(residuals, start, bounds=(0.0, 1.0), diff_step=step, method="trf", x_scale=1.0)
        reached = next((r for r, cost in history if cost <= goal), None)
        row = {"step": step, "runs": runs, "cost": history[-1][1], "to_goal": reached}
        theirs.append(row | {"seconds": time.monotonic() - began})
        said = f"after {reached} runs, {reached / ours['to_goal']:.1f} times ours" if reached else "not"
        print(f"ngspice, step {step:g}: cost {row['cost']:.4g} in {runs} runs; that of ours reached {said}", flush=True)
    if given.json:
        given.json.write_text(
            json.dumps(
                {"problem": given.problem, "parameters": len(parameters), "ours": ours, "ngspice": theirs}, indent=1
            )
        )


if __name__ == "__main__":
    sys.exit(main())
