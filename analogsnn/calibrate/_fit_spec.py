"""The fit specification: a TOML file that names a deck, parameters with bounds, and targets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from .. import library
from ..circuit import Circuit
from ..documents import Count, Integer, Positive, Section, read_toml, sentences
from ..errors import InputError
from ..netlist import read_netlist_text
from ..simulation import deck_roots, read_deck
from ._fit import Fit, fit
from ._parameter import Parameter
from ._targets import Target, read_columns


class _Parameter(Section):
    min: float
    max: float
    initial: float | None = None
    log: bool = True
    per_chip: bool = False


class _Target(Section):
    kind: Literal["trace", "spike_times", "measure", "fi"]
    node: str | None = None
    name: str | None = None
    file: str | None = None
    value: float | None = None
    columns: list[str | int] | None = None
    sigma: Positive | None = None
    chip: str = ""
    threshold: float | None = None
    sweep: str | None = None
    first: Count = 1
    jitter: Positive | None = None
    align: bool = True


class _Options(Section):
    starts: Count = 1
    seed: Annotated[Integer, Field(ge=0)] = 0
    max_runs: Count = 500
    precision: Positive = 1.0
    grow: bool = True
    accuracy: Literal["reference", "fast"] = "reference"
    t_stop: Positive | None = None


class _Spec(Section):
    deck: str
    card: str | None = None
    parameters: Annotated[dict[str, _Parameter], Field(min_length=1)]
    target: Annotated[list[_Target], Field(min_length=1)]
    options: _Options = _Options()


def fit_file(path: Path, progress: Callable[[int, float], None] | None = None) -> Fit:
    """Do what a fit specification says; paths in it count from its own folder.

    **Raises** `InputError` with every problem of the file, and what `fit` raises.
    """
    data = read_toml(path)
    try:
        spec = _Spec.model_validate(data)
    except ValidationError as error:
        raise InputError("\n".join(sentences(error, _Spec, str(path)))) from None
    targets = [_target(path, number, given) for number, given in enumerate(spec.target, 1)]
    parameters = [Parameter(name, p.min, p.max, p.initial, p.log, p.per_chip) for name, p in spec.parameters.items()]
    options = spec.options
    circuit = Circuit.from_netlist(_netlist(path, spec))
    return fit(
        circuit, targets, parameters, t_stop=options.t_stop, starts=options.starts, seed=options.seed,
        max_runs=options.max_runs, precision=options.precision, grow=options.grow, accuracy=options.accuracy,
        progress=progress,
    )  # fmt: skip


def _netlist(path: Path, spec: _Spec) -> Any:
    deck = path.parent / spec.deck
    if spec.card is None:
        return read_deck(deck, (path.parent,))
    card = library.cards().get(spec.card, path.parent / spec.card)
    if not card.is_file():
        raise InputError(
            f"{path}: there is no card '{spec.card}'; there are {', '.join(library.cards())}, or give a file."
        )
    try:
        text = deck.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{deck}: cannot be read ({error.strerror or error}).") from None
    changed, count = library.exchange_card(text, card)
    if count != 1:
        raise InputError(
            f"{deck} includes {count} device cards (lines '.include …/cards/NAME.lib'); card = needs exactly one."
        )
    return read_netlist_text(changed, str(deck), [*deck_roots(deck, (path.parent,)), card.resolve().parent])


def _target(path: Path, number: int, given: _Target) -> Target:
    where = f"{path}, target {number}"
    name = given.node if given.kind != "measure" else given.name
    if not name:
        raise InputError(f"{where}: kind '{given.kind}' needs {'name' if given.kind == 'measure' else 'node'} = …")
    if (given.file is None) == (given.value is None):
        raise InputError(f"{where}: give either file = … or value = ….")
    common: dict[str, Any] = {
        "sigma": given.sigma, "chip": given.chip, "threshold": given.threshold, "where": where, "first": given.first,
        "jitter": given.jitter or 0.0, "align": given.align,
    }  # fmt: skip
    if given.value is not None:
        if given.kind != "measure":
            raise InputError(f"{where}: kind '{given.kind}' needs a file; value is for measures.")
        return Target(given.kind, name, np.array([given.value]), **common)
    assert given.file is not None
    wanted = 2 if given.kind in ("trace", "fi") else 1
    if given.columns is not None and len(given.columns) != wanted:
        raise InputError(f"{where}: columns names {len(given.columns)}; kind '{given.kind}' needs {wanted}.")
    columns = read_columns(path.parent / given.file, given.columns, wanted)
    if wanted == 2:
        return Target(given.kind, name, columns[1], columns[0], sweep=given.sweep, **common)
    return Target(given.kind, name, columns[0], **common)
