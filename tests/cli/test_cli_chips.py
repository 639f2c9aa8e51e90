"""compile, decode, run, bias, chip show and chip check: keys, exit statuses, one sentence per problem."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from analogsnn import compilation_cache
from analogsnn.chips import load_chip
from analogsnn.cli import main

NETWORK = """
[population.exc]
size = 4
neuron = { dc = "100 pA" }
rate = 20.0
[population.inh]
size = 2
[input.in]
size = 2
[[connection]]
source = "in"
target = "exc"
synapse = "AMPA"
weight = "8 nA"
pattern = "all"
[[connection]]
source = "exc"
target = "inh"
synapse = "NMDA"
weight = "4 nA"
pattern = "all"
"""
EVENTS = "time_s,input,index\n" + "".join(f"{0.002 * k:.3f},in,{k % 2}\n" for k in range(1, 100))
INVENTED = Path(__file__).parents[1] / "chips" / "invented.toml"


@dataclass
class Done:
    """How a command ended, as a process would have."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments, cwd) -> Done:
    """The command in this process: starting Python dozens of times takes longer than all of the work."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["analogsnn", *map(str, arguments)])
        patch.setattr(compilation_cache, "use_compilation_cache", lambda: None)  # it would hold for all other tests
        with pytest.raises(SystemExit) as end:
            main()
    return Done(int(end.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("chips")
    (path / "net.toml").write_text(NETWORK)
    (path / "events.csv").write_text(EVENTS)
    (path / "huge.toml").write_text(NETWORK.replace("size = 4", "size = 3000"))
    (path / "module_of_mine.py").write_text(
        "from analogsnn.network import Network, Population\n"
        "net = Network(populations=(Population(name='a', size=2),))\n"
        "def make(): return net\n"
        "other = 3\n"
    )
    done = run(
        "compile", "net.toml", "--out", "c.json", "--json", "j.json", "--html", "c.html", "--vendor", "v.json", cwd=path
    )
    assert done.returncode == 0, done.stderr
    return path


def test_compile_writes_what_the_contract_says(folder):
    data = json.loads((folder / "j.json").read_text())
    assert (data["command"], data["error"], data["fits"], data["misfit"], data["decoded_equal"]) == (
        "compile", None, True, [], True,
    )  # fmt: skip
    assert len(data["neurons"]) == 6
    assert set(data["neurons"][0]) == {"population", "index", "chip", "core", "neuron"}
    assert data["cores"] == [{"chip": 0, "core": 0, "neurons": 6}]
    assert {"requested", "realised", "coarse", "fine", "relative_error"} <= set(data["biases"]["SOIF_LEAK_N"])
    assert data["weights"][0]["wanted"] == [4e-9, 8e-9]
    assert "<html" in (folder / "c.html").read_text()
    assert json.loads((folder / "v.json").read_text())["device"] == "dynapse2"


def test_decode_and_run(folder):
    done = run("decode", "c.json", "--json", "d.json", "--out", "d.nir", cwd=folder)
    assert done.returncode == 0, done.stderr
    data = json.loads((folder / "d.json").read_text())
    assert [p["size"] for p in data["populations"]] == [4, 2]
    assert sum(len(c["pairs"]) for c in data["connections"]) == 2 * 4 + 4 * 2
    again = run("compile", "d.nir", "--out", "d.json", cwd=folder)  # what was decoded compiles again
    assert again.returncode == 0, again.stderr
    done = run(
        "run", "c.json", "--events", "events.csv", "--chips", 2, "--json", "r.json", "--out", "s.csv", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    data = json.loads((folder / "r.json").read_text())
    assert set(data["rates"]) == {"exc", "inh"}
    assert len(data["rates"]["exc"]["per_chip"]) == 2
    assert data["rates"]["exc"]["mean"] > 1.0  # events at 500 Hz drive it
    count = len(data["spikes"]["time_s"])
    assert count == round(sum(sum(r["per_chip"]) * n for r, n in ((data["rates"]["exc"], 4), (data["rates"]["inh"], 2)))
                          * data["duration"])  # fmt: skip
    assert len((folder / "s.csv").read_text().splitlines()) == count + 1


def test_a_network_that_does_not_fit_is_status_1_with_its_misfits(folder):
    done = run("compile", "huge.toml", "--json", "m.json", "--out", "never.json", cwd=folder)
    assert done.returncode == 1
    data = json.loads((folder / "m.json").read_text())
    assert data["fits"] is False
    assert data["error"]["type"] == "DoesNotFitError"
    assert {"resource", "who", "needed", "available", "hint"} <= set(data["misfit"][0])
    assert "cores" in {m["resource"] for m in data["misfit"]}
    assert not (folder / "never.json").exists()
    assert "Traceback" not in done.stderr


def test_python_objects(folder):
    for name in ("net", "make"):
        assert run("compile", f"module_of_mine:{name}", cwd=folder).returncode == 0
    done = run("compile", "module_of_mine:other", cwd=folder)
    assert (done.returncode, "is a int; it must be a Network" in done.stderr) == (2, True)


BAD = {
    "no file": (["compile", "none.toml"], "cannot be read"),
    "no network": (["compile", "net.txt"], "is no network"),
    "no module": (["compile", "nothing_here:net"], "cannot be imported"),
    "no chip": (["compile", "net.toml", "--chip", "dynapse3"], "did you mean"),
    "no profile": (["compile", "net.toml", "--profile", "Z"], "no physics profile 'Z'"),
    "chips": (["compile", "net.toml", "--chips", "9"], "chips = 9"),
    "out": (["compile", "net.toml", "--out", "net.toml/below"], "cannot be written"),
    "other chip": (["decode", "c.json", "--chip", "dynapse1"], "was made for chip 'dynapse2'"),
    "no configuration": (["decode", "j.json"], "is no configuration"),
    "decode out": (["decode", "c.json", "--out", "x.toml"], "are written as .nir"),
    "events": (["run", "c.json", "--events", "net.toml"], "the first line must be time_s,input,index"),
    "duration": (["run", "c.json", "--events", "events.csv", "--duration", "0 s"], "must be positive"),
    "duration short": (["run", "c.json", "--events", "events.csv", "--duration", "0.1 s"], "outside the simulated"),
    "bias name": (["bias", "SOIF_LEEK_N", "--tau", "20ms"], "did you mean 'SOIF_LEAK_N'"),
    "bias code": (["bias", "SOIF_LEAK_N", "--code", "9"], "give COARSE,FINE"),
    "bias outside": (["bias", "SOIF_LEAK_N", "--code", "6,0"], "outside the generator"),
    "bias unit": (["bias", "SOIF_LEAK_N", "--tau", "20mA"], "its unit must be s"),
    "bias nothing": (["bias", "SOIF_LEAK_N"], "Give one of"),
    "show": (["chip", "show", "dynapse"], "There is no chip 'dynapse'"),
    "check": (["chip", "check", "none.toml"], "There is no file 'none.toml'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_status_2_and_one_sentence(case, folder):
    arguments, sentence = BAD[case]
    done = run(*arguments, "--json", "never.json", cwd=folder)
    assert done.returncode == 2, done.stdout
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "never.json").exists()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("0.5,in,0\n0.4,in,0", "events.csv:3: time 0.4 s comes after 0.5 s"),
        ("0.5,out,0", "there is no input 'out'; the network has in"),
        ("0.5,in,2", "input 'in' has channels 0 to 1, not 2"),
        ("nan,in,0", "not a finite time"),
        ("soon,in,0", "no number for time_s or index"),
        ("0.5,in", "has 2 columns; there must be 3"),
    ],
)
def test_bad_events(row, sentence, tmp_path):
    from analogsnn.errors import InputError
    from analogsnn.network import Input, Network, Population, read_events

    network = Network(populations=(Population(name="a", size=1),), inputs=(Input(name="in", size=2),))
    path = tmp_path / "events.csv"
    path.write_text(f"time_s,input,index\n{row}\n")
    with pytest.raises(InputError) as caught:
        read_events(path, network)
    assert sentence in str(caught.value)


def test_bias_answers_both_ways(folder):
    done = run("bias", "SOIF_LEAK_N", "--tau", "20ms", "--json", "b.json", cwd=folder)
    assert done.returncode == 0
    data = json.loads((folder / "b.json").read_text())
    assert (data["sets"], data["unit"], data["asked"]) == ("tau", "s", 20e-3)
    assert data["spread"][0] < data["got"] < data["spread"][1]
    code = f"{data['coarse']},{data['fine']}"
    back = run("bias", "SOIF_LEAK_N", "--code", code, "--json", "b.json", cwd=folder)
    assert back.returncode == 0
    assert json.loads((folder / "b.json").read_text())["got"] == data["got"]
    assert run("bias", "SOIF_LEAK_N", "--tau", "5s", cwd=folder).returncode == 1


def test_chip_show_and_check(folder, tmp_path):
    done = run("chip", "show", "dynapse1", "--json", "show.json", cwd=folder)
    assert done.returncode == 0
    data = json.loads((folder / "show.json").read_text())
    fixed = data["values"]["neuron.fixed.threshold"]
    assert (fixed["value"], fixed["tag"], fixed["source"]) == (2e-9, "verified", "YD")
    assert fixed["alt"] == [{"value": "1 nA", "source": "TE"}]
    assert all(v["tag"] for v in data["values"].values())
    assert run("chip", "check", INVENTED, cwd=folder).returncode == 0
    broken = tmp_path / "broken.toml"
    broken.write_text(INVENTED.read_text().replace("tag_bits = 14", "tagbits = 14"))
    done = run("chip", "check", broken, "--json", "check.json", cwd=folder)
    assert done.returncode == 1
    assert "did you mean 'tag_bits'" in done.stderr
    assert json.loads((folder / "check.json").read_text())["ok"] is False
    source = Path(load_chip.__code__.co_filename).with_name("dynapse2.toml")
    assert run("chip", "check", source, cwd=folder).returncode == 0
