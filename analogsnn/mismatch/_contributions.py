"""Which transistor spreads a measure by how much: first order, from one reverse pass, judged by the samples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ._draws import terms_of
from ._law import transistors

if TYPE_CHECKING:
    from ._result import Campaign


@dataclass(frozen=True)
class Contributions:
    r"""The variance of a measure by its sources, to first order: with the shifts p of the transistors as sums
    $p_j = \sum_k w_{jk} z_k$ of independent standard normal numbers, number k contributes
    $(\sum_j \partial m/\partial p_j\, w_{jk})^2$. For the area law alone that is $(\partial m/\partial p)^2\sigma^2$.

    **Fields**

    - `measure`; `gradient`: path → ∂m/∂p at the nominal circuit (per V for `dvt`).
    - `shares`: transistor (or what transistors share, such as `chip n`) → its part of the variance; they sum to 1.
    - `cv`: to first order. `explained`: 1 − the variance of what first order leaves of the samples, over theirs; of the
      logarithms where the measure is positive.
    """

    measure: str
    gradient: Mapping[str, float]
    shares: Mapping[str, float]
    cv: float
    explained: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        explained = None if math.isnan(self.explained) else self.explained
        return {"cv": self.cv, "explained": explained, "shares": dict(self.shares), "gradient": dict(self.gradient)}

    def lines(self) -> list[str]:
        """The largest for a terminal."""
        largest = sorted(self.shares.items(), key=lambda item: -item[1])[:6]
        parts = ", ".join(f"{name} {share:.1%}" for name, share in largest)
        return [
            f"  {self.measure}: first order CV {self.cv:.2%}, explains {self.explained:.1%} of the samples: {parts}"
        ]


def contributions(campaign: Campaign, name: str) -> Contributions:
    """The contributions to measure `name` of a campaign.

    **Raises** `InputError` for a measure that there is not, or one without derivatives; for a campaign of ngspice on a
    card that our engine does not compute, what `Circuit.from_netlist` raises.
    """
    import jax

    from ..circuit import Circuit
    from ..measure import evaluate_measures
    from ..transient import transient

    job, netlist, law = campaign.job, campaign.netlist, campaign.law
    assert job is not None, "a campaign is made by monte_carlo"
    if name not in campaign.names:
        raise InputError(f"there is no measure '{name}'; there are {', '.join(campaign.names)}.")
    sums = terms_of(transistors(netlist, law), law)
    circuit = Circuit.from_netlist(netlist)
    nominal = {path: float(circuit[path]) for path in sums}
    accuracy = job.accuracy or "reference"

    def measure(shifts: dict[str, Any]) -> Any:
        moved = circuit.replace({path: nominal[path] + shift for path, shift in shifts.items()})
        waves = transient(moved, job.t_stop, accuracy=accuracy, rtol=job.rtol)
        if name in job.measures.functions:
            return job.measures.functions[name](waves)
        return evaluate_measures(waves, netlist.measures, netlist.params, strict=False)[name]

    try:
        value, gradient = jax.value_and_grad(measure)(dict.fromkeys(sums, 0.0))
    except TypeError as error:
        raise InputError(f"measure '{name}' has no derivatives: {error}") from None
    slope = {path: float(number) for path, number in gradient.items()}
    if not all(map(math.isfinite, slope.values())):
        raise InputError(f"measure '{name}' has derivatives that are not finite.")
    weights: dict[str, float] = defaultdict(float)
    for path, terms in sums.items():
        for source, weight in terms:
            weights[source] += slope[path] * weight
    variances: dict[str, float] = defaultdict(float)
    for source, weight in weights.items():
        variances[source.rpartition(".")[0]] += weight**2
    total = sum(variances.values())
    shares = {source: variance / total if total else 0.0 for source, variance in variances.items()}
    return Contributions(
        name, slope, shares, math.sqrt(total) / abs(float(value)), _explained(campaign, name, slope, float(value))
    )


def _explained(campaign: Campaign, name: str, slope: Mapping[str, float], nominal: float) -> float:
    values = campaign[name]
    there = ~np.isnan(values)
    shifts = campaign.shifts()
    linear = sum((slope[path] * shifts[path][there] for path in slope), np.zeros(int(there.sum())))
    values = values[there]
    if len(values) < 2:
        return math.nan
    if values.min() > 0 and nominal > 0:
        left, whole = np.log(values / nominal) - linear / nominal, np.log(values)
    else:
        left, whole = values - nominal - linear, values
    return float(1 - left.var() / whole.var()) if whole.var() else math.nan
