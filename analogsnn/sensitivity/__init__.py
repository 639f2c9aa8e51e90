"""What moves a measure: its derivatives by every number of a circuit, checked against differences."""

import sys
import types
from typing import Any

from ._check import CHECKS as CHECKS
from ._check import Check as Check
from ._check import check as check
from ._check import checked_paths as checked_paths
from ._expressions import Quantity as Quantity
from ._expressions import read_measure as read_measure
from ._parameters import kind as kind
from ._parameters import parameter_paths as parameter_paths
from ._report import write_page as write_page
from ._sensitivity import Sensitivity as Sensitivity
from ._sensitivity import Slopes as Slopes
from ._sensitivity import sensitivity as sensitivity


class _Room(types.ModuleType):
    """The room can be called: `analogsnn.sensitivity(circuit, measures)` is its function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Sensitivity:
        return sensitivity(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
