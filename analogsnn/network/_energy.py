r"""What a run would cost a chip: an estimate of the analog part's energy.

$$E = V_{dd}\Big[T \sum (I_{dc} + I_\tau) + \sum_{pulses} I_w t_p\Big] + E_{spike}\, n_{spikes}$$

The first sum goes over the constant inputs and the leaks of all membranes and DPIs in use, which flow whether anything
happens or not; the second over the pulses that arrive, each with the charge of its weight transistor (a depressed one
counts in full). $E_{spike}$ is what the neuron's own transistors draw in a spike: 5 pJ unless given, from the neuron of
the circuit library, which took 4.2 to 5.4 pJ a spike from 1.8 V in ngspice, biases left out.

Not in it: bias generators, routing, memories and pads, which on chips of this kind take more than the neurons do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ._events import Events
from ._network import Network
from ._parameters import PA, Lanes
from ._simulate import Spikes

SPIKE = 5e-12  # J
SUPPLY = 1.8  # V


@dataclass(frozen=True)
class Energy:
    """Energy of each lane: `constant`, `pulses`, `spikes`, float [lane] J, over `duration` (s)."""

    constant: np.ndarray
    pulses: np.ndarray
    spikes: np.ndarray
    duration: float

    @property
    def total(self) -> np.ndarray:
        """J, [lane]."""
        return self.constant + self.pulses + self.spikes

    @property
    def power(self) -> np.ndarray:
        """Mean power, W, [lane]."""
        return self.total / self.duration


def energy(
    network: Network,
    devices: Lanes,
    spikes: Spikes,
    events: Events,
    duration: float,
    *,
    per_spike: float = SPIKE,
    supply: float = SUPPLY,
) -> Energy:
    """Estimate the energy of a run of `simulate(devices, events, duration)` that gave `spikes`.

    **Arguments** `network`: that of `devices`, for its capacitors. `per_spike`: J. `supply`: V.

    **Raises** `InputError` for devices of another network, and for constants that are not positive.
    """
    if devices.neurons != network.size:
        raise InputError(f"The devices have {devices.neurons} neurons, the network has {network.size}.")
    if not all(np.isfinite(x) and x > 0 for x in (per_spike, supply, duration)):
        raise InputError(
            f"Energy needs positive numbers, not {duration!r} s, {per_spike!r} J a spike and a supply of {supply!r} V."
        )
    physics, count, n = network.physics, devices.lanes, devices.neurons
    farad = np.array([physics.c["ahp" if name == "AHP" else name] for name in devices.names])
    per_charge = farad * physics.ut / physics.kappa  # coulomb of a pulse of charge 1, and leak current of 1/s
    leak = devices.decay.astype(float).reshape(len(farad), count, n) * per_charge[:, None, None]
    constant = np.sum(devices.i_leak.astype(float) + devices.i_dc, axis=1) / PA + np.sum(leak, axis=(0, 2))
    dpi = np.minimum(devices.targets // (count * n), len(farad))
    coulomb = np.sum(devices.charge * np.append(per_charge, 0.0)[dpi], axis=1)
    rows = coulomb[: count * devices.sources]
    rows += np.bincount(devices.late_owner, coulomb[count * devices.sources :], minlength=len(rows))
    rows = rows.reshape(count, devices.sources)
    fired = np.zeros((count, devices.sources))
    np.add.at(fired, (spikes.lane, spikes.neuron), 1)
    for lane in range(count):
        mine = events.channel if events.lane is None else events.channel[events.lane == lane]
        np.add.at(fired[lane], n + np.asarray(mine, np.int64), 1)
    return Energy(
        supply * duration * constant,
        supply * np.sum(fired * rows, axis=1),
        per_spike * fired[:, :n].sum(axis=1),
        duration,
    )
