"""The positive feedback that makes a spike, as a function of the membrane's logarithmic current."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from ._dpi import as_float
from ._physics import MirrorFeedback, Physics, SigmoidFeedback


class SigmoidLaw(eqx.Module):
    r"""$I_a = I_{gain} / (1 + e^{-(I_{mem} - I_{ath})/I_{norm}})$; `gain`, `threshold`, `norm` in A.

    The fitted form of the public DYNAP-SE1 simulator.
    """

    gain: jax.Array = eqx.field(converter=as_float)
    threshold: jax.Array = eqx.field(converter=as_float)
    norm: jax.Array = eqx.field(converter=as_float)

    def __call__(self, u: jax.Array) -> jax.Array:
        """I_a (A) at u = ln(I_mem / 1 A)."""
        return self.gain * jax.nn.sigmoid((jnp.exp(u) - self.threshold) / self.norm)


class ExponentLaw(eqx.Module):
    r"""$I_a = I_0^{1/(\kappa+1)} I_{mem}^{\kappa/(\kappa+1)}$; `i0` in A.

    Two transistors in series with the membrane, Chicca et al. 2014 (DOI 10.1109/JPROC.2014.2313954).
    """

    i0: jax.Array = eqx.field(converter=as_float)
    kappa: jax.Array = eqx.field(converter=as_float)

    def __call__(self, u: jax.Array) -> jax.Array:
        """I_a (A) at u = ln(I_mem / 1 A)."""
        return jnp.exp((jnp.log(self.i0) + self.kappa * u) / (self.kappa + 1))


class MirrorLaw(eqx.Module):
    r"""$I_a = g I_{mem}$; `gain` is g, that of the mirrors that bring a spike's current back to the membrane."""

    gain: jax.Array = eqx.field(converter=as_float)

    def __call__(self, u: jax.Array) -> jax.Array:
        """I_a (A) at u = ln(I_mem / 1 A)."""
        return self.gain * jnp.exp(u)


def feedback_law(physics: Physics) -> SigmoidLaw | ExponentLaw | MirrorLaw | None:
    """The law that a process's description asks for, with its numbers as differentiable leaves."""
    law = physics.feedback
    if law is None:
        return None
    if isinstance(law, SigmoidFeedback):
        return SigmoidLaw(gain=law.gain, threshold=law.threshold, norm=law.norm)
    if isinstance(law, MirrorFeedback):
        return MirrorLaw(gain=law.gain)
    return ExponentLaw(i0=physics.i0, kappa=physics.kappa)
