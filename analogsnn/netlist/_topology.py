"""What a circuit cannot solve by its wiring alone: loops of voltage sources, nodes without a DC path to ground."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from ._lines import Log, LogicalLine, Note
from ._netlist import Behavioural, Device, Element, Parameter


class _Groups:
    """Disjoint sets of nodes."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, node: str) -> str:
        root = node
        while (above := self.parent.setdefault(root, root)) != root:
            root = above
        while node != root:
            self.parent[node], node = root, self.parent[node]
        return root

    def join(self, a: str, b: str) -> bool:
        """Whether they were apart before."""
        a, b = self.find(a), self.find(b)
        self.parent[a] = b
        return a != b


def _fixes_voltage(element: Element) -> bool:
    return element.letter in "veh" if not isinstance(element, Behavioural) else element.output == "v"


def _conducts(element: Element) -> Iterator[tuple[str, str]]:
    """Pairs of nodes that the element may carry a direct current between; a controlled one counts as if it did."""
    nodes = element.nodes
    if isinstance(element, Device):
        yield from pairwise(nodes)
    elif element.letter in "ci":
        return
    elif element.letter == "m":
        drain, _, source, *bulk = nodes
        yield drain, source
        yield from ((source, b) for b in bulk[:1])
    elif element.letter in "qj":
        yield from pairwise(nodes)
    else:
        yield nodes[0], nodes[1]


def check_topology(
    elements: Sequence[Element], nodes: Mapping[str, int], first_use: Mapping[str, LogicalLine], log: Log
) -> list[Note]:
    """Put every element that closes a loop of voltage sources into `log` as a problem.

    **Returns** a note for each group of nodes without a DC path to ground; with `uic` such a circuit can be run.
    """
    fixed, paths, sources = _Groups(), _Groups(), []
    for element in elements:
        if _fixes_voltage(element):
            a, b = element.nodes[:2]
            if a == b:
                log.problem_at(
                    element.location, f"both nodes of {element.name.upper()} are '{a}'.", "Connect one elsewhere."
                )
            elif not fixed.join(a, b):
                names = [e.name.upper() for e in sources if fixed.find(e.nodes[0]) == fixed.find(a)]
                log.problem_at(
                    element.location,
                    f"{element.name.upper()} closes a loop of voltage sources ({', '.join(names[:4])}).",
                    "Remove one, or put a resistor in series.",
                )
            sources.append(element)
        for a, b in _conducts(element):
            paths.join(a, b)
    ground = paths.find("0")
    groups: dict[str, list[str]] = {}
    for node in nodes:
        if node != "0" and paths.find(node) != ground:
            groups.setdefault(paths.find(node), []).append(node)
    return [Note(first_use[group[0]].location(), _no_path(group)) for group in groups.values() if group[0] in first_use]


def start_values_without_effect(
    elements: Sequence[Element], starts: Mapping[str, Mapping[str, Parameter]]
) -> Iterator[Note]:
    """A note for each start value of a node whose voltage sources set: it is passed over, as in ngspice.

    **Arguments**: `starts`, voltages by node for each statement (`"ic"`, `"nodeset"`).
    """
    fixed, sources = _Groups(), [element for element in elements if _fixes_voltage(element)]
    for element in sources:
        fixed.join(*element.nodes[:2])
    for statement, values in starts.items():
        for node, value in values.items():
            if fixed.find(node) != fixed.find("0"):
                continue
            holder = next((e.name.upper() for e in sources if node in e.nodes[:2] and node != "0"), "being ground")
            yield Note(value.location, f".{statement} of node '{node}' has no effect: {holder} sets its voltage.")


def _no_path(nodes: Sequence[str]) -> str:
    names = ", ".join(f"'{node}'" for node in nodes[:4]) + (" …" if len(nodes) > 4 else "")
    head = f"node {names} has" if len(nodes) == 1 else f"nodes {names} have"
    it = "it" if len(nodes) == 1 else "them"
    return f"{head} no DC path to ground: only capacitors, current sources and gates hold {it}."
