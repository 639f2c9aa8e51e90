"""Mismatch: draws, Monte Carlo campaigns that can be stopped and continued, statistics, and sizing through mismatch."""

from ._campaign import monte_carlo as monte_carlo
from ._chip import current_cvs as current_cvs
from ._contributions import Contributions as Contributions
from ._draws import draws as draws
from ._draws import standard_normals as standard_normals
from ._law import AreaLaw as AreaLaw
from ._law import Transistor as Transistor
from ._law import current_spread as current_spread
from ._law import transistors as transistors
from ._measures import Failure as Failure
from ._result import Campaign as Campaign
from ._size import SizeResult as SizeResult
from ._size import size as size
from ._size_spec import SizeSpec as SizeSpec
from ._statistics import Statistics as Statistics
from ._statistics import Yield as Yield
