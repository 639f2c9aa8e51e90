"""Networks from TOML files: what is read, and what is said about what cannot be."""

from __future__ import annotations

import re

import pytest

from analogsnn.errors import InputError
from analogsnn.network import Adaptation, Defaults, Neuron, read_network

TEXT = """
seed = 3
[population.exc]
size = 16
neuron = { tau = "20 ms", gain = 4.0, dc = "30 pA", adaptation = { tau = "100 ms", weight = "5 pA" } }
synapses = { SHUNT = { tau = "5 ms" } }
pulse = "20 us"
rate = 20.0
place = [[0, 0, 1]]
[input.beats]
size = 2
tags = [7, 8]
[[connection]]
source = "beats"
target = "exc"
synapse = "AMPA"
weight = "4 nA"
pattern = "all"
[[connection]]
source = "exc"
target = "exc"
synapse = "SHUNT"
weight = ["1 nA", 2e-9]
delay = "precise"
stp = true
pattern = { pairs = [[0, 1], [2, 3]] }
"""


def read(tmp_path, text: str, **options):
    path = tmp_path / "net.toml"
    path.write_text(text, encoding="utf-8")
    return read_network(path, **options)


def test_every_key_is_read(tmp_path):
    file = read(tmp_path, TEXT)
    (exc,) = file.network.populations
    assert exc.neuron == Neuron(tau=20e-3, gain=4.0, dc=30e-12, adaptation=Adaptation(tau=0.1, weight=5e-12))
    assert exc.pulse == pytest.approx(20e-6, rel=1e-12)
    assert exc.rate == 20.0
    assert exc.synapse("GABA_A").tau == 5e-3  # SHUNT is the chip's name for it
    first, second = file.network.connections
    assert len(first.pairs) == 32
    assert (second.synapse, second.delay, second.stp) == ("GABA_A", "precise", True)
    assert second.weight.tolist() == [1e-9, 2e-9]
    assert file.pins == {"exc": ((0, 0, 1),)}
    assert file.tags == {"beats": (7, 8)}
    assert file.seed == 3


def test_defaults_are_the_chips(tmp_path):
    defaults = Defaults(Neuron(threshold=2e-9), pulse=1e-9)
    file = read(tmp_path, TEXT.replace('weight = "4 nA"', "weight = 3"), defaults=defaults)
    assert file.network.populations[0].neuron.threshold == 2e-9
    first = file.network.connections[0]
    assert len(first.pairs) == 3 * 32  # three pulses are three synapses of one pulse
    assert set(first.weight.tolist()) == {1e-9}


def test_patterns(tmp_path):
    recurrent = TEXT.replace('weight = ["1 nA", 2e-9]', 'weight = "1 nA"')
    all_others = recurrent.replace("pattern = { pairs = [[0, 1], [2, 3]] }", 'pattern = "all"')
    assert len(read(tmp_path, all_others).network.connections[1].pairs) == 16 * 15  # without itself
    assert len(read(tmp_path, all_others + "self_connections = true").network.connections[1].pairs) == 16 * 16
    some = recurrent.replace("pattern = { pairs = [[0, 1], [2, 3]] }", "pattern = { probability = 0.5 }")
    a, b = (read(tmp_path, some).network.connections[1].pairs for _ in range(2))
    assert a.tolist() == b.tolist()
    other = read(tmp_path, some.replace("seed = 3", "seed = 4")).network.connections[1].pairs
    assert a.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size = 16", "sise = 16", "unknown key 'sise' in .population.exc.; did you mean 'size'"),
        ("size = 16", "size = -16", "population.exc.size: input should be greater than 0, not -16"),
        ('tau = "20 ms"', 'tau = "20 mA"', "population.exc.neuron.tau.*unit must be s"),
        ('tau = "20 ms"', "tau = nan", "population.exc.neuron.tau.*finite"),
        ('target = "exc"', 'target = "ecx"', r"connection\[0\] 'beats'→'ecx': there is no 'ecx'"),
        ('target = "exc"', 'target = "beats"', r"there is no 'beats' to connect"),
        ('weight = "4 nA"', "weight = inf", "weight is inf; it must be finite"),
        ('weight = "4 nA"', "weight = -4e-9", "weight -4e-09 is not positive"),
        ('weight = "4 nA"', "weight = 4", "weight 4 counts pulses; on this chip a weight is a current"),
        ('weight = "4 nA"', 'weight = "4 nS"', "unit must be A"),
        ('weight = "4 nA"', 'weight = ["4 nA", "2 nA"]', "2 values for 32 synapses"),
        ('delay = "precise"', 'delay = "10 ms"', "no chip here has a calibration of delays in seconds"),
        ('delay = "precise"', 'delay = "precice"', "did you mean 'precise'"),
        ('synapse = "AMPA"', 'synapse = "AMPO"', r"connection\[0\].synapse.*not 'AMPO'"),
        ("[2, 3]", "[0, 1]", r"pair \[0, 1\] stands 2 times"),
        ("[2, 3]", "[2, 2]", r"pair \[2, 2\] joins a neuron to itself"),
        ("[2, 3]", "[2, 16]", r"pair \[2, 16\] names a member that is not there"),
        ("[2, 3]", '[2, "3"]', "give a list of .source index, target index."),
        ('pattern = "all"', 'pattern = "most"', "pattern is 'most'; give 'all', 'one_to_one'"),
        ('pattern = "all"', 'pattern = "one_to_one"', "joins sizes 2 and 16; they must be equal"),
        ('pattern = "all"', "pattern = { probability = 2 }", "probability 2; it must be a number from 0 to 1"),
        ("seed = 3", "seed = -3", "seed"),
        ("[input.beats]", "[input.exc]", "'exc' is a population and an input"),
        ("seed = 3", "seed = ", r"is not TOML.*line 2"),
    ],
)  # fmt: skip
def test_problems_are_sentences_with_file_and_key(tmp_path, old, new, message):
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        read(tmp_path, TEXT.replace(old, new, 1))
    assert re.search(message, str(caught.value))
    assert str(tmp_path / "net.toml") in str(caught.value)
