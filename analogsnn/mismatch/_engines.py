"""Samples of a circuit on one engine or the other: chunk after chunk, on the workers that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..errors import AnalogSNNError, InputError, SimulationError
from ..netlist import Dc, Netlist, Tran
from ..waveforms import Waveforms
from ._measures import Failure, Measures


@dataclass(frozen=True)
class Job:
    """What every sample of a campaign has in common; it can be sent to another process.

    - `netlist`: the deck with its nominal values. `measures`: what is measured.
    - `accuracy`, `rtol`, `t_stop`: as `transient` takes them. `timeout`: of an ngspice run, s.
    - `width`: samples a chunk, which is also how many lanes our engine runs side by side.
    """

    netlist: Netlist
    measures: Measures
    accuracy: str | None
    rtol: float | None
    t_stop: float | None
    timeout: float
    width: int


class Chunk(NamedTuple):
    """Some samples: which chunk, its first sample, and the parameter values by path, `[sample]`."""

    number: int
    start: int
    values: Mapping[str, np.ndarray]

    @property
    def size(self) -> int:
        """How many samples."""
        return len(next(iter(self.values.values())))


class Done(NamedTuple):
    """A finished chunk: values `[sample, measure]`, and the failures."""

    chunk: Chunk
    values: np.ndarray
    failures: list[Failure]


Make = Callable[[int], Chunk]


def nominal_waves(job: Job, engine: str) -> Waveforms:
    """The run without mismatch.

    **Raises** what the engine raises.
    """
    return _ngspice_waves(job, job.netlist) if engine == "ngspice" else _jax_waves(job, {})


def run_jax(job: Job, make: Make, chunks: Sequence[int], workers: str | int) -> Iterator[Done]:
    """Chunks in our own engine, all lanes of a chunk side by side, on so many processors (or devices)."""
    if not isinstance(workers, int):
        raise InputError(f"the engine jax takes a number of workers, not '{workers}'; Dask is for ngspice.")
    made = [make(number) for number in chunks]
    where = [(chunk, row) for chunk in made for row in range(chunk.size)]
    values = {chunk.number: np.full((chunk.size, len(job.measures.names)), np.nan) for chunk in made}
    failures: dict[int, list[list[Failure]]] = {chunk.number: [[] for _ in range(chunk.size)] for chunk in made}
    left = {chunk.number: chunk.size for chunk in made}
    for lane, waves in _jax_lanes(job, made, workers):
        chunk, row = where[lane]
        values[chunk.number][row], failures[chunk.number][row] = _measured(job, waves, chunk.start + row)
        left[chunk.number] -= 1
        if not left[chunk.number]:
            yield Done(chunk, values.pop(chunk.number), [f for some in failures.pop(chunk.number) for f in some])


def _measured(job: Job, waves: Waveforms | AnalogSNNError, sample: int) -> tuple[list[float], list[Failure]]:
    if isinstance(waves, AnalogSNNError):
        return job.measures.failed(waves, sample)
    return job.measures.evaluate(job.netlist, waves, sample)


def _jax_lanes(job: Job, chunks: Sequence[Chunk], workers: int) -> Iterator[tuple[int, Waveforms | AnalogSNNError]]:
    from ..circuit import Circuit
    from ..transient import LEAST_LANES, transient_lanes

    if not chunks:
        return
    given = {path: np.concatenate([chunk.values[path] for chunk in chunks]) for path in chunks[0].values}
    if job.t_stop is not None or isinstance(job.netlist.analyses[0], Tran):
        circuit = Circuit.from_netlist(job.netlist)
        yield from transient_lanes(
            circuit, given, job.t_stop, accuracy=job.accuracy or "reference", rtol=job.rtol, workers=workers,
            chunk=-(-job.width // LEAST_LANES) * LEAST_LANES,
        )  # fmt: skip
        return
    for lane in range(sum(chunk.size for chunk in chunks)):
        try:
            yield lane, _jax_waves(job, {path: float(values[lane]) for path, values in given.items()})
        except SimulationError as error:
            yield lane, error


def _jax_waves(job: Job, values: Mapping[str, float]) -> Waveforms:
    from ..circuit import Circuit
    from ..transient import dc, operating_point, transient

    circuit = _circuit(job.netlist, Circuit).replace(values)
    analysis = job.netlist.analyses[0] if job.netlist.analyses else None
    if isinstance(analysis, Tran) or job.t_stop is not None:
        return transient(circuit, job.t_stop, accuracy=job.accuracy or "reference", rtol=job.rtol)
    if analysis is None:
        raise InputError(f"{job.netlist.file} has no analysis; add .tran, .dc or .op.")
    return dc(circuit) if isinstance(analysis, Dc) else operating_point(circuit)


_CIRCUITS: dict[int, tuple[Netlist, Any]] = {}  # one circuit for all samples of a netlist


def _circuit(netlist: Netlist, circuit_type: Any) -> Any:
    kept = _CIRCUITS.get(id(netlist))
    if kept is None or kept[0] is not netlist:
        _CIRCUITS.clear()
        kept = _CIRCUITS[id(netlist)] = (netlist, circuit_type.from_netlist(netlist))
    return kept[1]


def run_ngspice(job: Job, make: Make, chunks: Sequence[int], workers: str | int) -> Iterator[Done]:
    """Chunks in ngspice by joblib: `workers` local processes, or the cluster at `dask://HOST:PORT`.

    **Raises** `SimulationError` for a worker that dies, `InputError` for workers that cannot be had.
    """
    import joblib

    tasks: Iterable[Any] = (joblib.delayed(ngspice_chunk)(job, make(number)) for number in chunks)
    if isinstance(workers, int) and workers == 1:
        for function, arguments, _ in tasks:
            yield function(*arguments)
        return
    try:
        with _backend(workers) as count:
            finished: Any = joblib.Parallel(n_jobs=count, return_as="generator_unordered")(tasks)
            yield from finished
    except (SimulationError, InputError):
        raise
    except Exception as error:
        if type(error).__name__ not in (
            "TerminatedWorkerError",
            "BrokenProcessPool",
            "KilledWorker",
            "CommClosedError",
        ):
            raise
        raise SimulationError(
            f"a worker process died ({type(error).__name__}: killed, or out of memory). Finished chunks are safe; "
            "start again to go on, with fewer workers if memory was short."
        ) from error


class _backend:
    """The workers as a context manager that yields their number for joblib."""

    def __init__(self, workers: str | int):
        self.workers = workers

    def __enter__(self) -> int:
        import joblib

        self.client: Any = None
        self.config: Any = None
        if isinstance(self.workers, int):
            return self.workers
        address = self.workers.replace("dask://", "tcp://", 1)
        try:
            from distributed import Client
        except ImportError:
            raise InputError("workers on Dask need it installed: pip install 'analogsnn[cluster]'.") from None
        try:
            self.client = Client(address, timeout=10)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(
                f"no Dask scheduler answers at {address} ({error}); start one, or give a number."
            ) from None
        self.config = joblib.parallel_config("dask")
        self.config.__enter__()
        return -1

    def __exit__(self, *error: Any) -> None:
        if self.config is not None:
            self.config.__exit__(*error)
        if self.client is not None:
            self.client.close()


def parse_workers(text: str) -> str | int:
    """`--workers`: a number of local processes, or `dask://HOST:PORT`.

    **Raises** `InputError`.
    """
    if text.startswith("dask://") and len(text) > len("dask://"):
        return text
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise InputError(f"the workers are '{text}'; give a number of processes, or dask://HOST:PORT.")


def ngspice_chunk(job: Job, chunk: Chunk) -> Done:
    """One chunk in ngspice; what a worker does."""
    from ..errors import NgspiceError

    values = np.full((chunk.size, len(job.measures.names)), np.nan)
    failures: list[Failure] = []
    for lane in range(chunk.size):
        given = {path: float(array[lane]) for path, array in chunk.values.items()}
        waves: Waveforms | SimulationError
        try:
            waves = _ngspice_waves(job, job.netlist.replace(given))
        except NgspiceError as error:
            waves = error
        values[lane], some = _measured(job, waves, chunk.start + lane)
        failures += some
    return Done(chunk, values, failures)


def _ngspice_waves(job: Job, netlist: Netlist) -> Waveforms:
    from .. import ngspice

    options = dict(ngspice.ACCURACY[job.accuracy]) if job.accuracy else {}
    if job.rtol is not None:
        options["reltol"] = job.rtol
    if job.t_stop is not None:
        return ngspice.transient(netlist, job.t_stop, options=options, timeout=job.timeout, keep=False)
    return ngspice.run(netlist, options=options, timeout=job.timeout, keep=False)


RUNNERS: Mapping[str, Callable[[Job, Make, Sequence[int], str | int], Iterator[Done]]] = {
    "jax": run_jax, "ngspice": run_ngspice,
}  # fmt: skip
