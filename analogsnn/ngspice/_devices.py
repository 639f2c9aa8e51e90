"""Single transistors of any card in ngspice: currents over bias, size and temperature, and capacitances.

Foundry cards hold what the netlist reader need not know (BSIM4, binning, statistics), so the card is included as it is,
and only the bench around it is written here: many transistors side by side, each between sources of its own, one run a
temperature.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError, NgspiceError
from ._log import classify
from ._process import call

# Leaks of picoamperes are to be seen: gmin's share at 1.8 V is 2e-20 A.
_OPTIONS = ".options gmin=1e-20 abstol=1e-19 reltol=1e-6 vntol=1e-9 itl1=1000 itl2=500 num_threads=1"
_DIFFUSION = 0.5e-6  # m, length of source and drain that a bare .model is given; subcircuits bring their own
_DEFINITION = re.compile(r"(?im)^\s*\.(subckt|model)\s+(\S+)")
_INCLUDE = re.compile(r"(?im)^\s*\.(?:include|inc|lib)\s+(?:\"([^\"]+)\"|'([^']+)'|(\S+))")


@dataclass(frozen=True)
class Transistor:
    """One transistor under test: its name in the card, `polarity` "n" or "p", `w` and `l` in m, and the voltages of
    `drain` and `source` against its bulk in V, those of a p device with the sign turned."""

    name: str
    polarity: str
    w: float
    l: float  # noqa: E741
    drain: float
    source: float


@dataclass(frozen=True)
class Card:
    """A card's file, the section of it to take (`.lib FILE SECTION`), and which names are subcircuits."""

    path: Path
    section: str | None
    kinds: dict[str, str]

    @property
    def statement(self) -> str:
        """The line that brings the card into a deck."""
        return f'.lib "{self.path}" {self.section}' if self.section else f'.include "{self.path}"'


def find_devices(path: Path, names: Sequence[str], section: str | None = None) -> Card:
    """Look for transistors in a card and the files that it includes.

    **Raises** `InputError` for a file that cannot be read, and for names that it does not define, with near ones.
    """
    kinds: dict[str, str] = {}
    _scan(path.resolve(), kinds, set())
    for name in names:
        if name.lower() not in kinds:
            close = difflib.get_close_matches(name.lower(), kinds, 3)
            there = (
                f"did you mean {' or '.join(close)}?"
                if close
                else f"it defines {', '.join(sorted(kinds)[:8]) or 'none'}."
            )
            raise InputError(f"{path} defines no model or subcircuit '{name}'; {there}")
    return Card(path.resolve(), section, kinds)


def _scan(path: Path, kinds: dict[str, str], seen: set[Path]) -> None:
    if path in seen:
        return
    seen.add(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    for kind, name in _DEFINITION.findall(text):
        # Binned models are called name.0, name.1 …; decks use the name.
        kinds.setdefault(re.sub(r"\.\d+$", "", name.lower()) if kind.lower() == "model" else name.lower(), kind.lower())
    for groups in _INCLUDE.findall(text):
        target = path.parent / next(g for g in groups if g)
        if target.is_file():  # `.lib NAME` also begins a section
            _scan(target.resolve(), kinds, seen)


def gate_sweeps(
    card: Card, transistors: Sequence[Transistor], gate: tuple[float, float], celsius: float, timeout: float = 300.0
) -> tuple[np.ndarray, np.ndarray]:
    """Drain currents over the gate voltage.

    **Arguments**

    - `gate`: last voltage and step in V, from zero, against the bulk; of a p device with the sign turned.
    - `celsius`: °C. `timeout`: wall-clock s.

    **Returns** the gate voltages `[n]` and the currents `[transistor, n]` in A, positive in normal use.

    **Raises** `NgspiceError` for a card that ngspice rejects.
    """
    lines = ["transistors", card.statement, f".temp {celsius!r}", _OPTIONS, "Vg gn 0 0", "Egp gp 0 gn 0 -1"]
    for k, fet in enumerate(transistors):
        sign = 1.0 if fet.polarity == "n" else -1.0
        lines += [f"Vd{k} d{k} 0 {sign * fet.drain!r}", f"Vs{k} s{k} 0 {sign * fet.source!r}"]
        lines.append(_instance(card, k, f"d{k} g{fet.polarity} s{k} 0", fet))
    vectors = _run(card, [*lines, f".dc Vg 0 {gate[0]!r} {gate[1]!r}", ".end"], timeout)
    axis = next(values for name, values in vectors.items() if name.endswith("-sweep"))
    signs = [-1.0 if fet.polarity == "n" else 1.0 for fet in transistors]
    return axis, np.array([sign * vectors[f"vd{k}#branch"] for k, sign in enumerate(signs)])


def capacitances(
    card: Card, transistors: Sequence[Transistor], top: float, timeout: float = 300.0
) -> list[dict[str, np.ndarray]]:
    """Capacitances over voltage, from the currents under a slow ramp, at 27 °C. `drain` and `source` are not used.

    **Returns** for each transistor, over the ramp's voltage `v` from 0 to `top`: of the gate against source, drain and
    bulk (`gs`, `gd`, `gb`, all others at the bulk) and of source and drain together against the bulk (`junction`, the
    gate off), in F.
    """
    duration = 1e-3
    lines = ["capacitances", card.statement, ".temp 27", _OPTIONS]
    for k, fet in enumerate(transistors):
        sign = 1.0 if fet.polarity == "n" else -1.0
        ramp = f"pwl(0 0 {duration!r} {sign * top!r})"
        lines += [f"Vg{k} g{k} 0 {ramp}", *(f"V{t}{k} {t}{k} 0 0" for t in "dsb")]
        lines.append(_instance(card, 2 * k, f"d{k} g{k} s{k} b{k}", fet))
        lines += [f"Vj{k} j{k} 0 {ramp}", f"Vo{k} o{k} 0 0", f"Ve{k} e{k} 0 0"]
        lines.append(_instance(card, 2 * k + 1, f"j{k} o{k} j{k} e{k}", fet))
    vectors = _run(card, [*lines, f".tran {duration / 200!r} {duration!r} 0 {duration / 200!r}", ".end"], timeout)
    found = []
    for k, fet in enumerate(transistors):
        slope = (1.0 if fet.polarity == "n" else -1.0) * top / duration
        # At the first points the ramp has just begun to turn; the current that flows into the source is a capacitance.
        rows = {"gs": f"vs{k}", "gd": f"vd{k}", "gb": f"vb{k}", "junction": f"ve{k}"}
        there = {name: vectors[f"{row}#branch"][2:] / slope for name, row in rows.items()}
        found.append({"v": vectors["time"][2:] / duration * top, **there})
    return found


def _instance(card: Card, number: int, nodes: str, fet: Transistor) -> str:
    size = f"W={fet.w!r} L={fet.l!r}"
    if card.kinds[fet.name.lower()] == "subckt":
        return f"X{number} {nodes} {fet.name} {size}"
    area, edge = _DIFFUSION * fet.w, 2 * (_DIFFUSION + fet.w)
    return f"M{number} {nodes} {fet.name} {size} ad={area!r} as={area!r} pd={edge!r} ps={edge!r}"


def _run(card: Card, lines: list[str], timeout: float) -> dict[str, np.ndarray]:
    try:
        answer, vectors = call(lines, [], timeout)
    except NgspiceError as error:
        raise NgspiceError(f"{error} The deck is a bench around the card {card.path}.", error.log) from None
    fatal, _ = classify(answer["log"])
    if fatal or not vectors:
        said = "; ".join(list(dict.fromkeys(line.rstrip(".") for line in fatal))[:3]) or "no data"
        raise NgspiceError(f"ngspice rejects the card {card.path}: {said}.", "\n".join(answer["log"]))
    for name, values in vectors.items():
        if not np.all(np.isfinite(values)):
            raise NgspiceError(f"ngspice gave values of '{name}' that are not finite with the card {card.path}.")
    return vectors
