r"""Noise of a DPI synapse: shot noise of every branch, and a 1/f noise of gates as a sum of relaxations.

In weak inversion a transistor's current is carriers that cross a barrier one by one, in both directions: a one-sided
density $2q(I_f + I_r)$, with $I_r = I_f e^{-V_{DS}/U_T}$ the current back (Sarpeshkar, Delbruck & Mead 1993, DOI
10.1109/101.261888). Of the pair, the branch that charges the capacitor has 2qI of its own current I: its own noise and
that of the other branch come with weights (1 - s)² and s², that of the shared current with s², which sums to s. With
the slope g of the currents over v, the steady state has

$$S_v(f) = \frac{2q\,(I_1 + I_f + I_r) + \frac{K}{f}\big[(I_1/n_i U_T)^2 + (I_\tau/n U_T)^2\big]}{g^2 + (2\pi f C)^2}$$

where K/f (V²/Hz) is the flicker noise of the leak's and of the weight transistor's gate. A process of one relaxation
a decade has that density within 0.25 dB between the first and the last.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..errors import InputError
from ._dpi import as_float
from ._transistor_dpi import TransistorDPI

ELEMENTARY_CHARGE = 1.602176634e-19  # C, exact by definition of the SI


class NoisyDPI(eqx.Module):
    """A `TransistorDPI` with noise.

    **Arguments**

    - `dpi`: the synapse. `shot`: whether its currents have shot noise.
    - `flicker`: K of the density K/f of a gate (V²), KF/(Cox W L) of a card; 0 for none.
    - `corners`: the relaxations that the 1/f noise of `simulate` is made of (Hz), a decade apart; none by default.

    **Raises** `InputError` for corners that are not a decade apart.
    """

    dpi: TransistorDPI
    flicker: jax.Array = eqx.field(converter=as_float, default=0.0)
    shot: bool = eqx.field(static=True, default=True)
    corners: tuple[float, ...] = eqx.field(static=True, default=())

    def __check_init__(self) -> None:
        steps = np.diff(np.log10(self.corners))
        if min(self.corners, default=1.0) <= 0 or not np.allclose(steps, 1.0, atol=0.01):
            raise InputError(f"corners are {self.corners}; give frequencies in Hz that ascend by a factor of ten.")

    def _currents(self, v: ArrayLike, i_w: ArrayLike) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Into the capacitor, out of it, and the sum of all crossings of barriers (A)."""
        gained, sunk = self.dpi.charging(v, i_w), self.dpi.sink(v, self.dpi.i_tau)
        opening = self.dpi.opening(v)
        return gained, sunk, gained + sunk * (2 - opening) / opening

    def shot_density(self, v: ArrayLike, i_w: ArrayLike) -> jax.Array:
        """One-sided density (A²/Hz) of the current into the capacitor at the state `v` (V), `i_w` (A) through the pair.

        The bias transistors' own noise is left out: a chip shares and filters them.
        """
        return 2 * ELEMENTARY_CHARGE * self._currents(v, i_w)[2] * self.shot

    def density(self, frequency: ArrayLike, i_w: ArrayLike) -> jax.Array:
        """One-sided density of v (V²/Hz) at `frequency` (Hz) in the steady state of the weight bias `i_w` (A).

        That of the output current is this times the square of its transconductance, `jax.grad(dpi.current)`.
        """
        dpi, frequency = self.dpi, as_float(frequency)
        through = dpi.mirrored(i_w)
        v = dpi.steady_voltage(through)
        slope = jax.jvp(lambda x: dpi.derivative(x, through), (v,), (jnp.ones_like(v),))[1] * dpi.capacitance
        gained, sunk, _ = self._currents(v, through)
        gates = (gained / (dpi.slope_in * dpi.ut)) ** 2 + (sunk / (dpi.n * dpi.ut)) ** 2
        white = self.shot_density(v, through)
        omega = 2 * np.pi * frequency
        return (white + self.flicker / frequency * gates) / (slope**2 + (omega * dpi.capacitance) ** 2)

    def simulate(self, i_w: ArrayLike, step: float, count: int, key: jax.Array, *, skip: int = 0) -> jax.Array:
        """One course of v (V, [count]) at the constant weight bias `i_w` (A), from the steady state.

        **Arguments**

        - `step`: s, between points, and of the integration (diffrax, Heun): a tenth of the fastest time constant.
        - `key`: of the course. `skip`: steps before the first point, in which the noise settles.

        `jax.vmap` over keys for many courses.
        """
        import diffrax

        dpi, corners = self.dpi, 2 * np.pi * np.asarray(self.corners)
        through = dpi.mirrored(i_w)
        start = dpi.steady_voltage(through)
        gates = 2 * len(corners)
        rates = jnp.asarray(np.tile(corners, 2))
        sigma = jnp.sqrt(self.flicker * np.log(10.0))  # of each relaxation, so that their sum is K/f

        def drift(t: Any, y: Any, _: Any) -> Any:
            v, leak, weight = y[0], jnp.sum(y[1 : 1 + gates // 2]), jnp.sum(y[1 + gates // 2 :])
            gained, sunk, _ = self._currents(v, through)
            total = gained * jnp.exp(weight / (dpi.slope_in * dpi.ut)) - sunk * jnp.exp(leak / (dpi.n * dpi.ut))
            return jnp.concatenate([total[None] / dpi.capacitance, -rates * y[1:]])

        def diffusion(t: Any, y: Any, _: Any) -> Any:
            # A one-sided density S is a diffusion of sqrt(S/2).
            white = jnp.sqrt(self.shot_density(y[0], through) / 2) / dpi.capacitance
            return jnp.diag(jnp.concatenate([white[None], sigma * jnp.sqrt(2 * rates)]))

        first, rest = jax.random.split(key)
        at_rest = sigma * jax.random.normal(first, (gates,), start.dtype)
        shape = jax.ShapeDtypeStruct((1 + gates,), start.dtype)
        noise = diffrax.UnsafeBrownianPath(shape, rest)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, noise))
        steps = skip + count
        solved = diffrax.diffeqsolve(
            terms, diffrax.Heun(), 0.0, steps * step, step, jnp.concatenate([start[None], at_rest]),
            saveat=diffrax.SaveAt(steps=True, fn=lambda t, y, args: y[0]), max_steps=steps + 1,
            adjoint=diffrax.DirectAdjoint(),
        )  # fmt: skip
        assert solved.ys is not None
        return solved.ys[skip:steps]
