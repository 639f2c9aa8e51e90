"""Run systems and write what stands beside their READMEs: result.json, the network file, the table and the figure.

python examples/systems/record.py [NAME ...]
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from analogsnn import __version__
from analogsnn._cli_example import write_files
from analogsnn.report import drawing
from analogsnn.systems import SYSTEMS, Result, run_system
from analogsnn.systems._page import shown, target

HERE = Path(__file__).parent
FIGURES = HERE.parents[1] / "docs" / "figures" / "systems"


def table(result: Result) -> str:
    """The numbers as Markdown."""
    rows = ["| number | value | spread | target | met |", "|---|---|---|---|---|"]
    for number in result.numbers.values():
        s = number.spread
        spread = "" if s is None else f"{s['low']:.3g} to {s['high']:.3g} ({s['count']} {s['over']})"
        met = {True: "yes", False: "**no**", None: ""}[number.met]
        rows.append(f"| {number.text} | {shown(number)} | {spread} | {target(number)} | {met} |")
    return "\n".join(rows)


def record(name: str, seed: int = 1) -> None:
    """Run one system in full and write its files."""
    result = run_system(name, seed=seed)
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    write_files(folder, result)
    (folder / "report.html").unlink()
    data = {"version": __version__, "command": "example", "seed": seed, "error": None, **result.record()}
    (folder / "result.json").write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    FIGURES.mkdir(parents=True, exist_ok=True)
    chosen = result.pictures[{"delay_motion": 2, "reservoir_what_when": 1}.get(name, 0)]
    with drawing():
        chosen.figure.savefig(FIGURES / f"{name}.png", dpi=80, metadata={"Software": None})
    page = folder / "README.md"
    text = page.read_text(encoding="utf-8")
    text = re.sub(
        r"(<!-- numbers -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{table(result)}\n{m[2]}", text, flags=re.S
    )
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for system in sys.argv[1:] or SYSTEMS:
        record(system)
        print(f"wrote {HERE / system}")
