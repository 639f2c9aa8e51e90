"""analogsnn: emulates analog, mixed-signal neuromorphic chips.

Names are looked up when they are used (PEP 562), so that `import analogsnn` takes no time and loads no JAX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import calibrate as calibrate
    from . import chips as chips
    from . import errors as errors
    from . import library as library
    from . import measure as measure
    from . import mismatch as mismatch
    from . import models as models
    from . import netlist as netlist
    from . import network as network
    from . import ngspice as ngspice
    from . import sensitivity as sensitivity
    from . import transient as transient
    from .calibrate import fit as fit
    from .chips import compile as compile
    from .circuit import Circuit as Circuit
    from .errors import AnalogSNNError as AnalogSNNError
    from .measure import energy_per_spike as energy_per_spike
    from .measure import evaluate_measures as evaluate_measures
    from .measure import intervals as intervals
    from .measure import rate as rate
    from .measure import spike_time as spike_time
    from .measure import spike_times as spike_times
    from .mismatch import monte_carlo as monte_carlo
    from .netlist import Netlist as Netlist
    from .netlist import check_netlist as check_netlist
    from .netlist import read_netlist as read_netlist
    from .netlist import write_netlist as write_netlist
    from .network import Network as Network
    from .validation import validate as validate
    from .waveforms import Waveforms as Waveforms

__version__ = "0.1.0.dev0"

_ROOMS = (
    "calibrate",
    "chips",
    "errors",
    "library",
    "measure",
    "mismatch",
    "models",
    "netlist",
    "network",
    "ngspice",
    "sensitivity",
    "transient",
)
_HOMES = {
    "AnalogSNNError": "errors",
    "Circuit": "circuit",
    "Netlist": "netlist",
    "Network": "network",
    "Waveforms": "waveforms",
    "check_netlist": "netlist",
    "compile": "chips",
    "energy_per_spike": "measure",
    "evaluate_measures": "measure",
    "fit": "calibrate",
    "intervals": "measure",
    "monte_carlo": "mismatch",
    "rate": "measure",
    "read_netlist": "netlist",
    "spike_time": "measure",
    "spike_times": "measure",
    "validate": "validation",
    "write_netlist": "netlist",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _ROOMS:
        value = import_module(f"{__name__}.{name}")
    elif name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'analogsnn' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_HOMES})
