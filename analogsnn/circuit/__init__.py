"""Netlist → circuit: a differential equation for the node voltages, every parameter a leaf."""

from ._circuit import Circuit as Circuit
from ._inputs import Inputs as Inputs
from ._inputs import at_time as at_time
from ._inputs import build_inputs as build_inputs
from ._inputs import dc_inputs as dc_inputs
from ._inputs import input_values as input_values
from ._inputs import moving_formulas as moving_formulas
from ._precision import use_float64 as use_float64
from ._system import Currents as Currents
from ._system import System as System
from ._system import currents as currents
from ._system import expression_nodes as expression_nodes
from ._system import formula_value as formula_value
from ._system import linearised_current as linearised_current
from ._system import structure as structure
from ._system import system as system
from ._system import total_current as total_current
from ._topology import Topology as Topology
from ._topology import refuse as refuse
from ._values import Values as Values
from ._values import extended as extended
