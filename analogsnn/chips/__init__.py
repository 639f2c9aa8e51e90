"""Chips as data: load a description, map a network onto it, emit its configuration, decode it again."""

from ._allocate import RATE as RATE
from ._biases import BiasCode as BiasCode
from ._biases import code_to_current as code_to_current
from ._biases import nearest_code as nearest_code
from ._chip import Chip as Chip
from ._chip import chip_defaults as chip_defaults
from ._compile import compile as compile
from ._configuration import Configuration as Configuration
from ._core_weights import CoreWeights as CoreWeights
from ._decode import decode as decode
from ._differences import differences as differences
from ._load import builtin_chips as builtin_chips
from ._load import load_chip as load_chip
from ._mapping import BiasRow as BiasRow
from ._mapping import Mapping as Mapping
from ._mapping import Occupancy as Occupancy
from ._mapping import Place as Place
from ._provenance import Provenance as Provenance
from ._translate import Meaning as Meaning
from ._translate import Translation as Translation
from ._translate import meaning as meaning
from ._translate import translate as translate
from ._vendor import vendor_layout as vendor_layout
from ._weights import WeightChoice as WeightChoice
from ._weights import choose_weights as choose_weights
from ._weights import uniform_rounding as uniform_rounding
