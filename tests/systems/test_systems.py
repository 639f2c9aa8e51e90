"""Each system in its reduced form: the numbers that do not need many chips, its page, and its network file."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import analogsnn.systems
from analogsnn import cli
from analogsnn._cli_example import write_files
from analogsnn.chips import compile
from analogsnn.errors import InputError
from analogsnn.network import read_network
from analogsnn.systems import SYSTEMS, Number, Result, run_system

EXAMPLES = Path(__file__).parents[2] / "examples" / "systems"
NETWORKS = [name for name in SYSTEMS if name != "attractor_softmax"]
# What must hold with few chips and short runs: the aims that do not depend on them, and limits of our own for the rest.
HOLDS: dict[str, dict[str, tuple[float, float]]] = {
    # Two chips that are not trimmed, with a quarter of the mismatch: zones and a flag each.
    # Nothing but self-excitation tells the attractor, which fires to the end of the run at 40 s, from the integrator:
    # exp(-40 s / 1.74 s) is 1e-10.
    "heart_rate": {"zone_accuracy": (0.85, 1.0), "attractor_alone": (40.0, 40.0), "integrator_alone": (0.0, 30.0),
                   "rises_flagged": (1.0, 1.0), "rises_flagged_early": (0.0, 0.0), "false_flags_flat": (0.0, 0.0)},
    # The rule's values from two implementations (see the sources in the result); the chips' move is the aim's 60 %.
    "predictive_plasticity": {
        "first_spike_before": (4.4, 5.0), "first_spike_after": (1.45, 2.05), "first_weight": (0.0922, 0.0940),
        "second_weight": (0.0074, 0.0274), "window_+5_ms": (1.68, 1.74), "window_-10_ms": (0.94, 1.0),
        "moved_on_chip": (0.6, 1.2),
    },
    # The aims; a reduced run learns on half the movies and has forty to judge, so that 5 % are two movies.
    "delay_motion": {"accuracy": (0.9, 1.0), "accuracy_on_chip": (0.75, 1.0), "delay_error": (0.0, 2.0)},
    # A few recorded trials: the relation must be there, the aim of 0.9 is for the full run.
    "reservoir_what_when": {"r2": (0.7, 1.0), "timing_error": (0.0, 60.0), "neurons_active": (0.5, 1.0)},
    # The starts lie 0.75 of their mean apart; after six rounds they are nearer. Ten beginnings say little of sigma.
    "critical_liquid": {"weight_by_start": (0.0, 0.55), "critical_weight": (15.0, 30.0),
                        "sigma_from_below": (-0.5, 1.5)},
    "gain_control": {"suppression": (0.0, 0.9), "repulsion": (0.3, 2.0), "suppression_on_chip": (0.0, 1.0)},
    "attractor_softmax": {
        "voltage_error": (0.0, 0.03), "voltage_error_ngspice": (0.0, 0.005), "current_error": (0.0, 0.03),
        "current_error_ngspice": (0.0, 0.005),
    },
}  # fmt: skip


@cache
def reduced(name: str) -> Result:
    return run_system(name, chips=2, seed=1, reduced=True)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_reduced_form_holds(name):
    result = reduced(name)
    for number, (low, high) in HOLDS[name].items():
        assert low <= result.numbers[number].value <= high, number


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_written(name, tmp_path):
    result = reduced(name)
    write_files(tmp_path, result)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for part in ("The numbers", "What this does not show", *(p.section for p in result.pictures)):
        assert part in page
    record = result.record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    for number in record["numbers"].values():
        assert {"value", "spread", "target", "met", "source"} <= number.keys()
        assert (number["target"] is None) == (number["met"] is None)
        assert number["met"] is None or number["source"]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_file_is_the_network(name, tmp_path):
    result = reduced(name)
    write_files(tmp_path, result)
    assert result.network is not None
    read = read_network(tmp_path / "network.toml").network
    assert read.populations == result.network.populations
    assert read.inputs == result.network.inputs
    assert _synapses(read) == _synapses(result.network)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_kept_network_file_compiles(name):
    network = read_network(EXAMPLES / name / "network.toml").network
    mapping = compile(network, "dynapse2", time_limit=0.0)
    assert mapping.network.synapse_count == network.synapse_count


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_readme_has_the_recorded_numbers(name):
    kept = json.loads((EXAMPLES / name / "result.json").read_text(encoding="utf-8"))
    readme = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    assert set(reduced(name).numbers) <= set(kept["numbers"])
    for number in kept["numbers"].values():
        row = re.search(rf"^\| {re.escape(number['text'])} \| (\S+)", readme, re.M)
        assert row is not None, number["text"]
        assert float(row[1]) == pytest.approx(number["value"], rel=0.01)
    gallery = (EXAMPLES.parents[1] / "docs" / "systems.md").read_text(encoding="utf-8")
    assert f"figures/systems/{name}.png" in gallery
    assert (EXAMPLES.parents[1] / "docs" / "figures" / "systems" / f"{name}.png").is_file()


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(analogsnn.systems, "run_system", lambda name, chips, seed: reduced(name))
    out = tmp_path / "out.json"
    monkeypatch.setattr("sys.argv", ["analogsnn", "example", "gain_control", "--chips", "2", "--json", str(out)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    data = json.loads(out.read_text())
    assert data["command"] == "example"
    assert data["error"] is None
    assert set(data["numbers"]) == set(reduced("gain_control").numbers)
    assert "target ≤ 1: met" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["gain_contol"], "There is no example 'gain_contol'; did you mean 'gain_control'?"),
        (["nosuch"], "There is no example 'nosuch'; there are heart_rate, "),
        (["gain_control", "--chips", "0"], "--chips"),
        (["gain_control", "--chips", "-3"], "--chips"),
        (["gain_control", "--out", "FILE"], "cannot be written: File exists."),
        (["gain_control", "--out", "FILE/below"], "cannot be written: Not a directory."),
        (["gain_control", "--json", "."], "cannot be written: it is a folder. Name a file."),
    ],
)
def test_nonsense_is_refused_before_anything_runs(words, sentence, run, tmp_path):
    file = tmp_path / "file"
    file.write_text("a file")
    status, out, err = run("example", *(w.replace("FILE", str(file)) for w in words))
    assert (status, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert file.read_text() == "a file"


def test_an_unknown_name_makes_no_folder(run, tmp_path):
    out = tmp_path / "out"
    status, _, err = run("example", "nosuch", "--out", str(out), "--json", str(out / "deep" / "numbers.json"))
    assert status == 2
    assert "There is no example 'nosuch'" in err
    assert not out.exists()


def test_an_unknown_name():
    with pytest.raises(InputError, match="no example 'delay_motoin'; did you mean 'delay_motion'"):
        run_system("delay_motoin")


def test_numbers_and_their_targets():
    number = Number.over([1.0, float("nan"), 3.0, 2.0], "chips", "Hz", "rate", least=1.5, most=2.5, source="ours")
    assert number.value == 2.0
    assert number.spread == {
        "std": pytest.approx(np.std([1, 2, 3])),
        "low": 1.0,
        "high": 3.0,
        "count": 3,
        "over": "chips",
    }
    assert number.met
    nothing = Number.over([float("nan")], "chips", "Hz", "rate", least=0.0, source="ours")
    assert nothing.met is False
    assert nothing.record()["value"] is None
    assert Number(1.0, "1", "no target").met is None


def _synapses(network) -> list[tuple]:
    rows = []
    for c in network.connections:
        rows += [
            (c.source, c.target, c.synapse, c.delay, c.stp, *pair, weight)
            for pair, weight in zip(c.pairs.tolist(), c.weight.tolist(), strict=True)
        ]
    return sorted(rows)
