r"""The network's neuron with the constants of a calibrated circuit, and how far its rates are from that circuit.

A network steps $\dot u = \frac{\kappa}{C U_T}[\frac{I_{in}}{1+e^u/I_g} - I_\tau - I_{off} + g\,e^u]$ from the reset to
the spike, and rests for $t_{ref} = C_r V/I_{ref}$. Its interval is a quadrature, so that the capacitance, the gain, the
feedback, the threshold, the reset, the refractory voltage and the off-current that suit a circuit best are a fit of
seconds. Each of them is $a\,e^{b (T - 27\,°C)}$: of a network at one temperature they are constants, and the fit is to
all temperatures of the calibration at once. What the equation lacks of the circuit (`models.TransistorNeuron`) is in
the errors: moderate inversion, a leak that fades near the reset, the Early effect, a reset that lets go slowly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError
from ..models import MirrorFeedback, Physics
from ._network import Adaptation, Neuron
from ._warming import T0, check_temperature, off_growth, ut, warmed

if TYPE_CHECKING:
    from ..calibrate import Calibration, ErrorRow

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)  # the integrand has a peak near rheobase
_ADAPTS = 1e-14  # A, of a weight that is on
_STOPPED = 1e-3  # of the input: a membrane slower than this counts as this slow, for trial values below rheobase
_ROBUST = 0.02  # where errors begin to count less than by their square
# A weak pull to the start: the equation is the same when all membrane currents are scaled together.
PULL = 1e-3
_SCALE = 50.0  # K, by which the fit's temperatures are divided
_FREE = ("c_mem", "gain", "threshold", "reset", "feedback", "v_ref", "i_off")


@dataclass(frozen=True)
class CircuitNeuron:
    """Constants of the network's neuron from a circuit, at 27 °C.

    - `c_mem`, `c_ref`, `c_ahp`: F. `kappa`: inverse slope factor. `i0`: floor of all currents (A).
    - `gain`: I_g of the network over that of the circuit. `threshold`, `reset`: membrane currents (A). `feedback`: g.
    - `v_ref`: V. `i_off`: off-current that adds to the leak (A).
    - `warming`: by name, how a constant grows with temperature (1/K), exponentially; none stay.
    - `celsius`: the temperatures between which that is known (°C).
    - `errors`: of the rate, one row per experiment of the calibration without adaptation.
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
    i_off: float = 0.0
    warming: Mapping[str, float] = field(default_factory=dict)
    celsius: tuple[float, float] = (T0, T0)

    def physics(self, celsius: float = T0) -> Physics:
        """The process at a temperature (°C), for a network: `Network(physics=…)`.

        Warns (`RangeWarning`) outside the temperatures of the calibration.
        """
        check_temperature(celsius, self.celsius, "neuron")
        at = self._at(celsius)
        return Physics(
            i0=self.i0, kappa_n=self.kappa, kappa_p=self.kappa, ut=float(ut(celsius)), vth=at["v_ref"],
            reset=at["reset"], c={**Physics().c, "mem": at["c_mem"], "ref": self.c_ref, "ahp": self.c_ahp},
            feedback=MirrorFeedback(gain=at["feedback"]),
        )  # fmt: skip

    def neuron(
        self, i_in: float, *, i_tau: float, i_gain: float, i_ref: float, celsius: float = T0,
        adaptation: Adaptation | None = None,
    ) -> Neuron:  # fmt: skip
        """The neuron that a network takes for the circuit's bias currents (A); its `physics` is of the same °C."""
        physics, at = self.physics(celsius), self._at(celsius)
        leak = i_tau + at["i_off"]
        return Neuron(
            tau=physics.time_constant(leak, "mem"), gain=at["gain"] * i_gain / leak, dc=i_in,
            refractory=physics.discharge_time(i_ref, "ref"), threshold=at["threshold"], adaptation=adaptation,
        )  # fmt: skip

    def rate(self, i_in: Any, *, i_tau: Any, i_gain: Any, i_ref: Any, celsius: Any = T0) -> Any:
        """Rate (Hz) of the network's equation at constant inputs; arrays of any shape. 0 below rheobase."""
        given = [np.asarray(x, float) for x in (i_in, i_tau, i_gain, i_ref, celsius)]
        at = self._at(given[4])
        period, slowest = _period([at[name] for name in _FREE], self.kappa, self.c_ref, *given)
        return np.where(np.asarray(slowest) > 0, 1 / np.asarray(period), 0.0)

    def _at(self, celsius: Any) -> dict[str, Any]:
        return {name: warmed(getattr(self, name), self.warming.get(name, 0.0), celsius) for name in _FREE}


def circuit_neuron(found: Calibration) -> CircuitNeuron:
    """Fit the network's neuron to the circuit's rates in a calibration of `adexp_neuron`, at all its temperatures.

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
        "feedback": p["feedback"], "v_ref": 0.35, "i_off": p["i_off"],
    }  # fmt: skip
    log_start = np.log([start[name] for name in _FREE])
    guess = np.array([off_growth(p) if name in ("reset", "i_off") else 0.0 for name in _FREE])
    warmer = given[4] - T0
    several = bool(np.ptp(given[4]) > 0)

    def constants(x: Any) -> Any:
        """[constant, experiment]"""
        growth = (guess + x[len(_FREE) :] / _SCALE)[:, None] * warmer if several else 0.0
        return jnp.exp((log_start + x[: len(_FREE)])[:, None] + growth)

    def residuals(x: Any) -> Any:
        return jnp.concatenate([jnp.log(seen * _period(constants(x), kappa, c_ref, *given)[0]), PULL * x])

    done = least_squares(
        jax.jit(residuals), np.zeros((1 + several) * len(_FREE)), jac=cast(Any, jax.jit(jax.jacfwd(residuals))),
        loss="soft_l1", f_scale=_ROBUST,
    )  # fmt: skip
    values = {name: float(v) for name, v in zip(_FREE, np.exp(log_start + done.x[: len(_FREE)]), strict=True)}
    growth = guess + done.x[len(_FREE) :] / _SCALE if several else []
    made = CircuitNeuron(
        **values, c_ref=c_ref, c_ahp=p["c_ahp"] + p["ahp_c_extra"], kappa=kappa, i0=p["i_off"], errors=[],
        warming={name: float(b) for name, b in zip(_FREE, growth, strict=False)},
        celsius=(float(given[4].min()), float(given[4].max())),
    )  # fmt: skip
    keys = ("i_tau", "i_gain", "i_ref", "celsius")
    rates = made.rate(given[0], **dict(zip(keys, given[1:], strict=True)))
    errors = [ErrorRow("rate", row.condition, float(r), row.circuit) for row, r in zip(rows, rates, strict=True)]
    return CircuitNeuron(**{**vars(made), "errors": errors})


def _period(
    values: Any, kappa: float, c_ref: float, i_in: Any, i_tau: Any, i_gain: Any, i_ref: Any, celsius: Any
) -> Any:
    """Interval (s) between spikes, and the slowest net current (A) on the way, negative below rheobase."""
    c_mem, gain, threshold, reset, feedback, v_ref, i_off = (jnp.asarray(v)[..., None] for v in values)
    low, high = jnp.log(reset), jnp.log(threshold)
    i_in, i_tau, i_gain = (jnp.asarray(x)[..., None] for x in (i_in, i_tau, i_gain))
    i_mem = jnp.exp(0.5 * (low + high) + 0.5 * (high - low) * _NODES)
    net = i_in / (1 + i_mem / (gain * i_gain)) - i_tau - i_off + feedback * i_mem
    time = 0.5 * (high - low)[..., 0] * jnp.sum(_WEIGHTS / jnp.maximum(net, _STOPPED * i_in), axis=-1)
    return c_ref * v_ref[..., 0] / i_ref + c_mem[..., 0] * ut(celsius) / kappa * time, jnp.min(net, axis=-1)
