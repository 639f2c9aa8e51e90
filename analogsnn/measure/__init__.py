"""Waveforms → numbers, the same for every engine: spikes, edges, decays, charge, energy, and `.meas` statements."""

from ..waveforms import Waveforms as Waveforms
from ._meas import evaluate_measures as evaluate_measures
from ._meas import try_measures as try_measures
from ._shapes import charge as charge
from ._shapes import decay_time as decay_time
from ._shapes import energy_per_spike as energy_per_spike
from ._shapes import mean as mean
from ._shapes import peak as peak
from ._shapes import rise_time as rise_time
from ._shapes import trough as trough
from ._signal import crossing as crossing
from ._signal import crossings as crossings
from ._signal import integral as integral
from ._signal import value_at as value_at
from ._signal import window as window
from ._spikes import interval as interval
from ._spikes import intervals as intervals
from ._spikes import rate as rate
from ._spikes import spike_count as spike_count
from ._spikes import spike_time as spike_time
from ._spikes import spike_times as spike_times
