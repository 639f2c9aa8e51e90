"""`analogsnn monte-carlo` and `analogsnn size` as commands: statuses, sentences, the numbers that they write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from analogsnn.cli import app
from analogsnn.errors import InputError
from tests.mismatch.decks import mirror, mirror_path


def call(*arguments: str | Path) -> str:
    """What a command prints."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_monte_carlo(tmp_path: Path):
    from analogsnn.mismatch import monte_carlo

    deck, numbers, page, store = mirror_path(tmp_path), tmp_path / "n.json", tmp_path / "p.html", tmp_path / "store"
    command = ("monte-carlo", deck, "--samples", "30", "--seed", "3", "--chunk", "8", "--dir", store, "--json", numbers)
    out = call(*command, "--html", page, "--spec", "v_in=0.25..", "--measure", "v_in", "--measure", "i_out")
    data = json.loads(numbers.read_text())
    assert (data["command"], data["samples"], data["failed"], data["seed"]) == ("monte-carlo", 30, 0, 3)
    assert data["store"] == str(store)
    same = monte_carlo(mirror(tmp_path), ["v_in", "i_out"], samples=30, key=3, width=8)
    for name, found in data["measures"].items():
        assert {"mean", "std", "cv", "cv_ci95", "quantiles", "lognormal"} <= found.keys()
        assert found["cv"] == same.statistics[name].cv
        assert found["cv_ci95"][0] < found["cv"] < found["cv_ci95"][1]
    assert data["yield"]["passed"] == int((same["v_in"] >= 0.25).sum())
    assert "CV" in out
    assert "Distributions" in page.read_text()
    assert np.isfinite(data["seconds_per_sample"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--measure", "gain"], r"has no measure 'gain'"),
        (["--workers", "many"], r"the workers are 'many'"),
        (["--spec", "v_in=1"], r"--spec is 'v_in=1'; write it as tau=3m..4m"),
        (["--avt", "-3"], r"avt_n is -3e-09; it must be finite and not negative"),
        (["--ideal", "q*"], r"no transistor is called 'q\*'"),
    ],
)
def test_what_cannot_be(tmp_path: Path, options: list[str], message: str):
    with pytest.raises(InputError, match=message):
        call("monte-carlo", mirror_path(tmp_path), "--samples", "2", *options)
