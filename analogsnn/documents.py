"""Reading a document hard: SI units, unknown keys, and one sentence per problem with a near match."""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .errors import InputError
from .units import parse_quantity


class Section(BaseModel):
    """A table of a document: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _quantity(unit: str) -> BeforeValidator:
    def read(value: Any) -> float:
        try:
            return parse_quantity(value, unit, "it")
        except InputError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(read)


Ampere = Annotated[float, _quantity("A"), Field(ge=0)]
Farad = Annotated[float, _quantity("F"), Field(gt=0)]
Volt = Annotated[float, _quantity("V"), Field(gt=0)]
Second = Annotated[float, _quantity("s"), Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, gt=0)]
Integer = Annotated[int, Field(strict=True)]


def read_toml(path: Path) -> dict[str, Any]:
    """The document of a TOML file; `InputError` with file and line when it is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start}); TOML must be.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: is not TOML: {error}.") from None


def near(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for a name that is close to a known one, otherwise nothing."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{match[0]}'?" if match else ""


def sentences(error: ValidationError, model: type[BaseModel], where: str) -> list[str]:
    """One sentence per problem that pydantic found: where, key path, what, and a near match for unknown keys."""
    result = []
    for problem in error.errors():
        path = _path(problem["loc"])
        kind, given = problem["type"], problem["input"]
        if kind == "extra_forbidden":
            key = str(problem["loc"][-1])
            known = _keys_at(model, problem["loc"][:-1])
            table = _path(problem["loc"][:-1])
            text = f"unknown key '{key}'{f' in [{table}]' if table else ''}{near(key, known)}"
            text += "" if text.endswith("?") else f"; known: {', '.join(known)}."
        elif kind == "missing":
            text = f"{path}: this key is missing."
        elif kind == "value_error":
            text = f"{path + ': ' if path else ''}{problem['msg'].removeprefix('Value error, ')}"
        else:
            text = f"{path}: {problem['msg'][0].lower()}{problem['msg'][1:]}, not {given!r}."
        result.append(f"{where}: {text}")
    return result


def _path(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at `loc` may have."""
    current: Any = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel):
            fields = {f.alias or name: f for name, f in current.model_fields.items()}
            current = fields[str(part)].annotation if str(part) in fields else None
        else:
            arguments = [a for a in get_args(current) if a is not Ellipsis]
            current = arguments[-1] if arguments else None
        while get_origin(current) in (Union, types.UnionType, Annotated):
            current = get_args(current)[0]
    if isinstance(current, type) and issubclass(current, BaseModel):
        return [field.alias or name for name, field in current.model_fields.items()]
    return []
