"""Where neurons go: what first fit misses, what is proved, less traffic, pinned places, tags of the user."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analogsnn.chips import compile, load_chip
from analogsnn.errors import DoesNotFitError, InputError, Misfit
from analogsnn.network import Input, Network, Neuron, Population, Synapse, all_to_all, connect, one_to_one

BUILTIN = Path(load_chip.__code__.co_filename).with_name("dynapse2.toml").read_text(encoding="utf-8")


def small(tmp_path: Path, neurons: int) -> Path:
    """DYNAP-SE2 with one core of a few neurons on each of its four chips."""
    text = BUILTIN.replace("cores_per_chip = 4", "cores_per_chip = 1")
    text = text.replace("neurons_per_core = 256", f"neurons_per_core = {neurons}")
    path = tmp_path / "small.toml"
    path.write_text(text.replace("mask = [true, true, true, true]", "mask = [true]"), encoding="utf-8")
    return path


def misfits(network: Network, *arguments, **options) -> list[Misfit]:
    with pytest.raises(DoesNotFitError) as caught:
        compile(network, *arguments, **options)
    return caught.value.misfits


def _path_of_conflicts() -> Network:
    """a–b, b–c and c–d cannot share a core: each pair asks two values of one synaptic time constant."""
    fast, slow = Synapse(tau=5e-3), Synapse(tau=10e-3)
    own = {
        "a": {"AMPA": fast},
        "d": {"GABA_B": slow},
        "b": {"AMPA": slow, "NMDA": fast},
        "c": {"NMDA": slow, "GABA_B": fast},
    }
    return Network(
        populations=tuple(Population(name=name, size=3, synapses=kinds) for name, kinds in own.items()),
        inputs=(Input(name="in", size=1),),
        connections=tuple(
            connect("in", name, kind, all_to_all(1, 3), 1e-9) for name, kinds in own.items() for kind in kinds
        ),
    )


def test_the_solver_finds_what_first_fit_misses():
    # In the order a, d, b, c first fit puts a and d together, so that b and c, who conflict, share what is left.
    mapping = compile(_path_of_conflicts(), cores=2, time_limit=0.0)
    cores = {p.population: p.core for p in mapping.neurons}
    assert cores["a"] == cores["c"] != cores["b"] == cores["d"]


def test_what_cannot_be_is_proved():
    # With an edge between every two of a, b, c, three cores are needed although no bias has three values.
    names = "abc"
    kinds = {"AMPA": "ab", "NMDA": "bc", "GABA_B": "ca"}
    own = {n: {k: Synapse(tau=5e-3 * (1 + pair.index(n))) for k, pair in kinds.items() if n in pair} for n in names}
    network = Network(
        populations=tuple(Population(name=n, size=2, synapses=own[n]) for n in names),
        inputs=(Input(name="in", size=1),),
        connections=tuple(connect("in", n, k, all_to_all(1, 2), 1e-9) for n in names for k in own[n]),
    )
    assert len(compile(network).occupancy.neurons) == 3
    (misfit,) = misfits(network, cores=2)
    assert misfit.resource == "core_bias_conflict"
    assert "proved: no placement does without it" in str(misfit)


def _pairs(count: int, size: int) -> Network:
    """Populations that talk two by two, listed so that first fit parts all couples."""
    names = [f"{side}{k}" for side in "ab" for k in range(count)]
    return Network(
        populations=tuple(Population(name=n, size=size, rate=10.0) for n in names),
        connections=tuple(connect(f"a{k}", f"b{k}", "AMPA", one_to_one(size), 1e-9) for k in range(count)),
    )


def test_traffic_is_saved_and_the_seed_decides():
    network = _pairs(4, 128)
    apart = compile(network, time_limit=0.0)
    together = compile(network, time_limit=1.0)
    place = {p.population: (p.chip, p.core) for p in apart.neurons}
    assert any(place[f"a{k}"] != place[f"b{k}"] for k in range(4))
    place = {p.population: (p.chip, p.core) for p in together.neurons}
    assert all(place[f"a{k}"] == place[f"b{k}"] for k in range(4))
    assert len(together.occupancy.neurons) == len(apart.occupancy.neurons)
    assert compile(network, time_limit=1.0).configuration.to_json() == together.configuration.to_json()


def test_too_many_destinations_are_mended_or_proved(tmp_path):
    # First fit puts t1..t4 on four chips, of which the source's words reach three beside the host.
    names = ["t1", "f1", "t2", "f2", "t3", "f3", "t4", "s"]
    network = Network(
        populations=tuple(Population(name=n, size=1) for n in names),
        connections=tuple(connect("s", t, "AMPA", [[0, 0]], 1e-9) for t in names if t.startswith("t")),
    )
    mapping = compile(network, small(tmp_path, 2), chips=4, time_limit=0.0)
    assert mapping.occupancy.route_words.max() <= 4
    everyone = replace(network, connections=tuple(connect("s", t, "AMPA", [[0, 0]], 1e-9) for t in names))
    (misfit,) = misfits(everyone, small(tmp_path, 2), chips=4)
    assert (misfit.resource, misfit.needed, misfit.available) == ("sram_words", 5, 4)
    assert "proved" in str(misfit)
    assert compile(everyone, small(tmp_path, 2), chips=4, monitor=False).network.synapse_count == 8


def test_weights_that_blur_each_other_go_to_two_cores():
    # On one core the smallest sum that serves the seven large weights makes the small one vanish.
    large = [1e-9, 2e-9, 3e-9, 5e-9, 11e-9, 23e-9, 40e-9]
    network = Network(
        populations=(Population(name="a", size=1), Population(name="b", size=7)),
        inputs=(Input(name="in", size=1),),
        connections=(
            connect("in", "a", "AMPA", [[0, 0]], 1e-11),
            connect("in", "b", "AMPA", all_to_all(1, 7), large),
        ),
    )
    mapping = compile(network)
    assert {p.population: p.core for p in mapping.neurons} == {"a": 0, "b": 1}
    assert {m.resource for m in misfits(network, cores=1)} & {"weight_zero", "weight_levels"}


def test_pinned_neurons_stay_and_others_go_round_them():
    network = Network(
        populations=(Population(name="a", size=2), Population(name="b", size=2)),
        connections=(connect("a", "b", "AMPA", one_to_one(2), 1e-9),),
    )
    mapping = compile(network, pins={"b": [(0, 0, 0), (0, 3, 7)]})
    assert mapping.physical("b", 0) == (0, 0, 0)
    assert mapping.physical("b", 1) == (0, 3, 7)
    assert len({(p.chip, p.core, p.neuron) for p in mapping.neurons}) == 4
    fast = replace(network, populations=(network.populations[0], Population(name="b", size=2, neuron=Neuron(tau=5e-3))))
    (misfit,) = misfits(fast, pins={"a": [(0, 0, 0), (0, 0, 1)], "b": [(0, 0, 2), (0, 1, 0)]})
    assert misfit.resource == "core_bias_conflict"
    assert "'b' is pinned to core 0 beside 'a'" in str(misfit)


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ({"x": [(0, 0, 0)]}, "Population 'x' is pinned, but there is none"),
        ({"a": [(0, 0, 0)]}, "of 2 has 1 places"),
        ({"a": [(0, 0, 0), (0, 0, 256)]}, "pinned to .0, 0, 256.; 'dynapse2' has 4 chips of 4 cores of 256"),
        ({"a": [(0, 0, 0), (0, 0, 0)]}, "which is taken"),
    ],
)
def test_pins_that_make_no_sense(pins, message):
    with pytest.raises(InputError, match=message):
        compile(Network(populations=(Population(name="a", size=2),)), pins=pins)


def test_07_two_inputs_with_one_tag():
    def network(tau: float) -> Network:
        return Network(
            populations=(Population(name="p", size=1), Population(name="q", size=1, neuron=Neuron(tau=tau))),
            inputs=(Input(name="x", size=1), Input(name="y", size=1)),
            connections=(connect("x", "p", "AMPA", [[0, 0]], 1e-9), connect("y", "q", "AMPA", [[0, 0]], 1e-9)),
        )

    tags = {"x": [7], "y": [7]}
    (misfit,) = misfits(network(20e-3), tags=tags)  # equal biases: one core
    assert (misfit.resource, misfit.needed, misfit.available) == ("tag_clash", 2, 1)
    assert "channel 0 of 'x', channel 0 of 'y'" in misfit.who
    mapping = compile(network(10e-3), tags=tags)  # other biases: another core
    assert mapping.configuration.input_routes[:, 4].tolist() == [7, 7]
    assert mapping.network.synapse_count == 2


def test_one_tag_for_two_inputs_that_want_the_same():
    network = Network(
        populations=(Population(name="p", size=2),),
        inputs=(Input(name="x", size=1), Input(name="y", size=1)),
        connections=tuple(connect(i, "p", "AMPA", all_to_all(1, 2), 1e-9) for i in "xy"),
    )
    mapping = compile(network, tags={"x": [7], "y": [7]})
    assert mapping.occupancy.synapse_words.tolist() == [1, 1]  # shared
    assert mapping.network.synapse_count == 4
    assert any("share tag 7" in w for w in mapping.warnings)


def test_tags_that_nobody_may_send():
    network = Network(
        populations=(Population(name="p", size=1),),
        inputs=(Input(name="x", size=1),),
        connections=(connect("x", "p", "AMPA", [[0, 0]], 1e-9),),
    )
    for tag in (2047, 0):
        (misfit,) = misfits(network, tags={"x": [tag]})
        assert misfit.resource == "reserved_tag"
    with pytest.raises(InputError, match="tag 2048, outside 0 to 2047"):
        compile(network, tags={"x": [2048]})
    with pytest.raises(InputError, match="'z', which is not there"):
        compile(network, tags={"z": [1]})
    with pytest.raises(InputError, match="a neuron's place is its address"):
        compile(network, "dynapse1", tags={"p": [1]})


def test_01_and_02_recurrent_networks_over_two_cores():
    # 200 and 256 neurons placed half and half, every one with random partners on both cores.
    import numpy as np

    for size in (200, 256):
        rng = np.random.default_rng(size)
        pairs = np.stack([rng.integers(0, size, 3 * size), np.repeat(np.arange(size), 3)], axis=1)
        network = Network(
            populations=(Population(name="r", size=size),), connections=(connect("r", "r", "AMPA", pairs, 1e-9),)
        )
        half = size // 2
        mapping = compile(network, pins={"r": [(0, k // half, k % half) for k in range(size)]})
        routes = {(s, t // half) for s, t in pairs.tolist()}
        own, host = mapping.configuration.routes, mapping.chip.routing.monitor
        assert host is not None
        to_cores = own[(own[:, 3:5] != host.hop).any(axis=1)]
        delivered = sum(int(mask).bit_count() for mask in to_cores[:, 5])
        assert delivered == len(routes)
        found = sorted(map(tuple, np.concatenate([c.pairs for c in mapping.network.connections]).tolist()))
        assert found == sorted(map(tuple, pairs.tolist()))


def test_nearest_reachable_values_on_request():
    network = Network(populations=(Population(name="a", size=1, neuron=Neuron(tau=5.0, refractory=10.0)),))
    assert {m.resource for m in misfits(network)} == {"time_constant", "refractory"}
    mapping = compile(network, nearest=True)
    # C U_T / (kappa I_0): 0.213 s at the floor of 0.5 pA; the nearest code above it is within 10 %.
    assert mapping.network.populations[0].neuron.tau == pytest.approx(0.213, rel=0.1)
    assert sum("took" in w for w in mapping.warnings) == 2


def test_depression_is_a_flag_of_the_word():
    network = Network(
        populations=(Population(name="a", size=2),),
        connections=(
            connect("a", "a", "AMPA", [[0, 1]], 1e-9, stp=True),
            connect("a", "a", "AMPA", [[1, 0]], 1e-9),
        ),
    )
    mapping = compile(network)
    assert mapping.configuration.synapses[:, 7].tolist() == [0, 1]
    assert sorted(c.stp for c in mapping.network.connections) == [False, True]
    assert any("depression" in w for w in mapping.warnings)
