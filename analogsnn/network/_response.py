"""One observable for both kinds of gradients: spikes filtered by an exponential."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError
from ._dense import Devices
from ._events import Events
from ._exact import spike_trains
from ._step import DT
from ._surrogate import SHARPNESS, binned, stepped

METHODS = ("exact", "surrogate")
EXACT_UP_TO = 64  # neurons; every spike of any of them is a step of all


def response(
    devices: Devices,
    events: Events,
    duration: float,
    at: Sequence[float],
    *,
    tau: float = 20e-3,
    method: str | None = None,
    dt: float = DT,
    max_spikes: int = 256,
    sharpness: float = SHARPNESS,
) -> jax.Array:
    r"""$\sum_{t_k \le t} e^{-(t - t_k)/\tau}$ of every neuron at the times `at` (s): [time, N], differentiable.

    **Arguments**

    - `devices`: from `dense`. `events`, `duration` (s): as in `simulate`, of one network.
    - `tau`: s.
    - `method`: "exact", derivatives of the spike times, which know nothing of spikes that are not there;
      "surrogate", fixed steps and smoothed spikes, which has a bias and learns from silent neurons too. Unless given,
      exact up to 64 neurons.
    - `dt`: s, the longest step. `max_spikes`: room, of "exact". `sharpness`: of "surrogate".

    **Raises** `InputError` for another method, and times outside the run.
    """
    method = method or ("exact" if devices.neurons <= EXACT_UP_TO else "surrogate")
    if method not in METHODS:
        raise InputError(f"There is no method '{method}' for gradients; there are {', '.join(METHODS)}.")
    when = np.asarray(at, float)
    if when.ndim != 1 or not len(when) or np.any(when <= 0) or np.any(when > duration) or np.any(np.diff(when) <= 0):
        raise InputError(f"The response is read at ascending times within 0–{duration:g} s, not at {list(at)}.")
    if method == "exact":
        trains = spike_trains(devices, events, duration, max_spikes, dt=dt)
        before = jnp.asarray(when)[:, None] - jnp.where(jnp.isfinite(trains.time), trains.time, 0)
        counts = (before >= 0) & jnp.isfinite(trains.time)
        decayed = jnp.where(counts, jnp.exp(-jnp.where(counts, before, 0) / tau), 0).astype(devices.weight.dtype)
        return decayed @ jax.nn.one_hot(trains.neuron, devices.neurons, dtype=decayed.dtype)
    inputs = binned(events.time, events.channel, devices.sources - devices.neurons, duration, dt)
    traces = stepped(devices, jnp.asarray(inputs), dt, sharpness=sharpness, tau=tau, every=1).traces
    return traces[np.maximum(np.round(when / dt).astype(int) - 1, 0)]
