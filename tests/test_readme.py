"""The example of the README runs."""

from __future__ import annotations

import re
from pathlib import Path


def test_example(capsys):
    page = Path(__file__).parents[1] / "README.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    exec(compile(code, str(page), "exec"), {})
    assert "five chips" in capsys.readouterr().out
