"""Networks over time: fixed steps, event by event at the synapses, many chips side by side and on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError, SimulationError
from ._events import Events, checked
from ._noise import first_gates
from ._parameters import Lanes
from ._step import step_for
from ._stepping import Shape, run

ROOM = 4096  # late deliveries that one step can take
# Neurons that step together: fewer waste the step's overhead, more leave the cache. Measured with 1024 neurons a chip:
# 7.2, 6.2, 6.1 and 9.5 ns a neuron and step at 1, 2, 4 and 8 chips side by side.
GROUP = 4096
MOST_STEPS = 2**31 - 1  # of a run, counted in 32 bits: 60 hours at 0.1 ms


@dataclass(frozen=True)
class Spikes:
    """Spikes of all lanes: `time` (s, interpolated within the step), `lane` and `neuron`, in order of steps."""

    time: np.ndarray
    lane: np.ndarray
    neuron: np.ndarray

    def of(self, lane: int) -> tuple[np.ndarray, np.ndarray]:
        """Times and neuron indices of one lane."""
        here = self.lane == lane
        return self.time[here], self.neuron[here]


def simulate(
    devices: Lanes,
    events: Events,
    duration: float,
    *,
    dt: float | None = None,
    progress: Callable[[float], None] | None = None,
    chunk: float = 1.0,
    room: int = ROOM,
    workers: int | None = None,
) -> Spikes:
    """Simulate all lanes from rest for `duration` seconds.

    **Arguments**

    - `devices`: from `lanes`.
    - `events`: the input; an event at time t takes effect in the step that contains t.
    - `duration`: s, rounded to steps. `dt`: step (s); `step_for(devices)` unless given.
    - `progress`: called with the seconds done after every `chunk` seconds.
    - `room`: late deliveries (delays, depression) that one step can take.
    - `workers`: threads that share the lanes when these are too many for one core's cache; all cores unless given.
      What is computed does not depend on them.

    **Returns** the spikes of all neurons of all lanes.

    **Raises** `InputError` for events out of order, out of range or beyond the network's channels, and
    `SimulationError` when a state stops being finite, or more late spikes fall due in one step than there is room for.
    """
    dt = step_for(devices) if dt is None else dt
    if workers is not None and workers < 1:
        raise InputError(f"{workers} workers cannot run anything; give at least one.")
    each = max(1, GROUP // devices.neurons)
    if devices.lanes <= each:
        parts = chunks(devices, events, duration, dt=dt, progress=progress, chunk=chunk, room=room)
        return _joined([s for s, _ in parts])
    cuts = [*range(0, devices.lanes, each), devices.lanes]
    _schedule(devices, events, duration, dt)  # its complaints are about all lanes
    done = np.zeros(len(cuts) - 1)

    def work(k: int) -> Spikes:
        first, last = cuts[k], cuts[k + 1]
        mine = events
        if events.lane is not None:
            here = (events.lane >= first) & (events.lane < last)
            mine = Events(events.time[here], events.channel[here], events.lane[here] - first)

        def report(until: float) -> None:
            before, done[k] = done.min(), until
            if progress is not None and done.min() > before:
                progress(float(done.min()))

        part = devices.part(first, last)
        parts = chunks(part, mine, duration, dt=dt, progress=report, chunk=chunk, room=room)
        spikes = _joined([s for s, _ in parts])
        return Spikes(spikes.time, spikes.lane + first, spikes.neuron)

    # XLA releases the interpreter while it computes, so that threads use all cores.
    with ThreadPoolExecutor(workers or cores()) as pool:
        whole = _joined(list(pool.map(work, range(len(done)))))
    order = np.argsort(np.floor(whole.time / dt + 1e-9), kind="stable")
    return Spikes(whole.time[order], whole.lane[order], whole.neuron[order])


def simulate_chunks(
    devices: Lanes,
    events: Events,
    duration: float,
    *,
    dt: float | None = None,
    progress: Callable[[float], None] | None = None,
    chunk: float = 1.0,
    room: int = ROOM,
) -> Iterator[Spikes]:
    """As `simulate`, `chunk` seconds at a time: memory stays bounded however long the run."""
    for spikes, _ in chunks(devices, events, duration, dt=dt, progress=progress, chunk=chunk, room=room):
        yield spikes


def chunks(
    devices: Lanes,
    events: Events,
    duration: float,
    *,
    dt: float | None = None,
    progress: Callable[[float], None] | None = None,
    chunk: float = 1.0,
    watched: Sequence[int] = (),
    every: int = 1,
    room: int = ROOM,
) -> Iterator[tuple[Spikes, np.ndarray]]:
    """Spikes of each chunk, and samples: float32 [sample, membrane and DPIs, watched] in pA.

    `watched` are indices lane · N + neuron; a sample is taken at the end of every `every` steps.
    """
    dt = step_for(devices) if dt is None else dt
    if room < 1:
        raise InputError(f"There is room for {room!r} late deliveries in a step; give at least one.")
    if not (np.isfinite(chunk) and chunk > 0):
        raise InputError(f"A run is cut into chunks of {chunk!r} s; give a positive time.")
    step, row = _schedule(devices, events, duration, dt)
    total = round(duration / dt)
    per_chunk = min(total, max(every, round(chunk / dt) // every * every))
    # A neuron rests at least one step after a spike, so this many events cannot be exceeded in a chunk.
    rest = np.maximum(1, np.floor(devices.t_ref / dt))
    capacity = _rounded(int(np.sum(np.ceil(per_chunk / rest) + 1)))
    constants = _constants(devices, dt) | {"watched": jnp.asarray(watched, jnp.int32)}
    shape = _shape(devices, dt, capacity, len(watched), -(-per_chunk // every), room)
    state = _rest(devices, shape, constants)
    width = _rounded(int(np.max(np.bincount(step // per_chunk, minlength=1), initial=1)))
    for first in range(0, total, per_chunk):
        count = min(per_chunk, total - first)
        a, b = np.searchsorted(step, [first, first + count])
        in_step = np.full(width + 1, np.iinfo(np.int32).max, np.int32)
        in_row = np.zeros(width + 1, np.int32)
        in_step[: b - a], in_row[: b - a] = step[a:b] - first, row[a:b]
        numbers = (jnp.int32(first), jnp.int32(count), jnp.int32(every))
        state, log = run(constants, state, jnp.asarray(in_step), jnp.asarray(in_row), *numbers, shape=shape)
        n, finite = int(log["count"]), bool(log["finite"])
        where = f"between {first * dt:.3f} s and {(first + count) * dt:.3f} s"
        if not finite:
            raise SimulationError(
                f"The network's state is no longer finite {where}; "
                "a bias, weight or capacitor of the network is out of the range of the model."
            )
        if shape.late and int(state["late"]["full"]) > shape.room:
            raise SimulationError(
                f"{int(state['late']['full'])} delayed or depressed deliveries fall due in one step {where}, and there "
                f"is room for {shape.room}; give room={_rounded(int(state['late']['full']))}, or shorter steps."
            )
        # Cut in NumPy: JAX would compile a program for every n.
        k, part, at = (np.asarray(log[name])[:n] for name in ("step", "part", "row"))
        time = (k.astype(np.float64) + part + first) * dt
        lane, neuron = np.divmod(at, devices.neurons)
        if progress is not None:
            progress((first + count) * dt)
        samples = np.asarray(log["sample"])[: count // every] if watched else np.zeros((0, 0, 0), np.float32)
        yield Spikes(time, lane, neuron), samples


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _joined(parts: Sequence[Spikes]) -> Spikes:
    return Spikes(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("time", "lane", "neuron")))


def _rounded(size: int) -> int:
    """The next power of two: buffers of nearly equal size share one compiled program."""
    return 1 << max(0, size - 1).bit_length()


def _schedule(devices: Lanes, events: Events, duration: float, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Step and source row of every event, one a lane, in order of steps; late rows when they are due."""
    if not np.isfinite(duration) or not np.isfinite(dt) or not 0 < dt <= duration:
        raise InputError(f"The run lasts {duration!r} s in steps of {dt!r} s; both are positive, the step the shorter.")
    if duration / dt > MOST_STEPS:
        raise InputError(
            f"{duration:g} s in steps of {dt:g} s are {duration / dt:.2g} steps, and one run counts up to "
            f"{MOST_STEPS:.2g} ({MOST_STEPS * dt:.3g} s of such steps); give a shorter duration or a longer dt."
        )
    time, channel = checked(events.time, events.channel, devices.sources - devices.neurons, duration)
    total = round(duration / dt)
    step = np.minimum((time / dt).astype(np.int64), total - 1)
    if events.lane is None:
        lane = np.tile(np.arange(devices.lanes), len(time))
        step, channel = np.repeat(step, devices.lanes), np.repeat(channel, devices.lanes)
    else:
        lane = np.asarray(events.lane, np.int64)
        if lane.shape != time.shape or (len(lane) and (lane.min() < 0 or lane.max() >= devices.lanes)):
            raise InputError(f"Events name lanes outside 0–{devices.lanes - 1}, or not one a time.")
    row = lane * devices.sources + devices.neurons + channel
    from_input = np.flatnonzero(devices.late_owner % devices.sources >= devices.neurons)
    if len(from_input) and len(row):
        hits = [np.flatnonzero(row == devices.late_owner[e]) for e in from_input]
        steps = [step[h] + round(devices.late_delay[e] / dt) for e, h in zip(from_input, hits, strict=True)]
        rows = [np.full(len(h), devices.lanes * devices.sources + e) for e, h in zip(from_input, hits, strict=True)]
        step, row = np.concatenate([step, *steps]), np.concatenate([row, *rows])
        order = np.argsort(step, kind="stable")
        order = order[step[order] < total]  # due after the end of the run
        step, row = step[order], row[order]
    return step, row


def _shape(p: Lanes, dt: float, capacity: int, watched: int, samples: int, room: int) -> Shape:
    late = len(p.late_owner)
    slots = int(np.max(np.round(p.late_delay / dt), initial=0)) + 1 if late else 0
    return Shape(
        p.lanes, p.neurons, p.sources, p.names, p.feedback[0], capacity, late, slots, min(late, room) if late else 0,
        p.noise.membrane > 0, p.noise.synapses > 0, len(p.noise.corners) if p.noise.flicker else 0, watched,
        samples if watched else 0,
    )  # fmt: skip


def _constants(p: Lanes, dt: float) -> dict[str, jax.Array]:
    """What a step multiplies with, folded as far as it goes, as float32; neurons of all lanes in one row."""
    decay = np.exp(-dt * p.decay.astype(np.float64))
    constants = {
        "decay": np.append(decay, 1.0),
        "dpi_gain": np.append(p.dpi_gain, 1.0),
        "charge": p.charge,
        "i_leak": p.i_leak.ravel(), "i_dc": p.i_dc.ravel(), "inverse_gain": 1.0 / p.i_gain.ravel(),
        "u_spike": p.u_spike.ravel(), "u_reset": p.u_reset.ravel(), "refractory": p.t_ref.ravel() / dt,
        "slew": p.slew * dt, "i0": p.i0, "u_floor": np.log(p.i0), "nmda_gate": p.nmda_gate.ravel(),
        "feedback": np.asarray(p.feedback[1]),
        # Steps that take a resource back: a late row without depression never lost any.
        "recovery": p.recovery * dt, "late_use": np.append(p.late_use, 0.0),
        "fall": np.append(dt * p.decay.astype(np.float64), 0.0),
        "noise": p.noise.membrane * p.slew * p.grain[0] * dt,
        "dpi_noise": p.noise.synapses * np.append(np.repeat(p.grain[1:], p.lanes * p.neurons), 0.0),
        "inverse_kappa": 1 / p.kappa, "steepness": p.steepness,
        "flicker": np.sqrt(p.noise.flicker * np.log(10.0)),  # of each relaxation (V), so that their sum is K/f
        "kept": np.exp(-2 * np.pi * dt * np.asarray(p.noise.corners)),
    }  # fmt: skip
    as_float = {k: jnp.asarray(np.asarray(v, np.float32)) for k, v in constants.items()}
    late = len(p.late_owner)
    lane, source = np.divmod(p.late_owner, p.sources)
    own = source < p.neurons
    count = np.bincount(lane[own] * p.neurons + source[own], minlength=p.lanes * p.neurons)
    late_of = np.full((p.lanes * p.neurons, max(1, int(count.max(initial=0)))), late)
    place = np.zeros(p.lanes * p.neurons, int)
    for e in np.flatnonzero(own):
        neuron = lane[e] * p.neurons + source[e]
        late_of[neuron, place[neuron]] = e
        place[neuron] += 1
    whole = {
        "targets": p.targets,
        "late_of": late_of,
        "late_steps": np.append(np.round(p.late_delay / dt), 0),
    }
    keys = jnp.asarray(p.keys, jnp.uint32)
    return as_float | {k: jnp.asarray(v, jnp.int32) for k, v in whole.items()} | {"keys": keys}


def _rest(p: Lanes, shape: Shape, constants: dict[str, jax.Array]) -> dict:
    row = p.lanes * p.neurons
    state: dict = {
        "u": jnp.asarray(p.u_reset.ravel(), jnp.float32),
        "rest": jnp.zeros(row, jnp.float32),
        "i": jnp.full(len(p.names) * row + 1, p.i0, jnp.float32),
    }
    if shape.corners:
        state["gates"] = first_gates(
            constants["keys"], constants["flicker"], p.lanes, p.neurons, len(p.names), shape.corners
        )
    if shape.late:
        state["late"] = {
            "ring": jnp.zeros((shape.slots + 1, shape.room), jnp.int32),
            "due": jnp.zeros(shape.slots + 1, jnp.int32),
            "full": jnp.int32(0),
            "left": jnp.ones(shape.late + 1, jnp.float32),
            "last": jnp.zeros(shape.late + 1, jnp.int32),
        }
    return state
