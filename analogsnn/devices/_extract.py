"""EKV parameters of one polarity from measured currents and capacitances."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._ekv import coefficients, drain_current

# The subthreshold range that the chips work in, A: what the fit is for. Currents below are not looked at.
CORE = (1e-12, 1e-6)
TRIODE = 0.1  # V, about 4 UT: below, a card's own interpolation between triode and saturation shows
# Above the core an inverter must still switch, in the triode region a pair still balance: enough weight to fix the
# parameters that show only there, too little to bend the core.
STRONG_WEIGHT = 0.1
TRIODE_WEIGHT = 0.1
# The largest error counts, not only the mean: after each round, points weigh by the share of it that they have.
ROUNDS = 4
_SHARE, _POWER = 0.15, 0.5
_PIECE = 2048

THERMAL_VOLTAGE = 0.02586492  # V at 300.15 K, CODATA
FIXED = {"ph": 0.85, "ut": THERMAL_VOLTAGE, "eps": 1e-3}


class Currents(NamedTuple):
    """Measured drain currents, arrays `[point]`: sizes in m, voltages in V against the bulk (mirrored for p), `celsius`
    in °C, `current` in A."""

    w: np.ndarray
    l: np.ndarray  # noqa: E741
    gate: np.ndarray
    source: np.ndarray
    drain: np.ndarray
    celsius: np.ndarray
    current: np.ndarray

    @property
    def core(self) -> np.ndarray:
        """Which points are within `CORE` and saturated."""
        return (self.current <= CORE[1]) & (self.drain - self.source >= TRIODE - 1e-9)

    def usable(self) -> Currents:
        """Those points whose current is at least the smallest of `CORE`."""
        keep = self.current >= CORE[0]
        return Currents(*(field[keep] for field in self))


# Name → start value, scale of a step, and whether it is a square: then it cannot be negative and may come to rest at
# zero. Lengths in µm inside, so that all are of order one.
_FREE: Mapping[str, tuple[float, float, bool]] = {
    "n": (1.3, 0.1, False), "vt": (0.45, 0.05, False), "kp": (1e-4, 1.0, False), "ve": (0.05, 0.1, True),
    "tcv": (5e-4, 5e-4, False), "gm": (0.2, 0.3, True), "th": (0.1, 0.3, True), "dib": (2e-9, 1e-8, True),
    "bk": (0.0, 0.1, True), "ns": (0.05, 0.1, True), "vl": (0.0, 3e-8, False), "vll": (0.0, 5e-15, False),
    "nl": (0.0, 3e-9, False), "tcn": (0.0, 0.05, False), "bex": (-1.5, 0.5, False),
}  # fmt: skip
# Only these differ between lengths; with one length they are left at zero.
_BY_LENGTH, _BY_TEMPERATURE, _BY_BODY = ("vl", "vll", "nl"), ("tcv", "tcn", "bex"), ("gm", "bk", "ns")
_START_KP = 1e-4  # A/V², moved by a factor e^x


def _card(x: Any, names: tuple[str, ...]) -> dict[str, Any]:
    card: dict[str, Any] = {key: start for key, (start, _, _) in _FREE.items()}
    card |= {key: 0.0 for key in (*_BY_LENGTH, *_BY_BODY) if key not in names}
    if "tcn" not in names:
        card |= {"tcv": 0.0, "tcn": 0.0, "bex": -1.5}
    for name, value in zip(names, x, strict=True):
        start, scale, squared = _FREE[name]
        if name == "kp":
            card[name] = _START_KP * jnp.exp(value)
        elif squared:
            card[name] = scale * value * value
        else:
            card[name] = start + scale * value
    # Early voltage per length: 1/(ve L) is what is fitted, in 1/V at 1 µm, and it may vanish.
    card["ve"] = 1e6 / (card["ve"] + 1e-9)
    return {**card, **FIXED}


@partial(jax.jit, static_argnames="names")
def _solve(names: tuple[str, ...], x: Any, data: Currents, weight: Any) -> Any:
    import optimistix

    instance = {"w": data.w, "l": data.l, "dvt": 0.0, "dbt": 0.0, "m": 1.0}

    def error(x: Any) -> Any:
        c = coefficients(_card(x, names), instance, data.celsius, extended=True)
        return jnp.log(drain_current(c, data.gate, data.source, data.drain)) - jnp.log(data.current)

    done = optimistix.least_squares(
        lambda x, _: error(x) * weight, optimistix.LevenbergMarquardt(rtol=1e-8, atol=1e-10), x, max_steps=200,
        throw=False, options={"jac": "fwd"},
    )  # fmt: skip
    return done.value, error(done.value)


def fit_currents(data: Currents) -> dict[str, float]:
    """EKV parameters of measured currents.

    Least squares of ln I by optimistix' Levenberg-Marquardt, with the derivatives of `drain_current` by automatic
    differentiation, weighted towards the largest error.

    Lengths, temperatures and source voltages that are not in the data leave the terms that need them at zero.

    **Returns** the card's polar keys.
    """
    data = data.usable()
    varied = {key: len(np.unique(getattr(data, key))) for key in ("l", "celsius", "source")}
    left_out = [*(_BY_LENGTH if varied["l"] < 2 else _BY_LENGTH[1:2] if varied["l"] < 3 else ())]
    left_out += [*(_BY_TEMPERATURE if varied["celsius"] < 2 else ())]
    left_out += [*(_BY_BODY if varied["source"] < 2 else ())]
    names = tuple(name for name in _FREE if name not in left_out)
    # Squares cannot leave zero: their derivative vanishes there.
    start = [np.sqrt(max(_FREE[k][0], 0.2 * _FREE[k][1]) / _FREE[k][1]) if _FREE[k][2] else 0.0 for k in names]
    # Padded with points of no weight, so that one compiled program serves both polarities.
    count = len(data.w)
    padded = Currents(*(np.pad(field, (0, -count % _PIECE), mode="edge") for field in data))

    base = np.where(data.current > CORE[1], STRONG_WEIGHT, 1.0)
    base = np.where(data.drain - data.source < TRIODE - 1e-9, TRIODE_WEIGHT * base, base)
    weight, core, x = base.copy(), data.core, jnp.asarray(start)
    for _ in range(ROUNDS):
        x, residual = _solve(names, x, padded, np.pad(weight, (0, -count % _PIECE)))
        size = np.abs(np.expm1(np.asarray(residual)[:count]))
        factor = np.where(core, (size / max(size[core].max(), 1e-12) + _SHARE) ** _POWER, 1.0)
        weight = np.where(core, weight * factor, base)
        weight[core] /= weight[core].mean()
    return {key: float(value) for key, value in _card(np.asarray(x), names).items()}


def relative_errors(card: Mapping[str, float], data: Currents) -> np.ndarray:
    """(model - measured)/measured of every point."""
    instance = {"w": data.w, "l": data.l, "dvt": 0.0, "dbt": 0.0, "m": 1.0}
    model = drain_current(coefficients(card, instance, data.celsius, extended=True), data.gate, data.source, data.drain)
    return np.asarray(model) / data.current - 1


def regions(card: Mapping[str, float], data: Currents) -> np.ndarray:
    """The region of every point: `weak`, `moderate`, `strong` inversion within the core (a tenth and ten times the
    specific current 2 n kp W/L UT²), `triode` below 0.1 V, `above` beyond the core."""
    instance = {"w": data.w, "l": data.l, "dvt": 0.0, "dbt": 0.0, "m": 1.0}
    share = data.current / np.asarray(coefficients(card, instance, data.celsius, extended=True).specific)
    inversion = np.where(share < 0.1, "weak", np.where(share < 10, "moderate", "strong"))
    inversion = np.where(data.drain - data.source < TRIODE - 1e-9, "triode", inversion)
    return np.where(data.current > CORE[1], "above", inversion)
