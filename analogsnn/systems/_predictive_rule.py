r"""The predictive learning rule of Saponati and Vinck 2023 (DOI 10.1038/s41467-023-40651-w), in floating point.

With steps of $h$ = 0.05 ms, $\alpha = 1 - h/\tau_m$, inputs $x$ (spikes through a 2 ms exponential) and weights $w$:

$$v_t = \alpha v_{t-1} + w \cdot x_t - v_{th} z_{t-1},\quad z = [v > v_{th}],\quad \epsilon = x_t - v_t w,\quad
E = \epsilon \cdot w,\quad w \leftarrow w + \eta\, w\, (v_t \epsilon + E p_{t-1}),\quad p_t = \alpha p_{t-1} + x_t.$$

Written from the paper's equations; the factor $w$ is its soft bound.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

H = 0.05e-3  # s
TAU_X = 2e-3  # s
_F = jnp.float32


def traces(times: np.ndarray, duration: float) -> np.ndarray:
    """The inputs' traces x: float [step, input], for spike `times` [input] (s; NaN: silent) or [input, spike]."""
    t = np.arange(round(duration / H)) * H
    times = np.asarray(times, float)
    since = t[:, None, None] - (times[:, None] if times.ndim == 1 else times)[None]
    with np.errstate(invalid="ignore"):
        return np.where(since > -H / 2, np.exp(-np.maximum(since, 0.0) / TAU_X), 0.0).sum(axis=2)


@partial(jax.jit, static_argnames=("own",))
def present(w, x, spikes, tau, threshold, rate, *, own: bool):
    """One presentation with learning in every step.

    **Arguments** `w` [input]; `x` [step, input]; `spikes` [step], 0 or 1, which count unless `own`, when the neuron
    decides for itself; `tau` (s), `threshold`, learning `rate`.

    **Returns** the new weights, v [step] and z [step].
    """
    alpha = 1 - _F(H) / tau

    def step(carry, given):
        w, v, z, p = carry
        x, spike = given
        v = alpha * v + w @ x - z * (threshold if own else v)
        error = x - v * w
        w = w + rate * w * (v * error + (error @ w) * p)
        p = alpha * p + x
        z = (v > threshold).astype(_F) if own else spike
        return (w, v, z, p), (v, z)

    start = (jnp.asarray(w, _F), _F(0), _F(0), jnp.zeros(x.shape[1], _F))
    (w, *_), (v, z) = jax.lax.scan(step, start, (jnp.asarray(x, _F), jnp.asarray(spikes, _F)))
    return w, v, z


def learn(w, x, epochs: int, *, tau: float, threshold: float, rate: float):
    """The same presentation `epochs` times.

    **Returns** weights [epoch + 1, input], the first spike (s, NaN without) and the spike count of each epoch.
    """
    weights, first, count = [np.asarray(w, float)], [], []
    silent = np.zeros(len(x))
    for _ in range(epochs):
        w, _, z = present(w, x, silent, _F(tau), _F(threshold), _F(rate), own=True)
        at = np.flatnonzero(np.asarray(z))
        weights.append(np.asarray(w, float))
        first.append(at[0] * H if len(at) else np.nan)
        count.append(len(at))
    return np.array(weights), np.array(first), np.array(count)
