"""Derivatives of every kind of measure by every number of a ring oscillator, against differences of a tight run.

The ring is the smallest circuit that spikes by itself; its eleventh and later edges are looked at. The check is the
product's own: Rodas5P at 1e-9, two step sizes.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from analogsnn import cli
from analogsnn.circuit import Circuit
from analogsnn.errors import InputError
from analogsnn.measure import spike_time
from analogsnn.sensitivity import Check, check, checked_paths, kind, parameter_paths, read_measure, sensitivity
from analogsnn.sensitivity._check import _verdict
from analogsnn.simulation import read_deck
from analogsnn.transient import transient

DECK = Path(__file__).with_name("ring.cir")
# Each kind of measure, and of .meas.
MEASURES = (
    "spike_time(a, 12)", "interval(a, 11)", "rate(a)", "charge(vdd, 0.2u, 1u)", "mean(v(b), 0.2u, 1u)",
    "energy_per_spike(a)", "period", "width", "late", "middle", "drawn",
)  # fmt: skip
# Relative. Extremes (peak, trough, swing) are left out: they are the largest of points, whose differences are as coarse
# as the points are dense.
TOLERANCE = 5e-3
# Of times at which spikes are steep, by supply and temperature too: 1e-5 to 7e-5 was measured, and the differences are
# good to 3e-4. All others are as good as their differences, whose two steps disagree by 1e-3 to 3e-3 and, by supply and
# temperature, by more.
STEEP = ("spike_time(a, 12)", "period", "late")
STEEP_TOLERANCE = 1e-3
STEEP_STEPS = {"temp": 0.05, "vdd.dc": 2e-4}
# Of the check, which includes supply and temperature.
CHECKED = 2e-2
STEPS = {"c2.c": 2e-17, "x1.xn.dvt": 1e-4}
ASKED = ("spike_time(a, 12)", "drawn")


@pytest.fixture(scope="module")
def netlist():
    return read_deck(DECK)


@pytest.fixture(scope="module")
def circuit(netlist):
    return Circuit.from_netlist(netlist)


@pytest.fixture(scope="module")
def found(circuit):
    return sensitivity(circuit, ASKED)


@pytest.mark.validate_long
def test_every_measure_against_differences(circuit):
    """In forward mode, against differences of the whole table: two parameters up and down, of spike times four."""
    quantities = [read_measure(text, circuit.netlist) for text in MEASURES]

    def run(path, value, **settings):
        waves = transient(circuit.replace({path: value}), **settings)
        return [jnp.asarray(q.take(waves, circuit.netlist.params)) for q in quantities]

    wrong = {}
    for path, step in (STEPS | STEEP_STEPS).items():
        value = float(circuit[path])
        slopes = jax.jvp(lambda x, path=path: run(path, x), (value,), (1.0,))[1]
        late, early = (run(path, value + s, rtol=1e-9) for s in (step, -step))
        for text, slope, a, b in zip(MEASURES, slopes, late, early, strict=True):
            wanted = float(a - b) / (2 * step)
            if path in STEEP_STEPS and text not in STEEP:
                continue
            if float(slope) != pytest.approx(wanted, rel=STEEP_TOLERANCE if text in STEEP else TOLERANCE):
                wrong[text, path] = (float(slope), wanted, float(slope) / wanted - 1)
    assert not wrong, "\n".join(map(str, wrong.items()))


@pytest.mark.validate_long
def test_shared_numbers_have_the_sum(found):
    for slopes in found.measures.values():
        for shared, parts in {
            "param.load": [f"c{k}.c" for k in (1, 2, 3)],
            "param.vs": ["vdd.dc"],
            "param.wp": [f"x{k}.xp.w" for k in (1, 2, 3)],
            "x1.w": ["x1.xn.w"],
        }.items():
            total = sum(slopes.gradient[path] for path in parts)
            assert slopes.gradient[shared] == pytest.approx(total, rel=1e-9, abs=1e-30)


@pytest.mark.validate_long
def test_what_cannot_matter_is_exactly_zero(found):
    slopes = found.measures["spike_time(a, 12)"]
    assert {"iidle.dc", "ridle.r", "cidle.c"} <= set(slopes.zeros)
    assert "x1.xn.w" not in slopes.zeros
    assert slopes.relative["iidle.dc"] == 0.0
    assert slopes.ranked[0] not in slopes.zeros


@pytest.mark.validate_long
def test_the_check_and_the_command_line(found, tmp_path, monkeypatch, capsys):
    text = "spike_time(a, 12)"
    checked = check(
        dataclasses.replace(found, measures={text: found.measures[text]}), None, count=1, tolerance=CHECKED
    )[text]
    kinds = {kind(found.circuit, path) for path in checked}
    assert {
        "width",
        "length",
        "threshold",
        "current factor",
        "capacitor",
        "parameter",
        "supply",
        "temperature",
    } <= kinds
    assert {one.verdict for one in checked.values()} == {"agrees"}, checked
    # The same by the command line, which compiles nothing new; a tolerance that nothing can meet fails the check.
    words = ["sensitivity", str(DECK), *(word for text in ASKED for word in ("--of", text)), "--json",
             str(tmp_path / "o.json"), "--html", str(tmp_path / "o.html")]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["analogsnn", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr()
    assert caught.value.code == 0, said.err
    data = json.loads((tmp_path / "o.json").read_text())
    assert set(data["measures"]) == set(ASKED)
    entry = data["measures"]["spike_time(a, 12)"]
    assert entry["gradient"]["c2.c"] == pytest.approx(found.measures["spike_time(a, 12)"].gradient["c2.c"])
    assert set(entry) == {"value", "unit", "gradient", "relative", "zero", "check"}
    assert "cannot depend on (exactly zero): " in said.out
    page = (tmp_path / "o.html").read_text()
    assert "Which transistor matters" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_parameters_and_kinds(circuit):
    paths = parameter_paths(circuit)
    assert {"temp", "vdd.dc", "param.vs", "param.wp", "x1.w", "x1.xp.w", "x3.xn.dbt", "c2.c"} <= set(paths)
    assert "param.ekv_gmn" not in paths
    wanted = {
        "temp": "temperature", "vdd.dc": "supply", "param.vs": "parameter", "x1.w": "instance", "x1.xp.w": "width",
        "x1.xn.l": "length", "x3.xn.dvt": "threshold", "x3.xn.dbt": "current factor", "c2.c": "capacitor",
        "iidle.dc": "bias", "param.ekv_vtn": "card",
    }  # fmt: skip
    assert {path: kind(circuit, path) for path in wanted} == wanted


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("spike_tme(a, 1)", "there is no measure 'spike_tme'; did you mean 'spike_time'?"),
        ("spike_time(a)", "is not spike_time(node, k[, threshold])."),
        ("spike_time(a, 1.5)", "give a whole number"),
        ("spike_time(nope, 1)", "the deck has no node 'nope'"),
        ("charge(vd)", "the deck has no voltage source 'vd'; did you mean 'vdd'?"),
        ("value_at(a, soon)", "'soon' is neither a number nor a parameter of the deck."),
        ("perod", "the deck has no .meas tran 'perod'; did you mean 'period'?"),
        ("a b", "'a b' is no measure"),
        ("spike_time(a, 99)", "v(a) has 14 spikes at the threshold 250 mV"),
        ("spike_time(a, 3, 0.6)", "v(a) has no spike at the threshold 600 mV"),
        ("value_at(a, 1)", "asked for at 1, but it spans 0 to 1.3e-06 only."),
    ],
)
def test_bad_measures_are_sentences(circuit, text, sentence):
    with pytest.raises(InputError) as caught:
        sensitivity(circuit, [text])
    assert sentence in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(circuit):
    with pytest.raises(InputError) as caught:
        sensitivity(circuit, ["nope(a)", "spike_time(b, 1", "what"])
    assert len(str(caught.value).splitlines()) == 3


def test_one_measure_may_be_given_by_itself(circuit):
    with pytest.raises(InputError) as caught:
        sensitivity(circuit, "what")
    assert len(str(caught.value).splitlines()) == 1  # it was read letter by letter


def test_a_spike_that_grazes_is_refused(circuit):
    """A threshold a hair below the highest point: the value is there, its derivative is not."""
    waves = transient(circuit, 1e-7, save=["a"])
    top = float(waves.voltage("a").max())
    assert float(spike_time(waves, "a", 1, top - 2e-4)) > 0
    with pytest.raises(InputError, match=r"grazes the threshold: it goes .*V beyond it only.*infinite"):
        jax.grad(lambda c: spike_time(transient(circuit.replace({"c2.c": c}), 1e-7, save=["a"]), "a", 1, top - 2e-4))(
            20e-15
        )


def test_at_least_one_of_each_kind(circuit):
    class Fake:
        ranked = ("x1.xn.w", "x2.xn.w", "x3.xn.w", "temp", "x1.xn.l")

    assert checked_paths(circuit, Fake, 4) == ("x1.xn.w", "x2.xn.w", "temp", "x1.xn.l")  # type: ignore[arg-type]
    assert checked_paths(circuit, Fake, 1) == ("x1.xn.w", "temp", "x1.xn.l")  # type: ignore[arg-type]


def test_a_measure_that_bends_is_compared_with_what_both_steps_extrapolate_to():
    def difference(step: float) -> float:
        return 1 + 50 * step**2  # of a measure x + 50 x³, at 0

    whole, half = difference(1e-2), difference(5e-3)
    one = Check(1.0, whole, half, "")
    assert one.extrapolated == pytest.approx(1.0, rel=1e-12)
    assert _verdict(1.0, one.extrapolated, whole - half, 2e-4, 0.0, 0.0) == "agrees"
    assert _verdict(1.0, half, whole - half, 2e-4, 0.0, 0.0) == "undecided"
    assert _verdict(1.01, one.extrapolated, whole - half, 5e-3, 0.0, 0.0) == "differs"


def test_values_of_the_deck_may_be_written_as_in_it(netlist):
    assert read_measure("value_at(v(a), load*1e7)", netlist).nodes == ("a",)
    assert read_measure("charge(i(vdd))", netlist).nodes is None
    assert read_measure("period", netlist).nodes == ("a",)
    assert read_measure("drawn", netlist).nodes is None
