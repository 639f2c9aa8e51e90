"""The behavioural adaptive-exponential neuron, fitted to circuit experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit, use_float64
from ..errors import InputError
from ..models import NeuronSupply, TransistorDPI, TransistorNeuron
from ..netlist import Netlist
from ._bench import in_our_engine, read_calibration_bench
from ._calibration import Calibration, ErrorRow, valid_range
from ._last_step import LastStep
from ._neuron_experiments import Condition, NeuronDesign, Observation, run_neuron
from ._synapse import card_values

JUDGED = ("rate", "refractory", "ratio")
# A weak pull to the start, for what the experiments do not tell apart.
PULL = 0.02
# Where errors begin to count less than by their square: near rheobase the rate amplifies every error of a current.
ROBUST = 0.02
_LINEAR = {
    "n": 0.1, "n_in": 0.1, "vt": 0.1, "tcv": 1e-3, "c_extra": 2e-14, "ahp_c_extra": 2e-14, "c_ref_extra": 2e-14,
    "v_peak": 0.1, "v_peak_t": 1e-3, "delay": 1e-6, "q_pulse": 2e-14,
}  # fmt: skip
_CAPACITORS = {"c_mem": "cmem", "c_ref": "cr", "c_ahp": "cahp"}
_BENCH = {
    "i_in": "iin", "i_tau": "itau", "i_gain": "ithr", "i_ref": "iref", "i_ahpw": "iahpw", "i_ahptau": "iahptau",
}  # fmt: skip
EVALUATIONS = 30
# The largest error counts, not only the mean: after the fit, rounds in which experiments weigh by their error.
ROUNDS = 10
_FAIR, _FORGIVE, _INSIST, _HEAVIEST = 0.02, 0.8, 1.6, 6.0  # the error that keeps its weight; factors of a round; bound
_DAMPING, _LONGEST = 0.1, 0.2  # of the step of a round, in the parameters' own scale
_SHARED = ("n", "n_in", "i_spec", "vt", "tcv", "v_early", "i_spec_in")
_OWN = ("c_ref_extra", "v_peak", "v_peak_t", "delay", "reset", "v_early_reset", "starved", "q_pulse")
_AT_REST = ("i_rest", "i_rest_pulse", "n_rest")  # of `NeuronSupply`
_LATEST = 1.5  # of the circuit's time for the same spikes: later ones do not count, and the residual is this bound's


def make_neuron(
    values: Mapping[str, Any], e: Condition, capacitors: Mapping[str, Any], **more: Any
) -> TransistorNeuron:
    """The model at the currents and the temperature of `e`."""
    shared = {name: values[name] for name in _SHARED} | {"celsius": e.celsius} | more
    membrane = TransistorDPI(
        c=capacitors["c_mem"], i_tau=e.i_tau, i_gain=e.i_gain, a_w=values["a_w"], a_out=values["feedback"],
        c_extra=values["c_extra"], i_off=values["i_off"], **shared,
    )  # fmt: skip
    ahp = TransistorDPI(
        c=capacitors["c_ahp"], i_tau=e.i_ahptau, i_gain=e.i_ahptau, a_w=values["ahp_a_w"], a_out=values["ahp_a_out"],
        c_extra=values["ahp_c_extra"], i_off=values["i_off"], **shared,
    )  # fmt: skip
    own = {name: values[name] for name in _OWN}
    return TransistorNeuron(
        membrane=membrane, ahp=ahp, i_ahpw=e.i_ahpw, i_ref=e.i_ref, c_ref=capacitors["c_ref"], **own
    )


def predict(
    values: Mapping[str, Any], e: Condition, seen: Observation, capacitors: Mapping[str, Any], spikes: int, **more: Any
) -> dict[str, Any]:
    """What the model says, by quantity, `[experiment]` each: NaN for spikes that do not come in time."""

    def one(e: Condition, within: Any) -> dict[str, Any]:
        neuron = make_neuron(values, e, capacitors, **more)
        times, left = neuron.spikes(e.i_in, spikes, within)
        periods = jnp.diff(times)
        return {"rate": 1 / periods[0], "refractory": left[0] - times[0], "ratio": periods[0] / periods[-1]}

    # The first spike comes from rest and takes no longer than a period.
    periods = 1 + (spikes - 1) / np.nan_to_num(np.asarray(seen.ratio), nan=1.0)
    within = jnp.asarray(_LATEST * periods / np.asarray(seen.rate))
    return jax.vmap(one)(Condition(*(jnp.asarray(x, float) for x in e)), within)


def neuron(
    block: str = "adexp_neuron",
    *,
    card: str = "ekv",
    design: NeuronDesign | None = None,
    progress: Callable[[float], None] | None = None,
) -> Calibration:
    """Calibrate `TransistorNeuron` against the adaptive-exponential neuron of the library.

    Constant inputs over leaks, gains, refractory currents, adaptations and temperatures in our engine; parameters by
    least squares of the relative errors of the first rate, the refractory period and the adaptation ratio. What the
    supply gives is fitted afterwards (`NeuronSupply`).

    **Arguments**

    - `card`: an EKV card, by name or file. `design`: the experiments. The spikes' width, `param.ipw`, is the bench's.
    - `progress`: called with 1 after each of the experiments.

    **Returns** a `Calibration` whose `model` is a `TransistorNeuron` with the bench's own currents; `at(i_in=…,
    i_tau=…, i_gain=…, i_ref=…, i_ahpw=…, i_ahptau=…, celsius=…)` gives it at others. Its errors are by `rate` (Hz),
    `refractory` (s), `ratio` (of the last rate to the first), `energy` (J a spike), `rest` (W without input); the
    first three decide the valid range. Experiments in which the circuit stays silent have no rows.

    **Raises** `InputError` for another block, and for a card that is none of our engine's; `SimulationError` where a
    neuron spikes less often than the design needs.
    """
    if block != "adexp_neuron":
        raise InputError(f"there is no neuron to calibrate in '{block}'; there is adexp_neuron.")
    use_float64()
    design = design or NeuronDesign()
    netlist = read_calibration_bench(block, card)
    circuit = Circuit.from_netlist(netlist)
    capacitors = {name: float(circuit[f"x1.{part}.c"]) for name, part in _CAPACITORS.items()}
    e, seen = run_neuron(in_our_engine(circuit), design, progress)
    spiking = seen.rate > 0
    used = Condition(*(np.asarray(field)[spiking] for field in e))
    data = Observation(*(np.asarray(field)[spiking] for field in seen))
    values, found = fit_neuron(used, data, _start(netlist), capacitors, design.spikes)
    supply, drawn = fit_supply(values, used, data, capacitors)
    assert netlist.supply is not None
    vdd = netlist.supply
    rows = _rows(used, data, {**found, **drawn}, vdd)
    at = partial(_at, values, {k: float(circuit[f"param.{p}"]) for k, p in _BENCH.items()}, capacitors)
    return Calibration(
        block=block, card=card, model=at(), parameters={**values, **supply, **capacitors}, errors=rows,
        valid_range=valid_range(rows, JUDGED, "i_in"), experiments=len(spiking), judged=JUDGED, along="i_in", make=at,
    )  # fmt: skip


def _at(
    values: Mapping[str, float], bench: Mapping[str, float], capacitors: Mapping[str, float], **condition: float
) -> TransistorNeuron:
    unknown = [name for name in condition if name not in Condition._fields]
    if unknown:
        raise InputError(f"the neuron has no condition '{unknown[0]}'; there are {', '.join(Condition._fields)}.")
    return make_neuron(values, Condition(**{**bench, "celsius": 27.0, **condition}), capacitors)


def _start(netlist: Netlist) -> dict[str, float]:
    """The card's own values, strengths by the transistors' sizes, and what a spike of the shipped card leaves."""
    card = card_values(netlist, "n")
    start = {name: card[name] for name in _SHARED}
    return start | {
        "a_w": 1.0, "feedback": 1.15, "c_extra": 2e-14, "i_off": 1e-12, "ahp_a_w": 1.0, "ahp_a_out": 1.05,
        "ahp_c_extra": 1e-14, "c_ref_extra": 1e-14, "v_peak": 0.51, "v_peak_t": -0.5e-3, "delay": 1e-6, "reset": 4.0,
        "v_early_reset": card["v_early"] / 4, "starved": 1.0, "q_pulse": 2e-14,
    }  # fmt: skip


def _rows(e: Condition, seen: Observation, found: Mapping[str, Any], vdd: float) -> list[ErrorRow]:
    """One row per experiment and quantity; charge and current as energy and power."""
    rows = []
    named = {q: (q, 1.0) for q in JUDGED} | {"charge": ("energy", vdd), "rest": ("rest", vdd)}
    for k in range(len(seen.rate)):
        condition = {name: float(getattr(e, name)[k]) for name in Condition._fields}
        for field, (quantity, unit) in named.items():
            circuit = float(getattr(seen, field)[k])
            if np.isfinite(circuit):
                rows.append(ErrorRow(quantity, condition, unit * float(found[field][k]), unit * circuit))
    return rows


def fit_supply(
    values: Mapping[str, float], e: Condition, seen: Observation, capacitors: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The parameters of `NeuronSupply` by least squares of the relative errors: those at rest first, and of what is
    left of the charge the others, linear in it.

    **Returns** them, and what they say about the experiments: `charge` (C a spike) and `rest` (A).
    """
    from scipy.optimize import least_squares

    neurons = jax.vmap(lambda x: make_neuron(values, x, capacitors))(Condition(*(jnp.asarray(x, float) for x in e)))
    start = dict.fromkeys(NeuronSupply.__dataclass_fields__, 0.0) | {
        "i_rest": 1e-11, "i_rest_pulse": 1e-12, "n_rest": values["n"],
    }  # fmt: skip

    def supply(x: Any) -> NeuronSupply:
        found = {name: start[name] * jnp.exp(y) for name, y in zip(_AT_REST, x, strict=True)}
        return NeuronSupply(**{**start, **found})

    def at_rest(x: Any) -> Any:
        return jax.vmap(supply(x).at_rest)(neurons)

    def residuals(x: Any) -> Any:
        return jnp.concatenate([jnp.log(at_rest(x) / seen.rest), PULL * PULL * x])

    done = least_squares(jax.jit(residuals), np.zeros(len(_AT_REST)), jac=cast(Any, jax.jit(jax.jacfwd(residuals))))
    rest = np.asarray(at_rest(done.x))
    # The last period is the first one over the adaptation ratio.
    period = 1 / (np.asarray(seen.rate) * np.nan_to_num(np.asarray(seen.ratio), nan=1.0))
    rise = period - np.asarray(seen.refractory)
    columns = jax.vmap(NeuronSupply.columns)(neurons, jnp.asarray(rise), jnp.asarray(period))
    matrix = np.stack([np.asarray(column) for column in columns.values()], 1) / seen.charge[:, None]
    wanted = 1 - rest * period / seen.charge
    scale = np.abs(matrix).max(0)  # of coulombs, of shares: made comparable
    solution = np.linalg.lstsq(matrix / scale, wanted, rcond=None)[0] / scale
    fitted = {name: float(x) for name, x in zip(columns, solution, strict=True)}
    fitted |= {name: float(getattr(supply(done.x), name)) for name in _AT_REST}
    return fitted, {"charge": (matrix @ solution + 1 - wanted) * seen.charge, "rest": rest}


def fit_neuron(
    e: Condition, seen: Observation, start: Mapping[str, float], capacitors: Mapping[str, float], spikes: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Parameters by least squares of the logarithms of model over circuit: first so that large ones count less
    (`ROBUST`), from there towards the smallest largest one (`levelled`).

    **Returns** them, and what the model says with them, by quantity.
    """
    from scipy.optimize import least_squares

    names = list(start)

    def values(x: Any) -> dict[str, Any]:
        return {
            k: start[k] + _LINEAR[k] * x[i] if k in _LINEAR else start[k] * jnp.exp(x[i]) for i, k in enumerate(names)
        }

    def residuals(x: Any) -> Any:
        found = predict(values(x), e, seen, capacitors, spikes)
        parts = [PULL * x]
        for k in JUDGED:
            there = np.isfinite(getattr(seen, k))
            wanted = np.where(there, getattr(seen, k), 1.0)
            # A spike that does not come in time counts as late as it can be seen to be.
            ratio = jnp.where(there & jnp.isfinite(found[k]), found[k] / wanted, jnp.where(there, 1 / _LATEST, 1.0))
            parts.append(jnp.log(ratio))
        both = jnp.concatenate(parts)
        return both, (both, found)

    at = LastStep(jax.jit(jax.jacfwd(residuals, has_aux=True)))
    done = least_squares(
        at.residuals, np.zeros(len(names)), jac=cast(Any, at.jacobian), loss="soft_l1", f_scale=ROBUST, xtol=1e-4,
        ftol=1e-4, max_nfev=EVALUATIONS,
    )  # fmt: skip
    x = levelled(at, done.x, len(names))
    return {k: float(v) for k, v in values(x).items()}, at.found(x)


def levelled(at: LastStep, x: np.ndarray, pulls: int) -> np.ndarray:
    """Gauss-Newton steps from `x` with weights that grow where the error is large, and the best of them: that with the
    smallest largest error. The first `pulls` residuals are no errors and keep their weight."""
    best, smallest = x, np.inf
    weight = np.ones(0)
    for _ in range(ROUNDS + 1):
        residuals = np.asarray(at.residuals(x))
        errors = np.abs(residuals[pulls:])
        if errors.max() < smallest:
            best, smallest = x, errors.max()
        share = errors / _FAIR
        weight = np.maximum(share, 1) if not weight.size else weight * np.clip(share, _FORGIVE, _INSIST)
        weight = np.clip(weight, 1, _HEAVIEST)
        whole = np.concatenate([np.ones(pulls), weight])
        system = np.concatenate([np.asarray(at.jacobian(x)) * whole[:, None], _DAMPING * np.eye(len(x))])
        step = np.linalg.lstsq(system, np.concatenate([-whole * residuals, np.zeros(len(x))]), rcond=None)[0]
        x = x + np.clip(step, -_LONGEST, _LONGEST)
    return best
