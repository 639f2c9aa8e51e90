"""Many circuits of one topology over time, in lanes: mismatch, sizes, biases, temperatures.

Lanes run in chunks of a fixed width. A chunk advances in pieces of so many steps; between two pieces the lanes that
have ended are read out and their places given to lanes that wait, so that few places stand idle. Every program is
compiled for the width and every place computes alike, so that a lane's result does not depend on which others run
beside it, where, in what order, and with how many workers.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit
from ..errors import AnalogSNNError, InputError
from ..netlist import Netlist
from ..waveforms import Waveforms
from ._derivative import plain_waveforms
from ._lane_loop import VACANT, advance_lanes, refilled
from ._lane_start import Batch, Family, family, lengthened, prepare
from ._loop import DONE, RUNNING
from ._plan import Run, choose_points
from ._start import check_masses
from ._transient import make_plan, transient, unfinished

# What XLA spends on starting each operation is shared by a chunk, and its numbers must stay in the cache (5 KB a lane
# of the neuron). Measured there, microseconds a lane and step with 32, 64, 128, 256 lanes: 4.9, 3.7, 2.7, 3.8. A chunk
# costs as much with fewer lanes in it, so that few lanes get a small one.
WIDTHS = (16, 32, 64, 128)
# Loops over lanes work on so many at a time; a rest would be computed by other instructions, which round differently.
LEAST_LANES = 16
PIECE = 256  # steps tried between two looks at who has ended

Result = tuple[int, Waveforms | AnalogSNNError]


def transient_lanes(
    circuit: Circuit | Netlist,
    parameters: Mapping[str, Any],
    t_stop: float | None = None,
    *,
    accuracy: str = "reference",
    rtol: float | None = None,
    save: Sequence[str] | None = None,
    save_at: Any = None,
    max_steps: int = 5_000_000,
    chunk: int | None = None,
    workers: int | None = None,
    lanes: Sequence[int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Result]:
    """Solve a circuit over time for many values of its parameters at once.

    Each lane is the run that `transient` would make of the circuit with its values, on the same equations with the
    same method and control of the step; its operating point is sought from that of the circuit as it is.

    **Arguments**

    - `parameters`: by path, the values `[lane]` in SI units: `{"x1.xin.dvt": [1e-3, -2e-3], "iin.dc": [1e-10, 2e-10]}`.
    - `t_stop`, `accuracy`, `rtol`, `save`, `save_at`, `max_steps`: as of `transient`. With `save`, only these nodes and
      no currents are kept, which is less to store and faster.
    - `chunk`: how many lanes run side by side, a multiple of 16; by default 128, or 16, 32, 64 where these hold all.
      `workers`: how many chunks at once; by default one a processor, or one a device where that is no CPU.
    - `lanes`: which lanes to run, by default all: results are the same whatever is chosen.
    - `progress`: called with the number of lanes that have ended.

    **Returns** an iterator over (lane, `Waveforms`) as lanes end, in no particular order. A lane that fails gives its
    error in place of waveforms (`ConvergenceError`, or `InputError` for values that no circuit can have), and the
    others go on. Memory is bounded by the chunks at work, however many lanes there are.

    **Raises** `InputError` for arguments that cannot be, `ConvergenceError` where the circuit itself has no operating
    point.

    ```python
    for lane, waves in transient_lanes(circuit, {"x1.xsyn.dvt": draws}, save=["x1.syn"]):
        peak[lane] = waves.voltage("x1.syn").max()
    ```
    """
    if isinstance(circuit, Netlist):
        circuit = Circuit.from_netlist(circuit)
    plan = make_plan(circuit, t_stop, accuracy=accuracy, rtol=rtol, save_at=save_at, save=save, max_steps=max_steps)
    given, count = _checked(parameters)
    wanted = range(count) if lanes is None else [int(lane) for lane in lanes]
    if any(not 0 <= lane < count for lane in wanted):
        raise InputError(f"lanes names a lane that is none of the {count} in parameters; they count from 0.")
    if chunk is not None and (chunk < LEAST_LANES or chunk % LEAST_LANES):
        raise InputError(f"the chunk is {chunk}; it must be a multiple of {LEAST_LANES}.")
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; at least one is needed.")
    check_masses(circuit)
    if not circuit.topology.states:  # sources hold every node: nothing to solve
        settings = {"accuracy": accuracy, "rtol": rtol, "save": save, "save_at": save_at}
        return (
            (k, transient(circuit.replace({p: v[k] for p, v in given.items()}), t_stop, **settings)) for k in wanted
        )
    members = family(circuit, plan, given)
    return collect(members, list(wanted), chunk, workers, partial(_waveforms, members), progress)


def _checked(parameters: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], int]:
    given: dict[str, np.ndarray] = {}
    for path, values in parameters.items():
        array = np.asarray(values)
        if array.ndim != 1 or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
            raise InputError(f"'{path}' is given an array of shape {array.shape}; lanes take one real number each.")
        if not np.isfinite(array).all():
            lane = int(np.flatnonzero(~np.isfinite(array))[0])
            raise InputError(f"'{path}' is {array[lane]:g} in lane {lane}; parameters are finite.")
        given[path] = array.astype(float)
    lengths = {len(array) for array in given.values()}
    if len(lengths) != 1:
        told = ", ".join(f"'{path}' {len(array)}" for path, array in list(given.items())[:4])
        raise InputError(f"lanes need parameters with one value a lane: {told or 'none is given'}.")
    return given, lengths.pop()


def _waveforms(members: Family, lane: int, run: Run) -> Waveforms:
    return plain_waveforms(members.member(lane), members.plan, run)


def collect(
    members: Family, wanted: list[int], chunk: int | None, workers: int | None, finish: Callable[[int, Run], Any],
    progress: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """What `finish`, called in the workers' threads, makes of each lane's run, or the lane's error, as lanes end."""
    devices = jax.local_devices()
    if workers is None:
        workers = (os.cpu_count() or 1) if devices[0].platform == "cpu" else len(devices)
    if chunk is None:
        chunk = next((width for width in WIDTHS if width * workers >= len(wanted)), WIDTHS[-1])
    workers = max(1, min(workers, -(-len(wanted) // chunk)))
    results: queue.Queue[tuple[int, Any] | BaseException | None] = queue.Queue(maxsize=2 * chunk * workers)
    stopped, waiting = threading.Event(), _Waiting(wanted, workers)

    def put(item: tuple[int, Any] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return results.put(item, timeout=0.2)
            except queue.Full:
                continue

    def work(device: Any) -> None:
        try:
            with jax.default_device(device):
                _Chunk(members, chunk, finish).run(waiting, put, stopped)
            put(None)
        except BaseException as problem:  # to the thread that reads the results
            put(problem)

    threads = [threading.Thread(target=work, args=(devices[k % len(devices)],), daemon=True) for k in range(workers)]
    for thread in threads:
        thread.start()
    left, done = workers, 0
    try:
        while left:
            item = results.get()
            if item is None:
                left -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                done += 1
                yield item
                if progress is not None:
                    progress(done)
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


class _Waiting:
    """The lanes that no worker has taken yet."""

    def __init__(self, lanes: list[int], workers: int):
        self.lanes, self.workers, self.lock = lanes[::-1], workers, threading.Lock()

    def take(self, most: int) -> list[int]:
        """Up to `most` lanes; less towards the end, so that all workers end together."""
        with self.lock:
            count = min(most, -(-len(self.lanes) // self.workers))
            return [self.lanes.pop() for _ in range(count)]


class _Place:
    """A lane at work: its number, what it started from, and the steps that it has taken so far."""

    def __init__(self, lane: int, batch: Batch):
        column = batch.columns[lane]
        self.lane, self.inputs, self.x0 = lane, batch.inputs[column], batch.x0[column]
        self.rows: list[np.ndarray] = []


class _Chunk:
    """Places for lanes that run side by side."""

    def __init__(self, members: Family, width: int, finish: Callable[[int, Run], Any]):
        self.members, self.width, self.finish = members, width, finish
        self.places: list[_Place | None] = [None] * width
        self.load: Any = None

    def run(self, waiting: _Waiting, put: Callable[[tuple[int, Any]], None], stopped: threading.Event) -> None:
        """Run lanes until none waits and all have ended."""
        topology, plan = self.members.circuit.topology, self.members.plan
        ready: Batch | None = None
        queued: list[int] = []
        while not stopped.is_set():
            vacant = [k for k, place in enumerate(self.places) if place is None]
            while vacant:
                if not queued:
                    chosen = waiting.take(self.width)
                    if not chosen:
                        break
                    ready = prepare(self.members, chosen, self.width)
                    for lane, problem in ready.failures.items():
                        put((lane, problem))
                    queued = list(ready.columns)
                assert ready is not None
                queued, vacant = self._fill(ready, queued, vacant)
            if all(place is None for place in self.places):
                return
            lanes, rows, count = advance_lanes(
                topology, plan.tableau, PIECE, plan.kept, self.load.parts, self.load.inputs, plan.control,
                self.load.lanes,
            )  # fmt: skip
            self.load = self.load._replace(lanes=lanes)
            self._read(np.ascontiguousarray(np.asarray(rows)[: int(count)].transpose(2, 0, 1)), put)

    def _fill(self, ready: Batch, queued: list[int], vacant: list[int]) -> tuple[list[int], list[int]]:
        """Put lanes of a batch into vacant places; gives who still waits, and what is still vacant."""
        source = np.full(self.width, -1)
        count = min(len(queued), len(vacant))
        for lane, place in zip(queued[:count], vacant[:count], strict=True):
            source[place] = ready.columns[lane]
            self.places[place] = _Place(lane, ready)
        fresh = ready.load
        if self.load is None:
            status = np.full(self.width, VACANT)
            self.load = fresh._replace(lanes=fresh.lanes._replace(status=status))
        length = max(len(self.load.inputs.edges), len(fresh.inputs.edges))
        self.load, fresh = (load._replace(inputs=lengthened(load.inputs, length)) for load in (self.load, fresh))
        self.load = refilled(self.load, fresh, source)
        return queued[count:], vacant[count:]

    def _read(self, rows: np.ndarray, put: Callable[[tuple[int, Any]], None]) -> None:
        """Take over the steps of a piece `[lane, step, number]`, and give the results of the lanes that have ended."""
        lanes = jax.tree.map(np.asarray, self.load.lanes)
        ended = []
        for k, place in enumerate(self.places):
            if place is None:
                continue
            place.rows.append(rows[k, rows[k, :, 0] > 0, 1:])
            if lanes.status[k] != RUNNING or lanes.steps[k] >= self.members.plan.max_steps:
                ended.append(k)
                put((place.lane, self._result(place, jax.tree.map(lambda a, k=k: a[..., k], lanes))))
                self.places[k] = None
        if any(lanes.status[k] == RUNNING for k in ended):
            vacated = np.isin(np.arange(self.width), ended)
            status = jnp.where(vacated, VACANT, self.load.lanes.status)
            self.load = self.load._replace(lanes=self.load.lanes._replace(status=status))

    def _result(self, place: _Place, at: Any) -> Any:
        plan, rows = self.members.plan, np.concatenate(place.rows)
        run = None
        if len(rows):
            run = Run(place.inputs, place.x0, rows, at.rejected, choose_points(plan, place.inputs, place.x0, rows))
        try:
            if at.status == DONE:
                assert run is not None
                return self.finish(place.lane, run)
            circuit = self.members.member(place.lane)
            waves = None if run is None else plain_waveforms(circuit, plan, run)
            return unfinished(circuit, at, plan.stop, waves, f"its {plan.max_steps} steps are used up")
        except AnalogSNNError as problem:
            return problem
