"""Sizing and contributions on a current mirror, where both are known in closed form; and what cannot be asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analogsnn.errors import InputError
from analogsnn.mismatch import AreaLaw, Campaign, monte_carlo, size
from analogsnn.mismatch._size_spec import on_grid, read_size_spec
from analogsnn.mismatch._sizing import cubature

from .decks import MIRROR, mirror, mirror_path

# Over time, because a sizing takes measures of .tran; the input is a step so that there is something to solve.
OVER_TIME = MIRROR.replace(".op\n", ".tran 1u 20u\n").replace(
    ".meas op i_out max i(vo)", ".meas tran i_out find i(vo) at=20u"
)
# At 0.2 nA of 522 nA the slope of ln I hardly depends on W/L, so that the area law alone decides.
OVER_TIME = OVER_TIME.replace(".meas op v_in max v(in)\n", "").replace("Iref vdd in 2n", "Iref vdd in 0.2n")
SPEC = """
deck = "mirror.cir"
measure = "i_out"
area_max = 8e-12
grid = 10e-9
samples = 200
[parameters]
"x1.w" = { min = 0.5e-6, max = 5e-6, initial = 1e-6 }
"x1.l" = { min = 0.5e-6, max = 5e-6, initial = 1e-6 }
"x2.w" = { min = 0.5e-6, max = 5e-6, initial = 2.64e-6 }
"x2.l" = { min = 0.5e-6, max = 5e-6, initial = 2.64e-6 }
[hold.i_out]
value = 2e-10
tolerance = 0.05
"""
OPTIMUM = 0.03  # relative: what is asked of a sizing


def test_the_cubature_is_exact_to_third_order():
    points = cubature(7, 3)
    assert points.shape == (14, 7)
    assert np.abs(points.mean(axis=0)).max() < 1e-12
    assert np.abs(points.T @ points / 14 - np.eye(7)).max() < 1e-12
    assert np.abs(np.einsum("pi,pj,pk->ijk", points, points, points)).max() < 1e-11
    assert not np.array_equal(points, cubature(7, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("size")
    mirror_path(folder, OVER_TIME)
    (folder / "spec.toml").write_text(SPEC)
    return folder


@pytest.mark.long
def test_a_mirror_is_sized_as_the_area_law_says(folder: Path):
    """Areas of 1 and 7 µm² spread a current by sqrt(1 + 1/7), equal ones of 4 µm² by sqrt(1/2): 0.661 of it."""
    result = size(folder / "spec.toml", ngspice_runs=0)
    sizing, ideal = result.sizing, np.sqrt(0.5 / (1 + 1 / 2.64**2))
    assert sizing.cv_after / sizing.cv_before == pytest.approx(ideal, rel=OPTIMUM)
    assert sizing.area_after <= 8e-12 * (1 + 1e-9)
    areas = [sizing.after[f"{x}.w"] * sizing.after[f"{x}.l"] for x in ("x1", "x2")]
    assert areas == pytest.approx([4e-12, 4e-12], rel=0.2)  # flat: 20 % of either area is 0.5 % of the spread
    assert all(abs(value / 10e-9 - round(value / 10e-9)) < 1e-6 for value in sizing.after.values())
    assert result.after.nominal["i_out"] == pytest.approx(2e-10, rel=0.051)  # the tolerance, and the grid
    data = result.to_dict()
    # Fresh samples: 200 of either sizing, the same numbers z, so that most of their scatter is common to both.
    assert data["after"]["cv"] / data["before"]["cv"] == pytest.approx(ideal, rel=0.15)
    assert data["ngspice"] == {"before": {"cv": None, "runs": 0}, "after": {"cv": None, "runs": 0}}
    assert any("rounded to the grid of 10 nm" in line for line in result.lines())
    result.write_html(folder / "page.html")
    page = (folder / "page.html").read_text()
    assert "CV of i_out, ours, 200 samples" in page


@pytest.fixture(scope="module")
def samples(folder: Path) -> Campaign:
    netlist = mirror(folder, OVER_TIME)
    law = AreaLaw(avt_n=3.5e-9, common_vt=1e-3)
    return monte_carlo(netlist, samples=60, key=5, law=law)


@pytest.mark.validate_long
def test_contributions_are_those_of_the_closed_form(samples: Campaign):
    parts = samples.contributions("i_out")
    kappa, ut = 1 / 1.30, 0.025865
    # d ln I / d V_T is kappa/UT and - kappa/UT; a threshold that both share moves nothing.
    slopes = [parts.gradient[f"{x}.dvt"] / samples.nominal["i_out"] for x in ("x1", "x2")]
    assert slopes == pytest.approx([kappa / ut, -kappa / ut], rel=0.02)  # moderate inversion: 1 %
    assert parts.shares["x1"] == pytest.approx(0.5, rel=0.02)
    assert parts.shares["chip n"] < 1e-3
    assert sum(parts.shares.values()) == pytest.approx(1.0, rel=1e-12)
    assert parts.explained > 0.995
    spread = samples.statistics["i_out"].cv
    assert spread is not None
    assert parts.cv == pytest.approx(spread, rel=4 / np.sqrt(2 * 60))  # four standard errors


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('measure = "i_out"', 'measure = "gain"', r"has no measure 'gain'; there are i_out"),
        ('"x1.w" =', '"x1.ww" =', r"has no parameter 'x1.ww'; did you mean x1.w"),
        ("max = 5e-6, initial = 1e-6", "max = 5e-6, initial = 9e-6", r"initial 9e-06 lies outside min 5e-07 and max"),
        ("area_max", "area_limit", r"unknown key 'area_limit'"),
        ("area_max = 8e-12", 'minimise = "area"', r"minimise = 'area' needs cv_max"),
        ("grid = 10e-9", "grid = -1.0", r"grid: input should be greater than 0"),
        ("tolerance = 0.05", "", r"hold.i_out.tolerance: this key is missing"),
        ('deck = "mirror.cir"', 'deck = "none.cir"', r"none.cir"),
    ],
)
def test_specifications_that_cannot_be(folder: Path, old: str, new: str, message: str):
    assert old in SPEC
    (folder / "wrong.toml").write_text(SPEC.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        size(folder / "wrong.toml", ngspice_runs=0)


def test_the_shipped_specifications_can_be_read():
    examples = Path(__file__).parents[2] / "examples"
    for name in ("size_dpi.toml", "size_neuron.toml"):
        spec = read_size_spec(examples / name)
        assert (examples / spec.deck).is_file()


def test_the_grid():
    assert on_grid(1.2349e-6, 10e-9) == pytest.approx(1.23e-6, rel=1e-12)
    assert on_grid(1.2399e-6, 10e-9, down=True) == pytest.approx(1.23e-6, rel=1e-12)
    assert on_grid(1.23e-6, 10e-9, down=True) == pytest.approx(1.23e-6, rel=1e-12)
    assert on_grid(1e-9, 10e-9) == 10e-9
    assert on_grid(1.2349e-6, None) == 1.2349e-6
