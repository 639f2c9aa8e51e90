"""The object layout of the vendor's driver, as plain data: names of its fields, no package of it.

Only what is in use is listed; a loader sets everything else to the board's off state. Field names are those of the
driver's public type hints (`dynapse1`, `dynapse2`), as public board code uses them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError
from ._chip import Chip
from ._configuration import Configuration


def vendor_layout(configuration: Configuration, chip: Chip) -> dict[str, Any]:
    """`{"chips": {chip: {"cores": {core: {"parameters" or "parameter_group", "neurons": {neuron: …}}}}}}`.

    **Raises** `InputError` for a chip whose driver's layout is not known.
    """
    if chip.name not in _NEURONS:
        raise InputError(f"The driver's layout is known for {', '.join(_NEURONS)}, not for chip '{chip.name}'.")
    chips: dict[str, Any] = {}

    def core_of(where: int, core: int) -> dict[str, Any]:
        cores = chips.setdefault(str(where), {"cores": {}})["cores"]
        return cores.setdefault(str(core), {"neurons": {}})

    for (where, core), codes in sorted(configuration.biases.items()):
        values = {name: {"coarse_value": c, "fine_value": f} for name, (c, f) in sorted(codes.items())}
        entry = {"parameters": values} if chip.name == "dynapse2" else {"parameter_group": {"param_map": values}}
        core_of(where, core).update(entry)
    routes, words = _by_neuron(configuration.routes), _by_neuron(configuration.synapses)
    on = {name: {tuple(row) for row in rows.tolist()} for name, rows in configuration.latches.items()}
    for where, core, neuron in sorted(map(tuple, configuration.neurons[:, 2:5].tolist())):
        at = (where, core, neuron)
        latched = [name for name, some in on.items() if at in some]
        made = _NEURONS[chip.name](chip, at, words.get(at, []), routes.get(at, []), latched)
        core_of(where, core)["neurons"][str(neuron)] = made
    return {"device": chip.name, "chips": chips}


def _by_neuron(rows: np.ndarray) -> dict[tuple[int, int, int], list[list[int]]]:
    result: dict[tuple[int, int, int], list[list[int]]] = {}
    for row in rows.tolist():
        result.setdefault((row[0], row[1], row[2]), []).append(row[3:])
    return result


def _bits(mask: int, count: int) -> list[bool]:
    return [bool(mask >> k & 1) for k in range(count)]


def _dynapse2(chip: Chip, at: tuple[int, int, int], words: list, routes: list, latches: list[str]) -> dict[str, Any]:
    dendrites = {t.code: t.label.lower() for t in chip.synapse.types.values()}
    flags = {k + 1: d.flag for k, d in enumerate(chip.synapse.delays)}
    return {
        "synapses": [
            {
                "tag": tag,
                "dendrite": dendrites[dendrite],
                "weight": _bits(weight, chip.synapse.weight.bits or 0),
                **{flag: k == delay for k, flag in flags.items()},
                "stp": bool(stp),
            }
            for tag, dendrite, weight, delay, stp in words
        ],
        "destinations": [
            {"core": _bits(cores, chip.topology.cores_per_chip), "x_hop": x, "y_hop": y, "tag": tag}
            for x, y, cores, tag in routes
        ],
        **{f"latch_{name}": True for name in latches},
    }


def _dynapse1(chip: Chip, at: tuple[int, int, int], words: list, routes: list, latches: list[str]) -> dict[str, Any]:
    types = {t.code: t.label for t in chip.synapse.types.values()}
    positions = {tuple(p): k for k, p in enumerate(chip.topology.chip_positions)}
    x0, y0 = chip.topology.chip_positions[at[0]]
    host = chip.routing.monitor
    size = chip.topology.neurons_per_core
    made: dict[str, Any] = {"synapses": [], "destinations": []}
    for tag, code, _, _, _ in words:
        core, neuron = divmod(tag, size)
        made["synapses"].append({"listen_core_id": core, "listen_neuron_id": neuron, "syn_type": types[code]})
    for x, y, cores, tag in routes:
        if host is not None and (x, y) == host.hop:
            continue  # the driver itself keeps cell 0 for the host
        made["destinations"].append(
            {
                "target_chip_id": positions[x0 + x, y0 + y],
                "in_use": True,
                "virtual_core_id": tag // size,
                "core_mask": cores,
                # Signs as board code sets them on a 2 x 2 board: sx for leftward, sy for upward or none.
                "sx": x < 0,
                "dx": abs(x),
                "sy": y >= 0,
                "dy": abs(y),
            }
        )
    return made | dict.fromkeys(latches, True)


_NEURONS = {"dynapse1": _dynapse1, "dynapse2": _dynapse2}
