"""Populations and connections, and their simulation."""

from ._network import DELAYS as DELAYS
from ._network import SYNAPSE_TYPES as SYNAPSE_TYPES
from ._network import Adaptation as Adaptation
from ._network import Connection as Connection
from ._network import Input as Input
from ._network import Network as Network
from ._network import Neuron as Neuron
from ._network import Population as Population
from ._network import Synapse as Synapse
from ._network import all_to_all as all_to_all
from ._network import connect as connect
from ._network import one_to_one as one_to_one
