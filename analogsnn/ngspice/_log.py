"""What ngspice's log says about a run. Its exit status says nothing: it is 0 for many failures."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HARMLESS = re.compile(
    r"note:|reference value|using |doing analysis|no compatibility mode|\**\s*$|\*\* |doanalyses: tran$"
    # Steps of a search for the operating point: what counts is how it ends.
    r"|warning: (further gmin increment|(last )?gmin step failed|(dynamic gmin|true gmin|source) stepping failed)$",
    re.I,
)
# "No. of Data Rows" and the like are in neither list. The title is echoed as "Circuit: …", and may say anything.
_ECHO = re.compile(r"circuit:|\s*noisy\b", re.I)
# Progress is printed without an end of line, so that the next message stands behind it.
_PROGRESS = re.compile(r"(trying gmin =\s*\S+|supplies reduced to\s*\S+%)\s*", re.I)
_FATAL = re.compile(
    r"\berror\b|timestep too small|doanalyses|no such vector|failed!|\bunknown\b|undefined parameter"
    r"|could not find a valid modelname|simulation\(s\) aborted|unable to find definition|argument out of range"
    r"|iteration limit reached|no such function|fatal|no convergence|mismatch of ",
    re.I,
)
_SINGULAR = re.compile(r"singular matrix", re.I)
_RESCUED = re.compile(r"stepping completed|gmin step.* completed|source step.* completed", re.I)


def classify(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sort the lines of a log (stdout and stderr in the order they came).

    A singular matrix inside a gmin or source stepping that is completed afterwards is a warning: it does occur in
    correct runs.

    **Returns** the fatal lines and the warnings; the rest is harmless.
    """
    fatal, warnings = [], []
    last_rescue = max((i for i, line in enumerate(lines) if _RESCUED.search(line)), default=-1)
    for i, raw in enumerate(lines):
        line = _PROGRESS.sub("", raw).strip()
        if not line or _ECHO.match(line) or _HARMLESS.match(line):
            continue
        if _SINGULAR.search(line):
            (warnings if i < last_rescue else fatal).append(line)
        elif _FATAL.search(line):
            fatal.append(line)
        elif line.lower().startswith("warning"):
            warnings.append(line)
    return fatal, warnings
