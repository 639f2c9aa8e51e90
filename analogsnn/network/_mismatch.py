"""Device mismatch of one chip: a log-normal factor for every current of every device."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import InputError


@dataclass(frozen=True)
class Mismatch:
    r"""The mismatch of one chip. In weak inversion a threshold spread makes currents log-normal.

    Every current is multiplied by $e^{\sigma g - \sigma^2/2}$ with $g$ standard normal and
    $\sigma^2 = \ln(1 + cv^2)$: mean 1, coefficient of variation `cv`, never negative. Draws are independent between
    devices and between the parameters of a device.

    - `cv`: coefficient of variation; 0 for an ideal chip. Or one per parameter (`{"i_leak": 0.05, "AMPA.i_tau": 0.1,
      "": 0.2}`): by the name after the population's, by its last part, and `""` for all others (0 without it), as
      `analogsnn.mismatch.current_cvs` computes them from transistor sizes.
    - `seed`, `chip`: address of the draw. Equal addresses give equal draws on every machine, and a device keeps its
      draw when other populations or parameters are added, because the parameter's name is part of the address.
    """

    cv: float | Mapping[str, float] = 0.0
    seed: int = 0
    chip: int = 0

    def __post_init__(self) -> None:
        each = self.cv if isinstance(self.cv, Mapping) else {"": self.cv}
        for name, cv in each.items():
            if not np.isfinite(cv) or cv < 0:
                raise InputError(
                    f"The mismatch {f'of {name!r} ' if name else ''}is {cv!r}; it is a finite CV from 0 on."
                )
        if self.seed < 0 or self.chip < 0:
            raise InputError(f"Mismatch has seed {self.seed} and chip {self.chip}; both are whole numbers from 0 on.")

    def draw(self, name: str, size: int) -> np.ndarray:
        """Factors of `size` devices for the parameter `name`: float64 [size], mean 1."""
        cv = self._cv(name)
        if cv == 0.0:
            return np.ones(size)
        sigma = np.sqrt(np.log1p(cv**2))
        address = [self.seed, self.chip, zlib.crc32(name.encode())]
        normal = np.random.Generator(np.random.Philox(np.random.SeedSequence(address))).standard_normal(size)
        return np.exp(sigma * normal - 0.5 * sigma**2)

    def _cv(self, name: str) -> float:
        if not isinstance(self.cv, Mapping):
            return self.cv
        own = name.partition(".")[2]
        for key in (own, own.rpartition(".")[2], ""):
            if key in self.cv:
                return self.cv[key]
        return 0.0


def chips(count: int, cv: float | Mapping[str, float], seed: int) -> list[Mismatch]:
    """`count` chips of one production run."""
    if count < 1:
        raise InputError(f"There are {count} chips to draw; give at least one.")
    return [Mismatch(cv, seed, chip) for chip in range(count)]
