"""What no public source calibrates, and a user may know: delays in seconds, depression, noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from ._network import DELAYS, Network
from ._noise import Noise

LONGEST_DELAY = 0.1  # s; delays to 100 ms were shown on a chip of this family (DOI 10.3389/fnins.2020.00150)


@dataclass(frozen=True, kw_only=True)
class Depression:
    r"""Short-term depression of a synapse: every event uses up a part of what there is, which then recovers.

    An event finds the resource $x$, gives a pulse of charge $x q$ and leaves $x (1 - u)$; between events
    $\tau \dot x = 1 - x$ (Tsodyks & Markram 1997, DOI 10.1073/pnas.94.2.719, without facilitation). The equation of
    the chips' own circuit is not published.

    `use`: u, from 0 to 1. `tau`: s.
    """

    use: float = 0.5
    tau: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Calibration:
    r"""Measured properties of a chip that its description does not hold.

    - `delays`: seconds of each delay class in use. A "precise" class has this delay at every synapse; "mismatched"
      is drawn per synapse with the coefficient of variation of the chip.
    - `depression`: of the synapses that are marked for it.
    - `noise`: temporal noise, 0 for none; a number is that of the membranes as a multiple of shot noise,
      `Noise(membrane=…, synapses=0)`.
    """

    delays: Mapping[str, float] = field(default_factory=dict)
    depression: Depression | None = None
    noise: float | Noise = 0.0

    def __post_init__(self) -> None:
        problems = []
        for name, value in self.delays.items():
            if name not in DELAYS or name == "none":
                problems.append(f"There is no delay class '{name}' to calibrate; there are {', '.join(DELAYS[1:])}.")
            elif not np.isfinite(value) or not 0 < value <= LONGEST_DELAY:
                problems.append(f"The delay '{name}' is {value!r} s; it must be above 0 and at most {LONGEST_DELAY} s.")
        d = self.depression
        if d is not None and not (0 < d.use <= 1 and np.isfinite(d.tau) and d.tau > 0):
            problems.append(f"Depression has use {d.use!r} and tau {d.tau!r} s; use lies in (0, 1], tau is positive.")
        if problems:
            raise InputError("\n".join(problems))
        if not isinstance(self.noise, Noise):
            object.__setattr__(self, "noise", Noise(membrane=self.noise, synapses=0.0))

    def check(self, network: Network) -> None:
        """**Raises** `InputError` for delay classes and depression that a network uses and this does not say."""
        for c in network.connections:
            where = f"The connection '{c.source}'→'{c.target}'"
            if c.delay != "none" and c.delay not in self.delays:
                raise InputError(
                    f"{where} has delay '{c.delay}', whose seconds no chip file knows; give them as "
                    f"Calibration(delays={{'{c.delay}': …}}), or make the connection without delay."
                )
            if c.stp and self.depression is None:
                raise InputError(
                    f"{where} is marked for short-term depression, whose constants no chip file knows; give "
                    "Calibration(depression=Depression(…)), or make the connection without it."
                )
