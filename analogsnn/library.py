"""The circuit library: the only way to find `circuits/` and `spice/`, from a wheel or from a checkout, and to read it.

```python
from analogsnn import library

library.blocks()["dpi_synapse"].parameters  # what the header of circuits/dpi_synapse.cir says
netlist = library.read_bench("dpi_synapse", card="bsim3", parameters={"iw": 100e-12})
```
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .errors import InputError
from .netlist import Netlist, read_netlist_text

_PACKAGE = Path(__file__).resolve().parent


@cache
def root() -> Path:
    """The folder that holds `circuits/` and `spice/`: in the wheel `analogsnn/_library`, in a checkout its top.

    **Raises** `InputError` for an installation without them.
    """
    for folder in (_PACKAGE / "_library", _PACKAGE.parent):
        if (folder / "circuits" / "cards" / "ekv.lib").is_file() and (folder / "spice").is_dir():
            return folder
    raise InputError(f"the circuit library is missing beside {_PACKAGE}; install analogsnn anew.")


def circuits_folder() -> Path:
    """The folder of the blocks."""
    return root() / "circuits"


def spice_folder() -> Path:
    """The folder of the benches."""
    return root() / "spice"


def cards() -> dict[str, Path]:
    """Device cards by name: `ekv`, `bsim3`."""
    return {path.stem: path for path in sorted((circuits_folder() / "cards").glob("*.lib"))}


def bench_path(name: str) -> Path:
    """The bench called `name`.

    **Raises** `InputError` with near names.
    """
    names = benches()
    if name not in names:
        close = difflib.get_close_matches(name, names, 3) or list(names)
        raise InputError(f"there is no bench '{name}'; there are {', '.join(close)}.")
    return names[name]


def benches() -> dict[str, Path]:
    """All benches by name; most are named as their block."""
    return {path.stem: path for path in sorted(spice_folder().glob("*.cir"))}


def read_bench(name: str, *, card: str = "ekv", parameters: Mapping[str, float] | None = None) -> Netlist:
    """Read a bench on another device card, or with other values of its top-level `.param`.

    **Arguments**

    - `name`: such as `"adexp_neuron"`.
    - `card`: a name in `cards()`, or the path of a file with subcircuits `nfet` and `pfet`.
    - `parameters`: new values, in SI units.

    **Raises** `InputError` for unknown names, `NetlistErrors` for a card that cannot be read.
    """
    path = bench_path(name)
    return read_netlist_text(bench_text(name, card=card, parameters=parameters), str(path), [root(), *_card_root(card)])


def bench_text(name: str, *, card: str = "ekv", parameters: Mapping[str, float] | None = None) -> str:
    """The text of a bench, its card and parameters exchanged. Arguments and errors as in `read_bench`."""
    text = bench_path(name).read_text(encoding="utf-8")
    known = cards()
    if card in known:
        target = f"../circuits/cards/{card}.lib"
    elif Path(card).is_file():
        target = f'"{Path(card).resolve()}"'
    else:
        raise InputError(f"there is no device card '{card}'; there are {', '.join(known)}, or give the path of a file.")
    text, count = exchange_card(text, target)
    assert count == 1, f"{name} includes {count} cards"
    for key, value in (parameters or {}).items():
        pattern = rf"(?mi)^(\.param\b.*?\b{re.escape(key)}=)\S+"
        text, count = re.subn(pattern, lambda match: match[1] + repr(float(value)), text)  # noqa: B023
        if not count:
            names = re.findall(r"(\w+)=", " ".join(re.findall(r"(?mi)^\.param (.*)$", text)))
            raise InputError(f"bench '{name}' has no parameter '{key}'; there are {', '.join(names) or 'none'}.")
    return text


def exchange_card(text: str, card: Path | str) -> tuple[str, int]:
    """A deck's text with `card` in place of the library's card that it includes, and how many such lines it had."""
    target = f'"{card.resolve()}"' if isinstance(card, Path) else card
    return re.subn(r"(?m)^\.include \S*cards/\w+\.lib\s*$", lambda _: f".include {target}", text)


def _card_root(card: str) -> list[Path]:
    return [] if card in cards() else [Path(card).resolve().parent]


@dataclass(frozen=True)
class Pin:
    """A pin of a block: its name, what kind it is (`in`, `out`, `io`, `supply`, `bias n, I_w`), and what it is for."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True)
class BlockParameter:
    """A parameter of a block: unit, default and useful range as SPICE numbers, and what it is."""

    name: str
    unit: str
    default: str
    range: str
    text: str


@dataclass(frozen=True)
class Block:
    """The header of a file in `circuits/`. `kind` is `block` or `helper`; `requires` names other files to include."""

    name: str
    text: str
    kind: str
    pins: tuple[Pin, ...]
    parameters: tuple[BlockParameter, ...]
    paper: str
    bench: str
    requires: tuple[str, ...]
    notes: str
    path: Path


@dataclass(frozen=True)
class Bench:
    """The header of a file in `spice/`: `measures` is name → (unit, text)."""

    name: str
    text: str
    block: str
    measures: Mapping[str, tuple[str, str]]
    path: Path


@cache
def blocks() -> Mapping[str, Block]:
    """All blocks and helpers by name.

    **Raises** `InputError` for a header that does not have the form of the others.
    """
    return {path.stem: _read_block(path) for path in sorted(circuits_folder().glob("*.cir"))}


def bench(name: str) -> Bench:
    """The header of a bench.

    **Raises** `InputError` for an unknown name or another form.
    """
    path = bench_path(name)
    head, fields = _header(path)
    measures = {}
    for line in _lines(path):
        match = re.match(r"measure:\s+(\w+)\s+\[([^\]]+)\]\s+(.*)", line)
        if match:
            measures[match[1]] = (match[2], match[3])
    return Bench(name, head, " ".join(fields.get("block", [])), measures, path)


@cache
def expected(name: str) -> Mapping[str, Any]:
    """`spice/expected/NAME.toml`: per card, measure → value, tolerance, reason."""
    bench_path(name)
    return tomllib.loads((spice_folder() / "expected" / f"{name}.toml").read_text(encoding="utf-8"))


def _lines(path: Path) -> Iterator[str]:
    """The header: the comment lines that the file begins with, without their stars."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("*"):
            return
        yield line[1:].removeprefix(" ")


def _header(path: Path) -> tuple[str, dict[str, list[str]]]:
    """The title's text, and `key: value` fields with their indented continuation lines."""
    lines = _lines(path)
    name, colon, text = next(lines, "").partition(": ")
    if not colon or name != path.stem:
        raise InputError(f"{path}:1: the header must begin with '* {path.stem}: what it is'.")
    fields: dict[str, list[str]] = {}
    key = ""
    for line in lines:
        match = re.match(r"(kind|pins|parameters|paper|bench|requires|notes|block|measure|short):\s*(.*)", line)
        if match:
            key = match[1]
            fields.setdefault(key, []).extend([match[2]] if match[2] else [])
        elif line.startswith("  ") and key:
            fields[key].append(line.strip())
        else:
            break
    return text, fields


def _read_block(path: Path) -> Block:
    text, fields = _header(path)
    missing = {"kind", "pins", "paper", "bench"} - set(fields)
    if missing:
        raise InputError(f"{path}: the header has no '{sorted(missing)[0]}:'.")
    pins, parameters = [], []
    for line in fields["pins"]:
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 3:
            raise InputError(f"{path}: the pin '{line}' must read 'name | kind | what it is for'.")
        pins.append(Pin(*parts))
    for line in fields.get("parameters", []):
        match = re.match(r"(\w+)\s+\[([^\]]+)\]\s*=\s*(\S+)\s*\|\s*([^|]+?)\s*\|\s*(.*)", line)
        if match is None:
            raise InputError(
                f"{path}: the parameter '{line}' must read 'name [unit] = default | low .. high | what it is'."
            )
        parameters.append(BlockParameter(*match.groups()))
    return Block(
        name=path.stem, text=text, kind=fields["kind"][0], pins=tuple(pins), parameters=tuple(parameters),
        paper=" ".join(fields["paper"]), bench=" ".join(fields["bench"]),
        requires=tuple(" ".join(fields.get("requires", [])).split()), notes=" ".join(fields.get("notes", [])),
        path=path,
    )  # fmt: skip


def table() -> str:
    """The Markdown table of the library, as it stands in `circuits/README.md` and the documentation."""
    rows = ["| block | what it is | pins | parameters (unit, range) | paper | bench |", "|---|---|---|---|---|---|"]
    for block in sorted(blocks().values(), key=lambda b: (b.kind != "block", b.name)):
        pins = "<br>".join(f"`{pin.name}` {pin.kind}" for pin in block.pins)
        values = [
            f"`{p.name}` = {p.default}{'' if p.unit == '1' else ' ' + p.unit}, {p.range}" for p in block.parameters
        ]
        parameters = "<br>".join(values) or "none"
        where = f"[{Path(block.bench).stem}](../{block.bench})" if block.bench.startswith("spice/") else block.bench
        name = f"[{block.name}](../circuits/{block.name}.cir)"
        rows.append(f"| {name} | {block.text} | {pins} | {parameters or 'none'} | {block.paper} | {where} |")
    return "\n".join(rows) + "\n"
