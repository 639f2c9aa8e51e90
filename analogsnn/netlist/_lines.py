"""From files to logical lines: encoding, comments, continuation, includes. Nothing here knows what a line means."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import NetlistError, NetlistErrors

MAX_LINE = 100_000  # characters in a physical line; longer ones are machine rubbish and would stall every later step
MAX_FILE = 64_000_000  # bytes
MAX_INCLUDES = 500
MAX_INCLUDE_DEPTH = 40

_COMMENT_AT = re.compile(r";|//|(?:(?<=[\s,])|^)\$")
_MICRO = str.maketrans({"µ": "u", "μ": "u", "Ω": "Ω", "\t": " "})


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a deck: file as the user reaches it, line and column from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was read otherwise than it looks, or not at all; not an error."""

    location: Location
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


@dataclass(slots=True)
class LogicalLine:
    """One statement with its continuations joined.

    `text` is as written without comments, `lower` the same in lower case (what names are compared in), and `pieces`
    maps offsets in them to places: `(offset, line, column offset)` per physical line.
    """

    file: str
    text: str
    lower: str
    pieces: list[tuple[int, int, int]]

    def location(self, at: int = 0) -> Location:
        """The place of offset `at`."""
        offset, number, column = next((p for p in reversed(self.pieces) if p[0] <= at), self.pieces[0])
        return Location(self.file, number, column + max(at - offset, 0) + 1)


@dataclass
class Log:
    """Problems, notes and comments, gathered while a deck is read so that all are told at once."""

    problems: list[NetlistError] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    comments: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    limit: int = 100

    def problem(self, line: LogicalLine, at: int, message: str, hint: str = "") -> None:
        """Record a problem at offset `at` of a line; the hundredth ends the reading."""
        self.problem_at(line.location(at), message, hint, line.text)

    def problem_at(self, where: Location, message: str, hint: str = "", snippet: str = "") -> None:
        """Record a problem at a place."""
        snippet = snippet if len(snippet) <= 80 else snippet[:77] + "…"
        error = NetlistError(message, file=where.file, line=where.line, column=where.column, snippet=snippet, hint=hint)
        self.problems.append(error)
        if len(self.problems) >= self.limit:
            self.stop()

    def note(self, line: LogicalLine, at: int, message: str) -> None:
        """Record a note at offset `at` of a line."""
        self.notes.append(Note(line.location(at), message))

    def copy(self) -> Log:
        """A log that starts where this one is."""
        return Log(list(self.problems), list(self.notes), self.comments, self.files, self.limit)

    def stop(self) -> None:
        """Raise what was gathered, if anything was, in the order of the files."""
        if self.problems:
            order = {file: i for i, file in enumerate(self.files)}
            self.problems.sort(key=lambda p: (order.get(p.file, -1), p.line, p.column))
            raise NetlistErrors(self.problems)


class Files:
    """Opens the files of one deck: only below the allowed folders, whatever `..` and symbolic links say."""

    def __init__(self, roots: Sequence[str | Path], log: Log):
        self.given = [os.fspath(root) for root in roots]
        self.roots = [os.path.realpath(root) for root in roots]
        self.log = log
        self.opened = 0

    def find(self, folder: str, name: str) -> str:
        """Where `name` is meant to be: beside the file that includes it, else below one of the roots, or from beside
        one (`circuits/bias.cir` with the root `…/circuits`)."""
        here = os.path.normpath(os.path.join(folder, name))
        if os.path.exists(here):
            return here
        starts = [start for root in self.given for start in (root, os.path.dirname(os.path.abspath(root)))]
        places = (os.path.normpath(os.path.join(start, name)) for start in starts)
        return next((place for place in places if os.path.isfile(place) and self.allows(place)), here)

    def allows(self, path: str) -> bool:
        """Whether `path`, links followed, lies below one of the roots."""
        real = os.path.realpath(path)
        return any(real == root or real.startswith(root.rstrip(os.sep) + os.sep) for root in self.roots)

    def text(self, path: str, asked: LogicalLine | None = None, at: int = 0) -> str | None:
        """The text of the file at `path`; `asked` is the statement that wants it. None where the log says why."""

        def refuse(message: str, hint: str = "") -> None:
            where = asked.location(at) if asked else Location(path, 1)
            self.log.problem_at(where, message, hint, asked.text if asked else "")

        real = os.path.realpath(path)
        if not self.allows(path):
            allowed = " or ".join(f"'{root}'" for root in self.given) or "none: the deck was given as text"
            return refuse(
                f"'{path}' lies outside the folder that a deck may read ({allowed}).",
                "Move the file below it, or allow another folder (root= in Python, --include on the command line).",
            )
        self.opened += 1
        if self.opened > MAX_INCLUDES:
            return refuse(f"more than {MAX_INCLUDES} files are included.", "A file includes others without end.")
        try:
            if os.path.isdir(real):
                return refuse(f"'{path}' is a folder, not a deck.")
            if not os.path.isfile(real) and os.path.exists(real):
                return refuse(f"'{path}' is not an ordinary file.")
            if os.path.getsize(real) > MAX_FILE:
                size = os.path.getsize(real) / 1e6
                return refuse(f"'{path}' has {size:.0f} MB; {MAX_FILE / 1e6:.0f} are allowed.")
            data = Path(real).read_bytes()
        except FileNotFoundError:
            near = near_files(path)
            return refuse(f"file '{path}' does not exist.", near)
        except OSError as error:
            return refuse(f"file '{path}' cannot be read: {error.strerror}.")
        self.log.files.append(path)
        return decode(data, path, self.log)


def near_files(path: str) -> str:
    """A hint that names files whose names resemble the missing one."""
    from ._names import near

    folder = os.path.dirname(path) or "."
    try:
        names = os.listdir(folder)
    except OSError:
        return f"There is no folder '{folder}' either." if folder != "." else ""
    return near(os.path.basename(path), names)


def decode(data: bytes, file: str, log: Log) -> str | None:
    """Text of a file: UTF-8 with or without byte-order mark, else Latin-1 with a note. None where the log says why."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        log.problem_at(Location(file, 1), "the file is UTF-16.", "Save it as UTF-8.")
        return None
    zero = data.find(b"\0")
    if zero >= 0:
        line = data.count(b"\n", 0, zero) + 1
        column = zero - data.rfind(b"\n", 0, zero)
        log.problem_at(Location(file, line, column), "there is a NUL byte.", "The file is damaged, or is no text.")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        log.notes.append(Note(Location(file, line), "the file is not UTF-8; it was read as Latin-1."))
        return data.decode("latin-1")


def lower_case(text: str) -> str:
    """Lower case, character by character, so that offsets stay true."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def logical_lines(text: str, file: str, log: Log, first: int = 1) -> list[LogicalLine]:
    """Join continuations and drop comments.

    Comment lines are kept in `log.comments`, because a card says there what model it is. Comments and blank lines may
    stand between a line and its continuation, as in ngspice. `first` is the number of the first line.
    """
    comments = log.comments.setdefault(file, [])
    lines: list[LogicalLine] = []
    parts: list[str] = []
    pieces: list[tuple[int, int, int]] = []
    length = 0
    in_control = False

    def close() -> None:
        nonlocal parts, pieces, length
        if parts:
            joined = "".join(parts)
            lines.append(LogicalLine(file, joined, lower_case(joined), pieces))
        parts, pieces, length = [], [], 0

    for number, raw in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), first):
        if len(raw) > MAX_LINE:
            log.problem_at(
                Location(file, number),
                f"the line has {len(raw)} characters; {MAX_LINE} are allowed.",
                "Break it with '+' continuation lines.",
                raw[:200],
            )
            continue
        stripped = raw.strip()
        if not stripped:
            continue
        if stripped[0] == "*":
            comments.append(stripped)
            continue
        word = stripped[:9].lower()
        if in_control:
            # Nothing of a script is read, so nothing in it can be wrong.
            in_control = not word.startswith(".endc")
            continue
        if not raw.isprintable() or not raw.isascii():
            raw = _clean(raw, file, number, log)
            stripped = raw.strip()
        code = raw
        comment = _COMMENT_AT.search(raw) if any(mark in raw for mark in (";", "$", "/")) else None
        if comment is not None and not stripped.lower().startswith((".inc", ".lib")):
            code = raw[: comment.start()]
        elif comment is not None:
            tail = re.search(r"(?<=\s)[$;]|;", raw)
            code = raw[: tail.start()] if tail else raw
        code = code.rstrip()
        start = len(code) - len(code.lstrip())
        if start == len(code):
            continue
        if code[start] == "+":
            if not lines and not parts:
                log.problem_at(
                    Location(file, number, start + 1),
                    "the file begins with a '+' continuation, which has no line to continue.",
                    "Remove the '+'.",
                    raw,
                )
                continue
            if length > 20 * MAX_LINE:
                log.problem_at(Location(file, number), f"one statement is longer than {20 * MAX_LINE} characters.")
                continue
            parts.append(" ")
            pieces.append((length + 1, number, start + 1))
            parts.append(code[start + 1 :])
            length += len(code) - start
            continue
        close()
        parts, pieces, length = [code[start:]], [(0, number, start)], len(code) - start
        if word.startswith(".control"):
            in_control = True
    close()
    if in_control:
        last = lines[-1]
        log.problem(last, 0, "'.control' has no '.endc'.", "Add .endc after the script.")
    return lines


def _clean(raw: str, file: str, number: int, log: Log) -> str:
    """Replace what ngspice takes as plain text (tab, micro sign); refuse characters that only look like plain text."""
    text = raw.translate(_MICRO)
    comment = _COMMENT_AT.search(text)
    code = text[: comment.start()] if comment else text
    for column, character in enumerate(code, 1):
        if (character.isascii() and character.isprintable()) or character.isalpha():
            continue
        plain = {"−": "-", "–": "-", "—": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "\xa0": " ", "×": "*", "·": "*"}
        hint = f"Write '{plain[character]}' instead." if character in plain else "Remove it."
        shown = character if character.isprintable() else "a control character"
        log.problem_at(
            Location(file, number, column), f"{shown} (U+{ord(character):04X}) has no meaning in a deck.", hint, raw
        )
        text = text.replace(character, " ")
    return text


@dataclass(slots=True)
class Included:
    """A file on the way down from the deck: its path and the library section wanted of it, if any."""

    path: str
    section: str | None
    asked: LogicalLine | None = None


def expand_includes(
    lines: list[LogicalLine], path: str, files: Files, log: Log, words: Callable[[str], list[tuple[str, int]]]
) -> Iterator[LogicalLine]:
    """All lines of a deck in reading order, with `.include` and `.lib` statements replaced by what they name.

    `.lib name` … `.endl` marks a section, read only when asked for. Paths are relative to the including file.
    """
    yield from _expand(lines, [Included(path, None)], files, log, words)


def _expand(
    lines: list[LogicalLine], chain: list[Included], files: Files, log: Log, words: Callable
) -> Iterator[LogicalLine]:
    wanted = chain[-1].section
    inside: str | None = None  # the section being read
    opened: LogicalLine | None = None
    found = False
    for line in lines:
        directive = line.lower.split(None, 1)[0]
        if directive in (".lib", ".endl"):
            fields = words(line.text)[1:]
            if directive == ".endl":
                if inside is None:
                    log.problem(line, 0, "'.endl' without a '.lib' section before it.", "Remove it.")
                inside = None
                continue
            if len(fields) == 1:
                if inside is not None and opened is not None:
                    log.problem(line, 0, f"library section '{inside}' of line {opened.pieces[0][1]} has no .endl.")
                inside, opened = fields[0][0].lower(), line
                found = found or inside == wanted
                continue
        if (inside is not None and inside != wanted) or (inside is None and wanted is not None):
            continue
        if directive in (".include", ".inc", ".incl", ".lib"):
            yield from _include(line, chain, files, log, words)
        else:
            yield line
    if inside is not None and opened is not None:
        log.problem(opened, 0, f"library section '{inside}' has no .endl.", "Add .endl after its last line.")
    if wanted is not None and not found and chain[-1].asked is not None:
        sections = sorted(
            {w[1][0].lower() for li in lines if li.lower.startswith(".lib") and len(w := words(li.text)) == 2}
        )
        offered = f"It has: {', '.join(sections[:12])}." if sections else "It has none."
        log.problem(chain[-1].asked, 0, f"'{chain[-1].path}' has no library section '{wanted}'.", offered)


def _include(
    line: LogicalLine, chain: list[Included], files: Files, log: Log, words: Callable
) -> Iterator[LogicalLine]:
    fields = words(line.text)
    directive = fields[0][0].lower()
    wanted = 3 if directive == ".lib" else 2
    if len(fields) != wanted:
        log.problem(
            line, 0, f"{directive} wants {'a file and a section' if wanted == 3 else 'one file'}.",
            "Put a name with spaces in quotes.",
        )  # fmt: skip
        return
    name, at = fields[1]
    section = fields[2][0].lower() if wanted == 3 else None
    path = files.find(os.path.dirname(chain[-1].path), os.path.expanduser(name))
    # The same library may include another section of itself; the same part of the same file may not.
    key = (os.path.realpath(path), section)
    names = [(os.path.realpath(item.path), item.section) for item in chain]
    if key in names:
        circle = [os.path.basename(item.path) for item in chain[names.index(key) :]]
        log.problem(line, at, f"'{name}' includes itself: {' → '.join([*circle, os.path.basename(path)])}.")
        return
    if len(chain) > MAX_INCLUDE_DEPTH:
        log.problem(line, at, f"includes are nested more than {MAX_INCLUDE_DEPTH} deep.")
        return
    text = files.text(path, line, at)
    if text is None:
        return
    yield from _expand(logical_lines(text, path, log), [*chain, Included(path, section, line)], files, log, words)
