"""A network on several chips: compiled, decoded from the configuration, and simulated with their mismatch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..chips import Mapping, compile
from ..network import DT, Events, Mismatch, Network, Spikes, chips, lanes, simulate

CV = 0.2  # coefficient of variation of every current of every device
CHIP = "dynapse2"


@dataclass(frozen=True)
class OnChips:
    """One configuration on several mismatched chips."""

    mapping: Mapping
    members: tuple[Mismatch, ...]

    def simulate(self, events: Events, duration: float, *, dt: float = DT) -> Spikes:
        """Spikes of the decoded network, a lane a chip."""
        return simulate(lanes(self.mapping.network, self.members), events, duration, dt=dt)


def on_chips(network: Network, count: int, seed: int, *, cv: float = CV, chip: str = CHIP, **options: Any) -> OnChips:
    """Compile `network` and produce `count` chips with mismatch `cv`; `options` go to `compile`."""
    return OnChips(compile(network, chip, **options), tuple(chips(count, cv, seed)))


def played(times: Sequence[float] | np.ndarray, channels: Sequence[int] | np.ndarray) -> Events:
    """Events in order of time."""
    times, channels = np.asarray(times, float), np.asarray(channels, np.int64)
    order = np.argsort(times, kind="stable")
    return Events(times[order], channels[order])


def counted(spikes: Spikes, edges: np.ndarray, lanes: int, neurons: int) -> np.ndarray:
    """Spikes a bin: int array [lane, neuron, bin] for ascending `edges` (s)."""
    at = np.searchsorted(edges, spikes.time, side="right") - 1
    keep = (at >= 0) & (at < len(edges) - 1)
    index = (spikes.lane[keep] * neurons + spikes.neuron[keep]) * (len(edges) - 1) + at[keep]
    total = np.bincount(index, minlength=lanes * neurons * (len(edges) - 1))
    return total.reshape(lanes, neurons, len(edges) - 1)
