"""What a population asks of the biases of its core: physical quantities to currents to codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..errors import Misfit
from ..models import Physics
from ..network import Adaptation, Neuron, Population, Synapse
from ..units import format_quantity
from ._biases import BiasCode, bounds, closest, find_code
from ._chip import Chip

# The quantities that one switch turns on and off together.
FEATURES = {
    "dc": ("dc",),
    "adaptation": ("adaptation_tau", "adaptation_gain", "adaptation_weight", "adaptation_pulse"),
    "nmda_gate": ("nmda_gate",),
}


@dataclass(frozen=True)
class Request:
    """One quantity that a population asks of one bias.

    - `bias`, `quantity`: names, such as `SOIF_LEAK_N` and `tau` (of a type: `AMPA tau`).
    - `asked`, `got`: the quantity in `unit` as asked for and as the code realises it.
    - `code`: the code with requested and realised current (A).
    """

    bias: str
    quantity: str
    unit: str
    asked: float
    got: float
    code: BiasCode


@dataclass
class Requests:
    """All requests of one population by bias, the features that it switches on, the biases that it needs left unset,
    the values of quantities that silicon fixes, and the problems found."""

    population: str
    rows: dict[str, Request] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    fixed: dict[str, float] = field(default_factory=dict)
    misfits: list[Misfit] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def got(self, quantity: str, otherwise: float) -> float:
        """The realised value of a quantity: as its bias gives it, as silicon fixes it, or `otherwise`."""
        set_by_bias = next((r.got for r in self.rows.values() if r.quantity == quantity), None)
        return self.fixed.get(quantity, otherwise) if set_by_bias is None else set_by_bias


@dataclass(frozen=True)
class Policy:
    """What to do with a request that the chip cannot meet: `allow_subfloor` waives the floor of currents, `nearest`
    takes the nearest reachable value, with a warning."""

    allow_subfloor: bool = False
    nearest: bool = False


def ask(population: Population, received: set[str], chip: Chip, physics: Physics, policy: Policy) -> Requests:
    """Every bias that `population` needs when it receives synapses of the types `received`.

    Times become currents by the laws of `physics`; a gain is a ratio, and is asked for relative to the leak that was
    realised. Where a core offers two leaks its gain current serves both, and is asked for relative to the leak that
    was asked: populations whose gain currents agree can then share a core. Types that are not received ask nothing.
    """
    requests = Requests(population.name)
    asker = _Asker(requests, chip, physics, policy)
    neuron, biases = population.neuron, chip.neuron.biases
    shared = chip.neuron.second_leak is not None
    asker.pair("", biases.tau, biases.gain, neuron.tau, neuron.gain, "mem", shared=shared)
    asker.duration("refractory", biases.refractory, neuron.refractory, "ref", "refractory")
    asker.current("threshold", biases.threshold, neuron.threshold)
    if received:
        asker.duration("pulse", biases.pulse, population.pulse, "pulse", "time_constant")
    for kind in sorted(received & set(chip.synapse.types)):
        of = chip.synapse.types[kind]
        asker.pair(f"{kind} ", of.tau, of.gain, population.synapse(kind).tau, population.synapse(kind).gain, kind)
    wanted = {
        "dc": neuron.dc > 0,
        "adaptation": neuron.adaptation is not None,
        "nmda_gate": neuron.nmda_gate is not None and "NMDA" in received,
    }
    features = []
    for feature in FEATURES:
        named = [getattr(biases, quantity) for quantity in FEATURES[feature]]
        switch = getattr(chip.neuron.switches, feature)
        if wanted[feature] and not any(named):
            text = f"population '{population.name}': {feature} is used, which chip '{chip.name}' does not have"
            requests.misfits.append(Misfit("latch", 1, 0, f"population '{population.name}'", "leave it out", text))
        elif wanted[feature]:
            features.append(feature)
        elif switch is None:  # off only by leaving the bias of the whole core unset
            requests.unset += tuple(name for name in named if name is not None)
    requests.features = tuple(features)
    if "dc" in features:
        asker.current("dc", biases.dc, neuron.dc)
    if "nmda_gate" in features:
        asker.current("nmda_gate", biases.nmda_gate, neuron.nmda_gate or 0.0)
    if "adaptation" in features and neuron.adaptation is not None:
        a = neuron.adaptation
        asker.pair("adaptation_", biases.adaptation_tau, biases.adaptation_gain, a.tau, a.gain, "ahp")
        asker.current("adaptation_weight", biases.adaptation_weight, a.weight)
        asker.duration("adaptation_pulse", biases.adaptation_pulse, a.pulse, "pulse_ahp", "time_constant")
    return requests


def realised(population: Population, requests: Requests, received: set[str]) -> Population:
    """The population with every quantity as its codes realise it; only types that it receives are named."""
    n, got = population.neuron, requests.got
    adaptation = n.adaptation
    if adaptation is not None:
        adaptation = Adaptation(
            tau=got("adaptation_tau", adaptation.tau),
            gain=got("adaptation_gain", adaptation.gain),
            weight=got("adaptation_weight", adaptation.weight),
            pulse=got("adaptation_pulse", adaptation.pulse),
        )
    neuron = Neuron(
        tau=got("tau", n.tau),
        gain=got("gain", n.gain),
        refractory=got("refractory", n.refractory),
        threshold=got("threshold", n.threshold),
        dc=got("dc", n.dc),
        adaptation=adaptation,
        nmda_gate=None if "nmda_gate" not in requests.features else got("nmda_gate", n.nmda_gate or 0.0),
    )
    synapses: Mapping[str, Synapse] = {
        kind: Synapse(
            tau=got(f"{kind} tau", population.synapse(kind).tau),
            gain=got(f"{kind} gain", population.synapse(kind).gain),
        )
        for kind in sorted(received)
    }
    return replace(population, neuron=neuron, synapses=synapses, pulse=got("pulse", population.pulse))


@dataclass
class _Asker:
    requests: Requests
    chip: Chip
    physics: Physics
    policy: Policy

    def current(self, quantity: str, bias: str | None, value: float) -> None:
        self._find(quantity, bias, "A", value, value, lambda i: i, None)

    def duration(self, quantity: str, bias: str | None, value: float, cell: str, resource: str) -> None:
        def back(i: float) -> float:
            return self.physics.discharge_time(i, cell)

        self._find(quantity, bias, "s", value, self.physics.discharge_current(value, cell), back, resource)

    def pair(self, prefix, tau, gain, seconds: float, ratio: float, cell: str, *, shared: bool = False) -> None:
        """A DPI: its leak and, relative to the leak as realised (if `shared`: as asked), its gain."""

        def back(i: float) -> float:
            return self.physics.time_constant(i, cell)

        leak = self.physics.leak_current(seconds, cell)
        code = self._find(f"{prefix}tau", tau, "s", seconds, leak, back, "time_constant")
        if code is None and tau is not None:
            return  # the leak has its misfit; a gain relative to nothing would only repeat it
        base = leak if code is None else code.realised
        self._find(f"{prefix}gain", gain, "", ratio, ratio * (leak if shared else base), lambda i: i / base, None)

    def _find(self, quantity, bias, unit, value, current, back, resource) -> BiasCode | None:
        requests, chip = self.requests, self.chip
        who = f"population '{requests.population}'"
        if bias is None:
            self._fixed(quantity, unit, value, who)
            return None
        code = find_code(chip, bias, current, f"{who}, {quantity}", allow_subfloor=self.policy.allow_subfloor)
        limits = chip.limits
        if isinstance(code, Misfit):
            if resource is not None and code.resource in ("bias_range", "bias_floor"):
                code = self._time_misfit(quantity, bias, value, current, back, resource, who)
            if not self.policy.nearest:
                requests.misfits.append(code)
                return None
            near = closest(chip, bias, current, allow_subfloor=self.policy.allow_subfloor)
            text = f"{code.message}; took {format_quantity(back(near.realised), unit)} ({near.coarse}, {near.fine})."
            requests.warnings.append(text)
            code = near
        elif abs(code.relative_error) > limits.bias_error_warn:
            requests.warnings.append(
                f"{who}: {quantity} asks {format_quantity(current, 'A')} of {bias}; code ({code.coarse}, {code.fine}) "
                f"gives {format_quantity(code.realised, 'A')}, {100 * code.relative_error:+.1f} %."
            )
        if code.realised < limits.i_floor:
            requests.warnings.append(
                f"{who}: {quantity} asks {format_quantity(current, 'A')} of {bias}, below the floor of "
                f"{format_quantity(limits.i_floor, 'A')}: no law of ours holds there."
            )
        requests.rows[bias] = Request(bias, quantity, unit, value, back(code.realised), code)
        return code

    def _time_misfit(self, quantity, bias, value, current, back, resource, who) -> Misfit:
        low, high = bounds(self.chip, bias, allow_subfloor=self.policy.allow_subfloor)
        slow = current < low
        bound = max(low, self.chip.limits.i_floor if low == 0 else low) if slow else high
        reach = back(bound)
        text = (
            f"{who}: {quantity} = {format_quantity(value, 's')} needs {format_quantity(current, 'A')} on {bias}; the "
            f"{'smallest' if slow else 'largest'} usable current is {format_quantity(bound, 'A')} "
            f"({quantity} {format_quantity(reach, 's')})"
        )
        hint = f"ask {'at most' if slow else 'at least'} {format_quantity(reach, 's')}"
        if slow:
            hint += ", use a larger capacitor (profile)" + ("" if self.policy.allow_subfloor else ", or allow_subfloor")
        return Misfit(resource, value, reach, who, hint, text)

    def _fixed(self, quantity: str, unit: str, value: float, who: str) -> None:
        fixed, requests = getattr(self.chip.neuron.fixed, quantity, None), self.requests
        if fixed is not None:
            requests.fixed[quantity] = fixed
            if abs(value / fixed - 1) <= self.chip.limits.bias_error_warn:
                return
        there = "nothing that sets it" if fixed is None else f"it fixed at {format_quantity(fixed, unit)}"
        text = f"{who}: {quantity} = {format_quantity(value, unit)} is asked; chip '{self.chip.name}' has {there}"
        if fixed is not None and (self.policy.nearest or abs(value / fixed - 1) <= self.chip.limits.bias_error_fail):
            requests.warnings.append(f"{text}, which is used.")
        else:
            requests.misfits.append(Misfit("fixed_quantity", value, fixed or 0.0, who, "ask that value", text))


def all_misfits(every: Iterable[Requests]) -> list[Misfit]:
    """The misfits of all populations; what several have in common is one problem with all their names."""
    found: dict[tuple, list[tuple[str, Misfit]]] = {}
    for requests in every:
        who = f"population '{requests.population}'"
        for m in requests.misfits:
            key = (m.resource, m.needed, m.available, m.hint, m.message.replace(who, ""), m.who.replace(who, ""))
            found.setdefault(key, []).append((requests.population, m))
    result = []
    for some in found.values():
        m, who = some[0][1], f"population '{some[0][0]}'"
        names = _together([name for name, _ in some])
        result.append(replace(m, who=m.who.replace(who, names), message=m.message.replace(who, names)))
    return result


def all_warnings(every: Iterable[Requests]) -> list[str]:
    """The warnings of all populations, likewise."""
    found: dict[str, list[str]] = {}
    for requests in every:
        for text in requests.warnings:
            found.setdefault(text.replace(f"population '{requests.population}'", "{}"), []).append(requests.population)
    return [text.replace("{}", _together(names)) for text, names in found.items()]


def _together(names: list[str]) -> str:
    if len(names) == 1:
        return f"population '{names[0]}'"
    shown = ", ".join(f"'{n}'" for n in names[:4])
    return f"populations {shown}" + (f" and {len(names) - 4} more" if len(names) > 4 else "")
