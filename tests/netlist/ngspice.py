"""ngspice as a plain program, for the tests of the reader: print operating points and waveforms at full precision."""

from __future__ import annotations

import re
import shutil
import subprocess


def run_ngspice(deck: str, commands: str) -> str:
    """What ngspice prints for a deck and a control block's commands. Exit codes lie, so callers look for values."""
    assert shutil.which("ngspice"), "ngspice is missing; run `make system` or install it with the package manager"
    body = re.sub(r"(?im)^\.end\s*$", "", deck)
    text = f"{body}\n.control\nset num_threads=1\nset numdgt=16\n{commands}\n.endc\n.end\n"
    done = subprocess.run(["ngspice", "-b"], input=text, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


def operating_point(deck: str, nodes: list[str] | tuple[str, ...]) -> dict[str, float]:
    """Node → V; a node that ngspice did not print is an error with its log."""
    out = run_ngspice(deck, "op\n" + "\n".join(f"print v({node})" for node in nodes))
    values = {match[1]: float(match[2]) for match in re.finditer(r"^v\((\S+)\) = (\S+)$", out, re.MULTILINE)}
    missing = [node for node in nodes if node not in values]
    assert not missing, f"ngspice gives no {missing}:\n{out[-1500:]}\n{deck}"
    return values
