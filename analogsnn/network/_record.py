"""Currents and spikes of a run as an xarray data set, in memory or streamed into a netCDF file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ._events import Events
from ._parameters import PA, Lanes
from ._simulate import ROOM, Spikes, chunks
from ._step import step_for

if TYPE_CHECKING:
    import xarray as xr

IN_MEMORY = 2e9  # bytes of samples that are kept without a file
_SPIKES = {"spike_time": np.float64, "spike_lane": np.int32, "spike_neuron": np.int32}


def record(
    devices: Lanes,
    events: Events,
    duration: float,
    neurons: Sequence[int] = (),
    *,
    every: float = 1e-3,
    file: str | Path | None = None,
    dt: float | None = None,
    progress: Callable[[float], None] | None = None,
    chunk: float = 1.0,
    room: int = ROOM,
) -> xr.Dataset:
    """Simulate, and keep the currents of some neurons beside all spikes.

    **Arguments**

    - `neurons`: indices of those whose currents are kept, on every lane; none keeps the spikes alone.
    - `every`: s between samples, rounded to steps; a sample is what a step ends with.
    - `file`: netCDF file that is written chunk by chunk, so that memory stays bounded; the answer then reads from it.
    - the others as in `simulate`.

    **Returns** a data set: `current` [time, quantity, lane, neuron] in A, the excess over the floor for synapses and
    adaptation (`quantity`: "mem", then `devices.names`), and `spike_time` (s), `spike_lane`, `spike_neuron` [spike].

    **Raises** `InputError` as `simulate`, for neurons that are not there, and for more samples than fit in memory.
    """
    import xarray as xr

    dt = step_for(devices) if dt is None else dt
    chosen = np.asarray(neurons, np.int64)
    if chosen.ndim != 1 or np.any(chosen < 0) or np.any(chosen >= devices.neurons):
        raise InputError(f"There are neurons 0 to {devices.neurons - 1} to record, not {list(neurons)}.")
    steps = max(1, round(every / dt)) if np.isfinite(every) and every > 0 else 0
    if not steps:
        raise InputError(f"Samples are taken every {every!r} s; the interval must be positive.")
    watched = (np.arange(devices.lanes)[:, None] * devices.neurons + chosen).ravel()
    names = ("mem", *devices.names)
    size = 4.0 * (duration / dt / steps) * len(names) * len(watched)
    if file is None and size > IN_MEMORY:
        raise InputError(
            f"The samples would take {size / 1e9:.1f} GB; give file='run.nc', which streams them, fewer neurons, or a "
            "longer interval."
        )
    parts = chunks(
        devices, events, duration, dt=dt, progress=progress, chunk=chunk, watched=watched.tolist(), every=steps,
        room=room,
    )  # fmt: skip
    shaped = _shaped(parts, steps * dt, len(names), devices.lanes, len(chosen))
    coordinates = {"quantity": list(names), "lane": np.arange(devices.lanes), "neuron": chosen}
    if file is not None:
        _stream(Path(file), shaped, coordinates)
        return xr.open_dataset(file, engine="h5netcdf")
    everything = list(shaped)
    spikes = [s for s, _, _ in everything]
    data = {
        "current": (
            ("time", "quantity", "lane", "neuron"),
            np.concatenate([x for _, _, x in everything]),
            {"units": "A"},
        ),
        "spike_time": ("spike", np.concatenate([s.time for s in spikes]), {"units": "s"}),
        "spike_lane": ("spike", np.concatenate([s.lane for s in spikes]).astype(np.int32)),
        "spike_neuron": ("spike", np.concatenate([s.neuron for s in spikes]).astype(np.int32)),
    }
    time = ("time", np.concatenate([t for _, t, _ in everything]), {"units": "s"})
    return xr.Dataset(data, coords={"time": time, **coordinates})


def _shaped(
    parts: Iterator[tuple[Spikes, np.ndarray]], interval: float, names: int, lanes: int, neurons: int
) -> Iterator[tuple[Spikes, np.ndarray, np.ndarray]]:
    """Spikes, times of samples, and samples (A) of each chunk."""
    taken = 0
    for spikes, samples in parts:
        count = len(samples)
        yield (
            spikes,
            (taken + 1 + np.arange(count)) * interval,
            (samples / np.float32(PA)).reshape(count, names, lanes, neurons).astype(np.float32),
        )
        taken += count


def _stream(path: Path, parts: Iterator[tuple[Spikes, np.ndarray, np.ndarray]], coordinates: dict) -> None:
    import h5netcdf

    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": None, "spike": None, **{k: len(v) for k, v in coordinates.items()}}
        for name, values in coordinates.items():
            if name == "quantity":
                width = max(len(v) for v in values)
                file.dimensions["character"] = width
                letters = np.array([list(v.ljust(width, "\0")) for v in values], "S1")
                text = file.create_variable(name, ("quantity", "character"), "S1")
                text.attrs["_Encoding"] = "utf-8"
                text[:] = letters
            else:
                file.create_variable(name, (name,), np.int64)[:] = values
        time = file.create_variable("time", ("time",), np.float64)
        current = file.create_variable("current", ("time", "quantity", "lane", "neuron"), np.float32)
        spikes = {k: file.create_variable(k, ("spike",), kind) for k, kind in _SPIKES.items()}
        time.attrs["units"] = spikes["spike_time"].attrs["units"] = "s"
        current.attrs["units"] = "A"
        taken = fired = 0
        for found, at, samples in parts:
            file.resize_dimension("time", taken + len(at))
            file.resize_dimension("spike", fired + len(found.time))
            time[taken:], current[taken:] = at, samples
            for name, values in zip(_SPIKES, (found.time, found.lane, found.neuron), strict=True):
                spikes[name][fired:] = values
            taken, fired = taken + len(at), fired + len(found.time)
            file.flush()
