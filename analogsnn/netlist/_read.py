"""The doors of the room: read a deck, or say everything about it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import NetlistError, NetlistErrors
from ._flatten import flatten
from ._lines import Note
from ._netlist import Netlist
from ._parser import Roots, parse_file, parse_text


def read_netlist(
    path: str | os.PathLike[str], root: Roots = None, *, devices: frozenset[str] | set[str] = frozenset()
) -> Netlist:
    """Read a SPICE deck and everything it includes.

    **Arguments**

    - `path`: the deck; its first line is the title.
    - `root`: the folder, or folders, below which all files must lie; by default the parent of the deck's folder.
    - `devices`: subcircuits whose instances stay whole, such as `{"nfet", "pfet"}`.

    **Returns** a `Netlist`.

    **Raises** `NetlistErrors` with every problem of the deck and its includes, each with its place.
    """
    return flatten(parse_file(path, root), devices)


def read_netlist_text(
    text: str,
    file: str = "<text>",
    root: Roots = None,
    *,
    devices: frozenset[str] | set[str] = frozenset(),
) -> Netlist:
    """Read a deck from a string, title line first; includes are looked for below `root`, and refused without one.

    ```python
    netlist = read_netlist_text("divider\\nV1 a 0 2\\nR1 a b 1k\\nR2 b 0 1k\\n.op\\n")
    ```

    **Raises** `NetlistErrors`.
    """
    return flatten(parse_text(text, file, root), devices)


@dataclass(frozen=True, slots=True)
class Report:
    """What was read, what was ignored, what is wrong.

    - `counts`: elements per letter, and `subcircuits`, `models`, `parameters`, `nodes`, `analyses`, `measures`;
      empty where problems prevented flattening.
    - `ok`: whether there are no problems.
    """

    file: str
    title: str
    files: tuple[str, ...]
    counts: Mapping[str, int]
    analyses: tuple[str, ...]
    notes: tuple[Note, ...]
    problems: tuple[NetlistError, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def check_netlist(path: str | os.PathLike[str], root: Roots = None) -> Report:
    """Read a deck and report on it instead of raising."""
    deck = parse_file(path, root)
    log = deck.log
    try:
        netlist = flatten(deck)
    except NetlistErrors as errors:
        return Report(deck.file, deck.title, tuple(log.files), {}, (), tuple(log.notes), tuple(errors.problems))
    counts = dict(sorted(Counter(element.letter.upper() for element in netlist.elements).items()))
    counts |= {
        "subcircuits": len(deck.top.blocks), "models": len(netlist.models), "parameters": len(netlist.params),
        "nodes": len(netlist.nodes), "analyses": len(netlist.analyses), "measures": len(netlist.measures),
    }  # fmt: skip
    kinds = tuple(type(analysis).__name__.lower() for analysis in netlist.analyses)
    return Report(netlist.file, netlist.title, netlist.files, counts, kinds, netlist.notes, ())
