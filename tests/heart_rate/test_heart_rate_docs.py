"""The example of docs/heart_rate.md runs."""

from __future__ import annotations

import re
from pathlib import Path


def test_example(capsys):
    page = Path(__file__).parents[2] / "docs" / "heart_rate.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    exec(compile(code, str(page), "exec"), {})
    assert "neurons" in capsys.readouterr().out
