"""Logical lines → a `Deck`: blocks and statements, everything but the flattening."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._analyses import Directives, read_analysis, read_measure, read_node_values, read_options
from ._deck import Block, Bound, Function, ModelTemplate, NodeValue, read_pairs, read_value
from ._elements import read_element
from ._expressions import ExpressionProblem, Number, parse_expression
from ._fields import closing, split_fields, split_words
from ._lines import Files, Location, Log, LogicalLine, expand_includes, logical_lines, lower_case
from ._macros import check_block, check_bound
from ._names import near

MAX_STATEMENTS = 2_000_000
Roots = str | Path | Sequence[str | Path] | None


@dataclass(slots=True)
class Deck:
    """A deck as read: the top block, what to do with it, and the log."""

    title: str
    file: str
    top: Block
    directives: Directives
    log: Log


def parse_file(path: str | os.PathLike[str], root: Roots = None) -> Deck:
    """Read the deck at `path` and all it includes; problems are in the log of the result."""
    path = os.fspath(path)
    log = Log()
    files = Files(_roots(path, root), log)
    text = files.text(path)
    return _Parser(path, files, log).deck(text)


def parse_text(text: str, file: str, root: Roots = None) -> Deck:
    """Read a deck from a string; includes are looked for below `root`, or refused where it is None."""
    log = Log()
    roots = [] if root is None else _roots(file, root)
    path = os.path.join(os.fspath(roots[0]), file) if roots else file
    if "\0" in text:
        zero = text.index("\0")
        where = Location(path, text.count("\n", 0, zero) + 1, zero - text.rfind("\n", 0, zero))
        log.problem_at(where, "there is a NUL byte.", "The text is damaged.")
        return _Parser(path, Files(roots, log), log).deck(None)
    return _Parser(path, Files(roots, log), log).deck(text.removeprefix("\ufeff"))


def _roots(path: str, root: Roots) -> Sequence[str | Path]:
    if root is None:
        # A bench and its library stand side by side (spice/ and circuits/), so the parent folder belongs to a deck.
        folder = os.path.dirname(os.path.abspath(path))
        parent = os.path.dirname(folder)
        return [folder if parent == os.path.dirname(parent) else parent]
    return [root] if isinstance(root, (str, Path)) else list(root)


# Statements about showing results, and analyses that analogsnn does not have; nothing of the circuit is in them.
_IGNORED = frozenset({
    ".print", ".plot", ".probe", ".width", ".four", ".title", ".csparam", ".noise", ".ac", ".disto", ".sens", ".pz",
    ".tf", ".sp", ".pss", ".backanno", ".endc",
})  # fmt: skip


class _Parser:
    def __init__(self, path: str, files: Files, log: Log):
        self.path, self.files, self.log = path, files, log
        self.top = self.block = Block("", (), Location(path, 1))
        self.directives = Directives()
        self.title = ""
        self.ended = False

    def deck(self, text: str | None) -> Deck:
        lines = self._after_title(text) if text is not None else []
        for count, line in enumerate(expand_includes(lines, self.path, self.files, self.log, split_words)):
            if count > MAX_STATEMENTS:
                self.log.problem(line, 0, f"the deck has more than {MAX_STATEMENTS} statements.")
                break
            if self.ended:
                self.log.problem(line, 0, "a statement follows '.end', and ngspice would read it all the same.",
                                 "Remove it, or move it before .end.")  # fmt: skip
                break
            try:
                self.statement(line)
            except ExpressionProblem as problem:
                self.log.problem(line, problem.at, str(problem), problem.hint)
        while self.block.parent is not None:
            assert self.block.line is not None
            self.log.problem(self.block.line, 0, f"subcircuit '{self.block.name}' has no .ends.",
                             "Add .ends after its last line.")  # fmt: skip
            self.block = self.block.parent
        check_block(self.top, self.log)
        for bound in self.directives.bounds():
            check_bound(bound, self.top.functions, self.log)
        return Deck(self.title, self.path, self.top, self.directives, self.log)

    def _after_title(self, text: str) -> list[LogicalLine]:
        if not text.strip():
            self.log.problem_at(Location(self.path, 1), "the file is empty.", "A deck is a title line and elements.")
            return []
        first, _, rest = text.replace("\r\n", "\n").replace("\r", "\n").partition("\n")
        self.title = first[:1000].strip().removeprefix("*").strip()
        self.log.comments.setdefault(self.path, []).append(first[:1000].strip())
        lines = logical_lines(rest, self.path, self.log, first=2)
        if not lines and not self.log.problems:
            self.log.problem_at(
                Location(self.path, 1), "nothing follows the title, which is always the first line.",
                "Put the elements from line 2 on.", first[:200],
            )  # fmt: skip
        self._note_swallowed(first)
        return lines

    def _note_swallowed(self, first: str) -> None:
        """Say so where the title line looks like a statement, because SPICE drops it without a word."""
        words = first.split()
        if not words or len(first) > 1000:
            return
        first = " ".join(words)
        statement = words[0].lower() in _STATEMENTS and words[0].lower() != ".title"
        if not statement and re.fullmatch(r"[a-z]\S*", words[0], re.IGNORECASE) and len(words) >= 4:
            line = LogicalLine(self.path, first, lower_case(first), [(0, 1, 0)])
            try:
                template = read_element(line, self.top, Log())
                # A sentence can look like an element; a number where one is wanted makes it sure.
                values = [bound.expression for bound in template.parameters.values()]
                statement = any(isinstance(value, Number) for value in values)
            except (ExpressionProblem, ValueError):
                return
        if statement:
            line = LogicalLine(self.path, first, lower_case(first), [(0, 1, 0)])
            shown = first.strip()[:60]
            self.log.note(line, 0, f"the first line is always the title, so '{shown}' is not in the circuit.")

    def statement(self, line: LogicalLine) -> None:
        """Read one statement into the block at hand.

        **Raises** `ExpressionProblem`.
        """
        if line.lower[0] != ".":
            template = read_element(line, self.block, self.log)
            first = self.block.names.setdefault(template.name, line)
            if first is not line:
                self._twice(line, f"element {template.name.upper()}", first.location())
                return
            self.block.elements.append(template)
            return
        directive = line.lower.split(None, 1)[0]
        reader = _STATEMENTS.get(directive)
        if reader is None and directive.startswith(".meas"):
            reader = _Parser.measure
        if reader is not None:
            reader(self, line)
        elif directive in _IGNORED:
            self.log.note(line, 0, f"'{directive}' is ignored.")
        else:
            hint = near(directive, [*_STATEMENTS, ".include", ".lib", ".meas", ".control"])
            raise ExpressionProblem(f"'{directive}' is no statement that is read.", 0, hint)

    def _twice(self, line: LogicalLine, what: str, first: Location) -> None:
        self.log.problem(line, 0, f"{what} is defined twice; first at {os.path.basename(first.file)}:{first.line}.",
                         "Rename or remove one (names compare without case).")  # fmt: skip

    def subckt(self, line: LogicalLine) -> None:
        words = [item for item in split_fields(line.lower)[1:] if item.value not in ("params:", "param:")]
        plain = [item for item in words if not item.key]
        name = plain[0].value if plain else "?"
        pins = tuple(item.value for item in plain[1:])
        block = Block(name, pins, line.location(), self.block, line)
        parent, self.block = self.block, block
        if not plain:
            raise ExpressionProblem(".subckt has no name.", 0, "Write .subckt name node….")
        first = parent.blocks.setdefault(name, block)
        if first is not block:
            self._twice(line, f"subcircuit '{name}'", first.location)
        for item in plain[1:]:
            if item.value in ("0", "gnd"):
                raise ExpressionProblem("ground cannot be a pin of a subcircuit.", item.at, "Leave it out.")
            if pins.count(item.value) > 1:
                raise ExpressionProblem(f"pin '{item.value}' of '{name}' stands twice.", item.at)
        for item in words:
            key = item.key.removeprefix("params:")
            if key:
                block.defaults[key] = read_value(item.value, item.at, line, self.log)

    def ends(self, line: LogicalLine) -> None:
        words = line.lower.split()
        if self.block.parent is None:
            raise ExpressionProblem("'.ends' without a '.subckt' before it.", 0, "Remove it.")
        if len(words) > 1 and words[1] != self.block.name:
            self.log.note(line, 0, f".ends {words[1]} closes '{self.block.name}'.")
        self.block = self.block.parent

    def param(self, line: LogicalLine) -> None:
        start = len(line.lower.split(None, 1)[0])
        call = re.match(r"\s*([a-z_]\w*)\s*\(([^()]*)\)\s*=?\s*", line.lower[start:])
        if call is not None:
            self._function(line, call, start)
            return
        for name, bound in read_pairs(line.lower, start, line, self.log).items():
            if not re.fullmatch(r"[a-z_][\w.]*", name):
                raise ExpressionProblem(f"'{name}' cannot be a parameter's name.", bound.at, "Use letters, digits, _.")
            if name in self.block.params:
                self.log.note(line, bound.at, f"parameter '{name}' is set again; the last value holds everywhere.")
            self.block.params[name] = bound

    def func(self, line: LogicalLine) -> None:
        call = re.match(r"\s*([a-z_]\w*)\s*\(([^()]*)\)\s*=?\s*", line.lower[5:])
        if call is None:
            raise ExpressionProblem(".func wants a name with arguments and a body.", 0, "Write .func f(x) {x*x}.")
        self._function(line, call, 5)

    def _function(self, line: LogicalLine, call: re.Match[str], start: int) -> None:
        arguments = tuple(word.strip() for word in call.group(2).split(",") if word.strip())
        text, at = line.lower[start + call.end() :].rstrip(), start + call.end()
        if (text[:1] == "{" and closing(text, 0) == len(text) - 1) or (text[:1] == "'" and text[-1:] == "'"):
            text, at = text[1:-1], at + 1
        body = parse_expression(text, at, behavioural=True)
        self.block.functions[call.group(1)] = Function(arguments, body)

    def model(self, line: LogicalLine) -> None:
        match = re.match(r"\.model\s+(\S+)\s+([a-z_]\w*)\s*(?=[\s(]|$)", line.lower)
        if match is None:
            raise ExpressionProblem(".model wants a name and a type.", 0, "Write .model nch nmos level=8 ….")
        name, text, start = match.group(1), line.lower, match.end()
        if text[start : start + 1] == "(":
            end = closing(text, start)
            text = text[:start] + " " + text[start + 1 : end] + " " + text[end + 1 :]
        parameters: dict[str, Bound | str] = {}
        for item in split_fields(text, start):
            if not item.key:
                self.log.note(line, item.at, f"the word '{item.value}' of model '{name}' is ignored.")
            elif re.fullmatch(r"\d+\.\d+\.[\d.]+", item.value):
                parameters[item.key] = item.value  # a version such as 3.3.0
            else:
                parameters[item.key] = read_value(item.value, item.at, line, self.log)
        model = ModelTemplate(name, match.group(2), parameters, line)
        first = self.block.models.setdefault(name, model)
        if first is not model:
            self._twice(line, f"model '{name}'", first.line.location())

    def node_values(self, line: LogicalLine) -> None:
        target = self.block.ic if line.lower.startswith(".ic") else self.block.nodeset
        target.extend(NodeValue(node, bound) for node, bound in read_node_values(line, self.log))

    def analysis(self, line: LogicalLine) -> None:
        self.directives.analyses.append(read_analysis(line, self.log))

    def measure(self, line: LogicalLine) -> None:
        self.directives.measures.append(read_measure(line, self.log))

    def options(self, line: LogicalLine) -> None:
        self.directives.options.update(read_options(line, self.log))

    def temp(self, line: LogicalLine) -> None:
        words = split_fields(line.lower)[1:]
        if len(words) != 1 or words[0].key:
            raise ExpressionProblem(".temp wants one temperature in degree Celsius.", 0, "Write .temp 27.")
        self.directives.temperature = read_value(words[0].value, words[0].at, line, self.log)

    def global_(self, line: LogicalLine) -> None:
        self.directives.globals.extend(item.value for item in split_fields(line.lower)[1:])

    def save(self, line: LogicalLine) -> None:
        self.directives.saves.extend(item.value for item in split_fields(line.lower)[1:])

    def control(self, line: LogicalLine) -> None:
        self.log.note(line, 0, "the .control script is skipped; analogsnn never runs scripts of a deck.")

    def conditional(self, line: LogicalLine) -> None:
        raise ExpressionProblem("conditional statements (.if, .else, .endif) are not read.", 0, "Keep one branch.")

    def end(self, line: LogicalLine) -> None:
        if line.file != self.path:
            self.log.note(line, 0, "'.end' in an included file is ignored.")
        else:
            self.ended = True


_STATEMENTS: dict[str, Callable[[_Parser, LogicalLine], None]] = {
    ".subckt": _Parser.subckt, ".ends": _Parser.ends, ".eom": _Parser.ends, ".macro": _Parser.subckt,
    ".param": _Parser.param, ".params": _Parser.param, ".func": _Parser.func, ".model": _Parser.model,
    ".ic": _Parser.node_values, ".nodeset": _Parser.node_values, ".tran": _Parser.analysis, ".dc": _Parser.analysis,
    ".op": _Parser.analysis, ".option": _Parser.options, ".options": _Parser.options, ".opt": _Parser.options,
    ".temp": _Parser.temp, ".global": _Parser.global_, ".save": _Parser.save, ".control": _Parser.control,
    ".if": _Parser.conditional, ".elseif": _Parser.conditional, ".else": _Parser.conditional,
    ".endif": _Parser.conditional, ".end": _Parser.end,
}  # fmt: skip
