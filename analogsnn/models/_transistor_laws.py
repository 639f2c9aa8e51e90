"""The laws of temperature and of slope that every model made of transistors follows."""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..errors import InputError
from ._dpi import as_float
from ._transistor_parts import KELVIN, MOBILITY, T0, UT0, law_voltage


class TransistorLaws(eqx.Module):
    """What models of two kinds of transistors share: that of the output, and the pair's with another slope factor.

    - `n`, `n_in`: slope factors; `i_spec`, `i_spec_in`: specific currents at 27 °C (A).
    - `vt`: threshold of the first kind at 27 °C (V), falling by `tcv` (V/K). `celsius`: °C.
    - `terms`: those of `known_terms` that take part. Without `temperature` all is as at 27 °C, without `exponent` the
      pair has the slope factor n, without `moderate` all transistors are in weak inversion.

    **Raises** `InputError` for a term that does not exist.
    """

    n: jax.Array = eqx.field(converter=as_float)
    n_in: jax.Array = eqx.field(converter=as_float)
    i_spec: jax.Array = eqx.field(converter=as_float)
    i_spec_in: jax.Array = eqx.field(converter=as_float)
    vt: jax.Array = eqx.field(converter=as_float)
    tcv: jax.Array = eqx.field(converter=as_float)
    celsius: jax.Array = eqx.field(converter=as_float, default=27.0, kw_only=True)
    terms: tuple[str, ...] = eqx.field(static=True, kw_only=True)
    known_terms: ClassVar[tuple[str, ...]] = ()

    def __check_init__(self) -> None:
        unknown = [term for term in self.terms if term not in self.known_terms]
        if unknown:
            raise InputError(f"the model has no term '{unknown[0]}'; there are {', '.join(self.known_terms)}.")

    @property
    def _ratio(self) -> jax.Array:
        kelvin = self.celsius + KELVIN
        return kelvin / T0 if "temperature" in self.terms else jnp.ones_like(kelvin)

    @property
    def ut(self) -> jax.Array:
        """Thermal voltage (V)."""
        return UT0 * self._ratio

    @property
    def threshold(self) -> jax.Array:
        """Of the first kind of transistor, at its temperature (V)."""
        return self.vt - self.tcv * T0 * (self._ratio - 1)

    @property
    def slope_in(self) -> jax.Array:
        """Slope factor of the pair."""
        return self.n_in if "exponent" in self.terms else self.n

    @property
    def _specific(self) -> jax.Array:
        return self.i_spec * self._ratio ** (2 + MOBILITY)

    @property
    def _specific_in(self) -> jax.Array:
        return self.i_spec_in * self._ratio ** (2 + MOBILITY)

    def voltage(self, current: ArrayLike) -> jax.Array:
        """The gate voltage (V) at which a saturated transistor of the first kind carries `current` (A)."""
        share = as_float(current) / self._specific
        return self.threshold + self.n * self.ut * law_voltage(share, moderate="moderate" in self.terms)
