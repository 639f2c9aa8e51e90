"""Behavioural models of analog synapses and neurons: one current per state, integrated as its logarithm."""

from ._physics import ExponentFeedback as ExponentFeedback
from ._physics import Physics as Physics
from ._physics import SigmoidFeedback as SigmoidFeedback
