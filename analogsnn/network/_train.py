"""Training of weights within what a chip has: few levels, mismatch, fan-in, signs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError, SimulationError
from ._dense import Devices, mismatched

FAN_IN = 64  # synapses of a neuron of both DYNAP chips
EXPLODED = 20.0  # times the median of the gradients so far: such a one is cut to it, with a sentence
_LEVELS = 15  # sums of four currents
_JUDGED = 5  # steps before which there is no median to speak of


@dataclass(frozen=True)
class Trained:
    """What training gives.

    - `weight`: pA, [K, S, N], as it was moved: before `levels`; with at most `fan_in` synapses a neuron.
    - `losses`, `norms`: loss and norm of its gradient, [step].
    """

    weight: np.ndarray
    losses: np.ndarray
    norms: np.ndarray


def train(
    devices: Devices,
    loss: Callable[[Devices, Any], jax.Array],
    batches: Callable[[int], Any],
    *,
    steps: int,
    key: jax.Array,
    mask: np.ndarray,
    largest: float,
    rate: float = 0.02,
    mismatch: float = 0.0,
    draws: int = 1,
    levels: Callable[[np.ndarray], np.ndarray] | None = None,
    quantise_from: int = 0,
    every: int = 20,
    fan_in: int = FAN_IN,
    optimiser: Any = None,
    progress: Callable[[int, float], None] | None = None,
) -> Trained:
    """Move the weights of `devices` down the gradient of a loss.

    **Arguments**

    - `loss(devices, batch)`: a number; `devices` are those of one chip, with the weights as that chip has them.
    - `batches(step)`: the batch of a step, a pytree of arrays of constant shapes.
    - `key`: of the mismatch. `mask`: which weights there are, from `allowed`.
    - `largest`: the largest weight (A); `rate`: of Adam, relative to it. `optimiser`: an optax one in place of Adam,
      for weights relative to `largest`.
    - `mismatch`: coefficient of variation of every current; `draws` chips are drawn anew in every step, and the loss is
      their mean.
    - `levels`: gives the weight levels (A, ascending, [level] or [N, level]) of a chip for the weights (A) of all
      synapses there are; asked anew `every` few steps from `quantise_from` on. The loss sees the nearest level, zero
      included; the gradient passes straight through.
    - `fan_in`: synapses that a neuron keeps, the strongest ones.
    - `progress(step, loss)`.

    Weights stay between 0 and `largest`: signs are those of the synapse types.

    **Raises** `InputError` for a mask of another shape; `SimulationError` when loss or gradient is not finite. Warns
    when a gradient is far larger than usual, and cuts it.
    """
    import optax

    if devices.targets is not None:
        raise InputError("Training moves the weights of matrices; make the devices with dense(network).")
    if mask.shape != devices.weight.shape:
        raise InputError(f"The mask has shape {mask.shape}, the weights have {devices.weight.shape}.")
    if not (steps >= 1 and draws >= 1 and largest > 0 and 0 <= mismatch < 10):
        raise InputError("Training takes at least one step and one draw, a positive largest weight, and mismatch ≥ 0.")
    scale = largest * 1e12  # pA
    optimiser = optimiser or optax.adam(optax.cosine_decay_schedule(rate, steps, 0.1), b2=0.99)

    def chip_loss(w: jax.Array, grid: jax.Array, quantised: jax.Array, batch: Any, key: jax.Array) -> jax.Array:
        weight = jnp.where(quantised, straight_through(w * scale, grid), w * scale)
        mine = replace(devices, weight=jnp.where(mask, weight, 0))
        if mismatch == 0:
            return loss(mine, batch)
        each = jax.vmap(lambda k: loss(mismatched(mine, mismatch, k), batch))(jax.random.split(key, draws))
        return jnp.mean(each)

    @eqx.filter_jit
    def step(w, state, grid, quantised, batch, key, limit):
        value, gradient = jax.value_and_grad(chip_loss)(w, grid, quantised, batch, key)
        norm = jnp.sqrt(jnp.sum(gradient**2))
        gradient = gradient * jnp.minimum(1, limit / jnp.maximum(norm, 1e-30))
        updates, state = optimiser.update(gradient, state, w)
        w = jnp.clip(w + updates, 0, 1) * mask
        return _pruned(w, fan_in), state, value, norm

    w = _pruned(jnp.clip(devices.weight / scale, 0, 1) * mask, fan_in)
    state, grid = optimiser.init(w), _grid(None, w)
    losses, norms = [], []
    for k in range(steps):
        quantised = levels is not None and k >= quantise_from
        if levels is not None and quantised and (k == quantise_from or k % every == 0):
            grid = _grid(levels(np.asarray(w, float)[mask] * largest) * 1e12, w)
        limit = EXPLODED * float(np.median(norms)) if k >= _JUDGED else np.inf
        w, state, value, norm = step(
            w, state, grid, jnp.bool_(quantised), batches(k), jax.random.fold_in(key, k), jnp.float32(limit)
        )
        losses.append(float(value))
        norms.append(float(norm))
        if not np.isfinite(losses[-1]) or not np.isfinite(norms[-1]):
            raise SimulationError(
                f"Step {k} of training has loss {losses[-1]:g} and gradient {norms[-1]:g}: a parameter of the network "
                "is out of the range of the model, or the loss divides by zero."
            )
        if norms[-1] > limit > 0:
            warnings.warn(
                f"The gradient of step {k} is {norms[-1] / limit * EXPLODED:.0f} times the usual one and was cut to "
                f"{EXPLODED:g} times: the network amplifies along a loop of synapses. Weaker recurrent weights, or a "
                "shorter run, keep it in bounds.",
                stacklevel=2,
            )
        if progress is not None:
            progress(k, losses[-1])
    return Trained(np.asarray(w, float) * scale * mask, np.array(losses), np.array(norms))


def _grid(levels: np.ndarray | None, w: jax.Array) -> jax.Array:
    """Levels padded with the largest to one length, so that more or fewer of them compile nothing anew."""
    if levels is None:
        levels = np.ones(1)
    room = max(0, _LEVELS - levels.shape[-1])
    return jnp.asarray(np.concatenate([levels, np.repeat(levels[..., -1:], room, axis=-1)], axis=-1), w.dtype)


def straight_through(weight: jax.Array, levels: jax.Array) -> jax.Array:
    """The nearest of zero and `levels` ([level] or [N, level]) to every weight [K, S, N], with derivative one."""
    grid = jnp.concatenate([jnp.zeros_like(levels[..., :1]), levels], axis=-1)
    middle = (grid[..., 1:] + grid[..., :-1]) / 2
    if levels.ndim == 1:
        nearest = grid[jnp.searchsorted(middle, weight)]
    else:
        per_neuron = jax.vmap(lambda g, m, w: g[jnp.searchsorted(m, w)], in_axes=(0, 0, -1), out_axes=-1)
        nearest = per_neuron(grid, middle, weight)
    return weight + jax.lax.stop_gradient(nearest - weight)


def _pruned(w: jax.Array, fan_in: int) -> jax.Array:
    """Only the strongest `fan_in` synapses of every neuron."""
    flat = w.reshape(-1, w.shape[-1])
    if len(flat) <= fan_in:
        return w
    least = jax.lax.top_k(flat.T, fan_in)[0][:, -1]
    order = jnp.argsort(jnp.argsort(-flat, axis=0), axis=0)  # of equal weights, the first ones
    return jnp.where((flat >= least) & (order < fan_in), flat, 0).reshape(w.shape)
