"""The page about mismatch: its examples run and print what it says."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "mismatch.md").read_text(encoding="utf-8")


def test_the_examples_of_the_page_run(capsys):
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    assert capsys.readouterr().out.splitlines() == re.findall(r"# → (.*)", TEXT)
    # A table per parameter reaches the draws of a chip.
    chip = names["mismatch"][0]
    leak, other = chip.draw("exc.i_leak", 20000), chip.draw("exc.AMPA.i_gain", 20000)
    assert abs(leak.std() / names["table"]["i_leak"] - 1) < 4 / 200  # four standard errors
    assert abs(other.std() / names["table"]["i_gain"] - 1) < 4 / 200  # the last part of a name counts
    assert abs(chip.draw("exc.i_dc", 20000).std() / 0.2 - 1) < 4 / 200
