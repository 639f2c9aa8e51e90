"""Chips by name or file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..documents import near, read_toml, sentences
from ..errors import InputError
from ._chip import Chip
from ._provenance import split_provenance


def builtin_chips() -> tuple[str, ...]:
    """Names of the chips that come with the library."""
    return tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.toml")))


def load_chip(name_or_path: str | Path) -> Chip:
    """A chip by the name of a built-in description (`"dynapse2"`) or by the path of a TOML file.

    **Raises** `InputError` with one sentence per problem of the file: file, key path, what is wrong, near match.
    """
    text = str(name_or_path)
    if text in builtin_chips():
        return _builtin(text)
    if isinstance(name_or_path, str) and not text.endswith(".toml"):
        known = builtin_chips()
        hint = near(text, known) or "."
        raise InputError(f"There is no chip '{text}' here (built in: {', '.join(known)}; or a path to .toml){hint}")
    return _read(Path(name_or_path))


@cache
def _builtin(name: str) -> Chip:
    return _read(Path(__file__).parent / f"{name}.toml")


def _read(path: Path) -> Chip:
    document, provenance, problems = split_provenance(read_toml(path))
    problems = [f"{path}: {p}" for p in problems]
    meta: Any = document.get("meta")
    sources: Any = meta.get("sources", []) if isinstance(meta, dict) else []
    keys = {s.get("key") for s in sources if isinstance(s, dict)} if isinstance(sources, list) else set()
    cited = {m.source for m in provenance.values() if m.source is not None}
    cited |= {source for m in provenance.values() for _, source in m.alt}
    problems += [f"{path}: source '{s}' is cited, but not in meta.sources." for s in sorted(cited - keys, key=str)]
    try:
        chip = Chip.model_validate(document)
    except ValidationError as error:
        found = sentences(error, Chip, str(path))
        raise InputError("\n".join(problems + [s.replace("\n", f"\n{path}: ") for s in found])) from None
    if problems:
        raise InputError("\n".join(problems))
    chip._provenance.update(provenance)
    return chip
