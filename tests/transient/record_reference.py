"""Record what ngspice says of the reference circuit: `python -m tests.transient.record_reference`, about three minutes.

Spike times and the membrane on a grid, at ngspice's reference accuracy; `test_runs_over_time` compares with them, and
runs the beginning of the same deck anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from analogsnn import library, ngspice
from analogsnn.measure import spike_times

FILE = Path(__file__).with_name("reference_circuit.json")
STOP, POINTS = 0.03, 1501


def main() -> None:
    """Run ngspice and write the file."""
    options = dict(ngspice.ACCURACY["reference"])
    waves = ngspice.transient(library.read_bench("adexp_neuron"), STOP, options=options)
    grid = np.linspace(0.0, STOP, POINTS)
    membrane = np.interp(grid, waves.time, waves.voltage("vmem"))
    found = {
        "deck": "spice/adexp_neuron.cir",
        "ngspice": ngspice.ngspice_version(),
        "options": options,
        "stop": STOP,
        "spikes": [float(f"{t:.12g}") for t in np.asarray(spike_times(waves, "spk"))],
        "membrane": [round(float(v), 8) for v in membrane],
    }
    FILE.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
