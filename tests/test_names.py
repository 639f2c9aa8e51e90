"""The top level: few names, each where it says, and nothing loaded before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

import analogsnn as asn

LIMIT = 0.5  # s


def test_every_name_is_there():
    for name in [*asn._ROOMS, *asn._HOMES]:
        assert getattr(asn, name) is not None
        assert name in dir(asn)
    assert len(asn._ROOMS) + len(asn._HOMES) <= 40
    from analogsnn.netlist import read_netlist

    assert asn.read_netlist is read_netlist
    assert asn.ngspice.transient.__module__ == "analogsnn.ngspice._run"


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(asn.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == {**dict.fromkeys(asn._ROOMS), **asn._HOMES}


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'analogsnn' has no attribute 'transiant'"):
        asn.transiant  # noqa: B018


def test_import_is_quick_and_loads_nothing():
    code = (
        "import sys, time; t = time.perf_counter(); import analogsnn; t = time.perf_counter() - t\n"
        "heavy = {'jax', 'numpy', 'equinox', 'diffrax', 'matplotlib', 'PySpice', 'xarray'} & set(sys.modules)\n"
        "assert not heavy, heavy\nprint(t)"
    )
    best = 1e9
    for _ in range(3):  # a busy machine may be slow once
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        best = min(best, float(done.stdout))
        if best < LIMIT:
            break
        time.sleep(0.5)
    assert best < LIMIT


def test_reading_and_judging_load_no_jax():
    code = (
        "import sys, analogsnn as asn; asn.read_netlist; asn.ngspice.transient; asn.spike_times; asn.Waveforms;"
        "asn.library.blocks(); assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
