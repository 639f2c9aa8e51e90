"""EKV parameters of one polarity from measured currents and capacitances."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, cast

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
ROUNDS = 20
_SHARE, _POWER = 0.1, 0.7
_EVALUATIONS = (200, 12)  # at most: of the first round, of each other one
# A pull of every parameter to its start, for what the data do not tell: a step of one scale costs as much as an error
# of so much of one point.
_PULL = 0.02
# The largest error that an EKV transistor without BSIM3's knee may leave; if it is larger, the knee is fitted too.
PLAIN = 0.02
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


# Name → start value, scale of a step, and how the step moves it: added, squared (it cannot be negative and may come to
# rest at zero), or as a factor e^step. Lengths in µm inside, so that all are of order one.
_FREE: Mapping[str, tuple[float, float, str]] = {
    "n": (1.3, 0.1, "+"), "vt": (0.45, 0.05, "+"), "kp": (1e-4, 1.0, "e"), "ve": (0.05, 0.1, "²"),
    "tcv": (5e-4, 5e-4, "+"), "gm": (0.2, 0.3, "+"), "th": (0.1, 0.3, "+"), "dib": (2e-9, 1e-8, "+"),
    "bk": (0.0, 0.1, "+"), "ns": (0.05, 0.1, "+"), "vl": (0.0, 3e-8, "+"), "vll": (0.0, 5e-15, "+"),
    "nl": (0.0, 3e-9, "+"), "tcn": (0.0, 0.05, "+"), "bex": (-1.5, 0.5, "+"), "lam": (0.0, 0.02, "+"),
    "tbk": (0.0, 0.05, "+"), "thb": (0.0, 0.1, "+"), "kw": (0.6, 0.5, "e"), "cw": (0.37, 0.1, "+"),
}  # fmt: skip
# Only these differ between lengths, temperatures, source voltages; where there is one they are left at zero.
_BY_LENGTH = ("vl", "vll", "nl", "lam")
_BY_TEMPERATURE, _BY_BODY = ("tcv", "tcn", "bex", "tbk"), ("gm", "bk", "ns", "tbk", "thb")
_KNEE = ("kw", "cw")
_ABSENT = dict.fromkeys((*_BY_LENGTH, *_BY_TEMPERATURE, *_BY_BODY, *_KNEE), 0.0) | {"bex": -1.5}


def _card(x: Any, names: tuple[str, ...]) -> dict[str, Any]:
    card: dict[str, Any] = dict(_ABSENT)
    for name, value in zip(names, x, strict=True):
        start, scale, how = _FREE[name]
        card[name] = (
            start * jnp.exp(scale * value) if how == "e" else
            scale * value * value if how == "²" else start + scale * value
        )  # fmt: skip
    # Early voltage per length: 1/(ve L) is what is fitted, in 1/V at 1 µm, and it may vanish.
    card["ve"] = 1e6 / (card["ve"] + 1e-9)
    return {**card, **FIXED}


def _errors(names: tuple[str, ...], x: Any, data: Currents) -> Any:
    """ln of the model's current over the measured one."""
    instance = {"w": data.w, "l": data.l, "dvt": 0.0, "dbt": 0.0, "m": 1.0}
    c = coefficients(_card(x, names), instance, data.celsius, extended=True)
    return jnp.log(drain_current(c, data.gate, data.source, data.drain)) - jnp.log(data.current)


_errors_at = jax.jit(_errors, static_argnums=0)
_slopes_at = jax.jit(jax.jacfwd(_errors, argnums=1), static_argnums=0)


def fit_currents(data: Currents) -> dict[str, float]:
    """EKV parameters of measured currents.

    Least squares of ln I (MINPACK's Levenberg-Marquardt) with the derivatives of `drain_current` by automatic
    differentiation, in rounds that weigh points by their error, towards the smallest largest one.

    Lengths, temperatures and source voltages that are not in the data leave the terms that need them at zero; the knee
    (kw, cw) is left at zero where the largest error of the core is below `PLAIN` without it.

    **Returns** the card's polar keys.
    """
    data = data.usable()
    varied = {key: len(np.unique(getattr(data, key))) for key in ("l", "celsius", "source")}
    left_out = [*(_BY_LENGTH if varied["l"] < 2 else ("vll",) if varied["l"] < 3 else ())]
    left_out += [*(_BY_TEMPERATURE if varied["celsius"] < 2 else ())]
    left_out += [*(_BY_BODY if varied["source"] < 2 else ())]
    names = tuple(name for name in _FREE if name not in left_out)
    worst, card = _fit(tuple(name for name in names if name not in _KNEE), data, PLAIN)
    return card if worst < PLAIN else _fit(names, data)[1]


def _fit(names: tuple[str, ...], data: Currents, hopeless: float = np.inf) -> tuple[float, dict[str, float]]:
    """The largest error of the core and the card. Gives up after the first round where that leaves four times the error
    `hopeless`."""
    from scipy.optimize import least_squares

    # Squares cannot leave zero: their derivative vanishes there.
    start = np.array([np.sqrt(_FREE[k][0] / _FREE[k][1]) if _FREE[k][2] == "²" else 0.0 for k in names])
    # Padded with points of no weight, so that one compiled program serves both polarities.
    count = len(data.w)
    padded = Currents(*(np.pad(field, (0, -count % _PIECE), mode="edge") for field in data))

    def errors(x: np.ndarray) -> np.ndarray:
        return np.asarray(_errors_at(names, x, padded))[:count]

    def slopes(w: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.concatenate([np.asarray(_slopes_at(names, x, padded))[:count] * w[:, None], _PULL * np.eye(len(x))])

    base = np.where(data.current > CORE[1], STRONG_WEIGHT, 1.0)
    base = np.where(data.drain - data.source < TRIODE - 1e-9, TRIODE_WEIGHT * base, base)
    weight, core, x = base.copy(), data.core, start
    best = np.inf, x
    for turn in range(ROUNDS):
        done = least_squares(
            lambda x, w=weight: np.concatenate([errors(x) * w, _PULL * (x - start)]), x, method="lm",
            jac=cast(Any, partial(slopes, weight)),
            max_nfev=_EVALUATIONS[turn > 0], xtol=1e-6, ftol=1e-6,
        )  # fmt: skip
        x = done.x
        size = np.abs(np.expm1(errors(x)))
        largest = float(size[core].max())
        if largest < best[0]:
            best = largest, x
        if largest > 4 * hopeless or largest < 1e-4:
            break
        factor = np.where(core, (size / largest + _SHARE) ** _POWER, 1.0)
        weight = np.where(core, weight * factor, base)
        weight[core] /= weight[core].mean()
    return best[0], {key: float(value) for key, value in _card(best[1], names).items()}


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
