"""Derivatives through networks: exact ones against finite differences, the surrogate's bias, and training."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn.chips import weight_levels
from analogsnn.errors import InputError, SimulationError
from analogsnn.models import Physics, SigmoidFeedback
from analogsnn.network import (
    Adaptation,
    Events,
    Input,
    Mismatch,
    Network,
    Neuron,
    Population,
    all_to_all,
    allowed,
    connect,
    dense,
    lanes,
    mismatched,
    response,
    simulate,
    spike_trains,
    stepped,
    straight_through,
    train,
    with_weights,
)
from analogsnn.network import _train as training
from analogsnn.network._exact import pulsed
from tests.network.networks import DRIVEN, NOTHING, recurrent

NEURON = replace(DRIVEN, refractory=3e-3)
EVENTS = Events(np.array([5.1, 20.3, 33.3, 50.2, 51.3]) * 1e-3, np.array([0, 1, 0, 1, 0]))
DURATION = 0.2
# Spike times end with a Newton step whose slope is that of the field, not of the Runge-Kutta step: 5e-6 at 0.1 ms;
# central differences with 1e-6 are good to 1e-5 for parameters that hardly matter. Measured 1e-4 at worst.
EXACT = 3e-4
# Cosine between the surrogate's and the exact gradient by all weights of this network; measured 0.57 to 0.73.
BIAS = 0.4


def mixed() -> Network:
    """Four excitatory neurons that adapt and two inhibitory ones that do not."""
    adapting = replace(NEURON, adaptation=Adaptation(tau=0.1, weight=20e-9, gain=2.0, pulse=20e-6))
    return recurrent(4, adapting, NEURON, nmda=6e-9, inputs=all_to_all(2, 4))


@pytest.fixture(scope="module")
def x64():
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="module")
def chip(x64):
    return mismatched(dense(mixed(), dtype=np.float64), 0.2, jax.random.key(0))


PARAMETERS = [
    ("weight", (0, 6, 0)), ("weight", (0, 0, 4)), ("weight", (1, 0, 1)), ("weight", (2, 4, 1)), ("weight", (3, 4, 5)),
    ("unit", (1, 2)), ("i_leak", (0,)), ("i_gain", (1,)), ("i_dc", (4,)), ("u_spike", (2,)), ("t_ref", (0,)),
    ("decay", (2, 1)), ("dpi_gain", (1, 1)), ("ahp_charge", (1,)), ("ahp_decay", (1,)),
]  # fmt: skip


def test_exact_derivatives_of_late_spikes_in_a_recurrent_network(chip):
    def late(d):
        time = spike_trains(d, EVENTS, DURATION, 64).time
        return jnp.stack([time[14], time[27]])  # the 15th and the 28th

    gradient = jax.jacrev(late)(chip)
    for name, where in PARAMETERS:
        value = getattr(chip, name)
        step = 1e-6 * abs(float(value[where]))
        up, down = (late(replace(chip, **{name: value.at[where].add(s)})) for s in (step, -step))
        difference = np.asarray(up - down) / (2 * step)
        got = np.asarray([getattr(gradient, name)[k][where] for k in range(2)])
        # A spike may not depend on a device that acts later: absolute error in seconds for a change by its whole value.
        assert got == pytest.approx(difference, rel=EXACT, abs=1e-9 / abs(float(value[where]))), (name, where)


def test_exact_spikes_converge_and_are_those_of_the_simulation(x64):
    devices = dense(mixed(), dtype=np.float64)
    coarse, fine = (spike_trains(devices, EVENTS, 0.06, 64, dt=dt) for dt in (1e-4, 2e-5))
    count = int(coarse.total)
    assert count > 8
    assert np.abs(coarse.time[:count] - fine.time[:count]).max() < 1e-6  # fourth order: measured 7e-8 s
    errors = []
    for dt in (1e-4, 2e-5):
        spikes = simulate(lanes(mixed(), [Mismatch()]), EVENTS, 0.06, dt=dt)
        order = np.argsort(spikes.time[:count], kind="stable")
        errors.append(np.abs(np.sort(spikes.time)[:5] - np.asarray(coarse.time[:5])).max())
        assert len(order) == count
    # Events act at the ends of their steps: an error of a step, and its consequences.
    assert errors[1] < errors[0] < 5e-4
    assert errors[1] < 1e-4


def test_exact_rates_are_those_of_the_reference(x64):
    """Table of target 4 (facts: the exact equation by quadrature): 300 pA, 1 nA and 5 nA."""
    physics = Physics(
        i0=1e-18, kappa_n=0.705, kappa_p=0.705, ut=25e-3, c={**Physics().c, "mem": 2e-12}, reset=1.2e-12,
        feedback=SigmoidFeedback(gain=100e-12, threshold=1e-9, norm=20e-12),
    )  # fmt: skip
    tau = physics.time_constant(5e-12, "mem")
    for current, rate in ((300e-12, 34.758), (1e-9, 101.185), (5e-9, 163.499)):
        neuron = Neuron(tau=tau, gain=4.0, refractory=5e-3, threshold=2e-9, dc=current)
        net = Network(
            populations=(Population(name="n", size=1, neuron=neuron),), inputs=(Input(name="i", size=1),),
            connections=(connect("i", "n", "AMPA", [[0, 0]], 1e-9),), physics=physics,
        )  # fmt: skip
        time = np.asarray(spike_trains(dense(net, dtype=np.float64), NOTHING, 0.1, 64, dt=2e-5).time)
        time = time[np.isfinite(time)]
        assert (len(time) - 1) / (time[-1] - time[0]) == pytest.approx(rate, rel=1e-4)


def test_too_many_spikes_and_bad_events_raise(chip):
    with pytest.raises(SimulationError, match="raise max_spikes"):
        spike_trains(chip, EVENTS, DURATION, 8)
    with pytest.raises(InputError, match="ascend"):
        spike_trains(chip, Events(np.array([0.2, 0.1]), np.array([0, 0])), DURATION)
    with pytest.raises(InputError, match="channel 2"):
        spike_trains(chip, Events(np.array([0.1]), np.array([2])), DURATION)
    with pytest.raises(InputError, match="no method 'best'"):
        response(chip, EVENTS, DURATION, [0.1], method="best")
    with pytest.raises(InputError, match="ascending times"):
        response(chip, EVENTS, DURATION, [0.3])


def test_the_surrogate_points_where_the_exact_gradient_does(chip):
    def loss(d, method, dt):
        at = [0.1, 0.15, 0.2]
        return jnp.sum(response(d, EVENTS, DURATION, at, method=method, dt=dt, max_spikes=64) ** 2)

    mask = np.asarray(chip.weight) > 0
    exact = np.asarray(jax.grad(loss)(chip, "exact", 1e-4).weight)[mask]
    got = np.asarray(jax.grad(loss)(chip, "surrogate", 2e-4).weight)[mask]
    size = np.linalg.norm(got) / np.linalg.norm(exact)
    cosine = got @ exact / np.linalg.norm(got) / np.linalg.norm(exact)
    print(f"surrogate: cosine {cosine:.2f}, size {size:.2f}")
    assert cosine > BIAS
    # Without the way of the membrane in its derivative it was 1e4 to 1e16 times too long.
    assert 0.1 < size < 3.0


def test_checkpoints_change_nothing_and_save_memory():
    plain = Network(
        populations=(Population(name="p", size=32, neuron=NEURON, pulse=100e-6),),
        inputs=(Input(name="x", size=2),),
        connections=(
            connect("x", "p", "AMPA", all_to_all(2, 32), 20e-9),
            connect("p", "p", "AMPA", all_to_all(32, 32), 1e-9),
        ),
    )
    devices = dense(plain)
    inputs = jnp.zeros((400, 2), jnp.float32).at[::20].set(1.0)

    def gradient(checkpoints: bool, steps: int):
        f = jax.jit(jax.grad(lambda d: jnp.sum(stepped(d, inputs[:steps], 5e-4, checkpoints=checkpoints).counts)))
        compiled = f.lower(devices).compile()
        memory = compiled.memory_analysis()
        assert memory is not None
        return np.asarray(compiled(devices).weight), memory.temp_size_in_bytes

    (one, small), (two, large), (_, quarter) = gradient(True, 400), gradient(False, 400), gradient(True, 100)
    assert one == pytest.approx(two, rel=1e-4, abs=1e-9)
    assert small < 0.4 * large
    assert small < 3.0 * quarter  # √4 = 2 of the steps, and what does not grow


def test_a_pulse_is_solved_for_in_both_precisions(x64):
    m = np.linspace(-12, 6, 100)[:, None]
    q = np.logspace(-4, 2, 40)[None]
    for dtype, tolerance in ((np.float64, 1e-13), (np.float32, 1e-4)):
        z = np.asarray(pulsed(jnp.asarray(m, dtype), jnp.asarray(q, dtype)), float)
        y = np.exp(m) + m + q
        assert np.abs(np.exp(z) + z - y).max() <= tolerance * np.abs(y).max()


def test_weights_pass_straight_through_to_levels():
    levels = jnp.asarray([1.0, 2.0, 4.0])
    weight = jnp.asarray([[[0.2, 0.6, 1.4], [2.9, 3.1, 9.0]]])
    value, gradient = jax.value_and_grad(
        lambda w: jnp.sum(straight_through(w, levels) * jnp.arange(6).reshape(1, 2, 3))
    )(weight)
    assert straight_through(weight, levels).ravel().tolist() == [0.0, 1.0, 1.0, 2.0, 4.0, 4.0]
    assert np.isfinite(float(value))
    assert gradient.ravel().tolist() == [0, 1, 2, 3, 4, 5]
    cores = jnp.asarray([[1.0, 2.0], [1.0, 2.0], [3.0, 5.0]])  # the third neuron is on another core
    assert straight_through(weight, cores).ravel().tolist() == [0.0, 1.0, 0.0, 2.0, 2.0, 5.0]


def test_only_the_strongest_synapses_stay():
    w = jnp.asarray(np.random.default_rng(0).random((2, 40, 3)))
    kept = np.asarray(training._pruned(w, 64))
    assert np.count_nonzero(kept, axis=(0, 1)).tolist() == [64] * 3
    assert kept[kept > 0].min() >= np.sort(np.asarray(w).reshape(80, 3), axis=0)[16].min()
    assert np.count_nonzero(np.asarray(training._pruned(jnp.ones((2, 40, 3)), 64)), axis=(0, 1)).tolist() == [64] * 3


def test_levels_are_sums_of_four_currents_of_the_generator():
    weights = np.random.default_rng(0).uniform(1e-9, 80e-9, 300)
    chosen = weight_levels("dynapse2", weights)
    assert len(chosen.currents) == 4
    assert chosen.sums[-1] == pytest.approx(chosen.currents.sum())
    nearest = np.abs(weights[:, None] - np.append(0, chosen.sums)).min(axis=1)
    assert np.linalg.norm(nearest) / np.linalg.norm(weights) < 0.1  # equal steps of one size give 7.5 %
    with pytest.raises(InputError, match="repeats words"):
        weight_levels("dynapse1", weights)
    with pytest.raises(InputError, match="no weight above zero"):
        weight_levels("dynapse2", np.zeros(3))


def test_what_may_be_trained():
    network = mixed()
    mask = allowed(network)
    assert mask.sum() == network.synapse_count
    devices = dense(network)
    again = with_weights(network, devices.weight)
    for a, b in zip(network.connections, again.connections, strict=True):
        assert b.weight == pytest.approx(a.weight, rel=1e-5)
    assert with_weights(network, np.zeros(mask.shape)).connections == ()
    both = replace(network, connections=(*network.connections, connect("e", "i", "GABA_A", [[0, 0]], 1e-9)))
    with pytest.raises(InputError, match="Dale"):
        allowed(both)
    twice = replace(network, connections=(*network.connections, connect("e", "i", "AMPA", [[0, 0]], 1e-9)))
    with pytest.raises(InputError, match="joins a pair twice"):
        allowed(twice)
    late = replace(network, connections=(connect("e", "i", "AMPA", [[0, 0]], 1e-9, "precise"),))
    with pytest.raises(InputError, match="delay or depression"):
        dense(late)


def test_training_says_what_went_wrong():
    network = mixed()
    devices, mask = dense(network), allowed(network)

    def run(loss, batches, mask=mask):
        train(devices, loss, batches, steps=8, key=jax.random.key(0), mask=mask, largest=50e-9)

    def jump(d, batch):  # a gradient that grows a thousandfold at step 7
        return jnp.sum(d.weight * jnp.where(mask, 1.0, 0.0)) * batch

    with pytest.warns(UserWarning, match="times the usual one"):
        run(jump, lambda k: jnp.float32(1e3 if k == 7 else 1.0))
    with pytest.raises(SimulationError, match="Step 2 of training"):
        run(jump, lambda k: jnp.float32(np.nan if k == 2 else 1.0))
    with pytest.raises(InputError, match="mask has shape"):
        run(jump, lambda k: jnp.float32(1.0), mask[:, :, :1])
