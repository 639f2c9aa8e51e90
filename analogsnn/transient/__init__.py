"""Circuit → waveforms: operating point, sweeps, and runs over time with Rosenbrock methods."""

import sys
import types
from typing import Any

from ..waveforms import Waveforms as Waveforms
from ._lane_gradients import lane_gradients as lane_gradients
from ._lanes import transient_lanes as transient_lanes
from ._sweep import dc as dc
from ._sweep import operating_point as operating_point
from ._tableaus import RODAS4 as RODAS4
from ._tableaus import RODAS5P as RODAS5P
from ._transient import transient as transient


class _Room(types.ModuleType):
    """The room can be called: `analogsnn.transient(circuit)` is its function, whoever imported the room before."""

    def __call__(self, *args: Any, **kwargs: Any) -> Waveforms:
        return transient(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
