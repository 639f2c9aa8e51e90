"""A chip as data: the schema of a chip description."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from ..errors import InputError
from ..models import Physics
from ._generator import Generator, Polarity
from ._schema import (
    Ampere,
    Count,
    Farad,
    Integer,
    Positive,
    Provenance,
    Second,
    Section,
    Volt,
    near,
)

SCHEMA = 1
CELLS = ("mem", "ref", "pulse", "ahp", "pulse_ahp")  # the capacitors that every neuron has, beside its synapses'
Pair = tuple[Integer, Integer]


class Source(Section):
    """A public source of numbers, cited by its key."""

    key: str
    what: str
    licence: str
    date: str | None = None


class Meta(Section):
    """Name, revision and sources of the description; `schema` is its format."""

    name: str
    schema_version: Annotated[int, Field(alias="schema")]
    revision: str
    sources: tuple[Source, ...] = ()


class ForbiddenHop(Section):
    """Routes from one set of chips to another that must not be made."""

    sources: Annotated[tuple[Integer, ...], Field(alias="from")]
    targets: Annotated[tuple[Integer, ...], Field(alias="to")]
    reason: str


class Topology(Section):
    """Chips on a board, cores on a chip, neurons on a core, and where the chips stand."""

    chips: Count
    cores_per_chip: Count
    neurons_per_core: Count
    chip_positions: tuple[Pair, ...]
    forbidden_hops: tuple[ForbiddenHop, ...] = ()


class NeuronBiases(Section):
    """The bias that sets each quantity of a neuron; what is not named cannot be set on this chip."""

    tau: str | None = None
    gain: str | None = None
    refractory: str | None = None
    threshold: str | None = None
    dc: str | None = None
    adaptation_tau: str | None = None
    adaptation_gain: str | None = None
    adaptation_weight: str | None = None
    adaptation_pulse: str | None = None
    nmda_gate: str | None = None
    pulse: str | None = None


class FixedQuantities(Section):
    """Quantities that silicon fixes, where no bias sets them."""

    tau: Second | None = None
    gain: Positive | None = None
    refractory: Second | None = None
    threshold: Ampere | None = None
    dc: Ampere | None = None
    adaptation_tau: Second | None = None
    adaptation_gain: Positive | None = None
    adaptation_weight: Ampere | None = None
    adaptation_pulse: Second | None = None
    nmda_gate: Ampere | None = None
    pulse: Second | None = None


class Switches(Section):
    """The latch that switches a feature of one neuron; without it the feature is switched per core, by its bias."""

    dc: str | None = None
    adaptation: str | None = None
    nmda_gate: str | None = None


class NeuronSection(Section):
    """Model, latches and biases of a neuron."""

    model: str
    leak_groups: Count = 1
    latches: tuple[str, ...] = ()
    biases: NeuronBiases
    fixed: FixedQuantities = FixedQuantities()
    switches: Switches = Switches()


class SynapseType(Section):
    """One type: its code in a word, its label on the chip, its circuit's role, its biases, its capacitor."""

    code: Integer
    label: str
    role: Literal["excitatory", "gated", "shunting", "subtractive"]
    tau: str
    gain: str
    c: str


class WeightScheme(Section):
    """`mask_sum`: every word selects some of the core's `currents`, which add."""

    scheme: Literal["mask_sum"]
    bits: Count
    currents: tuple[str, ...]


class Delay(Section):
    """A delay class of a synapse: the flag in its word and the bias behind it."""

    name: str
    flag: str
    bias: str | None = None


class Depression(Section):
    """Short-term depression of a synapse: the flag in its word and the biases behind it."""

    flag: str
    biases: tuple[str, ...]


class SynapseSection(Section):
    """Synapse words of a neuron and what they can say."""

    words_per_neuron: Count
    unused_code: Integer = 0
    weight: WeightScheme
    types: dict[str, SynapseType]
    delays: tuple[Delay, ...] = ()
    depression: Depression | None = None


class Hop(Section):
    """Smallest and largest step of a route, in chips."""

    x: Pair
    y: Pair


class Monitor(Section):
    """The destination word that sends a neuron's spikes to the host."""

    words: Count = 1
    mask: tuple[bool, ...]
    hop: Pair
    address: Literal["core_neuron", "neuron"]


class Routing(Section):
    """Address matching: a spike carries a tag into cores, every word with the same tag fires."""

    scheme: Literal["tag"]
    tag_bits: Count
    reserved_tags: tuple[Integer, ...] = ()
    null_tag: Integer | None = None
    destinations: Count
    hop: Hop
    monitor: Monitor | None = None


class Bias(Section):
    """One bias: who shares it, the generator's branch, the factor from generator to circuit (unknown: none)."""

    group: str
    polarity: Polarity | None = None
    scale: Positive | None = None
    what: str = ""


class BiasSection(Section):
    """The generator and the biases that it feeds."""

    generator: Generator
    names: dict[str, Bias]


class Profile(Section):
    """Constants of process and circuits: see `analogsnn.models.Physics`; `c` holds the capacitors by their key."""

    i0: Ampere
    kappa_n: Positive
    kappa_p: Positive
    ut: Volt
    vth: Volt
    reset: Ampere
    c: dict[str, Farad]


class PhysicsSection(Section):
    """Physics by profile."""

    profiles: dict[str, Profile]


class Limits(Section):
    """What is refused, what is warned about, and the ranges that were published."""

    i_floor: Ampere
    bias_error_warn: Positive
    bias_error_fail: Positive
    weight_error_fail: Positive
    tau: tuple[Second, Second] | None = None
    refractory: tuple[Second, Second] | None = None


class Chip(Section):
    """A chip description, checked: everything that the compiler and the decoder know about a chip."""

    meta: Meta
    topology: Topology
    neuron: NeuronSection
    synapse: SynapseSection
    routing: Routing
    biases: BiasSection
    physics: PhysicsSection
    limits: Limits
    _provenance: dict[str, Provenance] = PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """The chip's name."""
        return self.meta.name

    @property
    def tag_count(self) -> int:
        """Number of tags that the address field can hold."""
        return 2**self.routing.tag_bits

    @property
    def core_count(self) -> int:
        """Cores on the whole board."""
        return self.topology.chips * self.topology.cores_per_chip

    @cached_property
    def digest(self) -> str:
        """A short hash over all values (not over sources and remarks): equal digests describe equal chips."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def generator_currents(self) -> dict[str, np.ndarray]:
        """Currents (A) of the generator, before scaling, by polarity: float array [coarse, fine]."""
        return {"n": self.biases.generator.table("n"), "p": self.biases.generator.table("p")}

    @cached_property
    def sorted_currents(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The same in ascending order, by polarity: currents (A) and the flat index coarse * fine codes + fine."""
        order = {k: np.argsort(t.ravel(), kind="stable") for k, t in self.generator_currents.items()}
        return {k: (self.generator_currents[k].ravel()[o], o) for k, o in order.items()}

    def bias(self, name: str) -> Bias:
        """One bias by its name; `InputError` with a near match for a name that is not there."""
        if name not in self.biases.names:
            hint = near(name, self.biases.names)
            raise InputError(f"bias_name: chip '{self.name}' has no bias '{name}'{hint or '.'}")
        return self.biases.names[name]

    def model_physics(self, profile: str) -> Physics:
        """The physics of one profile, with a capacitor per synapse type."""
        if profile not in self.physics.profiles:
            known = ", ".join(self.physics.profiles)
            raise InputError(f"Chip '{self.name}' has no physics profile '{profile}'; there are {known}.")
        p = self.physics.profiles[profile]
        c = {cell: p.c[cell] for cell in CELLS} | {name: p.c[t.c] for name, t in self.synapse.types.items()}
        return Physics(i0=p.i0, kappa_n=p.kappa_n, kappa_p=p.kappa_p, ut=p.ut, vth=p.vth, c=c, reset=p.reset)

    def provenance(self, path: str) -> Provenance:
        """Where the value at `path` (such as `"biases.names.SOIF_LEAK_N.scale"`) comes from."""
        if path not in self._provenance:
            raise InputError(f"Chip '{self.name}' has no value '{path}'{near(path, self._provenance) or '.'}")
        return self._provenance[path]

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of all values that have a provenance."""
        return tuple(self._provenance)

    @model_validator(mode="after")
    def _fits_together(self) -> Chip:
        problems = list(_contradictions(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _contradictions(chip: Chip):
    """What each section allows on its own, but not beside the others."""
    top, syn, route, names = chip.topology, chip.synapse, chip.routing, chip.biases.names
    if chip.meta.schema_version != SCHEMA:
        yield f"meta.schema: this is format {chip.meta.schema_version}; here format {SCHEMA} is read."
    if len(top.chip_positions) != top.chips:
        yield f"topology.chip_positions: {len(top.chip_positions)} positions for {top.chips} chips."
    if len(set(top.chip_positions)) != len(top.chip_positions):
        yield "topology.chip_positions: two chips stand at the same place."
    if len(syn.weight.currents) != syn.weight.bits:
        yield f"synapse.weight: {len(syn.weight.currents)} currents for {syn.weight.bits} bits."
    codes = [t.code for t in syn.types.values()]
    if len({*codes, syn.unused_code}) != len(codes) + 1:
        yield "synapse.types: two types, or a type and the unused word, have the same code."
    for tag in (*route.reserved_tags, *(() if route.null_tag is None else (route.null_tag,))):
        if not 0 <= tag < chip.tag_count:
            yield f"routing: tag {tag} is outside the {route.tag_bits}-bit field (0 to {chip.tag_count - 1})."
    if route.monitor is not None:
        if len(route.monitor.mask) != top.cores_per_chip:
            yield f"routing.monitor.mask: {len(route.monitor.mask)} bits for {top.cores_per_chip} cores."
        neurons = top.neurons_per_core * (top.cores_per_chip if route.monitor.address == "core_neuron" else 1)
        if neurons > chip.tag_count - len(route.reserved_tags):
            yield f"routing.monitor.address: {neurons} neurons do not fit the {route.tag_bits}-bit tag."
        if not _within(route.monitor.hop, route.hop):
            yield f"routing.monitor.hop: {list(route.monitor.hop)} is outside routing.hop."
    for latch in (v for v in vars(chip.neuron.switches).values() if v is not None):
        if latch not in chip.neuron.latches:
            yield f"neuron.switches: there is no latch '{latch}'{near(latch, chip.neuron.latches) or '.'}"
    used = {f"neuron.biases.{k}": v for k, v in vars(chip.neuron.biases).items() if v is not None}
    used |= {f"synapse.types.{k}.{r}": getattr(t, r) for k, t in syn.types.items() for r in ("tau", "gain")}
    used |= {f"synapse.weight.currents[{k}]": v for k, v in enumerate(syn.weight.currents)}
    for where, name in used.items():
        if name not in names:
            yield f"{where}: there is no bias '{name}'{near(name, names) or '.'}"
        elif names[name].scale is None or names[name].polarity is None:
            yield f"{where}: bias '{name}' needs a polarity and a scale to be set in ampere."
        elif names[name].group != "core":
            yield f"{where}: bias '{name}' is of group '{names[name].group}'; a neuron's must be of group 'core'."
    for role in ("tau", "gain", "refractory", "threshold", "pulse"):
        if getattr(chip.neuron.biases, role) is None and getattr(chip.neuron.fixed, role) is None:
            yield f"neuron.biases.{role}: name a bias for it, or give its value in neuron.fixed.{role}."
    for key, profile in chip.physics.profiles.items():
        for c in sorted({*CELLS, *(t.c for t in syn.types.values())} - set(profile.c)):
            yield f"physics.profiles.{key}.c: capacitor '{c}' is missing."
    if not chip.physics.profiles:
        yield "physics.profiles: at least one profile is needed."


def _within(hop: Pair, limits: Hop) -> bool:
    return limits.x[0] <= hop[0] <= limits.x[1] and limits.y[0] <= hop[1] <= limits.y[1]
