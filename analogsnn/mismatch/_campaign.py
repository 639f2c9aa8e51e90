"""Monte Carlo over mismatch: samples with addresses, in chunks, into a folder that can be continued."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import InputError, SimulationError
from ..netlist import Netlist, parameter_values, write_netlist
from ._draws import as_key, key_record, shifted, shifts_of
from ._engines import RUNNERS, Chunk, Job, nominal_waves
from ._law import AreaLaw, transistors
from ._measures import Failure, Measure, choose_measures
from ._result import Campaign
from ._store import FORMAT, Store, open_store

if TYPE_CHECKING:
    from ..circuit import Circuit

# Samples a chunk: for our engine as many as run side by side best, for ngspice few, since each takes seconds.
WIDTH = {"jax": 128, "ngspice": 8}


def monte_carlo(
    circuit: Circuit | Netlist,
    measure: Measure | None = None,
    samples: int = 1000,
    key: Any = 0,
    *,
    law: AreaLaw | None = None,
    engine: str = "jax",
    folder: str | os.PathLike[str] | None = None,
    workers: str | int = 1,
    accuracy: str | None = None,
    rtol: float | None = None,
    t_stop: float | None = None,
    width: int | None = None,
    timeout: float = 600.0,
    progress: Callable[[int], None] | None = None,
) -> Campaign:
    """Measure many samples of a circuit, each with its own mismatch.

    Sample i has the same transistors in every campaign with the same `key`, on either engine, whatever else is drawn.

    **Arguments**

    - `circuit`: a circuit, or a netlist (for ngspice with any card whose `nfet` and `pfet` have `dvt` and `dbt`).
    - `measure`: names of the deck's `.meas` statements (default: all) and expressions such as `"rate(spk)"`; or a
      function of `Waveforms`, or several by name.
    - `key`: a seed or JAX key. `law`: by default that of the deck's card.
    - `engine`: `"jax"` or `"ngspice"`.
    - `folder`: where finished chunks are kept; a campaign that was stopped goes on there. By default nowhere.
    - `workers`: threads of our engine, each with its own lanes; processes for ngspice, or `"dask://HOST:PORT"`. With
      `jax.distributed` every process calls this with the same folder, does its share, and has the whole result.
    - `accuracy`, `rtol`, `t_stop`: of each run, as `transient` takes them. `timeout`: of an ngspice run, s.
    - `width`: samples a chunk.
    - `progress`: called with the number of samples done, beginning with those found in the folder.

    **Returns** a `Campaign`: values, failures with their reasons, statistics.

    **Raises** `InputError` for arguments, decks and folders that cannot be, and for a measure that does not happen in
    the nominal circuit; `SimulationError` for a nominal run that fails, workers that die, and a full disk.

    ```python
    netlist = library.read_bench("dpi_synapse")
    chips = monte_carlo(netlist, ["i_ss", "tau"], samples=100, key=1)
    chips.statistics["i_ss"].cv
    ```
    """
    netlist = plain_netlist(circuit)
    if engine not in RUNNERS:
        raise InputError(f"there is no engine '{engine}'; there are {', '.join(RUNNERS)}.")
    width = WIDTH[engine] if width is None else width
    if samples < 1 or width < 1:
        raise InputError(f"{samples} samples in chunks of {width} are asked for; both must be at least one.")
    if not (math.isfinite(timeout) and timeout > 0):
        raise InputError(f"the time limit is {timeout:g} s; it must be positive and finite.")
    measures = choose_measures(netlist, measure)
    law = AreaLaw.from_card(netlist) if law is None else law
    devices = transistors(netlist, law)
    typed = as_key(key)
    job = Job(netlist, measures, accuracy, rtol, t_stop, timeout, width)
    known = parameter_values(netlist)

    def make(number: int) -> Chunk:
        ids = range(number * width, min((number + 1) * width, samples))
        return Chunk(number, ids.start, shifted(known, shifts_of(devices, typed, ids, law)))

    make(0)  # what is wrong with the law is said before anything runs
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="analogsnn-campaign-") as name:
            nominal = _nominal(job, engine)
            record = _record(job, law, key, engine, width)
            with open_store(Path(name), record, measures.names, samples, width) as store:
                values, failures, seconds = _run(job, make, engine, workers, store, samples, (0, 1), progress)
        where = None
    else:
        where = Path(folder)
        share = _share()
        record = _record(job, law, key, engine, width)
        with open_store(where, record, measures.names, samples, width, share) as store:
            nominal = _nominal(job, engine)
            values, failures, seconds = _run(job, make, engine, workers, store, samples, share, progress)
    if len({f.sample for f in failures if f.measure is None}) == samples:
        raise SimulationError(f"all {samples} runs failed; the first one: {failures[0].reason}")
    return Campaign(
        measures.names,
        values,
        tuple(failures),
        nominal,
        law,
        key_record(key),
        engine,
        netlist,
        seconds / samples,
        where,
        job,
    )


def plain_netlist(circuit: Circuit | Netlist) -> Netlist:
    """The netlist behind a circuit with the circuit's own parameter values, its devices expanded."""
    if isinstance(circuit, Netlist):
        return circuit.flatten() if circuit.devices else circuit
    netlist = circuit.netlist.flatten()
    if circuit.is_traced:
        raise InputError("a campaign takes a circuit whose parameters are numbers; call it outside of JAX's functions.")
    old = parameter_values(circuit.netlist)
    changed = {path: float(value) for path, value in circuit.parameters.items() if float(value) != old[path]}
    return netlist.replace(changed) if changed else netlist


def _nominal(job: Job, engine: str) -> dict[str, float]:
    waves = nominal_waves(job, engine)
    values, failures = job.measures.evaluate(job.netlist, waves, 0)
    if failures:
        raise InputError(
            "\n".join(
                f"measure '{f.measure}' has no value in the circuit without mismatch: {f.reason}" for f in failures
            )
        )
    return dict(zip(job.measures.names, values, strict=True))


def _share() -> tuple[int, int]:
    """Which of `jax.distributed`'s processes this is, and how many there are; without it the only one."""
    import jax

    return (jax.process_index(), jax.process_count()) if jax.distributed.is_initialized() else (0, 1)


def _record(job: Job, law: AreaLaw, key: Any, engine: str, width: int) -> dict[str, Any]:
    netlist = job.netlist
    text = "\n".join([write_netlist(netlist).partition("\n")[2], repr(sorted(netlist.params.items()))])
    if engine == "ngspice":
        from ..ngspice import ngspice_version

        solver = f"ngspice {ngspice_version()}"
    else:
        import jax

        solver = f"jax {jax.__version__}, jaxlib {version('jaxlib')} on {jax.default_backend()}"
    return {
        "format": FORMAT, "version": __version__, "engine": engine, "solver": solver,
        "deck": hashlib.sha256(text.encode()).hexdigest(), "title": netlist.title,
        "measures": job.measures.record(netlist), "law": law.to_dict(), "key": key_record(key), "width": width,
        "settings": {"accuracy": job.accuracy, "rtol": job.rtol, "t_stop": job.t_stop},
    }  # fmt: skip


def _run(
    job: Job, make: Callable[[int], Chunk], engine: str, workers: str | int, store: Store, samples: int,
    share: tuple[int, int], progress: Callable[[int], None] | None,
) -> tuple[np.ndarray, list[Failure], float]:  # fmt: skip
    count = -(-samples // store.width)
    whole = {number: _size(number, store.width, samples) for number in range(count)}
    mine = [number for number in whole if number % share[1] == share[0]]
    missing = [number for number in mine if not _has(store, number, whole[number])]
    done = sum(whole[number] for number in mine) - sum(whole[number] for number in missing)
    if progress is not None:
        progress(done)
    for number in missing:
        store.forget(number)
    began = time.perf_counter()
    for result in RUNNERS[engine](job, make, missing, workers):
        now = time.perf_counter()
        store.write(result.chunk.number, result.chunk.start, result.values, result.failures, now - began)
        began = now
        done += result.chunk.size
        if progress is not None:
            progress(done)
    # The other processes of a campaign: what they have done is in the store.
    others = [number for number in whole if number not in mine]
    while others := [number for number in others if not _has(store, number, whole[number])]:
        time.sleep(0.2)
    return _collect(store, whole, samples)


def _has(store: Store, number: int, size: int) -> bool:
    kept = store.read(number)
    return kept is not None and len(kept[1]) >= size


def _size(number: int, width: int, samples: int) -> int:
    """How many samples chunk `number` has."""
    return min((number + 1) * width, samples) - number * width


def _collect(store: Store, whole: Mapping[int, int], samples: int) -> tuple[np.ndarray, list[Failure], float]:
    values = np.full((samples, len(store.names)), np.nan)
    failures: list[Failure] = []
    for number, size in whole.items():
        kept = store.read(number)
        if kept is None or len(kept[1]) < size:
            raise SimulationError(
                f"chunk {number} in {store.folder} cannot be read although it was written; start again to do it anew."
            )
        start, part, some = kept
        stop = min(start + len(part), samples)
        values[start:stop] = part[: stop - start]
        failures += [failure for failure in some if failure.sample < samples]
    return values, failures, store.seconds()
