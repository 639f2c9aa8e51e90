"""Names and sizes that can be checked only when all is flat: controlling sources, probes, start values, lone nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._elements import probes
from ._lines import Location, Log, LogicalLine, Note
from ._names import near
from ._netlist import Behavioural, Controlled, Device, Element, ModelElement, Parameter


@dataclass
class CrossCheck:
    """Checks a flat circuit; problems go to the log, notes to `notes`.

    `nodes` counts the connections of each node, and `first_use` holds the line where each was met first.
    """

    elements: Sequence[Element]
    nodes: dict[str, int]
    first_use: Mapping[str, LogicalLine]
    log: Log
    notes: list[Note]
    scale: float = 1.0

    def run(self, ic: Mapping[str, Parameter], nodeset: Mapping[str, Parameter]) -> None:
        """Check everything, start values too."""
        sources = {e.name for e in self.elements if e.letter == "v"}
        by_name = {e.name for e in self.elements}
        for element in self.elements:
            if isinstance(element, Device) or (isinstance(element, ModelElement) and element.letter == "m"):
                self.sizes(element)
            elif isinstance(element, Controlled) and element.letter in "fh":
                self.source(element, element.controls[0], sources, by_name)
            elif isinstance(element, Behavioural):
                volts, currents = probes(element.expression)
                for probe in currents:
                    self.source(element, probe.source, sources, by_name)
                for probe in volts:
                    for name in (probe.plus, probe.minus):
                        self.node(element, name)
        for kind, values in (("ic", ic), ("nodeset", nodeset)):
            for node, value in values.items():
                if node not in self.nodes and node != "0":
                    message = f".{kind} names node '{node}', which does not exist."
                    self.log.problem_at(value.location, message, near(node, self.nodes))
        for node, count in self.nodes.items():
            if count == 1 and node != "0":
                self.notes.append(Note(self.first_use[node].location(), f"node '{node}' has only one connection."))
        if self.elements and "0" not in self.nodes and not self.log.problems:
            first = next(iter(self.first_use.values()), None)
            if first is not None:
                self.log.problem(first, 0, "no element is connected to ground (node 0).", "Name one node 0.")

    def source(self, element: Element, name: str, sources: set[str], names: set[str]) -> None:
        if name in sources:
            return
        if name in names:
            message, hint = f"{name.upper()} carries no current that can be read.", "Put a V source of 0 V in series."
        else:
            message = f"{element.name.upper()} reads the current of '{name}', which does not exist."
            hint = near(name, sources, kind="Voltage sources")
        self.log.problem_at(element.location, message, hint)

    def node(self, element: Element, node: str) -> None:
        if node == "0" or node in self.nodes:
            if node != "0" and self.nodes[node] == 1:
                self.nodes[node] += 1
            return
        message = f"{element.name.upper()} reads V({node}), a node that does not exist."
        self.log.problem_at(element.location, message, near(node, self.nodes))

    def sizes(self, element: Element) -> None:
        """A transistor's width and length are positive, and smaller than a millimetre unless somebody meant metres."""
        for name in ("w", "l"):
            size = element.parameters.get(name)
            if size is None:
                continue
            place = f"{name.upper()} of {element.name.upper()}"
            if size <= 0:
                self.once(size.location, f"{place} is {float(size):g}.", "Width and length are positive.")
            elif size * self.scale > 1e-3:
                micro = f"For micrometres write {float(size):g}u, or .option scale=1u."
                note = Note(size.location, f"{place} is {float(size) * self.scale:g} m. {micro}")
                if not any(known.location == note.location for known in self.notes):
                    self.notes.append(note)

    def once(self, where: Location, message: str, hint: str) -> None:
        """A problem at a place that no problem was told of yet (a line in a subcircuit has many instances)."""
        if not any((p.file, p.line, p.column) == (where.file, where.line, where.column) for p in self.log.problems):
            self.log.problem_at(where, message, hint)
