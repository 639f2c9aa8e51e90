"""A foundry or generic card → an EKV card, with what that costs in accuracy."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import library
from ..circuit import use_float64
from ..devices import OPTIONAL_KEYS, POLAR_KEYS, Currents, fit_currents, regions, relative_errors
from ..errors import InputError
from ..ngspice import Card, Transistor, capacitances, find_devices, gate_sweeps
from ..units import format_quantity

REGIONS = ("weak", "moderate", "strong", "triode", "above")
# A transistor of the polarity asked for conducts more than this, A, with its gate at the supply, and so many times what
# it does with its gate at the bulk.
_LEAST, _OPENING = 1e-9, 100.0
_EVERY = 5  # of the gate voltages above a microampere, which only the inverters reach
_CAPACITANCES = ("cox", "cgo", "cjw")


@dataclass(frozen=True)
class Grid:
    """Where a card is looked at.

    - `vdd`: supply, V. `lengths`, `widths`: m; every length at the middle width, every width at the first and the
      middle length.
    - `drain`, `source`: drain-source and source-bulk voltages as shares of the supply; `drain_low`: in V.
    - `celsius`: °C. `step`: of the gate voltage, V.
    """

    vdd: float = 1.8
    lengths: tuple[float, ...] = (0.5e-6, 1e-6, 2e-6, 5e-6)
    widths: tuple[float, ...] = (1e-6, 2e-6, 10e-6)
    drain_low: tuple[float, ...] = (0.05, 0.1, 0.2)
    drain: tuple[float, ...] = (0.3, 0.5, 0.75, 1.0)
    source: tuple[float, ...] = (0.0, 0.06, 0.17, 0.33, 0.5)
    celsius: tuple[float, ...] = (0.0, 27.0, 70.0)
    step: float = 0.02

    def check(self) -> None:
        """**Raises** `InputError` for sizes and voltages that cannot be."""
        if not 0.1 <= self.vdd <= 20:
            raise InputError(f"the supply is {self.vdd:g} V; it must lie between 0.1 and 20 V.")
        for what, values in (("length", self.lengths), ("width", self.widths)):
            if not values:
                raise InputError(f"there is no {what}; give at least one, such as 1e-6.")
            for value in values:
                if not 1e-8 <= value <= 1e-3:
                    raise InputError(f"the {what} {value:g} m is no size of a transistor; give metres, such as 0.5e-6.")

    def sizes(self) -> list[tuple[float, float]]:
        """Widths and lengths."""
        w, l = (values[len(values) // 2] if len(values) != 2 else values[0] for values in (self.widths, self.lengths))  # noqa: E741
        pairs = [(w, length) for length in self.lengths]
        pairs += [(width, length) for width in self.widths for length in (self.lengths[0], l)]
        return sorted(set(pairs))

    def transistors(self, name: str, polarity: str) -> list[Transistor]:
        """All transistors of a run."""
        drops = [*(v for v in self.drain_low if v < self.vdd), *(share * self.vdd for share in self.drain)]
        return [
            Transistor(name, polarity, w, length, share * self.vdd + drop, share * self.vdd)
            for w, length in self.sizes() for share in self.source for drop in drops
            if share * self.vdd + drop <= self.vdd * (1 + 1e-9)
        ]  # fmt: skip


@dataclass(frozen=True)
class ExtractedCard:
    """An EKV card and how far it is from the one that it was made of.

    - `nmos`, `pmos`: the polar keys of `circuits/cards/ekv.lib`; `common`: the others. SI units.
    - `errors`: one entry per polarity, size, temperature and region: `polarity`, `w`, `l`, `temperature`, `region`,
      `max_relative`, `rms_relative`. Regions: `weak`, `moderate` and `strong` inversion (1 pA to 1 µA, saturated),
      `triode` (drain-source voltage below 0.1 V), `above` 1 µA, and of the capacitances `gate`, `overlap`, `junction`.
    - `overall`: by polarity, `max_relative`, `rms_relative` and `p95_relative` of the core (the first three regions).
    - `source`: the card's file; `names`: its transistors.
    """

    nmos: Mapping[str, float]
    pmos: Mapping[str, float]
    common: Mapping[str, float]
    errors: list[dict[str, Any]]
    overall: Mapping[str, Mapping[str, float]]
    source: str
    names: tuple[str, str]
    data: Mapping[str, Currents]

    def parameters(self) -> dict[str, float]:
        """All values by their names in the card, such as `ekv_nn`."""
        found = {f"ekv_{key}{p}": v for p, card in (("n", self.nmos), ("p", self.pmos)) for key, v in card.items()}
        return {**found, **{f"ekv_{key}": v for key, v in self.common.items()}}

    def to_lib(self) -> str:
        """The text of a card that decks can include: the subcircuits of `circuits/cards/ekv.lib` with these values."""
        text = (library.circuits_folder() / "cards" / "ekv.lib").read_text(encoding="utf-8")
        for name, value in self.parameters().items():
            text, count = re.subn(rf"(?m)(^\.param\b.*?\b{name}=)\S+", lambda m, v=value: m[1] + repr(float(v)), text)
            if count != 1:
                raise AssertionError(f"the card names {name} {count} times")
        worst = "; ".join(
            f"{polarity}: rms {100 * row['rms_relative']:.1f} %, largest {100 * row['max_relative']:.0f} %"
            for polarity, row in self.overall.items()
        )
        text = re.sub(
            r"^\* ekv\.lib: .*", f"* EKV card extracted from {Path(self.source).name} ({', '.join(self.names)})", text
        )
        text = re.sub(
            r"(?m)^\* provenance: .*\n",
            f"* provenance: fitted to {Path(self.source).name} as ngspice computes it.\n"
            f"* error of the current, 1 pA to 1 uA, saturated: {worst}\n"
            "* equations: circuits/cards/ekv.lib of analogsnn; Enz, Krummenacher and Vittoz, Analog Integrated\n",
            text, count=1,
        )  # fmt: skip
        return re.sub(r"(?m)^\* At W/L = .*\n", "", text)

    def to_toml(self) -> str:
        """The values, their errors and where they come from, as TOML."""

        def table(name: str, values: Mapping[str, Any]) -> list[str]:
            return [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]

        lines = ["# EKV card; names and equations: circuits/cards/ekv.lib. SI units."]
        lines += table("provenance", {"source": self.source, "nmos": self.names[0], "pmos": self.names[1]})
        lines += table("nmos", self.nmos) + table("pmos", self.pmos) + table("common", self.common)
        for polarity, row in self.overall.items():
            lines += table(f"overall.{polarity}", row)
        for row in self.errors:
            lines += ["[[errors]]", *table("", row)[1:]]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """What `analogsnn extract-card --json` writes."""
        return {
            "nmos": dict(self.nmos), "pmos": dict(self.pmos), "common": dict(self.common), "errors": self.errors,
            "overall": {key: dict(row) for key, row in self.overall.items()},
        }  # fmt: skip


def _toml(value: Any) -> str:
    if value is None:
        return "nan"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(float(value))


def extract_card(
    path: str | os.PathLike[str],
    nmos: str,
    pmos: str,
    *,
    section: str | None = None,
    grid: Grid | None = None,
    timeout: float = 600.0,
    progress: Callable[[float], None] | None = None,
) -> ExtractedCard:
    """Fit the EKV transistor to a card of another model, with ngspice as the one who knows that card.

    **Arguments**

    - `path`: the card's file; `section`: that of a `.lib` with several.
    - `nmos`, `pmos`: names of a `.model` or `.subckt` each; subcircuits have the pins drain, gate, source, bulk and the
      parameters W and L.
    - `grid`: sizes, voltages and temperatures. `timeout`: of each ngspice run, wall-clock s.
    - `progress`: called with 1 after each ngspice run and each fit: `len(grid.celsius) + 3` times.

    **Returns** an `ExtractedCard`.

    **Raises** `InputError` for names that are not there, transistors of the other polarity, and sizes that cannot be;
    `NgspiceError` for a card that ngspice rejects.
    """
    use_float64()
    grid = grid or Grid()
    grid.check()
    report = progress or (lambda amount: None)
    card = find_devices(Path(path), (nmos, pmos), section)
    fets = {p: grid.transistors(name, p) for p, name in (("n", nmos), ("p", pmos))}
    swept = []
    for celsius in grid.celsius:
        swept.append(gate_sweeps(card, [*fets["n"], *fets["p"]], (grid.vdd, grid.step), celsius, timeout))
        report(1)
    cut = len(fets["n"])
    data = {
        "n": _gather(card, fets["n"], [(v, i[:cut]) for v, i in swept], grid),
        "p": _gather(card, fets["p"], [(v, i[cut:]) for v, i in swept], grid),
    }
    slopes = {}
    fitted: dict[str, dict[str, float]] = {}
    for polarity, points in data.items():
        fitted[polarity] = fit_currents(points)
        slopes[polarity] = fitted[polarity]
        report(1)
    common, rows = _common(card, grid, (nmos, pmos), slopes, timeout)
    report(1)
    overall = {}
    for polarity, points in data.items():
        points = points.usable()
        errors = np.abs(relative_errors(fitted[polarity], points))
        core = errors[points.core]
        overall[polarity] = {
            "max_relative": float(core.max()), "rms_relative": float(np.sqrt((core**2).mean())),
            "p95_relative": float(np.quantile(core, 0.95)),
        }  # fmt: skip
        rows = _rows(polarity, fitted[polarity], points, errors) + rows
    keys = {p: {key: fitted[p][key] for key in POLAR_KEYS} for p in "np"}
    assert set(OPTIONAL_KEYS) < set(keys["n"])
    rows.sort(key=lambda row: row["polarity"])
    return ExtractedCard(
        nmos=keys["n"], pmos=keys["p"], common=common, errors=rows, overall=overall, source=str(Path(path)),
        names=(nmos, pmos), data=data,
    )  # fmt: skip


def _gather(card: Card, fets: list[Transistor], swept: list[tuple[np.ndarray, np.ndarray]], grid: Grid) -> Currents:
    """Sweeps → points; above a microampere, where nothing is to be fitted finely, every fifth."""
    columns: list[np.ndarray] = []
    for (gate, current), celsius in zip(swept, grid.celsius, strict=True):
        for fet, row in zip(fets, current, strict=True):
            keep = (row <= 1e-6) | (np.arange(row.size) % _EVERY == 0)
            size = np.ones(int(keep.sum()))
            columns.append(
                np.array(
                    [
                        fet.w * size,
                        fet.l * size,
                        gate[keep],
                        fet.source * size,
                        fet.drain * size,
                        celsius * size,
                        row[keep],
                    ]
                )
            )
    data = Currents(*np.concatenate(columns, axis=1))
    # The gate must open the channel: a transistor of the other polarity is shut by it, or conducts through its bulk.
    last = np.array([row[-1] for _, current in swept for row in current])
    first = np.array([row[0] for _, current in swept for row in current])
    opened = (last > _LEAST) & (last > _OPENING * np.abs(first))
    if opened.sum() < opened.size / 2:
        name, kind = fets[0].name, fets[0].polarity
        raise InputError(
            f"'{name}' of {card.path} is not opened by its gate as {kind} device (at most "
            f"{format_quantity(float(last.max()), 'A')} with {grid.vdd:g} V there): look for exchanged names, or give "
            "another --vdd."
        )
    return data


def _rows(polarity: str, card: Mapping[str, float], points: Currents, errors: np.ndarray) -> list[dict[str, Any]]:
    region = regions(card, points)
    rows = []
    for w, length in sorted({(float(a), float(b)) for a, b in zip(points.w, points.l, strict=True)}):
        for celsius in np.unique(points.celsius):
            here = (points.w == w) & (points.l == length) & (points.celsius == celsius)
            for name in REGIONS:
                found = errors[here & (region == name)]
                if found.size:
                    rows.append(_row(polarity, w, length, float(celsius), name, found))
    return rows


def _row(polarity: str, w: float, length: float, celsius: float, region: str, errors: np.ndarray) -> dict[str, Any]:
    return {
        "polarity": polarity, "w": w, "l": length, "temperature": celsius, "region": region,
        "max_relative": float(np.abs(errors).max()), "rms_relative": float(np.sqrt((errors**2).mean())),
    }  # fmt: skip


def _common(
    card: Card, grid: Grid, names: tuple[str, str], fitted: Mapping[str, Mapping[str, float]], timeout: float
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Capacitances of the EKV card, which are constants and the same for both polarities: those of weak inversion."""
    fets = [
        Transistor(name, p, w, length, 0.0, 0.0)
        for p, name in zip("np", names, strict=True)
        for w, length in grid.sizes()
    ]
    measured = capacitances(card, fets, grid.vdd, timeout)
    values: dict[str, list[float]] = {key: [] for key in _CAPACITANCES}
    curves = []
    for fet, curve in zip(fets, measured, strict=True):
        mine = fitted[fet.polarity]
        n = mine["n"] + mine["nl"] / fet.l
        # Weak inversion: gate voltages up to 0.15 V below the threshold.
        weak = curve["v"] <= max(mine["vt"] - 0.15, 0.1 * grid.vdd)
        scales = {"cox": fet.w * fet.l * (n - 1) / n, "cgo": fet.w, "cjw": 2 * fet.w}
        shown = {"cox": curve["gb"][weak], "cgo": 0.5 * (curve["gs"] + curve["gd"])[weak], "cjw": curve["junction"]}
        for key in _CAPACITANCES:
            values[key].append(float(shown[key].mean()) / scales[key])
        curves.append((fet, scales, shown))
    common = {key: float(np.mean(found)) for key, found in values.items()}
    rows = []
    for fet, scales, shown in curves:
        for key, name in (("cox", "gate"), ("cgo", "overlap"), ("cjw", "junction")):
            errors = common[key] * scales[key] / np.maximum(shown[key], 1e-21) - 1
            rows.append(_row(fet.polarity, fet.w, fet.l, 27.0, name, errors))
    return {**common, "ut": fitted["n"]["ut"], "eps": fitted["n"]["eps"]}, rows
