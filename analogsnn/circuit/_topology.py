"""How the parts of a circuit hang together: which node voltages are states, which follow from them or from sources.

Voltage sources and linear E elements are eliminated: with x the voltages of the state nodes and u the values of the
sources, all node voltages are v = S x + P u. Kirchhoff's current law is summed over the nodes that voltage sources tie
together (the rows of R), so that the sources' own currents drop out. Everything here is static: numbers come later.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import NetlistError, NetlistErrors
from ..netlist import (
    Behavioural,
    Controlled,
    Current,
    Device,
    Element,
    IndependentSource,
    ModelElement,
    Netlist,
    Passive,
    Voltage,
    walk,
)
from ._ordering import elimination_levels

EKV_NAMES = frozenset({"nfet", "pfet"})
_LINEAR_WAVEFORMS = ("", "pulse", "pwl")


class Follow(NamedTuple):
    """An eliminated node: v[node] = v[base] + sign u[input] + gain (v[controls[0]] - v[controls[1]]); -1 means none."""

    node: int
    base: int
    input: int
    sign: float
    controls: tuple[int, int]
    gain: int


@dataclass(frozen=True, eq=False)
class Topology:
    """The static part of a circuit; two circuits with equal `key` share their compiled programs.

    Indices of nodes count `nodes`; ground is `len(nodes)`. Fields end in what they are of:

    - `nodes`: all nodes that have a row in S and P. `states`: indices of those that are states.
    - `fets`, `fet_nodes [fet, 4]` (drain, gate, source, bulk), `polarity [fet]` (+1 n, -1 p).
    - `capacitors`, `resistors`, `controlled` (G), and their nodes; `behavioural` are B-sources of current.
    - `inputs`: sources with a value of their own in u: straight-line waveforms first, then smooth ones, then
      behavioural voltages that depend on known nodes only. `input_nodes [input, 2]`: where current sources push;
      `pushes [input]`: whether it is a current source.
    - `levels`: how many states, one set after the other, share no element and can be eliminated together; the last
      are the rest. `touching [state, state]`: which states share an element.
    - `follows`: the eliminated nodes, each after its base.
    - `branches`: voltage sources and E elements; `branch_nodes [branch, 2]`.
    - `kcl [state, node]`: the matrix R.
    - `observed`: H and B elements whose node nothing loads: computed from the waveforms afterwards, in this order.
    """

    nodes: tuple[str, ...]
    states: tuple[int, ...]
    levels: tuple[int, ...]
    touching: np.ndarray
    fets: tuple[Device, ...]
    fet_nodes: np.ndarray
    polarity: np.ndarray
    capacitors: tuple[Passive, ...]
    capacitor_nodes: np.ndarray
    resistors: tuple[Passive, ...]
    resistor_nodes: np.ndarray
    controlled: tuple[Controlled, ...]
    controlled_nodes: np.ndarray
    behavioural: tuple[Behavioural, ...]
    behavioural_nodes: np.ndarray
    inputs: tuple[IndependentSource | Behavioural, ...]
    linear_inputs: int
    smooth_inputs: int
    input_nodes: np.ndarray
    pushes: np.ndarray
    follows: tuple[Follow, ...]
    gains: tuple[Controlled, ...]
    branches: tuple[Element, ...]
    branch_nodes: np.ndarray
    kcl: np.ndarray
    observed: tuple[Controlled | Behavioural, ...]
    key: str

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Topology) and self.key == other.key

    @property
    def state_names(self) -> tuple[str, ...]:
        """The nodes that are states, in the order of x."""
        return tuple(self.nodes[i] for i in self.states)


def refuse(element: Element, message: str, hint: str = "") -> NetlistError:
    """An error at the place of an element."""
    where = element.location
    return NetlistError(message, file=where.file, line=where.line, column=where.column, hint=hint)


def ekv_netlist(netlist: Netlist) -> Netlist:
    """The netlist flattened with its EKV transistors whole: `nfet` and `pfet` from a file that says `* model: ekv`."""
    whole = netlist.flatten(EKV_NAMES)
    other = {d.definition.name for d in whole.elements if isinstance(d, Device) and d.definition.model_kind != "ekv"}
    whole = whole if not other else netlist.flatten(EKV_NAMES - other)
    # Flattening starts from the deck; what a caller has since asked for instead of the deck's analyses counts.
    return dataclasses.replace(
        whole, analyses=netlist.analyses, measures=netlist.measures, options=netlist.options, ic=netlist.ic,
        nodeset=netlist.nodeset, saves=netlist.saves,
    )  # fmt: skip


def build_topology(netlist: Netlist) -> Topology:
    """The topology of a netlist from `ekv_netlist`.

    **Raises** `NetlistErrors` with every element that this engine has no model for, loops of voltage sources, and
    nodes that nothing but capacitors reach.
    """
    return _Builder(netlist).topology()


class _Builder:
    def __init__(self, netlist: Netlist):
        self.netlist = netlist
        self.problems: list[NetlistError] = []
        self.fets: list[Device] = []
        self.capacitors: list[Passive] = []
        self.resistors: list[Passive] = []
        self.controlled: list[Controlled] = []
        self.pushers: list[IndependentSource] = []
        self.behavioural: list[Behavioural] = []
        self.sources: list[IndependentSource] = []
        self.gains: list[Controlled] = []
        self.formulas: list[Controlled | Behavioural] = []  # H, and B with a voltage
        for element in netlist.elements:
            self.sort(element)

    def sort(self, element: Element) -> None:
        letter = element.letter
        if isinstance(element, Device):
            self.fets.append(element)
        elif isinstance(element, Passive):
            self.passive(element)
        elif isinstance(element, IndependentSource):
            (self.sources if letter == "v" else self.pushers).append(element)
        elif isinstance(element, Controlled) and letter == "g":
            self.controlled.append(element)
        elif isinstance(element, Controlled) and letter == "e":
            self.gains.append(element)
        elif isinstance(element, Controlled) and letter == "h":
            self.formulas.append(element)
        elif isinstance(element, Controlled):
            self.problem(element, f"{element.name.upper()} is controlled by a current, which our engine cannot do.",
                         "Use a G element across a resistor, or --engine ngspice.")  # fmt: skip
        elif isinstance(element, Behavioural):
            if element.output == "i" and _reads_current(element):
                self.problem(element, f"{element.name.upper()} is a current controlled by a current, which our engine "
                             "cannot do.", "Read a voltage across a resistor, or use --engine ngspice.")  # fmt: skip
            (self.formulas if element.output == "v" else self.behavioural).append(element)
        elif isinstance(element, ModelElement):
            model = self.netlist.models.get(element.model)
            kind = f" ({model.type})" if model is not None else ""
            what = {"m": "MOSFET", "d": "diode", "q": "bipolar transistor", "j": "JFET"}.get(letter, "device")
            hint = "Use --engine ngspice"
            hint += ", or the nfet and pfet subcircuits of a card with '* model: ekv'." if letter == "m" else "."
            self.problem(element, f"{element.name.upper()} is a {what} with model '{element.model}'{kind}, which our "
                         "engine has no equations for.", hint)  # fmt: skip

    def problem(self, element: Element, message: str, hint: str = "") -> None:
        if not any(p.line == element.location.line and p.file == element.location.file for p in self.problems):
            self.problems.append(refuse(element, message, hint))

    def passive(self, element: Passive) -> None:
        name, letter = element.name.upper(), element.letter
        if letter == "l":
            self.problem(element, f"{name} is an inductor, which our engine has no state for.", "Use --engine ngspice.")
            return
        if element.model:
            self.problem(element, f"{name} takes its value from model '{element.model}', which is not read.",
                         "Give the value itself, or use --engine ngspice.")  # fmt: skip
            return
        odd = sorted(set(element.parameters) - {letter, "m", "ac", "noisy", "ic"})
        if odd:
            self.problem(element, f"{name} has {', '.join(odd)}=, which our engine does not read.",
                         "Fold it into the value, or use --engine ngspice.")  # fmt: skip
        (self.capacitors if letter == "c" else self.resistors).append(element)

    def topology(self) -> Topology:
        self.stop()
        everything = [*self.fets, *self.capacitors, *self.resistors, *self.controlled, *self.pushers, *self.behavioural]
        loaded = {node for element in everything for node in element.nodes}
        for element in (*self.sources, *self.gains):
            loaded |= set(element.nodes)
        for element in self.controlled:
            loaded |= set(element.controls)
        for element in (*self.gains, *self.behavioural):
            loaded |= _read_nodes(element)
        loaded.discard("0")
        behavioural_inputs, observed = self.formula_nodes(loaded)
        hidden = {node for element in observed for node in element.nodes if node not in loaded}
        nodes = tuple(node for node in self.netlist.nodes if node not in hidden)
        self.index = {node: i for i, node in enumerate(nodes)} | {"0": len(nodes)}
        linear = [s for s in (*self.sources, *self.pushers) if s.waveform in _LINEAR_WAVEFORMS]
        smooth = [s for s in (*self.sources, *self.pushers) if s.waveform not in _LINEAR_WAVEFORMS]
        inputs = (*linear, *smooth, *behavioural_inputs)
        follows, states, kcl = self.eliminate(nodes, inputs)
        self.check_currents(nodes, states)
        self.stop()
        branches = (*self.sources, *self.gains, *behavioural_inputs)
        at = self.at
        touching = self.pattern(kcl, follows)
        levels = elimination_levels(touching)
        order = [i for level in levels for i in level]
        states, kcl, touching = tuple(states[i] for i in order), kcl[order], touching[order][:, order]
        parts: dict[str, object] = {
            "nodes": nodes, "states": states, "levels": tuple(map(len, levels)), "touching": touching,
            "fet_nodes": at([e.nodes for e in self.fets], 4),
            "polarity": np.array([1.0 if e.definition.name == "nfet" else -1.0 for e in self.fets]),
            "capacitor_nodes": at([e.nodes for e in self.capacitors], 2),
            "resistor_nodes": at([e.nodes for e in self.resistors], 2),
            "controlled_nodes": at([(*e.nodes, *e.controls) for e in self.controlled], 4),
            "behavioural_nodes": at([e.nodes for e in self.behavioural], 2),
            "linear_inputs": len(linear), "smooth_inputs": len(smooth),
            "input_nodes": at([e.nodes for e in inputs], 2),
            "pushes": np.array([float(e.letter == "i") for e in inputs]),
            "follows": follows,
            "branch_nodes": at([e.nodes for e in branches], 2),
            "kcl": kcl,
        }  # fmt: skip
        texts = [repr((k, v.tolist() if isinstance(v, np.ndarray) else v)) for k, v in parts.items()]
        texts += [repr(e.expression) for e in (*self.behavioural, *behavioural_inputs)]
        texts += [source.waveform for source in smooth]
        key = hashlib.sha256("\n".join(texts).encode()).hexdigest()
        return Topology(
            fets=tuple(self.fets), capacitors=tuple(self.capacitors), resistors=tuple(self.resistors),
            controlled=tuple(self.controlled), behavioural=tuple(self.behavioural), inputs=inputs,
            gains=tuple(self.gains), branches=branches, observed=tuple(observed), key=key, **parts,  # type: ignore[arg-type]
        )  # fmt: skip

    def pattern(self, kcl: np.ndarray, follows: Sequence[Follow]) -> np.ndarray:
        """Which states share an element, `[state, state]`."""
        n = len(self.index) - 1
        meet = np.zeros((n + 1, n + 1), dtype=bool)
        for element in (*self.fets, *self.capacitors, *self.resistors, *self.controlled, *self.behavioural):
            names = {*element.nodes}
            if isinstance(element, Controlled | Behavioural):
                names |= _read_nodes(element)
            rows = [self.index[name] for name in names]
            meet[np.ix_(rows, rows)] = True
        for follow in follows:
            if follow.gain >= 0:  # what hangs on an E element meets what controls it, through any number of them
                meet[follow.node] = meet[:, follow.node] = True
                for node in follow.controls:
                    meet[node] = meet[:, node] = True
        tied = kcl.T[:, :] > 0
        found = (tied.T.astype(int) @ meet[:n, :n].astype(int) @ tied.astype(int)) > 0
        return found | found.T | np.eye(len(kcl), dtype=bool)

    def at(self, nodes: Sequence[Sequence[str]], width: int) -> np.ndarray:
        return np.array([[self.index[n] for n in row] for row in nodes], dtype=np.int32).reshape(-1, width)

    def stop(self) -> None:
        if self.problems:
            raise NetlistErrors(self.problems)

    def formula_nodes(self, loaded: set[str]) -> tuple[list[Behavioural], list[Controlled | Behavioural]]:
        """Which B-sources are inputs, because sources alone determine their value, and what is only looked at."""
        known = {"0"}
        inputs: list[Behavioural] = []
        waiting = list(self.formulas)
        grown = True
        while grown:
            grown = False
            for source in self.sources:
                if (source.nodes[0] in known) != (source.nodes[1] in known):
                    known |= {*source.nodes}
                    grown = True
            for element in list(waiting):
                if not isinstance(element, Behavioural) or _reads_current(element):
                    continue
                if (element.nodes[0] in known) != (element.nodes[1] in known) and _read_nodes(element) <= known:
                    inputs.append(element)
                    known |= {*element.nodes}
                    waiting.remove(element)
                    grown = True
        for element in waiting:
            shown = element.nodes[0]
            if shown in loaded or element.nodes[1] != "0":
                self.problem(element, f"{element.name.upper()} drives node '{shown}' by a formula that reads more than "
                             "the nodes of sources, which our engine cannot do; it can compute such nodes only where "
                             "nothing hangs on them.",
                             "Use an E element, a B-source of current, or --engine ngspice.")  # fmt: skip
        return inputs, self.in_order(waiting)

    def in_order(self, observed: list[Controlled | Behavioural]) -> list[Controlled | Behavioural]:
        """What is only looked at, each after those that it reads."""
        order: list[Controlled | Behavioural] = []
        waiting = list(observed)
        while waiting:
            shown = {element.nodes[0] for element in waiting}
            ready = [e for e in waiting if isinstance(e, Controlled) or not _read_nodes(e) & shown]
            if not ready:
                names = ", ".join(e.name.upper() for e in waiting)
                self.problem(waiting[0], f"the formulas of {names} read each other in a circle.", "Break the circle.")
                break
            order += ready
            waiting = [e for e in waiting if e not in ready]
        return order

    def eliminate(
        self, nodes: tuple[str, ...], inputs: Sequence[Element]
    ) -> tuple[tuple[Follow, ...], tuple[int, ...], np.ndarray]:
        """Which nodes follow others, and the sums of currents that remain."""
        ground = len(nodes)
        number = {element.name: i for i, element in enumerate(inputs)}
        gain = {element.name: i for i, element in enumerate(self.gains)}
        branches = [*self.sources, *self.gains, *(e for e in inputs if isinstance(e, Behavioural))]
        neighbours: dict[int, list[tuple[int, Element]]] = {i: [] for i in range(ground + 1)}
        group = list(range(ground + 1))

        def root(i: int) -> int:
            while group[i] != i:
                i = group[i]
            return i

        for element in branches:
            a, b = (self.index[node] for node in element.nodes)
            if root(a) == root(b):
                names = ", ".join(e.name.upper() for e in branches if root(self.index[e.nodes[0]]) == root(a))
                self.problem(element, f"{element.name.upper()} closes a loop of voltage sources ({names}).",
                             "Put a resistor into the loop.")  # fmt: skip
                continue
            group[root(a)] = root(b)
            neighbours[a].append((b, element))
            neighbours[b].append((a, element))
        follows: list[Follow] = []
        seen: set[int] = set()
        states: list[int] = []
        members: list[list[int]] = []
        for start in (ground, *range(ground)):
            if start in seen:
                continue
            seen.add(start)
            tree, stack = [start], [start]
            while stack:
                here = stack.pop()
                for there, element in neighbours[here]:
                    if there in seen:
                        continue
                    seen.add(there)
                    stack.append(there)
                    tree.append(there)
                    # A branch from a to b says v_a - v_b = value: reached from b it adds, reached from a it takes away.
                    forward = self.index[element.nodes[0]] == there
                    controls = (ground, ground)
                    if isinstance(element, Controlled):
                        first, second = element.controls if forward else element.controls[::-1]
                        controls = (self.index[first], self.index[second])
                    value, amplification = number.get(element.name, -1), gain.get(element.name, -1)
                    follows.append(Follow(there, here, value, 1.0 if forward else -1.0, controls, amplification))
            if start != ground:
                states.append(start)
                members.append(tree)
        kcl = np.zeros((len(states), ground))
        for row, tree in enumerate(members):
            kcl[row, tree] = 1.0
        return tuple(follows), tuple(states), kcl

    def check_currents(self, nodes: tuple[str, ...], states: tuple[int, ...]) -> None:
        """Every state needs a way for direct current to a node whose voltage is given."""
        ground = len(nodes)
        group = list(range(ground + 1))

        def root(i: int) -> int:
            while group[i] != i:
                group[i] = group[group[i]]
                i = group[i]
            return i

        def join(a: str, b: str) -> None:
            group[root(self.index[a])] = root(self.index[b])

        for element in (*self.sources, *self.gains, *self.resistors, *self.behavioural, *self.controlled):
            join(*element.nodes[:2])
        for element in self.formulas:
            if all(node in self.index for node in element.nodes):
                join(*element.nodes[:2])
        for fet in self.fets:
            join(fet.nodes[0], fet.nodes[2])
        for state in states:
            node = nodes[state]
            if root(state) == root(ground):
                continue
            near = next((e for e in self.netlist.elements if node in e.nodes), None)
            if near is None:
                continue
            pushed = any(node in e.nodes for e in self.pushers)
            what = (
                "only gates, capacitors and current sources touch it"
                if pushed
                else "only gates and capacitors touch it"
            )
            if node in self.netlist.ic and not pushed:
                continue
            message = f"node '{node}' floats: {what}, so nothing sets its voltage."
            self.problem(near, message, "Connect it, or tie it to ground with a large resistor.")


def _read_nodes(element: Element) -> set[str]:
    """The nodes whose voltages an E or B element reads."""
    if isinstance(element, Controlled):
        return set(element.controls) - {"0"}
    assert isinstance(element, Behavioural)
    probes = [part for part in walk(element.expression) if isinstance(part, Voltage)]
    return {node for probe in probes for node in (probe.plus, probe.minus)} - {"0"}


def _reads_current(element: Behavioural) -> bool:
    return any(isinstance(part, Current) for part in walk(element.expression))
