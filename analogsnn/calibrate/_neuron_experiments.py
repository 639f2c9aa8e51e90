"""Circuit experiments with the adaptive-exponential neuron: what it does at constant inputs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..errors import SimulationError
from ..measure import charge, crossings, spike_times
from ..models import LEFT
from ..waveforms import Waveforms
from ._bench import Solve

BIAS_OFF = 1e-15  # A, of a weight that is off
_DELAY = 0.3e-3  # s, before the input comes
_LONGER, _TRIES = 3.0, 3


class NeuronDesign(NamedTuple):
    """The experiments: every combination in each of two groups.

    f-I, without adaptation: `leaks` (A), `ratios` of input over leak, pairs of (gain over leak, refractory current in
    A) in `settings`. Adaptation, at the leak and gain `leak` (A): `inputs`, `weights`, and in `slow` pairs of the
    adaptation's leak, which is its gain too, and the refractory current (A), which its pulse depends on. Both at all of
    `celsius`.
    """

    leaks: tuple[float, ...] = (10e-12, 50e-12, 200e-12)
    ratios: tuple[float, ...] = (2.0, 6.0, 20.0, 50.0)
    settings: tuple[tuple[float, float], ...] = ((1.0, 2e-9), (4.0, 2e-9), (1.0, 200e-12))
    inputs: tuple[float, ...] = (100e-12, 400e-12, 2e-9)
    weights: tuple[float, ...] = (300e-12, 1e-9)
    slow: tuple[tuple[float, float], ...] = ((2e-12, 200e-12), (8e-12, 200e-12), (4e-12, 1e-9))
    celsius: tuple[float, ...] = (0.0, 27.0, 70.0)
    leak: float = 20e-12
    spikes: int = 8  # of the runs with adaptation
    largest: float = 10e-9  # A, of an input

    @property
    def size(self) -> int:
        """How many experiments that are."""
        return len(self.conditions())

    def conditions(self) -> list[Condition]:
        """All of them, the f-I curves first."""
        plain = [
            Condition(ratio * leak, leak, gain * leak, i_ref, BIAS_OFF, self.slow[0][0], celsius)
            for leak, ratio, (gain, i_ref), celsius in itertools.product(
                self.leaks, self.ratios, self.settings, self.celsius
            )
            if ratio * leak <= self.largest
        ]
        adapting = [
            Condition(i_in, self.leak, self.leak, i_ref, weight, slow, celsius)
            for i_in, weight, (slow, i_ref), celsius in itertools.product(
                self.inputs, self.weights, self.slow, self.celsius
            )
        ]
        return plain + adapting


class Condition(NamedTuple):
    """Currents (A) and temperature (°C) of an experiment; numbers, or arrays `[experiment]`."""

    i_in: Any
    i_tau: Any
    i_gain: Any
    i_ref: Any
    i_ahpw: Any
    i_ahptau: Any
    celsius: Any

    @property
    def adapts(self) -> Any:
        """Whether the weight of the adaptation is on."""
        return self.i_ahpw > 2 * BIAS_OFF


class Observation(NamedTuple):
    """What a neuron did; numbers, or arrays `[experiment]`, NaN for what was not observed."""

    rate: Any  # Hz, of the first interval; 0 for a neuron that stays silent
    refractory: Any  # s, from the first spike until the membrane has left its reset
    ratio: Any  # rate of the last interval over that of the first; of a neuron that adapts
    charge: Any  # C from the supply, between the last two spikes
    rest: Any  # A from the supply, before the input


def run_neuron(
    solve: Solve, design: NeuronDesign, progress: Callable[[float], None] | None = None
) -> tuple[Condition, Observation]:
    """The designed runs, in the engine that `solve` stands for, each as long as its spikes need. Arrays `[experiment]`.

    **Raises** `SimulationError` where a neuron does not spike as often as is needed.
    """
    conditions = design.conditions()
    seen = []
    for condition in conditions:
        seen.append(_run(solve, condition, design.spikes if condition.adapts else 2))
        if progress is not None:
            progress(1)
    return Condition(*np.array(conditions).T), Observation(*np.array(seen).T)


def _run(solve: Solve, e: Condition, spikes: int) -> Observation:
    capacitance, reset = 1.1e-12, 0.6e-12
    once = capacitance * 0.4 / (e.i_in - 0.7 * e.i_tau) + reset * 0.35 / e.i_ref
    values = {
        "param.iin": e.i_in, "param.itau": e.i_tau, "param.ithr": e.i_gain, "param.iref": e.i_ref,
        "param.iahpw": e.i_ahpw, "param.iahptau": e.i_ahptau, "param.iahpgain": e.i_ahptau, "temp": e.celsius,
        "iin.td": _DELAY, "iin.tr": 1e-6,
    }  # fmt: skip
    stop = _DELAY + once * (1.6 * spikes if e.adapts else 2.6)
    times = np.zeros(0)
    for _ in range(_TRIES):
        waves = solve(values, stop)
        times = np.asarray(spike_times(waves, "spk"))
        if len(times) >= spikes:
            return _observed(waves, times[:spikes], bool(e.adapts))
        stop = _DELAY + _LONGER * (stop - _DELAY)
    if not len(times):
        return Observation(0.0, math.nan, math.nan, math.nan, math.nan)
    raise SimulationError(
        f"the neuron gave {len(times)} of {spikes} spikes within {stop / _LONGER:.3g} s at {e.i_in:g} A of input, a "
        f"leak of {e.i_tau:g} A and {e.celsius:g} °C; the experiments need more."
    )


def _observed(waves: Waveforms, times: np.ndarray, adapts: bool) -> Observation:
    left = np.asarray(crossings(waves.time, waves.voltage("vmem"), LEFT, "rise"))
    left = left[left > times[0]]
    periods = np.diff(times)
    return Observation(
        rate=1 / periods[0], refractory=left[0] - times[0] if len(left) else math.nan,
        ratio=periods[0] / periods[-1] if adapts else math.nan,
        charge=-float(charge(waves, "vdd", times[-2], times[-1])),
        rest=-float(charge(waves, "vdd", 0.5 * _DELAY, _DELAY)) / (0.5 * _DELAY),
    )  # fmt: skip
