"""ngspice as judge: netlist → waveforms, each run in a process of its own. The only room with PySpice (GPL-3.0)."""

from ..errors import NgspiceError as NgspiceError
from ._devices import Card as Card
from ._devices import Transistor as Transistor
from ._devices import capacitances as capacitances
from ._devices import find_devices as find_devices
from ._devices import gate_sweeps as gate_sweeps
from ._ekv import ekv_current as ekv_current
from ._log import classify as classify
from ._noise import noise as noise
from ._options import ACCURACY as ACCURACY
from ._options import DEFAULT_OPTIONS as DEFAULT_OPTIONS
from ._process import ngspice_version as ngspice_version
from ._run import dc as dc
from ._run import operating_point as operating_point
from ._run import run as run
from ._run import transient as transient
