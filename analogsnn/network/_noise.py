r"""Noise of the currents in a network's step: shot noise of membranes and synapses, and a 1/f noise of gates.

Shot noise in both directions moves u = ln I by a diffusion of $\frac{\kappa}{C U_T}\sqrt{q\,(I_f + I_r)}$, with
$I_r = I_f e^{-V_{DS}/U_T} = I_f (I_0/I)^{1/\kappa}$ the current back through a transistor whose drain is the state
(Sarpeshkar, Delbruck & Mead 1993, DOI 10.1109/101.261888; `models.NoisyDPI`). With $\epsilon = \kappa q/(C U_T)$, by
which one electron moves u, the variance that a step of length h adds is exact to first order in ε, so that spectra do
not depend on h:

- A membrane of slope f' is an Ornstein-Uhlenbeck process about its course:
  $\epsilon \frac{\kappa}{C U_T} \sum(I_f + I_r)\, h\, \varphi_1(2hf')$.
- A DPI that decays has a drift that does not depend on u: $\epsilon (1 + I_r/I_f)\, h/\tau$.
- A pulse from z to z', $z = I/I_g$, whose electrons come one by one through the pair: in $y = z + \ln z$, which a
  pulse moves by its charge alone, the variance grows by $\epsilon (1 + z)$ for each unit of charge, so that

  $$\operatorname{var} u' = \Big[(1+z)^2 \operatorname{var} u + \epsilon\big(\tfrac12(z'^2 - z^2) + 2(z' - z)
    + \ln\tfrac{z'}{z}\big)\Big] / (1+z')^2,$$

  the same for one pulse and for its parts.

The 1/f noise K/f (V²/Hz) of a gate is a sum of relaxations, one a decade, each stepped exactly. It scales the current
of that gate by $e^{\kappa g/U_T}$: the leak and the pulses of every DPI, leak and input of every membrane.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError

F = jnp.float32
_AT_REST = np.uint32(0xFFFFFFFF)  # a step that no run has: the address of the gates' first values


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Which noise the circuits of a network have.

    - `membrane`, `synapses`: as multiples of the shot noise of the currents onto each kind of capacitor; 0 for none.
      Synapses are all DPIs, the adaptation's too.
    - `flicker`: K of the density K/f of a gate (V²), KF/(Cox W L) of a card; 0 for none.
    - `corners`: the relaxations that the 1/f noise is made of (Hz), a decade apart; it is 1/f between the first and the
      last.

    **Raises** `InputError` for numbers below zero, and corners that are not a decade apart or are missing.
    """

    membrane: float = 1.0
    synapses: float = 1.0
    flicker: float = 0.0
    corners: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("membrane", "synapses", "flicker"):
            value = getattr(self, name)
            unit = "V²" if name == "flicker" else "times shot noise"
            if not np.isfinite(value) or value < 0:
                raise InputError(f"The noise has {name} = {value!r} {unit}; it must be finite and not negative.")
        steps = np.diff(np.log10(self.corners)) if min(self.corners, default=1.0) > 0 else [0.0]
        if not np.allclose(steps, 1.0, atol=0.01):
            raise InputError(f"corners are {self.corners}; give frequencies in Hz that ascend by a factor of ten.")
        if self.flicker and not self.corners:
            raise InputError(
                "The noise has flicker and no corners; give frequencies in Hz, such as (1.0, 10.0, 100.0)."
            )


def gate_rows(dpis: int) -> int:
    """Gates with 1/f noise of one neuron: leak and pulses of each DPI, leak and input of the membrane."""
    return 2 * (dpis + 1)


def normals(keys: jax.Array, step: jax.Array, lanes: int, neurons: int, rows: int) -> jax.Array:
    """Normal numbers [row, lane · neuron] that depend on the chip and the step alone."""
    folded = jax.vmap(lambda key: jax.random.fold_in(jax.random.wrap_key_data(key), step))(keys)
    drawn = jax.vmap(lambda key: jax.random.normal(key, (rows * neurons,), F))(folded)
    return drawn.reshape(lanes, rows, neurons).swapaxes(0, 1).reshape(rows, lanes * neurons)


def first_gates(keys: jax.Array, sigma: jax.Array, lanes: int, neurons: int, dpis: int, corners: int) -> jax.Array:
    """Stationary values of all relaxations (V), [corner, gate, lane · neuron]."""
    rows = gate_rows(dpis)
    drawn = normals(keys, jnp.uint32(_AT_REST), lanes, neurons, corners * rows)
    return sigma * drawn.reshape(corners, rows, lanes * neurons)


def moved_gates(gates: jax.Array, kept: jax.Array, sigma: jax.Array, drawn: jax.Array) -> jax.Array:
    """All relaxations a step later; `kept` is the part of each that is left, [corner]."""
    kept = kept[:, None, None]
    return kept * gates + sigma * jnp.sqrt(1 - kept**2) * drawn.reshape(gates.shape)


def back(i: jax.Array, i0: jax.Array, inverse_kappa: jax.Array) -> jax.Array:
    """Current back over the current forth of a transistor whose drain is the state, at the state's current `i`."""
    return jnp.exp(inverse_kappa * jnp.minimum(jnp.log(i0) - jnp.log(i), 0))


def dpi_variance(grain: jax.Array, fall: jax.Array, returning: jax.Array, z: jax.Array, after: jax.Array) -> jax.Array:
    """Variance of ln I that a step gives a DPI: a decay by `fall` to `z` = I/I_g, then pulses to `after`.

    `grain`: ε. `returning`: current back over current forth of the leak.
    """
    rise = after - z
    pulses = jnp.maximum(rise * (0.5 * (after + z) + 2) + jnp.log(after / z), 0)
    return grain * ((1 + z) ** 2 * fall * (1 + returning) + pulses) / (1 + after) ** 2


def phi1(x: jax.Array) -> jax.Array:
    """(e^x - 1)/x by its (0,2) Padé form: second order, positive everywhere, and no exponential."""
    return 1 / (1 - x * (F(0.5) - x * F(1 / 12)))
