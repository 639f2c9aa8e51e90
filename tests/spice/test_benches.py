"""Every bench, on both cards, gives the numbers of `spice/expected/`: of a tighter run, and of theory."""

from __future__ import annotations

import math
import re

import pytest

from analogsnn import library, ngspice
from analogsnn.measure import evaluate_measures
from analogsnn.netlist import Tran

CASES = [(bench, card) for bench in library.benches() for card in library.cards()]


def compare(name: str, card: str, got: dict[str, float | None], *, long: bool) -> None:
    wrong, checked = [], 0
    expected = library.expected(name)
    for table in (card, "closed_form", f"closed_form_{card}"):
        for measure, entry in expected.get(table, {}).items():
            if entry.get("long", False) and not long:
                continue
            value, limit = entry["value"], entry["tolerance"] * abs(entry["value"])
            checked += 1
            found = got[measure]
            if found is None or not abs(float(found) - value) <= max(limit, entry.get("absolute", 0.0)):
                wrong.append(f"{measure}: {found} instead of {value:g} ± {limit:g} ({entry['reason']})")
    assert checked >= 3
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("name", "card"), CASES)
def test_gives_its_numbers(name, card):
    netlist = library.read_bench(name, card=card)
    short = library.expected(name).get("short")
    waves = ngspice.run(netlist) if short is None else ngspice.transient(netlist, short)
    compare(name, card, evaluate_measures(waves, netlist.measures, netlist.params, strict=short is None), long=False)


@pytest.mark.validate_long
@pytest.mark.parametrize(("name", "card"), CASES)
def test_gives_its_numbers_in_full(name, card):
    netlist = library.read_bench(name, card=card)
    waves = ngspice.run(netlist, options={"reltol": 1e-5}, timeout=1800.0)
    compare(name, card, evaluate_measures(waves, netlist.measures, netlist.params), long=True)


@pytest.mark.parametrize("name", library.benches())
def test_expected_numbers_cover_the_bench(name):
    head, expected = library.bench(name), library.expected(name)
    assert expected["block"] == head.block
    assert head.block in library.blocks()
    for card in library.cards():
        assert set(expected[card]) == set(head.measures)
        for entry in expected[card].values():
            assert math.isfinite(entry["value"])
            assert entry["tolerance"] > 0
            assert entry["reason"]
    for table in ("closed_form", *(f"closed_form_{card}" for card in library.cards())):
        assert set(expected.get(table, {})) <= set(head.measures)


@pytest.mark.parametrize("name", library.benches())
def test_bench_holds_analyses_only(name):
    text = library.bench_path(name).read_text()
    assert not re.search(r"(?i)^\.control|^\.print|^\.plot", text, re.M)
    netlist = library.read_bench(name)
    assert len(netlist.analyses) == 1
    assert {m.name for m in netlist.measures} >= set(library.bench(name).measures)


def test_every_block_has_a_bench():
    benched = {library.bench(name).block for name in library.benches()}
    blocks = {name for name, block in library.blocks().items() if block.kind == "block"}
    assert benched == blocks
    assert len(blocks) == 12


def test_reference_circuit_is_the_one_agreed_on():
    netlist = library.read_bench("adexp_neuron")
    values = {"param." + k: float(v) for k, v in netlist.params.items() if not k.startswith(("ekv_", "pelgrom_"))}
    wanted = {
        "iin": 200e-12, "iref": 200e-12, "itau": 20e-12, "ithr": 20e-12, "ipw": 200e-9, "iahpw": 500e-12,
        "iahptau": 2e-12, "iahpgain": 2e-12,
    }  # fmt: skip
    assert values == {f"param.{k}": pytest.approx(v) for k, v in wanted.items()}
    devices = netlist.flatten({"nfet", "pfet"}).elements
    assert sum(d.letter == "x" and d.name.startswith("x1.") for d in devices) == 25
    (tran,) = netlist.analyses
    assert isinstance(tran, Tran)
    assert tran.stop == 0.1
