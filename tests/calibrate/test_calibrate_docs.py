"""The page about calibration: its examples run and print what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "calibrate.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", range(2))
def test_the_examples_of_the_page_run(capsys, number):
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 2
    exec(blocks[number], {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"# → (.*)", blocks[number])
