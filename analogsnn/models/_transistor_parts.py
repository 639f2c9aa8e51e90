"""What several models share: the EKV law read backwards, a bias diode, a differential pair, and laws of temperature."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

UT0, T0, KELVIN = 0.02586492, 300.15, 273.15
MOBILITY = -1.5  # exponent of the mobility over temperature; I_S grows with T^(2 - 1.5)
_DIODE = 4  # Newton steps; the function is nearly linear
_STEERING = 3  # fixed-point iterations; the correction is below 0.3 up to 10 nA


def law_voltage(share: jax.Array, *, moderate: bool) -> jax.Array:
    r"""(v - V_T)/n U_T at which $\ln^2(1 + e^{x/2})$ is `share`, a current over I_S; ln if not `moderate`."""
    root = jnp.sqrt(share)
    # 2 ln(e^y - 1), without overflow
    return 2 * (root + jnp.log(-jnp.expm1(-root))) if moderate else jnp.log(share)


def diode(current: jax.Array, gate: jax.Array, slope: Any, ut: Any) -> tuple[jax.Array, jax.Array]:
    """Gate voltage (V) of a diode-connected transistor that carries `current` (A), and what a saturated one with that
    gate carries (A): more, where the diode's own drain voltage is no longer many U_T.

    `gate`: the voltage if it were saturated (V). `slope`: its slope factor. `ut`: V.
    """
    # v = UT ln(1 + e^w) solves I = I0 e^(v/n UT) (1 - e^(-v/UT)) where n w + (1 - n) ln(1 + e^w) = gate/UT.
    wanted = gate / ut

    w = wanted
    for _ in range(_DIODE):
        miss = slope * w + (1 - slope) * jax.nn.softplus(w) - wanted
        w = w - miss / (slope + (1 - slope) * jax.nn.sigmoid(w))
    return ut * jax.nn.softplus(w), current / jax.nn.sigmoid(w)


def log_steering(weak: jax.Array, scale: ArrayLike) -> jax.Array:
    """ln of the ratio in which a differential pair divides its current.

    `weak`: what it is in weak inversion. `scale`: √(total current / I_S) of its transistors; 0 for weak inversion.
    """
    log_ratio = weak
    for _ in range(_STEERING):
        # √I of the other branch minus √I of this one, of a total of 1; sigmoid(-x) is the other's share
        rest = jnp.exp(0.5 * jax.nn.log_sigmoid(-log_ratio)) - jnp.exp(0.5 * jax.nn.log_sigmoid(log_ratio))
        log_ratio = weak + scale * rest
    return log_ratio


def warmed(off: ArrayLike, ratio: Any, vt: Any, threshold: Any, slope: Any) -> jax.Array:
    """An off-current (A) at T = `ratio` T0, from that at T0, of transistors whose threshold falls from `vt` to
    `threshold` (V)."""
    exponent = threshold / (slope * UT0 * ratio) - vt / (slope * UT0)
    return off * ratio ** (2 + MOBILITY) * jnp.exp(-exponent)
