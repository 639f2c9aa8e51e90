"""The page about models says what runs."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_example_of_the_page_runs(capsys):
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, {})
    printed = capsys.readouterr().out
    for line in re.findall(r"# → (.*)", PAGE.read_text(encoding="utf-8")):
        assert line in printed
