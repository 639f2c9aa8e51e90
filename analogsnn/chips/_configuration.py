"""The configuration of a chip: all that a board needs to be told, as one JSON document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError

from ..documents import Integer, Section, near, sentences
from ..errors import InputError
from ._chip import Chip
from ._load import load_chip

SCHEMA = "analogsnn/configuration"
VERSION = 1
NEURONS = ("population", "index", "chip", "core", "neuron")
SYNAPSES = ("chip", "core", "neuron", "tag", "dendrite", "weight", "delay", "stp")
ROUTES = ("chip", "core", "neuron", "x_hop", "y_hop", "cores", "tag")
INPUTS = ("input", "index", "chip", "cores", "tag")
LATCHES = ("chip", "core", "neuron")
Codes = dict[tuple[int, int], dict[str, tuple[int, int]]]  # (chip, core): bias name: (coarse, fine)


@dataclass(frozen=True)
class Configuration:
    """Words, codes and latches, and which logical neuron is which physical one.

    All tables are int arrays [row, column]; populations and inputs are numbers in the order of their lists.

    - `chip`: (name, revision, digest) of the description it was made for; `profile`: its physics.
    - `populations`: (name, size, expected rate in Hz or None); `inputs`: (name, size).
    - `neurons`: columns `NEURONS`; one row per logical neuron.
    - `biases`: {(chip, core): {bias name: (coarse, fine)}}; a bias that is not there stays off.
    - `synapses`: columns `SYNAPSES`; `tag` is the address that it hears (without tags: core * neurons per core +
      neuron), `weight` the mask over the core's weight currents (bit k: current k; 1 where words are repeated), `delay`
      0 for none, else 1 + the number of the class in the chip description, `stp` 1 with short-term depression.
    - `routes`: columns `ROUTES`; `cores` is a mask (bit k: core k). A word with the monitor's hop goes to the host.
    - `input_routes`: columns `INPUTS`; every row is one virtual spike that an event of that channel sends.
    - `latches`: {latch name: columns `LATCHES`}, the neurons where it is on.
    """

    chip: tuple[str, str, str]
    profile: str
    populations: tuple[tuple[str, int, float | None], ...]
    inputs: tuple[tuple[str, int], ...]
    neurons: np.ndarray
    biases: Codes
    synapses: np.ndarray
    routes: np.ndarray
    input_routes: np.ndarray
    latches: dict[str, np.ndarray]

    def to_json(self) -> str:
        """The document as text."""
        document = {
            "schema": SCHEMA,
            "version": VERSION,
            "chip": dict(zip(("name", "revision", "digest"), self.chip, strict=True)),
            "profile": self.profile,
            "populations": [{"name": n, "size": s, "rate": r} for n, s, r in self.populations],
            "inputs": [{"name": n, "size": s} for n, s in self.inputs],
            "biases": [
                {"chip": chip, "core": core, "codes": {name: list(code) for name, code in codes.items()}}
                for (chip, core), codes in self.biases.items()
            ],
            "neurons": _table(NEURONS, self.neurons),
            "synapses": _table(SYNAPSES, self.synapses),
            "routes": _table(ROUTES, self.routes),
            "input_routes": _table(INPUTS, self.input_routes),
            "latches": {name: _table(LATCHES, rows) for name, rows in self.latches.items()},
        }
        return _layout(document)

    @staticmethod
    def from_json(text: str, chip: Chip | str | Path | None = None, *, where: str = "configuration") -> Configuration:
        """Read and check a document.

        **Arguments**: `chip`: the description it must be for (default: the built-in one that the document names);
        `where`: the name of the document for messages.

        **Raises** `InputError` with one sentence per problem: another format or chip, unknown keys, codes and
        addresses out of range, words that belong to no neuron.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{where}: line {error.lineno}: is not JSON: {error.msg}.") from None
        if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
            raise InputError(f"{where}: is no configuration: its 'schema' must be '{SCHEMA}'.")
        if raw.get("version") != VERSION:
            raise InputError(f"{where}: is of version {raw.get('version')!r}; version {VERSION} is read here.")
        try:
            document = _Document.model_validate(raw)
        except ValidationError as error:
            raise InputError("\n".join(sentences(error, _Document, where))) from None
        named = document.chip
        if chip is None:
            chip = named.name
        description = chip if isinstance(chip, Chip) else load_chip(chip)
        for what, theirs, ours in (
            ("chip", named.name, description.name),
            ("revision", named.revision, description.meta.revision),
            ("description digest", named.digest, description.digest),
        ):
            if theirs != ours:
                raise InputError(f"{where}: was made for {what} '{theirs}', but the chip here has '{ours}'.")
        problems = [
            f"{where}: [{name}] has columns {', '.join(table.columns)}; they must be {', '.join(columns)}."
            for name, table, columns in document.tables()
            if table.columns != columns
        ]
        problems += [
            f"{where}: [{name}] has a row of {len(row)} numbers for {len(columns)} columns."
            for name, table, columns in document.tables()
            for row in table.rows
            if len(row) != len(columns)
        ]
        if problems:
            raise InputError("\n".join(problems))
        configuration = document.configuration()
        problems = [f"{where}: {p}" for p in check_configuration(configuration, description)]
        if problems:
            raise InputError("\n".join(problems))
        return configuration

    def save(self, path: str | Path) -> None:
        """Write the document to a file; `InputError` when that cannot be written."""
        try:
            Path(path).write_text(self.to_json(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from None

    @staticmethod
    def load(path: str | Path, chip: Chip | str | Path | None = None) -> Configuration:
        """Read and check a file; see `from_json`."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: is not UTF-8 text.") from None
        return Configuration.from_json(text, chip, where=str(path))


def check_configuration(configuration: Configuration, chip: Chip) -> list[str]:
    """Everything in a configuration that the chip cannot hold: one sentence per table, column and kind of problem."""
    c, top, route, generator = configuration, chip.topology, chip.routing, chip.biases.generator
    problems: list[str] = []

    def within(table: str, columns: tuple[str, ...], rows: np.ndarray, **limits: tuple[int, int]) -> None:
        for column, (low, high) in limits.items():
            values = rows[:, columns.index(column)]
            bad = np.flatnonzero((values < low) | (values > high))
            if len(bad):
                more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
                problems.append(f"[{table}] row {bad[0]}: {column} {values[bad[0]]} is outside {low} to {high}{more}.")

    place = {"chip": (0, top.chips - 1), "core": (0, top.cores_per_chip - 1), "neuron": (0, top.neurons_per_core - 1)}
    tag, mask = (0, chip.tag_count - 1), (1, 2**top.cores_per_chip - 1)
    within("neurons", NEURONS, c.neurons, **place)
    within("synapses", SYNAPSES, c.synapses, **place, tag=tag, weight=(1, chip.synapse.weight.codes))
    within("synapses", SYNAPSES, c.synapses, delay=(0, len(chip.synapse.delays)))
    within("synapses", SYNAPSES, c.synapses, stp=(0, int(chip.synapse.depression is not None)))
    within("routes", ROUTES, c.routes, **place, x_hop=route.hop.x, y_hop=route.hop.y, cores=mask, tag=tag)
    within("input_routes", INPUTS, c.input_routes, chip=place["chip"], cores=mask, tag=tag)
    codes = [t.code for t in chip.synapse.types.values()]
    unknown = np.setdiff1d(c.synapses[:, SYNAPSES.index("dendrite")], codes)
    if len(unknown):
        problems.append(f"[synapses]: dendrite code {unknown[0]} is none of {', '.join(map(str, sorted(codes)))}.")
    for table, columns, rows in (("routes", ROUTES, c.routes), ("input_routes", INPUTS, c.input_routes)):
        reserved = np.intersect1d(rows[:, columns.index("tag")], route.reserved_tags)
        if len(reserved):
            problems.append(f"[{table}]: tag {reserved[0]} is reserved on '{chip.name}'.")
    for (where, core), biases in c.biases.items():
        if not (0 <= where < top.chips and 0 <= core < top.cores_per_chip):
            problems.append(f"[biases]: there is no core {core} on a chip {where}.")
        for name, (coarse, fine) in biases.items():
            if name not in chip.biases.names:
                problems.append(f"[biases]: there is no bias '{name}'{near(name, chip.biases.names) or '.'}")
            if not (0 <= coarse < generator.coarse and 0 <= fine < generator.fine):
                problems.append(
                    f"[biases]: {name} has code ({coarse}, {fine}); coarse is 0 to {generator.coarse - 1}, fine 0 to "
                    f"{generator.fine - 1}."
                )
    for latch, rows in c.latches.items():
        if latch not in chip.neuron.latches:
            problems.append(f"[latches]: there is no latch '{latch}'{near(latch, chip.neuron.latches) or '.'}")
        within(f"latches.{latch}", LATCHES, rows, **place)
    if c.profile not in chip.physics.profiles:
        problems.append(f"profile '{c.profile}' is not one of {', '.join(chip.physics.profiles)}.")
    return problems or list(_loose_ends(c, chip))


def _loose_ends(c: Configuration, chip: Chip):
    """Problems between tables, once every number in them is legal."""
    for what, names in (("population", [p[0] for p in c.populations]), ("input", [i[0] for i in c.inputs])):
        if len(set(names)) != len(names):
            yield f"two of the {what}s have one name."
    logical = sorted(map(tuple, c.neurons[:, :2].tolist()))
    if logical != [(p, i) for p, (_, size, _) in enumerate(c.populations) for i in range(size)]:
        yield "[neurons] must name every neuron of every population once, and no other."
    channels = c.input_routes[:, :2]
    sizes = np.array([size for _, size in c.inputs], dtype=np.int64)
    if len(channels) and (
        channels.min() < 0 or channels[:, 0].max() >= len(sizes) or np.any(channels[:, 1] >= sizes[channels[:, 0]])
    ):
        yield "[input_routes] names an input channel that is not there."
    known = physical(chip, c.neurons[:, 2:5])
    if len(np.unique(known)) != len(known):
        yield "[neurons] gives one physical neuron to two logical ones."
    used = {"synapses": c.synapses[:, :3], "routes": c.routes[:, :3]}
    used |= {f"latches.{name}": rows for name, rows in c.latches.items()}
    for table, rows in used.items():
        stray = np.flatnonzero(~np.isin(physical(chip, rows), known))
        if len(stray):
            yield f"[{table}] row {stray[0]}: neuron {tuple(rows[stray[0]].tolist())} is not in [neurons]."
    if chip.routing.scheme == "source_id":
        own = c.routes[:, 1] * chip.topology.neurons_per_core + c.routes[:, 2]
        wrong = np.flatnonzero(c.routes[:, 6] != own)
        if len(wrong):
            k = int(wrong[0])
            yield f"[routes] row {k}: tag {c.routes[k, 6]} is not {own[k]}, the address of the neuron that sends it."
    sent = {"routes": c.routes[_to_cores(c, chip), 6], "input_routes": c.input_routes[:, 4]}
    for table, tags in sent.items():
        if chip.routing.null_fires and np.any(tags == chip.routing.null_tag):
            yield f"[{table}]: address {chip.routing.null_tag} is sent, to which every unused synapse word listens."
    for table, rows, limit in (
        ("synapses", c.synapses, chip.synapse.words_per_neuron),
        ("routes", c.routes, chip.routing.destinations),
    ):
        where, count = np.unique(physical(chip, rows[:, :3]), return_counts=True)
        if len(count) and count.max() > limit:
            at = unpack(chip, where[np.argmax(count)])
            yield f"[{table}]: neuron {at} (chip, core, neuron) has {count.max()} words, there are {limit}."
    empty = {(int(chip), int(core)) for chip, core in np.unique(c.neurons[:, 2:4], axis=0)} - set(c.biases)
    for core in sorted(empty):
        yield f"[biases]: core {core} (chip, core) holds neurons, but has no biases."


def _to_cores(c: Configuration, chip: Chip) -> np.ndarray:
    """Which routes go to cores, and not to the host: bool array [row]."""
    if chip.routing.monitor is None:
        return np.ones(len(c.routes), bool)
    return (c.routes[:, 3:5] != np.array(chip.routing.monitor.hop)).any(axis=1)


def configuration_schema() -> dict:
    """The JSON schema of the document, as published in docs/configuration.schema.json."""
    return _Document.model_json_schema(by_alias=True) | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "analogsnn configuration",
        "description": f"Format '{SCHEMA}', version {VERSION}: words, codes and latches of neuromorphic chips.",
    }


def physical(chip: Chip, rows: np.ndarray) -> np.ndarray:
    """One number per physical neuron, from int array [row, (chip, core, neuron)]."""
    top = chip.topology
    return (rows[:, 0] * top.cores_per_chip + rows[:, 1]) * top.neurons_per_core + rows[:, 2]


def unpack(chip: Chip, number: int) -> tuple[int, int, int]:
    """(chip, core, neuron) of a number from `physical`."""
    core, neuron = divmod(int(number), chip.topology.neurons_per_core)
    return (*divmod(core, chip.topology.cores_per_chip), neuron)


class _Named(Section):
    name: str
    size: Integer
    rate: float | None = None


class _ChipName(Section):
    name: str
    revision: str
    digest: str


class _Codes(Section):
    chip: Integer
    core: Integer
    codes: dict[str, tuple[Integer, Integer]]


class _Table(Section):
    columns: tuple[str, ...]
    rows: list[list[Integer]]


class _Document(Section):
    schema_name: Annotated[Literal["analogsnn/configuration"], Field(alias="schema")]
    version: Literal[1]
    chip: _ChipName
    profile: str
    populations: list[_Named]
    inputs: list[_Named]
    biases: list[_Codes]
    neurons: _Table
    synapses: _Table
    routes: _Table
    input_routes: _Table
    latches: dict[str, _Table]

    def tables(self) -> list[tuple[str, _Table, tuple[str, ...]]]:
        main = [
            ("neurons", self.neurons, NEURONS),
            ("synapses", self.synapses, SYNAPSES),
            ("routes", self.routes, ROUTES),
            ("input_routes", self.input_routes, INPUTS),
        ]
        return main + [(f"latches.{name}", table, LATCHES) for name, table in self.latches.items()]

    def configuration(self) -> Configuration:
        arrays = {
            name: np.array(table.rows, dtype=np.int64).reshape(-1, len(columns))
            for name, table, columns in self.tables()
        }
        return Configuration(
            chip=(self.chip.name, self.chip.revision, self.chip.digest),
            profile=self.profile,
            populations=tuple((p.name, p.size, p.rate) for p in self.populations),
            inputs=tuple((i.name, i.size) for i in self.inputs),
            neurons=arrays["neurons"],
            biases={(b.chip, b.core): dict(b.codes) for b in self.biases},
            synapses=arrays["synapses"],
            routes=arrays["routes"],
            input_routes=arrays["input_routes"],
            latches={name: arrays[f"latches.{name}"] for name in self.latches},
        )


def _table(columns: tuple[str, ...], rows: np.ndarray) -> dict:
    return {"columns": list(columns), "rows": rows.tolist()}


def _layout(document: dict) -> str:
    """JSON with one row of a table per line, to be read and compared by people."""

    def write(node, indent: str) -> str:
        deeper = indent + "  "
        children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
        if not any(isinstance(child, list | dict) for child in children):
            return json.dumps(node, ensure_ascii=False)
        if isinstance(node, dict):
            lines = [f"{deeper}{json.dumps(key, ensure_ascii=False)}: {write(v, deeper)}" for key, v in node.items()]
            return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
        return "[\n" + ",\n".join(deeper + write(child, deeper) for child in node) + f"\n{indent}]"

    return write(document, "") + "\n"
