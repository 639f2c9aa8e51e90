"""What derivatives of a run keep in memory."""

from __future__ import annotations

import gc
import tracemalloc

import jax
import numpy as np
import pytest
from jax import monitoring

from analogsnn.circuit import Circuit
from analogsnn.errors import InputError
from analogsnn.measure import crossing, value_at
from analogsnn.netlist import read_netlist_text
from analogsnn.transient import Repeated, transient

DECK = "rc\nV1 a 0 sin(0 1 1meg)\nR1 a b 1k\nC1 b 0 1n\nR2 b c 1k\nC2 c 0 1n\n.tran 10n 4u\n"
# Bytes a step that stay between the run and its derivatives: 103 were measured, of numbers of 8 bytes for t, h, the
# segment and the one before, two states, and with their padding the six vectors of the one that is kept. A second copy
# of the steps would be 48 more.
MOST = 130


def late(circuit: Circuit, c, stop: float, **settings):
    waves = transient(circuit.replace({"c1.c": c}), stop, save=["c"], save_at=np.linspace(0.0, stop, 11), **settings)
    return value_at(waves.time, waves.voltage("c"), stop), waves.steps


@pytest.fixture(scope="module")
def filters() -> Circuit:
    return Circuit.from_netlist(read_netlist_text(DECK))


def test_second_derivatives_are_refused(filters):
    with pytest.raises(InputError, match="second derivatives of a run are not offered"):
        jax.jit(jax.grad(jax.grad(lambda c: late(filters, c, 1e-6, max_steps=256)[0])))(1e-9)


def test_the_last_runs_are_kept(filters):
    """Derivatives along a run that is kept: tests/calibrate/test_fit.py."""
    stop = 1e-6
    repeated = Repeated(stop, save=["c"], save_at=np.linspace(0.0, stop, 11))

    def kept(c):
        waves = repeated(filters.replace({"c1.c": c}))
        return value_at(waves.time, waves.voltage("c"), stop)

    assert kept(1e-9) == kept(1e-9) == late(filters, 1e-9, stop)[0]
    assert repeated.runs == 1
    assert kept(2e-9) == late(filters, 2e-9, stop)[0]
    assert repeated.runs == 2
    assert not repeated.known(filters.replace({"c1.c": 1e-9}))  # one is kept
    with pytest.raises(InputError, match="not known under jit"):
        jax.jit(kept)(1e-9)


def test_memory_of_derivatives_grows_with_the_kept_nodes_alone(filters):
    def held(stop: float) -> tuple[int, int]:
        """Steps of a run, and the bytes that are kept for its derivatives, in arrays of JAX's and of NumPy's."""
        gc.collect()
        before = sum(a.nbytes for a in jax.live_arrays()) + tracemalloc.get_traced_memory()[0]
        _, pull, steps = jax.vjp(lambda c: late(filters, c, stop, rtol=1e-9), 1e-9, has_aux=True)
        gc.collect()
        size = sum(a.nbytes for a in jax.live_arrays()) + tracemalloc.get_traced_memory()[0] - before
        assert np.isfinite(float(pull(jax.numpy.ones(()))[0]))
        return int(steps), size

    stops = (20e-6, 120e-6)
    for stop in stops:  # compiles
        held(stop)
    tracemalloc.start()
    try:
        (short, small), (long, large) = map(held, stops)
    finally:
        tracemalloc.stop()
    assert long > short + 4096
    assert (large - small) / (long - short) < MOST


def test_a_gradient_at_other_parameters_compiles_nothing(filters):
    """Nor at another stop time near by: lengths are few."""

    def place(c, stop: float):
        waves = transient(filters.replace({"c1.c": c}), stop, save=["c"])
        return crossing(*waves.along("c"), 0.0, -1, rate=waves.rate("c"))

    slope = jax.value_and_grad(place)
    slope(1e-9, 4e-6)
    compiled: list[str] = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    monitoring.register_event_duration_secs_listener(listen)
    try:
        slope(1.1e-9, 4.2e-6)
        assert not compiled
        jax.jit(lambda x: x + 1)(0.0)
        assert compiled
    finally:
        monitoring.unregister_event_duration_listener(listen)
