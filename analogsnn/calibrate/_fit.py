"""A circuit fitted to what was measured: bounded least squares with the exact derivatives of `transient`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..circuit import Circuit, use_float64
from ..errors import InputError
from ._certainty import certainty
from ._parameter import Parameter, start_of
from ._problem import Counter, Problem, Simulate, check_influence, check_units, counted, end_of, runs_of
from ._search import INSIDE, Best, search, windows
from ._targets import FitWarning, Target

# A result this close to a bound, as a share of the (logarithmic) range, stands at it.
AT_BOUND = 1e-3


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
      standard deviations of its target. `simulator_runs`: simulations; derivatives of a circuit are taken along the one
      that gave the value, and of a function they are one more.
    - `inseparable`: groups of parameters of which the data tell only a combination.
    - `finished`: False when `max_runs` ended the search. `history`: cost after each accepted step of the best start.
    - `targets`: what was compared, a trace that spikes as its two parts. `before`, `after`: for each what was
      simulated.
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


def fit(
    circuit: Circuit | Simulate,
    targets: Sequence[Target],
    parameters: Sequence[Parameter],
    *,
    t_stop: float | None = None,
    starts: int = 1,
    seed: int = 0,
    max_runs: int = 500,
    precision: float = 1.0,
    grow: bool = True,
    accuracy: str = "reference",
    progress: Callable[[int, float], None] | None = None,
) -> Fit:
    """Fit parameters to measurements.

    Least squares within bounds (scipy's trust region reflective; it keeps strictly inside them), each residual in
    standard deviations of its target, with the exact Jacobian: all columns in one forward-mode batch along the steps
    of one run. A trace that spikes is compared by its spike times and at equal phase between them (`Target.parts`);
    recordings with spikes are fitted in windows that grow, from their first spike to the whole. The bounds
    also hold, as a weak prior about the start, what the data do not tell.

    **Arguments**

    - `circuit`: or a function that gives `Waveforms` for values by path (a behavioural model).
    - `targets`, `parameters`: see `Target`, `Parameter`.
    - `t_stop`: of each run, s; by default the end of the deck's `.tran`, or of the targets where that is sooner.
    - `starts`: how many starts, the first at the initial values, the others drawn by `seed` between the bounds; the
      best result counts. `max_runs`: simulations, after which the best so far is given, with a warning.
    - `precision`: a parameter counts as told by the data when twice its standard error is below this: a share of its
      value where it is logarithmic, else of its range.
    - `grow`: False takes the whole recordings from the beginning.
    - `accuracy`: as of `transient`. `progress`: called after each step with the simulations so far and
      the cost of the window at work.

    **Returns** a `Fit`. It warns (`FitWarning`) when a parameter ends at a bound, when the data cannot tell or separate
    parameters, when the search was ended by `max_runs`, and when a recording seems to be off by a factor of 1000.

    **Raises** `InputError` for paths and nodes that do not exist, starts outside the bounds, targets that no parameter
    moves and parameters that move nothing, recordings longer than the run; `SimulationError` when no start can be
    simulated.
    """
    use_float64()
    targets, parameters = [part for target in targets for part in target.parts()], list(parameters)
    if not targets or not parameters:
        raise InputError("a fit needs at least one target and one parameter.")
    if not precision > 0:
        raise InputError(f"the precision is {precision:g}; it must be positive, such as 0.02.")
    for target in targets:
        if target.sweep in [p.path for p in parameters]:
            raise InputError(f"{target} sweeps '{target.sweep}', which is to be fitted; it can be only one of the two.")
    counter = Counter()
    chips = sorted({target.chip for target in targets})
    base = {p.path: float(circuit[p.path]) for p in parameters} if isinstance(circuit, Circuit) else {}

    def problem_of(part: Sequence[Target]) -> Problem:
        if not isinstance(circuit, Circuit):
            return Problem(counted(circuit, counter), (), {}, part, parameters, chips, counter)
        simulate, deck = runs_of(circuit, part, t_stop, accuracy, counter), circuit.netlist
        return Problem(simulate, deck.measures, deck.params, part, parameters, chips, counter)

    problem = problem_of(targets)
    first = np.clip([start_of(p, base) for p, _ in problem.columns], INSIDE, 1 - INSIDE)
    jacobian = problem.jacobian(first)
    before = problem.split(problem.cost_vector(first))
    deck_end = end_of(circuit) if isinstance(circuit, Circuit) else None
    check_units(targets, before, t_stop if t_stop is not None else deck_end)
    check_influence(problem, jacobian)
    stages = [*map(problem_of, windows(targets) if grow else []), problem]
    generator = np.random.default_rng(seed)
    points = [first, *generator.uniform(0.02, 0.98, (max(starts, 1) - 1, first.size))]
    costs = [problem.cost(x) for x in points]
    counter.limit = max_runs
    best: Best | None = None
    for x0 in [points[k] for k in np.argsort(costs, kind="stable")]:
        end = search(stages, x0, progress)
        if best is None or end.cost < best.cost:
            best = end
        if not end.finished and counter.runs >= counter.limit:
            best = best._replace(finished=False)
            break
    assert best is not None
    counter.limit = math.inf
    return _result(problem, best, costs[0], before, precision)


def _result(
    problem: Problem, best: Best, cost_before: float, before: Sequence[np.ndarray], precision: float
) -> Fit:  # fmt: skip
    cost, x, history, finished = best
    jacobian = problem.jacobian(x)
    after = problem.split(problem.cost_vector(x))
    # Columns per e-fold (logarithmic) or per range, so that directions can be compared.
    scale = np.array([1 / math.log(p.maximum / p.minimum) if p.log else 1.0 for p, _ in problem.columns])
    free = max(jacobian.shape[0] - jacobian.shape[1], 1)
    given = all(target.sigma is not None for target in problem.targets)
    variance = 1.0 if given else max(2 * cost / free, 1e-30)
    errors, groups = certainty(jacobian * scale, problem.names, variance, precision)
    fitted = {}
    for k, (name, (parameter, _)) in enumerate(zip(problem.names, problem.columns, strict=True)):
        value = float(parameter.value(x[k]))
        stderr = float(errors[k] * (value if parameter.log else parameter.slope(value)))
        known = bool(2 * errors[k] < precision)
        at_bound = bool(min(x[k], 1 - x[k]) < AT_BOUND)
        fitted[name] = Fitted(value, stderr if stderr < 1e100 else None, known, at_bound)
    done = Fit(
        fitted, cost_before, cost, problem.counter.runs, groups, finished, history, problem.targets, before, after
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
