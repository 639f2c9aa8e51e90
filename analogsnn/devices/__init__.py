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
