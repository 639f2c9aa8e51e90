r"""The DPI synapse, exactly.

With $z = I/I_g$, $\zeta = I_w/I_\tau - 1$ and time in units of $\tau$, the charge balance of the differential pair
(Bartolozzi & Indiveri 2007, DOI 10.1162/neco.2007.19.10.2581) is $\dot z = z(\zeta - z)/(1 + z)$. In the stretched
time $q$, $dq = ds/(1 + z)$, this is the logistic equation $dz/dq = z(\zeta - z)$, so that

$$s = q + \ln\Big(1 + z_0 \frac{e^{\zeta q} - 1}{\zeta}\Big), \qquad
  \ln\frac{z}{z_0} = \zeta q - \ln\Big(1 + z_0 \frac{e^{\zeta q} - 1}{\zeta}\Big).$$

One equation for one unknown $0 \le q \le s$, regular for rising and falling currents, at the steady state and at
$I_w = I_\tau$ ($\zeta = 0$), and the only place where something is solved for. It is equivalent to
$(I/I_0)^a \, ((I_\infty - I_0)/(I_\infty - I))^{1+a} = e^{t/\tau}$ with $I_\infty = I_g \zeta$, $a = 1/\zeta$.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from ..errors import InputError
from ._physics import Physics

# Far below any current of a chip, and its products stay within float32: stands for "no floor" in logarithms.
NO_CURRENT = 1e-30
_ITERATIONS = 64


def as_float(value: ArrayLike) -> jax.Array:
    """A parameter as an array; a Python number stays weakly typed, so that it never widens a float32 state."""
    array = jnp.asarray(value)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.result_type(float))


def log_current(current: ArrayLike) -> jax.Array:
    """ln(I / 1 A), with a finite value and derivative for no current at all."""
    return jnp.log(jnp.maximum(as_float(current), NO_CURRENT))


class DPI(eqx.Module):
    r"""A differential-pair integrator: current pulses in, a current that decays exponentially out.

    $$\tau\Big(1 + \frac{I_g}{I}\Big)\dot I + I = \frac{I_g I_w}{I_\tau} - I_g, \qquad
      \tau = \frac{C U_T}{\kappa I_\tau}$$

    (Bartolozzi & Indiveri 2007, DOI 10.1162/neco.2007.19.10.2581; Chicca et al. 2014, DOI 10.1109/JPROC.2014.2313954.)
    The state is u = ln(I / 1 A). Transistors in weak inversion and saturated, equal slopes, sharp pulse edges.

    **Arguments** (any shapes that broadcast)

    - `c`: capacitor (F). `kappa`: inverse slope factor. `ut`: thermal voltage (V).
    - `i_tau`: leak (A). `i_gain`: gain current I_g (A).
    - `i0`: the current at rest (A), below which the output does not fall; 0 for none. The first pulses depend on it.

    Numbers become arrays of the precision that JAX is set to when the DPI is made.
    """

    c: jax.Array = eqx.field(converter=as_float)
    kappa: jax.Array = eqx.field(converter=as_float)
    ut: jax.Array = eqx.field(converter=as_float)
    i_tau: jax.Array = eqx.field(converter=as_float)
    i_gain: jax.Array = eqx.field(converter=as_float)
    i0: jax.Array = eqx.field(converter=as_float, default=0.0)

    @classmethod
    def from_physics(cls, physics: Physics, role: str, *, tau: float, gain: float, i0: float | None = None) -> DPI:
        """The DPI on capacitor `role` with time constant `tau` (s) and `gain` = I_g/I_tau; `i0` is the process's."""
        i_tau = physics.leak_current(tau, role)
        i0 = physics.i0 if i0 is None else i0
        return cls(c=physics.c[role], kappa=physics.kappa, ut=physics.ut, i_tau=i_tau, i_gain=gain * i_tau, i0=i0)

    @property
    def slew(self) -> jax.Array:
        r"""$\kappa / (C U_T)$ in 1/(A s): how fast a current on the capacitor moves u."""
        return self.kappa / (self.c * self.ut)

    @property
    def tau(self) -> jax.Array:
        r"""Time constant $C U_T / (\kappa I_\tau)$ (s)."""
        return 1 / (self.slew * self.i_tau)

    @property
    def rest(self) -> jax.Array:
        """u of the DPI at rest, ln(i0 / 1 A); about -69 where there is no floor."""
        return log_current(self.i0)

    def derivative(self, u: ArrayLike, i_w: ArrayLike) -> jax.Array:
        r"""The vector field $\dot u = \frac{\kappa}{C U_T}(\frac{I_w}{1 + e^u/I_g} - I_\tau)$ (1/s), without floor."""
        return self.slew * (i_w * jax.nn.sigmoid(jnp.log(self.i_gain) - u) - self.i_tau)

    def off(self, u: ArrayLike, time: ArrayLike) -> jax.Array:
        r"""u after `time` (s) without input: $u - t/\tau$ exactly, whatever I_g, down to rest."""
        return jnp.maximum(u - time / self.tau, self.rest)

    def on(self, u: ArrayLike, i_w: ArrayLike, time: ArrayLike) -> jax.Array:
        """u after a rectangular pulse of weight current `i_w` (A, ≥ 0) and width `time` (s, ≥ 0), exactly.

        Above, at and below I_tau, from any start, to rounding: about 1e-14 of the current in float64, 1e-5 in
        float32. Differentiable in everything, in both modes, and `vmap`-able.
        """
        dtype = jnp.result_type(u, i_w, time, self.tau, self.i_gain)
        s, zeta, z0 = jnp.broadcast_arrays(
            *(jnp.asarray(x, dtype) for x in (time / self.tau, i_w / self.i_tau - 1, jnp.exp(u - jnp.log(self.i_gain))))
        )
        _, change = _progress(_stretched_time(s, zeta, z0), zeta, z0)
        return jnp.maximum(u + change, self.rest)

    def pulses(
        self, starts: ArrayLike, widths: ArrayLike, i_w: ArrayLike, u: ArrayLike | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """The response to a train of pulses.

        **Arguments**

        - `starts`: [n] s, ascending, from 0. `widths`: s, `i_w`: A; one for all or [n].
        - `u`: state at time 0; rest unless given.

        **Returns** u at the beginning and at the end of every pulse, [n] each.

        **Raises** `InputError` for starts out of order and pulses that overlap (checked unless traced).
        """
        starts = as_float(starts)
        widths = jnp.broadcast_to(as_float(widths), starts.shape)
        i_w = jnp.broadcast_to(as_float(i_w), starts.shape)
        before = jnp.concatenate([jnp.zeros(1, starts.dtype), (starts + widths)[:-1]])
        _check_order(starts, before)
        u = self.rest if u is None else u
        dtype = jnp.result_type(u, self.rest, self.tau, starts, widths, i_w)

        def pulse(u, x):
            gap, width, i_w = x
            start = self.off(u, gap)
            end = self.on(start, i_w, width).astype(dtype)
            return end, (start.astype(dtype), end)

        # Rounding may leave pulses that touch with a gap below zero.
        gaps = jnp.maximum(starts - before, 0)
        return jax.lax.scan(pulse, jnp.asarray(u, dtype), (gaps, widths, i_w))[1]

    def trace(
        self, times: ArrayLike, starts: ArrayLike, widths: ArrayLike, i_w: ArrayLike, u: ArrayLike | None = None
    ) -> jax.Array:
        """u at `times` (s, [m], ≥ 0) while a train of pulses comes in; arguments and errors as of `pulses`."""
        times, starts = as_float(times), as_float(starts)
        widths = jnp.broadcast_to(as_float(widths), starts.shape)
        i_w = jnp.broadcast_to(as_float(i_w), starts.shape)
        u = self.rest if u is None else u
        u_start, u_end = self.pulses(starts, widths, i_w, u)
        # Before the first pulse: a pulse of no width and no current at time 0.
        begin, width, i_w = (jnp.concatenate([jnp.zeros(1, x.dtype), x]) for x in (starts, widths, i_w))
        first = jnp.asarray(u, u_end.dtype)[None]
        u_start, u_end = jnp.concatenate([first, u_start]), jnp.concatenate([first, u_end])
        k = jnp.searchsorted(starts, times, side="right")
        since = times - begin[k]
        on = self.on(u_start[k], i_w[k], jnp.clip(since, 0, width[k]))
        return jnp.where(since < width[k], on, self.off(u_end[k], jnp.maximum(since - width[k], 0)))

    def steady_state(self, i_w: ArrayLike) -> jax.Array:
        """The current (A) that a constant `i_w` (A) leads to: I_g (I_w/I_tau - 1), or the one at rest."""
        return jnp.maximum(self.i_gain * (i_w / self.i_tau - 1), self.i0)

    def mean_response(self, rate: ArrayLike, width: ArrayLike, i_w: ArrayLike) -> jax.Array:
        r"""Mean current (A) under a regular train of `rate` (Hz), pulses of `width` (s) and `i_w` (A).

        $\langle I \rangle = I_g (f t_p I_w / I_\tau - 1)$: the equation is linear in I, ln I and I_w, and in a
        stationary regime the mean derivatives vanish. Linear in the rate above a threshold, reaching the steady
        state at $f t_p = 1$. Exact where no part of the train touches the rest current; below the threshold, rest.
        """
        return self.steady_state(rate * width * as_float(i_w))


def _check_order(starts: jax.Array, before: jax.Array) -> None:
    if isinstance(starts, Tracer) or isinstance(before, Tracer):
        return
    late = np.flatnonzero(np.asarray(starts - before) < -1e-6 * np.abs(np.asarray(starts)))
    if len(late):
        k = int(late[0])
        raise InputError(
            f"Pulse {k} begins at {float(starts[k]):g} s, before the end of the one before it at "
            f"{float(before[k]):g} s; sort the pulses, and join those that overlap."
        )


def _exprel(y: jax.Array) -> jax.Array:
    """(e^y - 1)/y, also its derivatives, without loss of digits at 0."""
    small = jnp.abs(y) < 1e-2
    safe = jnp.where(small, 1.0, y)
    series = 1 + y / 2 * (1 + y / 3 * (1 + y / 4 * (1 + y / 5 * (1 + y / 6 * (1 + y / 7)))))
    return jnp.where(small, series, jnp.expm1(safe) / safe)


def _progress(q, zeta, z0):
    """Time s and logarithmic change x = ln(z/z0) at the stretched time q; both increasing functions of it.

    L = ln(1 + z0 (e^{ζq} - 1)/ζ), s = q + L, x = ζq - L: directly while L is small, and with e^{ζq} taken out of the
    logarithm after that, so that nothing overflows and no digits cancel.
    """
    # `where` on one condition, not max and abs: the branches have equal derivatives at ζ = 0, their parts have not.
    y = jnp.where(zeta > 0, zeta, 0) * q
    b = z0 * q * _exprel(jnp.where(zeta > 0, -zeta, zeta) * q)
    large = b * jnp.exp(jnp.minimum(y, 80)) > 1
    direct = jnp.log1p(b * jnp.exp(jnp.where(large, 0, y)))
    scaled = jnp.log(jnp.where(large, b + jnp.exp(-y), 1))
    time = q + jnp.where(large, y + scaled, direct)
    change = jnp.where(large, jnp.where(zeta > 0, 0, zeta) * q - scaled, zeta * q - direct)
    return time, change


@jax.custom_jvp
def _stretched_time(s, zeta, z0):
    """The q at the time s, by Newton's method from the side on which it is monotone; arguments of one shape."""
    rising = zeta > z0
    # Tangent at q = 0 and asymptote: s(q) is convex while z rises, above both; concave while z falls, below both.
    tangent = s / (1 + z0)
    positive = jnp.where(zeta > 0, zeta, 1)
    upward = (s + jnp.log(positive) - jnp.log(z0)) / (1 + positive)
    downward = s - jnp.log1p(z0 * s * _exprel(-jnp.abs(zeta) * s))
    asymptote = jnp.where(zeta > 0, upward, downward)
    start = jnp.where(rising, jnp.minimum(tangent, asymptote), jnp.maximum(tangent, asymptote))
    tolerance = 4 * jnp.finfo(s.dtype).eps

    def newton(carry):
        q, _, n = carry
        time, change = _progress(q, zeta, z0)
        slope = 1 + z0 * jnp.exp(change)
        step = (s - time) / slope
        return jnp.clip(q + step, 0, s), jnp.any(jnp.abs(step) > tolerance * (q + s / slope)), n + 1

    def unfinished(carry):
        return carry[1] & (carry[2] < _ITERATIONS)

    q, _, _ = jax.lax.while_loop(unfinished, newton, (jnp.clip(start, 0, s), jnp.bool_(True), jnp.int32(0)))
    return q


@_stretched_time.defjvp
def _stretched_time_jvp(primals, tangents):
    """Implicit differentiation: ds = (1 + z) dq + ∂s/∂ζ dζ + ∂s/∂z0 dz0."""
    s, zeta, z0 = primals
    q = _stretched_time(s, zeta, z0)
    _, explicit = jax.jvp(lambda zeta, z0: _progress(q, zeta, z0)[0], (zeta, z0), tangents[1:])
    slope = 1 + z0 * jnp.exp(_progress(q, zeta, z0)[1])
    return q, (tangents[0] - explicit) / slope
