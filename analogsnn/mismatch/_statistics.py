"""Statistics of one measure over the samples that have it, and what is said about those that have not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ._measures import Failure

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
RESAMPLES = 2000  # of the bootstrap: the ends of an interval are then known to about 3 % of its width
_SEED = 20230117  # the bootstrap's own, so that a page is the same twice


@dataclass(frozen=True)
class LogNormal:
    """A log-normal fitted by the mean and standard deviation of the logarithms.

    - `mu`, `sigma`: of ln(value in SI units); `sigma_ci95` from chi² on the logarithms.
    - `distance`: largest distance of the two distribution functions; above `distance_limit` (5 %, Lilliefors, by
      Stephens 1974) the samples are not log-normal.
    """

    mu: float
    sigma: float
    sigma_ci95: tuple[float, float]
    distance: float
    distance_limit: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "mu": self.mu, "sigma": self.sigma, "sigma_ci95": list(self.sigma_ci95),
            "sigma_ci95_method": "chi2 of logs", "distance": self.distance, "distance_limit": self.distance_limit,
            "rejected": self.distance > self.distance_limit,
        }  # fmt: skip


@dataclass(frozen=True)
class Statistics:
    """One measure over the samples that have it.

    - `count`: how many have it. `missing`: kind of failure → how many, of `samples`.
    - `mean`, `std` (with n − 1), `cv` = std/|mean|, `cv_ci95` (bootstrap, percentile); None where there are too few.
    - `quantiles`: share → value. `lognormal`: None where a value is not positive.
    """

    name: str
    samples: int
    count: int
    missing: Mapping[str, int]
    mean: float | None
    std: float | None
    cv: float | None
    cv_ci95: tuple[float, float] | None
    quantiles: Mapping[float, float]
    lognormal: LogNormal | None

    def sentences(self) -> list[str]:
        """What is missing in words, such as `12 of 1000 did not spike`; empty when nothing is."""
        words = {"the run failed": "failed to run", "has no value": "gave no value"}
        return [f"{n} of {self.samples} {words.get(kind, kind)}" for kind, n in self.missing.items()]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "mean": self.mean, "std": self.std, "cv": self.cv,
            "cv_ci95": None if self.cv_ci95 is None else list(self.cv_ci95), "cv_ci95_method": "bootstrap, percentile",
            "quantiles": {f"{share:g}": value for share, value in self.quantiles.items()},
            "lognormal": None if self.lognormal is None else self.lognormal.to_dict(),
            "count": self.count, "missing": dict(self.missing), "note": "; ".join(self.sentences()) or None,
        }  # fmt: skip


def statistics(name: str, values: np.ndarray, failures: Sequence[Failure] = ()) -> Statistics:
    """Statistics of `values` `[sample]`, NaN where a failure says why."""
    kinds = Counter(f.kind for f in failures if f.measure in (None, name))
    good = values[~np.isnan(values)]
    n = len(good)
    mean = float(good.mean()) if n else None
    std = float(good.std(ddof=1)) if n > 1 else None
    cv = std / abs(mean) if std is not None and mean else None
    return Statistics(
        name, len(values), n, dict(kinds), mean, std, cv, cv_interval(good) if cv is not None and n > 3 else None,
        {share: float(np.quantile(good, share)) for share in QUANTILES} if n else {},
        _lognormal(good) if n > 3 and good.min() > 0 and np.ptp(good) > 0 else None,
    )  # fmt: skip


def cv_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % confidence interval of the coefficient of variation: percentiles of the bootstrap.

    It makes no use of a distribution; with fewer than about 50 samples it is some per cent too narrow.
    """
    random = np.random.default_rng(_SEED)
    cvs = []
    for _ in range(RESAMPLES):
        drawn = values[random.integers(0, len(values), len(values))]
        mean = drawn.mean()
        cvs.append(drawn.std(ddof=1) / abs(mean) if mean else math.inf)
    low, high = np.quantile(cvs, [0.025, 0.975])
    return float(low), float(high)


def _lognormal(values: np.ndarray) -> LogNormal:
    from scipy.stats import chi2, norm

    logs = np.sort(np.log(values))
    n, mu, sigma = len(logs), float(logs.mean()), float(logs.std(ddof=1))
    ends = tuple(float(sigma * math.sqrt((n - 1) / chi2.ppf(q, n - 1))) for q in (0.975, 0.025))
    expected, steps = norm.cdf((logs - mu) / sigma), np.arange(n + 1) / n
    distance = float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max()))
    limit = 0.895 / (math.sqrt(n) - 0.01 + 0.85 / math.sqrt(n))
    return LogNormal(mu, sigma, (ends[0], ends[1]), distance, limit)


def correlations(values: np.ndarray) -> np.ndarray:
    """Pearson correlations between measures, `[measure, measure]`, of the logarithms where both are positive; over the
    samples that have both; NaN with fewer than four of them, or where one does not vary."""
    count = values.shape[1]
    result = np.full((count, count), np.nan)
    for i in range(count):
        for j in range(i, count):
            both = ~np.isnan(values[:, i]) & ~np.isnan(values[:, j])
            a, b = values[both, i], values[both, j]
            if len(a) < 4:
                continue
            if min(a.min(), b.min()) > 0:
                a, b = np.log(a), np.log(b)
            a, b = a - a.mean(), b - b.mean()
            scale = math.sqrt((a @ a) * (b @ b))
            if scale > 0:
                result[i, j] = result[j, i] = float(a @ b) / scale
    return result


@dataclass(frozen=True)
class Yield:
    """The share of samples within specifications: `passed` of `samples`, with the exact (Clopper-Pearson) 95 %
    interval. A sample without a value does not pass."""

    specifications: Mapping[str, tuple[float, float]]
    passed: int
    samples: int
    ci95: tuple[float, float]

    @property
    def share(self) -> float:
        """passed / samples."""
        return self.passed / self.samples

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        limits = {n: [None if math.isinf(x) else x for x in ends] for n, ends in self.specifications.items()}
        return {
            "specifications": limits, "passed": self.passed, "samples": self.samples, "share": self.share,
            "ci95": list(self.ci95),
        }  # fmt: skip


def yield_of(names: Sequence[str], values: np.ndarray, specifications: Mapping[str, tuple[float, float]]) -> Yield:
    """How many samples lie within all of the specifications, name → (lowest, highest).

    **Raises** `InputError` for a measure that there is not, or limits in the wrong order.
    """
    from scipy.stats import beta

    good = np.ones(len(values), dtype=bool)
    for name, (low, high) in specifications.items():
        if name not in names:
            raise InputError(f"the specification names '{name}', which is not measured; there are {', '.join(names)}.")
        if not low < high:
            raise InputError(f"the specification of '{name}' is {low:g} to {high:g}; the first must be smaller.")
        column = values[:, list(names).index(name)]
        good &= (column >= low) & (column <= high)  # NaN compares false
    n, k = len(good), int(good.sum())
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return Yield(dict(specifications), k, n, (low, high))


def averaging(values: np.ndarray, sizes: Sequence[int]) -> dict[int, float]:
    """The coefficient of variation of the mean over N devices, for every N in `sizes`: population averaging.

    The samples are taken as devices of one chip, in order and without overlap. A share that all devices of a chip have
    in common would not average out; it must not be in these samples (`common_vt` zero).

    **Raises** `InputError` for fewer than three groups of a size.
    """
    good = values[~np.isnan(values)]
    result = {}
    for size in sizes:
        groups = len(good) // size if size > 0 else 0
        if groups < 3:
            raise InputError(f"{len(good)} samples make {groups} groups of {size}; at least three are needed.")
        means = good[: groups * size].reshape(groups, size).mean(axis=1)
        result[int(size)] = float(means.std(ddof=1) / abs(means.mean()))
    return result
