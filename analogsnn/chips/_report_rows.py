"""The rows of the report: biases, occupancy, and what is worth a warning."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..models import Physics
from ..network import Network
from ._biases import BiasCode
from ._chip import Chip
from ._core_weights import CoreWeights
from ._emit import Layout, leak_biases
from ._mapping import BiasRow, Occupancy
from ._place import Core, needs
from ._requests import Request, Requests


def bias_rows(
    cores: dict[int, Core], requests: dict[str, Requests], weights: list[CoreWeights], chip: Chip
) -> Iterator[BiasRow]:
    """One row a bias and core."""
    masked = chip.synapse.weight.scheme == "mask_sum"
    for number, core in cores.items():
        where = divmod(number, chip.topology.cores_per_chip)
        for bias in core.codes:
            asking = [n for n in core.pieces if bias in requests[n].rows]
            if asking:
                yield _row(bias, where, requests[asking[0]].rows[bias], tuple(asking))
        for bias, code in leak_biases(core, chip).items():
            asking = [n for n in core.pieces if needs(requests[n], chip)[1] == code]
            yield _row(bias, where, requests[asking[0]].rows[chip.neuron.biases.tau or ""], tuple(asking))
        for w in weights:
            if w.core == number and masked:
                for name, code in w.codes.items():
                    row = Request(name, "weight", "A", code.requested, code.realised, code)
                    yield _row(name, where, row, ())


def _row(name: str, where: tuple[int, int], row: Request, who: tuple[str, ...]) -> BiasRow:
    code: BiasCode = row.code
    return BiasRow(
        name, *where, code.requested, code.realised, code.coarse, code.fine, code.relative_error,
        row.quantity, row.unit, row.asked, row.got, who,
    )  # fmt: skip


def occupancy(network: Network, layout: Layout, target: np.ndarray, chip: Chip, usable: int) -> Occupancy:
    """What is used; `target`: int array [synapse word]; `usable`: addresses that a source may have."""
    top, size = chip.topology, network.size
    own = layout.route[layout.route[:, 0] < size]
    return Occupancy(
        neurons={divmod(k, top.cores_per_chip): sum(c.pieces.values()) for k, c in layout.cores.items()},
        neurons_per_core=top.neurons_per_core,
        synapse_words=np.bincount(target, minlength=size),
        words_per_neuron=chip.synapse.words_per_neuron,
        route_words=np.bincount(own[:, 0], minlength=size) + layout.host,
        destinations=chip.routing.destinations,
        tags=len(np.unique(layout.tags[layout.tags >= 0])),
        tags_usable=usable,
    )


def physics_warnings(asked: Physics, chip: Physics) -> list[str]:
    """Constants in which the network's physics is not that of the chip."""
    a = {k: v for k, v in vars(asked).items() if k not in ("c", "feedback")} | {f"c.{k}": v for k, v in asked.c.items()}
    b = {k: v for k, v in vars(chip).items() if k not in ("c", "feedback")} | {f"c.{k}": v for k, v in chip.c.items()}
    other = [key for key in a if key in b and a[key] != b[key]]
    if not other:
        return []
    theirs, ours = (", ".join(f"{key} = {values[key]:.6g}" for key in other) for values in (a, b))
    return [f"The network's physics has {theirs}; the chip's profile, which is used, has {ours}."]


def weight_warnings(weights: list[CoreWeights], chip: Chip) -> list[str]:
    """Cores with weights that are further off than the chip file warns of."""
    result = []
    for w in weights:
        bad = np.abs(w.error) > chip.limits.bias_error_warn
        if bad.any():
            k = int(np.argmax(np.abs(w.error)))
            result.append(
                f"Core {w.core}: {int(bad.sum())} of {len(bad)} weights are more than "
                f"{100 * chip.limits.bias_error_warn:.0f} % off, the worst is {w.wanted[k]:.4g} A realised as "
                f"{w.realised[k]:.4g} A ({100 * w.error[k]:+.1f} %)."
            )
    return result


def flag_warnings(network: Network) -> list[str]:
    """Flags of synapses whose biases nobody can set in physical units."""
    late = sorted({c.delay for c in network.connections} - {"none"})
    result = [f"Delay class '{d}' is flagged, but its bias is left unset: no calibration is known." for d in late]
    if any(c.stp for c in network.connections):
        result.append("Short-term depression is flagged, but its biases are left unset: its equation is not known.")
    return result
