"""The page about sensitivities: its example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "sensitivity.md").read_text(encoding="utf-8")


@pytest.mark.long
def test_the_example_of_the_page_runs():
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, {})
