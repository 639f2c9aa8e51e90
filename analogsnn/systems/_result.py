"""What a system hands back: numbers with their spread and target, figures, networks, and what it does not show."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ..chips import Mapping
from ..network import Network


@dataclass(frozen=True)
class Number:
    """One number: `value` (NaN: there is none), its `unit`, and what it is (`text`).

    - `spread`: std, lowest and highest over `count` of what `over` names; None for a number that is one.
    - `least`, `most`: the target, None where none was set. `source`: who set it, or who published the value.
    """

    value: float
    unit: str
    text: str
    spread: Table[str, Any] | None = None
    least: float | None = None
    most: float | None = None
    source: str | None = None

    @classmethod
    def over(cls, values: ArrayLike, what: str, unit: str, text: str, **rest: Any) -> Number:
        """The median of `values`, and their spread over `what` (such as "chips"); values that are NaN do not count."""
        known = np.asarray(values, float).ravel()
        known = known[np.isfinite(known)]
        if not len(known):
            return cls(float("nan"), unit, text, None, **rest)
        low, high = float(known.min()), float(known.max())
        spread = {"std": float(known.std()), "low": low, "high": high, "count": len(known), "over": what}
        return cls(float(np.median(known)), unit, text, spread, **rest)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target. A value that is not there meets none."""
        if self.least is None and self.most is None:
            return None
        low = -np.inf if self.least is None else self.least
        high = np.inf if self.most is None else self.most
        return bool(low <= self.value <= high)

    def record(self) -> dict[str, Any]:
        """As JSON; a missing value is null."""
        target = None if self.met is None else {"least": self.least, "most": self.most}
        value = float(self.value) if np.isfinite(self.value) else None
        return {
            "value": value,
            "unit": self.unit,
            "spread": None if self.spread is None else dict(self.spread),
            "target": target,
            "met": self.met,
            "source": self.source,
            "text": self.text,
        }


@dataclass(frozen=True)
class Picture:
    """A figure, its caption, and the section that it stands in."""

    section: str
    figure: Figure
    caption: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a system found.

    - `about`: what it is, a paragraph each; `limits`: what it does not show, a sentence each.
    - `network`: what was compiled, `mapping`: on the first chip; or the `deck` of a circuit.
    """

    name: str
    title: str
    about: tuple[str, ...]
    limits: tuple[str, ...]
    numbers: Table[str, Number]
    pictures: tuple[Picture, ...] = ()
    network: Network | None = None
    mapping: Mapping | None = None
    deck: str | None = None
    settings: Table[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "system": self.name,
            "numbers": {name: number.record() for name, number in self.numbers.items()},
            "settings": dict(self.settings),
            "limits": list(self.limits),
        }
