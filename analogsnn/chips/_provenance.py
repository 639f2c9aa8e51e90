"""What a chip description says about its values: a tag and a source beside every one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..documents import near

TAGS = ("verified", "measured", "derived", "inferred", "recalled")
_MARKS = ("tag", "source", "alt", "note")


@dataclass(frozen=True)
class Provenance:
    """Where a value comes from: a tag of `TAGS`, a key of `meta.sources`, other sources' values, a remark."""

    tag: str | None = None
    source: str | None = None
    alt: tuple[tuple[Any, str], ...] = ()
    note: str | None = None


def split_provenance(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Provenance], list[str]]:
    """Separate the values of a document from what it says about them.

    A value may stand bare or as `{value, unit, tag, source, alt, note}`; `tag`, `source`, `alt` and `note` in any
    other table speak for all that is in it, until a deeper table speaks for itself.

    **Returns** the plain document, the provenance of every value by its path (`"biases.names.X.scale"`), and the
    problems found, each with its path.
    """
    provenance: dict[str, Provenance] = {}
    problems: list[str] = []

    def plain(node: Any, path: str, mark: Provenance) -> Any:
        if isinstance(node, list):
            return [plain(item, f"{path}[{k}]", mark) for k, item in enumerate(node)]
        if not isinstance(node, dict):
            provenance[path] = mark
            return node
        mark = _mark(node, mark, path, problems)
        rest = {k: v for k, v in node.items() if k not in _MARKS}
        if "value" in rest:
            unit = rest.pop("unit", None)
            value = rest.pop("value")
            problems.extend(f"{path}: unknown key '{key}' beside 'value'." for key in rest)
            provenance[path] = mark
            return value if unit is None else _with_unit(value, str(unit))
        return {k: plain(v, f"{path}.{k}" if path else k, mark) for k, v in rest.items()}

    return plain(document, "", Provenance()), provenance, problems


def _mark(node: dict[str, Any], outer: Provenance, path: str, problems: list[str]) -> Provenance:
    tag, source = node.get("tag", outer.tag), node.get("source", outer.source)
    if tag is not None and tag not in TAGS:
        problems.append(f"{path}.tag: '{tag}' is no provenance; there are {', '.join(TAGS)}{near(str(tag), TAGS)}.")
    alt = []
    listed = node.get("alt", [])
    for other in listed if isinstance(listed, list) else [listed]:
        if not isinstance(other, dict) or set(other) != {"value", "source"}:
            problems.append(f"{path}.alt: each entry must be {{value, source}}, not {other!r}.")
        else:
            alt.append((other["value"], other["source"]))
    return Provenance(tag, source, tuple(alt), node.get("note"))


def _with_unit(value: Any, unit: str) -> Any:
    if isinstance(value, list):
        return [_with_unit(item, unit) for item in value]
    return f"{value!r} {unit}" if isinstance(value, int | float) and not isinstance(value, bool) else value
