"""The page about chips says what runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

from analogsnn.chips import configuration_schema

PAGE = Path(__file__).parents[2] / "docs" / "chips.md"


def test_the_published_schema_is_the_one_that_is_read():
    published = json.loads((PAGE.parent / "configuration.schema.json").read_text(encoding="utf-8"))
    assert published == configuration_schema()


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, {})
    assert "SOIF_LEAK_N tau 0.02" in capsys.readouterr().out
    assert (tmp_path / "exc.json").exists()
