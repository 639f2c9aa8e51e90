"""Networks onto chips: what fits, where it goes, and what is said when it does not."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from analogsnn.chips import Configuration, compile, decode, differences, load_chip
from analogsnn.errors import DoesNotFitError, InputError, Misfit
from analogsnn.network import (
    Adaptation,
    Input,
    Network,
    Neuron,
    Population,
    Synapse,
    all_to_all,
    connect,
    one_to_one,
)

INVENTED = Path(__file__).with_name("invented.toml")
BUILTIN = Path(load_chip.__code__.co_filename).with_name("dynapse2.toml").read_text(encoding="utf-8")
# Largest error of a searched code above 10 pA, where half the largest gap is 1.8 % (RP paramgen.py); a quantity that
# comes from two codes (a gain) or from a leak of a few pA has up to twice that.
CODES = 0.04


def _one(size: int = 2, **neuron) -> Network:
    return Network(populations=(Population(name="exc", size=size, neuron=Neuron(**neuron)),))


def _misfits(network: Network, *arguments, **options) -> list[Misfit]:
    with pytest.raises(DoesNotFitError) as caught:
        compile(network, *arguments, **options)
    return caught.value.misfits


def _small_chips(tmp_path: Path, neurons: int = 1, cores: int = 1) -> Path:
    """DYNAP-SE2 with fewer cores and neurons, so that few neurons fill many chips."""
    text = BUILTIN.replace("cores_per_chip = 4", f"cores_per_chip = {cores}")
    text = text.replace("neurons_per_core = 256", f"neurons_per_core = {neurons}")
    text = text.replace("mask = [true, true, true, true]", f"mask = {str([True] * cores).lower()}")
    path = tmp_path / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_quantity_comes_back_within_the_codes():
    exc = Population(
        name="exc",
        size=3,
        neuron=Neuron(dc=2e-10, adaptation=Adaptation(tau=0.2, weight=2e-10), nmda_gate=1e-9),
        synapses={"NMDA": Synapse(tau=0.1, gain=20.0), "AMPA": Synapse(tau=5e-3)},
        rate=20.0,
    )
    plain = Population(name="plain", size=2)
    network = Network(
        populations=(exc, plain),
        inputs=(Input(name="in", size=3),),
        connections=(
            connect("in", "exc", "AMPA", one_to_one(3), 4e-9),
            connect("exc", "exc", "NMDA", all_to_all(3, 3), 1e-9, "precise"),
            connect("exc", "plain", "GABA_A", [[0, 1], [0, 1], [2, 0]], 2e-9),
        ),
    )
    mapping = compile(network)
    assert differences(network, mapping.network, tolerance=CODES) == []
    got = mapping.network.population("exc")
    assert got.rate == 20.0
    assert got.neuron.adaptation is not None
    assert got.neuron.nmda_gate is not None
    assert mapping.network.population("plain").neuron.dc == 0.0  # same core, its latches are off
    assert mapping.network.population("plain").neuron.adaptation is None
    assert mapping.occupancy.neurons == {(0, 0): 5}
    assert mapping.occupancy.synapse_words.tolist() == [4, 4, 4, 1, 2]
    assert mapping.occupancy.tags == 3 + 3
    assert mapping.physical("plain", 1) == (0, 0, 4)
    assert mapping.logical(0, 0, 4) == ("plain", 1)
    assert mapping.logical(0, 1, 0) is None
    assert any("precise" in warning for warning in mapping.warnings)


def test_the_bias_report_tells_request_and_result():
    rows = {row.name: row for row in compile(_one(tau=20e-3)).biases}
    leak = rows["SOIF_LEAK_N"]
    # I_tau = C U_T / (kappa tau) = 3 pF 25 mV / (0.705 20 ms), RP defaults.py
    assert leak.requested == pytest.approx(5.32e-12, rel=1e-3)
    assert leak.got == pytest.approx(20e-3 * leak.requested / leak.realised)
    assert leak.relative_error == pytest.approx(leak.realised / leak.requested - 1)
    assert (leak.quantity, leak.unit, leak.asked, leak.populations) == ("tau", "s", 20e-3, ("exc",))
    assert set(rows) == {"SOIF_LEAK_N", "SOIF_GAIN_N", "SOIF_REFR_N", "SOIF_SPKTHR_P"}  # nothing that is not used


@pytest.mark.parametrize(("size", "cores"), [(256, 1), (257, 2), (300, 2), (511, 2), (512, 2), (1024, 4)])
def test_03_neurons_fill_cores(size, cores):
    mapping = compile(_one(size))
    assert len(mapping.occupancy.neurons) == cores
    assert max(p.neuron for p in mapping.neurons) < 256
    there = {(p.chip, p.core, p.neuron) for p in mapping.neurons}
    assert len(there) == size
    assert all(mapping.logical(*mapping.physical("exc", k)) == ("exc", k) for k in range(size))


def test_03_too_many_neurons():
    (misfit,) = _misfits(_one(1025))
    assert (misfit.resource, misfit.needed, misfit.available) == ("cores", 5, 4)
    (misfit,) = _misfits(_one(300), cores=1)
    assert (misfit.resource, misfit.needed, misfit.available) == ("neurons_per_core", 300, 256)
    assert "'exc' 300" in str(misfit)
    assert len(compile(_one(1025), chips=2).occupancy.neurons) == 5


def _chips_network(posts: int) -> Network:
    """Source and posts that fill one single-neuron chip each."""
    names = ["source", *(f"post{k}" for k in range(1, posts + 1))]
    return Network(
        populations=tuple(Population(name=n, size=1) for n in names),
        connections=tuple(connect("source", n, "AMPA", [[0, 0]], 1e-9) for n in names[1:]),
    )


def test_04_and_06_one_source_reaches_three_chips(tmp_path):
    mapping = compile(_chips_network(3), _small_chips(tmp_path), chips=4)
    routes = mapping.configuration.routes
    own = routes[routes[:, 0] == 0]
    assert own[:, 3].tolist() == [-7, 1, 2, 3]  # the host's word, then one hop per chip; chip 2 is at (2, 0)
    assert mapping.occupancy.route_words.tolist() == [4, 1, 1, 1]
    assert len(mapping.network.connections) == 3


def test_05_a_fourth_chip_is_one_word_too_many(tmp_path):
    chip = _small_chips(tmp_path)
    network = _chips_network(3)
    everywhere = Network(
        populations=network.populations,
        connections=(*network.connections, connect("source", "source", "AMPA", [[0, 0]], 1e-9)),
    )
    (misfit,) = _misfits(everywhere, chip, chips=4)
    assert (misfit.resource, misfit.needed, misfit.available) == ("sram_words", 5, 4)
    assert misfit.who == "neuron 0 of 'source'"
    assert compile(everywhere, chip, chips=4, monitor=False).occupancy.route_words[0] == 4


def test_08_inputs_reach_every_core_that_listens():
    network = Network(
        populations=(Population(name="a", size=256), Population(name="b", size=256)),
        inputs=(Input(name="in", size=1),),
        connections=(
            connect("in", "a", "AMPA", all_to_all(1, 256), 1e-9),
            connect("in", "b", "AMPA", all_to_all(1, 256), 1e-9),
        ),
    )
    mapping = compile(network)
    assert mapping.configuration.input_routes[:, 3].tolist() == [0b11]
    assert mapping.network.synapse_count == 512


def _fan_in(count_in: int, count_inh: int) -> Network:
    pairs = np.stack([np.zeros(count_in, int), np.zeros(count_in, int)], axis=1)
    return Network(
        populations=(Population(name="exc", size=2), Population(name="inh", size=count_inh)),
        inputs=(Input(name="in", size=1),),
        connections=(
            connect("inh", "exc", "GABA_A", [[k, 0] for k in range(count_inh)], 1e-9),
            connect("in", "exc", "AMPA", pairs, 1e-9),
        ),
    )


def test_09_fan_in_to_the_last_word():
    mapping = compile(_fan_in(24, 40))
    assert mapping.occupancy.synapse_words[0] == 64
    (misfit,) = _misfits(_fan_in(25, 40))
    assert (misfit.resource, misfit.needed, misfit.available) == ("cam_words", 65, 64)
    assert "neuron 0 of 'exc' needs 65 synapses, a core offers 64: 'inh'→'exc' 40, 'in'→'exc' 25" in str(misfit)
    assert "split 'exc' over 2 neurons" in misfit.hint


def test_10_one_compilation_leaves_nothing_for_the_next():
    b = Network(
        populations=(Population(name="b", size=3),), connections=(connect("b", "b", "AMPA", all_to_all(3, 3), 1e-9),)
    )
    alone = compile(b).configuration.to_json()
    compile(_fan_in(20, 20))
    assert compile(b).configuration.to_json() == alone


def test_29_a_time_constant_out_of_reach():
    (misfit,) = _misfits(_one(tau=5.0))
    assert misfit.resource == "time_constant"
    assert misfit.needed == 5.0
    # C U_T / (kappa I_0) with 3 pF, 25 mV, 0.705, 0.5 pA (RP): 0.213 s at the floor, 0.353 s at the lowest code.
    assert misfit.available == pytest.approx(0.213, abs=5e-4)
    assert "SOIF_LEAK_N" in str(misfit)
    (misfit,) = _misfits(_one(tau=5.0), allow_subfloor=True)
    assert misfit.available == pytest.approx(0.353, abs=5e-4)
    mapping = compile(_one(tau=0.3), allow_subfloor=True)
    assert any("below the floor" in w for w in mapping.warnings)
    (misfit,) = _misfits(_one(refractory=10.0))
    assert misfit.resource == "refractory"
    # Profile B has 7.7 pF (ON): 0.546 s at the floor.
    (misfit,) = _misfits(_one(tau=5.0), profile="B")
    assert misfit.available == pytest.approx(0.546, abs=5e-4)


def _two_taus() -> Network:
    return Network(
        populations=(
            Population(name="fast", size=3, neuron=Neuron(tau=10e-3)),
            Population(name="slow", size=3, neuron=Neuron(tau=20e-3)),
        ),
        connections=(connect("fast", "slow", "AMPA", one_to_one(3), 1e-9),),
    )


def test_30_two_time_constants_go_to_two_cores_or_are_refused():
    mapping = compile(_two_taus())
    assert {p.core for p in mapping.neurons if p.population == "fast"} == {0}
    assert {p.core for p in mapping.neurons if p.population == "slow"} == {1}
    assert differences(_two_taus(), mapping.network, tolerance=CODES) == []
    misfits = _misfits(_two_taus(), cores=1)
    leak = next(m for m in misfits if "SOIF_LEAK_N" in str(m))
    assert (leak.resource, leak.needed, leak.available) == ("core_bias_conflict", 2, 1)
    assert "'fast' tau 10 ms; 'slow' tau 20 ms" in str(leak)


def test_types_that_are_not_received_are_no_conflict():
    network = Network(
        populations=(
            Population(name="a", size=1, synapses={"NMDA": Synapse(tau=0.1)}),
            Population(name="b", size=1, synapses={"NMDA": Synapse(tau=0.05)}),
        ),
        connections=(connect("b", "a", "NMDA", [[0, 0]], 1e-9),),
    )
    assert len(compile(network, cores=1).occupancy.neurons) == 1


def test_all_misfits_are_told_at_once():
    network = Network(
        populations=(
            Population(name="exc", size=2, neuron=Neuron(tau=5.0, refractory=10.0, threshold=1e-3)),
            Population(name="big", size=1100),
        ),
        inputs=(Input(name="in", size=65),),
        connections=(
            connect("in", "exc", "AMPA", all_to_all(65, 2), 1e-9),
            connect("exc", "big", "AMPA", one_to_one(2), 1e-3),
        ),
    )
    found = [m.resource for m in _misfits(network)]
    assert sorted(found) == sorted(["time_constant", "refractory", "bias_range", "cam_words", "weight_range", "cores"])


def test_weights_that_would_vanish_or_blur():
    pairs = all_to_all(1, 8)
    weight = np.array([1e-11, 1e-9, 2e-9, 3e-9, 5e-9, 11e-9, 23e-9, 40e-9])
    network = Network(
        populations=(Population(name="exc", size=8),),
        inputs=(Input(name="in", size=1),),
        connections=(connect("in", "exc", "AMPA", pairs, weight),),
    )
    (misfit,) = _misfits(network)
    assert misfit.resource == "weight_zero"
    assert "1 weights on core 0, down to 10 pA" in str(misfit)
    assert "'in'→'exc'" in misfit.who
    found = {m.resource for m in _misfits(network, weight_currents=[5e-9, 0, 0, 0])}
    assert found == {"weight_zero", "weight_levels"}


def test_weight_currents_can_be_given():
    network = Network(
        populations=(Population(name="exc", size=4),),
        connections=(connect("exc", "exc", "AMPA", one_to_one(4), [1e-9, 3e-9, 7e-9, 15e-9]),),
    )
    mapping = compile(network, weight_currents=[1e-9, 2e-9, 4e-9, 8e-9])
    assert mapping.configuration.synapses[:, 5].tolist() == [1, 3, 7, 15]
    assert mapping.weights[0].relative_l2 < CODES
    asked = {r.name: r.requested for r in mapping.biases if r.quantity == "weight"}
    assert asked == {"SYAM_W0_P": 1e-9, "SYAM_W1_P": 2e-9, "SYAM_W2_P": 4e-9, "SYAM_W3_P": 8e-9}
    with pytest.raises(InputError, match="has 2 values"):
        compile(network, weight_currents=[1e-9, 2e-9])


def test_the_networks_own_physics_is_compared():
    network = Network(populations=(Population(name="a", size=1),), physics=load_chip("dynapse2").model_physics("B"))
    (warning,) = compile(network).warnings
    assert "c.mem = 7.7e-12" in warning


def test_arguments_that_make_no_sense():
    with pytest.raises(InputError, match="chips = 5"):
        compile(_one(), chips=5)
    with pytest.raises(InputError, match="cores = 5"):
        compile(_one(), cores=5)
    with pytest.raises(InputError, match="no populations"):
        compile(Network(populations=()))


def test_tags_are_used_again_when_they_run_out(tmp_path):
    path = _small_chips(tmp_path, neurons=31)
    text = path.read_text(encoding="utf-8").replace("tag_bits = 11", "tag_bits = 5").replace("[2047]", "[31]")
    path.write_text(text, encoding="utf-8")

    def pairs_on_cores(size: int) -> Network:  # two populations that need different cores, each wired to itself
        names = ("fast", 10e-3), ("slow", 20e-3)
        return Network(
            populations=tuple(Population(name=n, size=size, neuron=Neuron(tau=tau)) for n, tau in names),
            connections=tuple(connect(n, n, "AMPA", one_to_one(size), 1e-9) for n, _ in names),
        )

    mapping = compile(pairs_on_cores(25), path, chips=2)
    assert mapping.occupancy.tags < 50  # 50 sources share the 30 tags that 5 bits leave (0 and 31 are not for users)
    (misfit,) = _misfits(pairs_on_cores(31), path, chips=2)
    assert (misfit.resource, misfit.needed, misfit.available) == ("tags", 31, 30)


def test_a_chip_that_is_not_dynap():
    network = Network(
        populations=(
            Population(name="a", size=6),
            Population(name="b", size=6, neuron=Neuron(tau=40e-3, dc=1e-9)),
            Population(name="c", size=6),
        ),
        inputs=(Input(name="in", size=2),),
        connections=(
            connect("in", "a", "AMPA", all_to_all(2, 6), [1e-9, 2e-9, 3e-9, 5e-9, 9e-9, 17e-9] * 2),
            connect("a", "b", "GABA_B", one_to_one(6), 1e-9),
            connect("b", "c", "AMPA", one_to_one(6), 2e-9),
            connect("c", "a", "AMPA", one_to_one(6), 4e-9),
        ),
    )
    mapping = compile(network, INVENTED, chips=2)
    assert (
        len({(p.chip, p.core) for p in mapping.neurons}) == 3
    )  # b has other biases than a and c, which need 12 places
    # A leak of 3.3 pA on steps of 0.5 * 1 nA / 1024 = 0.49 pA: half a step is 7.5 %.
    assert differences(network, mapping.network, tolerance=0.075) == []
    again = Configuration.from_json(mapping.configuration.to_json(), INVENTED)
    assert differences(mapping.network, decode(again, mapping.chip), tolerance=0.0) == []
    wishes = Network(
        populations=(Population(name="a", size=13, neuron=Neuron(threshold=5e-9, adaptation=Adaptation())),),
        connections=(connect("a", "a", "NMDA", all_to_all(13, 13), 1e-9, "precise"),),
    )
    found = sorted(m.resource for m in _misfits(wishes, INVENTED))
    assert found == ["cam_words", "delay_class", "fixed_quantity", "latch", "synapse_type"]


def test_a_feature_without_a_latch_is_switched_per_core():
    network = Network(
        populations=(Population(name="on", size=2, neuron=Neuron(dc=1e-9)), Population(name="off", size=2)),
    )
    mapping = compile(network, INVENTED)
    assert {p.population: p.core for p in mapping.neurons} == {"on": 0, "off": 1}
    (misfit,) = _misfits(network, INVENTED, cores=1)
    assert (misfit.resource, misfit.needed) == ("core_bias_conflict", 2)
    assert "'off' off" in str(misfit)


def test_speed_of_a_heart_rate_sized_network():
    rng = np.random.default_rng(0)
    pops = [Population(name=f"zone{k}", size=28) for k in range(5)]
    connections = [
        connect(p.name, q.name, "AMPA", rng.integers(0, 28, (200, 2)), rng.choice([1e-9, 2e-9, 4e-9, 9e-9], 200))
        for p in pops
        for q in pops
    ]
    # 200 words from each of 5 populations on 28 neurons: 36 of 64 words on average, at most 53 with this seed.
    network = Network(populations=tuple(pops), connections=tuple(connections))
    assert (network.size, network.synapse_count) == (140, 5000)
    compile(network)
    start = time.perf_counter()
    compile(network)
    assert time.perf_counter() - start < 1.0  # 0.02 s on the machine it was written on


def test_trimmed_copies_of_a_network_share_their_currents():
    # Repeated words and other masks on every copy, as when the weights of many chips are trimmed one by one.
    currents = [1e-9, 2e-9, 4e-9, 8e-9]
    codes = set()
    for copy in range(3):
        rng = np.random.default_rng(copy)
        pairs = np.repeat(all_to_all(4, 4), rng.integers(1, 4, 16), axis=0)
        weight = rng.integers(1, 16, len(pairs)) * 1e-9
        network = Network(
            populations=(Population(name="exc", size=4),), connections=(connect("exc", "exc", "AMPA", pairs, weight),)
        )
        mapping = compile(network, weight_currents=currents)
        assert differences(network, mapping.network, tolerance=CODES) == []
        codes.add(tuple((c.coarse, c.fine) for c in mapping.weights[0].codes.values()))
    assert len(codes) == 1
