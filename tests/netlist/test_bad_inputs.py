"""Every bad deck of tests/bad_inputs gives its sentences, neither more nor fewer."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from analogsnn.errors import AnalogSNNError, NetlistErrors
from analogsnn.netlist import check_netlist, read_netlist, read_netlist_text

FOLDER = Path(__file__).parents[1] / "bad_inputs"
EXPECTED = tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_sentences(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(FOLDER)
    report = check_netlist(f"{name}.cir", root=".")
    assert [str(problem) for problem in report.problems] == EXPECTED[name].get("problems", [])
    assert [str(note) for note in report.notes] == EXPECTED[name].get("notes", [])
    assert report.problems or report.notes or "run" in EXPECTED[name]


def test_every_file_is_expected():
    decks = {path.stem for path in FOLDER.glob("*.cir")}
    assert decks == set(EXPECTED)


def test_all_problems_are_raised_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(FOLDER)
    with pytest.raises(NetlistErrors) as caught:
        read_netlist("several_at_once.cir", root=".")
    problems = caught.value.problems
    assert len(problems) == 4
    first = problems[0]
    assert isinstance(first, AnalogSNNError)
    assert (first.file, first.line, first.column) == ("several_at_once.cir", 2, 9)
    assert first.snippet == "V1 a 0 {vin}"


GOOD = "title\nV1 a 0 1.8\nR1 a b 1k\n+ m=2\nC1 b 0 1p\n.op\n.end\n"


@pytest.mark.parametrize(
    "data",
    [
        GOOD.encode(),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\r").encode(),
        GOOD.replace(" ", "\t").encode(),
        GOOD.replace("1p", "1µF").encode(),
        GOOD.replace("1k", "1kΩ").encode(),
    ],
    ids=["plain", "bom", "crlf", "cr", "tabs", "micro", "ohm"],
)
def test_text_forms_that_read(tmp_path: Path, data: bytes):
    path = tmp_path / "deck.cir"
    path.write_bytes(data)
    netlist = read_netlist(path)
    assert [element.name for element in netlist.elements] == ["v1", "r1", "c1"]
    assert netlist.element("r1").parameters == {"r": 1000.0, "m": 2.0}


def test_a_long_line_is_refused_quickly(tmp_path: Path):
    path = tmp_path / "long.cir"
    path.write_text("title\nV1 a 0 1\nR1 a 0 " + "1" * 10_000_000 + "\n")
    report = check_netlist(path)
    assert "the line has 10000007 characters; 100000 are allowed." in str(report.problems[0])


def test_text_without_a_root_includes_nothing():
    with pytest.raises(NetlistErrors, match="none: the deck was given as text"):
        read_netlist_text("title\n.include a.lib\nR1 a 0 1\n.op\n")


def test_too_many_problems_end_the_reading():
    deck = "title\n" + "?\n" * 1000
    with pytest.raises(NetlistErrors) as caught:
        read_netlist_text(deck)
    assert len(caught.value.problems) == 100


def test_an_include_bomb_ends(tmp_path: Path):
    for i in range(12):
        below = "".join(f".include {i + 1}.inc\n" for _ in range(10)) if i < 11 else "* leaf\n"
        (tmp_path / f"{i}.inc").write_text(below)
    (tmp_path / "deck.cir").write_text("title\n.include 0.inc\nR1 a 0 1\n.op\n")
    report = check_netlist(tmp_path / "deck.cir")
    assert "files are included" in str(report.problems[0])


def test_an_instance_bomb_ends():
    lines = ["title"]
    for i in range(40):
        lines += [f".subckt s{i} a"]
        lines += [f"X1 a s{i + 1}", f"X2 a s{i + 1}"] if i < 39 else ["R1 a 0 1"]
        lines.append(".ends")
    with pytest.raises(NetlistErrors, match=r"X1 alone has 1.6e\+12 elements"):
        read_netlist_text("\n".join([*lines, "X1 a s0", ".op"]))


def test_a_link_does_not_lead_out_of_the_root(tmp_path: Path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file.inc").write_text("R1 a 0 1k\n")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "secret")
    deck = tmp_path / "root" / "deck.cir"
    deck.write_text("title\n.include link/file.inc\nV1 a 0 1\n.op\n")
    assert "outside the folder" in str(check_netlist(deck, root=tmp_path / "root").problems[0])
    assert check_netlist(deck, root=tmp_path).ok
