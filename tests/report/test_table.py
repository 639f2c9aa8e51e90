"""Which columns of a table keep to one line."""

from __future__ import annotations

import re

from analogsnn.report import Page


def test_long_cells_break_and_short_ones_do_not():
    page = Page("Tables")
    page.table(("number", "value", "spread"), [["word " * 20, "1.2 bpm", "1 to 2"]], left=(0, 2))
    page.table(("name", "value"), [["SOIF_LEAK_N", "a value that is a whole sentence, with several words in it"]])
    rows = re.findall(r"<tr>(<td.*?)</tr>", page.html(), re.S)
    marks = [re.findall(r'<td class="(.*?)">', row) for row in rows]
    assert marks == [["left", "short", "left"], ["left short", ""]]
