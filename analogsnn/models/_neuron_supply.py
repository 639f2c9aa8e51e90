r"""What the supply gives a neuron, in each of its states and for each spike.

$$Q = q_0 + q_T\,(T - 27\,°C) + q_s \ln\frac{1\,nA}{I_{in}} + k\,I_{ahpw}\,t_{pulse} + I_{rest}\,t, \qquad
  I_{rest} = I_{off}(T) + \frac{I_{ahpw} I_p(T)}{I_{ahpw} + I_p(T)}$$

over one period t: the charging of gates and of the refractory capacitor, its change with temperature, the current of
inverters whose input moves slowly, the pulse of the adaptation, and the off-currents: of all branches, and of the
starved inverter that makes the pulse, which has one only while its load is on. The charge is an empirical law, fitted
to the circuit; biases and input currents come from other supplies and are not in it.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ._dpi import as_float
from ._transistor_neuron import TransistorNeuron

_NANO = 1e-9
_T0 = 27.0


class NeuronSupply(eqx.Module):
    """Charge, current and energy that a neuron takes from its supply.

    - `q_spike`: C a spike, at 27 °C and 1 nA; `q_warm`: its change (C/K); `q_slow`: C by e-fold of a smaller input.
    - `pulse`: share of the adaptation's weight that flows while its pulse lasts (1).
    - `i_rest`: off-current of the branches (A) at 27 °C, and `i_rest_pulse` that of the pulse's inverter; they grow as
      those of transistors of the slope factor `n_rest`.
    """

    q_spike: jax.Array = eqx.field(converter=as_float)
    q_warm: jax.Array = eqx.field(converter=as_float)
    q_slow: jax.Array = eqx.field(converter=as_float)
    pulse: jax.Array = eqx.field(converter=as_float)
    i_rest: jax.Array = eqx.field(converter=as_float)
    i_rest_pulse: jax.Array = eqx.field(converter=as_float)
    n_rest: jax.Array = eqx.field(converter=as_float)

    @staticmethod
    def columns(neuron: TransistorNeuron, i_in: ArrayLike, period: ArrayLike) -> dict[str, Any]:
        """What the parameters that the charge is linear in are multiplied with, at the input `i_in` (A) over a `period`
        (s); the charge at rest comes on top."""
        return {
            "q_spike": jnp.ones_like(as_float(period)), "q_warm": neuron.membrane.celsius - _T0,
            "q_slow": jnp.log(_NANO / as_float(i_in)),
            "pulse": neuron.i_ahpw * jnp.minimum(neuron.pulse, as_float(period)),
        }  # fmt: skip

    def charge(self, neuron: TransistorNeuron, i_in: ArrayLike, period: ArrayLike) -> jax.Array:
        """Charge (C) of one period (s) between spikes."""
        columns = self.columns(neuron, i_in, period)
        spent = sum(getattr(self, name) * column for name, column in columns.items())
        return jnp.asarray(spent + self.at_rest(neuron) * period)

    def energy(self, neuron: TransistorNeuron, i_in: ArrayLike, period: ArrayLike, vdd: ArrayLike) -> jax.Array:
        """Energy (J) of one period (s) between spikes, from a supply of `vdd` (V)."""
        return as_float(vdd) * self.charge(neuron, i_in, period)

    def at_rest(self, neuron: TransistorNeuron) -> jax.Array:
        """Current (A) without input."""
        warmer = neuron.membrane.warmed(1.0, self.n_rest)
        off = self.i_rest_pulse * warmer
        return self.i_rest * warmer + neuron.i_ahpw * off / (neuron.i_ahpw + off)

    def during_pulse(self, neuron: TransistorNeuron) -> jax.Array:
        """Current (A) while a spike's pulse drives the adaptation."""
        return self.at_rest(neuron) + self.pulse * neuron.i_ahpw
