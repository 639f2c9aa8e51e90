"""The search for the parameters: bounded least squares over windows of the recordings that grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, SimulationError
from ._problem import OutOfRuns, Problem, half_square
from ._targets import Target

# The bounds, taken as a uniform distribution, know a parameter to this share of its range. It enters as one more
# residual a parameter, about the start: a direction that the data do not tell stays where it began, and one that they
# tell to a hundredth of its range moves by a thousandth of what it was off.
PRIOR = 1 / math.sqrt(12)
INSIDE = 1e-6  # a search begins so far from the bounds, as a share of the range
# Windows end behind the first spike, the second, the fourth …: late spikes of a wrong start lie anywhere, and a trace
# through them has as many minima as it has spikes.
GROWTH = 2
# In them a spike may be late by this share of its interval. Known to microseconds, spikes are walls of a narrow and
# bent valley, along which a search creeps; what else there is to be told is told by the trace between them.
LOOSE = 3e-3
# A window that is not the last only brings the parameters near.
_ROUGH: dict[str, Any] = {"ftol": 1e-3, "xtol": 1e-4, "gtol": None, "max_nfev": 10}
_FINE: dict[str, Any] = {"ftol": 1e-6, "xtol": 1e-8, "gtol": 1e-9}


class Best(NamedTuple):
    """The end of a search: cost and place, the costs on the way, and whether it ended by itself."""

    cost: float
    x: np.ndarray
    history: tuple[float, ...]
    finished: bool


def windows(targets: Sequence[Target]) -> list[list[Target]]:
    """What is fitted before the whole: the targets cut behind the first spikes of each chip's recording, more of them
    each time, and all of them; with spikes that may be late a little (`LOOSE`). Nothing where there are no spikes.

    Targets without times (measures, rates) are in every window.
    """
    spikes: dict[str, np.ndarray] = {}
    for target in targets:
        found = target.events().times
        if len(found) > len(spikes.get(target.chip, ())):
            spikes[target.chip] = found
    most = max((len(found) for found in spikes.values()), default=0)
    targets = [target.loosened(LOOSE) for target in targets]
    stages: list[list[Target]] = []
    count = 1
    while 1.5 * count < most:
        cut = []
        for target in targets:
            times = spikes.get(target.chip, np.zeros(0))
            # Midway to the next spike.
            end = 0.5 * (times[count - 1] + times[count]) if len(times) > count else math.inf
            part = target.until(end)
            if part is not None:
                cut.append(part)
        stages.append(cut)
        count *= GROWTH
    return [*stages, targets] if most else []


def search(stages: Sequence[Problem], x0: np.ndarray, progress: Callable[[int, float], None] | None) -> Best:
    """Least squares from `x0` over each stage in turn; the cost that is given is that of the last."""
    history: list[float] = []
    x, finished = x0, True
    for number, problem in enumerate(stages):
        last = number == len(stages) - 1
        costs = history if last else []
        x, finished = _descend(problem, x, x0, costs, progress, rough=not last)
        if not finished:
            break
    problem = stages[-1]
    limit, problem.counter.limit = problem.counter.limit, math.inf
    cost = problem.cost(x)
    problem.counter.limit = limit
    return Best(cost, x, tuple(history) or (cost,), finished)


def _descend(
    problem: Problem, x: np.ndarray, centre: np.ndarray, costs: list[float],
    progress: Callable[[int, float], None] | None, *, rough: bool,
) -> tuple[np.ndarray, bool]:  # fmt: skip
    """Where a search over one stage ends, and whether by itself; the cost of each step that improved on all before is
    added to `costs`."""
    from scipy.optimize import least_squares

    best = (math.inf, x)

    def residuals(point: np.ndarray) -> np.ndarray:
        nonlocal best
        data, held = problem.cost_vector(point), (point - centre) / PRIOR
        total = half_square(data) + half_square(held)
        if total < best[0]:
            best = total, np.array(point)
            costs.append(half_square(data))
            if progress is not None:
                progress(problem.counter.runs, costs[-1])
        return np.concatenate([data, held])

    def jacobian(point: np.ndarray) -> np.ndarray:
        return np.concatenate([problem.jacobian(point), np.eye(len(point)) / PRIOR])

    ends = _ROUGH if rough else _FINE
    try:
        done = least_squares(
            residuals, np.clip(x, INSIDE, 1 - INSIDE), jac=jacobian,  # pyright: ignore[reportArgumentType]
            bounds=(0.0, 1.0), method="trf", **ends,
        )  # fmt: skip
    except (OutOfRuns, SimulationError, InputError):
        # Out of simulations, or a derivative that does not exist where the search stands (a spike that only grazes).
        return best[1], False
    return done.x, rough or done.status > 0
