"""Deck → Netlist: instances expanded, parameters evaluated, names checked."""

from __future__ import annotations

import os
from collections.abc import Set

from ._analyses import Analysis, AnalysisTemplate, Dc, Measure, MeasureTemplate, Op, Sweep, Tran
from ._crosscheck import CrossCheck
from ._deck import Block, Bound, ModelTemplate, Template
from ._elements import plain_name
from ._expressions import Call, Current, Expression, Name, Number, Voltage, rewrite, walk
from ._functions import BEHAVIOURAL_NAMES, BEHAVIOURAL_VARIABLES
from ._lines import LogicalLine, Note
from ._names import near
from ._netlist import (
    Behavioural,
    Controlled,
    Definition,
    Device,
    Element,
    IndependentSource,
    Model,
    ModelElement,
    Netlist,
    Parameter,
    Passive,
    Scope,
)
from ._parser import Deck
from ._topology import check_topology, start_values_without_effect
from ._values import Values, hidden_names, outwards

MAX_ELEMENTS = 500_000
MAX_NESTING = 60
DEFAULT_TEMPERATURE = 27.0  # degree Celsius, SPICE's


def flatten(deck: Deck, devices: Set[str] = frozenset()) -> Netlist:
    """The flat circuit of a deck; instances of the subcircuits in `devices` stay whole.

    **Raises** `NetlistErrors` with all problems, those of the reading included.
    """
    return _Flattener(deck, frozenset(name.lower() for name in devices)).netlist()


class _Flattener:
    def __init__(self, deck: Deck, devices: frozenset[str]):
        self.deck, self.devices = deck, devices
        # The deck's own log stays as it is, so that it can be flattened again.
        self.log = deck.log.copy()
        self.values = Values(self.log)
        self.elements: list[Element] = []
        self.models: dict[str, Model] = {}
        self.definitions: dict[int, Definition] = {}
        self.nodes: dict[str, int] = {}
        self.ic: dict[str, Parameter] = {}
        self.nodeset: dict[str, Parameter] = {}
        self.scopes: dict[str, Scope] = {}
        self.globals = frozenset(deck.directives.globals) | {"0", "gnd"}
        self.hidden: dict[tuple[int, int], dict[str, frozenset[str]]] = {}
        self.first_use: dict[str, LogicalLine] = {}
        self.notes: list[Note] = []

    def netlist(self) -> Netlist:
        deck, directives = self.deck, self.deck.directives
        top = Scope("", None, deck.top)
        self.top = self.scopes[""] = top
        self.values.bind(top, deck.top.params)
        top.arguments = tuple(deck.top.params)
        temperature = self.temperature(top)
        self.values.evaluator.overrides["temp"] = float(temperature)
        params = {
            name: value
            for name, bound in deck.top.params.items()
            if (value := self.values.value(Bound(Name(name, bound.at), bound.line, bound.at), top)) is not None
        }
        self.params = params
        self.refuse_bombs()
        self.expand(deck.top, top, {}, [])
        options = {name: self.option(value) for name, value in directives.options.items()}
        scale = options.get("scale", 1.0)
        scale = float(scale) if isinstance(scale, (int, float)) else 1.0
        CrossCheck(self.elements, self.nodes, self.first_use, self.log, self.notes, scale).run(self.ic, self.nodeset)
        if "0" in self.nodes:
            self.notes += check_topology(self.elements, self.nodes, self.first_use, self.log)
            self.notes += start_values_without_effect(self.elements, {"ic": self.ic, "nodeset": self.nodeset})
        analyses = tuple(a for template in directives.analyses if (a := self.analysis(template)) is not None)
        measures = tuple(self.measure(item) for item in directives.measures)
        if not analyses:
            where = next(iter(deck.top.names.values()), None)
            if where is not None:
                message = "the deck has no analysis (.tran, .dc or .op), so nothing would be run."
                self.notes.append(Note(where.location(), message))
        self.log.stop()
        return Netlist(
            title=deck.title, file=deck.file, elements=tuple(self.elements), models=self.models, analyses=analyses,
            measures=measures, options=options, ic=self.ic, nodeset=self.nodeset, temperature=temperature,
            saves=tuple(directives.saves), params=params, notes=(*self.log.notes, *self.notes),
            nodes=tuple(node for node in self.nodes if node != "0"), files=tuple(self.log.files),
            devices=self.devices, scope=top, scopes=self.scopes, deck=deck,
        )  # fmt: skip

    def temperature(self, top: Scope) -> Parameter:
        directives = self.deck.directives
        bound = directives.temperature
        option = directives.options.get("temp")
        if bound is None and isinstance(option, Bound):
            bound = option
        value = self.values.value(bound, top) if bound is not None else None
        if value is None:
            location = self.deck.top.location
            return Parameter(DEFAULT_TEMPERATURE, Number(DEFAULT_TEMPERATURE), top, location)
        if value < -273.15 and bound is not None:
            self.log.problem(bound.line, bound.at, f"{float(value):g} °C is below absolute zero.")
        return value

    # Instances

    def refuse_bombs(self) -> None:
        """Count the elements before making them: forty small subcircuits can say 2⁴⁰."""
        sizes: dict[int, int] = {}
        open_: set[int] = set()

        def size(block: Block, level: int) -> int:
            if id(block) in sizes:
                return sizes[id(block)]
            if id(block) in open_ or level > MAX_NESTING:
                return 0  # told when it is expanded
            open_.add(id(block))
            total = 0
            for template in block.elements:
                inner = block.find_block(template.model) if template.letter == "x" else None
                total += 1 + (size(inner, level + 1) if inner is not None else 0)
            open_.discard(id(block))
            sizes[id(block)] = total
            return total

        for template in self.deck.top.elements:
            inner = self.deck.top.find_block(template.model) if template.letter == "x" else None
            if inner is not None and size(inner, 1) > MAX_ELEMENTS:
                self.log.problem(
                    template.line, 0, f"{template.name.upper()} alone has {float(size(inner, 1)):.2g} elements; "
                    f"{MAX_ELEMENTS} are allowed.",
                )  # fmt: skip
                self.log.stop()

    def expand(self, block: Block, scope: Scope, pins: dict[str, str], chain: list[Block]) -> None:
        prefix = f"{scope.path}." if scope.path else ""

        def flat(node: str) -> str:
            known = pins.get(node)
            if known is not None:
                return known
            return node if not prefix or node in self.globals else prefix + node

        for template in block.elements:
            name = prefix + template.name
            nodes = tuple([flat(node) for node in template.nodes])
            if template.letter == "x":
                self.instance(template, name, nodes, block, scope, chain)
                continue
            # A node held by a voltage needs no second connection: it may be there to be looked at.
            held = template.letter in "veh" or template.output == "v"
            for node in (*nodes, *nodes) if held else nodes:
                self.count(node, template.line)
            element = self.element(template, name, nodes, block, scope, flat)
            if element is not None:
                self.elements.append(element)
        for items, target in ((block.ic, self.ic), (block.nodeset, self.nodeset)):
            for item in items:
                value = self.values.value(item.value, scope)
                if value is not None:
                    target[flat(item.node)] = value

    def count(self, node: str, line: LogicalLine) -> None:
        if node in self.nodes:
            self.nodes[node] += 1
        else:
            self.nodes[node] = 1
            self.first_use[node] = line

    def instance(
        self, template: Template, name: str, nodes: tuple[str, ...], block: Block, scope: Scope, chain: list[Block]
    ) -> None:
        line = template.line
        definition = block.find_block(template.model)
        if definition is None:
            hint = near(template.model, block.visible("blocks"), kind="Subcircuits visible here")
            message = f"unknown subcircuit '{template.model}' on {template.name.upper()}."
            self.values.once(line, template.model_at, message, hint)
            return
        if len(nodes) != len(definition.pins):
            where = definition.location
            self.values.once(
                line, 0,
                f"subcircuit '{definition.name}' takes {len(definition.pins)} nodes ({' '.join(definition.pins)}), "
                f"{template.name.upper()} gives {len(nodes)}.",
                f"Defined at {os.path.basename(where.file)}:{where.line}.",
            )  # fmt: skip
            return
        if definition in chain:
            circle = " → ".join([*(b.name for b in chain[chain.index(definition) :]), definition.name])
            self.values.once(line, 0, f"subcircuit '{definition.name}' contains itself: {circle}.")
            return
        if len(chain) >= MAX_NESTING:
            self.values.once(line, 0, f"subcircuits are nested more than {MAX_NESTING} deep.")
            return
        given = template.parameters
        known = definition.defaults.keys() | definition.params.keys()
        multiplied = scope.multiplied or ("m" in given and "m" not in known)
        for key, bound in given.items():
            if key not in known and key != "m":
                hint = near(key, definition.defaults, kind="It has")
                self.values.once(line, bound.at, f"subcircuit '{definition.name}' has no parameter '{key}'.", hint)
        inside = Scope(name, scope, definition, multiplied and "m" not in known)
        self.scopes[name] = inside
        # What the instance gives goes before both the defaults and the .param of the body (measured on ngspice 39).
        own = {**definition.defaults, **definition.params, **given}
        inside.arguments = tuple(dict.fromkeys([*definition.defaults, *given]))
        key = (id(template), id(definition))
        if key not in self.hidden:
            self.hidden[key] = hidden_names(own)
        self.values.bind(inside, own, self.hidden[key])
        if inside.multiplied and "m" in given and scope.multiplied:
            factor = inside.bindings["m"]
            factor.expression = Call("*", (factor.expression, Name("m")))
            factor.outer |= {"m"}
        if template.model in self.devices:
            self.device(template, name, nodes, definition, scope, inside)
            return
        if not self.sized(template, name, definition, inside):
            return
        if "m" in given and "m" not in known:
            self.note_multiplied(template, definition)
        self.expand(definition, inside, dict(zip(definition.pins, nodes, strict=True)), [*chain, definition])

    def sized(self, template: Template, name: str, definition: Block, inside: Scope) -> bool:
        """Whether a transistor's width and length are positive, told before its equations divide by them."""
        if not {"w", "l"} <= definition.defaults.keys():
            return True
        good = True
        for key in ("w", "l"):
            bound = template.parameters.get(key, definition.defaults[key])
            size = self.values.value(Bound(Name(key, bound.at), bound.line, bound.at), inside)
            if size is not None and size <= 0:
                place = f"{key.upper()} of {name.upper()}"
                self.values.once(bound.line, bound.at, f"{place} is {float(size):g}.", "Width and length are positive.")
                good = False
        return good

    def note_multiplied(self, template: Template, definition: Block) -> None:
        for inner in definition.elements:
            if inner.letter in "fh":
                self.values.once(
                    template.line, 0, f"m= on {template.name.upper()}: its '{inner.name}' is controlled by a current "
                    "that m copies would share.", "Write the copies out.",
                )  # fmt: skip
            elif inner.letter == "b" or "m" in inner.parameters or inner.letter == "x":
                message = (
                    f"m= multiplies every current in {template.name.upper()}; "
                    f"ngspice 39 itself would not for '{inner.name}'."
                )
                if not any(note.message == message for note in self.notes):
                    self.notes.append(Note(template.line.location(), message))

    def device(
        self, template: Template, name: str, nodes: tuple[str, ...], block: Block, scope: Scope, inside: Scope
    ) -> None:
        for node in nodes:
            self.count(node, template.line)
        definition = self.definitions.get(id(block))
        if definition is None:
            file = block.location.file
            definition = self.definitions[id(block)] = Definition(
                name=block.name, pins=block.pins, defaults=tuple(block.defaults), file=file,
                comments=tuple(self.log.comments.get(file, ())),
                card={k: v for k, v in self.params.items() if v.location.file == file}, block=block,
            )  # fmt: skip
        bounds = {**block.defaults, **template.parameters}
        aliases = {key: Bound(Name(key, bound.at), bound.line, bound.at) for key, bound in bounds.items()}
        parameters = self.values.parameters(aliases, inside)
        self.multiply(parameters, scope, template)
        self.elements.append(
            Device(
                name=name,
                letter="x",
                nodes=nodes,
                parameters=parameters,
                scope=scope,
                location=template.line.location(),
                definition=definition,
                inside=inside,
            )
        )

    def multiply(self, parameters: dict[str, Parameter], scope: Scope, template: Template) -> None:
        """Give an element inside an instance with m= its share of it."""
        if not scope.multiplied:
            return
        own = template.parameters.get("m")
        expression: Expression = Name("m") if own is None else Call("*", (own.expression, Name("m")))
        value = self.values.value(Bound(expression, template.line), scope)
        if value is not None:
            parameters["m"] = value

    # Elements

    def element(
        self, template: Template, name: str, nodes: tuple[str, ...], block: Block, scope: Scope, flat
    ) -> Element | None:
        line, letter = template.line, template.letter
        if letter in "rcl":
            template = self.settle_model(template, block, scope)
        parameters = self.values.parameters(template.parameters, scope)
        if scope.multiplied and not (letter in "veh" or template.output == "v"):
            self.multiply(parameters, scope, template)
        common = {
            "name": name, "letter": letter, "nodes": nodes, "parameters": parameters, "scope": scope,
            "location": line.location(),
        }  # fmt: skip
        if letter in "rcl":
            if letter == "r" and parameters.get("r") == 0.0 and not template.model:
                self.values.once(line, template.parameters["r"].at, f"{template.name.upper()} is 0 ohm.",
                          "ngspice would put 1 milliohm; write a small value, or a V source of 0 V.")  # fmt: skip
            model = self.model(template, block, scope) if template.model else ""
            return Passive(**common, model=model)
        if letter in "vi":
            return IndependentSource(**common, waveform=template.waveform)
        if template.behaviour is not None:
            return Behavioural(**common, output=template.output, expression=self.behaviour(template, scope, flat))
        if letter in "eg":
            controls = tuple(flat("0" if node == "gnd" else node) for node in template.controls)
            for node in controls:
                self.count(node, line)
            return Controlled(**common, controls=controls)
        if letter in "fh":
            return Controlled(**common, controls=(self.flat_source(template.controls[0], scope),))
        return ModelElement(**common, model=self.model(template, block, scope))

    def settle_model(self, template: Template, block: Block, scope: Scope) -> Template:
        """`R1 a b word`: the word is a parameter if there is one of that name, else a model."""
        bound = template.parameters.get(template.letter)
        if bound is None or not isinstance(bound.expression, Name) or template.model:
            return template
        word = bound.expression.name
        if scope.find(word) is None and block.find_model(word) is not None:
            rest = {k: v for k, v in template.parameters.items() if k != template.letter}
            return Template(template.letter, template.name, template.nodes, template.line, rest, word, bound.at)
        return template

    def model(self, template: Template, block: Block, scope: Scope) -> str:
        """The flat name of the card that an element uses; the card is kept, evaluated where it is defined."""
        found = block.find_model(template.model)
        if found is None:
            binned = [n for n in block.visible("models") if n.rpartition(".")[0] == template.model]
            if binned:
                parts = [part for name in binned if (part := block.find_model(name)) is not None]
                kept = [self.keep_model(*part, scope) for part in parts]
                return kept[0].rpartition(".")[0]  # ngspice finds the bin by the size
            hint = near(template.model, block.visible("models"), kind="Models visible here")
            self.values.once(template.line, template.model_at,
                      f"unknown model '{template.model}' on {template.name.upper()}.", hint)  # fmt: skip
            return template.model
        return self.keep_model(*found, scope)

    def keep_model(self, card: ModelTemplate, holder: Block, scope: Scope) -> str:
        # A card inside a subcircuit is one card per instance, because its values may use the instance's parameters.
        where = next(outer for outer in outwards(scope) if outer.block is holder)
        name = f"{where.path}.{card.name}" if where.path else card.name
        if name not in self.models:
            parameters: dict[str, Parameter | str] = {}
            for key, bound in card.parameters.items():
                value = bound if isinstance(bound, str) else self.values.value(bound, where)
                if value is not None:
                    parameters[key] = value
            self.models[name] = Model(name, card.type, parameters, card.line.location())
        return name

    def flat_source(self, name: str, scope: Scope) -> str:
        name = plain_name(name)
        return f"{scope.path}.{name}" if scope.path else name

    def behaviour(self, template: Template, scope: Scope, flat) -> Expression:
        """The expression of a behavioural source with flat nodes and sources; its names are tried."""
        bound = template.behaviour
        assert bound is not None

        def change(part: Expression) -> Expression:
            if isinstance(part, Voltage):
                plus, minus = ("0" if n == "gnd" else n for n in (part.plus, part.minus))
                return Voltage(flat(plus), flat(minus), part.at)
            if isinstance(part, Current):
                return Current(self.flat_source(part.source, scope), part.at)
            if isinstance(part, Name) and scope.find(part.name) is None and part.name in BEHAVIOURAL_NAMES:
                return Number(BEHAVIOURAL_NAMES[part.name])
            return part

        expression = rewrite(bound.expression, change)
        for part in walk(expression):
            if isinstance(part, Name) and (part.name not in BEHAVIOURAL_VARIABLES or scope.find(part.name)):
                self.values.value(Bound(part, bound.line, bound.at), scope)
        return expression

    # Statements

    def analysis(self, template: AnalysisTemplate) -> Analysis | None:
        values = [self.values.value(bound, self.top) for bound in template.values]
        if any(v is None for v in values):
            return None
        numbers = [float(v) for v in values if v is not None]
        line = template.line
        if template.kind == "op":
            return Op()
        if template.kind == "tran":
            tran = Tran(numbers[0], numbers[1], *(numbers[2:] or [0.0]), uic=template.uic)
            if tran.stop <= 0 or tran.step <= 0 or tran.start < 0 or tran.start > tran.stop:
                self.log.problem(line, 0, f".tran wants 0 < step and 0 ≤ start < stop; it has step {tran.step:g} s, "
                                 f"stop {tran.stop:g} s, start {tran.start:g} s.")  # fmt: skip
            return tran
        sweeps = []
        names = {e.name for e in self.elements if e.letter in "vir"} | {"temp"}
        for i, source in enumerate(plain_name(name) for name in template.names):
            start, stop, step = numbers[3 * i : 3 * i + 3]
            if source not in names:
                self.log.problem(line, line.lower.find(source, 3), f".dc sweeps '{source}', which does not exist.",
                                 near(source, names))  # fmt: skip
            if step == 0 or (stop - start) / step < 0:
                self.log.problem(line, 0, f".dc never gets from {start:g} to {stop:g} with step {step:g}.",
                                 "Turn the sign of the step.")  # fmt: skip
            elif (stop - start) / step > 10_000_000:
                self.log.problem(line, 0, f".dc has {(stop - start) / step:.3g} points.", "Use a larger step.")
            sweeps.append(Sweep(source, start, stop, step))
        return Dc(tuple(sweeps))

    def measure(self, template: MeasureTemplate) -> Measure:
        words = (part if isinstance(part, str) else self.values.value(part, self.top) for part in template.parts)
        text = "".join(word if isinstance(word, str) else repr(float(word or 0.0)) for word in words)
        return Measure(template.analysis, template.name, " ".join(text.split()), template.line.location())

    def option(self, value: Bound | str | bool) -> float | str | bool:
        if not isinstance(value, Bound):
            return value
        number = self.values.value(value, self.top)
        return 0.0 if number is None else float(number)
