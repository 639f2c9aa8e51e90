"""A chip as data: a description whose sections fit together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cached_property

import numpy as np
from pydantic import PrivateAttr, model_validator

from ..documents import Section, near
from ..errors import InputError
from ..models import Physics
from ..network import Defaults, Neuron
from ._provenance import Provenance
from ._sections import (
    Bias,
    BiasSection,
    Hop,
    Limits,
    Meta,
    NeuronSection,
    Pair,
    PhysicsSection,
    Routing,
    SynapseSection,
    Topology,
)

SCHEMA = 1
CELLS = ("mem", "ref", "pulse", "ahp", "pulse_ahp")  # the capacitors that every neuron has, beside its synapses'


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
    yield from _weight_contradictions(chip)
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
    if route.scheme == "source_id" and top.cores_per_chip * top.neurons_per_core > chip.tag_count:
        yield f"routing.tag_bits: {route.tag_bits} bits do not hold the address of every neuron of a chip."
    second = chip.neuron.second_leak
    latches = [("switches", v) for v in vars(chip.neuron.switches).values() if v is not None]
    latches += [] if second is None else [("second_leak", second.latch)]
    for where, latch in latches:
        if latch not in chip.neuron.latches:
            yield f"neuron.{where}: there is no latch '{latch}'{near(latch, chip.neuron.latches) or '.'}"
    used = {f"neuron.biases.{k}": v for k, v in vars(chip.neuron.biases).items() if v is not None}
    used |= {f"synapse.types.{k}.{r}": getattr(t, r) for k, t in syn.types.items() for r in ("tau", "gain")}
    used |= {f"synapse.weight.currents[{k}]": v for k, v in enumerate(syn.weight.currents)}
    used |= {f"synapse.weight.per_type.{k}": v for k, v in syn.weight.per_type.items()}
    used |= {} if second is None else {"neuron.second_leak.bias": second.bias}
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


def _weight_contradictions(chip: Chip):
    weight, types = chip.synapse.weight, set(chip.synapse.types)
    if weight.scheme == "mask_sum":
        if weight.bits is None or len(weight.currents) != weight.bits:
            yield f"synapse.weight: {len(weight.currents)} currents for {weight.bits} bits."
    elif set(weight.per_type) != types or weight.pulse is None:
        yield f"synapse.weight: scheme 'repeat' needs 'pulse', and 'per_type' for {', '.join(sorted(types))}."
    elif weight.bits is not None or weight.currents:
        yield "synapse.weight: 'bits' and 'currents' belong to scheme 'mask_sum'."


def _within(hop: Pair, limits: Hop) -> bool:
    return limits.x[0] <= hop[0] <= limits.x[1] and limits.y[0] <= hop[1] <= limits.y[1]


def chip_defaults(chip: Chip) -> Defaults:
    """What a network file may leave out on this chip: what silicon fixes, and the weight of one pulse."""
    fixed = {k: v for k, v in vars(chip.neuron.fixed).items() if v is not None}
    neuron = replace(Neuron(), **{k: v for k, v in fixed.items() if hasattr(Neuron(), k)})
    return Defaults(neuron, chip.synapse.weight.pulse)
