"""From a configuration back to the network that a chip with it would be.

Written apart from the compiler and sharing only the chip description with it, so that an error in one of them shows
up as a difference: words are expanded and matched here as the hardware does it, codes become currents and times.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..errors import InputError
from ..models import ExponentFeedback, Feedback, Physics
from ..network import Adaptation, Connection, Input, Network, Neuron, Population, Synapse
from ._chip import Chip
from ._configuration import Configuration, check_configuration, physical
from ._sections import SynapseType


def decode(
    configuration: Configuration,
    chip: Chip,
    *,
    feedback: Feedback | None = ExponentFeedback(),  # noqa: B008 (frozen, without state)
) -> Network:
    """The network that `configuration` makes of `chip`.

    Every destination word is expanded to the cores that it reaches; in each of them every synapse word with the same
    tag becomes one synapse, whose weight is the sum of the currents in its mask. Biases become time constants, gains
    and thresholds by the physics of the configuration's profile. `feedback` is the law of the spike's positive
    feedback, a property of the model that no configuration holds.

    **Returns** populations and inputs in the order of the configuration, one connection per (source, target, type,
    delay, depression), its pairs sorted by source, target and weight. A population names the types that it receives.

    **Raises** `InputError` for a configuration that the chip cannot hold, routes that leave the board, and a
    population that stands on cores with different biases.
    """
    problems = check_configuration(configuration, chip)
    if problems:
        raise InputError("\n".join(problems))
    physics = chip.model_physics(configuration.profile)
    synapses = _match(configuration, chip)
    populations = _populations(configuration, chip, physics, synapses)
    return Network(
        populations=populations,
        inputs=tuple(Input(name=name, size=size) for name, size in configuration.inputs),
        connections=_connections(configuration, chip, synapses),
        physics=Physics(**{**vars(physics), "feedback": feedback}),
    )


def _match(configuration: Configuration, chip: Chip) -> dict[str, np.ndarray]:
    """Every synapse that fires: columns source and target (group, index), type, delay, weight (A)."""
    top, words = chip.topology, configuration.synapses
    source, where, core, tag = _deliveries(configuration, chip)
    span = chip.tag_count
    heard = (where * top.cores_per_chip + core) * span + tag
    listening = (words[:, 0] * top.cores_per_chip + words[:, 1]) * span + words[:, 3]
    order = np.argsort(listening, kind="stable")
    first = np.searchsorted(listening[order], heard, side="left")
    count = np.searchsorted(listening[order], heard, side="right") - first
    event = np.repeat(np.arange(len(heard)), count)
    within = np.arange(len(event)) - np.repeat(np.cumsum(count) - count, count)
    word = words[order[first[event] + within]]
    target = _logical(configuration, chip, word[:, :3])
    return {
        "source": source[event, 0],
        "source_index": source[event, 1],
        "target": target[:, 0],
        "target_index": target[:, 1],
        "type": word[:, 4],
        "delay": word[:, 6],
        "stp": word[:, 7],
        "weight": _weights(configuration, chip, word),
    }


def _deliveries(configuration: Configuration, chip: Chip) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Spikes as they arrive: source [event, (group, index)], chip, core and tag [event].

    Groups are the populations, then the inputs.
    """
    top, routes, inputs = chip.topology, configuration.routes, configuration.input_routes
    positions = {tuple(p): k for k, p in enumerate(top.chip_positions)}
    if chip.routing.monitor is not None:
        routes = routes[(routes[:, 3:5] != np.array(chip.routing.monitor.hop)).any(axis=1)]
    landing = np.array(top.chip_positions)[routes[:, 0]] + routes[:, 3:5]
    try:
        arrival = np.array([positions[x, y] for x, y in landing.tolist()], dtype=np.int64)
    except KeyError as error:
        raise InputError(f"[routes]: a word leaves the board: no chip stands at {error.args[0]}.") from None
    shifted = inputs[:, :2] + np.array([len(configuration.populations), 0])
    source = np.concatenate([_logical(configuration, chip, routes[:, :3]), shifted])
    where = np.concatenate([arrival, inputs[:, 2]])
    mask = np.concatenate([routes[:, 5], inputs[:, 3]])
    tag = np.concatenate([routes[:, 6], inputs[:, 4]])
    event, core = np.nonzero((mask[:, None] >> np.arange(top.cores_per_chip)) & 1)
    return source[event], where[event], core, tag[event]


def _logical(configuration: Configuration, chip: Chip, rows: np.ndarray) -> np.ndarray:
    """(population, index) of physical neurons given as (chip, core, neuron): int array [row, 2]."""
    known = physical(chip, configuration.neurons[:, 2:5])
    order = np.argsort(known)
    return configuration.neurons[order[np.searchsorted(known[order], physical(chip, rows))], :2]


def _weights(configuration: Configuration, chip: Chip, word: np.ndarray) -> np.ndarray:
    """Weight (A) of every word: the sum of its core's currents over its mask, or the current of its type."""
    weight = np.zeros(len(word))
    scheme = chip.synapse.weight
    for place in {(int(a), int(b)) for a, b in word[:, :2]}:
        here = (word[:, :2] == place).all(axis=1)
        parts = [(here & ((word[:, 5] >> bit) & 1).astype(bool), name) for bit, name in enumerate(scheme.currents)]
        parts += [(here & (word[:, 4] == chip.synapse.types[k].code), name) for k, name in scheme.per_type.items()]
        for selected, name in parts:
            if selected.any():
                weight[selected] += _current(configuration, chip, place, name)
    return weight


def _current(configuration: Configuration, chip: Chip, place: tuple[int, int], name: str) -> float:
    """Current (A) of one bias on one core."""
    code = configuration.biases.get(place, {}).get(name)
    if code is None:
        raise InputError(f"[biases]: core {place} (chip, core) needs {name}, which is not set there.")
    bias = chip.bias(name)
    assert bias.polarity is not None  # the chip description was checked for both
    assert bias.scale is not None
    return float(chip.generator_currents[bias.polarity][code] * bias.scale)


def _populations(
    configuration: Configuration, chip: Chip, physics: Physics, synapses: dict[str, np.ndarray]
) -> tuple[Population, ...]:
    by_code = {t.code: (name, t) for name, t in chip.synapse.types.items()}
    result = []
    for number, (name, size, rate) in enumerate(configuration.populations):
        rows = configuration.neurons[configuration.neurons[:, 0] == number, 2:5]
        received = sorted(by_code[int(c)] for c in np.unique(synapses["type"][synapses["target"] == number]))
        on = {f: _switched(configuration, chip, f, rows, name) for f in ("dc", "adaptation", "nmda_gate")}
        leak = np.zeros(len(rows), np.int64)
        if chip.neuron.second_leak is not None:
            leak = _latched(configuration, chip, chip.neuron.second_leak.latch, rows).astype(np.int64)
        found = [
            _population(configuration, chip, physics, (int(a), int(b)), bool(second), received, on)
            for a, b, second in np.unique(np.column_stack([rows[:, :2], leak]), axis=0)
        ]
        neuron, dpis, pulse = found[0]
        if any(other != found[0] for other in found[1:]):
            raise InputError(f"Population '{name}' stands on cores whose biases differ; no one neuron describes it.")
        result.append(Population(name=name, size=size, neuron=neuron, synapses=dpis, pulse=pulse, rate=rate))
    return tuple(result)


def _switched(configuration: Configuration, chip: Chip, feature: str, rows: np.ndarray, name: str) -> bool:
    """Whether a feature is on in a population: by its latch, or without one by its bias being set."""
    latch = getattr(chip.neuron.switches, feature)
    if latch is None:
        bias = chip.neuron.biases.dc if feature == "dc" else getattr(chip.neuron.biases, _MARK[feature])
        return bias in configuration.biases[int(rows[0, 0]), int(rows[0, 1])]
    on = _latched(configuration, chip, latch, rows)
    if on.any() != on.all():
        raise InputError(f"Latch '{latch}' is on in only some neurons of population '{name}', which are to be equal.")
    return bool(on.all())


def _latched(configuration: Configuration, chip: Chip, latch: str, rows: np.ndarray) -> np.ndarray:
    """Whether a latch is on: bool array [neuron]."""
    on = configuration.latches.get(latch, np.zeros((0, 3), np.int64))
    return np.isin(physical(chip, rows), physical(chip, on))


_MARK = {"adaptation": "adaptation_weight", "nmda_gate": "nmda_gate"}  # the bias that means "on" without a latch


def _population(
    configuration: Configuration,
    chip: Chip,
    physics: Physics,
    place: tuple[int, int],
    second_leak: bool,
    received: list[tuple[str, SynapseType]],
    on: dict[str, bool],
) -> tuple[Neuron, dict[str, Synapse], float]:
    """A neuron, its DPIs and its pulse width (s), as the biases of one core make them."""
    biases, fixed = chip.neuron.biases, chip.neuron.fixed

    def current(role: str) -> float | None:
        name = getattr(biases, role)
        if role == "tau" and second_leak and chip.neuron.second_leak is not None:
            name = chip.neuron.second_leak.bias
        return None if name is None else _current(configuration, chip, place, name)

    def set_by(role: str, law) -> float:
        i = current(role)
        return getattr(fixed, role) if i is None else law(i)

    def dpi(tau: str, gain: str, cell: str) -> tuple[float, float]:
        i_tau, i_gain = current(tau), current(gain)
        seconds = getattr(fixed, tau) if i_tau is None else physics.time_constant(i_tau, cell)
        leak = physics.leak_current(seconds, cell) if i_tau is None else i_tau
        return seconds, getattr(fixed, gain) if i_gain is None else i_gain / leak

    tau, gain = dpi("tau", "gain", "mem")
    adaptation = None
    if on["adaptation"]:
        a_tau, a_gain = dpi("adaptation_tau", "adaptation_gain", "ahp")
        adaptation = Adaptation(
            tau=a_tau,
            gain=a_gain,
            weight=set_by("adaptation_weight", lambda i: i),
            pulse=set_by("adaptation_pulse", lambda i: physics.discharge_time(i, "pulse_ahp")),
        )
    neuron = Neuron(
        tau=tau,
        gain=gain,
        refractory=set_by("refractory", lambda i: physics.discharge_time(i, "ref")),
        threshold=set_by("threshold", lambda i: i),
        dc=set_by("dc", lambda i: i) if on["dc"] else 0.0,
        adaptation=adaptation,
        nmda_gate=set_by("nmda_gate", lambda i: i) if on["nmda_gate"] else None,
    )
    dpis = {}
    for name, kind in received:
        i_tau = _current(configuration, chip, place, kind.tau)
        i_gain = _current(configuration, chip, place, kind.gain)
        dpis[name] = Synapse(tau=physics.time_constant(i_tau, name), gain=i_gain / i_tau)
    pulse = Population(name="", size=1).pulse
    if received:
        pulse = set_by("pulse", lambda i: physics.discharge_time(i, "pulse"))
    return neuron, dpis, pulse


def _connections(configuration: Configuration, chip: Chip, synapses: dict[str, np.ndarray]) -> tuple[Connection, ...]:
    names = [p[0] for p in configuration.populations] + [i[0] for i in configuration.inputs]
    kinds = {t.code: name for name, t in chip.synapse.types.items()}
    delays = ["none", *(d.name for d in chip.synapse.delays)]
    s = synapses
    by = ("weight", "target_index", "source_index", "stp", "delay", "type", "target", "source")
    order = np.lexsort([s[key] for key in by])
    s = {key: column[order] for key, column in s.items()}
    group = np.stack([s["source"], s["target"], s["type"], s["delay"], s["stp"]], axis=1)
    edges = [*(np.flatnonzero((group[1:] != group[:-1]).any(axis=1)) + 1), len(group)]
    result = []
    for start, end in pairwise([0, *edges] if len(group) else []):
        source, target, kind, delay, stp = group[start].tolist()
        result.append(
            Connection(
                source=names[source],
                target=names[target],
                synapse=kinds[kind],
                pairs=np.stack([s["source_index"][start:end], s["target_index"][start:end]], axis=1),
                weight=s["weight"][start:end],
                delay=delays[delay],
                stp=bool(stp),
            )
        )
    return tuple(result)
