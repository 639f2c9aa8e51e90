r"""The adaptive-exponential neuron with what its transistors add: two `TransistorDPI`, feedback, a refractory ramp.

States: the membrane v and the adaptation $v_a$, each the voltage between the plates of a capacitor and the gate voltage
of a transistor; and the refractory voltage $v_r$, a ramp between spikes and known in closed form.

$$C\,\dot v = a\,I_{in}\,s(v) - I_\tau(v) + g\,I(v) - \big[I_{ahp}(v_a)(1 + v/V_A) + b\,I(v_r)\big](1 - e^{-v/U_T}),
  \qquad C_r\,\dot v_r = -I_{ref}(1 + v_r/V_A)/(1 + v_{ref}/V_A)$$

with I(v) the EKV law, s the share that the input pair lets through and $I_\tau(v)$ the leak, all as in `TransistorDPI`
(the circuit of Livi & Indiveri 2009, DOI 10.1109/ISCAS.2009.5118408; the charge balance of Chicca et al. 2014, DOI
10.1109/JPROC.2014.2313954). I(v) is the current of the first inverter, which the positive feedback mirrors into the
membrane with the gain g. When v reaches the transistor's threshold that current is far beyond all others: the spike.
It charges $v_r$ to `v_peak` and opens the reset transistor, b times as strong as the inverter's, so that the membrane
leaves its reset where $v_r$ has fallen to what the input can lift. While $v_r$ is above what holds the bias $I_{ahpw}$
of a starved inverter, of relative strength p, and until that bias has moved the charge $q_p$, the adaptation's DPI is
driven.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..errors import InputError
from ._dpi import as_float
from ._transistor_dpi import TransistorDPI

LEFT = 0.05  # V: the membrane has left its reset
_HOLD = 20.0  # until its transistor carries this many times the input, the reset holds the membrane: 5 % of UT
_TOLERANCE = 3e-7  # V, of a step: 1e-5 of a current
_SHARP = 1e-11  # s, of a crossing
_STRAIGHT = 1e4  # V, an Early voltage that is none
_STRETCH = 1e-3
_FIRST = 1e-5  # of the duration: a first step; others follow from the error
_HIGHEST = 2.0  # V
_T0 = 27.0
_LONG_AGO = -1e3  # s, the last spike of a neuron at rest


class TransistorNeuron(eqx.Module):
    """A neuron as its circuit behaves, between rheobase and 10 nA of input and over temperature.

    **Arguments**

    - `membrane`: a `TransistorDPI` whose output is the inverter's transistor, so that its `a_out` is the gain of the
      positive feedback, `i_tau` the leak and `i_gain` the gain of the input.
    - `ahp`: the adaptation, a `TransistorDPI`; its output is sunk from the membrane. `i_ahpw`: its weight (A).
    - `c_ref`: refractory capacitor (F); `c_ref_extra`: what transistors add. `i_ref`: what empties it (A).
    - `v_peak`: to which it is charged at 27 °C (V), and `v_peak_t` by temperature (V/K). `delay`: until it is (s).
    - `reset`, `starved`: strength of the reset transistor and of the pulse's inverter, over that of the feedback's.
    - `v_early_reset`: Early voltage of the reset transistor (V).
    - `q_pulse`: charge that ends the pulse (C).

    Temperature and terms are those of the two DPIs (see `TransistorDPI`); `early` also bends the ramp, `parasitic` is
    also `c_ref_extra` and `q_pulse`.

    **Raises** `InputError` where the two differ in temperature or terms.
    """

    membrane: TransistorDPI
    ahp: TransistorDPI
    i_ahpw: jax.Array = eqx.field(converter=as_float)
    i_ref: jax.Array = eqx.field(converter=as_float)
    c_ref: jax.Array = eqx.field(converter=as_float)
    c_ref_extra: jax.Array = eqx.field(converter=as_float)
    v_peak: jax.Array = eqx.field(converter=as_float)
    v_peak_t: jax.Array = eqx.field(converter=as_float)
    delay: jax.Array = eqx.field(converter=as_float)
    reset: jax.Array = eqx.field(converter=as_float)
    v_early_reset: jax.Array = eqx.field(converter=as_float)
    starved: jax.Array = eqx.field(converter=as_float)
    q_pulse: jax.Array = eqx.field(converter=as_float)

    def __check_init__(self) -> None:
        if self.membrane.terms != self.ahp.terms:
            raise InputError("membrane and ahp are made with different terms; give both the same.")

    @property
    def _early(self) -> Any:
        return self.membrane.v_early if "early" in self.membrane.terms else _STRAIGHT

    @property
    def _peak(self) -> jax.Array:
        warmer = self.membrane.celsius - _T0 if "temperature" in self.membrane.terms else 0.0
        return self.v_peak + self.v_peak_t * warmer

    @property
    def _ramp(self) -> jax.Array:
        """Time constant (s) of the exponential that the ramp is part of."""
        parasitic = "parasitic" in self.membrane.terms
        capacitance = self.c_ref + self.c_ref_extra if parasitic else self.c_ref
        # The leak's law, extrapolated to no drain voltage
        current = self.membrane.sink(1.0, self.i_ref) / (1 + 1 / self._early)
        return capacitance * self._early / current

    def refractory_voltage(self, since: ArrayLike) -> jax.Array:
        """v_r (V) at `since` (s) after a spike."""
        fallen = jnp.exp(-jnp.maximum(as_float(since) - self.delay, 0) / self._ramp)
        v = (self._peak + self._early) * fallen - self._early
        if "floor" not in self.membrane.terms:
            return v
        # C dv/dt = -I (1 - e^(-v/UT)) + I_off has the solution of C dv/dt = -I, bent to end where both are in balance.
        off = jnp.minimum(self.ahp.warmed(self.ahp.i_off) / self.membrane.sink(1.0, self.i_ref), 0.9)
        return self.membrane.ut * jnp.logaddexp(v / self.membrane.ut, -jnp.log1p(-off))

    def _time_to(self, v: ArrayLike) -> jax.Array:
        """How long after a spike (s) the ramp reaches `v` (V)."""
        return self.delay + self._ramp * jnp.log(
            (self._peak + self._early) / (jnp.minimum(v, self._peak) + self._early)
        )

    @property
    def pulse(self) -> jax.Array:
        """How long a spike drives the adaptation (s)."""
        ends = self._time_to(self.membrane.voltage(self.i_ahpw / self.starved))
        return ends + self.q_pulse / self.i_ahpw if "parasitic" in self.membrane.terms else ends

    def _law(self, v: ArrayLike) -> jax.Array:
        return self.membrane.current(v) / self.membrane.a_out

    def derivative(self, v: ArrayLike, v_ahp: ArrayLike, v_ref: ArrayLike, i_in: ArrayLike) -> jax.Array:
        """dv/dt (V/s) of the membrane at the input `i_in` (A)."""
        v = as_float(v)
        early = "early" in self.membrane.terms
        reset = self.reset * self._law(v_ref) * (1 + v / self.v_early_reset if early else 1.0)
        sunk = self.ahp.current(v_ahp) * (1 + v / self._early) + reset
        gained = self.membrane.current(v) - sunk * self.membrane.opening(v)
        return self.membrane.derivative(v, i_in) + gained / self.membrane.capacitance

    @property
    def threshold(self) -> jax.Array:
        """The membrane (V) at which a spike is counted: the threshold of the inverter's transistor."""
        return self.membrane.threshold

    def spikes(
        self, i_in: ArrayLike | Callable[[jax.Array], ArrayLike], count: int, duration: ArrayLike
    ) -> tuple[jax.Array, jax.Array]:
        """The first spikes of a neuron at rest that is given an input from time 0.

        **Arguments**: `i_in`: A, a constant or a smooth function of the time (s). `count`: of spikes to find, within
        `duration` (s).

        **Returns** the times of the spikes (s, [count]), and when the membrane has left its reset after each, 50 mV (s,
        [count]); NaN for what does not come. Differentiable in forward mode (`jax.jvp`, `jax.jacfwd`).
        """
        import diffrax
        import optimistix

        duration = as_float(duration)
        on, off = self.ahp.mirrored(self.i_ahpw), self.ahp.off_current(self.i_ahpw)
        pulse, ut = self.pulse, self.membrane.ut

        def field(t: Any, y: Any, args: Any) -> Any:
            last, hold = args
            # Trial steps go anywhere; nothing beyond these bounds is part of the solution.
            v = jnp.clip(y[0], -ut, self.threshold + 2 * ut)
            v_ahp = jnp.clip(y[1], -ut, _HIGHEST)
            since = t - last
            drive = jnp.where(since < pulse, on, off)
            i = i_in(t) if callable(i_in) else i_in
            slope = self.derivative(v, v_ahp, self.refractory_voltage(since), i)
            return jnp.where(t < hold, 0.0, slope), self.ahp.derivative(v_ahp, drive)

        event_at = optimistix.Newton(rtol=_SHARP, atol=_SHARP)

        def segment(carry: Any, level_is_spike: Any) -> Any:
            start, v, v_ahp, last = carry
            level = jnp.where(level_is_spike, self.threshold, LEFT)
            now = as_float(i_in(start) if callable(i_in) else i_in)
            holds = self.membrane.voltage(_HOLD * now / self.reset)
            hold = jnp.where(last >= 0, last + self._time_to(holds), -1.0)
            # Once the time is over, a stretch of it is run again and ignored: diffrax's root find gives NaN, in a
            # batch, for a solve of no length.
            over = start >= duration
            begin = jnp.where(over, (1 - _STRETCH) * duration, start)
            edges = jnp.sort(jnp.stack([last + pulse, hold]))
            solved = diffrax.diffeqsolve(
                diffrax.ODETerm(field), diffrax.Tsit5(), begin, duration, _FIRST * duration, (v, v_ahp),
                args=(last, hold),
                event=diffrax.Event(lambda t, y, args, **_: y[0] - level, event_at, direction=True),
                stepsize_controller=diffrax.ClipStepSizeController(
                    diffrax.PIDController(rtol=0, atol=_TOLERANCE), jump_ts=edges
                ),
                saveat=diffrax.SaveAt(t1=True), max_steps=100_000, throw=False, adjoint=diffrax.ForwardMode(),
            )  # fmt: skip
            assert solved.event_mask is not None
            assert solved.ts is not None
            assert isinstance(solved.ys, tuple)
            came = solved.event_mask & ~over
            time = jnp.where(came, solved.ts[-1], duration)
            spiked = came & level_is_spike
            after = jnp.where(spiked, 0.0, solved.ys[0][-1])
            return (time, after, solved.ys[1][-1], jnp.where(spiked, time, last)), jnp.where(came, time, jnp.nan)

        rest = self.ahp.rest(self.i_ahpw)
        first = (jnp.zeros_like(duration), jnp.zeros_like(duration), rest, jnp.full_like(duration, _LONG_AGO))
        _, times = jax.lax.scan(segment, first, jnp.asarray(np.arange(2 * count) % 2 == 0))
        return times[::2], times[1::2]
