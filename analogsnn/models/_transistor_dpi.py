r"""The DPI synapse with what its transistors add to the textbook equation, each effect a term that can be switched off.

State: the voltage v between the capacitor's plates, which is the output transistor's gate voltage. With the EKV law
$I(v) = I_S \ln^2(1 + e^{(v - V_T)/2nU_T})$ of the output transistor and $v_g$, $v_\tau$ the gate voltages at which it
would carry $I_g$, $I_\tau$:

$$C\,\dot v = \frac{a_w I_w}{1 + r} - I_\tau\,(1 - e^{-v/U_T})\,\frac{1 + v/V_A}{1 + v_\tau/V_A},
  \qquad I_{out} = a_o\,I(v)$$

with r the ratio in which the input pair divides its current, $\ln r = (v - v_g)/n_i U_T$ in weak inversion and less
steep, by $(\sqrt{I_2} - \sqrt{I_1})/\sqrt{I_{Si}}$ of its branches, above (the same EKV law to first order).
While the pulse is off, the switch lets its off-current through in series with the weight: $I_w$ is then
$I_w I_{off}/(I_w + I_{off})$, which sets the rest on a hot chip. A bias of a few off-currents leaves its diode
unsaturated, and the mirrored current is then larger. The charge balance is that of Bartolozzi & Indiveri 2007
(DOI 10.1162/neco.2007.19.10.2581), with the slope factor $n_i$ of the input pair beside that of the output transistor,
n. Without any term it is `DPI`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ._dpi import as_float
from ._transistor_laws import TransistorLaws
from ._transistor_parts import diode, log_steering, warmed

TERMS = ("exponent", "moderate", "floor", "early", "parasitic", "temperature")
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_BISECTIONS = 60


class TransistorDPI(TransistorLaws):
    """A DPI synapse as its circuit behaves, from 20 pA to 10 nA and over temperature.

    **Arguments**

    - `c`: capacitor (F); `c_extra`: what the transistors add to it.
    - `n`: slope factor of the output and leak transistors; `n_in`: of the input pair.
    - `i_spec`: specific current of the output transistor at 27 °C (A); `vt`: its threshold (V), falling by `tcv` (V/K).
    - `i_spec_in`: specific current of the input pair at 27 °C (A).
    - `v_early`: Early voltage of the leak (V). `a_w`, `a_out`: gains of the weight and the output mirror.
    - `i_off`: off-current of the input's switch at 27 °C (A); it grows with temperature as that of a transistor.
    - `i_tau`, `i_gain`: A. `celsius`: °C.
    - `terms`: those of `TERMS` that take part; all by default. `exponent`: n_in differs from n. `moderate`: the output
      and the pair leave weak inversion. `floor`: the leak fades when its drain voltage does, the switch leaks, and
      diodes of small biases do not saturate, so that the output rests at a current of its own. `early`: the Early
      effect of the leak. `parasitic`: `c_extra`. `temperature`: all that depends on it.

    **Raises** `InputError` for a term that does not exist.
    """

    c: jax.Array = eqx.field(converter=as_float)
    v_early: jax.Array = eqx.field(converter=as_float)
    a_w: jax.Array = eqx.field(converter=as_float)
    a_out: jax.Array = eqx.field(converter=as_float)
    c_extra: jax.Array = eqx.field(converter=as_float)
    i_off: jax.Array = eqx.field(converter=as_float)
    i_tau: jax.Array = eqx.field(converter=as_float)
    i_gain: jax.Array = eqx.field(converter=as_float)
    terms: tuple[str, ...] = eqx.field(static=True, default=TERMS, kw_only=True)

    known_terms: ClassVar[tuple[str, ...]] = TERMS

    def _bias(self, current: ArrayLike, gate: jax.Array, slope: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Gate voltage (V) of a diode-connected transistor that carries `current` (A), and what a saturated one with
        that gate carries (A): more, where the diode's own drain voltage is no longer many U_T.

        `gate`: the voltage if it were saturated (V). `slope`: its slope factor.
        """
        if "floor" not in self.terms:
            return gate, as_float(current)
        return diode(as_float(current), gate, slope, self.ut)

    def current(self, v: ArrayLike) -> jax.Array:
        """The output current (A) at the state `v` (V)."""
        x = (v - self.threshold) / (self.n * self.ut)
        law = jax.nn.softplus(0.5 * x) ** 2 if "moderate" in self.terms else jnp.exp(x)
        return self.a_out * self._specific * law

    def off_current(self, i_w: ArrayLike) -> jax.Array:
        """What flows in place of the weight current `i_w` (A) while the pulse is off (A)."""
        if "floor" not in self.terms:
            return jnp.zeros_like(as_float(i_w))
        i_w, off = self.mirrored(i_w), self.warmed(self.i_off)
        return i_w * off / (i_w + off)

    def warmed(self, off: ArrayLike, slope: ArrayLike | None = None) -> jax.Array:
        """An off-current (A) at the temperature, from that at 27 °C, `off` (A), of transistors of the slope factor
        `slope`; by default of the pair's kind."""
        slope = self.slope_in if slope is None else slope
        return warmed(off, self._ratio, self.vt, self.threshold, slope)

    def rest(self, i_w: ArrayLike) -> jax.Array:
        """The state (V) before any pulse, at the weight current `i_w` (A); without `floor`, the off-current's, 0 V."""
        if "floor" not in self.terms:
            return jnp.zeros(jnp.broadcast_shapes(jnp.shape(i_w), jnp.shape(self.ut)))
        return self.steady_voltage(self.off_current(i_w))

    def _share(self, v: jax.Array, total: ArrayLike) -> jax.Array:
        """Which share of the pair's current `total` (A) charges the capacitor."""
        gate, _ = self._bias(self.i_gain, self.voltage(self.i_gain), self.n)
        weak = (gate - v) / (self.slope_in * self.ut)
        if "moderate" not in self.terms:
            return jax.nn.sigmoid(weak)
        scale = jnp.sqrt(total / self._specific_in)
        # The ratio is that of the branch that charges to the other.
        return jax.nn.sigmoid(log_steering(weak, scale))

    def derivative(self, v: ArrayLike, i_w: ArrayLike) -> jax.Array:
        """dv/dt (V/s) at the current `i_w` (A) through the pair: `mirrored(…)` of the bias during a pulse, else
        `off_current(…)`."""
        return (self.charging(v, i_w) - self.sink(v, self.i_tau)) / self.capacitance

    def charging(self, v: ArrayLike, i_w: ArrayLike) -> jax.Array:
        """Which part (A) of the current `i_w` (A) through the pair charges the capacitor at the state `v` (V)."""
        return self.a_w * i_w * self._share(as_float(v), self.a_w * i_w)

    @property
    def capacitance(self) -> jax.Array:
        """All that the state charges (F)."""
        return self.c + self.c_extra if "parasitic" in self.terms else self.c

    def sink(self, v: ArrayLike, bias: ArrayLike) -> jax.Array:
        """What a transistor of the leak's kind sinks at the drain voltage `v` (V) when its bias diode is given `bias`
        (A)."""
        gate, leak = self._bias(bias, self.voltage(bias), self.n)
        if "early" in self.terms:
            leak = leak * (1 + v / self.v_early) / (1 + gate / self.v_early)
        return leak * self.opening(v)

    def opening(self, v: ArrayLike) -> jax.Array:
        """1 - e^(-v/UT): how far a drain voltage `v` (V) opens a transistor; 1 without `floor`."""
        v = as_float(v)
        return -jnp.expm1(-v / self.ut) if "floor" in self.terms else jnp.ones_like(v)

    def mirrored(self, i_w: ArrayLike) -> jax.Array:
        """What the weight transistor carries (A) when its bias diode, of the pair's kind, is given `i_w` (A)."""
        i_w = as_float(i_w)
        slope = self.slope_in
        gate = self.threshold + slope * self.ut * jnp.log(i_w / self._specific_in)
        return self._bias(i_w, gate, slope)[1]

    def steady_state(self, i_w: ArrayLike) -> jax.Array:
        """The output current (A) that a constant weight bias `i_w` (A) leads to. Differentiable."""
        return self.current(self.steady_voltage(self.mirrored(i_w)))

    def steady_voltage(self, i_w: ArrayLike) -> jax.Array:
        """The state (V) that a constant `i_w` (A) through the pair leads to: where the derivative is zero."""
        i_w = as_float(i_w)
        frozen = jax.lax.stop_gradient(self)
        fixed = jax.lax.stop_gradient(i_w)

        def halve(_: Any, bounds: Any) -> Any:
            low, high = bounds
            middle = 0.5 * (low + high)
            rising = frozen.derivative(middle, fixed) > 0
            return jnp.where(rising, middle, low), jnp.where(rising, high, middle)

        zero = jnp.zeros(jnp.broadcast_shapes(jnp.shape(i_w), jnp.shape(self.ut)))
        v, _ = jax.lax.fori_loop(0, _BISECTIONS, halve, (zero, zero + 3.0))
        # One Newton step carries the derivative of the implicit function.
        slope = jax.lax.stop_gradient(jax.jvp(lambda x: frozen.derivative(x, fixed), (v,), (jnp.ones_like(v),))[1])
        return v - self.derivative(v, i_w) / slope

    def time_between(self, start: ArrayLike, end: ArrayLike, i_w: ArrayLike) -> jax.Array:
        """The time (s) from the output current `start` to `end` (A) at a constant `i_w` (A) through the pair.

        By quadrature.

        Both must lie on the way: between rest and the steady state.
        """
        a, b = (self.voltage(as_float(x) / self.a_out) for x in (start, end))
        v = 0.5 * (a + b) + 0.5 * (b - a) * _NODES
        return 0.5 * (b - a) * jnp.sum(_WEIGHTS / self.derivative(v, i_w))

    def decay_time(self, peak: ArrayLike, i_w: ArrayLike) -> jax.Array:
        """Time constant (s) of the decay from `peak` (A): between 80 and 20 % of it, divided by ln 4."""
        peak = as_float(peak)
        return self.time_between(0.8 * peak, 0.2 * peak, self.off_current(i_w)) / np.log(4.0)

    def rise_time(self, i_w: ArrayLike) -> jax.Array:
        """Time (s) from rest to half the steady state of the weight bias `i_w` (A)."""
        rest = self.current(self.rest(i_w))
        return self.time_between(rest, 0.5 * self.steady_state(i_w), self.mirrored(i_w))

    def trace(self, times: ArrayLike, starts: ArrayLike, widths: ArrayLike, i_w: ArrayLike) -> jax.Array:
        """The output current (A) while a train of pulses of one weight comes in, from rest.

        **Arguments**: `times` (s, [m], ascending), `starts` and `widths` of the pulses (s, [n], not overlapping),
        `i_w`: their weight (A).

        Integrated with diffrax (Tsit5, 1e-8), the edges step boundaries.
        """
        import diffrax

        times, starts, widths, i_w = (as_float(x) for x in (times, starts, widths, i_w))
        edges = jnp.sort(jnp.concatenate([starts, starts + widths]))
        on, off = self.mirrored(i_w), self.off_current(i_w)

        def slope(t: Any, v: Any, _: Any) -> Any:
            inside = jnp.searchsorted(edges, t, side="right") % 2 == 1
            return self.derivative(v, jnp.where(inside, on, off))

        solved = diffrax.diffeqsolve(
            diffrax.ODETerm(slope), diffrax.Tsit5(), 0.0, times[-1], None, self.rest(i_w),
            saveat=diffrax.SaveAt(ts=times), max_steps=100_000,
            stepsize_controller=diffrax.ClipStepSizeController(
                diffrax.PIDController(rtol=1e-8, atol=1e-9), jump_ts=edges
            ),
        )  # fmt: skip
        assert isinstance(solved.ys, jax.Array)
        return self.current(solved.ys)
