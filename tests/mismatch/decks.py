"""Small decks for campaigns."""

from __future__ import annotations

from pathlib import Path

from analogsnn import simulation
from analogsnn.netlist import Netlist

# Two equal transistors in weak inversion (2 nA against a specific current of 522 nA): the ratio of their currents
# has the closed form exp(kappa dvt / UT).
MIRROR = """a current mirror into a held output
.include ../circuits/cards/ekv.lib
Vdd vdd 0 1.8
Iref vdd in 2n
X1 in in 0 0 nfet W=2u L=2u
X2 out in 0 0 nfet W=2u L=2u m=1
Vo 0 out -0.9
Cin in 0 10f
.op
.meas op i_out max i(vo)
.meas op v_in max v(in)
.end
"""


def mirror(folder: Path, text: str = MIRROR) -> Netlist:
    """The mirror as a file in `folder`, read as the command line reads decks."""
    return simulation.read_deck(mirror_path(folder, text))


def mirror_path(folder: Path, text: str = MIRROR) -> Path:
    """The file alone."""
    path = folder / "mirror.cir"
    path.write_text(text)
    return path
