"""The sections of a chip description, each checked on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from ..documents import Ampere, Count, Farad, Integer, Positive, Second, Section, Volt
from ._generator import Generator, Polarity

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
    """Routes from one set of chips to another that must not be made, unless the user insists."""

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


class SecondLeak(Section):
    """A second leak of the membrane that the core offers: its bias, and the latch of the neurons that use it."""

    bias: str
    latch: str


class NeuronSection(Section):
    """Model, latches and biases of a neuron."""

    model: str
    latches: tuple[str, ...] = ()
    second_leak: SecondLeak | None = None
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
    """How a synapse gets its weight.

    - `mask_sum`: every word selects some of the core's `currents` (one a bit), which add.
    - `repeat`: one current a type and core, by the biases `per_type`; k equal words are k pulses. `pulse` (A) is the
      current of a pulse where a network only says how many.
    """

    scheme: Literal["mask_sum", "repeat"]
    bits: Count | None = None
    currents: tuple[str, ...] = ()
    per_type: Mapping[str, str] = Field(default_factory=dict)
    pulse: Ampere | None = None

    @property
    def codes(self) -> int:
        """Number of codes that the weight field of a word can hold, 0 excluded."""
        return 2**self.bits - 1 if self.bits is not None else 1


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
    """Address matching: a spike carries a tag into cores, every word with the same tag fires.

    - `scheme = "tag"`: every source may be given any tag.
    - `scheme = "source_id"`: the tag of a neuron is its own address, core * neurons_per_core + neuron, which says
      nothing about its chip. Inputs take any address.

    `null_tag` is what unused words carry; where `null_fires`, such a word is a real synapse, and nobody may send it.
    `input_channels`: how many sources the host can play, where that is limited; `input_isi_ticks`: the longest
    interval between two of its events, in ticks of its clock.
    """

    scheme: Literal["tag", "source_id"]
    tag_bits: Count
    reserved_tags: tuple[Integer, ...] = ()
    null_tag: Integer | None = None
    null_fires: bool = False
    destinations: Count
    hop: Hop
    monitor: Monitor | None = None
    input_channels: Count | None = None
    input_isi_ticks: Count | None = None


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
