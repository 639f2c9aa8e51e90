"""Record finite differences of spike times: `python -m tests.transient.record_coupled [CASE…]`, minutes for each case.

Central differences of Rodas5P at a relative tolerance of 1e-9, each at a step and at half of it; what
`test_gradients_coupled` compares with is extrapolated from the two, and their difference says how good they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from analogsnn.circuit import Circuit
from analogsnn.measure import spike_times
from analogsnn.transient import transient

from .coupled import driven, resting, ring, rivals, synchronised, winner

FILE = Path(__file__).with_name("coupled_derivatives.json")
RTOL = 1e-9
# Relative steps (a threshold: V) that move a late spike by about a microsecond.
STEPS = {"cm": 1e-3, "dvt": 2e-4, "xtau.w": 1e-2, "td": 2e-3, "v2": 1e-2, "tr": 1e-2, "dc": 1e-2}


class Case(NamedTuple):
    """A circuit with its end (s), the nodes whose spikes are looked at, the parameters, and the spikes' threshold (V).

    `finer`: by how much the steps are smaller than those of `STEPS`, where spikes move further. `points`: how many on a
    grid, for crossings that are slow: straight lines between the solver's own points are off by up to 20 µV.
    """

    make: Callable[[str], Circuit]
    stop: float
    nodes: tuple[str, ...]
    paths: tuple[str, ...]
    threshold: float = 0.9
    finer: float = 1.0
    points: int | None = None

    @property
    def circuit(self) -> Circuit:
        """The circuit."""
        return self.make(f"{self.stop}")

    def step(self, path: str) -> float:
        """The step of a parameter in its own unit."""
        share = next(step for end, step in STEPS.items() if path.endswith(end))
        return share * (abs(float(self.circuit[path])) or 1.0) / self.finer


CASES = {
    "pair": Case(partial(ring, 2), 9e-3, ("spk1", "spk2"), ("xs1.xtau.w", "xn1.cm", "xn2.xl3.dvt")),
    "three": Case(partial(ring, 3), 7e-3, ("spk1", "spk2", "spk3"), ("xs1.xtau.w", "xn1.cm")),
    "five": Case(partial(ring, 5), 7e-3, ("spk1", "spk2", "spk3"), ("xn1.cm", "xs1.xtau.w"), finer=20),
    "resting": Case(resting, 10e-3, ("spk1", "spk2"), ("xn1.cm",)),
    "driven": Case(driven, 4.3e-3, ("spk1",), ("xn1.cm", "xn1.xl3.dvt", "xs1.xtau.w", "vp.td")),
    "synchronised": Case(synchronised, 4.4e-3, ("spk1", "spk2"), ("xn1.cm", "xs1.xtau.w"), finer=50),
    "rivals": Case(rivals, 9e-3, ("spk1", "spk2"), ("xn1.cm", "xs1.xtau.w"), finer=50),
    "winner": Case(winner, 5.3e-3, ("x1", "x2"), ("xc2.x1.dvt", "i2.v2", "i2.tr"), threshold=0.3, points=200_001),
}


def differences(case: Case, path: str) -> dict[str, list[list[float]]]:
    """By node, for a step and for half of it, the derivative of every spike time."""
    circuit = case.circuit
    grid = None if case.points is None else np.linspace(0.0, case.stop, case.points)
    value = float(circuit[path])
    found: dict[str, list[list[float]]] = {node: [] for node in case.nodes}
    for share in (1.0, 0.5):
        step = share * case.step(path)
        late, early = (
            transient(circuit.replace({path: value + s}), case.stop, save=list(case.nodes), save_at=grid, rtol=RTOL)
            for s in (step, -step)
        )
        for node in case.nodes:
            up, down = spike_times(late, node, case.threshold), spike_times(early, node, case.threshold)
            count = min(len(up), len(down))
            found[node].append([float(f"{d:.9g}") for d in np.asarray(up[:count] - down[:count]) / (2 * step)])
    return found


def main() -> None:
    """Run the cases and update the file."""
    for name in sys.argv[1:] or CASES:
        for path in CASES[name].paths:
            found = differences(CASES[name], path)
            known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
            known.setdefault(name, {})[path] = found
            FILE.write_text(json.dumps(known) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
