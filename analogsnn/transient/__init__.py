"""Circuit → waveforms: operating point, sweeps, and runs over time with Rosenbrock methods.

What stands on diffrax (`Rodas4`, `Rodas5P`, `circuit_term`) is loaded when it is asked for.
"""

import sys
import types
from typing import TYPE_CHECKING, Any

from ..waveforms import Waveforms as Waveforms
from ._lane_gradients import lane_gradients as lane_gradients
from ._lanes import LEAST_LANES as LEAST_LANES
from ._lanes import transient_lanes as transient_lanes
from ._plain import PlainTangents as PlainTangents
from ._plain import plain_tangents as plain_tangents
from ._repeated import Repeated as Repeated
from ._start import initial_state as initial_state
from ._sweep import dc as dc
from ._sweep import operating_point as operating_point
from ._tableaus import RODAS4 as RODAS4
from ._tableaus import RODAS5P as RODAS5P
from ._transient import transient as transient

if TYPE_CHECKING:
    from ._solvers import Rodas4 as Rodas4
    from ._solvers import Rodas5P as Rodas5P
    from ._term import CircuitTerm as CircuitTerm
    from ._term import circuit_term as circuit_term

_ON_DIFFRAX = {"CircuitTerm": "_term", "Rodas4": "_solvers", "Rodas5P": "_solvers", "circuit_term": "_term"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _ON_DIFFRAX:
        raise AttributeError(f"module 'analogsnn.transient' has no attribute '{name}'")
    value = getattr(import_module(f"{__name__}.{_ON_DIFFRAX[name]}"), name)
    globals()[name] = value
    return value


class _Room(types.ModuleType):
    """The room can be called: `analogsnn.transient(circuit)` is its function, whoever imported the room before."""

    def __call__(self, *args: Any, **kwargs: Any) -> Waveforms:
        return transient(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
