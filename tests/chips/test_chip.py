"""Chip descriptions: what loads, what is refused and how that is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analogsnn.chips import builtin_chips, load_chip
from analogsnn.errors import InputError

BUILTIN = Path(load_chip.__code__.co_filename).with_name("dynapse2.toml").read_text(encoding="utf-8")
INVENTED = Path(__file__).with_name("invented.toml")


def _load(tmp_path: Path, text: str):
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    return load_chip(path)


def _refused(tmp_path: Path, old: str, new: str) -> str:
    assert old in BUILTIN
    with pytest.raises(InputError) as caught:
        _load(tmp_path, BUILTIN.replace(old, new, 1))
    assert str(tmp_path / "my.toml") in str(caught.value)
    return str(caught.value)


def test_dynapse2_has_the_published_architecture():
    chip = load_chip("dynapse2")
    # RP, H2, ON: 4 cores of 256 neurons, 64 synapse and 4 destination words, 11-bit tags, 14 latches.
    assert (chip.topology.cores_per_chip, chip.topology.neurons_per_core) == (4, 256)
    assert (chip.synapse.words_per_neuron, chip.routing.destinations, chip.routing.tag_bits) == (64, 4, 11)
    assert len(chip.neuron.latches) == 14
    # RP scaling table (48) and board code (4 more): 52 biases per core, 63 in all.
    assert sum(b.group == "core" for b in chip.biases.names.values()) == 52
    assert len(chip.biases.names) == 63


def test_every_number_of_the_builtin_chips_says_where_it_comes_from():
    for name in builtin_chips():
        chip = load_chip(name)
        for path in chip.paths:
            if not path.startswith("meta."):
                mark = chip.provenance(path)
                assert mark.tag is not None, path
                assert mark.source is not None, path


def test_provenance_is_inherited_and_overridden():
    chip = load_chip("dynapse2")
    assert chip.provenance("biases.names.SOIF_LEAK_N.scale").source == "RP"
    assert chip.provenance("biases.names.DEGA_REV_P.group").tag == "inferred"
    mem = chip.provenance("physics.profiles.A.c.mem")
    assert mem.tag == "verified"
    assert mem.alt == (("7.7 pF", "ON"),)


def test_physics_profiles_follow_the_sources():
    chip = load_chip("dynapse2")
    assert chip.model_physics("A").c["mem"] == pytest.approx(3e-12)  # RP defaults.py
    assert chip.model_physics("B").c["mem"] == pytest.approx(7.7e-12)  # ON
    with pytest.raises(InputError, match="no physics profile 'C'; there are A, B"):
        chip.model_physics("C")


def test_invented_chip_loads():
    chip = load_chip(INVENTED)
    assert (chip.name, chip.synapse.weight.bits, chip.tag_count) == ("invented", 6, 2**14)


def test_digest_follows_values_not_remarks(tmp_path):
    chip = load_chip("dynapse2")
    assert _load(tmp_path, "# a remark\n" + BUILTIN.replace('note = "gate"', "")).digest == chip.digest
    assert _load(tmp_path, BUILTIN.replace("scale = 0.61", "scale = 0.62")).digest != chip.digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tag_bits = 11", "tagbits = 11", r"unknown key 'tagbits' in \[routing\]; did you mean 'tag_bits'\?"),
        ("tag_bits = 11", "tagbits = 11", "routing.tag_bits: this key is missing"),
        ("neurons_per_core = 256", "neurons_per_core = -3", "neurons_per_core: input should be greater than 0"),
        ("neurons_per_core = 256", 'neurons_per_core = "many"', "topology.neurons_per_core.*not 'many'"),
        ("scale = 0.61", "scale = nan", "SOIF_LEAK_N.scale.*finite"),
        ("scale = 0.61", "scale = -1", "SOIF_LEAK_N.scale.*greater than 0"),
        ('i0 = "0.5 pA"', 'i0 = "0.5 pF"', "physics.profiles.A.i0.*unit must be A"),
        ("schema = 1", "schema = 7", "format 7; here format 1 is read"),
        ('tau = "SOIF_LEAK_N"', 'tau = "SOIF_LEEK_N"', "no bias 'SOIF_LEEK_N'; did you mean 'SOIF_LEAK_N'"),
        ('dc = "so_dc"', 'dc = "so_cd"', "no latch 'so_cd'; did you mean 'so_dc'"),
        ("bits = 4", "bits = 5", "4 currents for 5 bits"),
        ("value = [2047]", "value = [2048]", "tag 2048 is outside the 11-bit field"),
        ('tag = "measured"', 'tag = "measurd"', "'measurd' is no provenance.*did you mean 'measured'"),
        ('source = "ON"', 'source = "NO"', "source 'NO' is cited, but not in meta.sources"),
        ("law = \"blocks32\"", "law = \"linear_255\"", "law linear_255 needs 'full_scale' in branch n"),
        ("chips = 4\n", "chips = 3\n", "4 positions for 3 chips"),
        ("[limits]", "[limits", r"is not TOML.*line \d+"),
        ("words = 1", "words = 1.5", "routing.monitor.words"),
    ],
)  # fmt: skip
def test_problems_of_a_file_are_sentences(tmp_path, old, new, message):
    assert re.search(message, _refused(tmp_path, old, new))


def test_all_problems_of_a_file_are_told_at_once(tmp_path):
    text = BUILTIN.replace("tag_bits = 11", "tag_bits = 0").replace("destinations = 4", "destination = 4")
    with pytest.raises(InputError) as caught:
        _load(tmp_path, text)
    assert len(str(caught.value).splitlines()) == 3  # a bad number, an unknown key, a missing key


def test_unknown_chip_and_missing_file(tmp_path):
    with pytest.raises(InputError, match="did you mean 'dynapse2'"):
        load_chip("dynaps2")
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        load_chip(tmp_path / "none.toml")
