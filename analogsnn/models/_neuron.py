r"""The DPI adaptive-exponential neuron as an equation for u = ln(I_mem / 1 A)."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from ..errors import InputError
from ._dpi import DPI, as_float, log_current
from ._feedback import ExponentLaw, MirrorLaw, SigmoidLaw, feedback_law
from ._gates import nmda_gate, shunted_leak, subtracted_input
from ._physics import Physics


class AHP(eqx.Module):
    """Spike-frequency adaptation: a DPI driven by the neuron's own spikes, sunk from its membrane.

    - `dpi`: the DPI. `i_w`: its weight current (A). `pulse`: s, one pulse a spike, from the spike on.

    The current that counts is the excess over the DPI's `i0`.
    """

    dpi: DPI
    i_w: jax.Array = eqx.field(converter=as_float)
    pulse: jax.Array = eqx.field(converter=as_float)

    @classmethod
    def from_physics(
        cls, physics: Physics, *, tau: float = 0.1, weight: float = 1e-9, gain: float = 1.0, pulse: float = 10e-6
    ) -> AHP:
        """`tau` (s), `weight` (A), `gain` = I_g/I_tau, `pulse` (s), on the process's capacitor `ahp`."""
        return cls(dpi=DPI.from_physics(physics, "ahp", tau=tau, gain=gain), i_w=weight, pulse=pulse)

    def current(self, u: ArrayLike) -> jax.Array:
        """I_ahp (A) of the state u."""
        return jnp.exp(u) - self.dpi.i0

    def spike(self, u: ArrayLike, time: ArrayLike) -> jax.Array:
        """The state `time` (s, at least `pulse`) after a spike that found the state u: exact pulse, exact decay."""
        return self.dpi.off(self.dpi.on(u, self.i_w, self.pulse), jnp.maximum(time - self.pulse, 0))


class Neuron(eqx.Module):
    r"""A DPI adaptive-exponential neuron.

    $$\dot u = \frac{\kappa}{C U_T}\Big[\frac{I_{in}}{1 + e^u/I_g} - I_\tau - I_{GABA_A} - I_{ahp} + I_a(e^u)\Big],
      \qquad I_{in} = \max(I_{dc} + I_{AMPA} + I_{NMDA} - I_{GABA_B}, I_{floor})$$

    (Chicca et al. 2014, DOI 10.1109/JPROC.2014.2313954.) A spike when $I_{mem}$ reaches `i_spike`; then `i_reset` for
    `t_ref`. Between spikes $I_{ahp}$ decays exactly exponentially, so that the membrane is the only unknown.

    **Arguments** (scalars; use `jax.vmap` for many)

    - `c`: membrane capacitor (F). `kappa`: inverse slope factor. `ut`: thermal voltage (V).
    - `i_tau`: leak (A). `i_gain`: gain current I_g (A). `i_spike`, `i_reset`: membrane currents (A). `t_ref`: s.
    - `feedback`: `SigmoidLaw`, `ExponentLaw`, `MirrorLaw`, any function of u, or None.
    - `ahp`: `AHP` or None.
    - `i_nmda`: membrane current that half opens the NMDA gate (A), 0 for an open gate; `nmda_exponent`: its steepness.
    - `i0`: membrane current below which the leak cannot pull (A), 0 for none. `i_floor`: smallest input (A).

    **Raises** `InputError` when the reset is not below the spike, or the AHP pulse is longer than the refractory
    period.
    """

    c: jax.Array = eqx.field(converter=as_float)
    kappa: jax.Array = eqx.field(converter=as_float)
    ut: jax.Array = eqx.field(converter=as_float)
    i_tau: jax.Array = eqx.field(converter=as_float)
    i_gain: jax.Array = eqx.field(converter=as_float)
    i_spike: jax.Array = eqx.field(converter=as_float)
    i_reset: jax.Array = eqx.field(converter=as_float)
    t_ref: jax.Array = eqx.field(converter=as_float)
    feedback: SigmoidLaw | ExponentLaw | MirrorLaw | None = None
    ahp: AHP | None = None
    i_nmda: jax.Array = eqx.field(converter=as_float, default=0.0)
    nmda_exponent: jax.Array = eqx.field(converter=as_float, default=1.0)
    i0: jax.Array = eqx.field(converter=as_float, default=0.0)
    i_floor: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        reset, spike, rest = (_known(x) for x in (self.i_reset, self.i_spike, self.t_ref))
        if reset is not None and spike is not None and np.any(reset >= spike):
            raise InputError(
                f"The neuron resets to {reset!s} A, not below its spike at {spike!s} A; it would never stop spiking."
            )
        pulse = None if self.ahp is None else _known(self.ahp.pulse)
        if pulse is not None and rest is not None and np.any(pulse > rest):
            raise InputError(
                f"The AHP pulse lasts {pulse!s} s, longer than the refractory period of {rest!s} s; shorten the pulse."
            )

    @classmethod
    def from_physics(
        cls,
        physics: Physics,
        *,
        tau: float = 20e-3,
        gain: float = 4.0,
        refractory: float = 2e-3,
        threshold: float = 10e-9,
        ahp: AHP | None = None,
        nmda_gate: float | None = None,
    ) -> Neuron:
        """A neuron as its user asks for it, on a process.

        - `tau`: membrane time constant (s). `gain`: I_g/I_tau. `refractory`: s. `threshold`: i_spike (A).
        - `ahp`: from `AHP.from_physics`, or None. `nmda_gate`: A, None for an open gate.
        """
        i_tau = physics.leak_current(tau, "mem")
        return cls(
            c=physics.c["mem"], kappa=physics.kappa, ut=physics.ut, i_tau=i_tau, i_gain=gain * i_tau,
            i_spike=threshold, i_reset=physics.reset, t_ref=refractory, feedback=feedback_law(physics), ahp=ahp,
            i_nmda=nmda_gate or 0.0, i0=physics.i0,
        )  # fmt: skip

    @property
    def slew(self) -> jax.Array:
        r"""$\kappa / (C U_T)$ in 1/(A s)."""
        return self.kappa / (self.c * self.ut)

    @property
    def tau(self) -> jax.Array:
        r"""Time constant $C U_T / (\kappa I_\tau)$ (s)."""
        return 1 / (self.slew * self.i_tau)

    @property
    def rheobase(self) -> jax.Array:
        r"""Smallest constant input that makes the neuron spike *without feedback*, $I_\tau (1 + I_{spk}/I_g)$ (A)."""
        return self.i_tau * (1 + self.i_spike / self.i_gain)

    def derivative(
        self,
        u: ArrayLike,
        dc: ArrayLike = 0.0,
        *,
        ampa: ArrayLike = 0.0,
        nmda: ArrayLike = 0.0,
        gaba_a: ArrayLike = 0.0,
        gaba_b: ArrayLike = 0.0,
        ahp: ArrayLike = 0.0,
    ) -> jax.Array:
        """The vector field du/dt (1/s) at the currents `dc`, `ampa`, `nmda` (before its gate), … (A)."""
        u = as_float(u)
        gated = nmda_gate(nmda, u, self.i_nmda, self.nmda_exponent)
        i_in = subtracted_input(dc + ampa + gated, gaba_b, self.i_floor)
        leak = shunted_leak(self.i_tau, gaba_a) + ahp
        i_a = 0.0 if self.feedback is None else self.feedback(u)
        slope = self.slew * (i_in * jax.nn.sigmoid(jnp.log(self.i_gain) - u) - leak + i_a)
        # At I_0 the leak transistors have no drain voltage left: the membrane rests there.
        return jnp.where(u > log_current(self.i0), slope, jnp.maximum(slope, 0))


def _known(x: jax.Array) -> np.ndarray | None:
    """The value, or None while it is traced (or stands for something else inside a transformation)."""
    return np.asarray(x) if isinstance(x, jax.Array) and not isinstance(x, Tracer) else None
