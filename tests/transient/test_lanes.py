"""Many circuits side by side: each as it would be alone, whatever runs beside it."""

from __future__ import annotations

import tracemalloc
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn import library
from analogsnn.circuit import Circuit, Entries, Rows
from analogsnn.errors import ConvergenceError, InputError
from analogsnn.measure import spike_time, spike_times
from analogsnn.netlist import read_netlist_text
from analogsnn.transient import _lane_start, lane_gradients, transient, transient_lanes
from analogsnn.transient._elimination import solve_by_exchanging
from analogsnn.transient._lane_elimination import lane_factor
from analogsnn.waveforms import Waveforms

CHUNK = 16
FAST = {"accuracy": "fast", "rtol": 1e-3}
STOP = 4e-3
# A lane and the run alone are the same formulas rounded differently; where a step's error lies at its limit the one is
# refused and the other not. Measured: 3e-14 s while the steps agree, 4 µs after five spikes at rtol 1e-3.
SAME_SPIKES = 5e-6
# Of voltages at equal steps: rounding alone
SAME_VOLTAGE = 1e-9
SOLVED = 1e-12  # of numbers near one, condition below 10

MIXED = """all kinds of sources
V1 a 0 pulse(0 {high} {late} 1u 1u 3u 10u)
V2 s 0 sin(0 0.5 1meg)
R1 a b {r}
C1 b 0 1n
R2 s c 1k
C2 c 0 100p
B1 c 0 i=1e-4*v(b)*v(b)
G1 0 d b 0 1e-3
R3 d 0 1k
C3 d 0 10p
.param high=1 late=1u r=1k
.tran 10n 20u
"""


@pytest.fixture(scope="module")
def neuron() -> Circuit:
    return Circuit.from_netlist(library.read_bench("adexp_neuron"))


@pytest.fixture(scope="module")
def mixed() -> Circuit:
    return Circuit.from_netlist(read_netlist_text(MIXED))


def draws(neuron: Circuit, lanes: int) -> dict[str, np.ndarray]:
    """Mismatch, another input at another time, another temperature in each lane."""
    random = np.random.default_rng(4)
    found = {f"{fet.name}.dvt": 3e-3 * random.normal(size=lanes) for fet in neuron.topology.fets}
    found["iin.v2"] = random.uniform(2e-10, 4e-10, lanes)
    found["iin.td"] = random.uniform(1e-4, 1e-3, lanes)
    found["temp"] = random.uniform(20, 40, lanes)
    return found


def run(*args: Any, **settings: Any) -> dict[int, Any]:
    """All lanes, by number."""
    return dict(transient_lanes(*args, **settings))


def equal(a, b) -> bool:
    return np.array_equal(a.time, b.time) and np.array_equal(a.voltages, b.voltages)


@pytest.fixture(scope="module")
def lanes(neuron):
    return run(neuron, draws(neuron, 20), STOP, save=["spk"], chunk=CHUNK, workers=1, **FAST)


def test_as_alone(neuron, lanes):
    given = draws(neuron, 20)
    assert sorted(lanes) == list(range(20))
    for lane in (0, 7):
        alone = transient(neuron.replace({p: v[lane] for p, v in given.items()}), STOP, save=["spk"], **FAST)
        spikes = spike_times(alone, "spk")
        assert len(spikes) >= 1
        assert spike_times(lanes[lane], "spk") == pytest.approx(spikes, abs=SAME_SPIKES)
        assert abs(int(lanes[lane].steps) - int(alone.steps)) < 0.02 * int(alone.steps)


def test_neighbours_do_not_matter(neuron, lanes):
    # Other places, other neighbours, another number of workers: bit for bit the same. One lane is no circuit at all.
    given = draws(neuron, 20)
    order = np.random.default_rng(1).permutation(20)
    moved = {path: values[order] for path, values in given.items()}
    fet = neuron.topology.fets[-1].name
    widths = np.full(20, float(neuron[f"{fet}.w"]))
    widths[3] = -1e-6
    moved[f"{fet}.w"] = widths
    again = run(neuron, moved, STOP, save=["spk"], chunk=CHUNK, workers=2, **FAST)
    assert isinstance(again[3], InputError)
    assert "must be positive" in str(again[3])
    assert all(equal(again[k], lanes[order[k]]) for k in range(20) if k != 3)
    alone = run(neuron, given, STOP, save=["spk"], chunk=CHUNK, lanes=[11], **FAST)
    assert list(alone) == [11]
    assert equal(alone[11], lanes[11])


def test_every_kind_of_element(mixed):
    # Edges of their own in each lane, and the whole waveforms with currents
    given = {"param.late": [1e-6, 2.5e-6, 0.1e-6], "param.high": [1.0, 0.5, -1.0], "param.r": [1e3, 2e3, 5e2]}
    grid = np.linspace(0, 2e-5, 41)
    found = run(mixed, given, chunk=CHUNK, save_at=grid, **FAST)
    for lane in range(3):
        alone = transient(mixed.replace({p: v[lane] for p, v in given.items()}), save_at=grid, **FAST)
        assert found[lane].nodes == alone.nodes
        assert found[lane].voltages == pytest.approx(alone.voltages, abs=SAME_VOLTAGE)
        assert found[lane].currents == pytest.approx(alone.currents, abs=1e-3 * SAME_VOLTAGE)


def test_width_of_the_chunk_does_not_matter(mixed):
    given = {"param.r": np.linspace(500, 2000, 33)}
    narrow = run(mixed, given, chunk=16, save=["b"], **FAST)
    wide = run(mixed, given, chunk=128, save=["b"], **FAST)
    assert all(equal(narrow[k], wide[k]) for k in range(33))


def test_a_lane_that_does_not_end(mixed):
    # More edges than steps allowed in the second lane; the others end.
    given = {"v1.per": [1e-5, 2e-8, 1e-5], "v1.pw": [3e-6, 5e-9, 3e-6], "v1.tr": [1e-6, 1e-9, 1e-6],
             "v1.tf": [1e-6, 1e-9, 1e-6]}  # fmt: skip
    found = run(mixed, given, chunk=CHUNK, save=["b"], max_steps=2000, **FAST)
    assert isinstance(found[1], ConvergenceError)
    assert 0 < found[1].time < 2e-5
    assert found[1].waves.time[-1] == pytest.approx(found[1].time, rel=1e-9)
    assert "used up" in str(found[1])
    assert equal(found[0], found[2])
    assert found[0].time[-1] == 2e-5


def test_operating_points_that_newton_does_not_find(mixed, monkeypatch):
    given = {"param.r": [1e3, 2e3]}
    usual = run(mixed, given, chunk=CHUNK, save=["b"], **FAST)

    def nothing(*args):
        x, found = _settled(*args)
        return x, np.zeros_like(found)

    _settled = _lane_start.settled_points
    monkeypatch.setattr(_lane_start, "settled_points", nothing)
    found = run(mixed, given, chunk=CHUNK, save=["b"], **FAST)
    assert all(found[k].voltages[0, -1] == pytest.approx(usual[k].voltages[0, -1], abs=1e-6) for k in range(2))


def test_programs_of_many_lanes_do_not_call_lapack(mixed, monkeypatch):
    # Called from as many threads as XLA's pool has, over many systems each, LAPACK waits for itself for ever: two
    # workers with 64 lanes each never began.
    texts = {}

    def spied(name):
        function = getattr(_lane_start, name)

        def called(*args):
            texts[name] = function.lower(*args).compile().as_text()
            return function(*args)

        monkeypatch.setattr(_lane_start, name, called)

    spied("settled_points")
    spied("equations")
    run(mixed, {"param.r": [1e3, 2e3]}, chunk=CHUNK, save=["b"], **FAST)
    assert sorted(texts) == ["equations", "settled_points"]
    assert not any("lapack" in text for text in texts.values())


def test_exchanging_rows():
    # Against NumPy, with a zero where the first pivot would be
    random = np.random.default_rng(0)
    matrix = random.normal(size=(6, 9, 9))
    matrix[:, 0, 0] = 0.0
    right = random.normal(size=(6, 9))
    found = jax.jit(jax.vmap(solve_by_exchanging))(jnp.asarray(matrix), jnp.asarray(right))
    expected = np.linalg.solve(matrix, right[..., None])[..., 0]
    assert np.asarray(found) == pytest.approx(expected, rel=1e-9)  # condition up to some hundred


def test_memory_is_bounded(mixed):
    # 1000 lanes one after the other, of which only a number is kept. All at once would be 1000 · 100 steps · 6 numbers
    # · 8 bytes = 5 MB and as much again for points; a chunk is a thirtieth of it.
    given = {"param.r": np.linspace(500, 2000, 1000)}
    found = transient_lanes(mixed, given, save=["b"], chunk=32, workers=1, **FAST)
    next(found)
    tracemalloc.start()
    highest = [float(np.max(cast(Waveforms, waves).voltage("b"))) for _, waves in found]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(highest) == 999
    assert peak < 3e6


@pytest.mark.parametrize(
    ("given", "settings", "said"),
    [
        ({"param.q": [1.0]}, {}, "no parameter 'param.q'"),
        ({"param.r": 1.0}, {}, "one real number each"),
        ({"param.r": [1.0, np.nan]}, {}, "lane 1"),
        ({"param.r": [1.0], "param.high": [1.0, 2.0]}, {}, "'param.high' 2"),
        ({}, {}, "none is given"),
        ({"param.r": [1e3]}, {"chunk": 24}, "multiple of 16"),
        ({"param.r": [1e3]}, {"workers": 0}, "at least one"),
        ({"param.r": [1e3]}, {"lanes": [1]}, "none of the 1"),
        ({"param.r": [1e3]}, {"save": ["x"]}, "node 'x'"),
    ],
)
def test_arguments_that_cannot_be(mixed, given, settings, said):
    with pytest.raises(InputError, match=said):
        transient_lanes(mixed, given, **settings)


def test_gain_is_refused():
    circuit = Circuit.from_netlist(
        read_netlist_text(
            "gain\nV1 a 0 1\nR1 a b 1k\nC1 b 0 1n\nE1 c 0 b 0 {g}\nR2 c d 1k\nC2 d 0 1n\n.param g=2\n.tran 1n 1u\n"
        )
    )
    with pytest.raises(InputError, match="gain of an E element"):
        transient_lanes(circuit, {"param.g": [1.0, 2.0]})
    # other parameters of such a circuit may vary
    found = run(circuit, {"v1.dc": [1.0, 2.0]}, chunk=CHUNK, save=["d"], **FAST)
    assert found[1].voltages[0, -1] == pytest.approx(2 * found[0].voltages[0, -1], rel=1e-6)


@pytest.mark.parametrize("name", ["adexp_neuron", "neuron_with_synapses", "wta"])
def test_sparse_elimination(name):
    # Against NumPy's dense solver, on matrices with the circuit's pattern
    topology = Circuit.from_netlist(library.read_bench(name)).topology
    n, random = len(topology.states), np.random.default_rng(0)
    dense = np.where(topology.touching[..., None], random.normal(size=(n, n, 16)), 0) + 4 * np.eye(n)[..., None]
    right = random.normal(size=(n, 16))
    solve = jax.jit(lambda m, b: lane_factor(topology, Entries.of(topology.touching, m))(b))
    expected = np.stack([np.linalg.solve(dense[..., k], right[:, k]) for k in range(16)], axis=-1)
    assert np.asarray(solve(jnp.asarray(dense), jnp.asarray(right))) == pytest.approx(expected, abs=SOLVED)


def test_sparse_products():
    random = np.random.default_rng(0)
    dense = np.where(random.random((7, 5)) < 0.4, random.normal(size=(7, 5)), 0.0)
    x = jnp.asarray(random.normal(size=(5, 16)))
    assert np.asarray(Rows(dense) @ x) == pytest.approx(dense @ np.asarray(x), abs=SOLVED)
    lanes = random.normal(size=(7, 5, 16)) * (dense != 0)[..., None]
    product = Entries.of(dense != 0, jnp.asarray(lanes)) @ x
    assert np.asarray(product) == pytest.approx(np.einsum("ijl,jl->il", lanes, np.asarray(x)), abs=SOLVED)


@pytest.mark.validate_long
def test_derivatives_by_what_lanes_share(neuron):
    # The second spike by the input current, with other thresholds in each lane. "fast" at 1e-5; its derivatives were
    # measured within some per mille of central differences of much more exact runs.
    fet = neuron.topology.fets[-1].name
    shifts = [0.0, 5e-3]

    def drawn(current, lane):
        return {"iin.v2": current, f"{fet}.dvt": shifts[lane]}

    def second(waves):
        return spike_time(waves, "spk", 1)

    found: dict[int, Any] = dict(
        lane_gradients(
            neuron, drawn, 4e-10, [0, 1], second, STOP, chunk=CHUNK, workers=1, accuracy="fast", rtol=1e-5, save=["spk"]
        )
    )
    step = 4e-14
    for lane in (0, 1):
        low, high = (
            float(second(transient(neuron.replace(drawn(4e-10 + sign * step, lane)), STOP, save=["spk"])))
            for sign in (-1, 1)
        )
        value, slope = found[lane]
        assert float(value) == pytest.approx(0.5 * (low + high), abs=SAME_SPIKES)
        assert float(slope) == pytest.approx((high - low) / (2 * step), rel=2e-2)
