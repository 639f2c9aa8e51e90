"""The flat circuit: what `read_netlist` returns and both engines consume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._analyses import Analysis, Measure
from ._deck import Block
from ._expressions import Expression, Name, Number
from ._lines import Location, Note


class Scope:
    """The parameters that one instance sees: its own, then those of the instances around it, then the top level's.

    ngspice looks names up through the *callers*, not through the text (measured), and so does this.

    - `path`: `""` at the top, else the instance, such as `x1.x2`; `block`: what it is an instance of.
    - `arguments`: the names that an instance can give, in order; at the top, every `.param`.
    """

    __slots__ = ("arguments", "bindings", "block", "multiplied", "parent", "path")

    def __init__(self, path: str, parent: Scope | None, block: Block, multiplied: bool = False):
        self.path, self.parent, self.block, self.multiplied = path, parent, block, multiplied
        self.bindings: dict[str, Binding] = {}
        self.arguments: tuple[str, ...] = ()

    def find(self, name: str) -> Binding | None:
        """The binding that `name` has here, or None."""
        scope: Scope | None = self
        while scope is not None:
            binding = scope.bindings.get(name)
            if binding is not None:
                return binding
            scope = scope.parent
        return None

    def path_of(self, name: str) -> str:
        """The parameter path of a binding of this scope: `param.NAME` at the top, `x1.NAME` inside."""
        return f"{self.path}.{name}" if self.path else f"param.{name}"


class Binding:
    """One name of a scope and its expression.

    Names in the expression mean the same scope's first, then those further out; the names in `outer` mean only those
    further out. So a parameter that mentions its own name (`w={w}`) means the caller's.
    """

    __slots__ = ("expression", "location", "name", "outer", "path", "scope")

    def __init__(
        self, name: str, expression: Expression, scope: Scope, location: Location, outer: frozenset[str] = frozenset()
    ):
        self.name, self.expression, self.scope, self.location, self.outer = name, expression, scope, location, outer
        self.path = scope.path_of(name)

    def resolve(self, name: str) -> Binding | None:
        """The binding that `name` means inside this one's expression."""
        if name in self.outer:
            return self.scope.parent.find(name) if self.scope.parent is not None else None
        return self.scope.find(name)


class Parameter(float):
    """A number that remembers how it came about: `expression`, evaluated in `scope`; `location` is where it stands.

    Being a float, it can be used as it is; `Evaluator` computes it anew when something it depends on is changed.
    """

    __slots__ = ("expression", "location", "scope")
    expression: Expression
    scope: Scope
    location: Location

    def __new__(cls, value: float, expression: Expression, scope: Scope, location: Location) -> Parameter:
        self = super().__new__(cls, value)
        self.expression, self.scope, self.location = expression, scope, location
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.expression, self.scope, self.location

    @property
    def is_literal(self) -> bool:
        """Whether it is a plain number of the deck, so that nothing else moves it."""
        return isinstance(self.expression, Number)

    @property
    def is_alias(self) -> bool:
        """Whether it is exactly another parameter, such as `W={W}`."""
        return isinstance(self.expression, Name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """What all elements have.

    - `name`: hierarchical, in lower case: `x1.csyn`. `letter`: its kind, `c`.
    - `nodes`: flat names; ground is `0`.
    - `parameters`: by ngspice's names, in SI units; with the name they make the parameter path `x1.csyn.c`.
    - `scope`: the parameters of the instance that holds the element.
    """

    name: str
    letter: str
    nodes: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    scope: Scope
    location: Location

    @property
    def multiplicity(self) -> float:
        """How many of it stand in parallel (`m=`)."""
        return self.parameters.get("m", 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passive(Element):
    """R, C or L: value in `parameters["r" | "c" | "l"]`, in ohm, farad, henry; `model` is a card's name or ""."""

    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndependentSource(Element):
    """V or I. `dc` in volt or ampere; `waveform` is "" or a key of `FIELDS` or "pwl", with the numbers in `parameters`.

    Current flows through the source from its first node to its second. `resolve_waveform(waveform, parameters, step,
    stop)` gives the waveform.
    """

    waveform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controlled(Element):
    """Linear E, F, G or H with `parameters["gain"]`; `controls` are the two nodes of E and G, or the name of the
    voltage source whose current controls F and H."""

    controls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavioural(Element):
    """B, or E and G with an expression: a current `output == "i"` from the first node to the second, or a voltage "v".

    Nodes and sources in `expression` are flat; its names are looked up in `scope`, but for `time` and `temper`.
    """

    output: str
    expression: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelElement(Element):
    """M, D, Q or J with a model card: `model` is a key of `Netlist.models`."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The subcircuit behind a `Device`.

    - `comments`: all comment lines of its file, because a card says there what it is (`* model: ekv`).
    - `card`: top-level `.param` of the same file, the values of the card.
    - `defaults`: names of its own parameters, in order.
    """

    name: str
    pins: tuple[str, ...]
    defaults: tuple[str, ...]
    file: str
    comments: tuple[str, ...]
    card: Mapping[str, Parameter]
    block: Block = field(repr=False)

    @property
    def model_kind(self) -> str:
        """What the comment `* model: KIND` of the file says, in lower case, or ""."""
        for comment in self.comments:
            key, colon, value = comment.lstrip("* ").partition(":")
            if colon and key.strip().lower() == "model" and value.strip():
                return value.split()[0].lower()
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(Element):
    """An instance of a subcircuit that was asked to stay whole, such as `nfet`: `parameters` holds all of the
    subcircuit's, given or default, and `inside` is the scope of its body."""

    definition: Definition
    inside: Scope


@dataclass(frozen=True, slots=True)
class Model:
    """A `.model` card: `parameters` are numbers, but for words such as a version."""

    name: str
    type: str
    parameters: Mapping[str, Parameter | str]
    location: Location


@dataclass(frozen=True, slots=True)
class Netlist:
    """A flat circuit and what a deck says to do with it.

    - `elements`: in the order of the deck, instances expanded in place.
    - `models`: cards in use, by flat name.
    - `analyses`, `measures`, `saves`: in the order of the deck. `options`: numbers, words, or True.
    - `ic`, `nodeset`: flat node → V. `temperature`: degree Celsius. `params`: the top level's.
    - `notes`: what was read otherwise than it looks, or not at all.
    - `files`: every file that was read. `devices`: the subcircuits left whole.
    - `changes`: values that `replace` has set, by parameter path.
    """

    title: str
    file: str
    elements: tuple[Element, ...]
    models: Mapping[str, Model]
    analyses: tuple[Analysis, ...]
    measures: tuple[Measure, ...]
    options: Mapping[str, float | str | bool]
    ic: Mapping[str, Parameter]
    nodeset: Mapping[str, Parameter]
    temperature: Parameter
    saves: tuple[str, ...]
    params: Mapping[str, Parameter]
    notes: tuple[Note, ...]
    nodes: tuple[str, ...]
    files: tuple[str, ...]
    devices: frozenset[str]
    scope: Scope = field(repr=False)
    scopes: Mapping[str, Scope] = field(repr=False)
    deck: Any = field(repr=False, compare=False)
    changes: Mapping[str, float] = field(default_factory=dict)

    def replace(self, values: Mapping[str, float]) -> Netlist:
        """The same circuit with other numbers, by parameter path; what follows from them by an expression follows.

        **Raises** `KeyError` with near names for a path that does not exist.
        """
        from ._replace import replace_values

        return replace_values(self, values)

    def flatten(self, devices: frozenset[str] | set[str] = frozenset()) -> Netlist:
        """The same deck flattened again, instances of the subcircuits named in `devices` kept whole as `Device`.

        **Raises** `NetlistErrors`.
        """
        from ._flatten import flatten

        flat = flatten(self.deck, devices)
        return flat.replace(self.changes) if self.changes else flat

    def element(self, name: str) -> Element:
        """The element called `name`, in any case.

        **Raises** `KeyError` with near names.
        """
        from ._names import near

        for element in self.elements:
            if element.name == name.lower():
                return element
        raise KeyError(f"no element '{name}'. {near(name.lower(), (e.name for e in self.elements))}".strip())

    @property
    def supply(self) -> float | None:
        """The largest DC source to ground (V), or None without one: half of it is where a spike is counted."""
        values = [
            abs(float(e.parameters.get("dc", 0.0)))
            for e in self.elements
            if isinstance(e, IndependentSource) and e.letter == "v" and "0" in e.nodes and not e.waveform
        ]
        return max(values, default=0.0) or None

    @property
    def scale(self) -> float:
        """Factor on the sizes of MOS devices (`.option scale=1u` lets them be written in micrometre)."""
        value = self.options.get("scale", 1.0)
        return float(value) if isinstance(value, (int, float)) else 1.0
