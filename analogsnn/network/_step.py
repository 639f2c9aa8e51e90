"""A step that is short enough for the inputs of a network."""

from __future__ import annotations

import numpy as np

from ._parameters import Lanes

DT = 1e-4

# e-folds of the membrane current in a step from its strongest constant input. At 4 the rate is within 0.1 % of steps
# ten times shorter, at 10 within 1.3 %, at 19 it is 64 % too high (a membrane of 3 pF at 20 nA, threshold 100 nA).
FOLDS = 4.0


def step_for(devices: Lanes) -> float:
    """The default step: 0.1 ms, or as much of it as the strongest constant input of any neuron allows (s).

    Synaptic currents are not known before the run and are not looked at.
    """
    fastest = devices.slew * float(np.max(devices.i_dc, initial=0.0))  # 1/s
    return DT if fastest * DT <= FOLDS else DT / float(np.ceil(fastest * DT / FOLDS))
