"""The example of docs/lanes.md runs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_example(monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "lanes.md").read_text(encoding="utf-8"), re.S):
        exec(block, names)
    # A larger threshold of the synapse's transistor moves the peak output current one way
    peak = [names["peak"][lane] for lane in range(3)]
    assert len(set(peak)) == 3
    assert (peak[0] - peak[1]) * (peak[1] - peak[2]) > 0
