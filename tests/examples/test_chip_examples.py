"""The examples about chips run and show what they say."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from analogsnn.chips import Configuration, decode, load_chip
from analogsnn.heart_rate import heart_rate_network

FOLDER = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    if str(FOLDER) not in sys.path:  # what stands beside a script can be imported from it
        sys.path.append(str(FOLDER))
    spec = importlib.util.spec_from_file_location("example", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_2000_neurons_on_four_chips(tmp_path, capsys):
    load("40_four_chips").main(tmp_path)
    said = capsys.readouterr().out
    assert "2000 neurons, 60800 synapses on 16 cores" in said
    assert int(re.search(r"(\d+) spikes", said)[1]) > 100  # type: ignore[index]
    configuration = Configuration.load(tmp_path / "four_chips.json")
    assert decode(configuration, load_chip("dynapse2")).synapse_count == 60800
    page = (tmp_path / "four_chips.html").read_text(encoding="utf-8")
    for part in ("The board", "Biases", "Weights", "Where every neuron is", "exc15"):
        assert part in page


def test_the_heart_rate_network_on_three_chips(capsys):
    load("41_invented_chip").main()
    said = capsys.readouterr().out
    assert f"dynapse2: {heart_rate_network(5).size} neurons on 1 core" in said
    assert f"invented: {heart_rate_network(5).size} neurons on 1 core" in said
    assert "dynapse1 cannot have it" in said
    for reason in ("fixed_quantity", "time_constant", "cam_words"):
        assert reason in said


def test_nothing_about_dynap_is_hard_wired():
    chip = load_chip(FOLDER / "invented_chip.toml")
    assert (chip.topology.cores_per_chip, chip.topology.neurons_per_core) == (6, 192)
    assert (chip.routing.tag_bits, chip.synapse.weight.bits, chip.synapse.delays) == (13, 6, ())
    assert all(chip.provenance(p).tag is not None for p in chip.paths if not p.startswith("meta."))
