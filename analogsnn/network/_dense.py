"""A network as differentiable arrays: what training moves, and fresh mismatch for all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError
from ._mismatch import Mismatch
from ._network import SYNAPSE_TYPES, Network
from ._parameters import PA, Lanes, charge_per_current, feedback_constants, lanes

EXCITATORY, INHIBITORY = ("AMPA", "NMDA"), ("GABA_A", "GABA_B")


class Devices(eqx.Module):
    """The devices of one chip; currents in pA.

    `S` sources are the neurons, then the input channels; `K` synapse types stand in the order of `names`.

    - `weight`: [K, S, N] weight currents, 0 where there is no synapse; `unit`: [K, N] dimensionless charge of a pulse
      of 1 pA, $t_p \\kappa/(C U_T)$.
    - `targets`: None; from `sparse`, where `weight` is [S, F], the index type · N + neuron of each, K · N for padding.
    - `i_leak`, `i_gain`, `i_dc`, `u_spike`, `u_reset`, `t_ref` (s), `nmda_gate`: [N]. `decay` 1/s, `dpi_gain`: [K, N].
    - `ahp_decay`, `ahp_gain`, `ahp_charge`: [N], the adaptation; charge 0 for a neuron without.
    - `slew`: 1/(pA s). `i0`. `names`. `adapts`: whether any neuron does. `feedback`: (kind, constants).
    """

    weight: jax.Array
    unit: jax.Array
    i_leak: jax.Array
    i_gain: jax.Array
    i_dc: jax.Array
    u_spike: jax.Array
    u_reset: jax.Array
    t_ref: jax.Array
    nmda_gate: jax.Array
    decay: jax.Array
    dpi_gain: jax.Array
    ahp_decay: jax.Array
    ahp_gain: jax.Array
    ahp_charge: jax.Array
    slew: float = eqx.field(static=True)
    i0: float = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    adapts: bool = eqx.field(static=True)
    feedback: tuple[str, tuple[float, ...]] = eqx.field(static=True)
    targets: jax.Array | None = None

    @property
    def neurons(self) -> int:
        """N."""
        return self.i_leak.shape[-1]

    @property
    def sources(self) -> int:
        """S."""
        return self.weight.shape[-2]


def dense(network: Network, *, dtype: np.dtype | type | None = None) -> Devices:
    """The devices of an ideal chip. `dtype`: float32, or float64 for exact gradients where JAX is set to 64 bit.

    **Raises** `InputError` for delays and depression, which training does not have.
    """
    devices, p = _devices(network, dtype)
    n, s, k = p.neurons, p.sources, len(devices.names)
    matrix = np.zeros((len(p.names) * n + 1, s))
    matrix[p.targets, np.arange(s)[:, None]] = p.charge
    weight = matrix[: k * n].reshape(k, n, s).swapaxes(1, 2) / np.asarray(devices.unit, float)[:, None, :]
    return replace(devices, weight=jnp.asarray(weight, devices.unit.dtype))


def sparse(network: Network, *, dtype: np.dtype | type | None = None) -> Devices:
    """As `dense`, with only the synapses that there are: for large networks, whose matrices are nearly empty.

    `weight` is [source, fan-out]; synapses of one type that join the same pair are one. `stepped` then runs event by
    event.
    """
    devices, p = _devices(network, dtype)
    sink = len(devices.names) * p.neurons
    rows = [t[t < sink] for t in p.targets]
    width = max([1, *(len(r) for r in rows)])
    targets = np.full((p.sources, width), sink, np.int32)
    weight = np.zeros((p.sources, width))
    unit = np.append(np.asarray(devices.unit, float).ravel(), 1.0)
    for k, (row, target, charge) in enumerate(zip(rows, p.targets, p.charge, strict=True)):
        targets[k, : len(row)] = row
        weight[k, : len(row)] = charge[target < sink] / unit[row]
    return replace(devices, weight=jnp.asarray(weight, devices.unit.dtype), targets=jnp.asarray(targets))


def _devices(network: Network, dtype: np.dtype | type | None) -> tuple[Devices, Lanes]:
    """The devices without their weights, and the lane that they come from."""
    for c in network.connections:
        if c.delay != "none" or c.stp:
            raise InputError(
                f"The connection '{c.source}'→'{c.target}' has a delay or depression, which gradients do not have; "
                "make it without, or simulate it."
            )
    p = lanes(network, [Mismatch()])
    names = tuple(k for k in p.names if k != "AHP")
    n, k = p.neurons, len(names)
    dtype = np.dtype(np.float32 if dtype is None else dtype)
    unit = charge_per_current(network, names)  # 1/pA
    first = k * n  # the adaptation, if there is any, and then the sink
    own = np.where((p.targets >= first) & (p.targets < len(p.names) * n), p.charge, 0.0).sum(axis=1)[:n]
    per_dpi = {name: getattr(p, name).reshape(len(p.names), n) for name in ("decay", "dpi_gain")}
    ahp = {key: values[-1] if "AHP" in p.names else np.ones(n) for key, values in per_dpi.items()}
    arrays = {
        "weight": np.zeros((p.sources, 0)), "unit": unit,
        "i_leak": p.i_leak[0], "i_gain": p.i_gain[0], "i_dc": p.i_dc[0], "u_spike": p.u_spike[0],
        "u_reset": p.u_reset[0], "t_ref": p.t_ref[0], "nmda_gate": p.nmda_gate[0],
        "decay": per_dpi["decay"][:k], "dpi_gain": per_dpi["dpi_gain"][:k], "ahp_decay": ahp["decay"],
        "ahp_gain": ahp["dpi_gain"], "ahp_charge": own,
    }  # fmt: skip
    devices = Devices(
        **{key: jnp.asarray(np.asarray(value, dtype)) for key, value in arrays.items()},
        slew=p.slew, i0=float(p.i0), names=names, adapts="AHP" in p.names, feedback=feedback_constants(network),
    )  # fmt: skip
    return devices, p


def mismatched(devices: Devices, cv: float, key: jax.Array) -> Devices:
    """Another chip: every current of every device times a log-normal factor of mean 1, drawn from `key`.

    The parameters are those of `Mismatch`, the draws are not: these follow JAX keys, so that a loss can draw inside.
    """
    sigma = jnp.sqrt(jnp.log1p(jnp.asarray(cv, devices.weight.dtype) ** 2))
    number = iter(range(64))

    def drawn(like: jax.Array) -> jax.Array:
        normal = jax.random.normal(jax.random.fold_in(key, next(number)), like.shape, like.dtype)
        return jnp.exp(sigma * normal - 0.5 * sigma**2)

    return replace(
        devices,
        weight=devices.weight * drawn(devices.weight),
        unit=devices.unit / drawn(devices.i_leak),  # one pulse extender a neuron
        i_leak=devices.i_leak * drawn(devices.i_leak),
        i_gain=devices.i_gain * drawn(devices.i_gain),
        i_dc=devices.i_dc * drawn(devices.i_dc),
        u_spike=devices.u_spike + jnp.log(drawn(devices.u_spike)),
        t_ref=devices.t_ref / drawn(devices.t_ref),
        nmda_gate=devices.nmda_gate * drawn(devices.nmda_gate),
        decay=devices.decay * drawn(devices.decay),
        dpi_gain=devices.dpi_gain * drawn(devices.dpi_gain),
        ahp_decay=devices.ahp_decay * drawn(devices.ahp_decay),
        ahp_gain=devices.ahp_gain * drawn(devices.ahp_gain),
        ahp_charge=devices.ahp_charge * drawn(devices.ahp_charge),
    )


def allowed(network: Network) -> np.ndarray:
    """Which entries of `Devices.weight` are synapses of the network: bool [K, S, N].

    **Raises** `InputError` for a population that excites and inhibits (Dale's law), and for a pair that stands twice.
    """
    kinds: dict[str, set[str]] = {}
    for c in network.connections:
        kinds.setdefault(c.source, set()).add("excites" if c.synapse in EXCITATORY else "inhibits")
    both = [name for name, does in kinds.items() if len(does) > 1 and name in network.offsets()]
    if both:
        raise InputError(f"'{both[0]}' excites and inhibits; by Dale's law a neuron does one. Split the population.")
    used = [k for k in SYNAPSE_TYPES if any(c.synapse == k and len(c.pairs) for c in network.connections)]
    n = network.size
    starts = {**network.offsets(), **{k: n + v for k, v in network.input_offsets().items()}}
    count = np.zeros((len(used), n + sum(i.size for i in network.inputs), n), int)
    for c in network.connections:
        if len(c.pairs):
            where = (starts[c.source] + c.pairs[:, 0], network.offsets()[c.target] + c.pairs[:, 1])
            np.add.at(count[used.index(c.synapse)], where, 1)
            if count.max() > 1:
                raise InputError(
                    f"'{c.source}'→'{c.target}' joins a pair twice with {c.synapse}; training has one weight for each."
                )
    return count > 0


def with_weights(network: Network, weight: np.ndarray | jax.Array) -> Network:
    """The network with the weights (pA, [K, S, N]) of `Devices`; synapses whose weight is zero are left out."""
    used = [k for k in SYNAPSE_TYPES if any(c.synapse == k and len(c.pairs) for c in network.connections)]
    n, matrix = network.size, np.asarray(weight, float)
    starts: Mapping[str, int] = {**network.offsets(), **{k: n + v for k, v in network.input_offsets().items()}}
    connections = []
    for c in network.connections:
        if len(c.pairs):
            where = (starts[c.source] + c.pairs[:, 0], network.offsets()[c.target] + c.pairs[:, 1])
            value = matrix[used.index(c.synapse)][where] / PA
            connections.append(replace(c, pairs=c.pairs[value > 0], weight=value[value > 0]))
    return replace(network, connections=tuple(c for c in connections if len(c.pairs)))
