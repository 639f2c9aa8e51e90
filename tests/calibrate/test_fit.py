"""Fits: known answers come back with honest errors, and what cannot be fitted is said."""

from __future__ import annotations

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from analogsnn.calibrate import FitWarning, Parameter, Target, fit
from analogsnn.calibrate._fit_spec import _netlist, _Spec
from analogsnn.calibrate._problem import Counter, Problem, runs_of
from analogsnn.calibrate._targets import read_columns
from analogsnn.circuit import Circuit, use_float64
from analogsnn.documents import read_toml
from analogsnn.errors import InputError
from analogsnn.netlist import read_netlist
from analogsnn.transient import transient
from analogsnn.waveforms import Waveforms

use_float64()

TIMES = np.linspace(0.0, 5e-3, 400)
RECORDED = np.linspace(0.1e-3, 4.9e-3, 120)
SIGMA = 2e-3
A, TAU = 0.8, 1.3e-3


def decay(values):
    """A model as a fit sees it: v = a e^(-t/tau), and a parameter that does nothing."""
    v = values.get("a", A) * jnp.exp(-TIMES / values.get("tau", TAU)) + 0.0 * values.get("idle", 0.0)
    return Waveforms(
        time=TIMES, voltages=v[None], nodes=("out",), currents=np.zeros((0, TIMES.size)), branches=(), supply=1.0
    )


def recording(seed: int = 0) -> np.ndarray:
    noise = SIGMA * np.random.default_rng(seed).standard_normal(RECORDED.size)
    return A * np.exp(-RECORDED / TAU) + noise


def target(values=None, **more):
    return Target("trace", "out", recording() if values is None else values, RECORDED, sigma=SIGMA, **more)


BOTH = [Parameter("a", 0.1, 10.0, 0.3), Parameter("tau", 1e-4, 1e-2, 5e-3)]


def test_values_come_back_with_their_errors():
    # Errors against the closed form: Cov = sigma^2 (J'J)^-1 with J of the exponential itself
    done = fit(decay, [target()], BOTH)
    e = np.exp(-RECORDED / TAU)
    exact = np.stack([e, A * e * RECORDED / TAU**2])
    wanted = SIGMA * np.sqrt(np.diag(np.linalg.inv(exact @ exact.T)))
    for name, truth, stderr in (("a", A, wanted[0]), ("tau", TAU, wanted[1])):
        p = done.parameters[name]
        assert p.stderr == pytest.approx(stderr, rel=0.02)  # the Jacobian stands at the fit, not at the truth
        assert abs(p.value - truth) < 4 * stderr
        assert (p.identifiable, p.at_bound) == (True, False)
    assert done.ok
    # 120 residuals, 2 parameters: chi squared of 118, within four standard deviations of sqrt(2 * 118)
    assert 2 * done.cost_after == pytest.approx(118, abs=4 * math.sqrt(2 * 118))
    assert done.cost_before > 100 * done.cost_after
    assert done.history[-1] == pytest.approx(done.cost_after)


def test_a_bound_is_never_silent():
    with pytest.warns(FitWarning, match="'tau' ends at a bound, 0.001"):
        done = fit(decay, [target()], [BOTH[0], Parameter("tau", 1e-4, 1e-3, 5e-4)])
    assert done.parameters["tau"].at_bound
    assert not done.ok


def test_what_cannot_be_separated_is_named():
    def product(values):
        return decay({"a": values["gain"] * values["load"], "tau": values["tau"]})

    parameters = [Parameter("gain", 0.1, 10, 2.0), Parameter("load", 0.1, 10, 0.5), BOTH[1]]
    with pytest.warns(FitWarning) as caught:
        done = fit(product, [target()], parameters)
    said = [str(warning.message) for warning in caught]
    assert "the data cannot separate gain, load: only a combination." in said
    assert any(text.startswith("the data do not tell 'load'") for text in said)
    assert done.inseparable == (("gain", "load"),)
    assert not done.parameters["gain"].identifiable
    assert done.parameters["tau"].identifiable
    assert done.parameters["gain"].value * done.parameters["load"].value == pytest.approx(A, rel=0.01)


def test_chips_share_what_is_shared():
    data = [
        Target("trace", "out", a * np.exp(-RECORDED / TAU), RECORDED, sigma=SIGMA, chip=chip)
        for chip, a in (("x", 0.5), ("y", 0.9))
    ]
    done = fit(decay, data, [Parameter("a", 0.1, 10, 0.3, per_chip=True), BOTH[1]])
    found = {name: p.value for name, p in done.parameters.items()}
    assert found == pytest.approx(
        {"a@x": 0.5, "a@y": 0.9, "tau": TAU}, rel=1e-4
    )  # straight lines between the model's points


def test_a_search_that_is_ended_says_so():
    with pytest.warns(FitWarning, match="ended after"):
        done = fit(decay, [target()], BOTH, max_runs=6)
    assert not done.finished
    assert done.cost_after <= done.cost_before


def test_other_starts_are_tried():
    """From the first start a sine's frequency is caught by a wrong minimum."""

    def sine(values):
        v = jnp.sin(2 * np.pi * values["f"] * TIMES)
        return Waveforms(time=TIMES, voltages=v[None], nodes=("out",), currents=np.zeros((0, 400)), branches=())

    data = Target("trace", "out", np.interp(RECORDED, TIMES, np.sin(2 * np.pi * 700 * TIMES)), RECORDED, sigma=0.01)
    frequency = [Parameter("f", 400.0, 1500.0, 1300.0)]
    assert fit(sine, [data], frequency, grow=False).parameters["f"].value != pytest.approx(700, rel=0.1)
    assert fit(sine, [data], frequency, grow=False, starts=6).parameters["f"].value == pytest.approx(700, rel=1e-6)


def test_a_factor_of_a_thousand_is_suspected_aloud():
    with pytest.warns(FitWarning, match="about 1000 times those of the simulation"):
        fit(decay, [Target("trace", "out", 1e3 * recording(), RECORDED)], [Parameter("a", 0.1, 1e4, 0.7), BOTH[1]])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Target("trace", "out", [1.0, 2.0], [0.2, 0.1]), "the times do not ascend"),
        (lambda: Target("trace", "out", [1.0, np.nan], [0.1, 0.2]), r"values\[1\] is nan"),
        (lambda: Target("trace", "out", [1.0], [0.1, 0.2]), "needs as many times as values"),
        (lambda: Target("trail", "out", [1.0]), "there is no target of kind 'trail'"),
        (lambda: Target("fi", "spk", [1.0], [1e-9]), "needs sweep"),
        (lambda: Target("measure", "tau", [1.0], sigma=0.0), "sigma must be positive"),
        (lambda: Target("measure", "tau", [1.0, 2.0]), "has 2 values, and a run gives one"),
        (lambda: fit(decay, [Target("fi", "out", [1.0], [1.0], sweep="a")], BOTH), "sweeps 'a', which is to be fitted"),
        (lambda: Parameter("a", 2.0, 1.0), "min must be below max"),
        (lambda: Parameter("a", -1.0, 1.0), "has no logarithm"),
        (lambda: fit(decay, [], BOTH), "at least one target"),
        (lambda: fit(decay, [target()], [Parameter("a", 1.0, 2.0, 5.0), BOTH[1]]), "lies outside its bounds"),
        (lambda: fit(decay, [target()], [*BOTH, Parameter("idle", 1.0, 2.0)]), "'idle' moves none of the targets"),
        (lambda: fit(decay, [target()], [Parameter("idle", 1.0, 2.0)]), "none of idle moves it at the start"),
    ],
)
def test_bad_input(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


def test_gaps_are_said():
    with pytest.warns(FitWarning, match="has 1 gap, the first from 0.002 to 1 s"):
        Target("trace", "out", np.ones(4), [0.0, 0.001, 0.002, 1.0])


DECK = """low pass
.param vin=1.2
Vdd vdd 0 1.8
Vin in 0 PULSE(0 {vin} 0.1m 1u 1u 10 20)
R1 in out 20k
C1 out 0 30n
.tran 10u 3m
.meas tran late find v(out) at=2.9m
.end
"""


@pytest.fixture
def folder(tmp_path):
    """A deck whose R C is 0.6 ms, and a recording of one of 0.9 ms and 1 V, in closed form."""
    (tmp_path / "deck.cir").write_text(DECK)
    t = np.linspace(0.2e-3, 2.9e-3, 60)
    v = 1.0 * (1 - np.exp(-(t - 0.1005e-3) / 0.9e-3))
    np.savetxt(tmp_path / "out.csv", np.stack([t, v], 1), delimiter=",", header="time,out", comments="")
    return tmp_path


SPEC = """deck = "deck.cir"
[parameters."c1.c"]
min = 5e-9
max = 500e-9
[parameters."param.vin"]
min = 0.1
max = 5.0
log = false
[[target]]
kind = "trace"
node = "out"
file = "out.csv"
sigma = 1e-3
"""


def test_command_fits_a_circuit(run, folder):
    (folder / "spec.toml").write_text(SPEC)
    status, out, err = run("fit", folder / "spec.toml", "--json", folder / "o.json", "--html", folder / "o.html")
    assert (status, "cost" in out) == (0, True), err
    found = json.loads((folder / "o.json").read_text())
    # What the recording was written with; edges of a microsecond count as their middle
    assert found["parameters"]["c1.c"]["value"] == pytest.approx(45e-9, rel=1e-3)
    assert found["parameters"]["param.vin"]["value"] == pytest.approx(1.0, rel=1e-3)
    assert {"cost_before", "cost_after", "simulator_runs"} <= set(found)
    assert "Convergence" in (folder / "o.html").read_text()


def test_a_value_and_its_derivatives_are_one_run(folder):
    circuit = Circuit.from_netlist(read_netlist(folder / "deck.cir"))
    t, v = np.loadtxt(folder / "out.csv", delimiter=",", skiprows=1).T
    targets = [Target("trace", "out", v, t, sigma=1e-3)]
    parameters = [Parameter("c1.c", 5e-9, 500e-9), Parameter("param.vin", 0.1, 5.0, log=False)]
    counter = Counter()
    kept = Problem(runs_of(circuit, targets, None, "reference", counter), (), {}, targets, parameters, [""], counter)

    def again(values):
        return transient(circuit.replace(values), targets[0].axis[-1] * 1.02, save=["out"], save_at=targets[0].axis)

    anew = Problem(again, (), {}, targets, parameters, [""], Counter())
    x = np.array([0.4, 0.3])
    assert kept.cost(x) == anew.cost(x)
    np.testing.assert_array_equal(kept.jacobian(x), anew.jacobian(x))
    assert counter.runs == 1


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        (('"param.vin"]\nmin = 0.1\nmax = 5.0', '"param.vin"]\nmin = 1.1\nmax = 5.0'), 1, "ends at a bound"),
        (('node = "out"', 'node = "ouch"'), 2, "no node of that name; there are vdd, in, out"),
        (('node = "out"', 'node = "in"'), 2, "'c1.c' moves none of the targets; leave it out"),
        (('file = "out.csv"', 'file = "no.csv"'), 2, "no.csv: cannot be read"),
        (("min = 5e-9", "min = 5e-9\nmid = 3"), 2, "unknown key 'mid'"),
        (("min = 5e-9", "min = 50e-9"), 2, "lies outside its bounds"),
        (('"c1.c"', '"c2.c"'), 2, "no parameter 'c2.c'; did you mean c1.c"),
        (('deck = "deck.cir"', 'deck = "deck.cir"\ncard = "bsim3"'), 2, "card = needs exactly one"),
        (('deck = "deck.cir"', 'deck = "deck.cir"\ncard = "bsim9"'), 2, "there is no card 'bsim9'; there are"),
        (('kind = "trace"\nnode = "out"', 'kind = "fi"\nnode = "out"'), 2, "needs sweep"),
        (("sigma = 1e-3", "sigma = 1e-3\n[options]\nprecision = 0"), 2, "options.precision"),
        (('"out.csv"', '"out.csv"\ncolumns = ["time", "v"]'), 2, "there is no column 'v'; there are time, out"),
    ],
)
def test_command_says_what_is_wrong(run, folder, change, status, sentence):
    assert change[0] in SPEC
    (folder / "spec.toml").write_text(SPEC.replace(*change))
    code, _, err = run("fit", folder / "spec.toml")
    assert (code, sentence in err) == (status, True), err


def test_netcdf_gives_its_coordinate_and_then_its_values(tmp_path):
    v = recording()
    data = xarray.Dataset({"flag": ("time", np.ones(RECORDED.size)), "v": ("time", v)}, {"time": RECORDED})
    data.to_netcdf(tmp_path / "two.nc", engine="h5netcdf")
    time, named = read_columns(tmp_path / "two.nc", ["time", "v"], 2)
    np.testing.assert_array_equal(time, RECORDED)
    np.testing.assert_array_equal(named, v)
    data[["v"]].to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    for found, wanted in zip(read_columns(tmp_path / "one.nc", None, 2), (RECORDED, v), strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(InputError, match="there is no variable 'w'; there are time, v"):
        read_columns(tmp_path / "one.nc", ["time", "w"], 2)
    (tmp_path / "no.nc").write_text("time,v")
    with pytest.raises(InputError, match="cannot be read as netCDF"):
        read_columns(tmp_path / "no.nc", None, 2)


def test_a_measure_of_the_deck(folder):
    netlist = read_netlist(folder / "deck.cir")
    t = np.linspace(0, 3e-3, 301)
    waves = Waveforms(
        time=t, voltages=(t / 3e-3)[None], nodes=("out",), currents=np.zeros((0, t.size)), branches=(), supply=1.8
    )
    found = Target("measure", "late", [0.9]).simulated(waves, netlist.measures, netlist.params)
    assert found == pytest.approx([2.9 / 3])
    with pytest.raises(InputError, match=r"no \.meas of that name; it has late"):
        Target("measure", "lat", [0.9]).simulated(waves, netlist.measures, netlist.params)


def test_another_card_takes_the_place_of_the_deck_s(folder):
    lib = "\n.include circuits/cards/bsim3.lib\nX1 out out 0 0 nfet W=2u L=2u"
    (folder / "deck.cir").write_text(DECK.replace("\nR1", lib + "\nR1"))
    (folder / "spec.toml").write_text('card = "ekv"\n' + SPEC)
    netlist = _netlist(folder / "spec.toml", _Spec.model_validate(read_toml(folder / "spec.toml")))
    assert "ekv_nn" in netlist.params


@pytest.mark.parametrize(
    ("factor", "said"), [(1e3, "Is it in ms?"), (1e-3, "1/1034 of the run of 0.003 s. Look at the")]
)
def test_times_that_are_off_by_a_thousand_are_suspected(run, folder, factor, said):
    t, v = np.loadtxt(folder / "out.csv", delimiter=",", skiprows=1).T
    np.savetxt(folder / "out.csv", np.stack([factor * t, v], 1), delimiter=",")
    (folder / "spec.toml").write_text(SPEC)
    code, _, err = run("fit", folder / "spec.toml")
    assert (code, said in err) == (2, True), err
