"""A child process for the memory tests: a neuron's run with derivatives, and the largest memory that it took.

python memory_child.py SECONDS   → {"spikes": …, "rss": bytes, "slope": …, "value": …}
"""

from __future__ import annotations

import json
import resource
import sys

import jax

from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.measure import spike_time
from analogsnn.transient import transient

stop = float(sys.argv[1])
circuit = Circuit.from_netlist(library.read_bench("adexp_neuron"))
counted = transient(circuit, stop, save=["spk"])
value, slope = jax.value_and_grad(
    lambda c: spike_time(transient(circuit.replace({"x1.cm": c}), stop, save=["spk"]), "spk", -1)
)(float(circuit["x1.cm"]))
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
steps = None if counted.steps is None else int(counted.steps)
print(json.dumps({"rss": rss, "slope": float(slope), "value": float(value), "steps": steps}))
