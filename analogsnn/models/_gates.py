r"""How the four synapse currents act on a neuron: excitation, its NMDA gate, and two kinds of inhibition.

Names and laws of Chicca et al. 2014 (DOI 10.1109/JPROC.2014.2313954). All currents in ampere, any shapes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ._dpi import as_float, log_current


def nmda_gate(i_dpi: ArrayLike, u: ArrayLike, i_nmda: ArrayLike, exponent: ArrayLike = 1.0) -> jax.Array:
    r"""The part of a synapse's current that a differential pair lets through when the membrane is up.

    $$I_{NMDA} = \frac{I_{dpi}}{1 + (I_{nmda}/I_{mem})^{n}}$$

    Half of the current at $I_{mem} = I_{nmda}$ whatever the exponent. The textbook form has n = 1; a pair whose gate
    follows a membrane current of the other transistor type has $n = \kappa_p/\kappa_n$.

    **Arguments**

    - `i_dpi`: the synapse's current (A). `u`: ln(I_mem / 1 A). `exponent`: n.
    - `i_nmda`: membrane current of half opening (A); 0 leaves the gate open.

    **Returns** the gated current (A).
    """
    return as_float(i_dpi) * jax.nn.sigmoid(exponent * (u - log_current(i_nmda)))


def subtracted_input(excitation: ArrayLike, i_gaba_b: ArrayLike, i_floor: ArrayLike = 0.0) -> jax.Array:
    r"""GABA_B, subtractive: $I_{in} = \max(I_{NMDA} + I_{AMPA} + I_{dc} - I_{GABA_B}, I_{floor})$.

    A mirror cannot source a negative current; `i_floor` is its off-current (0: ideal). All in A.
    """
    return jnp.maximum(as_float(excitation) - i_gaba_b, i_floor)


def shunted_leak(i_tau: ArrayLike, i_gaba_a: ArrayLike) -> jax.Array:
    r"""GABA_A, shunting: the leak $I_\tau + I_{GABA_A}$ (A)."""
    return as_float(i_tau) + i_gaba_a


def shunt_factor(i_tau: ArrayLike, i_gaba_a: ArrayLike) -> jax.Array:
    r"""$I_\tau/(I_\tau + I_{GABA_A})$, by which a shunt scales both time constant and gain of a membrane."""
    return as_float(i_tau) / shunted_leak(i_tau, i_gaba_a)
