"""The EKV transistor: drain current, conductances and capacitances as pure functions.

Equations: Enz, Krummenacher and Vittoz, Analog Integrated Circuits and Signal Processing 8, 1995,
DOI 10.1007/BF01239381, in the smooth form that `circuits/cards/ekv.lib` states and ngspice computes. With all voltages
referred to the bulk and all signs flipped for a p device, T in kelvin:

    s  = √(vds² + ε²)                            |vds| without its kink
    vm = (vsb + vdb - s)/2                       the smaller of vsb and vdb, without its kink
    x  = ph + vm,  p = (x + √(x² + ε²))/2 + 1e-9,  f = √p - √ph
    n  = n0 + nl/L + tcn (T/T0 - 1)
    b  = bk + tbk (T/T0 - 1)
    VT = vt + vl/L + vll/L² + gm f - b vm - dib/L s       vt: threshold at T, mismatch included
    e  = (vgb - VT)/n
    vp = e + (e - vm) ns f                       ns: by how much 1/n grows with the bulk's reverse bias
    y  = (vp - vsb)/2UT,  lf = ln(1 + e^y),  qf = lf/(1 + kw (T/T0)² e^-y); lr, qr: by vdb
    IS = 2 n kp (T/T0)^bex W/L UT²
    I  = IS (qf - qr)(qf + qr + 2 cw) (1 + s (1/(ve L) + lam)) / (1 + th UT (lf + lr) + thb f)

The pinch-off voltage is that of a device whose threshold and slope are those at the bias of its source: with ns = 0 and
bk = 0 it is (vgb - VT)/n. kw and cw are the interpolation of BSIM3: its charge is ln(1 + e^y)/(1 + K e^-y), where K
falls with its offset voltage, and its saturated current has a linear part in it (Liu et al., BSIM3v3.2.2 manual, UC
Berkeley 1999, chapters 2 and 3). The terms vl to cw are none of EKV's; each is what a fit to BSIM3
could not do without.

A new term costs this file and the card: the tests compare `conductances` with automatic differentiation of
`drain_current`, and both with ngspice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from .._apart import apart

KELVIN = 273.15
REFERENCE_TEMPERATURE = 300.15  # K, where the card's values hold

# Keys of the card, with the letter of the polarity behind them, and those without.
POLAR_KEYS = (
    "n", "vt", "kp", "ve", "tcv", "gm", "ph", "th", "dib", "bk", "ns", "vl", "vll", "nl", "tcn", "bex", "lam", "tbk",
    "thb", "kw", "cw",
)  # fmt: skip
# What a card that does not name them has: it is older than they are.
OPTIONAL_KEYS = dict.fromkeys(POLAR_KEYS[9:], 0.0) | {"bex": -1.5}
COMMON_KEYS = ("cox", "cgo", "cjw", "ut", "eps")
INSTANCE_KEYS = ("w", "l", "dvt", "dbt", "m")
_ROOT_SHIFT = 1e-9  # V, keeps √p differentiable where p would vanish
# Beside e^y, so that 0/0 cannot happen without an offset; to the fourth power still a number.
_LEAST = 1e-75


class Coefficients(NamedTuple):
    """What the current needs of each transistor, worked out once before a run; arrays `[fet]` or `[fet, lane]`.

    Those from `body` on are None when body effect, mobility reduction and DIBL are off: the short form is then used.
    """

    specific: Any  # IS, A
    threshold: Any  # VT at zero body effect, V
    slope: Any  # 1/n
    thermal: Any  # 1/(2 UT), 1/V
    early: Any  # 1/(ve L) + lam, 1/V
    eps2: Any  # ε², V²
    body: Any = None  # gm, √V
    phi: Any = None  # ph, V
    dibl: Any = None  # dib/L
    mobility: Any = None  # th UT
    linear: Any = None  # bk + tbk (T/T0 - 1)
    steepening: Any = None  # ns, 1/√V
    field: Any = None  # thb, 1/√V
    offset: Any = None  # kw (T/T0)²
    share: Any = None  # 2 cw


def coefficients(card: Mapping[str, Any], instance: Mapping[str, Any], celsius: Any, *, extended: bool) -> Coefficients:
    """Coefficients of transistors at a temperature.

    **Arguments**

    - `card`: `POLAR_KEYS` and `COMMON_KEYS`, each an array over the transistors (of their own polarity); those of
      `OPTIONAL_KEYS` may be absent.
    - `instance`: `w`, `l` in m, `dvt` in V (positive: larger |VT|), `dbt` relative, `m` parallel devices.
    - `celsius`: temperature in °C.
    - `extended`: whether body effect, mobility reduction and DIBL take part. False leaves them out of the program.
    """
    w, l, dvt, dbt, m = (instance[key] for key in INSTANCE_KEYS)  # noqa: E741
    card = {**OPTIONAL_KEYS, **card}
    ratio = (celsius + KELVIN) / REFERENCE_TEMPERATURE
    ut = card["ut"] * ratio
    kp = card["kp"] * ratio ** card["bex"]
    n = card["n"] + card["nl"] / l + card["tcn"] * (ratio - 1)
    base = (
        2 * n * kp * (1 + dbt) * m * w / l * ut**2,
        card["vt"]
        + dvt
        + (card["vl"] + card["vll"] / l) / l
        - card["tcv"] * (celsius + KELVIN - REFERENCE_TEMPERATURE),
        1 / n,
        1 / (2 * ut),
        1 / (card["ve"] * l) + card["lam"],
        card["eps"] ** 2,
    )
    if not extended:
        return Coefficients(*base)
    return Coefficients(
        *base, card["gm"], card["ph"], card["dib"] / l, card["th"] * ut, card["bk"] + card["tbk"] * (ratio - 1),
        card["ns"], card["thb"], card["kw"] * ratio**2, 2 * card["cw"],
    )  # fmt: skip


def capacitances(card: Mapping[str, Any], instance: Mapping[str, Any]) -> dict[str, Any]:
    """Capacitances in F by their two terminals: overlap, oxide in weak inversion, junctions."""
    w, l, m = instance["w"], instance["l"], instance["m"]  # noqa: E741
    overlap, junction = m * card["cgo"] * w, m * card["cjw"] * w
    gate = m * card["cox"] * w * l * (card["n"] - 1) / card["n"]
    return {"gs": overlap, "gd": overlap, "gb": gate, "db": junction, "sb": junction}


# ln(1 + e) = 2 z Σ q_k z^2k with z = e/(2 + e): the polynomial closest to atanh(z)/z for z² in [0, 1/9], highest power
# first (a Chebyshev fit in 40 digits; largest error 1.3e-18). Four times faster than log1p, and as exact.
_ATANH = (
    0.08522081781390699, 0.0416225325593041, 0.06055084364034609, 0.06650187016337313, 0.07693307021152004,
    0.09090870416252403, 0.11111112040373837, 0.14285714272727057, 0.20000000000092874, 0.33333333333333076, 1.0,
)  # fmt: skip


def softplus(x: Any) -> Any:
    """ln(1 + eˣ), without overflow and with finite derivatives in both tails; relative error below 1e-15."""
    return _softplus_and_tail(x)[0]


def _softplus_and_tail(x: Any) -> tuple[Any, Any]:
    """ln(1 + eˣ) and e^-|x|.

    Zero counts as positive in every part: `abs` and `maximum` would each choose their own derivative there, and the sum
    of the two be none. For lanes (a second axis) it is a part of the program of its own: several results use it.
    """
    return _logarithm_and_tail_apart(x) if jnp.ndim(x) > 1 else _logarithm_and_tail(x)


@jax.custom_jvp
def _logarithm_and_tail(x: Any) -> tuple[Any, Any]:
    positive = x >= 0
    tail = jnp.exp(-jnp.where(positive, x, -x))
    z = tail / (2 + tail)
    w = z * z
    series: Any = _ATANH[0]
    for coefficient in _ATANH[1:]:
        series = series * w + coefficient
    return jnp.where(positive, x, 0.0) + 2 * z * series, tail


@_logarithm_and_tail.defjvp
def _logarithm_and_tail_jvp(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    # By hand, so that nobody differentiates the polynomial: it would be most of a compiled program.
    (x,), (d_x,) = primals, tangents
    log, tail = _logarithm_and_tail(x)
    return (log, tail), (_sigmoid(x, tail) * d_x, jnp.where(x >= 0, -tail, tail) * d_x)


_logarithm_and_tail_apart = apart(_logarithm_and_tail)


def _sigmoid(x: Any, tail: Any) -> Any:
    """The derivative of softplus, from e^-|x|."""
    return jnp.where(x >= 0, 1.0, tail) / (1 + tail)


def drain_current(c: Coefficients, vg: Any, vs: Any, vd: Any) -> Any:
    """Current into the drain (A) of an n device; voltages (V) against the bulk, mirrored for a p device."""
    vds = vd - vs
    s = jnp.sqrt(vds * vds + c.eps2)
    pinch, rise = (vg - c.threshold) * c.slope, 0.0
    if c.body is not None:
        low = 0.5 * (vs + vd - s)
        x = c.phi + low
        p = 0.5 * (x + jnp.sqrt(x * x + c.eps2)) + _ROOT_SHIFT
        rise = jnp.sqrt(p) - jnp.sqrt(c.phi)
        pinch = pinch - (c.body * rise - c.linear * low - c.dibl * s) * c.slope
        pinch = pinch + (pinch - low) * (c.steepening * rise)
    yf, yr = (pinch - vs) * c.thermal, (pinch - vd) * c.thermal
    (lf, tail_f), (lr, tail_r) = _softplus_and_tail(yf), _softplus_and_tail(yr)
    if c.body is None:
        return c.specific * (lf - lr) * (lf + lr) * (1 + s * c.early)
    qf, qr = lf * _held(c, yf, tail_f), lr * _held(c, yr, tail_r)
    current = c.specific * (qf - qr) * (qf + qr + c.share) * (1 + s * c.early)
    return current / (1 + c.mobility * (lf + lr) + c.field * rise)


def _held(c: Coefficients, y: Any, tail: Any) -> Any:
    """1/(1 + K e^-y), from e^-|y|; its derivative is that of every logistic function, h (1 - h)."""
    positive = y >= 0
    # Both times e^y where that is small, so that nothing overflows; without an offset exactly 1.
    up = jnp.where(positive, 1.0, tail) + _LEAST
    return up / (up + c.offset * jnp.where(positive, tail, 1.0))


@jax.custom_jvp
def conductances(c: Coefficients, vg: Any, vs: Any, vd: Any) -> tuple[Any, Any, Any, Any]:
    """The drain current and its derivatives by gate, source and drain voltage (A, A/V).

    That by the bulk is minus their sum.
    """
    return _conductances(c, vg, vs, vd)


def _conductances_jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    # The second derivatives of a transistor are worked out once, however many directions they are wanted along.
    (c, *v), (d_c, *d_v) = primals, tangents
    found, slopes = _curvatures(c, *v)
    ways = [(slope, d) for slope, d in zip(slopes, d_v, strict=True) if not isinstance(d, SymbolicZero)]
    moved = tuple(sum((slope[k] * d for slope, d in ways), jnp.zeros_like(v[0])) for k in range(len(found)))
    if any(not isinstance(d, SymbolicZero) for d in jax.tree.leaves(d_c)):
        d_c = jax.tree.map(lambda d: jnp.zeros(d.shape) if isinstance(d, SymbolicZero) else d, d_c)
        by_c = jax.jvp(lambda c: _conductances(c, *v), (c,), (d_c,))[1]
        moved = tuple(a + b for a, b in zip(moved, by_c, strict=True))
    return found, moved


conductances.defjvp(_conductances_jvp, symbolic_zeros=True)


@apart
def _curvatures(c: Coefficients, vg: Any, vs: Any, vd: Any) -> tuple[Any, list[Any]]:
    """`conductances`, and their derivatives by each voltage."""
    found, along = jax.linearize(lambda *v: _conductances(c, *v), vg, vs, vd)
    one, zero = jnp.ones_like(vg), jnp.zeros_like(vg)
    return found, [along(*(one if i == k else zero for i in range(3))) for k in range(3)]


def _conductances(c: Coefficients, vg: Any, vs: Any, vd: Any) -> tuple[Any, Any, Any, Any]:
    vds = vd - vs
    s = jnp.sqrt(vds * vds + c.eps2)
    steer = vds / s  # ∂s/∂vd = -∂s/∂vs
    pinch = (vg - c.threshold) * c.slope
    pinch_g, pinch_s, pinch_d = c.slope, 0.0, 0.0
    rise = rise_x = low_s = low_d = 0.0
    if c.body is not None:
        low, low_s, low_d = 0.5 * (vs + vd - s), 0.5 * (1 + steer), 0.5 * (1 - steer)
        x = c.phi + low
        root = jnp.sqrt(x * x + c.eps2)
        p = 0.5 * (x + root) + _ROOT_SHIFT
        sqrt_p = jnp.sqrt(p)
        rise, rise_x = sqrt_p - jnp.sqrt(c.phi), 0.25 * (1 + x / root) / sqrt_p
        pinch = pinch - (c.body * rise - c.linear * low - c.dibl * s) * c.slope
        by_low, by_s = (c.linear - c.body * rise_x) * c.slope, c.dibl * c.slope
        # vp = e + (e - vm) ns f
        stretch, bend = 1 + c.steepening * rise, c.steepening * ((pinch - low) * rise_x - rise)
        pinch = pinch + (pinch - low) * (c.steepening * rise)
        pinch_g = c.slope * stretch
        pinch_s = (by_low * low_s - by_s * steer) * stretch + bend * low_s
        pinch_d = (by_low * low_d + by_s * steer) * stretch + bend * low_d
    yf, yr = (pinch - vs) * c.thermal, (pinch - vd) * c.thermal
    (lf, tail_f), (lr, tail_r) = _softplus_and_tail(yf), _softplus_and_tail(yr)
    # d lf = gf d(pinch - vs), d lr = gr d(pinch - vd), by gate, source and drain
    gf, gr = _sigmoid(yf, tail_f) * c.thermal, _sigmoid(yr, tail_r) * c.thermal
    to_f, to_r = (pinch_g, pinch_s - 1, pinch_d), (pinch_g, pinch_s, pinch_d - 1)
    early, slant = 1 + s * c.early, c.early * steer
    bent = (0.0, -slant, slant)
    if c.body is None:
        scale, square = c.specific, (lf - lr) * (lf + lr)

        def short(f: Any, r: Any, stretch: Any, _: Any) -> Any:
            return scale * (2 * (lf * (gf * f) - lr * (gr * r)) * early + square * stretch)

        by, fallen = short, bent
    else:
        hf, hr = _held(c, yf, tail_f), _held(c, yr, tail_r)
        qf, qr = lf * hf, lr * hr
        below = 1 + c.mobility * (lf + lr) + c.field * rise
        scale, square = c.specific / below, (qf - qr) * (qf + qr + c.share)
        drop = c.mobility / below * square * early
        by_low = c.field / below * square * early * rise_x
        fallen = (0.0, by_low * low_s, by_low * low_d)
        # qf = lf hf: d qf = hf d lf + qf (1 - hf)/2UT d(pinch - vs)
        held_f, held_r = qf * (1 - hf) * c.thermal, qr * (1 - hr) * c.thermal

        def long(f: Any, r: Any, stretch: Any, fall: Any) -> Any:
            lf_v, lr_v = gf * f, gr * r
            qf_v, qr_v = hf * lf_v + held_f * f, hr * lr_v + held_r * r
            rising = 2 * (qf * qf_v - qr * qr_v) + c.share * (qf_v - qr_v)
            return scale * (rising * early + square * stretch - drop * (lf_v + lr_v) - fall)

        by = long

    return (scale * square * early, *(by(*each) for each in zip(to_f, to_r, bent, fallen, strict=True)))
