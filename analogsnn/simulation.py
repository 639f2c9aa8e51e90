"""One deck on one engine: its waveforms, its measures, and the numbers of `analogsnn simulate`."""

from __future__ import annotations

import difflib
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import library
from .errors import InputError
from .measure import evaluate_measures, spike_times
from .netlist import Dc, Netlist, Tran, read_netlist
from .waveforms import Waveforms


@dataclass(frozen=True)
class Settings:
    """What every engine is told.

    - `accuracy`: `"fast"`, `"reference"`, or None for the deck's own options (ngspice) or the engine's default.
    - `rtol`: relative tolerance, which goes before that of `accuracy`.
    - `timeout`: wall-clock limit in s. `fresh`: use no kept result.
    """

    accuracy: str | None = None
    rtol: float | None = None
    timeout: float = 600.0
    fresh: bool = False


@dataclass(frozen=True)
class Run:
    """What an engine returns: waveforms, and the seconds that it took to compile (None where nothing is) and to run."""

    waves: Waveforms
    seconds_compile: float | None
    seconds_run: float


def run_ngspice(netlist: Netlist, settings: Settings) -> Run:
    """The deck's first analysis in ngspice."""
    from . import ngspice

    options = dict(ngspice.ACCURACY[settings.accuracy]) if settings.accuracy else {}
    if settings.rtol is not None:
        options["reltol"] = settings.rtol
    started = time.perf_counter()
    waves = ngspice.run(netlist, options=options, timeout=settings.timeout, fresh=settings.fresh)
    return Run(waves, None, time.perf_counter() - started)


def run_jax(netlist: Netlist, settings: Settings) -> Run:
    """The deck's first analysis in our own engine. What is compiled is compiled on a short run first."""
    from .circuit import Circuit
    from .transient import dc, operating_point, transient

    if not netlist.analyses:
        raise InputError(f"{netlist.file} has no analysis; add .tran, .dc or .op.")
    circuit = Circuit.from_netlist(netlist)
    analysis = netlist.analyses[0]

    def solve(stop: float | None) -> Waveforms:
        if isinstance(analysis, Dc):
            return dc(circuit)
        if not isinstance(analysis, Tran):
            return operating_point(circuit)
        accuracy = settings.accuracy or "reference"
        return transient(circuit, stop, accuracy=accuracy, rtol=settings.rtol, timeout=settings.timeout)

    started = time.perf_counter()
    if isinstance(analysis, Tran):
        solve(analysis.start + 1e-9 * (analysis.stop - analysis.start))
    else:
        operating_point(circuit)
    compiled = time.perf_counter()
    waves = solve(None)
    return Run(waves, compiled - started, time.perf_counter() - compiled)


ENGINES: Mapping[str, Callable[[Netlist, Settings], Run]] = {"jax": run_jax, "ngspice": run_ngspice}


def read_deck(path: str | os.PathLike[str], folders: tuple[str | Path, ...] = ()) -> Netlist:
    """A deck of the user's: it may include what lies below its own folder, the library, and `folders`.

    `.include ../circuits/cards/ekv.lib`, as the library's own benches say it, finds the library from anywhere.

    **Raises** `NetlistErrors`.
    """
    return read_netlist(path, deck_roots(path, folders))


def deck_roots(path: str | os.PathLike[str], folders: tuple[str | Path, ...] = ()) -> list[str | Path]:
    """The folders below which a deck of the user's may read, and in which its includes are looked for."""
    own = Path(path).parent
    return [own, *folders, library.circuits_folder(), library.spice_folder()]


def simulate(netlist: Netlist, engine: str = "jax", settings: Settings | None = None) -> Run:
    """Run a deck on the engine called `engine`.

    **Raises** `InputError` for an unknown engine or settings that cannot be, `SimulationError` for a run that fails.
    """
    settings = settings or Settings()
    if engine not in ENGINES:
        raise InputError(f"there is no engine '{engine}'; there are {', '.join(ENGINES)}.")
    if settings.accuracy not in (None, "fast", "reference"):
        raise InputError(f"the accuracy is '{settings.accuracy}'; choose fast or reference.")
    if settings.rtol is not None and not 0 < settings.rtol < 1:
        raise InputError(f"the relative tolerance is {settings.rtol:g}; it must lie between 0 and 1, such as 1e-4.")
    if not 0 < settings.timeout < 1e9:
        raise InputError(f"the time limit is {settings.timeout:g} s; it must be positive and finite.")
    return ENGINES[engine](netlist, settings)


def numbers(netlist: Netlist, run: Run, engine: str, threshold: float | None = None) -> dict[str, Any]:
    """The keys of `analogsnn simulate --json`; quantities in SI units, None for what there is not.

    **Raises** `InputError` for a measure that does not happen, or a threshold that is not finite.
    """
    waves = run.waves
    if threshold is not None and not math.isfinite(threshold):
        raise InputError(f"the threshold is {threshold:g} V; it must be finite.")
    level = threshold if threshold is not None or waves.supply is None else 0.5 * float(waves.supply)
    measures = evaluate_measures(waves, netlist.measures, netlist.params)
    nodes = {}
    for node in waves.nodes:
        values = np.asarray(waves.voltage(node))
        spikes = None if level is None or waves.variable != "time" else spike_times(waves, node, level).tolist()
        nodes[node] = {
            "min": float(values.min()), "max": float(values.max()), "final": float(values[-1]), "spike_times": spikes,
        }  # fmt: skip
    return {
        "engine": engine,
        "threshold": level,
        "nodes": nodes,
        "measures": {name: _number(name, value) for name, value in measures.items()},
        "steps": None if waves.steps is None else int(waves.steps),
        "rejected": None if waves.rejected is None else int(waves.rejected),
        "seconds_compile": run.seconds_compile,
        "seconds_run": run.seconds_run,
    }


def _number(name: str, value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"measure '{name}' is {number:g}; a measure must be a finite number.")
    return number


def left_out(netlist: Netlist) -> list[str]:
    """Sentences about what of the deck a run does not do: further analyses, and their measures."""
    if not netlist.analyses:
        return []
    names = ["." + type(analysis).__name__.lower() for analysis in netlist.analyses]
    done = "tran" if isinstance(netlist.analyses[0], Tran) else names[0][1:]
    said = [f"only the first analysis, {names[0]}, is run; {', '.join(names[1:])} is left out."] if names[1:] else []
    others = [measure.name for measure in netlist.measures if measure.analysis != done]
    return said + ([f"measures of other analyses are left out: {', '.join(others)}."] if others else [])


def signals(netlist: Netlist, waves: Waveforms, chosen: tuple[str, ...] = ()) -> list[str]:
    """What to draw: `chosen`, else what the deck saves, else what its measures look at, else what moves; eight at most.

    **Returns** names such as `v(spk)` and `i(vo)`. **Raises** `InputError` for a chosen one that there is not.
    """
    known = [*(f"v({node})" for node in waves.nodes), *(f"i({branch})" for branch in waves.branches)]
    if chosen:
        names = [name.lower() if "(" in name else f"v({name.lower()})" for name in chosen]
        for name in names:
            if name not in known:
                close = difflib.get_close_matches(name, known, 3) or known[:8]
                raise InputError(f"there is no signal '{name}' to draw; there are {', '.join(close)}.")
        return names
    text = " ".join([*netlist.saves, *(m.text for m in netlist.measures)]).replace(" ", "")
    looked_at = [name for name in known if name in text]
    moving = [
        f"v({node})" for node in waves.nodes if np.ptp(np.asarray(waves.voltage(node))) > 1e-3 and "." not in node
    ]
    return (looked_at or moving or known)[:8]
