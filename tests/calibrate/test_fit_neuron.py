"""Twelve parameters of the neuron from a recording that ngspice made with values that no deck has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from analogsnn import library, ngspice
from analogsnn.circuit import Circuit
from analogsnn.netlist import read_netlist_text

# Levels of input: first spikes and adaptation, rest with a weak input, recovery, none, a strong one.
STOP = 200e-3
INPUT = (
    "PWL(0 1f 2m 1f 2.01m 300p 40m 300p 40.01m 15p 80m 15p 80.01m 120p 130m 120p 130.01m 1f 150m 1f 150.01m 600p "
    "200m 600p)"
)
SAMPLE = 1e-6  # s
NOISE = 0.01  # of the recorded range
# What is fitted, and by which factor the recording's value lies in its bounds.
SIZES = (
    "x1.cmem.c", "x1.cahp.c", "param.itau", "param.ithr", "param.iref", "param.iahpw", "x1.xg4.w", "x1.xa1.w",
    "x1.xa3.w", "x1.xa4.w",
)  # fmt: skip
SLOPES = ("param.ekv_nn", "param.ekv_np")
WIDE, NARROW = 2.0, 1.1  # bounds: a factor about the deck's value
SECRET_WIDE, SECRET_NARROW = 1.25, 1.03  # between which the secret values are drawn
# Known: twice the standard error below two per cent. Then the value is that near.
PRECISION = 0.02
# Twice the cost over the number of samples: one, with a standard deviation of a third of a per cent; samples about the
# spikes are left out (2 %).
FROM, TO = 0.96, 1.01


def deck() -> str:
    """The reference neuron's bench with the input of the experiment, without measures."""
    lines = (library.spice_folder() / "adexp_neuron.cir").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith((".meas", "* meas", "* block", "* short"))]
    text = re.sub(r"(?m)^Iin vb iin .*$", f"Iin vb iin {INPUT}", "\n".join(kept))
    text = re.sub(r"(?m)^\.tran .*$", f".tran 100u {STOP:g}", text)
    return text.replace("../circuits/", f"{library.circuits_folder().as_posix()}/")


def prepare(folder: Path) -> dict[str, float]:
    """Deck, recording and specification in `folder`; gives the values that the recording was made with."""
    (folder / "neuron.cir").write_text(deck() + "\n")
    netlist = read_netlist_text(deck(), str(folder / "neuron.cir"), [library.root(), folder])
    circuit = Circuit.from_netlist(netlist)
    generator = np.random.default_rng(314159)
    secret = {}
    for path in (*SIZES, *SLOPES):
        most = np.log(SECRET_NARROW if path in SLOPES else SECRET_WIDE)
        secret[path] = float(f"{float(circuit[path]) * np.exp(generator.uniform(-most, most)):.4g}")
    tight = {"method": "trap", "trtol": 1, "reltol": 1e-7}
    waves = ngspice.transient(netlist.replace(secret), STOP, options=tight, save=["vmem"], keep=False, timeout=3600)
    t = np.arange(SAMPLE, STOP - SAMPLE / 2, SAMPLE)
    v = np.interp(t, waves.time, waves.voltage("vmem"))
    sigma = NOISE * float(np.ptp(v))
    v = v + sigma * generator.standard_normal(v.size)
    np.savetxt(folder / "vmem.csv", np.stack([t, v], 1), delimiter=",", header="time,vmem", comments="", fmt="%.9g")
    spec = ['deck = "neuron.cir"']
    for path in secret:
        value, factor = float(circuit[path]), NARROW if path in SLOPES else WIDE
        spec += [f'[parameters."{path}"]', f"min = {value / factor:.6g}", f"max = {value * factor:.6g}"]
    spec += ["[[target]]", 'kind = "trace"', 'node = "vmem"', 'file = "vmem.csv"', f"sigma = {sigma:.4g}"]
    spec += ["jitter = 1e-6", "[options]", f"precision = {PRECISION}", "max_runs = 100"]
    (folder / "neuron.toml").write_text("\n".join(spec) + "\n")
    return secret


@pytest.mark.validate_long
def test_twelve_parameters_of_the_neuron(run, tmp_path):
    secret = prepare(tmp_path)
    status, out, err = run("fit", tmp_path / "neuron.toml", "--json", tmp_path / "fit.json")
    assert status == 0, out + err
    found = json.loads((tmp_path / "fit.json").read_text())
    assert found["finished"]
    count = len((tmp_path / "vmem.csv").read_text().splitlines()) - 1
    assert FROM < 2 * found["cost_after"] / count < TO
    told = [path for path, p in found["parameters"].items() if p["identifiable"]]
    named = {path for group in found["inseparable"] for path in group}
    assert len(told) >= 9
    for path, wanted in secret.items():
        p = found["parameters"][path]
        if p["identifiable"]:
            assert p["value"] == pytest.approx(wanted, rel=PRECISION), path
        else:
            assert path in named, path
            assert f"the data do not tell '{path}'" in err
