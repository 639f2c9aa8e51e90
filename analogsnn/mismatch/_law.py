"""How far two equal transistors differ: the area law, what chips have in common, gradients, and matched groups."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InputError
from ..netlist import Device, ModelElement, Netlist

# The card's names for the four constants, by field of AreaLaw.
CARD_KEYS: Mapping[str, str] = {
    "avt_n": "pelgrom_vtn", "avt_p": "pelgrom_vtp", "abeta_n": "pelgrom_betan", "abeta_p": "pelgrom_betap",
}  # fmt: skip
DEFAULT_AVT = 3.5e-9  # V m: 3.5 mV µm, the lower end of what is usual at 180 nm


@dataclass(frozen=True)
class Transistor:
    """What mismatch knows of a transistor: its path, polarity (`"n"`, `"p"`), sizes in m, and how many stand in
    parallel (`m` times the number of fingers `nf`; `w` is the width of one)."""

    path: str
    polarity: str
    w: float
    l: float  # noqa: E741
    parallel: float = 1.0

    @property
    def area(self) -> float:
        """Gate area in m²."""
        return self.w * self.l * self.parallel


@dataclass(frozen=True)
class AreaLaw:
    r"""Pelgrom's law, $\sigma(\Delta V_T) = A_{VT}/\sqrt{W L\,m\,n_f}$ and $\sigma(\Delta\beta/\beta) =
    A_\beta/\sqrt{W L\,m\,n_f}$ (DOI 10.1109/JSSC.1989.572629), and what it leaves out.

    The law gives the deviation of one transistor from its own chip's mean; that of the difference of two is √2 of it.

    **Fields**

    - `avt_n`, `avt_p`: V m (3.5e-9 is 3.5 mV µm). `abeta_n`, `abeta_p`: m (1e-8 is 1 % µm).
    - `common_vt` (V), `common_beta` (relative): standard deviation of what all transistors of one polarity on a chip
      share. It does not average out within a chip.
    - `gradient_vt` (V/m), `gradient_beta` (1/m): a slope across the chip, drawn per chip, polarity and direction, so
      that two transistors at a distance D differ by `gradient · D`, standard deviation: Pelgrom's distance term.
    - `positions`: path → (x, y) in m; needed for the gradient by every transistor.
    - `groups`: (paths, correlation 0 … 1) of transistors whose area terms are correlated, such as a pair laid out
      with a common centroid.
    - `ideal`: patterns (`xb*`) of the paths of transistors that have no mismatch at all.
    """

    avt_n: float = DEFAULT_AVT
    avt_p: float = DEFAULT_AVT
    abeta_n: float = 0.0
    abeta_p: float = 0.0
    common_vt: float = 0.0
    common_beta: float = 0.0
    gradient_vt: float = 0.0
    gradient_beta: float = 0.0
    positions: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    groups: tuple[tuple[tuple[str, ...], float], ...] = ()
    ideal: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*CARD_KEYS, "common_vt", "common_beta", "gradient_vt", "gradient_beta"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"the mismatch constant {name} is {value:g}; it must be finite and not negative.")
        seen: set[str] = set()
        for paths, correlation in self.groups:
            if not 0 <= correlation <= 1:
                raise InputError(f"the correlation of {', '.join(paths)} is {correlation:g}; it lies between 0 and 1.")
            for path in paths:
                if path in seen:
                    raise InputError(f"transistor '{path}' is in two matched groups; it can be in one.")
                seen.add(path)

    @classmethod
    def from_card(cls, netlist: Netlist, **others: Any) -> AreaLaw:
        """The law with the constants that the deck's card gives as `.param pelgrom_vtn=…` and so on.

        `others` are fields, which go before the card's; what neither gives has the default of the field.
        """
        known = {name: float(netlist.params[key]) for name, key in CARD_KEYS.items() if key in netlist.params}
        return cls(**{**known, **others})

    def sigma_vt(self, transistor: Transistor) -> float:
        """Standard deviation of the threshold (V) by the area law."""
        return getattr(self, f"avt_{transistor.polarity}") / math.sqrt(transistor.area)

    def sigma_beta(self, transistor: Transistor) -> float:
        """Standard deviation of the current factor (relative) by the area law."""
        return getattr(self, f"abeta_{transistor.polarity}") / math.sqrt(transistor.area)

    def has_beta(self, transistor: Transistor) -> bool:
        """Whether the current factor varies at all."""
        return bool(getattr(self, f"abeta_{transistor.polarity}") or self.common_beta or self.gradient_beta)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return {
            **{name: getattr(self, name) for name in (*CARD_KEYS, "common_vt", "common_beta")},
            "gradient_vt": self.gradient_vt, "gradient_beta": self.gradient_beta,
            "positions": {path: list(place) for path, place in sorted(self.positions.items())},
            "groups": [[list(paths), rho] for paths, rho in self.groups], "ideal": list(self.ideal),
        }  # fmt: skip

    def without(self, patterns: Iterable[str]) -> AreaLaw:
        """The same with more transistors ideal."""
        return replace(self, ideal=(*self.ideal, *patterns))


def transistors(netlist: Netlist, law: AreaLaw | None = None) -> list[Transistor]:
    """The transistors of a deck that mismatch: instances of `nfet` and `pfet` but for the `ideal` ones of `law`.

    **Raises** `InputError` for a size that is not positive, for patterns, groups and positions that name none, for a
    deck without such transistors, and for M elements outside of them, which have no parameter `dvt`.
    """
    flat = netlist.flatten({"nfet", "pfet"})
    found, bare = [], []
    for element in flat.elements:
        if isinstance(element, ModelElement) and element.letter == "m":
            bare.append(element.name)
        if not isinstance(element, Device):
            continue
        values = {name: float(value) for name, value in element.parameters.items()}
        if not {"w", "l", "dvt"} <= values.keys():
            raise InputError(
                f"{element.location}: subcircuit '{element.definition.name}' of {element.name} has no "
                f"{', '.join(sorted({'w', 'l', 'dvt'} - values.keys()))}; cards with mismatch have W, L and dvt."
            )
        parallel = values.get("m", 1.0) * values.get("nf", 1.0)
        for name, size in (("W", values["w"]), ("L", values["l"]), ("m", parallel)):
            if not size > 0:
                raise InputError(f"{element.location}: {name} of {element.name} is {size:g}; it must be positive.")
        found.append(Transistor(element.name, element.definition.name[0], values["w"], values["l"], parallel))
    if bare:
        raise InputError(
            f"{netlist.file}: {', '.join(bare[:5])} is an M element, which has no dvt to shift; use the subcircuits "
            "nfet and pfet of a device card."
        )
    if not found:
        raise InputError(f"{netlist.file} has no transistors (instances of nfet and pfet), so nothing can mismatch.")
    return _chosen(found, law) if law is not None else found


def _chosen(found: list[Transistor], law: AreaLaw) -> list[Transistor]:
    paths = [transistor.path for transistor in found]
    for pattern in law.ideal:
        if not any(fnmatch.fnmatchcase(path, pattern.lower()) for path in paths):
            raise InputError(f"no transistor is called '{pattern}'; there are {', '.join(paths[:8])} ….")
    for what, names in (("matched group", [p for group, _ in law.groups for p in group]), ("position", law.positions)):
        for path in names:
            if path not in paths:
                raise InputError(
                    f"a {what} names '{path}', which is no transistor; there are {', '.join(paths[:8])} …."
                )
    chosen = [t for t in found if not any(fnmatch.fnmatchcase(t.path, p.lower()) for p in law.ideal)]
    if not chosen:
        raise InputError("every transistor is ideal, so nothing is left to vary; give fewer patterns.")
    if law.gradient_vt or law.gradient_beta:
        for transistor in chosen:
            if transistor.path not in law.positions:
                raise InputError(f"the gradient needs a position for every transistor; '{transistor.path}' has none.")
    return chosen


def current_spread(avt: float, area: float, *, kappa: float, ut: float = 0.0258649) -> float:
    r"""Standard deviation of ln I of one transistor in weak inversion at given voltages:
    $\sigma_{\ln I} = \kappa A_{VT}/(U_T\sqrt{WL})$ (from $I \propto e^{-\kappa V_T/U_T}$).

    **Arguments**: `avt` in V m, `area` in m², `ut` in V. 3.5 mV µm on 2 × 2 µm with κ 0.73 gives 0.049.
    """
    if not area > 0:
        raise InputError(f"the area is {area:g} m²; it must be positive.")
    return kappa * avt / (ut * math.sqrt(area))
