"""Currents to codes and back."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.chips import code_to_current, load_chip, nearest_code
from analogsnn.chips._generator import Branch, Generator
from analogsnn.errors import DoesNotFitError, InputError

CHIP = load_chip("dynapse2")
_SCALE_1 = CHIP.bias("SOIF_LEAK_N").model_copy(update={"scale": 1.0})  # to compare with the generator's own currents
UNIT = CHIP.model_copy(update={"biases": CHIP.biases.model_copy(update={"names": {"UNIT": _SCALE_1}})})


def test_generator_reaches_the_published_full_scales():
    # Full scale by coarse, N and P, from RP paramgen.py: three digits are given; P is N over a mean ratio (2.7 %).
    n, p = CHIP.generator_currents["n"][:, -1], CHIP.generator_currents["p"][:, -1]
    np.testing.assert_allclose(n, [71.8e-12, 573e-12, 4.57e-9, 36.4e-9, 290e-9, 2.28e-6], rtol=2e-3)
    np.testing.assert_allclose(p, [66.9e-12, 536e-12, 4.30e-9, 34.5e-9, 277e-9, 2.25e-6], rtol=0.027)
    # Leak at fine 0 by coarse, P.
    np.testing.assert_allclose(
        CHIP.generator_currents["p"][:, 0], np.array([0.373, 0.659, 0.747, 0.759, 0.760, 0.761]) * 1e-12, rtol=1e-12
    )


@pytest.mark.parametrize("polarity", ["n", "p"])
def test_the_curve_drops_at_every_block(polarity):
    # RP paramgen.py: current drops at 31->32, 63->64, ..., 223->224 in all 12 curves.
    table = CHIP.generator_currents[polarity]
    for fine in range(32, 256, 32):
        assert np.all(table[:, fine] < table[:, fine - 1])


def test_13_all_codes_to_current_and_back():
    for name in ("SOIF_LEAK_N", "SYAM_W0_P"):
        for coarse in range(6):
            for fine in range(256):
                current = code_to_current(CHIP, name, coarse, fine)
                code = nearest_code(CHIP, name, current, allow_subfloor=True)
                assert code.realised == pytest.approx(current, rel=1e-12)  # the same table entry, or an equal one


def test_14_nearest_is_searched_over_all_codes():
    # On the published table 18.0 nA (N) is nearest at (3, 130), 18.048 nA, +0.27 %; (3, 122) is at -0.37 %: bisection
    # within the block that holds 18 nA would take it.
    code = nearest_code(UNIT, "UNIT", 18e-9)
    assert (code.coarse, code.fine) == (3, 130)
    assert code.realised == pytest.approx(18.048e-9, rel=1e-6)
    assert code.relative_error == pytest.approx(0.0027, abs=5e-5)
    assert CHIP.generator_currents["n"][3, 122] / 18e-9 - 1 == pytest.approx(-0.0037, abs=5e-5)


def test_15_coarse_ranges_overlap():
    # On the published table 7.576 pA (N) is nearest at (1, 3), 7.584 pA; (0, 26) is 1.9 % off.
    code = nearest_code(UNIT, "UNIT", 7.576e-12)
    assert (code.coarse, code.fine) == (1, 3)
    assert code.realised == pytest.approx(7.584e-12, rel=1e-6)


def test_16_mean_and_largest_error_over_the_range():
    # The bounds are those of a searched match on the published table: mean < 1 %, largest < 15 %.
    rng = np.random.default_rng(0)
    reach = CHIP.sorted_currents["n"][0] * 0.61  # RP scaling.py: SOIF_LEAK_N
    asked = np.exp(rng.uniform(np.log(reach[0]), np.log(reach[-1]), 1000))
    codes = [nearest_code(CHIP, "SOIF_LEAK_N", float(i), allow_subfloor=True) for i in asked]
    error = np.abs([c.relative_error for c in codes])
    assert error.mean() < 0.01
    assert error.max() < 0.15
    assert all(c.requested == i for c, i in zip(codes, asked, strict=True))


@pytest.mark.parametrize("current", [1e-3, -1e-9])
def test_12_out_of_range(current):
    with pytest.raises(DoesNotFitError) as caught:
        nearest_code(CHIP, "SOIF_LEAK_N", current)
    (misfit,) = caught.value.misfits
    assert misfit.resource == "bias_range"
    assert misfit.needed == current


def test_floor_and_resolution():
    with pytest.raises(DoesNotFitError, match="bias_floor"):
        nearest_code(CHIP, "SOIF_LEAK_N", 0.45e-12)  # above the lowest code (0.301 pA), below I_0 = 0.5 pA
    assert nearest_code(CHIP, "SOIF_LEAK_N", 0.45e-12, allow_subfloor=True).coarse == 0
    strict = CHIP.model_copy(update={"limits": CHIP.limits.model_copy(update={"bias_error_fail": 1e-4})})
    with pytest.raises(DoesNotFitError, match=r"bias_resolution.*lies between codes.*gives.*gives"):
        nearest_code(strict, "SOIF_LEAK_N", 5e-12)


def test_28_unknown_bias_name_is_met_with_the_near_one():
    with pytest.raises(InputError, match=r"bias_name.*'SYPD_DYL0_P'; did you mean 'SYPD_DLY0_P'"):
        nearest_code(CHIP, "SYPD_DYL0_P", 1e-9)


def test_bias_without_known_scale():
    with pytest.raises(InputError, match="no known scale"):
        nearest_code(CHIP, "DENM_REV_N", 1e-9)


def test_11_codes_outside_the_generator():
    for coarse, fine in ((6, 0), (0, 256), (-1, 0)):
        with pytest.raises(InputError, match="coarse 0 to 5, fine 0 to 255"):
            code_to_current(CHIP, "SOIF_LEAK_N", coarse, fine)


@pytest.mark.parametrize(("law", "first", "last"), [("linear_255", 0.0, 10e-12), ("linear_256", 10e-12 / 256, 10e-12)])
def test_linear_laws(law, first, last):
    # CT and RP1 give the two conventions for the fine code of DYNAP-SE1.
    branch = Branch(full_scale=(10e-12, 80e-12))
    table = Generator(coarse=2, fine=256, law=law, n=branch, p=branch).table("n")
    assert table.shape == (2, 256)
    np.testing.assert_allclose(table[0, [0, -1]], [first, last], rtol=1e-12)
