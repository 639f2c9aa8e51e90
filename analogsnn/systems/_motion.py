"""Movies of a moving point in one dimension as events, and detectors of its motion learned by gradient.

After Grimaldi and Perrinet 2023 (DOI 10.1007/s00422-023-00975-8): evidence(class) is a sum over delays and positions of
kernel times activity, and the probability of a class its softmax. Sizes, speeds and the stimulus are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

PIXELS, REACH = 10, 2  # pixels; a detector sees its own and REACH to either side
DELAYS = 7  # 0 to 6 stages of a delay line
STAGE = 4e-3  # s
SPEEDS = (8e-3, 4e-3)  # s a pixel
CLASSES = ("right, slow", "right, fast", "left, slow", "left, fast")
JITTER, MISSED, NOISE = 1e-3, 0.1, 3.0  # s; share of events; Hz a pixel
MOVIE = 110e-3  # s
BIN, TRACE = 1e-3, 3e-3  # s; of the floating-point model
POSITIONS = PIXELS - 2 * REACH
UNSURE = 0.15  # spread of the threshold that training must live with: what mismatch makes of a neuron's gain
TAPS = DELAYS * (2 * REACH + 1)
_F = jnp.float32


@dataclass(frozen=True)
class Movies:
    """`label` [movie]; events as `movie`, `time` (s from its beginning) and `pixel`, one entry each."""

    label: np.ndarray
    movie: np.ndarray
    time: np.ndarray
    pixel: np.ndarray


def movies(count: int, generator: np.random.Generator) -> Movies:
    """Movies in which a point crosses all pixels at one of two speeds in one of two directions."""
    label = generator.integers(len(CLASSES), size=count)
    step = np.asarray(SPEEDS)[label % 2]
    start = generator.uniform(5e-3, MOVIE - 22e-3 - step * (PIXELS - 1))
    order = np.where(label[:, None] < 2, np.arange(PIXELS), np.arange(PIXELS)[::-1])
    time = start[:, None] + step[:, None] * order + JITTER * generator.standard_normal((count, PIXELS))
    seen = generator.random((count, PIXELS)) >= MISSED
    movie, pixel = np.nonzero(seen)
    wrong = generator.poisson(NOISE * MOVIE * count * PIXELS)
    movie = np.concatenate([movie, generator.integers(count, size=wrong)])
    pixel = np.concatenate([pixel, generator.integers(PIXELS, size=wrong)])
    when = np.concatenate([time[seen], generator.uniform(0, MOVIE, wrong)])
    return Movies(label, movie, np.clip(when, 0, MOVIE - BIN), pixel)


def perfect() -> Movies:
    """One movie of each class, without jitter, misses or noise."""
    label = np.arange(len(CLASSES))
    order = np.where(label[:, None] < 2, np.arange(PIXELS), np.arange(PIXELS)[::-1])
    time = 10e-3 + np.asarray(SPEEDS)[label % 2][:, None] * order
    movie, pixel = np.nonzero(np.ones_like(time))
    return Movies(label, movie, time.ravel(), pixel)


def activity(m: Movies) -> np.ndarray:
    """What the detectors see: float32 [movie, position, time, tap], taps in order of delay, then of offset."""
    bins = round(MOVIE / BIN)
    a = np.zeros((len(m.label), PIXELS, bins), np.float32)
    np.add.at(a, (m.movie, m.pixel, (m.time / BIN).astype(int)), 1.0)
    decay = np.exp(-BIN / TRACE)
    for k in range(1, bins):
        a[:, :, k] += decay * a[:, :, k - 1]
    parts = []
    for delay in range(DELAYS):
        late = round(delay * STAGE / BIN)
        moved = np.pad(a, ((0, 0), (0, 0), (late, 0)))[:, :, :bins]
        parts += [moved[:, offset : offset + POSITIONS] for offset in range(2 * REACH + 1)]
    return np.stack(parts, axis=-1)


def logits(kernels, bias, a):
    """Evidence of every class [movie, class]: what exceeds the threshold `bias`, added over positions and time."""
    return jnp.sum(jax.nn.softplus(4 * (a @ kernels - bias)), axis=(1, 2)) * _F(0.25)


def train(a: np.ndarray, label: np.ndarray, *, sparsity: float = 2e-3, iterations: int = 150) -> tuple:
    """Kernels [tap, class] and the threshold, by gradient (L-BFGS on the cross entropy with a smooth L1 penalty).

    Every detector has a threshold of its own in every movie, log-normal with `UNSURE`.
    """
    seen, wanted = jnp.asarray(a), jnp.asarray(label)
    shape = (len(label), POSITIONS, 1, len(CLASSES))
    factor = jnp.asarray(np.exp(UNSURE * np.random.default_rng(1).standard_normal(shape)), _F)

    @jax.jit
    @partial(jax.value_and_grad)
    def loss(p):
        kernels, bias = p[:-1].reshape(TAPS, len(CLASSES)), p[-1]
        chance = jax.nn.log_softmax(logits(kernels, bias * factor, seen), axis=1)
        right = jnp.take_along_axis(chance, wanted[:, None], axis=1)
        return -jnp.mean(right) + sparsity * jnp.sum(jnp.sqrt(kernels**2 + _F(1e-6)))

    def both(p):
        value, slope = loss(jnp.asarray(p, _F))
        return float(value), np.asarray(slope, float)

    start = np.append(np.random.default_rng(0).normal(0.2, 0.02, TAPS * len(CLASSES)), 1.0)
    found = minimize(both, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
    return found.x[:-1].reshape(TAPS, len(CLASSES)).astype(np.float32), np.float32(found.x[-1])


def accuracy(kernels, bias, a: np.ndarray, label: np.ndarray) -> float:
    """Share of movies whose class has the largest evidence."""
    return float(np.mean(np.asarray(logits(jnp.asarray(kernels), bias, jnp.asarray(a))).argmax(axis=1) == label))
