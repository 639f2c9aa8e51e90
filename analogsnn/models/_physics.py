"""The constants of a process and a chip from which currents become times and gains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

Quantity = TypeVar("Quantity", float, np.ndarray)


@dataclass(frozen=True, kw_only=True)
class SigmoidFeedback:
    r"""Positive feedback as a fitted sigmoid, $I_a = I_{gain} / (1 + e^{-(I_{mem} - I_{ath}) / I_{norm}})$.

    The form of the public DYNAP-SE1 simulator. All three in ampere.
    """

    gain: float
    threshold: float
    norm: float


@dataclass(frozen=True, kw_only=True)
class ExponentFeedback:
    r"""Positive feedback of two transistors, $I_a = I_0^{1/(\kappa+1)} I_{mem}^{\kappa/(\kappa+1)}$.

    The device-level law of Chicca et al. 2014 (DOI 10.1109/JPROC.2014.2313954); it has no free parameter beyond
    the off-current and the slope, which it takes from `Physics`.
    """


@dataclass(frozen=True, kw_only=True)
class MirrorFeedback:
    r"""Positive feedback by a mirror of the membrane's own transistor, $I_a = g I_{mem}$; `gain` is g.

    That of `circuits/adexp_neuron.cir` (the arrangement of Livi & Indiveri 2009, DOI 10.1109/ISCAS.2009.5118408).
    """

    gain: float


Feedback = SigmoidFeedback | ExponentFeedback | MirrorFeedback


@dataclass(frozen=True, kw_only=True)
class Physics:
    """What a process and a chip fix: nothing in here can be set by a bias.

    **Fields** (SI units)

    - `i0`: off-current of a transistor (A), the floor of every current.
    - `kappa_n`, `kappa_p`: inverse slope factors.
    - `ut`: thermal voltage (V).
    - `vth`: threshold of the refractory and pulse-extender capacitors (V).
    - `c`: capacitors (F) by role: `mem`, `ref`, `pulse`, `ahp`, `pulse_ahp`, and one per synapse type
      (`AMPA`, `NMDA`, `GABA_A`, `GABA_B`).
    - `reset`: membrane current after a spike (A).
    - `feedback`: the law of the spike-generating positive feedback, or None.
    """

    i0: float = 0.5e-12
    kappa_n: float = 0.75
    kappa_p: float = 0.66
    ut: float = 25e-3
    vth: float = 0.7
    c: Mapping[str, float] = field(
        default_factory=lambda: {
            "mem": 3e-12, "ref": 1.5e-12, "pulse": 0.5e-12, "ahp": 40e-12, "pulse_ahp": 0.5e-12,
            "AMPA": 24.5e-12, "NMDA": 25e-12, "GABA_A": 24.5e-12, "GABA_B": 25e-12,
        }
    )  # fmt: skip
    reset: float = 0.5e-12
    feedback: Feedback | None = field(default_factory=ExponentFeedback)

    @property
    def kappa(self) -> float:
        """Mean slope, the one in time constants."""
        return 0.5 * (self.kappa_n + self.kappa_p)

    def leak_current(self, tau: Quantity, role: str) -> Quantity:
        r"""The leak $I_\tau = C U_T / (\kappa \tau)$ (A) that gives the time constant `tau` (s) on capacitor `role`."""
        return self.c[role] * self.ut / (self.kappa * tau)

    def time_constant(self, i_tau: Quantity, role: str) -> Quantity:
        r"""The time constant $\tau = C U_T / (\kappa I_\tau)$ (s) of the leak `i_tau` (A) on capacitor `role`."""
        return self.c[role] * self.ut / (self.kappa * i_tau)

    def discharge_current(self, duration: Quantity, role: str) -> Quantity:
        r"""The current $I = C V_{th} / t$ (A) that empties capacitor `role` in `duration` (s)."""
        return self.c[role] * self.vth / duration

    def discharge_time(self, current: Quantity, role: str) -> Quantity:
        r"""The time $t = C V_{th} / I$ (s) in which `current` (A) empties capacitor `role`."""
        return self.c[role] * self.vth / current
