"""Derivatives of measures by every number of a circuit, from one run and one reverse pass a measure."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit
from ..errors import InputError, SimulationError
from ..transient import transient
from ._expressions import Quantity, read_measure
from ._parameters import parameter_paths, scale


@dataclass(frozen=True)
class Slopes:
    """A measure and its derivatives.

    - `value`: SI; its unit is in `quantity`.
    - `gradient`: path → d value / d parameter, both in SI units (°C for `temp`).
    - `relative`: path → d ln value / d ln parameter; for `dvt` per mV, for `dbt` by the current factor itself, for
      `temp` per kelvin; None where the parameter or the measure is zero.
    """

    quantity: Quantity
    value: float
    gradient: Mapping[str, float]
    relative: Mapping[str, float | None]

    @property
    def ranked(self) -> tuple[str, ...]:
        """The paths that matter, the largest relative derivative first."""
        found = [path for path, share in self.relative.items() if share]
        return tuple(sorted(found, key=lambda path: -abs(self.relative[path] or 0.0)))

    @property
    def zeros(self) -> tuple[str, ...]:
        """The paths by which the derivative is exactly zero: nothing that the measure looks at depends on them."""
        return tuple(path for path, slope in self.gradient.items() if slope == 0.0)


@dataclass(frozen=True)
class Sensitivity:
    """Measures of a circuit and their derivatives.

    - `measures`: by the text that asked for them.
    - `seconds_forward`, `seconds_gradient`: by the clock, of a run alone, and of the run with all derivatives, which
      compiles what has not been compiled before.
    - `notes`: what the run said about its derivatives.
    """

    circuit: Circuit
    measures: Mapping[str, Slopes]
    settings: Mapping[str, Any]
    seconds_forward: float
    seconds_gradient: float
    notes: tuple[str, ...] = field(default=())


def sensitivity(
    circuit: Circuit,
    measures: str | Sequence[str],
    t_stop: float | None = None,
    *,
    paths: Sequence[str] | None = None,
    accuracy: str = "reference",
    rtol: float | None = None,
    threshold: float | None = None,
    timeout: float | None = None,
) -> Sensitivity:
    """The derivatives of measures by every number of a circuit.

    **Arguments**

    - `circuit`: with its deck's `.tran`, or `t_stop` (s).
    - `measures`: texts such as `"spike_time(spk, 20)"`, `"rate(spk)"`, or names of the deck's `.meas`; one or several.
    - `paths`: of the numbers to differentiate by; by default all (`parameter_paths`). A number that others follow from
      has the derivative of the measure through all of them.
    - `accuracy`, `rtol`, `timeout`: as in `transient`. `threshold`: of spikes, V; by default half the supply.

    **Returns** a `Sensitivity`.

    **Raises** `InputError` with a sentence for every measure that cannot be read or does not happen, and for a path
    that does not exist; `SimulationError` for a run that fails or derivatives that are not finite.

    ```python
    found = sensitivity(circuit, ["spike_time(spk, 5)"])
    found.measures["spike_time(spk, 5)"].relative["x1.cm"]  # 1.1: one per cent more of it, 1.1 per cent later
    ```
    """
    measures = [measures] if isinstance(measures, str) else measures
    if not measures:
        raise InputError("no measure is asked for; give one such as spike_time(spk, 5).")
    quantities = _collected([lambda text=text: read_measure(text, circuit.netlist, threshold) for text in measures])
    chosen = parameter_paths(circuit) if paths is None else tuple(dict.fromkeys(path.lower() for path in paths))
    for path in chosen:
        circuit[path]
    save = None
    if all(quantity.nodes is not None for quantity in quantities):
        save = sorted({node for quantity in quantities for node in quantity.nodes or ()})
    settings = {"t_stop": t_stop, "accuracy": accuracy, "rtol": rtol, "timeout": timeout}

    # A number that follows from others is added to, so that it goes on following them.
    start = {path: float(circuit[path]) if path in circuit.parameters else 0.0 for path in chosen}

    def values(given: Mapping[str, Any]) -> list[Any]:
        own = {path: value for path, value in given.items() if path in circuit.parameters}
        changed = circuit.replace(own).shifted({path: value for path, value in given.items() if path not in own})
        waves = transient(changed, save=save, **settings)
        params = {name: changed[f"param.{name}"] for name in circuit.netlist.params}
        return _collected([lambda q=q: jnp.asarray(q.take(waves, params), dtype=float) for q in quantities])

    values({})  # what does not happen is said before anything is differentiated; and it compiles
    began = time.perf_counter()
    values({})
    forward = time.perf_counter()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found, pull = jax.vjp(values, start)
        columns = np.eye(len(found))
        slopes = [pull([jnp.asarray(x) for x in column])[0] for column in columns]
    slopes = [{path: float(slope) for path, slope in one.items()} for one in slopes]
    done = time.perf_counter()
    result = {}
    for quantity, value, gradient in zip(quantities, map(float, found), slopes, strict=True):
        bad = [path for path, slope in gradient.items() if not math.isfinite(slope)]
        if bad or not math.isfinite(value):
            raise SimulationError(
                f"{quantity.text} is {value:g}, and its derivative by {bad[0] if bad else 'every parameter'} is not a "
                "finite number; the result is refused."
            )
        scales = {path: scale(circuit, path) for path in gradient}
        relative = {
            path: None if by is None or value == 0 else gradient[path] * by / value for path, by in scales.items()
        }
        result[quantity.text] = Slopes(quantity, value, gradient, relative)
    notes = tuple(dict.fromkeys(str(warning.message) for warning in said))
    return Sensitivity(circuit, result, settings | {"save": save}, forward - began, done - forward, notes)


def _collected(jobs: Sequence[Any]) -> list[Any]:
    """The results of all jobs, or one error with the sentence of every one that failed."""
    results, problems = [], []
    for job in jobs:
        try:
            results.append(job())
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return results
