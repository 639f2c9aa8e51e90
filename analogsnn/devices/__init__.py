"""Devices as pure functions of voltages: current, conductance, charge."""

from ._ekv import COMMON_KEYS as COMMON_KEYS
from ._ekv import INSTANCE_KEYS as INSTANCE_KEYS
from ._ekv import KELVIN as KELVIN
from ._ekv import OPTIONAL_KEYS as OPTIONAL_KEYS
from ._ekv import POLAR_KEYS as POLAR_KEYS
from ._ekv import Coefficients as Coefficients
from ._ekv import capacitances as capacitances
from ._ekv import coefficients as coefficients
from ._ekv import conductances as conductances
from ._ekv import drain_current as drain_current
from ._extract import CORE as CORE
from ._extract import Currents as Currents
from ._extract import fit_currents as fit_currents
from ._extract import regions as regions
from ._extract import relative_errors as relative_errors
