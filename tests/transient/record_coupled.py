"""Record finite differences of spike times: `python -m tests.transient.record_coupled [CASE…]`, minutes for each case.

Central differences of Rodas5P at a relative tolerance of 1e-9, each at a step and at half of it; what
`test_gradients_coupled` compares with is extrapolated from the two, and their difference says how good they are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from analogsnn.circuit import Circuit
from analogsnn.measure import spike_times
from analogsnn.transient import transient

from .coupled import driven, ring

FILE = Path(__file__).with_name("coupled_derivatives.json")
RTOL = 1e-9
# Relative steps (a threshold: V) that move a late spike by about a microsecond.
STEPS = {"cm": 1e-3, "xl3.dvt": 2e-4, "xtau.w": 1e-2, "td": 2e-3, "v2": 1e-2, "dc": 1e-2}
# Circuit, end, nodes, parameters, by case
CASES = {
    "pair": (lambda: ring(2, "9m"), 9e-3, ("spk1", "spk2"), ("xs1.xtau.w", "xn1.cm", "xn2.xl3.dvt")),
    "three": (lambda: ring(3, "7m"), 7e-3, ("spk1", "spk2", "spk3"), ("xs1.xtau.w", "xn1.cm")),
    "five": (lambda: ring(5, "7m"), 7e-3, ("spk1", "spk3"), ("xn1.cm",)),
    "driven": (lambda: driven("4.3m"), 4.3e-3, ("spk1",), ("xn1.cm", "xn1.xl3.dvt", "xs1.xtau.w", "vp.td")),
}


def step_of(path: str) -> float:
    """The step of a parameter, relative to its value."""
    return next(step for end, step in STEPS.items() if path.endswith(end))


def differences(circuit: Circuit, path: str, stop: float, nodes: tuple[str, ...]) -> dict[str, list[list[float]]]:
    """By node, for a step and for half of it, the derivative of every spike time."""
    value = float(circuit[path])
    found: dict[str, list[list[float]]] = {node: [] for node in nodes}
    for share in (1.0, 0.5):
        step = share * step_of(path) * (abs(value) or 1.0)
        late, early = (
            transient(circuit.replace({path: value + s}), stop, save=list(nodes), rtol=RTOL) for s in (step, -step)
        )
        for node in nodes:
            up, down = spike_times(late, node), spike_times(early, node)
            count = min(len(up), len(down))
            found[node].append([float(f"{d:.9g}") for d in np.asarray(up[:count] - down[:count]) / (2 * step)])
    return found


def main() -> None:
    """Run the cases and update the file."""
    known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for case in sys.argv[1:] or CASES:
        make, stop, nodes, paths = CASES[case]
        circuit = make()
        known[case] = {path: differences(circuit, path, stop, nodes) for path in paths}
        FILE.write_text(json.dumps(known) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
