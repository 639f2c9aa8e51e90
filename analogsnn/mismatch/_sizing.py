r"""Sizes by gradient: the spread of a measure, with the mismatch drawn inside the loss.

The shifts of every run of the loss are $z A_{VT}/\sqrt{WL}$ with fixed z, so that the area law moves them with the
sizes and the derivative of the spread by W and L takes in how the circuit and how its mismatch change.

The z are a cubature rule for the normal distribution and no random sample: with n shifts, the 2n points
$\pm\sqrt n\,q_i$, the q_i the rows of a random orthogonal matrix. Their mean is zero, their covariance is the identity
and all third moments vanish, so that the spread of a measure that is linear in the shifts comes out exactly; a sample
of the same size would leave the optimiser correlations to exploit. What it finds is verified by a Monte Carlo.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, SimulationError
from ..measure import evaluate_measures
from ..netlist import Netlist
from ._draws import standard_normals
from ._law import AreaLaw, transistors
from ._size_spec import SizeSpec, on_grid

if TYPE_CHECKING:
    from ..circuit import Circuit


@dataclass(frozen=True)
class Sizing:
    """Sizes before and after.

    **Fields**

    - `before`, `after`: parameter path → value in SI units; `after` lies on the grid of the process.
    - `exact`: before it was put there. `area_before`, `area_after`: m².
    - `cv_before`, `cv_after`: of the loss, at `before` and `exact`.
    - `evaluations`, `iterations`: of the optimiser. `message`: what it says at the end.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    exact: Mapping[str, float]
    area_before: float
    area_after: float
    cv_before: float
    cv_after: float
    evaluations: int
    iterations: int
    message: str


@dataclass(frozen=True)
class _Point:
    """Everything at one set of sizes, with derivatives by their logarithms `[parameter]`."""

    area: float
    area_slope: np.ndarray
    cv: float
    cv_slope: np.ndarray  # of ln cv
    held: np.ndarray  # [hold], ln(measure / value)
    held_slope: np.ndarray  # [hold, parameter]


class Loss:
    """Area, spread and held measures of a circuit as functions of the logarithms of its sizes.

    **Arguments**: `netlist` with the sizes to begin with, `spec`, and the `law` of mismatch.
    """

    def __init__(self, netlist: Netlist, spec: SizeSpec, law: AreaLaw):
        from ..circuit import Circuit

        self.spec, self.law = spec, law
        self.circuit = Circuit.from_netlist(netlist)
        self.paths = list(spec.parameters)
        chosen = {t.path for t in transistors(netlist, law)}
        fets = self.circuit.topology.fets
        self.rows = np.array([i for i, fet in enumerate(fets) if fet.name in chosen])
        self.names = [fets[i].name for i in self.rows]
        self.avt = np.array([getattr(law, f"avt_{fets[i].definition.name[0]}") for i in self.rows])
        self.abeta = np.array([getattr(law, f"abeta_{fets[i].definition.name[0]}") for i in self.rows])
        self.offset = {p: float(self.circuit[p]) for n in self.names for p in (f"{n}.dvt", f"{n}.dbt")}
        for path in self.paths:
            self.circuit[path]  # unknown paths are refused here
        self.targets = dict(spec.hold)
        self.points = cubature(len(self.rows) * (2 if self.abeta.any() else 1), spec.seed)
        self.seen: dict[bytes, _Point] = {}
        self.programs: dict[str, Callable[[Any, np.ndarray], Any]] = {}
        self.values: dict[str, float] = {}
        self.evaluations = 0

    def at(self, u: np.ndarray) -> _Point:
        """Everything at the logarithms `u`."""
        key = np.asarray(u, float).tobytes()
        if key not in self.seen:
            self.seen[key] = self._evaluate(np.asarray(u, float))
        return self.seen[key]

    def _evaluate(self, u: np.ndarray) -> _Point:
        import jax
        import jax.numpy as jnp

        self.evaluations += 1
        sizes = jnp.asarray(u)
        area, area_slope = jax.value_and_grad(self._area)(sizes)
        if not self.values:
            self.values = self._nominal(u)
        held = [self._measure(sizes, None, name) for name in self.targets]
        runs = [self._measure(sizes, z, self.spec.measure) for z in self.points]
        values, slopes = np.array([v for v, _ in runs]), np.array([s for _, s in runs])
        mean, deviation = values.mean(), values - values.mean()
        variance = (deviation**2).mean()
        cv_slope = (deviation @ slopes) / (len(values) * variance) - slopes.mean(axis=0) / mean
        return _Point(
            float(area), np.asarray(area_slope), math.sqrt(variance) / abs(mean), cv_slope,
            np.array([math.log(v / self.values[n]) for (v, _), n in zip(held, self.targets, strict=True)]),
            np.array([s / v for v, s in held]).reshape(-1, len(u)),
        )  # fmt: skip

    def _sized(self, u: Any) -> Circuit:
        import jax.numpy as jnp

        sizes = jnp.exp(u)
        return self.circuit.replace({path: sizes[i] for i, path in enumerate(self.paths)})

    def _areas(self, circuit: Circuit) -> Any:
        instance = circuit.values().instance
        return (instance["w"] * instance["l"] * instance["m"])[self.rows]

    def _area(self, u: Any) -> Any:
        return self._areas(self._sized(u)).sum()

    def _measure(self, u: Any, z: np.ndarray | None, name: str) -> tuple[float, np.ndarray]:
        """A measure and its derivatives by the logarithms, at the shifts that the numbers `z` give."""
        if name not in self.programs:
            self.programs[name] = self._compiled(name)
        number, slope = self.programs[name](u, np.zeros(self.points.shape[1]) if z is None else z)
        if not math.isfinite(float(number)) or not np.isfinite(np.asarray(slope)).all():
            where = self.sizes_text(np.asarray(u))
            raise SimulationError(
                f"measure '{name}' has no value, or no derivative, in a run of the loss at {where}: it may not happen "
                "there, or the run may have failed. Give closer bounds, or a longer run."
            )
        return float(number), np.asarray(slope)

    def _compiled(self, name: str) -> Callable[[Any, np.ndarray], Any]:
        """One program for all runs: without it every run would compile the operations for its own number of steps."""
        import jax

        from ..transient import transient

        steps = transient(self.circuit, self.spec.t_stop, accuracy=self.spec.accuracy).steps
        room = 2 ** math.ceil(math.log2(1.5 * float(steps)))

        def value(u: Any, z: Any) -> Any:
            circuit = self._sized(u)
            return self._read(circuit.replace(self._shifts(circuit, z)), name, room)

        return jax.jit(jax.value_and_grad(value))

    def _shifts(self, circuit: Circuit, z: Any) -> dict[str, Any]:
        root = self._areas(circuit) ** -0.5
        n = len(self.rows)
        shifts = {f"{name}.dvt": z[i] * self.avt[i] * root[i] for i, name in enumerate(self.names)}
        if self.abeta.any():
            shifts |= {f"{name}.dbt": z[n + i] * self.abeta[i] * root[i] for i, name in enumerate(self.names)}
        return {path: self.offset[path] + shift for path, shift in shifts.items()}

    def _read(self, circuit: Circuit, name: str, room: int = 5_000_000) -> Any:
        from ..transient import transient

        waves = transient(circuit, self.spec.t_stop, accuracy=self.spec.accuracy, max_steps=room)
        netlist = circuit.netlist
        needed = [m for m in netlist.measures if m.analysis == "tran"]
        last = next(i for i, m in enumerate(needed) if m.name == name)
        results = evaluate_measures(waves, needed[: last + 1], netlist.params, strict=False)
        if results[name] is None:
            evaluate_measures(waves, needed[: last + 1], netlist.params)  # says why
        return results[name]

    def _nominal(self, u: np.ndarray) -> dict[str, float]:
        found = {}
        for name, hold in self.targets.items():
            value = hold.value
            if value is None:
                value = float(self._read(self.circuit, name))  # that of the deck
            if not value:
                raise InputError(f"[hold.{name}] has the value 0; a relative tolerance needs another.")
            found[name] = value
        return found

    def sizes_text(self, u: np.ndarray) -> str:
        """Sizes in words."""
        return ", ".join(f"{path} = {math.exp(x):.3g}" for path, x in zip(self.paths, u, strict=True))


def cubature(n: int, seed: int) -> np.ndarray:
    """Points `[2 n, n]` whose mean is zero, whose covariance is the identity and whose odd moments vanish."""
    random = standard_normals(seed, range(n), [f"cubature {i} of {n}" for i in range(n)])
    orthogonal, triangle = np.linalg.qr(random)
    orthogonal = orthogonal * np.sign(np.diag(triangle))
    return math.sqrt(n) * np.concatenate([orthogonal, -orthogonal])


def optimise(
    netlist: Netlist, spec: SizeSpec, law: AreaLaw, progress: Callable[[int, float, float], None] | None = None
) -> Sizing:
    """Find sizes. `progress` is called with the number of evaluations, the CV and the area.

    SLSQP on the logarithms of the sizes, with exact derivatives of the spread, the area and the held measures.

    **Raises** `InputError` for paths and measures that there are not, or a start that cannot be; `SimulationError` for
    runs that fail, or a search that ends where the limits are broken.
    """
    from scipy.optimize import minimize

    known = [m.name for m in netlist.measures if m.analysis == "tran"]
    for name in (spec.measure, *spec.hold):
        if name not in known:
            raise InputError(f"{netlist.file} has no measure '{name}'; there are {', '.join(known) or 'none'}.")
    loss = Loss(netlist, spec, law)
    bounds = [(math.log(p.min), math.log(p.max)) for p in spec.parameters.values()]
    first = {path: float(loss.circuit[path]) for path in loss.paths}
    for path, p in spec.parameters.items():
        if not p.min * (1 - 1e-9) <= first[path] <= p.max * (1 + 1e-9):
            raise InputError(f"'{path}' begins at {first[path]:g}, outside its bounds {p.min:g} to {p.max:g}.")
    u0 = np.clip(np.log(list(first.values())), *np.array(bounds).T)
    start = loss.at(u0)
    small = spec.minimise == "area"
    limit = spec.cv_max if small else spec.area_max or start.area
    assert limit is not None

    def told(u: np.ndarray) -> _Point:
        point = loss.at(u)
        if progress is not None:
            progress(loss.evaluations, point.cv, point.area)
        return point

    def aim(u: np.ndarray) -> tuple[float, np.ndarray]:
        p = told(u)
        return (math.log(p.area), p.area_slope / p.area) if small else (math.log(p.cv), p.cv_slope)

    def margins(u: np.ndarray) -> np.ndarray:
        p = loss.at(u)
        budget = math.log(limit) - math.log(p.cv if small else p.area)
        room = np.array([math.log1p(hold.tolerance) for hold in loss.targets.values()])
        return np.concatenate([[budget], room - p.held, room + p.held])

    def margin_slopes(u: np.ndarray) -> np.ndarray:
        p = loss.at(u)
        budget = -(p.cv_slope if small else p.area_slope / p.area)
        return np.concatenate([budget[None], -p.held_slope, p.held_slope])

    found = minimize(
        aim, u0, jac=True, method="SLSQP", bounds=bounds,
        constraints={"type": "ineq", "fun": margins, "jac": margin_slopes},
        options={"maxiter": spec.iterations, "ftol": 1e-4},
    )  # fmt: skip
    best, slack = found.x, margins(found.x).min()
    if slack < -1e-3:
        raise SimulationError(
            f"no sizes within the limits were found (off by {-slack:.2%} after {found.nit} iterations: "
            f"{found.message}); give wider bounds, a looser tolerance or more area."
        )
    exact = {path: math.exp(x) for path, x in zip(loss.paths, best, strict=True)}
    after = rounded(exact, spec, None if small else limit, lambda sizes: loss_area(loss, sizes))
    end = loss.at(best)
    return Sizing(
        first, after, exact, start.area, loss_area(loss, after), start.cv, end.cv, loss.evaluations, int(found.nit),
        str(found.message),
    )  # fmt: skip


def loss_area(loss: Loss, sizes: Mapping[str, float]) -> float:
    """The gate area at given sizes, m²."""
    return float(loss._areas(loss.circuit.replace(sizes)).sum())


def rounded(
    exact: Mapping[str, float], spec: SizeSpec, area_max: float | None, area: Callable[[Mapping[str, float]], float]
) -> dict[str, float]:
    """Sizes on the grid: the nearest, and, while the area is over its limit, the next lower where least is lost."""
    after = {path: on_grid(value, spec.grid) for path, value in exact.items()}
    if spec.grid is None or area_max is None:
        return after
    for path in sorted(after, key=lambda p: -(after[p] - exact[p]) / exact[p]):
        if area(after) <= area_max * (1 + 1e-9):
            break
        after[path] = on_grid(exact[path], spec.grid, down=True)
    return after


def start_netlist(netlist: Netlist, spec: SizeSpec) -> Netlist:
    """The deck with the initial sizes of the specification.

    **Raises** `InputError` with near names for a path that does not exist.
    """
    from ..netlist import parameter_values

    known = parameter_values(netlist)
    for path in spec.parameters:
        if path not in known:
            import difflib

            close = difflib.get_close_matches(path, known, 3)
            hint = f"did you mean {' or '.join(close)}?" if close else ""
            raise InputError(f"{netlist.file} has no parameter '{path}'; {hint}".rstrip("; ") + ("" if hint else "."))
    initial = {path: p.initial for path, p in spec.parameters.items() if p.initial is not None}
    return netlist.replace(initial) if initial else netlist


def law_of(netlist: Netlist, spec: SizeSpec) -> AreaLaw:
    """The mismatch law of a specification: the card's, with its own A_VT and ideal transistors."""
    own = {} if spec.avt is None else {"avt_n": spec.avt, "avt_p": spec.avt}
    law = AreaLaw.from_card(netlist, **own)
    return dataclasses.replace(law, ideal=spec.ideal)
