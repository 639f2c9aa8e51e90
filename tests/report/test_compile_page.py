"""The page about a compilation: complete, self-contained, and true about traffic."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.chips import compile
from analogsnn.network import Input, Network, Neuron, Population, all_to_all, connect
from analogsnn.report import write_compile_report
from analogsnn.report._board import flow


def _mapping():
    network = Network(
        populations=(
            Population(name="a", size=3, rate=10.0),
            Population(name="b<2>", size=2, neuron=Neuron(tau=10e-3)),  # another core; no rate: 20 Hz
        ),
        inputs=(Input(name="in", size=2),),
        connections=(
            connect("in", "a", "AMPA", all_to_all(2, 3), 1e-9),
            connect("a", "b<2>", "AMPA", all_to_all(3, 2), [1e-9, 2e-9, 3e-9, 5e-9, 8e-9, 9e-9]),
            connect("b<2>", "b<2>", "GABA_B", all_to_all(2, 2), 1e-9),
        ),
    )
    return compile(network)


def test_traffic_is_spikes_and_cores():
    traffic = flow(_mapping())
    assert traffic.cores == [(0, 0), (0, 1)]
    # Three neurons at 10 Hz go to core 1, two at 20 Hz stay there; two inputs at 20 Hz come to core 0.
    np.testing.assert_allclose(traffic.between, [[0.0, 30.0], [0.0, 40.0]])
    np.testing.assert_allclose(traffic.outside, [40.0, 0.0])
    assert traffic.crossing == pytest.approx(30.0)


def test_the_page_says_everything(tmp_path, browser_dom):
    path = tmp_path / "page.html"
    write_compile_report(path, _mapping(), title="Two & two", notes=["a remark <here>"])
    html = path.read_text(encoding="utf-8")
    assert "<script" not in html
    assert (
        "http" not in html.replace("http://www.w3.org", "").replace("https://www.w3.org", "")
        or 'href="http' not in html
    )
    for part in (
        "Two &amp; two",
        "a remark &lt;here&gt;",
        "b&lt;2&gt;",
        "SOIF_LEAK_N",
        "The board",
        "equals what was asked",
    ):
        assert part in html
    assert html.count("<img") == 3  # board, traffic, resources
    dom = browser_dom(path)
    assert "a remark &lt;here&gt;" in dom
    assert dom.count("<img") == 3
    assert dom.count("SOIF_LEAK_N") >= 2  # a row for each of the two cores
