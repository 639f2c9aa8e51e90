r"""The NMDA gate with what its transistors add to the textbook equation, each effect a term that can be switched off.

A differential pair lets a part of the synapse's current through, two mirrors bring it to the output (own circuit on
the principle of Chicca et al. 2014, DOI 10.1109/JPROC.2014.2313954). With v the membrane's voltage, $v_{nmda}$ the gate
voltage of a diode that carries $I_{nmda}$ and r the ratio in which the pair divides its current,

$$\ln r = \frac{v - v_{nmda} + \delta}{n_i U_T}, \qquad I_{out} = a M_p\big(M_n(I_{dpi}\, r/(1 + r))\big)$$

in weak inversion; above it the pair is less steep, by $(\sqrt{I_2} - \sqrt{I_1})/\sqrt{I_{Si}}$ of its branches (the
EKV law to first order). $v_{nmda}$ follows from $I(v) = I_S \ln^2(1 + e^{(v - V_T)/2nU_T})$, the law that also makes a
membrane's current of its voltage, so that $r = (I_{mem}/I_{nmda})^{n/n_i}$: the textbook's gate with the exponent
$\kappa_p/\kappa_n$. A mirror M gives an off-current where it is given none; δ and a come from unequal drain voltages.
"""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ._dpi import as_float
from ._transistor_laws import TransistorLaws
from ._transistor_parts import diode, log_steering, warmed

GATE_TERMS = ("exponent", "moderate", "floor", "early", "temperature")


class TransistorGate(TransistorLaws):
    """An NMDA gate as its circuit behaves, from 20 pA to 10 nA and over temperature.

    **Arguments**

    - `i_nmda`: membrane current of half opening (A). `celsius`: °C.
    - `n`: slope factor of the transistors that carry the membrane's current and `i_nmda`; `n_in`: of the pair.
    - `i_spec`, `i_spec_in`: their specific currents at 27 °C (A). `vt`: threshold (V) of the first, falling by `tcv`
      (V/K).
    - `offset`: by which the pair is out of balance (V). `gain`: of the two mirrors.
    - `i_off`, `i_off_in`: off-currents at 27 °C (A) of the mirror of the first kind and of that of the pair's kind.
    - `terms`: those of `GATE_TERMS` that take part; all by default. `exponent`: n_in differs from n. `moderate`:
      transistors leave weak inversion. `floor`: off-currents, and diodes of small currents that do not saturate.
      `early`: `offset` and `gain`. `temperature`: all that depends on it.

    **Raises** `InputError` for a term that does not exist.
    """

    i_nmda: jax.Array = eqx.field(converter=as_float)
    offset: jax.Array = eqx.field(converter=as_float)
    gain: jax.Array = eqx.field(converter=as_float)
    i_off: jax.Array = eqx.field(converter=as_float)
    i_off_in: jax.Array = eqx.field(converter=as_float)
    terms: tuple[str, ...] = eqx.field(static=True, default=GATE_TERMS, kw_only=True)

    known_terms: ClassVar[tuple[str, ...]] = GATE_TERMS

    @property
    def half_voltage(self) -> jax.Array:
        """Where half of the current passes (V): the gate voltage of the bias diode, and the pair's offset."""
        gate = self.voltage(self.i_nmda)
        if "floor" in self.terms:
            gate, _ = diode(self.i_nmda, gate, self.n, self.ut)
        return gate - self.offset if "early" in self.terms else gate

    def opening(self, i_dpi: ArrayLike, v: ArrayLike) -> jax.Array:
        """Which share of the synapse's current `i_dpi` (A) the pair lets through at the membrane voltage `v` (V)."""
        weak = (as_float(v) - self.half_voltage) / (self.slope_in * self.ut)
        if "moderate" in self.terms:
            scale = jnp.sqrt(as_float(i_dpi) / self._specific_in)
            weak = log_steering(weak, scale)
        return jax.nn.sigmoid(weak)

    def current(self, i_dpi: ArrayLike, v: ArrayLike) -> jax.Array:
        """The output current (A) for the synapse's current `i_dpi` (A) at the membrane voltage `v` (V)."""
        passed = as_float(i_dpi) * self.opening(i_dpi, v)
        if "floor" in self.terms:
            for off, slope in ((self.i_off, self.n), (self.i_off_in, self.slope_in)):
                least = warmed(off, self._ratio, self.vt, self.threshold, slope)
                passed = diode(passed, slope * self.ut * jnp.log(passed / least), slope, self.ut)[1]
        return self.gain * passed if "early" in self.terms else passed
