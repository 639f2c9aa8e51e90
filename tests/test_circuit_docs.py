"""The pages about decks and the library: their examples run, their figures and names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analogsnn import library, measure
from analogsnn.ngspice import DEFAULT_OPTIONS

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", ["simulate.md", "library.md"])
def test_the_examples_run(page, capsys, monkeypatch):
    monkeypatch.chdir(DOCS.parent)
    text = (DOCS / page).read_text(encoding="utf-8")
    space: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, space)
    printed = capsys.readouterr().out.splitlines()
    assert printed == re.findall(r"# → (.*)", text)


def test_every_block_has_a_figure_on_the_page():
    text = (DOCS / "library.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\(figures/blocks/(\w+)\.png\)", text))
    assert shown == {name for name, block in library.blocks().items() if block.kind == "block"}
    for name in shown:
        data = (DOCS / "figures" / "blocks" / f"{name}.png").read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) > 5_000


def test_measures_of_the_page_exist():
    text = (DOCS / "simulate.md").read_text(encoding="utf-8")
    table = text[text.index("## Measures") :]
    named = set(
        re.findall(r"`(\w+)", "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `")))
    )
    assert named == {name for name in dir(measure) if name.islower() and callable(getattr(measure, name))}


def test_options_of_the_page_are_the_defaults():
    text = (DOCS / "simulate.md").read_text(encoding="utf-8")
    for name, value in DEFAULT_OPTIONS.items():
        (row,) = [line for line in text.splitlines() if line.startswith("| ") and f"`{name}`" in line.split("|")[1]]
        written = row.split("|")[2].replace("on", "1")
        numbers = [float(word) for word in re.findall(r"[\d.e-]+\d|\d", written)]
        assert value in written if isinstance(value, str) else float(value) in numbers, name
