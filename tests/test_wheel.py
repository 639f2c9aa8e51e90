"""The wheel holds the library of circuits, and reads it without the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from analogsnn import library

TOP = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(TOP)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def test_holds_the_whole_library(unpacked):
    for part in ("circuits", "spice"):
        here = {p.relative_to(TOP) for p in (TOP / part).rglob("*") if p.is_file()}
        there = {
            p.relative_to(unpacked / "analogsnn/_library")
            for p in (unpacked / "analogsnn/_library" / part).rglob("*.*")
        }
        assert here == there
    assert (unpacked / "analogsnn/chips/dynapse2.toml").is_file()


def test_reads_a_bench_from_the_wheel(unpacked, tmp_path):
    code = (
        "from analogsnn import library\n"
        "n = library.read_bench('adexp_neuron', card='bsim3')\n"
        "print(library.root()); print(len(n.elements)); print(*library.blocks())\n"
        "print(library.expected('dpi_synapse')['ekv']['tau']['value'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(unpacked), "PATH": "/usr/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    root, count, blocks, tau = done.stdout.splitlines()
    assert root == str(unpacked / "analogsnn" / "_library")
    assert int(count) == len(library.read_bench("adexp_neuron", card="bsim3").elements)
    assert blocks.split() == list(library.blocks())
    assert float(tau) == library.expected("dpi_synapse")["ekv"]["tau"]["value"]


def test_the_checkout_is_found_without_a_wheel():
    assert library.root() == TOP
