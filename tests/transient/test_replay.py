"""What derivatives of a run keep in memory."""

from __future__ import annotations

import gc

import jax
import numpy as np

from analogsnn.circuit import Circuit
from analogsnn.measure import value_at
from analogsnn.netlist import read_netlist_text
from analogsnn.transient import transient

DECK = "rc\nV1 a 0 sin(0 1 1meg)\nR1 a b 1k\nC1 b 0 1n\nR2 b c 1k\nC2 c 0 1n\n.tran 10n 4u\n"
# Bytes a step that stay between the run and its derivatives: numbers of 8 bytes for t, h, the segment and the one
# before, two states, the six vectors of the one that is kept; and of each of its points, up to two here, its step,
# fraction, length, voltage, rate, phase, and what the measure holds of them. 300 were measured.
MOST = 600


def test_memory_of_derivatives_grows_with_the_kept_nodes_alone():
    circuit = Circuit.from_netlist(read_netlist_text(DECK))

    def held(stop: float) -> tuple[int, int]:
        grid = np.linspace(0.0, stop, 11)
        steps: list[int] = []

        def late(c):
            waves = transient(circuit.replace({"c1.c": c}), stop, save=["c"], save_at=grid, rtol=1e-9)
            steps.append(int(waves.steps))
            return value_at(waves.time, waves.voltage("c"), stop)

        gc.collect()
        before = sum(a.nbytes for a in jax.live_arrays())
        _, pull = jax.vjp(late, 1e-9)
        gc.collect()
        size = sum(a.nbytes for a in jax.live_arrays()) - before
        assert np.isfinite(float(pull(jax.numpy.ones(()))[0]))
        return steps[0], size

    (short, small), (long, large) = held(20e-6), held(60e-6)
    assert long > short + 4096
    assert (large - small) / (long - short) < MOST
