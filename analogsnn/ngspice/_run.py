"""Netlist in, waveforms out."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..errors import InputError, NgspiceError
from ..netlist import Dc, Netlist, Op, Tran, flat_name, read_netlist, transient_analysis, write_netlist
from ..waveforms import Waveforms
from ._cache import cache_key, load, store
from ._ekv import check, probes
from ._log import classify
from ._options import Value, merge_options
from ._process import call, ngspice_version

Deck = Netlist | str | os.PathLike[str]
_LOGGER = logging.getLogger("analogsnn.ngspice")


def transient(
    deck: Deck,
    t_stop: float | None = None,
    *,
    options: Mapping[str, Value] | None = None,
    save: Iterable[str] | None = None,
    timeout: float = 600.0,
    fresh: bool = False,
    keep: bool = True,
) -> Waveforms:
    """Solve a deck over time with ngspice.

    **Arguments**

    - `deck`: a `Netlist`, or the path of one.
    - `t_stop`: end in s; by default that of the deck's `.tran`, which also gives print step, start and `uic`.
    - `options`: solver options that go before the deck's `.options`; what neither gives has a default for picoampere
      circuits (`DEFAULT_OPTIONS`). A value of False switches an option off.
    - `save`: nodes to keep, such as `["vmem", "x1.vr"]`; by default all. Currents of sources are always kept.
    - `timeout`: wall-clock limit in s.
    - `fresh`: solve even when the cache knows the result. `keep`: let the cache keep it; thousands of samples of one
      deck would fill a disk.

    **Returns** `Waveforms` at ngspice's own time points.

    **Raises** `InputError` for a deck that cannot be read or has no `.tran`, `NgspiceError` for a run that fails or
    whose log says that its result is none.

    ```python
    waves = transient("spice/dpi_synapse.cir")
    waves.current("vo").max()  # 845e-12
    ```
    """
    netlist = as_netlist(deck)
    tran, stop = transient_analysis(netlist, t_stop)
    # Not more than the deck's own print step, which is also the rise time of edges that are given as zero.
    times = [tran.step, stop] + ([tran.start] if tran.start or tran.max_step else [])
    times += [] if tran.max_step is None else [tran.max_step]
    line = ".tran " + " ".join(map(repr, map(float, times))) + (" uic" if tran.uic else "")
    waves = _solve(netlist, line, "time", options, save, timeout, fresh, keep)
    if waves.time[-1] < stop * (1 - 1e-9):
        raise NgspiceError(
            f"ngspice stopped at t = {waves.time[-1]:.6g} s of {stop:.6g} s without saying why; try a smaller reltol."
        )
    return waves


def dc(
    deck: Deck,
    *,
    options: Mapping[str, Value] | None = None,
    save: Iterable[str] | None = None,
    timeout: float = 600.0,
    fresh: bool = False,
    keep: bool = True,
) -> Waveforms:
    """Sweep a source as the deck's `.dc` says. Arguments and errors as in `transient`.

    **Returns** `Waveforms` whose `time` is the swept quantity; with two sweeps the inner one, repeated.
    """
    netlist = as_netlist(deck)
    analysis = next((a for a in netlist.analyses if isinstance(a, Dc)), None)
    if analysis is None:
        raise InputError(f"{netlist.file} has no .dc; add one such as .dc vin 0 1.8 0.01.")
    words = [".dc"]
    for sweep in analysis.sweeps:
        words += [flat_name(sweep.source, sweep.source.rpartition(".")[2][0])]
        words += [repr(float(x)) for x in (sweep.start, sweep.stop, sweep.step)]
    return _solve(netlist, " ".join(words), analysis.sweeps[0].source, options, save, timeout, fresh, keep)


def operating_point(
    deck: Deck,
    *,
    options: Mapping[str, Value] | None = None,
    save: Iterable[str] | None = None,
    timeout: float = 600.0,
    fresh: bool = False,
    keep: bool = True,
) -> Waveforms:
    """The DC operating point, sources at their DC values. Arguments and errors as in `transient`.

    **Returns** `Waveforms` of one point.
    """
    return _solve(as_netlist(deck), ".op", "op", options, save, timeout, fresh, keep)


def run(
    deck: Deck,
    *,
    options: Mapping[str, Value] | None = None,
    save: Iterable[str] | None = None,
    timeout: float = 600.0,
    fresh: bool = False,
    keep: bool = True,
) -> Waveforms:
    """Do the deck's first analysis, whichever it is. Arguments and errors as in `transient`."""
    netlist = as_netlist(deck)
    if not netlist.analyses:
        raise InputError(f"{netlist.file} has no analysis; add .tran, .dc or .op.")
    solve = {Tran: transient, Dc: dc, Op: operating_point}[type(netlist.analyses[0])]
    return solve(netlist, options=options, save=save, timeout=timeout, fresh=fresh, keep=keep)


def as_netlist(deck: Deck) -> Netlist:
    return deck if isinstance(deck, Netlist) else read_netlist(deck)


def deck_lines(netlist: Netlist, options: Mapping[str, Value] | None) -> list[str]:
    """The deck without analyses and without its end, options merged."""
    merged = {k: v for k, v in merge_options(netlist.options, options).items() if v is not False}
    text = write_netlist(dataclasses.replace(netlist, options=dict(sorted(merged.items()))), analyses=False)
    # The title is no physics; and ngspice echoes it into the log, where it could be taken for a judgement.
    return ["analogsnn", *text.splitlines()[1:-1]]


def _solve(
    netlist: Netlist,
    analysis: str,
    variable: str,
    options: Mapping[str, Value] | None,
    save: Iterable[str] | None,
    timeout: float,
    fresh: bool,
    keep: bool,
) -> Waveforms:
    lines = [*deck_lines(netlist, options), analysis]
    if save is not None:
        nodes = [name.lower() for name in save]
        unknown = [name for name in nodes if name not in netlist.nodes]
        if unknown:
            raise InputError(f"'{unknown[0]}' is no node of {netlist.file}; there are {', '.join(netlist.nodes[:8])} …")
        sources = [flat_name(e.name, "v") for e in netlist.elements if e.letter == "v"]
        lines.append(".save " + " ".join([*(f"v({n})" for n in nodes), *(f"i({s})" for s in sources)]))
    lines.append(".end")
    supply = netlist.supply
    version = ngspice_version()
    key = cache_key(lines, version, supply)
    if not fresh and (kept := load(key)) is not None:
        return kept
    tests = probes(netlist)
    answer, vectors = call(lines, [probe.deck for probe in tests], timeout)
    judge(answer["log"], vectors)
    for probe, solved in zip(tests, answer["probes"], strict=True):
        check(probe, solved)
    assert vectors is not None
    waves = _waveforms(netlist, vectors, variable, supply, answer["statistics"] if variable == "time" else {})
    if keep:
        store(key, waves)
    return waves


def judge(log: list[str], vectors: Mapping[str, np.ndarray] | None) -> None:
    fatal, warnings = classify(log)
    text = "\n".join(log)
    if fatal:
        said = "; ".join(list(dict.fromkeys(line.rstrip(".") for line in fatal))[:3])
        raise NgspiceError(f"ngspice's log says: {said}. The run is rejected.{_advice(log)}", text)
    if not vectors or any(v.size == 0 for v in vectors.values()):
        raise NgspiceError("ngspice reported success and gave no data; the run is rejected.", text)
    for name, values in vectors.items():
        if not np.all(np.isfinite(values)):
            raise NgspiceError(f"ngspice gave values of '{name}' that are not finite; the run is rejected.", text)
    for line in dict.fromkeys(warnings):
        _LOGGER.warning("ngspice: %s", line)


def _advice(log: list[str]) -> str:
    """What a line about a singular matrix or a small step means, and what helps."""
    text = "\n".join(log)
    singular = re.search(r"singular matrix: +check nodes? +(\S+)", text)
    if singular and singular[1].endswith("#branch"):
        name = re.sub(r"^[a-z]\.", "", singular[1][: -len("#branch")])
        return f" The current of '{name}' is not determined: look for a loop of voltage sources or inductors."
    if singular:
        return f" The voltage of '{singular[1]}' is not determined: give it a DC path to ground."
    if re.search(r"timestep too small", text, re.I) and not re.search("out of range", text):
        at = re.search(r"time = (\S+?),", text)
        when = f" It happened at t = {float(at[1]):.4g} s." if at else ""
        return f"{when} Try start values with .ic, a smaller reltol, or method=gear."
    return ""


def _waveforms(
    netlist: Netlist,
    vectors: Mapping[str, np.ndarray],
    variable: str,
    supply: float | None,
    statistics: Mapping[str, int],
) -> Waveforms:
    voltages, currents, axis = {}, {}, np.zeros(1)
    for name, values in vectors.items():
        if name == "time" or name.endswith("-sweep"):
            axis = values
        elif name.endswith("#branch"):
            currents[re.sub(r"^[a-z]\.", "", name[: -len("#branch")])] = values
        elif not name.startswith("@"):
            voltages[re.sub(r"^v\((.*)\)$", r"\1", name, flags=re.I)] = values
    nodes = _in_order(voltages, netlist.nodes)
    branches = _in_order(currents, [element.name for element in netlist.elements])
    return Waveforms(
        time=axis, voltages=np.array([voltages[n] for n in nodes]).reshape(-1, axis.size), nodes=nodes,
        currents=np.array([currents[b] for b in branches]).reshape(-1, axis.size), branches=branches, supply=supply,
        variable=variable,
        steps=statistics.get("accepted"), rejected=statistics.get("rejected"),
    )  # fmt: skip


def _in_order(found: Mapping[str, np.ndarray], names: Sequence[str]) -> tuple[str, ...]:
    """The deck's order, as another engine would give it; what ngspice adds (nodes inside a device) comes last."""
    return tuple([n for n in names if n in found] + sorted(set(found) - set(names)))
