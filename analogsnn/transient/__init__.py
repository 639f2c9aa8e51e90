"""Circuit → waveforms: operating point, sweeps, and runs over time with Rosenbrock methods."""

from ..waveforms import Waveforms as Waveforms
from ._sweep import dc as dc
from ._sweep import operating_point as operating_point
from ._tableaus import RODAS4 as RODAS4
from ._tableaus import RODAS5P as RODAS5P
from ._transient import transient as transient
