"""The example of docs/systems.md runs."""

from __future__ import annotations

import re
from pathlib import Path


def test_example(capsys):
    page = Path(__file__).parents[2] / "docs" / "systems.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    exec(compile(code, str(page), "exec"), {})
    assert "voltage_error_ngspice" in capsys.readouterr().out
