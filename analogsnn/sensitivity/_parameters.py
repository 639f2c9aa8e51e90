"""The numbers of a circuit that a measure can be differentiated by: what they are, and in what steps they are felt."""

from __future__ import annotations

from ..circuit import Circuit
from ..devices import KELVIN
from ..netlist import Device, IndependentSource

# Words of sources that are no quantities: numbers of pulses, and what counts in the frequency domain.
_COUNTS = frozenset({"np", "acmag", "acphase"})
_DEVICE = {"w": "width", "l": "length", "dvt": "threshold", "dbt": "current factor", "m": "multiple"}
_LETTER = {"c": "capacitor", "r": "resistor", "g": "gain", "e": "gain", "f": "gain", "h": "gain"}
_TIMES = frozenset({"td", "tr", "tf", "pw", "per", "td1", "td2", "tau1", "tau2"})


def parameter_paths(circuit: Circuit) -> tuple[str, ...]:
    """Every path that has a derivative, those of numbers that follow from others included.

    Left out are counts, the gains of E elements, and terms of the card that are switched off by a zero
    (body effect, DIBL, mobility reduction), which would have to be switched on.
    """
    gains = {f"{element.name}.gain" for element in circuit.topology.gains}
    return tuple(
        path for path in circuit.paths()
        if path not in gains and path.rpartition(".")[2] not in _COUNTS and not _switched_off(circuit, path)
    )  # fmt: skip


def _switched_off(circuit: Circuit, path: str) -> bool:
    name = path.rpartition(".")[2]
    return name.startswith(("ekv_gm", "ekv_dib", "ekv_th")) and float(circuit[path]) == 0.0


def kind(circuit: Circuit, path: str) -> str:
    """What a number is: width, length, threshold, current factor, capacitor, bias, supply, time, parameter, …"""
    if path == "temp":
        return "temperature"
    head, _, name = path.rpartition(".")
    for element in circuit.netlist.elements:
        if element.name != head or name not in element.parameters:
            continue
        if isinstance(element, Device):
            return _DEVICE.get(name, "device")
        if isinstance(element, IndependentSource):
            if name in _TIMES or (name[0] in "tr" and element.waveform == "pwl"):
                return "time"
            if element.letter == "v":
                return "supply" if "0" in element.nodes and not element.waveform else "voltage"
            return "bias"
        return _LETTER.get(element.letter, "element")
    if head == "param":
        return "card" if name.startswith("ekv_") else "parameter"
    return "instance"


def scale(circuit: Circuit, path: str) -> float | None:
    """The change of a number that relative sensitivities are told for; None where it has no natural one.

    A millivolt of a threshold, one of a current factor (dbt is relative already), a kelvin, else the number itself.
    """
    name = path.rpartition(".")[2]
    what = kind(circuit, path)
    if what == "threshold":
        return 1e-3
    if what == "current factor":
        return 1.0 + float(circuit[path])
    if what == "temperature":
        return 1.0
    return abs(float(circuit[path])) or (1e-3 if name.startswith("ekv_vt") else None)


def unit(circuit: Circuit, path: str) -> str:
    """What a relative sensitivity is told for: per mV, per K, or relative."""
    return {"threshold": "per mV", "temperature": "per K"}.get(kind(circuit, path), "relative")


def largest_step(circuit: Circuit, path: str) -> float:
    """The largest change for a difference: 2 % of a number, 5 mV of a threshold, 5 K."""
    what, value = kind(circuit, path), abs(float(circuit[path]))
    if what == "threshold":
        return 5e-3
    if what == "temperature":
        return min(5.0, 0.5 * (value + KELVIN))
    if what == "current factor":
        return 0.02
    return 0.02 * value if value else 1e-3
