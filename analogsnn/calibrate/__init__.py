"""From a process to a card, from a circuit to a model, from measurements to parameters; each with its errors."""

from ._blocks import calibrate as calibrate
from ._blocks import experiments as experiments
from ._calibration import Calibration as Calibration
from ._calibration import ErrorRow as ErrorRow
from ._calibration import RangeWarning as RangeWarning
from ._calibration_page import write_calibration_page as write_calibration_page
from ._card import ExtractedCard as ExtractedCard
from ._card import Grid as Grid
from ._card import extract_card as extract_card
from ._card_page import write_card_page as write_card_page
from ._fit import Fit as Fit
from ._fit import Fitted as Fitted
from ._fit import fit as fit
from ._fit_page import write_fit_page as write_fit_page
from ._fit_spec import fit_file as fit_file
from ._gate import GateDesign as GateDesign
from ._gate import gate as gate
from ._neuron import neuron as neuron
from ._neuron_experiments import NeuronDesign as NeuronDesign
from ._parameter import Parameter as Parameter
from ._synapse import Design as Design
from ._synapse import synapse as synapse
from ._targets import FitWarning as FitWarning
from ._targets import Target as Target
