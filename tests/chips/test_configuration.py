"""Configurations: written, read and checked as hard as our own; and decoding apart from the compiler."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from analogsnn.chips import Configuration, compile, decode, differences, load_chip
from analogsnn.errors import InputError
from analogsnn.network import Input, Network, Neuron, Population, all_to_all, connect, one_to_one

CHIP = load_chip("dynapse2")
NETWORK = Network(
    populations=(Population(name="exc", size=3, neuron=Neuron(dc=1e-10)), Population(name="inh", size=2)),
    inputs=(Input(name="in", size=3),),
    connections=(
        connect("in", "exc", "AMPA", one_to_one(3), [1e-9, 2e-9, 3e-9]),
        connect("exc", "inh", "NMDA", all_to_all(3, 2), 2e-9),
        connect("inh", "exc", "GABA_B", all_to_all(2, 3), 4e-9, "mismatched"),
    ),
)
MAPPING = compile(NETWORK)


def _document() -> dict:
    return json.loads(MAPPING.configuration.to_json())


def _problems(document: dict) -> str:
    with pytest.raises(InputError) as caught:
        Configuration.from_json(json.dumps(document))
    return str(caught.value)


def test_a_file_comes_back_equal(tmp_path):
    path = tmp_path / "c.json"
    MAPPING.configuration.save(path)
    again = Configuration.load(path)
    assert again.to_json() == MAPPING.configuration.to_json()
    assert differences(MAPPING.network, decode(again, CHIP), tolerance=0.0) == []


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        Configuration.load(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be written"):
        MAPPING.configuration.save(tmp_path / "none" / "c.json")
    with pytest.raises(InputError, match="line 1: is not JSON"):
        Configuration.from_json("{")
    with pytest.raises(InputError, match="is no configuration"):
        Configuration.from_json("[]")


def test_11_illegal_numbers_are_all_told():
    document = _document()
    document["synapses"]["rows"][0][3] = 2048  # tag of 11 bits
    document["routes"]["rows"][1][3] = 8  # hop
    document["synapses"]["rows"][0][5] = 16  # weight mask of 4 bits
    document["routes"]["rows"][1][5] = 0b10000  # core mask of 5 bits
    document["biases"][0]["codes"]["SOIF_LEAK_N"] = [6, 0]
    document["biases"][0]["codes"]["SOIF_GAIN_N"] = [0, 256]
    text = _problems(document)
    assert len(text.splitlines()) == 6
    for part in ("tag 2048", "x_hop 8", "weight 16", "cores 16", "SOIF_LEAK_N has code (6, 0)", "code (0, 256)"):
        assert part in text


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["version"], 2, "is of version 2; version 1 is read here"),
        (["schema"], "other", "is no configuration"),
        (["chip", "revision"], "2031", "was made for revision '2031'"),
        (["chip", "digest"], "0", "description digest"),
        (["chip", "name"], "dynapse3", "There is no chip 'dynapse3'"),
        (["profile"], "Z", "profile 'Z' is not one of A, B"),
        (["rotues"], {}, "unknown key 'rotues'; did you mean 'routes'"),
        (["chip", "nmae"], "x", r"unknown key 'nmae' in \[chip\]; did you mean 'name'"),
        (["biases", 0, "codes", "SOIF_LEEK_N"], [0, 1], "no bias 'SOIF_LEEK_N'; did you mean 'SOIF_LEAK_N'"),
        (["latches", "so_cd"], {"columns": ["chip", "core", "neuron"], "rows": []}, "no latch 'so_cd'; did you mean"),
        (["routes", "rows", 1, 6], 2047, "tag 2047 is reserved"),
        (["synapses", "rows", 0, 4], 3, "dendrite code 3 is none of 128, 256, 512, 1024"),
        (["synapses", "rows", 0, 5], 0, "weight 0 is outside 1 to 15"),
        (["synapses", "rows", 0, 6], 3, "delay 3 is outside 0 to 2"),
        (["synapses", "rows", 0, 2], 77, r"neuron \(0, 0, 77\) is not in \[neurons\]"),
        (["synapses", "rows", 0], [1, 2], "row of 2 numbers for 8 columns"),
        (["synapses", "rows", 0, 3], "5", "input should be a valid integer, not '5'"),
        (["synapses", "columns"], ["a"], "has columns a"),
        (["neurons", "rows", 1, 4], 0, "one physical neuron to two logical ones"),
        (["neurons", "rows", 1, 1], 0, "must name every neuron of every population once"),
        (["input_routes", "rows", 0, 0], 4, "an input channel that is not there"),
        (["biases", 0, "core"], 3, r"core \(0, 0\) \(chip, core\) holds neurons, but has no biases"),
    ],
)  # fmt: skip
def test_30_documents_from_elsewhere_are_refused(path, value, message):
    document = _document()
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    assert re.search(message, _problems(document))


def test_too_many_words_are_refused():
    document = _document()
    document["synapses"]["rows"] += [document["synapses"]["rows"][0]] * 62
    assert re.search("has 6[0-9] words, there are 64", _problems(document))
    document = _document()
    document["routes"]["rows"] += [document["routes"]["rows"][1]] * 3
    assert re.search("has 5 words, there are 4", _problems(document))


def test_07_the_decoder_sees_a_tag_clash():
    # Two inputs with one tag, each wanted on another post of the same core: both sources fire both words.
    network = Network(
        populations=(Population(name="post", size=2),),
        inputs=(Input(name="in", size=2),),
        connections=(connect("in", "post", "AMPA", one_to_one(2), 1e-9),),
    )
    configuration = compile(network).configuration
    synapses, inputs = configuration.synapses.copy(), configuration.input_routes.copy()
    synapses[:, 3] = inputs[:, 4] = 7
    clash = replace(configuration, synapses=synapses, input_routes=inputs)
    found = differences(network, decode(clash, CHIP))
    assert "Synapse in[0]→post[1] AMPA: asked 0 times, realised 1." in found
    assert len(found) == 2


def test_equal_tags_on_different_cores_do_not_clash():
    network = Network(
        populations=(Population(name="a", size=1), Population(name="b", size=1, neuron=Neuron(tau=10e-3))),
        inputs=(Input(name="in", size=2),),
        connections=(
            connect("in", "a", "AMPA", [[0, 0]], 1e-9),
            connect("in", "b", "AMPA", [[1, 0]], 1e-9),
        ),
    )
    configuration = compile(network).configuration
    synapses, inputs = configuration.synapses.copy(), configuration.input_routes.copy()
    synapses[:, 3] = inputs[:, 4] = 7
    assert differences(network, decode(replace(configuration, synapses=synapses, input_routes=inputs), CHIP)) == []


def test_the_decoder_sees_every_kind_of_change():
    for table, column, value in (("synapses", 4, 256), ("synapses", 3, 99), ("synapses", 6, 1), ("routes", 5, 0b10)):
        rows = getattr(MAPPING.configuration, table).copy()
        rows[1 if table == "routes" else 0, column] = value
        changed = replace(MAPPING.configuration, **{table: rows})
        try:
            assert differences(NETWORK, decode(changed, CHIP)) != []
        except InputError as error:  # a type whose biases are not set on the core is refused outright
            assert "which is not set there" in str(error)  # noqa: PT017


def test_routes_that_leave_the_board_are_refused():
    routes = MAPPING.configuration.routes.copy()
    routes[1, 3] = 5
    with pytest.raises(InputError, match=r"no chip stands at \(5, 0\)"):
        decode(replace(MAPPING.configuration, routes=routes), CHIP)


def test_populations_must_be_describable():
    latches = {"so_dc": MAPPING.configuration.latches["so_dc"][:1]}
    with pytest.raises(InputError, match="only some neurons of population 'exc'"):
        decode(replace(MAPPING.configuration, latches=latches), CHIP)


def test_decoded_connections_are_in_one_order():
    shuffled = tuple(replace(c, pairs=c.pairs[::-1], weight=c.weight[::-1]) for c in reversed(NETWORK.connections))
    again = compile(replace(NETWORK, connections=shuffled)).network
    for a, b in zip(MAPPING.network.connections, again.connections, strict=True):
        assert (a.source, a.target, a.synapse, a.delay) == (b.source, b.target, b.synapse, b.delay)
        assert np.array_equal(a.pairs, b.pairs)
        assert np.array_equal(a.weight, b.weight)
