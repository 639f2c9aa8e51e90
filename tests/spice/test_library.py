"""The library is found, its headers are read, its cards are interchangeable, its table is up to date."""

from __future__ import annotations

import re

import pytest

from analogsnn import library
from analogsnn.errors import InputError
from analogsnn.netlist import Device, read_netlist_text


def test_headers_name_every_pin_and_parameter():
    for block in library.blocks().values():
        text = block.path.read_text()
        named = set(re.findall(r"\w+", " ".join(pin.name for pin in block.pins)))
        # ranges such as "b7 .. b0" stand for all between
        for high, low in re.findall(r"([a-z])(\d) \.\. \1(?:0)", " ".join(p.name for p in block.pins)):
            named |= {f"{high}{i}" for i in range(int(low) + 1)}
        main = re.search(rf"(?m)^\.subckt {block.name} (.*(?:\n\+.*)*)", text)
        if main is None:
            continue  # wta and the helpers hold several
        words = main[1].replace("+", " ").split()
        assert {w.lower() for w in words if "=" not in w} <= {n.lower() for n in named}, block.name
        defaults = {w.partition("=")[0]: w.partition("=")[2] for w in words if "=" in w}
        assert defaults == {p.name: p.default for p in block.parameters}, block.name
        assert block.bench.startswith("spice/")
        assert (library.root() / block.bench).is_file()


def test_blocks_hold_no_sources_and_no_analyses():
    for block in library.blocks().values():
        lines = [line.lower() for line in block.path.read_text().splitlines() if not line.startswith(("*", "+"))]
        assert not [line for line in lines if line[:1] in "viefgh" and line], block.name
        assert not [line for line in lines if re.match(r"\.(tran|dc|op|meas|options?|ic|temp|include)\b", line)], (
            block.name
        )


def test_requires_is_enough():
    for block in library.blocks().values():
        if block.kind != "block":
            continue
        includes = "\n".join(f".include circuits/{name}.cir" for name in (*block.requires, block.name))
        text = f"t\n.include circuits/cards/ekv.lib\n{includes}\nV1 a 0 1\n.op\n"
        assert read_netlist_text(text, str(library.root() / "t.cir"), library.root()).elements


@pytest.mark.parametrize("card", library.cards())
def test_cards_are_interchangeable(card):
    definition = read_netlist_text(
        "t\n.include circuits/cards/" + card + ".lib\nX1 d g 0 0 nfet W=2u L=1u dvt=1m dbt=0.1\nX2 d g 0 0 pfet\n.op\n",
        str(library.root() / "t.cir"), library.root(), devices={"nfet", "pfet"},
    )  # fmt: skip
    first, second = definition.elements[:2]
    assert isinstance(first, Device)
    assert first.definition.pins == ("d", "g", "s", "b")
    assert set(first.definition.defaults) == {"w", "l", "dvt", "dbt"} == set(second.parameters)
    assert first.definition.model_kind == card


def test_unknown_names_are_said():
    with pytest.raises(InputError, match="no bench 'dpi_synaps'; there are dpi_synapse"):
        library.read_bench("dpi_synaps")
    with pytest.raises(InputError, match="no device card 'sky130'; there are bsim3, ekv"):
        library.read_bench("dpi_synapse", card="sky130")
    with pytest.raises(InputError, match="no parameter 'iww'; there are iw, itau, igain"):
        library.read_bench("dpi_synapse", parameters={"iww": 1e-12})


def test_a_card_of_ones_own(tmp_path):
    card = tmp_path / "mine.lib"
    card.write_text(library.cards()["ekv"].read_text().replace("ekv_vtn=0.45", "ekv_vtn=0.4"))
    assert library.read_bench("current_mirror", card=str(card)).elements


@pytest.mark.parametrize("file", ["circuits/README.md", "docs/library.md"])
def test_table_is_up_to_date(file):
    text = (library.root() / file).read_text(encoding="utf-8")
    assert library.table() in text, f"{file} is older than the headers; run python docs/make_library.py --table"
