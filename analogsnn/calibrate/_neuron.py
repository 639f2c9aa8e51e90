"""The behavioural adaptive-exponential neuron, fitted to circuit experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from .. import library
from ..circuit import Circuit, use_float64
from ..errors import InputError
from ..models import TransistorDPI, TransistorNeuron
from ..netlist import Netlist
from ._calibration import Calibration, ErrorRow, valid_range
from ._neuron_experiments import Condition, NeuronDesign, Observation, run_neuron

QUANTITIES = ("rate", "refractory", "ratio", "charge", "rest")
JUDGED = ("rate", "refractory", "ratio")
# A weak pull to the start, for what the experiments do not tell apart.
PULL = 0.02
_LINEAR = {
    "n": 0.1, "n_in": 0.1, "vt": 0.1, "tcv": 1e-3, "c_extra": 2e-14, "ahp_c_extra": 2e-14, "c_ref_extra": 2e-14,
    "v_peak": 0.1, "v_peak_t": 1e-3, "delay": 1e-6, "q_pulse": 2e-14,
}  # fmt: skip
_SHARED = ("n", "n_in", "i_spec", "vt", "tcv", "v_early", "i_spec_in")
_OWN = ("c_ref_extra", "v_peak", "v_peak_t", "delay", "reset", "starved", "q_pulse")
_LATEST = 1.5  # of the circuit's time for the same spikes: later ones do not count, and the residual is this bound's


def make_neuron(values: Mapping[str, Any], e: Condition, capacitors: Mapping[str, Any], **more: Any) -> TransistorNeuron:
    """The model at the currents and the temperature of `e`."""
    shared = {name: values[name] for name in _SHARED} | {"celsius": e.celsius} | more
    membrane = TransistorDPI(
        c=capacitors["c_mem"], i_tau=e.i_tau, i_gain=e.i_gain, a_w=values["a_w"], a_out=values["feedback"],
        c_extra=values["c_extra"], i_off=values["ahp_i_off"], **shared,
    )  # fmt: skip
    ahp = TransistorDPI(
        c=capacitors["c_ahp"], i_tau=e.i_ahptau, i_gain=e.i_ahptau, a_w=values["ahp_a_w"], a_out=values["ahp_a_out"],
        c_extra=values["ahp_c_extra"], i_off=values["ahp_i_off"], **shared,
    )  # fmt: skip
    own = {name: values[name] for name in _OWN}
    return TransistorNeuron(
        membrane=membrane, ahp=ahp, i_ahpw=e.i_ahpw, i_ref=e.i_ref, c_ref=capacitors["c_ref"], **own
    )


def predict(
    values: Mapping[str, Any], e: Condition, seen: Observation, capacitors: Mapping[str, Any], spikes: int, **more: Any
) -> dict[str, Any]:
    """What the model says, by quantity, `[experiment]` each: NaN for spikes that do not come in time."""

    def one(e: Condition, within: Any) -> dict[str, Any]:
        neuron = make_neuron(values, e, capacitors, **more)
        times, left = neuron.spikes(e.i_in, spikes, within)
        periods = jnp.diff(times)
        return {"rate": 1 / periods[0], "refractory": left[0] - times[0], "ratio": periods[0] / periods[-1]}

    # The first spike comes from rest and takes no longer than a period.
    periods = 1 + (spikes - 1) / np.nan_to_num(np.asarray(seen.ratio), nan=1.0)
    within = jnp.asarray(_LATEST * periods / np.asarray(seen.rate))
    return jax.vmap(one)(Condition(*(jnp.asarray(x, float) for x in e)), within)
