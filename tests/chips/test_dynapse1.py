"""DYNAP-SE1: addresses that do not name the chip, repeated words, two leaks a core."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from analogsnn.chips import Configuration, check_playback, compile, decode, differences, load_chip
from analogsnn.errors import DoesNotFitError, InputError, Misfit
from analogsnn.network import Input, Network, Neuron, Population, Synapse, all_to_all, connect, one_to_one

CHIP = load_chip("dynapse1")
THRESHOLD = 2e-9  # fixed in the chip file (YD)
# Fine codes are 1/255 of a coarse range that is at most 8 times the next: half a step at the top of the lower is 1.6 %.
CODES = 0.04


def population(name: str, size: int = 1, tau: float = 20e-3, gain: float = 4.0) -> Population:
    slow = Synapse(tau=5e-3, gain=2.0)
    neuron = Neuron(tau=tau, gain=gain, threshold=THRESHOLD)
    return Population(name=name, size=size, neuron=neuron, synapses=dict.fromkeys(CHIP.synapse.types, slow))


def misfits(network: Network, **options) -> list[Misfit]:
    with pytest.raises(DoesNotFitError) as caught:
        compile(network, CHIP, **options)
    return caught.value.misfits


def multiset(network: Network) -> Counter:
    return Counter(
        (c.source, int(i), c.target, int(j), c.synapse) for c in network.connections for i, j in c.pairs.tolist()
    )


def test_it_has_the_published_architecture():
    # SM, CT, LC: 4 cores of 256, 64 synapse and 4 destination words, 10-bit addresses, 25 biases a core.
    assert (CHIP.topology.cores_per_chip, CHIP.topology.neurons_per_core) == (4, 256)
    assert (CHIP.synapse.words_per_neuron, CHIP.routing.destinations, CHIP.tag_count) == (64, 4, 1024)
    assert len(CHIP.biases.names) == 25
    # CT: full scale of coarse 0 is 15 pA, of coarse 7 24 uA; zero at fine 0.
    np.testing.assert_allclose(CHIP.generator_currents["n"][[0, 7], -1], [15e-12, 24e-6])
    assert np.all(CHIP.generator_currents["n"][:, 0] == 0)


def test_27_a_weight_of_three_pulses_is_three_equal_words():
    network = Network(
        populations=(population("post"),),
        inputs=(Input(name="in", size=1),),
        connections=(connect("in", "post", "AMPA", [[0, 0]] * 3, 1e-9),),
    )
    mapping = compile(network, CHIP)
    words = mapping.configuration.synapses
    assert len(words) == 3
    assert len(np.unique(words, axis=0)) == 1
    assert multiset(mapping.network) == multiset(network)


def test_weights_in_ampere_become_numbers_of_words():
    network = Network(
        populations=(population("post", 2),),
        inputs=(Input(name="in", size=2),),
        connections=(connect("in", "post", "AMPA", one_to_one(2), [2e-9, 5e-9]),),
    )
    mapping = compile(network, CHIP)
    # 2 : 5 needs 2 and 5 words of 1 nA.
    assert mapping.occupancy.synapse_words.tolist() == [2, 5]
    (connection,) = mapping.network.connections
    total = np.bincount(connection.pairs[:, 1], weights=connection.weight)
    np.testing.assert_allclose(total, [2e-9, 5e-9], rtol=CODES)
    (report,) = mapping.weights
    assert report.masks.tolist() == [2, 5]
    assert report.relative_l2 < CODES


def test_populations_whose_weights_have_no_common_current_go_to_different_cores():
    network = Network(
        populations=(population("a"), population("b")),
        inputs=(Input(name="in", size=1),),
        # 1 : 23.45 cannot be had with at most 16 words for the smaller and 64 in all.
        connections=(connect("in", "a", "AMPA", [[0, 0]], 1e-9), connect("in", "b", "AMPA", [[0, 0]] * 5, 23.45e-9)),
    )
    mapping = compile(network, CHIP)
    assert {p.core for p in mapping.neurons} == {0, 1}
    np.testing.assert_allclose([c.weight.mean() for c in mapping.network.connections], [1e-9, 23.45e-9], rtol=CODES)


def _two_chips(weights: tuple[int, int], kinds: tuple[str, str] = ("AMPA", "AMPA")) -> tuple[Network, dict]:
    """Neuron 7 of core 1 of chips 2 and 0, each with a post of its own or the same, all posts on core 0 of chip 2."""
    network = Network(
        populations=(population("a"), population("b"), population("p"), population("q")),
        connections=(
            connect("a", "p", kinds[0], [[0, 0]] * weights[0], 1e-9),
            connect("b", "p", kinds[0], [[0, 0]] * weights[1], 1e-9),
        ),
    )
    pins = {"a": [(2, 1, 7)], "b": [(0, 1, 7)], "p": [(2, 0, 5)], "q": [(2, 0, 6)]}
    return network, pins


def test_22_equal_addresses_with_different_weights():
    network, pins = _two_chips((1, 2))
    (misfit,) = misfits(network, pins=pins)
    assert (misfit.resource, misfit.needed, misfit.available) == ("alias_multiplicity", 2, 1)
    assert "neuron 0 of 'a', neuron 0 of 'b' have address (1, 7)" in str(misfit)


def test_equal_addresses_with_equal_weights_share_their_words():
    network, pins = _two_chips((2, 2))
    mapping = compile(network, CHIP, pins=pins)
    assert len(mapping.configuration.synapses) == 2  # not 4
    assert multiset(mapping.network) == multiset(network)
    assert any("share address (1, 7)" in w for w in mapping.warnings)


@pytest.mark.parametrize("first", ["p", "q"])
@pytest.mark.parametrize("kinds", [("AMPA", "AMPA"), ("AMPA", "GABA_B")])
def test_23_24_posts_that_want_different_ones_of_equal_addresses(first, kinds):
    # P listens to chip 2 only, Q to chips 2 and 0 (23); or P to the one, Q to the other, with another type (24).
    second = "q" if first == "p" else "p"
    wanted = [connect("a", first, kinds[0], [[0, 0]], 1e-9), connect("b", second, kinds[1], [[0, 0]], 1e-9)]
    if kinds[0] == kinds[1]:
        wanted.append(connect("a", second, kinds[1], [[0, 0]], 1e-9))
    network = Network(
        populations=(population("a"), population("b"), population("p"), population("q")), connections=tuple(wanted)
    )
    _, pins = _two_chips((1, 1))
    (misfit,) = misfits(network, pins=pins)
    assert misfit.resource == "alias_sources"


def test_25_a_generator_with_the_address_of_a_neuron():
    network = Network(
        populations=(population("a"), population("p", 2)),
        inputs=(Input(name="in", size=1),),
        connections=(connect("a", "p", "AMPA", [[0, 0]], 1e-9), connect("in", "p", "AMPA", [[0, 1]], 1e-9)),
    )
    pins = {"a": [(0, 0, 5)], "p": [(0, 0, 6), (0, 0, 7)]}
    (misfit,) = misfits(network, pins=pins, tags={"in": [5]})
    assert misfit.resource == "alias_sources"
    assert "channel 0 of 'in'" in misfit.who
    mapping = compile(network, CHIP, pins=pins)  # left to the compiler, the generator gets another address
    assert multiset(mapping.network) == multiset(network)


def test_26_the_null_address_drives_every_unused_word():
    network = Network(
        populations=(population("a"), population("p")), connections=(connect("a", "p", "AMPA", [[0, 0]], 1e-9),)
    )
    (misfit,) = misfits(network, pins={"a": [(0, 0, 0)]})
    assert misfit.resource == "null_address"
    mapping = compile(network, CHIP)
    assert mapping.physical("a", 0) != (0, 0, 0)
    words = mapping.configuration
    sent = np.array([[0, 0, 0, 1, 0]])  # the host sends address 0 to core 0
    changed = Configuration(**{**vars(words), "inputs": (("in", 1),), "input_routes": sent})
    with pytest.raises(InputError, match="to which every unused synapse word listens"):
        decode(changed, CHIP)


def test_a_full_core_with_one_silent_neuron():
    def network(silent: int) -> Network:
        size = 256 - silent
        others = (population("silent", silent),) if silent else ()
        return Network(
            populations=(population("busy", size), *others),
            connections=(connect("busy", "busy", "AMPA", one_to_one(size), 1e-9),),
        )

    mapping = compile(network(1), CHIP, cores=1)
    assert mapping.physical("silent", 0) == (0, 0, 0)  # it sends nothing, so it may stand at the null address
    (misfit,) = misfits(network(0), cores=1)
    assert (misfit.resource, misfit.needed, misfit.available) == ("neurons_per_core", 256, 255)


def test_30_two_time_constants_share_a_core_by_its_two_leaks():
    network = Network(
        populations=(population("fast", 3, 10e-3, 4.0), population("slow", 3, 20e-3, 8.0)),
        connections=(connect("fast", "slow", "AMPA", one_to_one(3), 1e-9),),
    )
    mapping = compile(network, CHIP, cores=1)
    rows = {r.name: r for r in mapping.biases}
    assert rows["IF_TAU1_N"].populations == ("fast",)
    assert rows["IF_TAU2_N"].populations == ("slow",)
    assert len(mapping.configuration.latches["tau2"]) == 3
    assert differences(network, mapping.network, tolerance=CODES) == []
    third = Network(populations=(*network.populations, population("slower", 3, 40e-3, 16.0)))
    assert len(compile(third, CHIP).occupancy.neurons) == 2
    assert {m.resource for m in misfits(third, cores=1)} == {"core_bias_conflict"}


def test_left_to_right_is_refused_unless_insisted_on():
    network = Network(
        populations=(population("a"), population("p")), connections=(connect("a", "p", "AMPA", [[0, 0]], 1e-9),)
    )
    pins = {"a": [(0, 0, 5)], "p": [(1, 0, 5)]}
    (misfit,) = misfits(network, pins=pins)
    assert misfit.resource == "chip_direction"
    assert "reported to destroy chips" in str(misfit)
    mapping = compile(network, CHIP, pins=pins, allow_forbidden=True)
    assert any("reported to destroy chips" in w for w in mapping.warnings)
    assert compile(network, CHIP, pins={"a": [(1, 0, 5)], "p": [(0, 0, 5)]}).network.synapse_count == 1


def test_two_chips_are_taken_from_one_column():
    size = 1100  # more than one chip has
    network = Network(
        populations=(population("a", size),), connections=(connect("a", "a", "AMPA", one_to_one(size), 1e-9),)
    )
    mapping = compile(network, CHIP, chips=2)
    assert {p.chip for p in mapping.neurons} == {0, 2}
    assert multiset(mapping.network) == multiset(network)


def test_sources_on_two_chips_get_places_that_their_listeners_can_tell_apart():
    rng = np.random.default_rng(0)
    # 300 sources that all cores hear, on two chips, in populations that cannot share a core.
    pops = [population(f"p{k}", 100, tau) for k, tau in enumerate((10e-3, 14e-3, 20e-3, 28e-3, 40e-3))]
    pairs = np.stack([rng.integers(0, 100, 2000), np.repeat(np.arange(100), 20)], axis=1)
    network = Network(
        populations=tuple(pops),
        connections=tuple(
            connect(f"p{k}", f"p{(k + step) % 5}", "AMPA", pairs, 1e-9) for k in range(5) for step in (0, 1, 2)
        ),
    )
    mapping = compile(network, CHIP, chips=2)
    assert {p.chip for p in mapping.neurons} == {0, 2}
    assert multiset(mapping.network) == multiset(network)


def test_more_generators_than_the_host_plays():
    network = Network(
        populations=(population("p", 20),),
        inputs=(Input(name="in", size=1025),),
        connections=(connect("in", "p", "AMPA", [[0, 0]], 1e-9),),
    )
    (misfit,) = misfits(network)
    assert (misfit.resource, misfit.needed, misfit.available) == ("spike_generators", 1025, 1024)


def test_depression_and_delays_are_not_there():
    network = Network(
        populations=(population("p", 2),),
        connections=(
            connect("p", "p", "AMPA", [[0, 1]], 1e-9, stp=True),
            connect("p", "p", "AMPA", [[1, 0]], 1e-9, "precise"),
        ),
    )
    assert sorted(m.resource for m in misfits(network)) == ["delay_class", "stp"]


def test_a_configuration_comes_back_equal_and_tampering_shows():
    network = Network(
        populations=(population("a", 3), population("b", 3, 30e-3)),
        inputs=(Input(name="in", size=2),),
        connections=(
            connect("in", "a", "AMPA", all_to_all(2, 3), 1e-9),
            connect("a", "b", "GABA_B", all_to_all(3, 3), 2e-9),
        ),
    )
    mapping = compile(network, CHIP)
    text = mapping.configuration.to_json()
    again = Configuration.from_json(text)
    assert differences(mapping.network, decode(again, CHIP), tolerance=0.0) == []
    routes = again.routes.copy()
    routes[-1, 6] += 1
    with pytest.raises(InputError, match="the address of the neuron that sends it"):
        decode(Configuration(**{**vars(again), "routes": routes}), CHIP)


def test_addresses_are_all_different_where_that_is_possible():
    # Four populations that cannot share a core and all hear all: on five cores of two chips, two of equal number would
    # have 300 sources for 256 places. With 900 of 1023 addresses there is a way.
    rng = np.random.default_rng(1)
    pops = [population(f"p{k}", 225, tau) for k, tau in enumerate((10e-3, 14e-3, 20e-3, 28e-3))]
    big = [population("big", 76, 10e-3)]
    everyone = [*pops, *big]
    connections = [
        connect(
            p.name,
            q.name,
            "AMPA",
            np.stack([rng.integers(0, p.size, 4 * q.size), np.repeat(np.arange(q.size), 4)], 1),
            1e-9,
        )
        for p in everyone
        for q in everyone
    ]
    network = Network(populations=tuple(everyone), connections=tuple(connections))
    mapping = compile(network, CHIP, chips=2)
    addresses = [(p.core, p.neuron) for p in mapping.neurons]
    assert len(set(addresses)) == network.size
    assert multiset(mapping.network) == multiset(network)


def test_more_sources_than_addresses_is_one_misfit():
    size = 1200
    rng = np.random.default_rng(0)
    pairs = np.stack([rng.integers(0, size, 20 * size), np.repeat(np.arange(size), 20)], axis=1)
    network = Network(populations=(population("a", size),), connections=(connect("a", "a", "AMPA", pairs, 1e-9),))
    (misfit,) = misfits(network, chips=2)
    assert misfit.resource == "alias_sources"
    assert "more addresses" in str(misfit)
    assert "not proved" in str(misfit)


def test_intervals_of_the_spike_generator():
    # SM: the interval field has 16 bit. 1 s and 10 µs are 100 000 ticks of any clock that resolves the shorter one.
    check_playback(CHIP, np.array([0.0, 10e-6, 10e-6, 0.6]))
    with pytest.raises(DoesNotFitError, match=r"isi_range: the interval of 1 s after the event at 10 µs is 100000"):
        check_playback(CHIP, np.array([0.0, 10e-6, 1.00001]))
    check_playback(load_chip("dynapse2"), np.array([0.0, 10e-6, 1.00001]))  # stamps times instead


def test_more_neurons_than_addresses_when_few_cores_hear_each():
    # 1100 neurons have 1024 addresses between them: some repeat, which is possible while no core hears both. Packed on
    # five cores nearly all hear all; spread over eight, on the two chips between which routes are allowed, they fit.
    rng = np.random.default_rng(7)
    pairs = np.stack([rng.integers(0, 1100, 4400), np.repeat(np.arange(1100), 4)], axis=1)
    network = Network(
        populations=(population("p", 1100),), connections=(connect("p", "p", "AMPA", np.unique(pairs, axis=0), 1e-9),)
    )
    mapping = compile(network, CHIP, chips=4, monitor=False)
    assert len(mapping.occupancy.neurons) == 8
    assert {place.chip for place in mapping.neurons} == {0, 2}
    assert multiset(decode(mapping.configuration, CHIP)) == multiset(network)
