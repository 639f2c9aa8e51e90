"""ngspice's noise: a resistor's in closed form, what has none, and what BSIM3 calls thermal noise in weak inversion."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn import library, ngspice
from analogsnn.errors import InputError
from analogsnn.netlist import read_netlist_text

BOLTZMANN, CHARGE, KELVIN = 1.380649e-23, 1.602176634e-19, 300.15  # SI; 27 °C
RC = read_netlist_text("low pass\nV1 a 0 1\nR1 a b 1meg\nC1 b 0 1n\n.op\n.end\n")


def test_resistor_and_capacitor_in_closed_form():
    f, density = ngspice.noise(RC, "b", 1.0, 1e5, points=1)
    assert f == pytest.approx([1, 10, 100, 1e3, 1e4, 1e5])
    wanted = 4 * BOLTZMANN * KELVIN * 1e6 / (1 + (2 * np.pi * f * 1e-3) ** 2)
    assert density == pytest.approx(wanted, rel=1e-5)  # ngspice's k and q have six digits


def mirror(card: str) -> str:
    """A transistor in weak inversion, saturated, whose current noise charges a capacitor; no other has noise."""
    folder = library.circuits_folder() / "cards"
    return (
        f'one transistor\n.include "{folder / card}"\nVg g 0 0.2\nVd d 0 0.9\nLd d x 1g\nX1 x g 0 0 nfet W=2u L=2u\n'
        "C1 x 0 1n\n.options gmin=1e-20 noopiter\n.op\n.end\n"
    )


def read(card: str):
    return read_netlist_text(mirror(card), root=library.circuits_folder())


def test_a_behavioural_transistor_has_no_noise():
    _, density = ngspice.noise(read("ekv.lib"), "x", 1e3, 1e4, points=1)
    assert density == pytest.approx(0.0, abs=1e-40)


def test_bsim3_has_four_thirds_of_the_shot_noise():
    netlist = read("bsim3.lib")
    current = -float(ngspice.operating_point(netlist).current("vd")[0])
    f, density = ngspice.noise(netlist, "x", 1e3, 1e4, points=1)
    ratio = density * (2 * np.pi * f * 1e-9) ** 2 / (2 * CHARGE * current)
    # 4/3 if gm + gmbs were exactly I/UT; BSIM3's are not, and 1.42 was measured.
    assert ratio == pytest.approx(4 / 3, rel=0.08)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("c", 1.0, 10.0), "'c' is no node"), (("b", 10.0, 1.0), "give two frequencies above zero that ascend")],
)
def test_bad_input(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        ngspice.noise(RC, *arguments)
