"""Draws: what the area law says, and addresses that hold wherever a sample is drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from analogsnn import library
from analogsnn.errors import InputError
from analogsnn.mismatch import AreaLaw, current_spread, draws, standard_normals, transistors
from analogsnn.netlist import Netlist

from .decks import MIRROR, mirror

N = 4000
# Four standard errors of a standard deviation, sigma/sqrt(2 N), and of a correlation, 1/sqrt(N).
SPREAD = 4 / np.sqrt(2 * N)
CORRELATION = 4 / np.sqrt(N)


@pytest.fixture(scope="module")
def synapse() -> Netlist:
    return library.read_bench("dpi_synapse")


def test_the_area_law(synapse: Netlist):
    law = AreaLaw.from_card(synapse, ideal=("xb*",), abeta_n=1e-8, abeta_p=0.0)
    devices = {t.path: t for t in transistors(synapse, law)}
    assert list(devices) == ["x1.xpre", "x1.xw", "x1.xin", "x1.xthr", "x1.xtau", "x1.xsyn"]
    # 3.5 mV µm on 2 µm × 2 µm is 1.75 mV; on 1 µm × 0.5 µm 4.95 mV; 1 % µm on 4 µm² is 0.5 %.
    assert law.sigma_vt(devices["x1.xsyn"]) == pytest.approx(1.75e-3, rel=1e-12)
    assert law.sigma_vt(devices["x1.xpre"]) == pytest.approx(3.5e-3 / np.sqrt(0.5), rel=1e-12)
    shifts = draws(synapse, 1, N, law)
    assert sorted(p for p in shifts if p.endswith("dbt")) == [f"x1.x{d}.dbt" for d in ("in", "pre", "thr", "w")]
    for path, shift in shifts.items():
        device = devices[path.rpartition(".")[0]]
        sigma = law.sigma_vt(device) if path.endswith("dvt") else law.sigma_beta(device)
        assert abs(shift.std() / sigma - 1) < SPREAD
        assert abs(shift.mean()) < 4 * sigma / np.sqrt(N)
    matrix = np.corrcoef(np.array(list(shifts.values())))
    assert np.abs(matrix - np.eye(len(matrix))).max() < CORRELATION


def test_multiples_and_fingers_count(tmp_path: Path):
    netlist = mirror(tmp_path, MIRROR.replace("m=1", "m=4"))
    first, second = transistors(netlist)
    assert second.area == pytest.approx(4 * first.area, rel=1e-12)
    assert dataclasses.replace(first, parallel=9.0).area == pytest.approx(9 * 4e-12, rel=1e-12)


def test_the_closed_form():
    # facts: one 2 × 2 µm transistor at 3.5 mV µm, kappa 0.73: 4.9 %
    assert current_spread(3.5e-9, 4e-12, kappa=0.73, ut=0.025865) == pytest.approx(0.0494, abs=5e-5)
    with pytest.raises(InputError, match=r"area is 0 m²"):
        current_spread(3.5e-9, 0.0, kappa=0.7)


def test_any_part_is_the_same_bits(synapse: Netlist):
    whole = draws(synapse, 7, 50)
    for some in ([49], [3, 40, 12], range(10, 20)):
        part = draws(synapse, 7, list(some))
        assert all(np.array_equal(part[path], whole[path][list(some)]) for path in whole)
    # Neither do other devices matter, nor the form of the key.
    fewer = draws(synapse, 7, 50, AreaLaw.from_card(synapse, ideal=("xb*", "x1.xw")))
    assert all(np.array_equal(fewer[path], whole[path]) for path in fewer)
    names = ["b", "a", "x1.xsyn.dvt"]
    assert np.array_equal(
        standard_normals(jax.random.key(7), [5], names)[:, ::-1], standard_normals(7, [5], names[::-1])
    )
    assert not np.array_equal(standard_normals(8, [5], names), standard_normals(7, [5], names))


def test_common_terms_gradients_and_groups(synapse: Netlist):
    pair = ("x1.xin", "x1.xthr")
    paths = [t.path for t in transistors(synapse)]
    places = {path: (1e-6 * i, 0.0) for i, path in enumerate(paths)}
    law = AreaLaw(avt_n=3.5e-9, avt_p=3.5e-9, groups=((pair, 0.6),), common_vt=5e-3)
    shifts = draws(synapse, 3, N, law)
    a, b = (shifts[f"{path}.dvt"] for path in pair)
    # var = 1.75² + 5² mV², covariance = 0.6 · 1.75² + 5²
    total = 1.75e-3**2 + 5e-3**2
    assert abs(a.std() / np.sqrt(total) - 1) < SPREAD
    expected = (0.6 * 1.75e-3**2 + 5e-3**2) / total
    assert abs(np.corrcoef(a, b)[0, 1] - expected) < CORRELATION
    assert abs(np.corrcoef(a, shifts["x1.xsyn.dvt"])[0, 1]) < CORRELATION  # the other polarity has its own
    slope = AreaLaw(avt_n=0.0, avt_p=0.0, gradient_vt=100.0, positions=places)  # 0.1 mV/µm
    shifts = draws(synapse, 3, N, slope)
    far = shifts[f"{pair[1]}.dvt"] - shifts[f"{pair[0]}.dvt"]
    distance = places[pair[1]][0] - places[pair[0]][0]
    assert abs(far.std() / (100.0 * distance) - 1) < SPREAD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"avt_n": -1e-9}, r"avt_n is -1e-09; it must be finite and not negative"),
        ({"avt_n": 0.0, "avt_p": 0.0}, r"every mismatch constant is zero"),
        ({"ideal": ("y*",)}, r"no transistor is called 'y\*'; there are xbw.x1"),
        ({"ideal": ("*",)}, r"every transistor is ideal"),
        ({"groups": ((("x1.xin", "x1.xq"), 0.5),)}, r"a matched group names 'x1.xq', which is no transistor"),
        ({"groups": ((("x1.xin", "x1.xw"), 1.5),)}, r"correlation of x1.xin, x1.xw is 1.5"),
        ({"groups": ((("x1.xin",), 0.5), (("x1.xin",), 0.5))}, r"'x1.xin' is in two matched groups"),
        ({"gradient_vt": 1.0}, r"the gradient needs a position for every transistor; 'xbw.x1' has none"),
    ],
)
def test_laws_that_cannot_be(synapse: Netlist, change: dict, message: str):
    with pytest.raises(InputError, match=message):
        draws(synapse, 1, 1, AreaLaw(**change))


def test_decks_and_keys_that_cannot_be(tmp_path: Path, synapse: Netlist):
    for width, told in (("-2u", "-2e-06"), ("0", "0")):
        with pytest.raises(InputError, match=rf"mirror.cir:5.*W of X1 is {told}\. Width and length are positive"):
            draws(mirror(tmp_path, MIRROR.replace("X1 in in 0 0 nfet W=2u", f"X1 in in 0 0 nfet W={width}")), 1, 1)
    bare = "no transistors\nV1 a 0 1\nR1 a 0 1k\n.op\n.end\n"
    with pytest.raises(InputError, match="has no transistors"):
        draws(mirror(tmp_path, bare), 1, 1)
    with pytest.raises(InputError, match="the random key is -1; give a seed"):
        draws(synapse, -1, 1)
    with pytest.raises(InputError, match="0 samples are asked for"):
        draws(synapse, 1, 0)
