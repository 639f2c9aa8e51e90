r"""The network's synapse with the constants of a calibrated circuit, at a temperature and a working point.

A network's DPI has the steady state $I_g (I_w/I_\tau - 1)$ and decays with $\tau = C U_T/(\kappa I_\tau)$ (Bartolozzi &
Indiveri 2007, DOI 10.1162/neco.2007.19.10.2581). The calibrated model (`models.TransistorDPI`) knows both of its
circuit, with off-currents, moderate inversion, Early effect and temperature; here C and I_g are what makes the
network's equal at one mean weight current. Away from it the model goes with $(I_w/I_\tau - 1)^{n_i/n}$ and the network
with the exponent 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import InputError
from ..models import Physics
from ._network import SYNAPSE_TYPES, Synapse

if TYPE_CHECKING:
    from ..calibrate import Calibration


@dataclass(frozen=True)
class CircuitSynapse:
    """Constants of the network's synapse at a working point of a circuit.

    - `tau`: decay time (s). `i_out`: output (A) at the mean weight current `i_w` (A), with the leak `i_tau` (A).
    - `celsius`: °C.
    """

    tau: float
    i_out: float
    i_w: float
    i_tau: float
    celsius: float

    @property
    def synapse(self) -> Synapse:
        """The synapse of a population; its weights are the circuit's weight currents."""
        return Synapse(tau=self.tau, gain=self.i_out / (self.i_w - self.i_tau))

    def physics(self, process: Physics, *kinds: str) -> Physics:
        """`process` with the capacitor that this synapse needs for the synapse types `kinds`, all unless given."""
        c = self.i_tau * self.tau * process.kappa / process.ut
        capacitors: Mapping[str, float] = {**process.c, **dict.fromkeys(kinds or SYNAPSE_TYPES, c)}
        return replace(process, c=capacitors)


def circuit_synapse(
    found: Calibration, *, i_tau: float, i_gain: float, i_w: float, celsius: float = 27.0
) -> CircuitSynapse:
    """The network's synapse for a calibrated DPI synapse at its bias currents (A) and a temperature (°C).

    **Arguments**: `i_w`: the mean weight current (A) of the working point, rate times width times weight of the pulses.

    Warns (`RangeWarning`) outside the calibration's range.

    **Raises** `InputError` for the calibration of another block, and for a mean weight current that is not above the
    leak, at which the synapse stays at rest.
    """
    if not found.block.startswith("dpi_synapse"):
        raise InputError(f"this is a calibration of {found.block}; the network's synapse takes one of dpi_synapse.")
    if not i_w > i_tau:
        raise InputError(
            f"a mean weight current of {i_w:g} A leaves a synapse with a leak of {i_tau:g} A at rest; the working "
            "point is where the network is to be right: give rate times width times weight of the pulses there."
        )
    model = found.at(i_tau=i_tau, i_gain=i_gain, celsius=celsius)
    i_out = model.steady_state(i_w)
    found.check(i_out=float(i_out))
    return CircuitSynapse(
        tau=float(model.decay_time(i_out, i_w)), i_out=float(i_out), i_w=i_w, i_tau=i_tau, celsius=celsius
    )
