"""Runs in an environment of its own: Rockpool 3.1.0's exporter on connection matrices, and what it lost.

    pip install "rockpool[dynapse]==3.1.0" && pip uninstall samna
    python peer_mapper.py FOLDER

Reads FOLDER/*.npz with `pairs` (int array [synapse, (source, target)]) and `size`; neurons are placed half and half on
cores 0 and 1. The vendor's binary that the exporter fills cannot be installed; plain objects that take attributes stand
in for it. What was written is expanded here: word by word, from the neuron on whose core it stands.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from rockpool.devices.dynapse.hardware.config import allocator, from_spec


class _Parameters(dict):
    def __missing__(self, key):
        self[key] = SimpleNamespace()
        return self[key]


def _configuration():
    def neuron():
        return SimpleNamespace(synapses=[], destinations=[], latch_so_dc=False)

    def core():
        return SimpleNamespace(neurons=[neuron() for _ in range(256)], parameters=_Parameters())

    return SimpleNamespace(chips=[SimpleNamespace(cores=[core() for _ in range(4)]) for _ in range(4)])


_DRIVER = SimpleNamespace(
    dynapse2=SimpleNamespace(
        Dynapse2Configuration=_configuration,
        Dynapse2Destination=SimpleNamespace,
        Dynapse2Synapse=SimpleNamespace,
        Dendrite=lambda value: value,
    )
)


def routes(size, pairs):
    """(source, core) that the exporter's words reach, from the network's neuron that stands where each word does."""
    allocator.samna = from_spec.samna = _DRIVER
    weights = np.zeros((size, size), int)
    weights[pairs[:, 0], pairs[:, 1]] = 1
    core = np.array([0 if k < size // 2 else 1 for k in range(size)])
    each = [np.where(core[None, :] == c, weights, 0) for c in (0, 1)]
    currents = (
        "Idc If_nmda Igain_ahp Igain_mem Igain_syn Ipulse_ahp Ipulse Iref Ispkthr Itau_ahp Itau_mem Itau_syn Iw_ahp"
    )
    names = [*currents.split(), *(f"Iw_{k}" for k in range(4))]
    made = from_spec.config_from_specification(
        2, core, None, each, sign_rec=[np.ones_like(weights)] * 2, **{name: [1e-9, 1e-9] for name in names}
    )["config"]
    got = set()
    for c in (0, 1):
        for n, neuron in enumerate(made.chips[0].cores[c].neurons):
            if n < size and core[n] == c:
                got |= {
                    (n, k)
                    for d in neuron.destinations
                    if getattr(d, "core", None) is not None and d.x_hop != -7
                    for k, bit in enumerate(d.core)
                    if bit
                }
    return got


def main(folder):
    """Export and expand every matrix."""
    for path in sorted(folder.glob("*.npz")):
        data = np.load(path)
        size, pairs = int(data["size"]), data["pairs"]
        wanted = {(int(s), int(t >= size // 2)) for s, t in pairs.tolist()}
        started = time.perf_counter()
        try:
            got = routes(size, pairs)
        except Exception as error:
            print(f"{size} neurons on two cores: the peer raises {type(error).__name__}: {error}")
            continue
        seconds = time.perf_counter() - started
        lost = len(wanted - got)
        print(f"{size} neurons on two cores: the peer loses {lost} of {len(wanted)} routes ({seconds:.2f} s)")


main(Path(sys.argv[1]))
