"""A logical line cut into fields: words, and `key=value` pairs whose values may hold braces, quotes and parentheses."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ._expressions import ExpressionProblem

_RUN = re.compile(r"[^\s={}()'\",]+")
_PLAIN = re.compile(r"[^\s=]+")
_CLOSING = {"{": "}", "(": ")"}


@dataclass(slots=True)
class Field:
    """`key` is "" for a plain word; `at` is the offset of the value, `key_at` that of the key."""

    value: str
    at: int
    key: str = ""
    key_at: int = 0


def split_fields(text: str, start: int = 0) -> list[Field]:
    """The fields of `text` from offset `start` on. Blanks and commas separate, except inside brackets and quotes.

    **Raises** `ExpressionProblem` for brackets and quotes that do not close, and for `=` without key or value.
    """
    fields: list[Field] = []
    position, end = start, len(text)
    assign: tuple[str, int] | None = None
    while True:
        while position < end and (text[position] == "," or text[position].isspace()):
            position += 1
        if position >= end:
            break
        begin = position
        if text[position] == "=":
            if assign is not None or not fields or fields[-1].key:
                raise ExpressionProblem("'=' has no name before it.", position)
            before = fields.pop()
            assign = (before.value, before.at)
            position += 1
            continue
        position = _end_of_value(text, position, end)
        value = text[begin:position]
        if assign is None:
            fields.append(Field(value, begin))
        else:
            fields.append(Field(value, begin, assign[0].lower(), assign[1]))
            assign = None
    if assign is not None:
        raise ExpressionProblem(f"'{assign[0]}=' has no value.", assign[1])
    return fields


def _end_of_value(text: str, position: int, end: int) -> int:
    while position < end:
        character = text[position]
        run = _RUN.match(text, position)
        if run is not None:
            position = run.end()
        elif character in "{(":
            position = closing(text, position) + 1
        elif character in "'\"":
            close = text.find(character, position + 1)
            if close < 0:
                raise ExpressionProblem(f"the quote {character} does not close.", position, f"Add {character}.")
            position = close + 1
        elif character in "})":
            raise ExpressionProblem(f"'{character}' has no opening bracket.", position, "Remove it.")
        elif character == "," and position + 1 < end and not text[position + 1].isspace():
            position += 1  # a comma inside a word: perhaps a decimal comma, which the reader of numbers explains
        elif character == "=" and _comparison(text, position):
            position += 2
        else:
            break
    return position


def _comparison(text: str, position: int) -> bool:
    return text[position : position + 2] == "=="


def closing(text: str, position: int) -> int:
    """The offset of the bracket that closes the one at `position`.

    **Raises** `ExpressionProblem` where there is none.
    """
    stack: list[str] = []
    for match in _BRACKETS.finditer(text, position):
        character = match.group()
        if character in _CLOSING:
            stack.append(_CLOSING[character])
        elif stack and character == stack[-1]:
            stack.pop()
            if not stack:
                return match.start()
        elif character in "})":
            break
    raise ExpressionProblem(f"'{text[position]}' does not close.", position, f"Add '{_CLOSING[text[position]]}'.")


_BRACKETS = re.compile(r"[{}()]")


def split_words(text: str) -> list[tuple[str, int]]:
    """Words of an include statement with their offsets; quotes are taken off."""
    return [
        (next(g for g in match.groups() if g is not None), match.start())
        for match in re.finditer(r"\"([^\"]*)\"|'([^']*)'|(\S+)", text)
    ]
