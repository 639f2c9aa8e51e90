"""Benches of the library on both engines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import library
from ..errors import InputError
from ..measure import evaluate_measures
from ..netlist import Dc, Netlist, Op, Tran
from ..simulation import Settings, simulate
from ..waveforms import Waveforms
from ._compare import TOLERANCE, Row, measure_row, spike_rows
from ._models import Model, textbook_model
from ._report import BenchReport, Report

OUR_CARD = "ekv"
# On another card the models differ by some per cent, and BSIM3's edges stop the trapezoidal rule at 1e-7.
OTHER_CARD_RTOL = 1e-5


def validate(
    blocks: str | Sequence[str] | None = None,
    against: str = OUR_CARD,
    *,
    long: bool = False,
    tolerance: float = TOLERANCE,
    timeout: float = 1800.0,
    fresh: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Report:
    """Run benches in our engine and in ngspice and lay their numbers side by side.

    Both at their reference accuracy: Rodas5P at 1e-6, ngspice with the trapezoidal rule at 1e-7 (on another card with
    the bench's own options at 1e-5). Measures are the `.meas` statements that the header of a bench names, evaluated by
    `analogsnn.measure` on either engine's waveforms.

    **Arguments**

    - `blocks`: names of blocks or benches; by default every bench.
    - `against`: the device card that ngspice gets. With `"ekv"`, the card that our engine computes, every number is
      judged. Any other (`"bsim3"`, or the path of a file with `nfet` and `pfet`) shows how far our model is from that
      one, and nothing is judged.
    - `long`: benches in full; otherwise a bench runs for as long as `spice/expected/` calls short, if it does, without
      the measures that are marked as long there.
    - `tolerance`: relative, of every measure.
    - `timeout`: of each run, wall-clock s. `fresh`: take no kept result of ngspice.
    - `progress`: called with 1 after each run, of which there are two a bench.

    **Returns** a `Report`.

    **Raises** `InputError` for names and cards that do not exist, `SimulationError` for a run that fails.

    ```python
    report = validate("dpi_synapse")
    report.ok  # True
    report.benches["dpi_synapse"].rows["tau"].relative_error  # 4e-6
    ```
    """
    if not 0 < tolerance < 1:
        raise InputError(f"the tolerance is {tolerance:g}; it is relative and lies between 0 and 1, such as 0.005.")
    names = find_benches(blocks)
    judged = against == OUR_CARD
    cards = {name: library.read_bench(name, card=against) for name in names}  # a bad card fails before any run
    exact = Settings("reference", timeout=timeout, fresh=fresh)
    theirs = exact if judged else dataclasses.replace(exact, accuracy=None, rtol=OTHER_CARD_RTOL)

    def run(netlist: Netlist, engine: str) -> Waveforms:
        waves = simulate(netlist, engine, exact if engine == "jax" else theirs).waves
        if progress is not None:
            progress(1.0)
        return waves

    benches = {}
    for name in names:
        netlist = at_length(library.read_bench(name), name, long)
        ours = run(netlist, "jax")
        ngspice = run(at_length(cards[name], name, long), "ngspice")
        model = textbook_model(name, netlist)
        rows = _rows(name, netlist, ours, ngspice, model, tolerance if judged else None, long)
        benches[name] = BenchReport(name, netlist, ours, ngspice, model, rows)
    return Report(benches, against, judged, long)


def find_benches(blocks: str | Sequence[str] | None) -> tuple[str, ...]:
    """The benches of blocks, by the name of either; all of them for None.

    **Raises** `InputError` with near names.
    """
    if not blocks:
        return tuple(library.benches())
    found: dict[str, None] = {}
    for name in [blocks] if isinstance(blocks, str) else blocks:
        of_block = [bench for bench in library.benches() if library.bench(bench).block == name]
        found |= dict.fromkeys(of_block or [library.bench_path(name).stem])
    return tuple(found)


def at_length(netlist: Netlist, bench: str, long: bool) -> Netlist:
    """The bench with the stop time of its short form, unless the long one is asked for."""
    short = library.expected(bench).get("short")
    if long or short is None:
        return netlist
    analyses = [dataclasses.replace(a, stop=short) if isinstance(a, Tran) else a for a in netlist.analyses]
    return dataclasses.replace(netlist, analyses=tuple[Tran | Dc | Op, ...](analyses))


def _rows(
    bench: str, netlist: Netlist, ours: Waveforms, ngspice: Waveforms, model: Model | None, tolerance: float | None,
    long: bool,
) -> Mapping[str, Row]:  # fmt: skip
    statements, params = netlist.measures, netlist.params
    # What does not happen in one engine has no value there, and so fails.
    a, b = (evaluate_measures(waves, statements, params, strict=False) for waves in (ours, ngspice))
    c: dict[str, Any] = {}
    if model is not None:
        known = [statement for statement in statements if statement.name in model.measures]
        c = evaluate_measures(model.waves, known, params, strict=False)
    late = [name for name, entry in library.expected(bench)[OUR_CARD].items() if entry.get("long") and not long]
    rows = {
        name: measure_row(text, unit, a[name], b[name], tolerance, c.get(name))
        for name, (unit, text) in library.bench(bench).measures.items()
        if name not in late
    }
    return {**rows, **spike_rows(ours, ngspice, None if model is None else model.waves, judged=tolerance is not None)}
