"""A circuit fitted to what was measured: bounded least squares with the exact derivatives of `transient`."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit import Circuit, use_float64
from ..errors import InputError, SimulationError
from ..netlist import Tran
from ..transient import transient
from ..waveforms import Waveforms
from ._targets import FitWarning, Target

Simulate = Callable[[Mapping[str, Any]], Waveforms]
# Where a start has no value that is given, and where a result stands at a bound: shares of the (logarithmic) range.
AT_BOUND = 1e-3
# A parameter whose standard error is as large as this share of its range (of one e-fold, for logarithmic ones) is one
# that the data do not tell.
UNKNOWN = 0.5
# Directions in which the data say this much less than in the best one cannot be separated.
SEPARABLE = 1e-6
FAILED = 1e3  # residual of a simulation that did not end, in standard deviations
_FACTORS = (1e3, 1e6, 1e-3, 1e-6)


@dataclass(frozen=True)
class Parameter:
    """What a fit may change: a parameter path, bounds, and how.

    - `minimum`, `maximum`: SI units. `initial`: start, by default the circuit's own value.
    - `log`: step in the logarithm. `per_chip`: every chip has its own value.
    """

    path: str
    minimum: float
    maximum: float
    initial: float | None = None
    log: bool = True
    per_chip: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.minimum) and math.isfinite(self.maximum) and self.minimum < self.maximum):
            raise InputError(f"'{self.path}': min is {self.minimum:g} and max {self.maximum:g}; min must be below max.")
        if self.log and self.minimum <= 0:
            raise InputError(f"'{self.path}': min is {self.minimum:g}, which has no logarithm; give log = false.")

    def inside(self, value: float) -> float:
        """Value → coordinate from 0 to 1 between the bounds."""
        if self.log:
            return math.log(value / self.minimum) / math.log(self.maximum / self.minimum)
        return (value - self.minimum) / (self.maximum - self.minimum)

    def value(self, x: Any) -> Any:
        """Coordinate → value."""
        if self.log:
            return self.minimum * jnp.exp(x * math.log(self.maximum / self.minimum))
        return self.minimum + x * (self.maximum - self.minimum)

    def slope(self, value: float) -> float:
        """d value/d coordinate."""
        if self.log:
            return value * math.log(self.maximum / self.minimum)
        return self.maximum - self.minimum


@dataclass(frozen=True)
class Fitted:
    """One parameter's result: `value` and `stderr` in its own unit, whether the data tell it, whether at a bound."""

    value: float
    stderr: float | None
    identifiable: bool
    at_bound: bool


@dataclass(frozen=True)
class Fit:
    """The result of `fit`.

    - `parameters`: by path, or `path@chip`. `cost_before`, `cost_after`: half the sum of the squared residuals, each in
      standard deviations of its target. `simulator_runs`: simulations, derivatives counted as one more each.
    - `inseparable`: groups of parameters of which the data tell only a combination.
    - `finished`: False when `max_runs` ended the search. `history`: cost after each accepted step of the best start.
    - `before`, `after`: for each target what was simulated.
    """

    parameters: Mapping[str, Fitted]
    cost_before: float
    cost_after: float
    simulator_runs: int
    inseparable: tuple[tuple[str, ...], ...]
    finished: bool
    history: tuple[float, ...]
    targets: Sequence[Target]
    before: Sequence[np.ndarray]
    after: Sequence[np.ndarray]

    @property
    def ok(self) -> bool:
        """Whether the search ended by itself, and no parameter at a bound."""
        return self.finished and not any(p.at_bound for p in self.parameters.values())

    def to_dict(self) -> dict[str, Any]:
        """What `analogsnn fit --json` writes."""
        return {
            "parameters": {name: dict(vars(p)) for name, p in self.parameters.items()},
            "cost_before": self.cost_before, "cost_after": self.cost_after, "simulator_runs": self.simulator_runs,
            "inseparable": [list(group) for group in self.inseparable], "finished": self.finished,
        }  # fmt: skip


class _Problem:
    """Residuals and their Jacobian over the coordinates of all parameters, with the number of simulations done."""

    def __init__(
        self, simulate: Simulate, measures: Any, params: Mapping[str, float], targets: Sequence[Target],
        parameters: Sequence[Parameter],
    ):  # fmt: skip
        self.simulate, self.measures, self.params = simulate, measures, params
        self.targets, self.runs, self.limit = targets, 0, math.inf
        self.chips = sorted({target.chip for target in targets})
        self.columns = [
            (parameter, chip) for parameter in parameters for chip in (self.chips if parameter.per_chip else [None])
        ]

    @property
    def names(self) -> list[str]:
        return [p.path if chip is None else f"{p.path}@{chip}" for p, chip in self.columns]

    def values(self, x: Any, chip: str) -> dict[str, Any]:
        return {p.path: p.value(x[k]) for k, (p, of) in enumerate(self.columns) if of in (None, chip)}

    def simulated(self, x: Any) -> list[Any]:
        """What every target gets, `[n]` each."""
        done: dict[tuple[str, tuple[tuple[str, float], ...]], Waveforms] = {}
        found = []
        for target in self.targets:
            parts = []
            for sweep in target.runs:
                key = (target.chip, tuple(sweep.items()))
                if key not in done:
                    self.runs += 1
                    done[key] = self.simulate({**self.values(x, target.chip), **sweep})
                parts.append(target.simulated(done[key], self.measures, self.params))
            found.append(jnp.concatenate(parts))
        return found

    def residuals(self, x: Any) -> Any:
        found = self.simulated(x)
        return jnp.concatenate([(a - t.values) / t.spread for a, t in zip(found, self.targets, strict=True)])

    def cost_vector(self, x: np.ndarray) -> np.ndarray:
        """Residuals; of a simulation that fails, ones so large that the search turns back."""
        if self.runs >= self.limit:
            raise _OutOfRuns
        try:
            return np.asarray(self.residuals(x))
        except (SimulationError, InputError):
            return np.full(sum(t.values.size for t in self.targets), FAILED)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """All columns in one batch of forward derivatives along the steps of one run."""
        if self.runs >= self.limit:
            raise _OutOfRuns
        point = jnp.asarray(x)
        return np.asarray(jax.vmap(lambda v: jax.jvp(self.residuals, (point,), (v,))[1])(jnp.eye(len(x)))).T


class _OutOfRuns(Exception):
    pass


class _Best(NamedTuple):
    """The best end of a search so far: its cost and place, the costs on the way, and whether it ended by itself."""

    cost: float
    x: np.ndarray
    history: tuple[float, ...]
    finished: bool


def fit(
    circuit: Circuit | Simulate,
    targets: Sequence[Target],
    parameters: Sequence[Parameter],
    *,
    t_stop: float | None = None,
    starts: int = 1,
    seed: int = 0,
    max_runs: int = 500,
    accuracy: str = "reference",
    progress: Callable[[float], None] | None = None,
) -> Fit:
    """Fit parameters to measurements.

    Least squares within bounds (scipy's trust region reflective; it keeps strictly inside them), each residual in
    standard deviations of its target, with the exact Jacobian: all columns in one forward-mode batch along the steps
    of one run.

    **Arguments**

    - `circuit`: or a function that gives `Waveforms` for values by path (a behavioural model).
    - `targets`, `parameters`: see `Target`, `Parameter`.
    - `t_stop`: of each run, s; by default the end of the deck's `.tran`, or of the targets where that is sooner.
    - `starts`: how many starts, the first at the initial values, the others drawn by `seed` between the bounds; the
      best result counts. `max_runs`: simulations, after which the best so far is given, with a warning.
    - `accuracy`: as of `transient`. `progress`: called with the cost after each step.

    **Returns** a `Fit`. It warns (`FitWarning`) when a parameter ends at a bound, when the data cannot tell or separate
    parameters, when the search was ended by `max_runs`, and when a recording seems to be off by a factor of 1000.

    **Raises** `InputError` for paths and nodes that do not exist, starts outside the bounds, targets that no parameter
    moves and parameters that move nothing, recordings longer than the run; `SimulationError` when no start can be
    simulated.
    """
    from scipy.optimize import least_squares

    use_float64()
    targets, parameters = list(targets), list(parameters)
    if not targets or not parameters:
        raise InputError("a fit needs at least one target and one parameter.")
    measures: Any = ()
    params: Mapping[str, float] = {}
    base: Mapping[str, float] = {}
    if isinstance(circuit, Circuit):
        measures, params = circuit.netlist.measures, circuit.netlist.params
        base = {p.path: float(circuit[p.path]) for p in parameters}
        simulate = _runs(circuit, targets, t_stop, accuracy)
    else:
        simulate = circuit
    problem = _Problem(simulate, measures, params, targets, parameters)
    first = np.array([_start(p, base) for p, _ in problem.columns])
    before = [np.asarray(values) for values in problem.simulated(first)]
    _check_units(targets, before)
    jacobian = problem.jacobian(first)
    _check_influence(problem, jacobian)
    generator = np.random.default_rng(seed)
    points = [first, *generator.uniform(0.02, 0.98, (max(starts, 1) - 1, first.size))]
    costs = [_cost(problem.cost_vector(x)) for x in points]
    problem.limit = max_runs
    best = _Best(costs[0], first, (costs[0],), False)
    jacobian_at: Any = problem.jacobian
    for x0 in [points[k] for k in np.argsort(costs, kind="stable")]:
        history: list[tuple[float, np.ndarray]] = []

        def watched(x: np.ndarray, history: list[tuple[float, np.ndarray]] = history) -> np.ndarray:
            residuals = problem.cost_vector(x)
            cost = _cost(residuals)
            if not history or cost < history[-1][0]:
                history.append((cost, np.array(x)))
                if progress is not None:
                    progress(cost)
            return residuals

        finished = True
        try:
            done = least_squares(
                watched, np.clip(x0, 1e-6, 1 - 1e-6), jac=jacobian_at, bounds=(0.0, 1.0), x_scale="jac",
                ftol=1e-9, xtol=1e-8, gtol=1e-9, method="trf",
            )  # fmt: skip
            end = (float(done.cost), done.x)
            finished = done.status > 0
        except _OutOfRuns:
            finished = False
            if not history:
                break
            end = history[-1]
        if end[0] < best.cost or (not best.finished and end[0] <= best.cost):
            best = _Best(*end, tuple(cost for cost, _ in history), finished)
        if not finished:
            best = best._replace(finished=False)
            break
    problem.limit = math.inf
    return _result(problem, best, costs[0], before)


def _cost(residuals: np.ndarray) -> float:
    return 0.5 * float(residuals @ residuals)


def _start(parameter: Parameter, base: Mapping[str, float]) -> float:
    value = parameter.initial if parameter.initial is not None else base.get(parameter.path)
    if value is None:
        return 0.5
    if not parameter.minimum <= value <= parameter.maximum:
        which = "initial" if parameter.initial is not None else "value in the deck"
        raise InputError(
            f"'{parameter.path}': its {which}, {value:g}, lies outside its bounds, {parameter.minimum:g} to "
            f"{parameter.maximum:g}; give another start or wider bounds."
        )
    return parameter.inside(value)


def _runs(circuit: Circuit, targets: Sequence[Target], t_stop: float | None, accuracy: str) -> Simulate:
    """The simulation that all targets need: only as long, and only of the nodes that they look at."""
    tran = next((a for a in circuit.netlist.analyses if isinstance(a, Tran)), None)
    stop = t_stop if t_stop is not None else tran.stop if tran else None
    if stop is None:
        raise InputError(f"{circuit.netlist.file} has no .tran; add one, or give t_stop.")
    ends = []
    for target in targets:
        times = target.axis if target.kind == "trace" else target.values if target.kind == "spike_times" else None
        if times is None:
            ends.append(stop)
            continue
        if times[0] < 0:
            raise InputError(f"{target}: its first time is {times[0]:g} s; times count from the beginning of the run.")
        if times[-1] > stop * (1 + 1e-9):
            hint = next(
                (f" Is it in {unit}?" for unit, f in (("ms", 1e3), ("µs", 1e6)) if 0.03 < times[-1] / stop / f < 3), ""
            )
            raise InputError(f"{target} reaches {times[-1]:g} s, and the run ends at {stop:g} s.{hint}")
        # A margin lets a late spike come, and be late.
        ends.append(min(stop, times[-1] * 1.02 if target.kind == "trace" else times[-1] * 1.2))
    stop = max(ends)
    plain = not any(t.kind == "measure" or t.name.lower().startswith("i(") for t in targets)
    nodes = sorted({t.name.lower() for t in targets}) if plain else None
    for target in targets:
        if target.kind == "measure" or target.name.lower().startswith("i("):
            continue
        if target.name.lower() not in circuit.nodes:
            close = difflib.get_close_matches(target.name.lower(), circuit.nodes, 3) or list(circuit.nodes[:6])
            raise InputError(f"{target}: the circuit has no node of that name; there are {', '.join(close)}.")

    def simulate(values: Mapping[str, Any]) -> Waveforms:
        return transient(circuit.replace(values), stop, accuracy=accuracy, save=nodes)

    return simulate


def _check_units(targets: Sequence[Target], before: Sequence[np.ndarray]) -> None:
    for target, simulated in zip(targets, before, strict=True):
        ours, theirs = (float(np.median(np.abs(x))) for x in (simulated, target.values))
        if not ours or not theirs:
            continue
        for factor in _FACTORS:
            if 1 / 5 < theirs / ours / factor < 5:
                warnings.warn(
                    f"{target}: its values are about {factor:g} times those of the simulation at the start "
                    f"({theirs:.3g} against {ours:.3g}). Look at the unit; SI is expected.",
                    FitWarning, stacklevel=3,
                )  # fmt: skip


def _check_influence(problem: _Problem, jacobian: np.ndarray) -> None:
    row = 0
    for target in problem.targets:
        block = jacobian[row : row + target.values.size]
        row += target.values.size
        if not np.any(block):
            raise InputError(
                f"{target}: none of {', '.join(problem.names)} moves it at the start; look at the node, or at whether "
                "a spike comes at all."
            )
    for name, column in zip(problem.names, jacobian.T, strict=True):
        if not np.any(column):
            raise InputError(f"'{name}' moves none of the targets; leave it out.")


def _result(
    problem: _Problem, best: _Best, cost_before: float,
    before: Sequence[np.ndarray],
) -> Fit:  # fmt: skip
    cost, x, history, finished = best
    after = [np.asarray(values) for values in problem.simulated(x)]
    jacobian = problem.jacobian(x)
    names = problem.names
    # Columns per e-fold (logarithmic) or per range, so that directions can be compared.
    scale = np.array([1 / math.log(p.maximum / p.minimum) if p.log else 1.0 for p, _ in problem.columns])
    _, singular, directions = np.linalg.svd(jacobian * scale, full_matrices=False)
    free = max(jacobian.shape[0] - jacobian.shape[1], 1)
    given = all(target.sigma is not None for target in problem.targets)
    variance = 1.0 if given else max(2 * cost / free, 1e-30)
    floor = SEPARABLE * singular[0]
    inverse = directions.T @ np.diag(1 / np.maximum(singular, 1e-300) ** 2) @ directions
    errors = np.sqrt(np.minimum(np.diag(inverse), 1e300) * variance)
    groups = []
    for k, value in enumerate(singular):
        if value < floor or np.sqrt(variance) / max(value, 1e-300) > UNKNOWN:
            group = tuple(n for n, share in zip(names, directions[k], strict=True) if abs(share) > 0.3)
            if len(group) > 1:
                groups.append(group)
    fitted = {}
    for k, (parameter, _) in enumerate(problem.columns):
        value = float(parameter.value(x[k]))
        known = bool(errors[k] < UNKNOWN)
        stderr = float(errors[k] * (value if parameter.log else parameter.slope(value)))
        at_bound = bool(min(x[k], 1 - x[k]) < AT_BOUND)
        fitted[names[k]] = Fitted(value, stderr if math.isfinite(stderr) else None, known, at_bound)
    done = Fit(
        fitted, cost_before, cost, problem.runs, tuple(groups), finished, history, problem.targets, before, after
    )
    _speak(done)
    return done


def _speak(done: Fit) -> None:
    for name, p in done.parameters.items():
        if p.at_bound:
            warnings.warn(f"'{name}' ends at a bound, {p.value:g}; widen it, or ask why.", FitWarning, stacklevel=4)
        if not p.identifiable:
            warnings.warn(
                f"the data do not tell '{name}': {p.value:.3g} ± {p.stderr or math.inf:.2g}.", FitWarning, stacklevel=4
            )
    for group in done.inseparable:
        warnings.warn(f"the data cannot separate {', '.join(group)}: only a combination.", FitWarning, stacklevel=4)
    if not done.finished:
        warnings.warn(
            f"the search was ended after {done.simulator_runs} simulations; the best so far is given. Allow more runs.",
            FitWarning, stacklevel=4,
        )  # fmt: skip
