r"""What the supply gives a neuron, in each of its states and for each spike.

$$Q = q_0 + q_T\,\Delta T + (q_s + q_{sT}\,\Delta T) \ln\frac{t_{rise}}{0.4\,ms} + k\,I_{ahpw}\,t_{pulse}
  + I_{rest}\,t, \qquad I_{rest} = I_{off}(T) + \frac{I_{ahpw} I_p(T)}{I_{ahpw} + I_p(T)}$$

over one period t, ΔT from 27 °C: the charging of gates and of the refractory capacitor, its change with temperature,
the current of inverters whose input moves slowly (by the time from the reset to the spike), the pulse of the
adaptation, and the off-currents: of all branches, and of the starved inverter that makes the pulse, which has one only
while its load is on. The charge is an empirical law, fitted to the circuit; biases and input currents come from other
supplies and are not in it.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ._dpi import as_float
from ._transistor_neuron import TransistorNeuron

_RISE = 0.4e-3  # s: 0.4 V of 1 pF at 1 nA
_T0 = 27.0


class NeuronSupply(eqx.Module):
    """Charge, current and energy that a neuron takes from its supply.

    - `q_spike`: C a spike, at 27 °C and a rise of 0.4 ms; `q_warm`: its change (C/K); `q_slow`: C by e-fold of a slower
      rise; `q_slow_warm`: its change (C/K).
    - `pulse`: share of the adaptation's weight that flows while its pulse lasts (1).
    - `i_rest`: off-current of the branches (A) at 27 °C, and `i_rest_pulse` that of the pulse's inverter; they grow as
      those of transistors of the slope factor `n_rest`.
    """

    q_spike: jax.Array = eqx.field(converter=as_float)
    q_warm: jax.Array = eqx.field(converter=as_float)
    q_slow: jax.Array = eqx.field(converter=as_float)
    q_slow_warm: jax.Array = eqx.field(converter=as_float)
    pulse: jax.Array = eqx.field(converter=as_float)
    i_rest: jax.Array = eqx.field(converter=as_float)
    i_rest_pulse: jax.Array = eqx.field(converter=as_float)
    n_rest: jax.Array = eqx.field(converter=as_float)

    @staticmethod
    def columns(neuron: TransistorNeuron, rise: ArrayLike, period: ArrayLike) -> dict[str, Any]:
        """What the parameters that the charge is linear in are multiplied with, for a `period` (s) of which `rise` (s)
        is after the membrane has left its reset; the charge at rest comes on top."""
        warmer, slow = neuron.membrane.celsius - _T0, jnp.log(as_float(rise) / _RISE)
        return {
            "q_spike": jnp.ones_like(as_float(period)), "q_warm": warmer, "q_slow": slow, "q_slow_warm": slow * warmer,
            "pulse": neuron.i_ahpw * jnp.minimum(neuron.pulse, as_float(period)),
        }  # fmt: skip

    def charge(self, neuron: TransistorNeuron, rise: ArrayLike, period: ArrayLike) -> jax.Array:
        """Charge (C) of one period (s) between spikes, of which `rise` (s) is after the reset."""
        columns = self.columns(neuron, rise, period)
        spent = sum(getattr(self, name) * column for name, column in columns.items())
        return jnp.asarray(spent + self.at_rest(neuron) * period)

    def energy(self, neuron: TransistorNeuron, rise: ArrayLike, period: ArrayLike, vdd: ArrayLike) -> jax.Array:
        """Energy (J) of one period (s) between spikes, of which `rise` (s) is after the reset, from `vdd` (V)."""
        return as_float(vdd) * self.charge(neuron, rise, period)

    def at_rest(self, neuron: TransistorNeuron) -> jax.Array:
        """Current (A) without input."""
        warmer = neuron.membrane.warmed(1.0, self.n_rest)
        off = self.i_rest_pulse * warmer
        return self.i_rest * warmer + neuron.i_ahpw * off / (neuron.i_ahpw + off)

    def during_pulse(self, neuron: TransistorNeuron) -> jax.Array:
        """Current (A) while a spike's pulse drives the adaptation."""
        return self.at_rest(neuron) + self.pulse * neuron.i_ahpw
