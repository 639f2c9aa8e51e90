"""Circuit experiments with a DPI synapse, and the behavioural model fitted to them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit, use_float64
from ..errors import InputError
from ..models import TransistorDPI
from ..netlist import Netlist
from ..waveforms import Waveforms
from ._bench import Solve, in_our_engine, read_calibration_bench
from ._calibration import Calibration, ErrorRow, valid_range
from ._last_step import LastStep

BLOCKS = {"dpi_synapse": "p", "dpi_synapse_sink": "n"}  # polarity of the transistors on the capacitor
C = 2e-12  # F, of the benches
RANGE = (20e-12, 10e-9)
ON, OFF = 14.0, 7.0  # time constants of the pulse and of the decay after it
REST = 0.1  # of the peak: where the rest is larger, rise and decay are not defined
_DELAY = 0.1e-3  # s, before the pulse
# Of the residuals: gain and decay are what a network lives on; the dead time from the floor varies over a decade.
WEIGHTS = {"gain": 1.0, "tau": 1.0, "rise": 0.4, "rest": 0.3}
_FREE = ("n", "n_in", "i_spec", "vt", "tcv", "v_early", "a_w", "a_out", "c_extra", "i_off", "i_spec_in")
# A weak pull to the card's own values, for what the experiments do not tell apart.
PULL = 0.02
_SCALE = {"tcv": 1e-3, "c_extra": 2e-14, "vt": 0.1, "n": 0.1, "n_in": 0.1}  # linear; the others step in the logarithm


class Design(NamedTuple):
    """The experiments: every combination of leaks (A), weights over the leak, gains over the leak, and °C."""

    leaks: tuple[float, ...] = (10e-12, 30e-12, 100e-12, 300e-12)
    ratios: tuple[float, ...] = (3.0, 10.0, 40.0)
    gains: tuple[float, ...] = (1.0, 5.0)
    celsius: tuple[float, ...] = (0.0, 27.0, 70.0)

    @property
    def size(self) -> int:
        """How many pulses that are."""
        return len(self.leaks) * len(self.ratios) * len(self.gains) * len(self.celsius)


class Experiment(NamedTuple):
    """One pulse: its currents (A) and temperature (°C), and what the circuit did; arrays `[experiment]`."""

    i_tau: Any
    i_w: Any
    i_gain: Any
    celsius: Any
    gain: Any  # steady output, A
    tau: Any  # s
    rise: Any  # s, from rest to half the steady output
    rest: Any  # A


def synapse(
    block: str = "dpi_synapse",
    *,
    card: str = "ekv",
    design: Design | None = None,
    progress: Callable[[float], None] | None = None,
) -> Calibration:
    """Calibrate `TransistorDPI` against a DPI synapse of the library.

    Pulses from rest over leaks, weights, gains and temperatures in our engine; parameters by least squares of the
    relative errors of steady output, decay time, rise and rest.

    **Arguments**

    - `block`: `dpi_synapse` or `dpi_synapse_sink`. `card`: an EKV card, by name or file.
    - `design`: the experiments; those whose steady output lies outside 20 pA to 10 nA are not used.
    - `progress`: called with 1 after each of the `design.size` experiments.

    **Returns** a `Calibration` whose `model` is a `TransistorDPI` (with the bench's own currents).

    **Raises** `InputError` for another block, and for a card that is none of our engine's.
    """
    if block not in BLOCKS:
        raise InputError(f"there is no synapse to calibrate in '{block}'; there are {' and '.join(BLOCKS)}.")
    use_float64()
    netlist = read_calibration_bench(block, card)
    data = run_experiments(in_our_engine(Circuit.from_netlist(netlist)), design or Design(), progress)
    keep = (data.gain >= RANGE[0]) & (data.gain <= RANGE[1])
    used = Experiment(*(np.asarray(field)[keep] for field in data))
    start = card_values(netlist, BLOCKS[block])
    values, found = fit_model(used, start)
    rows = error_rows(used, found)
    named = {**values, "kappa_out": 1 / values["n"], "kappa_in": 1 / values["n_in"]}
    model = make_model(values, 20e-12, 100e-12, 27.0)
    return Calibration(
        block=block, card=card, model=model, parameters={**named, "c": C}, errors=rows,
        valid_range=valid_range(rows, ("gain", "tau")), experiments=len(data.gain), make=partial(_at, values),
    )  # fmt: skip


def _at(
    values: Mapping[str, float], *, i_tau: float = 20e-12, i_gain: float = 100e-12, celsius: float = 27.0,
    i_w: float | None = None, i_out: float | None = None,
) -> TransistorDPI:  # fmt: skip
    """The model; the weight and the output are no part of it, but of the range that it is checked against."""
    return make_model(values, i_tau, i_gain, celsius)


def run_experiments(solve: Solve, design: Design, progress: Callable[[float], None] | None = None) -> Experiment:
    """The designed pulses, in the engine that `solve` stands for."""
    rows = []
    for i_tau, ratio, gain, celsius in itertools.product(*design):
        tau = C * 1.35 * 0.0259 * (celsius + 273.15) / 300.15 / i_tau
        width, stop = ON * tau, (ON + OFF) * tau + _DELAY
        values = {
            "param.itau": i_tau, "param.iw": ratio * i_tau, "param.igain": gain * i_tau, "temp": celsius,
            "vpre.td": _DELAY, "vpre.pw": width, "vpre.per": 10.0,
        }  # fmt: skip
        waves = solve(values, stop)
        rows.append((i_tau, ratio * i_tau, gain * i_tau, celsius, *_observed(waves, width)))
        if progress is not None:
            progress(1)
    return Experiment(*np.array(rows).T)


def _observed(waves: Waveforms, width: float) -> tuple[float, float, float, float]:
    time, current = np.asarray(waves.time), np.abs(np.asarray(waves.current("vo")))
    begin, end = _DELAY, _DELAY + width
    rest = float(np.interp(0.9 * begin, time, current))
    top = float(np.interp(end, time, current))
    on, off = (time >= begin) & (time <= end), time > end + 0.002 * width
    rise = float(np.interp(0.5 * top, current[on], time[on])) - begin
    falls = [float(np.interp(-share * top, -current[off], time[off])) for share in (0.8, 0.2)]
    # Where the rest is a good part of the peak, the output decays to it and not to zero: no time constant.
    tau = (falls[1] - falls[0]) / float(np.log(4.0)) if rest < REST * top else np.nan
    return top, tau, rise if rest < REST * top else np.nan, rest


def card_values(netlist: Netlist, polarity: str) -> dict[str, float]:
    """The card's own values."""
    circuit = Circuit.from_netlist(netlist)
    other = "n" if polarity == "p" else "p"
    value = {key: float(circuit[f"card.ekv_{key}{polarity}"]) for key in ("n", "vt", "tcv", "ve")}

    def specific(polarity: str) -> float:
        n, kp = (float(circuit[f"card.ekv_{key}{polarity}"]) for key in ("n", "kp"))
        return 2 * n * kp * float(circuit["card.ekv_ut"]) ** 2

    return {
        "n": value["n"], "n_in": float(circuit[f"card.ekv_n{other}"]), "i_spec": specific(polarity),
        "vt": value["vt"], "tcv": value["tcv"], "v_early": min(value["ve"] * 2e-6, 200.0), "a_w": 1.0, "a_out": 1.0,
        "c_extra": 2e-14, "i_off": 2e-12, "i_spec_in": specific(other),
    }  # fmt: skip


def make_model(values: Mapping[str, Any], i_tau: Any, i_gain: Any, celsius: Any, **more: Any) -> TransistorDPI:
    """The model at currents and a temperature."""
    return TransistorDPI(c=C, i_tau=i_tau, i_gain=i_gain, celsius=celsius, **{k: values[k] for k in _FREE}, **more)


def predicted(values: Mapping[str, Any], data: Experiment, **more: Any) -> dict[str, Any]:
    """What the model says about the experiments, by quantity, `[experiment]` each."""

    def one(e: Experiment) -> dict[str, Any]:
        model = make_model(values, e.i_tau, e.i_gain, e.celsius, **more)
        return {
            "gain": model.steady_state(e.i_w), "tau": model.decay_time(model.steady_state(e.i_w), e.i_w),
            "rise": model.rise_time(e.i_w), "rest": model.current(model.rest(e.i_w)),
        }  # fmt: skip

    return jax.vmap(one)(Experiment(*(jnp.asarray(field) for field in data)))


def fit_model(data: Experiment, start: Mapping[str, float]) -> tuple[dict[str, float], dict[str, Any]]:
    """Parameters of the model by least squares of the relative errors (Levenberg-Marquardt).

    **Returns** the parameters, and what the model says with them (see `predicted`).
    """
    from scipy.optimize import least_squares

    def values(x: Any) -> dict[str, Any]:
        return {
            k: start[k] + _SCALE[k] * x[i] if k in _SCALE else start[k] * jnp.exp(x[i]) for i, k in enumerate(_FREE)
        }

    def residuals(x: Any) -> Any:
        found = predicted(values(x), data)
        parts = [PULL * x]
        for k, weight in WEIGHTS.items():
            there = np.isfinite(getattr(data, k))
            ratio = jnp.where(there, found[k], 1.0) / np.where(there, getattr(data, k), 1.0)
            parts.append(weight * jnp.log(jnp.maximum(ratio, 1e-3)))  # a trial may stand where nothing decays
        both = jnp.concatenate(parts)
        return both, (both, found)

    # Not optimistix: its program holds the residuals several times, and compiling takes most of a calibration.
    at = LastStep(jax.jit(jax.jacfwd(residuals, has_aux=True)))
    done = least_squares(at.residuals, np.zeros(len(_FREE)), jac=cast(Any, at.jacobian), method="lm", xtol=1e-8)
    return {k: float(v) for k, v in values(done.x).items()}, at.found(done.x)


def error_rows(data: Experiment, found: Mapping[str, Any]) -> list[ErrorRow]:
    """One row per experiment and quantity; `found` as of `predicted`."""
    rows = []
    for k in range(len(data.gain)):
        condition = {
            "i_tau": float(data.i_tau[k]), "i_w": float(data.i_w[k]), "i_gain": float(data.i_gain[k]),
            "celsius": float(data.celsius[k]), "i_out": float(data.gain[k]),
        }  # fmt: skip
        rows += [
            ErrorRow(quantity, condition, float(found[quantity][k]), float(getattr(data, quantity)[k]))
            for quantity in WEIGHTS
            if np.isfinite(getattr(data, quantity)[k])
        ]
    return rows
