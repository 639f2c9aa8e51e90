"""The EKV card in ngspice against its equations, with every term on, over voltages and temperatures."""

from __future__ import annotations

import itertools

import pytest

from analogsnn import library, ngspice
from analogsnn.netlist import read_netlist_text
from analogsnn.ngspice import ekv_current

CARD = {
    "ekv_nn": 1.3, "ekv_np": 1.35, "ekv_vtn": 0.45, "ekv_vtp": 0.45, "ekv_kpn": 300e-6, "ekv_kpp": 70e-6,
    "ekv_ven": 1e7, "ekv_vep": 1e7, "ekv_ut": 0.025865, "ekv_eps": 1e-3, "ekv_tcvn": 1e-3, "ekv_tcvp": 1e-3,
    "ekv_gmn": 0.0, "ekv_gmp": 0.0, "ekv_phn": 0.8, "ekv_php": 0.8, "ekv_thn": 0.0, "ekv_thp": 0.0,
    "ekv_dibn": 0.0, "ekv_dibp": 0.0,
}  # fmt: skip
TERMS = {
    "plain": {},
    "body": {"ekv_gmn": 0.2, "ekv_gmp": 0.1},
    "mobility": {"ekv_thn": 0.3, "ekv_thp": 0.2},
    "dibl": {"ekv_dibn": 2e-8, "ekv_dibp": 1e-8},
    "steeper": {"ekv_bkn": 0.1, "ekv_bkp": 0.2, "ekv_nsn": 0.15, "ekv_nsp": 0.1},
    "field": {"ekv_thbn": 0.5, "ekv_thbp": 0.8},
    "knee": {"ekv_kwn": 0.6, "ekv_kwp": 0.4, "ekv_cwn": 0.4, "ekv_cwp": 0.3},
    "length": {
        "ekv_vln": 4e-8,
        "ekv_vlp": 3e-8,
        "ekv_vlln": -4e-15,
        "ekv_vllp": -3e-15,
        "ekv_nln": -2e-9,
        "ekv_nlp": -3e-9,
        "ekv_lamn": 0.02,
        "ekv_lamp": 0.01,
    },
    "temperature": {
        "ekv_tcnn": -0.03,
        "ekv_tcnp": 0.02,
        "ekv_bexn": -1.1,
        "ekv_bexp": -1.7,
        "ekv_tbkn": 0.1,
        "ekv_tbkp": -0.05,
    },
}
TERMS["all"] = {name: value for terms in TERMS.values() for name, value in terms.items()}
POINTS = [(0.4, 0.0, 0.9), (0.2, 0.0, 0.05), (0.7, 0.3, 0.1), (1.8, 0.0, 1.8), (0.5, 0.2, 0.2001), (0.3, -0.1, 0.6)]


# Away from 27 °C those that have laws of temperature, and all together: a deck takes a second, most of it to read.
CASES = [(terms, 27.0) for terms in TERMS]
CASES += [(terms, celsius) for terms in ("plain", "temperature", "all") for celsius in (-20.0, 85.0)]


@pytest.mark.parametrize(("terms", "celsius"), CASES)
def test_agrees_with_its_equations(terms, celsius):
    card = {**CARD, **TERMS[terms]}
    deck = ["t", ".include circuits/cards/ekv.lib", f".temp {celsius}"]
    deck += [f".param {name}={value}" for name, value in TERMS[terms].items()]
    wanted = {}
    for number, (polarity, point) in enumerate(itertools.product("np", POINTS)):
        sign = 1 if polarity == "n" else -1
        gate, source, drain = point
        deck += [f"V{node}{number} {node}{number} 0 {sign * value}" for node, value in zip("gsd", point, strict=True)]
        deck.append(f"X{number} d{number} g{number} s{number} 0 {polarity}fet W=3u L=0.7u dvt=4m dbt=-0.05")
        wanted[f"vd{number}"] = -sign * ekv_current(
            card, polarity, w=3e-6, l=0.7e-6, vgb=gate, vsb=source, vdb=drain, dvt=4e-3, dbt=-0.05, celsius=celsius
        )
    netlist = read_netlist_text("\n".join([*deck, ".op", ""]), str(library.root() / "t.cir"), library.root())
    waves = ngspice.operating_point(netlist, options={"gmin": 1e-20, "abstol": 1e-20, "reltol": 1e-8})
    got = {name: waves.current(name)[0] for name in wanted}
    assert got == {name: pytest.approx(value, rel=1e-9, abs=1e-19) for name, value in wanted.items()}


def test_currents_of_the_card():
    # |V_GS| 0, 0.2, 0.4, 0.6, 1.8 V at |V_DS| 0.9 V, W/L 2u/2u, 27 °C: the numbers of the card's header
    wanted = {
        "n": [8.392496e-13, 3.141862e-10, 8.249810e-8, 2.966985e-6, 2.156481e-4],
        "p": [3.337135e-13, 9.991316e-11, 2.092115e-8, 6.738597e-7, 4.881104e-5],
    }
    for polarity, currents in wanted.items():
        got = [ekv_current(CARD, polarity, w=2e-6, l=2e-6, vgb=v, vsb=0.0, vdb=0.9) for v in (0, 0.2, 0.4, 0.6, 1.8)]
        assert got == pytest.approx(currents, rel=1e-6)


def test_temperature_laws():
    def current(vgb: float, celsius: float) -> float:
        return ekv_current(CARD, "n", w=2e-6, l=2e-6, vgb=vgb, vsb=0.0, vdb=0.9, celsius=celsius)

    # The off-current doubles every 8 to 12 K; far above threshold mobility wins and the current falls.
    assert 2 ** (10 / 12) < current(0.0, 37.0) / current(0.0, 27.0) < 2 ** (10 / 8)
    assert current(1.8, 85.0) < current(1.8, 27.0)
