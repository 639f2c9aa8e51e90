r"""The network's neuron with the constants of a calibrated circuit, and how far its rates are from that circuit.

A network steps $\dot u = \frac{\kappa}{C U_T}[\frac{I_{in}}{1+e^u/I_g} - I_\tau + g\,e^u]$ from the reset to the spike,
and rests for $t_{ref} = C_r V/I_{ref}$. Its interval is a quadrature, so that the capacitance, the gain, the feedback,
the threshold, the reset and the refractory voltage that suit a circuit best are a fit of seconds. What the equation
lacks of the circuit (`models.TransistorNeuron`) is in the errors: moderate inversion, a leak that fades near the
reset, the Early effect, a reset that lets go slowly, and the laws of temperature beyond that of $U_T$.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError
from ..models import MirrorFeedback, Physics
from ._network import Adaptation, Neuron

if TYPE_CHECKING:
    from ..calibrate import Calibration, ErrorRow

_UT0, _T0, _KELVIN = 0.02586492, 300.15, 273.15
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)  # the integrand has a peak near rheobase
_ADAPTS = 1e-14  # A, of a weight that is on
_STOPPED = 1e-3  # of the input: a membrane slower than this counts as this slow, for trial values below rheobase
_ROBUST = 0.02  # where errors begin to count less than by their square


@dataclass(frozen=True)
class CircuitNeuron:
    """Constants of the network's neuron from a circuit.

    - `c_mem`, `c_ref`, `c_ahp`: F. `kappa`: inverse slope factor. `i0`: off-current (A).
    - `gain`: I_g of the network over that of the circuit. `threshold`, `reset`: membrane currents (A). `feedback`: g.
    - `v_ref`: V. `errors`: of the rate, one row per experiment of the calibration without adaptation.
    """

    c_mem: float
    c_ref: float
    c_ahp: float
    kappa: float
    i0: float
    gain: float
    threshold: float
    reset: float
    feedback: float
    v_ref: float
    errors: Sequence[ErrorRow]

    def physics(self, celsius: float = 27.0) -> Physics:
        """The process, for a network: `Network(physics=…)`."""
        return Physics(
            i0=self.i0, kappa_n=self.kappa, kappa_p=self.kappa, ut=_ut(celsius), vth=self.v_ref, reset=self.reset,
            c={**Physics().c, "mem": self.c_mem, "ref": self.c_ref, "ahp": self.c_ahp},
            feedback=MirrorFeedback(gain=self.feedback),
        )  # fmt: skip

    def neuron(
        self, i_in: float, *, i_tau: float, i_gain: float, i_ref: float, celsius: float = 27.0,
        adaptation: Adaptation | None = None,
    ) -> Neuron:  # fmt: skip
        """The neuron that a network takes for the circuit's bias currents (A)."""
        physics = self.physics(celsius)
        return Neuron(
            tau=physics.time_constant(i_tau, "mem"), gain=self.gain * i_gain / i_tau, dc=i_in,
            refractory=physics.discharge_time(i_ref, "ref"), threshold=self.threshold, adaptation=adaptation,
        )  # fmt: skip

    def rate(self, i_in: Any, *, i_tau: Any, i_gain: Any, i_ref: Any, celsius: Any = 27.0) -> Any:
        """Rate (Hz) of the network's equation at constant inputs; arrays of any shape. 0 below rheobase."""
        values = [getattr(self, name) for name in _FREE]
        period, slowest = _period(
            values, self.kappa, self.c_ref, *(np.asarray(x, float) for x in (i_in, i_tau, i_gain, i_ref, celsius))
        )
        return np.where(np.asarray(slowest) > 0, 1 / np.asarray(period), 0.0)


_FREE = ("c_mem", "gain", "threshold", "reset", "feedback", "v_ref")


def circuit_neuron(found: Calibration) -> CircuitNeuron:
    """Fit the network's neuron to the circuit's rates in a calibration of `adexp_neuron`.

    **Raises** `InputError` for the calibration of another block.
    """
    from scipy.optimize import least_squares

    from ..calibrate import ErrorRow

    if found.block != "adexp_neuron":
        raise InputError(f"this is a calibration of {found.block}; the network's neuron takes one of adexp_neuron.")
    rows = [row for row in found.errors if row.quantity == "rate" and row.condition["i_ahpw"] < _ADAPTS]
    given = [
        np.array([row.condition[name] for row in rows]) for name in ("i_in", "i_tau", "i_gain", "i_ref", "celsius")
    ]
    seen = np.array([row.circuit for row in rows])
    p = found.parameters
    kappa, c_ref = 1 / p["n"], p["c_ref"] + p["c_ref_extra"]
    start = {
        "c_mem": p["c_mem"] + p["c_extra"], "gain": 1.0, "threshold": p["i_spec"], "reset": 2 * p["i_off"],
        "feedback": p["feedback"], "v_ref": 0.35,
    }  # fmt: skip
    x0 = np.log([start[name] for name in _FREE])

    def residuals(x: Any) -> Any:
        return jnp.log(seen * _period(jnp.exp(x), kappa, c_ref, *given)[0])

    done = least_squares(
        jax.jit(residuals), x0, jac=cast(Any, jax.jit(jax.jacfwd(residuals))), loss="soft_l1", f_scale=_ROBUST,
        x_scale=0.1,
    )  # fmt: skip
    values = {name: float(v) for name, v in zip(_FREE, np.exp(done.x), strict=True)}
    made = CircuitNeuron(
        **values, c_ref=c_ref, c_ahp=p["c_ahp"] + p["ahp_c_extra"], kappa=kappa, i0=p["i_off"], errors=[]
    )
    keys = ("i_tau", "i_gain", "i_ref", "celsius")
    rates = made.rate(given[0], **dict(zip(keys, given[1:], strict=True)))
    errors = [ErrorRow("rate", row.condition, float(r), row.circuit) for row, r in zip(rows, rates, strict=True)]
    return CircuitNeuron(**{**vars(made), "errors": errors})


def _ut(celsius: Any) -> Any:
    return _UT0 * (celsius + _KELVIN) / _T0


def _period(
    values: Any, kappa: float, c_ref: float, i_in: Any, i_tau: Any, i_gain: Any, i_ref: Any, celsius: Any
) -> Any:
    """Interval (s) between spikes, and the slowest net current (A) on the way, negative below rheobase."""
    c_mem, gain, threshold, reset, feedback, v_ref = values
    low, high = jnp.log(reset), jnp.log(threshold)
    i_in, i_tau, i_gain = (jnp.asarray(x)[..., None] for x in (i_in, i_tau, i_gain))
    i_mem = jnp.exp(0.5 * (low + high) + 0.5 * (high - low) * _NODES)
    net = i_in / (1 + i_mem / (gain * i_gain)) - i_tau + feedback * i_mem
    time = 0.5 * (high - low) * jnp.sum(_WEIGHTS / jnp.maximum(net, _STOPPED * i_in), axis=-1)
    return c_ref * v_ref / i_ref + c_mem * _ut(celsius) / kappa * time, jnp.min(net, axis=-1)
