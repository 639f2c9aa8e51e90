"""Both engines on the same bench: measure by measure, spike by spike, beside the textbook model."""

from ._compare import Row as Row
from ._models import textbook_model as textbook_model
from ._report import BenchReport as BenchReport
from ._report import Report as Report
from ._validate import find_benches as find_benches
from ._validate import validate as validate
