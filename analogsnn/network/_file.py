"""Networks as TOML files.

```toml
seed = 1
[population.exc]
size = 16
neuron = { tau = "20 ms", dc = "30 pA" }
[input.beats]
size = 1
[[connection]]
source = "beats"
target = "exc"
synapse = "AMPA"
weight = "4 nA"
pattern = "all"
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, StringConstraints, ValidationError

from ..documents import Ampere, Count, Integer, Positive, Second, Section, near, read_toml, sentences
from ..errors import InputError
from ..units import parse_quantity
from ._network import (
    DELAYS,
    Adaptation,
    Connection,
    Input,
    Network,
    Neuron,
    Population,
    Synapse,
    all_to_all,
    one_to_one,
)

_ALIASES = {"SHUNT": "GABA_A", "GABA": "GABA_B"}  # the labels of DYNAP-SE2
Place = tuple[Integer, Integer, Integer]


@dataclass(frozen=True)
class Defaults:
    """What a file leaves out, as a chip would have it.

    - `neuron`: every quantity that a population does not name.
    - `pulse` (A): the weight of one pulse, for weights that are integers; None where weights must be currents.
    """

    neuron: Neuron = field(default_factory=Neuron)
    pulse: float | None = None


@dataclass(frozen=True)
class NetworkFile:
    """A network, and what its file says about where it goes.

    - `pins`: {population: [(chip, core, neuron)]}; `tags`: {population or input: [tag]}; `seed`: of random patterns.
    """

    network: Network
    pins: Mapping[str, tuple[Place, ...]]
    tags: Mapping[str, tuple[int, ...]]
    seed: int


def read_network(path: str | Path, defaults: Defaults | None = None) -> NetworkFile:
    """Read and check a network file.

    **Raises** `InputError` with one sentence per problem: file, key, what is wrong, near match.
    """
    path = Path(path)
    document = read_toml(path)
    try:
        text = _Document.model_validate(document)
    except ValidationError as error:
        raise InputError("\n".join(sentences(error, _Document, str(path)))) from None
    defaults = defaults or Defaults()
    problems: list[str] = []
    sizes = {name: p.size for name, p in text.population.items()} | {name: i.size for name, i in text.input.items()}
    connections = []
    for k, c in enumerate(text.connection):
        where = f"connection[{k}] '{c.source}'→'{c.target}'"
        missing = [n for n, known in ((c.source, sizes), (c.target, text.population)) if n not in known]
        if missing:
            known = ", ".join(sorted(sizes))
            problems.append(f"{where}: there is no '{missing[0]}' to connect; known: {known}.")
            continue
        try:
            connections.append(_connection(c, sizes, np.random.default_rng([text.seed, k]), defaults))
        except InputError as error:
            problems.append(f"{where}: {error}")
    for name in sorted(set(text.population) & set(text.input)):
        problems.append(f"'{name}' is a population and an input; give every one a name of its own.")
    if problems:
        raise InputError("\n".join(f"{path}: {p}" for p in problems))
    try:
        network = Network(
            populations=tuple(_population(name, p, defaults) for name, p in text.population.items()),
            inputs=tuple(Input(name=name, size=i.size) for name, i in text.input.items()),
            connections=tuple(connections),
        )
    except InputError as error:
        raise InputError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
    every = {**text.population, **text.input}
    return NetworkFile(
        network=network,
        pins={name: p.place for name, p in text.population.items() if p.place is not None},
        tags={name: thing.tags for name, thing in every.items() if thing.tags is not None},
        seed=text.seed,
    )


def _population(name: str, text: _Population, defaults: Defaults) -> Population:
    given = text.neuron.model_dump(exclude_none=True, exclude={"adaptation"})
    adaptation = defaults.neuron.adaptation
    if text.neuron.adaptation is not None:
        adaptation = replace(adaptation or Adaptation(), **text.neuron.adaptation.model_dump(exclude_none=True))
    plain = Population(name=name, size=text.size)
    return Population(
        name=name,
        size=text.size,
        neuron=replace(defaults.neuron, **given, adaptation=adaptation),
        synapses={
            _ALIASES.get(kind, kind): replace(Synapse(), **s.model_dump(exclude_none=True))
            for kind, s in text.synapses.items()
        },
        pulse=plain.pulse if text.pulse is None else text.pulse,
        rate=text.rate,
    )


def _connection(c: _Connection, sizes: Mapping[str, int], rng: np.random.Generator, defaults: Defaults) -> Connection:
    pairs = _pairs(c, sizes[c.source], sizes[c.target], rng)
    weights = c.weight if isinstance(c.weight, list) else [c.weight]
    if len(weights) not in (1, len(pairs)):
        raise InputError(f"weight lists {len(weights)} values for {len(pairs)} synapses; give one, or one a synapse.")
    read = [_weight(w, defaults) for w in weights]
    count = np.array([n for n, _ in read]) if len(read) > 1 else np.full(len(pairs), read[0][0])
    current = np.array([i for _, i in read]) if len(read) > 1 else np.full(len(pairs), read[0][1])
    return Connection(
        source=c.source,
        target=c.target,
        synapse=_ALIASES.get(c.synapse, c.synapse),
        pairs=np.repeat(pairs, count, axis=0),
        weight=np.repeat(current, count),
        delay=_delay(c.delay),
        stp=c.stp,
    )


def _weight(value: Any, defaults: Defaults) -> tuple[int, float]:
    """Number of equal synapses and the weight (A) of each."""
    if isinstance(value, int) and not isinstance(value, bool):
        if defaults.pulse is None:
            raise InputError(f"weight {value} counts pulses; on this chip a weight is a current, as in '{value} nA'.")
        if value < 1:
            raise InputError(f"weight {value} is not positive; inhibition is a synapse type, no sign.")
        return value, defaults.pulse
    current = parse_quantity(value, "A", "weight")
    if current <= 0:
        raise InputError(f"weight {value} is not positive; inhibition is a synapse type, no sign.")
    return 1, current


def _delay(value: str) -> str:
    if value in DELAYS:
        return value
    try:
        parse_quantity(value, "s", "delay")
    except InputError:
        raise InputError(f"delay is '{value}'; there are {', '.join(DELAYS)}{near(value, DELAYS) or '.'}") from None
    raise InputError(
        f"delay is '{value}', but no chip here has a calibration of delays in seconds; give one of {', '.join(DELAYS)}."
    )


_PATTERNS = "'all', 'one_to_one', { probability = 0.1 } or { pairs = [[0, 1], [2, 3]] }"


def _pairs(c: _Connection, n_source: int, n_target: int, rng: np.random.Generator) -> np.ndarray:
    """The joined pairs: int array [synapse, 2]."""
    pattern, recurrent = c.pattern, c.source == c.target
    if pattern == "one_to_one":
        if n_source != n_target:
            raise InputError(f"pattern 'one_to_one' joins sizes {n_source} and {n_target}; they must be equal.")
        return one_to_one(n_source)
    if isinstance(pattern, dict) and set(pattern) == {"pairs"}:
        return _listed(pattern["pairs"], n_source, n_target, recurrent and not c.self_connections)
    pairs = all_to_all(n_source, n_target)
    if isinstance(pattern, dict) and set(pattern) == {"probability"}:
        p = pattern["probability"]
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
            raise InputError(f"pattern has probability {p!r}; it must be a number from 0 to 1.")
        pairs = pairs[rng.random(len(pairs)) < p]
    elif pattern != "all":
        raise InputError(f"pattern is {pattern!r}; give {_PATTERNS}.")
    return pairs if not recurrent or c.self_connections else pairs[pairs[:, 0] != pairs[:, 1]]


def _listed(given: Any, n_source: int, n_target: int, no_self: bool) -> np.ndarray:
    numbers = isinstance(given, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(x) is int for x in pair) for pair in given
    )
    if not numbers:
        raise InputError(f"pattern has pairs {given!r}; give a list of [source index, target index].")
    pairs = np.array(given, np.int64).reshape(-1, 2)
    for i, j in given:
        if not (0 <= i < n_source and 0 <= j < n_target):
            raise InputError(
                f"pair [{i}, {j}] names a member that is not there; the sizes are {n_source} and {n_target}."
            )
        if no_self and i == j:
            raise InputError(f"pair [{i}, {j}] joins a neuron to itself; say self_connections = true if it shall.")
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    if len(unique) < len(pairs):
        twice = unique[np.argmax(count)].tolist()
        raise InputError(f"pair {twice} stands {count.max()} times; for several synapses write several connections.")
    return pairs


class _Adaptation(Section):
    tau: Second | None = None
    weight: Ampere | None = None
    gain: Positive | None = None
    pulse: Second | None = None


class _Neuron(Section):
    tau: Second | None = None
    gain: Positive | None = None
    refractory: Second | None = None
    threshold: Ampere | None = None
    dc: Ampere | None = None
    adaptation: _Adaptation | None = None
    nmda_gate: Ampere | None = None


class _Synapse(Section):
    tau: Second | None = None
    gain: Positive | None = None


class _Population(Section):
    size: Count
    neuron: _Neuron = _Neuron()
    synapses: dict[Literal["AMPA", "NMDA", "GABA_A", "GABA_B", "SHUNT", "GABA"], _Synapse] = Field(default_factory=dict)
    pulse: Second | None = None
    rate: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    place: tuple[Place, ...] | None = None
    tags: tuple[Integer, ...] | None = None


class _Input(Section):
    size: Count
    tags: tuple[Integer, ...] | None = None


class _Connection(Section):
    source: str
    target: str
    synapse: Literal["AMPA", "NMDA", "GABA_A", "GABA_B", "SHUNT", "GABA"]
    weight: Any
    pattern: Any
    delay: str = "none"
    stp: bool = False
    self_connections: bool = False


_Name = Annotated[str, StringConstraints(min_length=1)]


class _Document(Section):
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    population: dict[_Name, _Population]
    input: dict[_Name, _Input] = Field(default_factory=dict)
    connection: tuple[_Connection, ...] = ()
