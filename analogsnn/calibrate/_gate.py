"""Circuit experiments with the NMDA gate, and the behavioural model fitted to them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit, use_float64
from ..errors import InputError
from ..models import TransistorGate
from ..netlist import Netlist
from ..transient import dc
from ._bench import read_calibration_bench
from ._calibration import Calibration, ErrorRow, valid_range
from ._last_step import LastStep
from ._synapse import card_values

JUDGED = ("current", "open")
OPENED = 0.05  # of the open current: below, a gate counts as shut, and only its rest is judged
_CORNERS = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the open current, where the two are compared
_SHUT = 0.05  # V
_FREE = ("n", "n_in", "i_spec", "i_spec_in", "vt", "tcv", "offset", "gain", "i_off", "i_off_in")
_SCALE = {"tcv": 1e-3, "vt": 0.1, "n": 0.1, "n_in": 0.1, "offset": 0.01}  # linear; the others step in the logarithm
_WEIGHTS = {"current": 1.0, "open": 1.0, "rest": 0.1}
# A weak pull to the card's own values, for what the experiments do not tell apart.
PULL = 0.01


class GateDesign(NamedTuple):
    """The experiments: every combination of synapse currents and thresholds `i_nmda` (A) and °C, each a sweep of the
    membrane."""

    currents: tuple[float, ...] = (20e-12, 60e-12, 200e-12, 1e-9, 10e-9)
    thresholds: tuple[float, ...] = (30e-12, 300e-12, 3e-9)
    celsius: tuple[float, ...] = (0.0, 27.0, 70.0)

    @property
    def size(self) -> int:
        """How many sweeps that are."""
        return len(self.currents) * len(self.thresholds) * len(self.celsius)


class Opening(NamedTuple):
    """One point of a sweep: its bias currents (A) and temperature (°C), the membrane (V), which `quantity` of
    `_WEIGHTS` it shows (by number), and the output of the circuit (A); arrays `[point]`."""

    i_dpi: Any
    i_nmda: Any
    celsius: Any
    v_mem: Any
    quantity: Any
    i_out: Any


def gate(
    block: str = "nmda_gate",
    *,
    card: str = "ekv",
    design: GateDesign | None = None,
    progress: Callable[[float], None] | None = None,
) -> Calibration:
    """Calibrate `TransistorGate` against the NMDA gate of the library.

    Sweeps of the membrane over synapse currents, thresholds and temperatures in our engine; parameters by least squares
    of the relative errors of the output current.

    **Arguments**

    - `card`: an EKV card, by name or file. `design`: the experiments.
    - `progress`: called with 1 after each of the `design.size` sweeps.

    **Returns** a `Calibration` whose `model` is a `TransistorGate` with the bench's threshold; at others it is given by
    `at(i_nmda=…, celsius=…)`. Its errors are by `current` (where 10, 25, 50, 75, 90 % of the open current pass), `open`
    and `rest` (at a membrane of 50 mV, where less than 5 % passes); the first two decide the valid range.

    **Raises** `InputError` for another block, and for a card that is none of our engine's.
    """
    if block != "nmda_gate":
        raise InputError(f"there is no gate to calibrate in '{block}'; there is nmda_gate.")
    use_float64()
    netlist = read_calibration_bench(block, card)
    design = design or GateDesign()
    seen = run_gate(netlist, design, progress)
    values, found = fit_gate(seen, _start(netlist))
    rows = [
        ErrorRow(
            list(_WEIGHTS)[seen.quantity[k]],
            {name: float(getattr(seen, name)[k]) for name in ("i_dpi", "i_nmda", "celsius", "v_mem")},
            float(found[k]), float(seen.i_out[k]),
        )
        for k in range(len(found))
    ]  # fmt: skip
    bench = Circuit.from_netlist(netlist)["in.dc"]
    at = partial(_at, values, bench)
    named = {**values, "kappa": 1 / values["n"], "kappa_in": 1 / values["n_in"]}
    return Calibration(
        block=block, card=card, model=at(), parameters=named, errors=rows,
        valid_range=valid_range(rows, JUDGED, "i_dpi"), experiments=design.size, judged=JUDGED, along="i_dpi", make=at,
    )  # fmt: skip


def _at(
    values: Mapping[str, float], bench: float, *, i_nmda: float | None = None, celsius: float = 27.0,
    i_dpi: float | None = None, v_mem: float | None = None,
) -> TransistorGate:  # fmt: skip
    """The model; the synapse's current and the membrane are no part of it, but of the range."""
    return make_gate(values, bench if i_nmda is None else i_nmda, celsius)


def make_gate(values: Mapping[str, Any], i_nmda: Any, celsius: Any, **more: Any) -> TransistorGate:
    """The model at a threshold (A) and a temperature (°C)."""
    return TransistorGate(i_nmda=i_nmda, celsius=celsius, **{name: values[name] for name in _FREE}, **more)


def run_gate(netlist: Netlist, design: GateDesign, progress: Callable[[float], None] | None = None) -> Opening:
    """The designed sweeps, in our engine."""
    circuit = Circuit.from_netlist(netlist)
    points: list[tuple[float, ...]] = []
    for i_dpi, i_nmda, celsius in itertools.product(*design):
        waves = dc(circuit.replace({"is.dc": i_dpi, "in.dc": i_nmda, "temp": celsius}))
        v, out = np.asarray(waves.time), np.asarray(waves.current("vo"))
        top = float(out[-1])
        found = [("open", float(v[-1]), top)]
        for share in _CORNERS:
            # The logarithm of a gate's current is nearly straight between two voltages, the current is not.
            above = int(np.argmax(out >= share * top))
            if above and out[0] < OPENED * top:
                at = float(np.interp(np.log(share * top), np.log(out[above - 1 : above + 1]), v[above - 1 : above + 1]))
                found.append(("current", at, share * top))
        if np.interp(_SHUT, v, out) < OPENED * top:
            found.append(("rest", _SHUT, float(np.interp(_SHUT, v, out))))
        points += [(i_dpi, i_nmda, celsius, v, list(_WEIGHTS).index(name), i) for name, v, i in found]
        if progress is not None:
            progress(1)
    columns = np.array(points).T
    i_dpi, i_nmda, celsius, v_mem, quantity, i_out = columns
    return Opening(i_dpi, i_nmda, celsius, v_mem, quantity.astype(int), i_out)


def _start(netlist: Netlist) -> dict[str, float]:
    """The card's own values."""
    n, p = card_values(netlist, "n"), card_values(netlist, "p")
    return {
        "n": n["n"], "n_in": p["n"], "i_spec": n["i_spec"], "i_spec_in": p["i_spec"], "vt": n["vt"], "tcv": n["tcv"],
        "offset": 0.0, "gain": 1.0, "i_off": 1e-12, "i_off_in": 0.3e-12,
    }  # fmt: skip


def predicted(values: Mapping[str, Any], seen: Opening, **more: Any) -> Any:
    """What the model says about the points (A), `[point]`."""
    model = make_gate(values, jnp.asarray(seen.i_nmda), jnp.asarray(seen.celsius), **more)
    return model.current(jnp.asarray(seen.i_dpi), jnp.asarray(seen.v_mem))


def fit_gate(seen: Opening, start: Mapping[str, float]) -> tuple[dict[str, float], np.ndarray]:
    """Parameters of the model by least squares of the relative errors (Levenberg-Marquardt).

    **Returns** them, and what the model says with them (A, `[point]`).
    """
    import jax
    from scipy.optimize import least_squares

    weight = np.array(list(_WEIGHTS.values()))[seen.quantity]

    def values(x: Any) -> dict[str, Any]:
        return {
            k: start[k] + _SCALE[k] * x[i] if k in _SCALE else start[k] * jnp.exp(x[i]) for i, k in enumerate(_FREE)
        }

    def residuals(x: Any) -> Any:
        found = predicted(values(x), seen)
        both = jnp.concatenate([PULL * x, weight * jnp.log(found / seen.i_out)])
        return both, (both, {"i_out": found})

    at = LastStep(jax.jit(jax.jacfwd(residuals, has_aux=True)))
    done = least_squares(at.residuals, np.zeros(len(_FREE)), jac=cast(Any, at.jacobian), method="lm", xtol=1e-8)
    return {k: float(v) for k, v in values(done.x).items()}, at.found(done.x)["i_out"]
