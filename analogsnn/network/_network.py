"""A network as plain data: populations and inputs, joined by connections of physical weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..models import Physics

SYNAPSE_TYPES = ("AMPA", "NMDA", "GABA_A", "GABA_B")
DELAYS = ("none", "precise", "mismatched")
# A; no generator of these chips gives a tenth of it. Weak inversion, where the models hold, ends far lower.
LARGEST_CURRENT = 1e-3


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """Spike-frequency adaptation: a DPI driven by the neuron's own spikes, sunk from its membrane.

    `tau` (s), `weight` (A), `gain` (I_g/I_tau of the adaptation DPI), `pulse` (s, one per spike).
    """

    tau: float = 0.1
    weight: float = 1e-9
    gain: float = 1.0
    pulse: float = 10e-6


@dataclass(frozen=True, kw_only=True)
class Neuron:
    """A DPI adaptive-exponential neuron as its user asks for it.

    - `tau`: membrane time constant (s).
    - `gain`: I_g/I_tau of the input DPI.
    - `refractory`: refractory period (s).
    - `threshold`: membrane current of a spike (A).
    - `dc`: constant input current (A); 0 switches it off.
    - `adaptation`: or None.
    - `nmda_gate`: membrane current at which half of the NMDA current passes (A); None leaves the gate open.
    """

    tau: float = 20e-3
    gain: float = 4.0
    refractory: float = 2e-3
    threshold: float = 10e-9
    dc: float = 0.0
    adaptation: Adaptation | None = None
    nmda_gate: float | None = None


@dataclass(frozen=True, kw_only=True)
class Synapse:
    """The DPI that all synapses of one type of one neuron share: `tau` (s) and `gain` (I_g/I_tau)."""

    tau: float = 10e-3
    gain: float = 4.0


@dataclass(frozen=True, kw_only=True)
class Population:
    """`size` equal neurons with the DPIs of their dendrites.

    - `synapses`: by type; a type that is not named has `Synapse()`.
    - `pulse`: width of the pulse that one incoming event gives (s).
    - `rate`: expected rate (Hz), for traffic estimates; optional.
    """

    name: str
    size: int
    neuron: Neuron = field(default_factory=Neuron)
    synapses: Mapping[str, Synapse] = field(default_factory=dict)
    pulse: float = 10e-6
    rate: float | None = None

    def synapse(self, kind: str) -> Synapse:
        """The DPI of one type."""
        return self.synapses.get(kind, Synapse())


@dataclass(frozen=True, kw_only=True)
class Input:
    """`size` event channels from outside the chip."""

    name: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Synapses of one type from one population or input to one population.

    - `pairs`: int array [synapse, 2] of (source index, target index); a pair that stands twice is two synapses.
    - `weight`: weight current (A), one for all or float array [synapse].
    - `delay`: "none", "precise" or "mismatched", the chip's delay classes.
    - `stp`: short-term depression.
    """

    source: str
    target: str
    synapse: str
    pairs: np.ndarray
    weight: np.ndarray
    delay: str = "none"
    stp: bool = False

    def __post_init__(self) -> None:
        where = f"The connection '{self.source}'→'{self.target}'"
        pairs = np.asarray(self.pairs)
        if pairs.size and (pairs.ndim != 2 or pairs.shape[1] != 2 or np.any(pairs != np.round(pairs))):
            raise InputError(f"{where} has pairs of shape {pairs.shape}; give whole numbers [synapse, 2].")
        pairs = pairs.astype(np.int64).reshape(-1, 2)
        weight = np.asarray(self.weight, float)
        if weight.shape not in ((), (1,), (len(pairs),)):
            raise InputError(f"{where} has {weight.size} weights for {len(pairs)} pairs; give one, or one a pair.")
        object.__setattr__(self, "pairs", pairs)
        object.__setattr__(self, "weight", np.broadcast_to(weight, (len(pairs),)).copy())


@dataclass(frozen=True, kw_only=True)
class Network:
    """Populations, inputs and connections, and the physics that turns times into currents.

    Built once, checked once: every problem of a network raises `InputError` here, with the names involved.
    """

    populations: tuple[Population, ...]
    inputs: tuple[Input, ...] = ()
    connections: tuple[Connection, ...] = ()
    physics: Physics = field(default_factory=Physics)

    def __post_init__(self) -> None:
        object.__setattr__(self, "populations", tuple(self.populations))
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "connections", tuple(self.connections))
        problems = list(_problems(self))
        if problems:
            raise InputError("\n".join(problems))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return sum(p.size for p in self.populations)

    @property
    def synapse_count(self) -> int:
        """Number of synapses."""
        return sum(len(c.pairs) for c in self.connections)

    def population(self, name: str) -> Population:
        """One population by its name."""
        return next(p for p in self.populations if p.name == name)

    def offsets(self) -> dict[str, int]:
        """Index of the first neuron of each population when all stand in one row."""
        starts = np.cumsum([0, *(p.size for p in self.populations)])
        return {p.name: int(s) for p, s in zip(self.populations, starts, strict=False)}

    def input_offsets(self) -> dict[str, int]:
        """Index of the first channel of each input when all stand in one row."""
        starts = np.cumsum([0, *(i.size for i in self.inputs)])
        return {i.name: int(s) for i, s in zip(self.inputs, starts, strict=False)}


def all_to_all(n_source: int, n_target: int, *, self_connections: bool = True) -> np.ndarray:
    """Every source to every target: int array [synapse, 2]."""
    source, target = np.meshgrid(np.arange(n_source), np.arange(n_target), indexing="ij")
    pairs = np.stack([source.ravel(), target.ravel()], axis=1)
    return pairs if self_connections else pairs[pairs[:, 0] != pairs[:, 1]]


def one_to_one(n: int) -> np.ndarray:
    """Source i to target i: int array [synapse, 2]."""
    return np.stack([np.arange(n)] * 2, axis=1)


def connect(
    source: str,
    target: str,
    synapse: str,
    pairs: ArrayLike,
    weight: ArrayLike,
    delay: str = "none",
    *,
    stp: bool = False,
) -> Connection:
    """A `Connection` in one line."""
    return Connection(
        source=source,
        target=target,
        synapse=synapse,
        pairs=np.asarray(pairs),
        weight=np.asarray(weight),
        delay=delay,
        stp=stp,
    )


def _problems(network: Network):
    physics = network.physics
    constants = {k: getattr(physics, k) for k in ("i0", "kappa_n", "kappa_p", "ut", "vth", "reset")}
    wrong = {k: v for k, v in (constants | {f"c['{k}']": v for k, v in physics.c.items()}).items() if not _positive(v)}
    for key, value in wrong.items():
        yield f"The physics has {key} = {value!r}; it must be a positive, finite number (SI units)."
    if wrong:
        return
    sizes: dict[str, int] = {}
    for thing in (*network.populations, *network.inputs):
        if thing.name in sizes:
            yield f"The name '{thing.name}' stands twice; give every population and input a name of its own."
        if not isinstance(thing.size, int | np.integer) or thing.size < 1:
            yield f"'{thing.name}' has size {thing.size!r}; it needs a whole number of members, at least one."
        sizes[thing.name] = thing.size
    for p in network.populations:
        bad = list(_bad_numbers(p))
        yield from bad or _beyond_the_model(p, physics)
        for kind in p.synapses:
            if kind not in SYNAPSE_TYPES:
                yield f"Population '{p.name}' sets synapse type '{kind}'; there are {', '.join(SYNAPSE_TYPES)}."
    names = {p.name for p in network.populations}
    for c in network.connections:
        where = f"The connection '{c.source}'→'{c.target}'"
        for end, known in ((c.source, sizes), (c.target, names)):
            if end in sizes and end not in known:
                yield f"{where} ends at an input; connections end at populations: {', '.join(sorted(known)) or 'none'}."
            elif end not in known:
                yield f"{where} names '{end}', which is not there; known: {', '.join(sorted(known)) or 'none'}."
        if c.synapse not in SYNAPSE_TYPES:
            yield f"{where} has synapse type '{c.synapse}'; there are {', '.join(SYNAPSE_TYPES)}."
        if c.delay not in DELAYS:
            yield f"{where} has delay '{c.delay}'; there are {', '.join(DELAYS)}."
        bad = ~((c.weight > 0) & (c.weight <= LARGEST_CURRENT))
        if np.any(bad):
            k = int(np.argmax(bad))
            yield (
                f"{where} has the weight {c.weight[k]:g} A at synapse {k} (pair {c.pairs[k].tolist()}); a weight is a "
                f"current above 0 and up to {LARGEST_CURRENT:g} A, and inhibition is a synapse type, no sign."
            )
        if c.source in sizes and c.target in names and len(c.pairs):
            low, high = c.pairs.min(axis=0), c.pairs.max(axis=0)
            if low.min() < 0 or high[0] >= sizes[c.source] or high[1] >= sizes[c.target]:
                yield (
                    f"{where} has pairs up to {high.tolist()} (from {low.tolist()}), but the sizes are "
                    f"{sizes[c.source]} and {sizes[c.target]}."
                )


def _positive(value: object) -> bool:
    return _is_number(value) and value > 0  # pyright: ignore[reportOperatorIssue]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))


def _bad_numbers(p: Population):
    n = p.neuron
    positive = {
        "tau": n.tau,
        "gain": n.gain,
        "refractory": n.refractory,
        "threshold": n.threshold,
        "pulse": p.pulse,
    }
    for kind, s in p.synapses.items():
        positive |= {f"{kind} tau": s.tau, f"{kind} gain": s.gain}
    if n.adaptation is not None:
        positive |= {f"adaptation {k}": v for k, v in vars(n.adaptation).items()}
    if n.nmda_gate is not None:
        positive["nmda_gate"] = n.nmda_gate
    if p.rate is not None and not (_is_number(p.rate) and p.rate >= 0):
        yield f"Population '{p.name}' has rate = {p.rate!r} Hz; it must be finite and not negative, or None."
    for key, value in positive.items():
        if not _is_number(value) or value <= 0:
            yield f"Population '{p.name}' has {key} = {value!r}; it must be a positive, finite number (SI units)."
    if not _is_number(n.dc) or n.dc < 0:
        yield f"Population '{p.name}' has dc = {n.dc!r} A; it must be finite and not negative."


def _beyond_the_model(p: Population, physics: Physics):
    """Numbers that are positive, and nothing that these circuits could have."""
    n, a = p.neuron, p.neuron.adaptation
    currents = {"dc": n.dc, "threshold": n.threshold, "nmda_gate": n.nmda_gate or 0.0}
    currents |= {} if a is None else {"adaptation weight": a.weight}
    for key, value in currents.items():
        if value > LARGEST_CURRENT:
            yield (
                f"Population '{p.name}' has {key} = {value:g} A; the currents of these circuits end at "
                f"{LARGEST_CURRENT:g} A. Values are in SI units: 1 nA is 1e-9."
            )
    dpis = [("", "mem", n), *((f"{kind} ", kind, s) for kind, s in p.synapses.items() if kind in physics.c)]
    dpis += [] if a is None else [("adaptation ", "ahp", a)]
    for key, role, dpi in dpis:
        leak = physics.leak_current(dpi.tau, role)
        if leak * max(1.0, dpi.gain) > LARGEST_CURRENT:
            yield (
                f"Population '{p.name}' has {key}tau = {dpi.tau:g} s and gain = {dpi.gain:g}, which take a leak of "
                f"{leak:.2g} A and a gain current of {leak * dpi.gain:.2g} A; the currents of these circuits end at "
                f"{LARGEST_CURRENT:g} A."
            )
    if n.threshold <= physics.reset:
        yield (
            f"Population '{p.name}' has threshold = {n.threshold:g} A, and spikes reset its membranes to "
            f"{physics.reset:g} A; a threshold lies above that."
        )
