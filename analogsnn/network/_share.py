"""Chips spread over the processes of `jax.distributed`: lanes have nothing in common, so each process takes its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ._events import Events
from ._parameters import Lanes
from ._simulate import Spikes, simulate


def share(lanes: int) -> range:
    """The lanes that are this process's: all of them, unless `jax.distributed` says that there are more processes."""
    import jax

    who, of = (jax.process_index(), jax.process_count()) if jax.distributed.is_initialized() else (0, 1)
    return range(lanes * who // of, lanes * (who + 1) // of)


def simulate_share(devices: Lanes, events: Events, duration: float, **options: Any) -> Spikes:
    """`simulate` for the lanes of this process; lanes keep their numbers, and nothing is sent between processes.

    Every process calls it with the same arguments and has the spikes of its `share`; together they are those of
    `simulate`. A process without a lane has none.
    """
    mine = share(devices.lanes)
    if not mine:
        return Spikes(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
    if events.lane is not None:
        here = (events.lane >= mine.start) & (events.lane < mine.stop)
        events = Events(events.time[here], events.channel[here], events.lane[here] - mine.start)
    spikes = simulate(devices.part(mine.start, mine.stop), events, duration, **options)
    return replace(spikes, lane=spikes.lane + mine.start)
