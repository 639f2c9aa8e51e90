"""Campaigns in one process: numbers, stores that go on, refusals."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.errors import InputError, SimulationError
from analogsnn.measure import spike_time
from analogsnn.mismatch import AreaLaw, Campaign, current_spread, draws, monte_carlo
from analogsnn.netlist import Netlist
from analogsnn.waveforms import Waveforms

from .decks import mirror

SAMPLES, WIDTH = 50, 8
SAME_EQUATIONS = 0.005  # relative, sample by sample, against ngspice: what is asked of both engines


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Netlist:
    return mirror(tmp_path_factory.mktemp("deck"))


@pytest.fixture(scope="module")
def unbroken(deck: Netlist) -> Campaign:
    return monte_carlo(deck, samples=SAMPLES, key=1, width=WIDTH)


def test_the_mirror_is_the_closed_form(deck: Netlist, unbroken: Campaign):
    shifts = draws(deck, 1, SAMPLES)
    kappa, ut = 1 / 1.30, 0.025865
    expected = np.exp(kappa / ut * (shifts["x1.dvt"] - shifts["x2.dvt"]))
    # At 2 nA of 522 nA, ln I is less steep by half the root of the ratio, 3 %; the shifts reach 4 sigma, 30 %.
    assert np.abs(unbroken["i_out"] / unbroken.nominal["i_out"] / expected - 1).max() < 0.02
    spread = unbroken.statistics["i_out"]
    assert spread.lognormal is not None
    sigma = np.sqrt(2) * current_spread(3.5e-9, 4e-12, kappa=kappa, ut=ut)
    assert abs(spread.lognormal.sigma / sigma - 1) < 4 / np.sqrt(2 * SAMPLES)  # four standard errors
    assert unbroken.failed == 0


def test_populations_average(unbroken: Campaign):
    found = unbroken.averaging("i_out", (1, 2, 5))
    values = unbroken["i_out"]
    assert found[1] == pytest.approx(unbroken.statistics["i_out"].cv, rel=1e-12)
    means = [values[k : k + 5].mean() for k in range(0, SAMPLES, 5)]
    assert found[5] == pytest.approx(np.std(means, ddof=1) / np.mean(means), rel=1e-12)
    # Independent samples average out as 1/√N: four standard errors of either spread
    assert abs(found[5] * np.sqrt(5) / found[1] - 1) < 4 * (1 / np.sqrt(2 * SAMPLES) + 1 / np.sqrt(2 * SAMPLES / 5))
    with pytest.raises(InputError, match="50 samples make 2 groups of 25; at least three are needed"):
        unbroken.averaging("i_out", (25,))
    with pytest.raises(InputError, match=r"no measure 'i_ot'"):
        unbroken.averaging("i_ot")


@pytest.fixture(scope="module")
def synapse() -> Netlist:
    return library.read_bench("dpi_synapse")


def test_the_synapse_is_that_of_the_table_and_of_ngspice(synapse: Netlist):
    """docs of the circuits: CV of steady state and time constant 11.3 and 5.2 % at 3.5 mV µm (100 BSIM3 runs)."""
    law = AreaLaw.from_card(synapse, ideal=("xb*",))
    chips = monte_carlo(synapse, ["i_ss", "tau"], samples=100, key=2, law=law)
    for name, reference in (("i_ss", 0.113), ("tau", 0.052)):
        found = chips.statistics[name]
        assert found.cv is not None
        # Two samples of 100: four standard errors of their difference, cv/sqrt(2 · 100) each.
        assert abs(found.cv - reference) < 4 * np.sqrt(2) * reference / np.sqrt(200)
    few = monte_carlo(synapse, ["i_ss", "tau"], samples=3, key=2, law=law, engine="ngspice", accuracy="reference")
    assert np.abs(few.values / chips.values[:3] - 1).max() < SAME_EQUATIONS
    assert np.array_equal(few.shifts()["x1.xsyn.dvt"], chips.shifts()["x1.xsyn.dvt"][:3])


def test_a_stopped_campaign_goes_on(deck: Netlist, unbroken: Campaign, tmp_path: Path):
    class Stop(Exception):
        pass

    def stop(done: int) -> None:
        if done >= 20:
            raise Stop

    folder = tmp_path / "store"
    with pytest.raises(Stop):
        monte_carlo(deck, samples=SAMPLES, key=1, width=WIDTH, folder=folder, progress=stop)
    # Half a file, as a kill in the middle of writing leaves it; and a mark whose values are lost.
    marks = sorted((folder / "marks").iterdir())
    assert len(marks) == 3
    values = folder / "samples.zarr" / "values" / "c" / "1" / "0"
    values.write_bytes(values.read_bytes()[:20])
    (folder / "samples.zarr" / "values" / "c" / "6").mkdir()
    (folder / "samples.zarr" / "values" / "c" / "6" / "0").write_bytes(b"half")
    (folder / "marks" / "000004.json.part").write_text('{"start"')
    seen: list[int] = []
    whole = monte_carlo(deck, samples=SAMPLES, key=1, width=WIDTH, folder=folder, progress=seen.append)
    assert seen == [16, 24, 32, 40, 48, 50]
    assert np.array_equal(whole.values, unbroken.values)
    # Nothing is left to do; and more samples of the same are an addition.
    seen.clear()
    monte_carlo(deck, samples=SAMPLES, key=1, width=WIDTH, folder=folder, progress=seen.append)
    assert seen == [SAMPLES]
    more = monte_carlo(deck, samples=SAMPLES + 9, key=1, width=WIDTH, folder=folder)
    assert np.array_equal(more.values[:SAMPLES], unbroken.values)
    assert more.samples == SAMPLES + 9


def test_stores_of_others_are_refused(deck: Netlist, tmp_path: Path):
    folder = tmp_path / "store"

    def run(netlist: Netlist = deck, **changes) -> None:
        monte_carlo(
            netlist, **{"samples": 8, "key": 1, "width": WIDTH, "folder": folder, "measure": "i_out", **changes}
        )

    run()
    other = deck.replace({"iref.dc": 3e-9})
    for refused, reason in (
        (lambda: run(other), r"of another deck \(or card, or parameter values\)"),
        (lambda: run(deck.replace({"param.ekv_nn": 1.31})), r"of another deck"),
        (lambda: run(key=2), r"with another random key"),
        (lambda: run(measure="v_in"), r"of other measures"),
        (lambda: run(law=AreaLaw(avt_n=5e-9)), r"with another mismatch law"),
        (lambda: run(width=4), r"with another chunk width \(8, now 4\)"),
        (lambda: run(rtol=1e-3), r"with other settings"),
        (lambda: run(engine="ngspice"), r"by another engine \(jax, now ngspice\)"),
    ):
        with pytest.raises(InputError, match=r"was made.*" + reason + r".*Choose another folder"):
            refused()
    record = json.loads((folder / "campaign.json").read_text())
    (folder / "campaign.json").write_text(json.dumps({**record, "version": "0.0.1"}))
    with pytest.raises(InputError, match=r"by another version of analogsnn \(0\.0\.1, now "):
        run()
    (tmp_path / "thesis.tex").write_text("not a store")
    with pytest.raises(InputError, match=r"holds other files \(store, thesis.tex\)"):
        run(folder=tmp_path)
    with pytest.raises(InputError, match="cannot be used as a store"):
        run(folder=tmp_path / "thesis.tex" / "store")


def test_a_full_disk_loses_nothing(deck: Netlist, unbroken: Campaign, tmp_path: Path):
    """The kernel refuses files over a limit, as it refuses blocks on a full disk."""
    folder = tmp_path / "store"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monte_carlo(deck, samples=WIDTH, key=1, width=WIDTH, folder=folder)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        (folder / "timing.jsonl").write_text("\n" * 900)  # the file that grows
        with pytest.raises(SimulationError, match=r"chunk \d could not be written .* chunks are safe there; make room"):
            monte_carlo(deck, samples=SAMPLES, key=1, width=WIDTH, folder=folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert np.array_equal(monte_carlo(deck, samples=SAMPLES, key=1, width=WIDTH, folder=folder).values, unbroken.values)


def test_samples_without_a_value_are_counted(synapse: Netlist, tmp_path: Path):
    """A threshold that half of the samples reach, as neurons of which some stay silent."""
    law, stop = AreaLaw.from_card(synapse, ideal=("xb*",)), 45e-3

    def last(waves: Waveforms) -> Any:
        return waves.voltage("x1.syn")[-1]  # recovering after the pulse

    level = float(monte_carlo(synapse, last, samples=1, law=law, t_stop=stop).nominal["last"])

    def first(waves: Waveforms) -> Any:
        return spike_time(waves, "x1.syn", 1, level - 1e-6)

    # Chunks smaller than what lanes go by
    chips = monte_carlo(synapse, {"first": first, "last": last}, samples=20, key=4, law=law, t_stop=stop, width=8)
    statistics = chips.statistics["first"]
    silent = int(np.isnan(chips["first"]).sum())
    assert 0 < silent < 20
    assert statistics.sentences() == [f"{silent} of 20 did not spike"]
    assert statistics.count == 20 - silent
    assert chips.failed == silent == len(chips.failures)
    assert "v(x1.syn) has no spike" in chips.failures[0].reason
    assert chips.statistics["last"].count == 20
    data = json.dumps(chips.to_dict(), allow_nan=False)
    assert f"{silent} of 20 did not spike" in data
    assert any(f"[{silent} of 20 did not spike]" in line for line in chips.lines())
    chips.write_html(tmp_path / "page.html", {"first": (0.0, 1.0)})
    page = (tmp_path / "page.html").read_text()
    assert f"first: {silent} of 20 did not spike." in page
    assert f"Within the specification of first: {20 - silent} of 20" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measure": "i_ot"}, r"mirror.cir has no measure 'i_ot'; there are i_out"),
        ({"engine": "hspice"}, r"there is no engine 'hspice'; there are jax, ngspice"),
        ({"samples": 0}, r"0 samples in chunks of 128"),
        ({"measure": lambda waves: spike_time(waves, "in", 1)}, r"'measure' has no value in the circuit without mism"),
        ({"workers": "dask://nowhere:1"}, r"the engine jax takes a number of workers"),
        ({"engine": "ngspice", "workers": "dask://127.0.0.1:9"}, r"no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_what_cannot_be(deck: Netlist, arguments: dict, message: str):
    with pytest.raises(InputError, match=message):
        monte_carlo(deck, **{"samples": 2, **arguments})


def test_a_circuit_with_values_of_its_own(deck: Netlist):
    circuit = Circuit.from_netlist(deck).replace({"iref.dc": 4e-9})
    assert monte_carlo(circuit, "i_out", samples=1).nominal["i_out"] == pytest.approx(4e-9, rel=0.05)  # Early effect


def test_a_dead_worker_is_said(deck: Netlist, tmp_path: Path):
    parent = os.getpid()

    def deadly(waves) -> float:
        if os.getpid() != parent:
            os.kill(os.getpid(), 9)
        return waves.voltage("in")[-1]

    with pytest.raises(SimulationError, match=r"a worker process died .* Finished chunks are safe; start again"):
        monte_carlo(deck, deadly, samples=4, key=1, engine="ngspice", workers=2, width=2, folder=tmp_path / "store")
