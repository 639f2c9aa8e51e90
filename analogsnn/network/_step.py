"""A step that is short enough for the inputs of a network."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ._parameters import PA, Lanes

DT = 1e-4
SHORTEST = 1e-8  # s; a second of shorter steps would take hours

# e-folds of the membrane current in a step from its strongest constant input. At 4 the rate is within 0.1 % of steps
# ten times shorter, at 10 within 1.3 %, at 19 it is 64 % too high (a membrane of 3 pF at 20 nA, threshold 100 nA).
FOLDS = 4.0


def step_for(devices: Lanes) -> float:
    """The default step: 0.1 ms, or as much of it as the strongest constant input of any neuron allows (s).

    Synaptic currents are not known before the run and are not looked at.

    **Raises** `InputError` for an input that would take steps below 10 ns.
    """
    fastest = devices.slew * float(np.max(devices.i_dc, initial=0.0))  # 1/s
    step = DT if fastest * DT <= FOLDS else DT / float(np.ceil(fastest * DT / FOLDS))
    if step < SHORTEST:
        lane, neuron = np.unravel_index(np.argmax(devices.i_dc), devices.i_dc.shape)
        raise InputError(
            f"Neuron {neuron} of lane {lane} has a constant input of {devices.i_dc[lane, neuron] / PA:.3g} A, which "
            f"takes steps of {step:.1g} s; up to {FOLDS / (devices.slew * SHORTEST) / PA:.2g} A they are at least "
            f"{SHORTEST:g} s. Lower its dc (SI units: 1 nA is 1e-9), or give dt."
        )
    return step
