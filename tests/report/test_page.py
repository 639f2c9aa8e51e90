"""Pages are self-contained, escape what they are given, and open in a real browser."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from analogsnn.heart_rate import prepare_chips, run_all, write_report
from analogsnn.report import Page


def assert_self_contained(html: str) -> None:
    assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:)?//""", html)
    assert "<script" not in html


def test_page_escapes_and_stands_alone(tmp_path, browser_dom):
    page = Page("A <title> & more")
    page.section("One <b>section</b>")
    page.text("5 < 6 & 7 > 6")
    path = tmp_path / "page.html"
    page.write(path)
    html = path.read_text()
    assert_self_contained(html)
    dom = browser_dom(path)
    assert "5 &lt; 6 &amp; 7 &gt; 6" in dom
    assert "<b>section</b>" not in dom


@pytest.mark.long
def test_heart_rate_report_opens_in_chromium(pulses, tmp_path, browser_dom):
    signal = pulses.signal[:2600].copy()
    signal[2000:2050] = np.nan
    recording = type(pulses)(signal, pulses.rate, "pulses <synthetic>")
    (run,) = run_all([(recording, prepare_chips((60.0,), 2, seed=1, trimmed=False))], (60.0,))
    path = tmp_path / "report.html"
    known = replace(recording, beats=run.reference.beats)  # the same run, declared semi-synthetic
    write_report(path, [run, replace(run, recording=known)], title="Two chips", seed=1)
    html = path.read_text()
    assert_self_contained(html)
    assert len(html) < 3e6
    dom = browser_dom(path)
    for words in (
        "pulses &lt;synthetic&gt;",
        "SOIF_LEAK_N",
        "requested",
        "realised",
        "inspired by",
        "zones, sizes and",
        "Gaps in the signal: 1,",
    ):
        assert words.lower() in dom.lower(), words
    assert dom.count("<img") == 12
    first, second = dom.split('<h2 id="s3">')
    assert "semi-synthetic: real pulse shapes, artificial timing" in second
    assert "semi-synthetic" not in first.split('<h2 id="s2">')[1]  # a recorded run is never called so
