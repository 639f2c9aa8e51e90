"""Behavioural models of analog synapses and neurons: one current per state, integrated as its logarithm."""

from ._dpi import DPI as DPI
from ._feedback import ExponentLaw as ExponentLaw
from ._feedback import SigmoidLaw as SigmoidLaw
from ._feedback import feedback_law as feedback_law
from ._gates import nmda_gate as nmda_gate
from ._gates import shunt_factor as shunt_factor
from ._gates import shunted_leak as shunted_leak
from ._gates import subtracted_input as subtracted_input
from ._neuron import AHP as AHP
from ._neuron import Neuron as Neuron
from ._neuron_supply import NeuronSupply as NeuronSupply
from ._noise import NoisyDPI as NoisyDPI
from ._physics import ExponentFeedback as ExponentFeedback
from ._physics import Physics as Physics
from ._physics import SigmoidFeedback as SigmoidFeedback
from ._spikes import SpikeTrain as SpikeTrain
from ._spikes import f_i_curve as f_i_curve
from ._spikes import rate as rate
from ._spikes import spike_times as spike_times
from ._transistor_dpi import TERMS as TERMS
from ._transistor_dpi import TransistorDPI as TransistorDPI
from ._transistor_neuron import LEFT as LEFT
from ._transistor_neuron import TransistorNeuron as TransistorNeuron
