"""Networks → arrays: the currents of every device, with mismatch, in the layout that the simulation steps through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from ..models import ELEMENTARY_CHARGE, ExponentFeedback, MirrorFeedback, SigmoidFeedback
from ._calibration import Calibration
from ._mismatch import Mismatch
from ._network import DELAYS, SYNAPSE_TYPES, Network
from ._noise import Noise

# Currents are kept in picoampere inside the simulation: 1e-12 A and its products stay far from float32's limits.
PA = 1e12


@dataclass(frozen=True)
class Lanes:
    """The devices of `L` chips that run side by side, one lane each; all arrays float32, currents in pA.

    `S` sources are the neurons, then the input channels; `D` DPIs a neuron are the synapse types in use, then the
    adaptation when any neuron has it. One DPI of one neuron of one lane has the flat index
    `(dpi · L + lane) · N + neuron`, so that all DPIs of a kind lie side by side; the index after the last is a sink
    for padding.

    - `names`: the DPI's names, `D` of `SYNAPSE_TYPES` and `"AHP"`.
    - `i_leak`, `i_gain`, `i_dc`, `u_spike`, `u_reset`: [L, N]; the last two are ln(I/pA). `t_ref`: [L, N] s.
    - `slew`: κ/(C_mem U_T) in 1/(pA s). `decay`: [D·L·N] 1/s. `dpi_gain`: [D·L·N] I_g in pA.
    - `nmda_gate`: [L, N] gate current in pA, 0 where the gate is open.
    - `targets`: int32 [L·S + E, F] flat DPI index; `charge`: the same shape, the dimensionless pulse
      I_w t_p κ/(C U_T). The first L·S rows are what a source does at once; each of the E others is what one does with
      one delay or through depressing synapses: `late_owner` int [E] the source's row, `late_delay` s [E],
      `late_use` [E] the part of the resource that an event uses, 0 without depression, `recovery` 1/s.
    - `feedback`: (kind, constants), see `Physics.feedback`.
    - `noise`: which there is. `grain`: by how much one electron moves ln I, of the membrane and of each DPI [1 + D].
      `steepness`: κ/U_T (1/V), `kappa`. `keys`: int [L, 2], seed and number of each chip, the address of its noise.
    """

    lanes: int
    neurons: int
    sources: int
    names: tuple[str, ...]
    i_leak: np.ndarray
    i_gain: np.ndarray
    i_dc: np.ndarray
    u_spike: np.ndarray
    u_reset: np.ndarray
    t_ref: np.ndarray
    slew: float
    i0: float
    decay: np.ndarray
    dpi_gain: np.ndarray
    nmda_gate: np.ndarray
    targets: np.ndarray
    charge: np.ndarray
    feedback: tuple[str, tuple[float, ...]]
    late_owner: np.ndarray
    late_delay: np.ndarray
    late_use: np.ndarray
    recovery: float
    noise: Noise
    grain: np.ndarray
    steepness: float
    kappa: float
    keys: np.ndarray

    def part(self, first: int, last: int) -> Lanes:
        """The lanes from `first` to before `last`, as if they had been made alone."""
        if not 0 <= first < last <= self.lanes:
            raise InputError(f"There are lanes 0 to {self.lanes - 1}; {first} to before {last} is no part of them.")
        count, d, n, s = last - first, len(self.names), self.neurons, self.sources
        mine = (self.late_owner >= first * s) & (self.late_owner < last * s)
        rows = np.concatenate([np.arange(first * s, last * s), self.lanes * s + np.flatnonzero(mine)])
        dpi, rest = np.divmod(self.targets[rows].astype(np.int64), self.lanes * n)
        targets = np.where(dpi == d, d * count * n, dpi * (count * n) + rest - first * n)
        split = {k: getattr(self, k).reshape(d, self.lanes, n)[:, first:last].ravel() for k in ("decay", "dpi_gain")}
        each = ("i_leak", "i_gain", "i_dc", "u_spike", "u_reset", "t_ref", "nmda_gate", "keys")
        split |= {k: getattr(self, k)[first:last] for k in each}
        return replace(
            self, lanes=count, targets=targets.astype(np.int32), charge=self.charge[rows], **split,
            late_owner=self.late_owner[mine] - first * s, late_delay=self.late_delay[mine],
            late_use=self.late_use[mine],
        )  # fmt: skip


def lanes(
    networks: Network | Sequence[Network], chips: Sequence[Mismatch], calibration: Calibration | None = None
) -> Lanes:
    """The devices of one network on several chips, or of one network a chip.

    **Arguments**

    - `networks`: one for all lanes, or one a lane; they may differ in numbers and connections, not in sizes.
    - `chips`: the mismatch of each lane.
    - `calibration`: delays, depression and noise, for networks that have them.

    **Raises** `InputError` when sizes or physics differ between lanes, or a connection has a delay or depression that
    is not calibrated.
    """
    calibration = calibration or Calibration()
    nets = [networks] * len(chips) if isinstance(networks, Network) else list(networks)
    if not chips or len(nets) != len(chips):
        raise InputError(f"{len(nets)} networks for {len(chips)} chips; give one network, or as many as chips.")
    for net in {id(n): n for n in nets}.values():
        calibration.check(net)
    first = nets[0]
    shape = [[p.size for p in group] for group in (first.populations, first.inputs)]
    for other in nets[1:]:
        if [[p.size for p in group] for group in (other.populations, other.inputs)] != shape:
            raise InputError("Networks that run side by side must have populations and inputs of the same sizes.")
        if other.physics != first.physics:
            raise InputError("Networks that run side by side must have the same physics.")
    used = [k for k in SYNAPSE_TYPES if any(c.synapse == k and len(c.pairs) for n in nets for c in n.connections)]
    adapts = any(p.neuron.adaptation is not None for n in nets for p in n.populations)
    names = (*used, "AHP") if adapts else tuple(used)
    rows = [_lane(net, chip, names, calibration) for net, chip in zip(nets, chips, strict=True)]
    n, d = first.size, len(names)
    sources = n + sum(i.size for i in first.inputs)
    late = [(lane, *rest) for lane, row in enumerate(rows) for rest in row["late"]]
    prompt = [(lane, t, q) for lane, row in enumerate(rows) for t, q in row["fan_out"]]
    all_rows = [*prompt, *((lane, t, q) for lane, *_, t, q in late)]
    width = max([1, *(len(t) for _, t, _ in all_rows)])
    targets = np.full((len(all_rows), width), len(rows) * d * n, np.int32)
    charge = np.zeros((len(all_rows), width), np.float32)
    for k, (lane, t, q) in enumerate(all_rows):
        targets[k, : len(t)] = (t // n * len(rows) + lane) * n + t % n
        charge[k, : len(t)] = q

    def stack(key: str) -> np.ndarray:
        return np.stack([row[key] for row in rows]).astype(np.float32)

    physics, depression, noise = first.physics, calibration.depression, calibration.noise
    assert isinstance(noise, Noise)
    roles = ("mem", *("ahp" if name == "AHP" else name for name in names))
    slews = np.array([physics.kappa / (physics.c[role] * physics.ut) for role in roles])  # 1/(A s)
    return Lanes(
        lanes=len(rows), neurons=n, sources=sources, names=names,
        i_leak=stack("i_leak"), i_gain=stack("i_gain"), i_dc=stack("i_dc"),
        u_spike=stack("u_spike"), u_reset=stack("u_reset"), t_ref=stack("t_ref"),
        slew=physics.kappa / (physics.c["mem"] * physics.ut) / PA, i0=physics.i0 * PA,
        decay=stack("decay").swapaxes(0, 1).ravel(), dpi_gain=stack("dpi_gain").swapaxes(0, 1).ravel(),
        nmda_gate=stack("nmda_gate"), targets=targets, charge=charge, feedback=feedback_constants(first),
        late_owner=np.array([lane * sources + source for lane, source, *_ in late], np.int64),
        late_delay=np.array([delay for _, _, delay, *_ in late], float),
        late_use=np.array([0.0 if depression is None or not stp else depression.use for _, _, _, stp, *_ in late]),
        recovery=0.0 if depression is None else 1.0 / depression.tau,
        noise=noise, grain=slews * ELEMENTARY_CHARGE, steepness=physics.kappa / physics.ut, kappa=physics.kappa,
        keys=np.array([[chip.seed, chip.chip] for chip in chips], np.uint32),
    )  # fmt: skip


def charge_per_current(network: Network, names: Sequence[str]) -> np.ndarray:
    """The dimensionless charge t_p κ/(C U_T) that a weight current of 1 pA gives in one pulse: [type, N]."""
    physics = network.physics
    width = np.concatenate([np.full(p.size, p.pulse) for p in network.populations])
    return np.stack([width * physics.kappa / (physics.c[k] * physics.ut) / PA for k in names]).reshape(-1, network.size)


def feedback_constants(network: Network) -> tuple[str, tuple[float, ...]]:
    """The kind of the feedback's law, and its constants in pA and ln(pA)."""
    law, kappa, i0 = network.physics.feedback, network.physics.kappa, network.physics.i0 * PA
    if law is None:
        return "none", ()
    if isinstance(law, ExponentFeedback):
        return "exponent", (kappa / (kappa + 1.0), float(np.log(i0)) / (kappa + 1.0))
    if isinstance(law, MirrorFeedback):  # the power one
        return "exponent", (1.0, float(np.log(law.gain)))
    assert isinstance(law, SigmoidFeedback)
    return "sigmoid", (law.gain * PA, law.threshold * PA, law.norm * PA)


def _lane(net: Network, chip: Mismatch, names: tuple[str, ...], calibration: Calibration) -> dict:
    """One lane's arrays, [N] and [D, N], and the fan-out of every source: (DPI index, charge), sorted and merged.

    `late`: (source, delay in s, depressing, DPI index, charge) of what does not happen at once and in full.
    """
    physics, n, d = net.physics, net.size, len(names)
    role = {name: ("ahp" if name == "AHP" else name) for name in names}

    def per_neuron(value) -> np.ndarray:
        return np.concatenate([np.full(p.size, value(p), float) for p in net.populations])

    def drawn(parameter: str) -> np.ndarray:
        # By the population's name, so that a part of a network has the devices of the whole.
        return np.concatenate([chip.draw(f"{p.name}.{parameter}", p.size) for p in net.populations])

    i_leak = per_neuron(lambda p: physics.leak_current(p.neuron.tau, "mem"))
    i_ref = per_neuron(lambda p: physics.discharge_current(p.neuron.refractory, "ref"))
    row: dict = {
        "i_leak": i_leak * drawn("i_leak") * PA,
        "i_gain": i_leak * per_neuron(lambda p: p.neuron.gain) * drawn("i_gain") * PA,
        "i_dc": per_neuron(lambda p: p.neuron.dc) * drawn("i_dc") * PA,
        "u_spike": np.log(per_neuron(lambda p: p.neuron.threshold) * drawn("i_spike") * PA),
        "u_reset": np.full(n, np.log(physics.reset * PA)),
        "t_ref": physics.discharge_time(i_ref * drawn("i_ref"), "ref"),
        "nmda_gate": per_neuron(lambda p: p.neuron.nmda_gate or 0.0) * drawn("nmda_gate") * PA,
    }
    decay, gain = np.empty((d, n)), np.empty((d, n))
    for k, name in enumerate(names):
        dpi = [(p.neuron.adaptation or _NO_ADAPTATION) if name == "AHP" else p.synapse(name) for p in net.populations]
        sizes = [p.size for p in net.populations]
        i_tau = np.repeat([physics.leak_current(s.tau, role[name]) for s in dpi], sizes)
        i_gain = i_tau * np.repeat([s.gain for s in dpi], sizes) * drawn(f"{name}.i_gain")
        i_tau = i_tau * drawn(f"{name}.i_tau")
        decay[k] = 1.0 / physics.time_constant(i_tau, role[name])
        gain[k] = i_gain * PA
    row["decay"], row["dpi_gain"] = decay, gain
    row["fan_out"], row["late"] = _fan_out(net, chip, names, calibration)
    return row


def _fan_out(net: Network, chip: Mismatch, names: tuple[str, ...], calibration: Calibration) -> tuple[list, list]:
    physics, n = net.physics, net.size
    late: list[tuple[int, float, bool, np.ndarray, np.ndarray]] = []
    offsets = net.offsets()
    starts = {**offsets, **{k: n + v for k, v in net.input_offsets().items()}}
    sources, targets, charges = [], [], []
    for (source, target, kind), (pairs, weight, delay, stp) in _by_projection(net).items():
        post = net.population(target)
        # One pulse extender a neuron, one weight transistor a synapse.
        pulse = physics.discharge_current(post.pulse, "pulse") * chip.draw(f"{target}.pulse", post.size)
        width = physics.discharge_time(pulse, "pulse")[pairs[:, 1]]
        current = weight * chip.draw(f"{source}>{target}.{kind}.weight", len(pairs))
        own = starts[source] + pairs[:, 0]
        dpi = names.index(kind) * n + offsets[target] + pairs[:, 1]
        charge = current * width * physics.kappa / (physics.c[kind] * physics.ut)
        now = (delay == 0) & ~stp
        sources.append(own[now])
        targets.append(dpi[now])
        charges.append(charge[now])
        if not np.all(now):
            seconds = np.array([0.0, *(calibration.delays.get(name, 0.0) for name in DELAYS[1:])])[delay]
            drawn = chip.draw(f"{source}>{target}.{kind}.delay", len(pairs))
            seconds = np.where(delay == DELAYS.index("mismatched"), seconds * drawn, seconds)
            late += _late(own[~now], seconds[~now], stp[~now], dpi[~now], charge[~now])
    if "AHP" in names:
        for p in net.populations:
            if p.neuron.adaptation is not None:
                own = offsets[p.name] + np.arange(p.size)
                a = p.neuron.adaptation
                sources.append(own)
                targets.append(names.index("AHP") * n + own)
                weight = a.weight * chip.draw(f"{p.name}.AHP.weight", p.size)
                charges.append(weight * a.pulse * physics.kappa / (physics.c["ahp"] * physics.ut))
    total = n + sum(i.size for i in net.inputs)
    if not sources:
        return [(np.empty(0, int), np.empty(0))] * total, late
    s, t, q = (np.concatenate(x) for x in (sources, targets, charges))
    # Equal pulses of one source into one DPI add exactly (see `_simulate`), so they share an entry.
    key = s * (len(names) * n) + t
    unique, inverse = np.unique(key, return_inverse=True)
    merged = np.bincount(inverse, weights=q)
    owner, target = np.divmod(unique, len(names) * n)
    cuts = np.searchsorted(owner, np.arange(1, total))
    return list(zip(np.split(target, cuts), np.split(merged, cuts), strict=True)), late


def _late(source, seconds, stp, target, charge) -> list[tuple[int, float, bool, np.ndarray, np.ndarray]]:
    """Synapses of one source with one delay fire together; of one DPI they add."""
    groups: dict[tuple[int, float, bool], list[int]] = {}
    for k, key in enumerate(zip(source.tolist(), seconds.tolist(), stp.tolist(), strict=True)):
        groups.setdefault(key, []).append(k)
    result = []
    for key, members in groups.items():
        unique, inverse = np.unique(target[members], return_inverse=True)
        result.append((*key, unique, np.bincount(inverse, weights=charge[members])))
    return result


def _by_projection(net: Network) -> dict[tuple[str, str, str], tuple[np.ndarray, ...]]:
    """All synapses of (source, target, type): pairs, weights, numbers of delay classes, depression.

    They are ordered by target, source and, within a pair, weight.

    Mismatch is drawn in this order, so that a synapse keeps its draw after compile and decode, and when weights change
    without changing who is joined.
    """
    groups: dict[tuple[str, str, str], list] = {}
    for c in net.connections:
        if len(c.pairs):
            groups.setdefault((c.source, c.target, c.synapse), []).append(c)
    result = {}
    for key, members in groups.items():
        pairs = np.concatenate([c.pairs for c in members])
        weight = np.concatenate([c.weight for c in members])
        order = np.lexsort((weight, pairs[:, 0], pairs[:, 1]))
        delay = np.concatenate([np.full(len(c.pairs), DELAYS.index(c.delay)) for c in members])
        stp = np.concatenate([np.full(len(c.pairs), c.stp) for c in members])
        result[key] = pairs[order], weight[order], delay[order], stp[order]
    return result


class _NoAdaptation:
    tau, gain = 0.1, 1.0


_NO_ADAPTATION = _NoAdaptation()
