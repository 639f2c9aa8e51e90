"""The page about the circuit engine says what runs."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "circuit.md"


def test_the_example_of_the_page_runs(capsys):
    text = PAGE.read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, {})
    wanted = re.findall(r"# → (.*)", text)
    assert len(wanted) == 4
    assert capsys.readouterr().out.splitlines() == wanted
