"""The EKV current in closed form, and the check that ngspice computes it from the deck it was given.

ngspice deletes braces in B-sources and has other ways to misread an expression without a word; so every deck with EKV
transistors is run with one operating point per polarity beside it, and refused when a current is not the closed form's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import NgspiceError
from ..netlist import Device, Evaluator, Netlist, write_netlist

_TOLERANCE = 1e-6
_KEYS = ("n", "vt", "kp", "ve", "tcv", "gm", "ph", "th", "dib")
# Later terms; a card that does not name them is without them.
_OPTIONAL = {
    "bk": 0.0, "ns": 0.0, "vl": 0.0, "vll": 0.0, "nl": 0.0, "tcn": 0.0, "bex": -1.5, "lam": 0.0, "tbk": 0.0, "thb": 0.0,
    "kw": 0.0, "cw": 0.0,
}  # fmt: skip
# Drain, gate, source and bulk against bulk, for the n device: moderate inversion, saturated.
_POINT = (0.9, 0.45, 0.05, 0.0)


def ekv_current(
    card: Mapping[str, float], polarity: str, *, w: float, l: float, vgb: float, vsb: float, vdb: float,  # noqa: E741
    dvt: float = 0.0, dbt: float = 0.0, celsius: float = 27.0,
) -> float:  # fmt: skip
    """Drain current (A) of the EKV transistor of `circuits/cards/ekv.lib`; the equations stand in that file.

    **Arguments**

    - `card`: its `.param` values by name, such as `ekv_nn`.
    - `polarity`: `"n"` or `"p"`; for p the voltages are those of the mirrored device (positive in normal use).
    - `w`, `l`: m. `vgb`, `vsb`, `vdb`: V. `dvt`: V. `dbt`: relative. `celsius`: °C.
    """
    n, vt, kp, early, fall, body, phi, theta, dibl = (card[f"ekv_{key}{polarity}"] for key in _KEYS)
    linear, steepening, vl, vll, nl, tcn, bex, flat, warmer, field, offset, share = (
        card.get(f"ekv_{key}{polarity}", v) for key, v in _OPTIONAL.items()
    )
    ratio = (celsius + 273.15) / 300.15
    ut = card["ekv_ut"] * ratio
    eps = card["ekv_eps"]
    n = n + nl / l + tcn * (ratio - 1)
    vds = math.hypot(vdb - vsb, eps)
    low = 0.5 * (vsb + vdb - vds)
    x = phi + low
    rise = math.sqrt(0.5 * (x + math.hypot(x, eps)) + 1e-9) - math.sqrt(phi)
    linear += warmer * (ratio - 1)
    threshold = vt + dvt + vl / l + vll / l**2 - fall * (celsius - 27.0) + body * rise - linear * low - dibl / l * vds
    straight = (vgb - threshold) / n
    pinch = straight + (straight - low) * steepening * rise
    at = [(pinch - v) / (2 * ut) for v in (vsb, vdb)]
    forward, reverse = (_softplus(y) / (1 + offset * ratio**2 * math.exp(-y)) for y in at)
    specific = 2 * n * kp * ratio**bex * (1 + dbt) * w / l * ut**2
    current = specific * (forward - reverse) * (forward + reverse + 2 * share) * (1 + vds * (1 / (early * l) + flat))
    return current / (1 + theta * ut * sum(map(_softplus, at)) + field * rise)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@dataclass(frozen=True)
class Probe:
    """One transistor alone, its nodes held by sources: the deck, the vector to look at, and what it must say."""

    device: str
    deck: list[str]
    vector: str
    expected: float


def probes(netlist: Netlist) -> list[Probe]:
    """An operating point for one nfet and one pfet of the deck, written from the deck's own elements.

    Empty without EKV cards (subcircuits `nfet` and `pfet` whose file says `* model: ekv`).
    """
    found: dict[str, Device] = {}
    for element in netlist.flatten({"nfet", "pfet"}).elements:
        if isinstance(element, Device) and element.definition.model_kind == "ekv":
            polarity = element.definition.name[0]
            drain, _, source, bulk = element.nodes
            if drain not in ("0", source, bulk) and polarity not in found:
                found[polarity] = element
    result = [_probe(netlist, device, polarity) for polarity, device in sorted(found.items())]
    return [probe for probe in result if probe is not None]


def _probe(netlist: Netlist, device: Device, polarity: str) -> Probe | None:
    evaluator = Evaluator(overrides={"temp": float(netlist.temperature), **netlist.changes})
    card = {}
    for name in [f"ekv_{key}{polarity}" for key in _KEYS] + ["ekv_ut", "ekv_eps"]:
        binding = device.inside.find(name)
        if binding is None:
            return None  # a card of the user's own with other names
        card[name] = float(evaluator.binding(binding))
    for key in _OPTIONAL:
        if (binding := device.inside.find(f"ekv_{key}{polarity}")) is not None:
            card[f"ekv_{key}{polarity}"] = float(evaluator.binding(binding))
    sign = 1.0 if polarity == "n" else -1.0
    held = {"0": 0.0}
    for node, value in sorted(zip(device.nodes, _POINT, strict=True), key=lambda pair: pair[1]):
        held.setdefault(node, sign * value)
    drain, gate, source, bulk = (sign * (held[node] - held[device.nodes[3]]) for node in device.nodes)
    current = device.multiplicity * ekv_current(
        card, polarity, w=device.parameters["w"], l=device.parameters["l"], vgb=gate - bulk, vsb=source - bulk,
        vdb=drain - bulk, dvt=device.parameters["dvt"], dbt=device.parameters["dbt"], celsius=netlist.temperature,
    )  # fmt: skip
    parts = tuple(e for e in netlist.elements if e.letter == "b" and e.name.startswith(device.name + "."))
    alone = dataclasses.replace(
        netlist, elements=parts, ic={}, nodeset={}, options={"gmin": 1e-20, "abstol": 1e-20, "reltol": 1e-9}
    )
    lines = write_netlist(alone, analyses=False).splitlines()[:-1]
    names = {node: f"vprobe{i}" for i, node in enumerate(held) if node != "0"}
    lines += [f"{names[node]} {node} 0 dc {held[node]!r}" for node in names]
    return Probe(device.name, [*lines, ".op", ".end"], f"{names[device.nodes[0]]}#branch", -sign * current)


def check(probe: Probe, vectors: Mapping[str, float]) -> None:
    """Compare ngspice's current of a probe with the closed form.

    **Raises** `NgspiceError` when they differ by more than 1e-6.
    """
    got = vectors.get(probe.vector)
    if got is None or not abs(got - probe.expected) <= _TOLERANCE * abs(probe.expected) + 1e-19:
        found = "nothing" if got is None else f"{got:.9g} A"
        raise NgspiceError(
            f"ngspice computes {found} for transistor '{probe.device}' at a test point where the EKV equations give "
            f"{probe.expected:.9g} A; the run is refused. Look for braces in the card's B-source: ngspice deletes them."
        )
