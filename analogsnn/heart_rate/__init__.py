"""From a pulse recording to the zone of the heart rate, on the neurons of one core."""

from ._demo import demo as demo
from ._demo import demo_work as demo_work
from ._demo import shipped_recording as shipped_recording
from ._network import check_zones as check_zones
from ._network import heart_rate_network as heart_rate_network
from ._recording import Recording as Recording
from ._recording import read_recording as read_recording
from ._reference import Reference as Reference
from ._reference import reference as reference
from ._report import write_report as write_report
from ._result import result as result
from ._result import summary_lines as summary_lines
from ._run import Chip as Chip
from ._run import Run as Run
from ._run import prepare_chips as prepare_chips
from ._run import preparing_work as preparing_work
from ._run import run_all as run_all
from ._score import Answer as Answer
from ._score import Score as Score
from ._score import Truth as Truth
from ._series import retimed as retimed
from ._trim import trim as trim
