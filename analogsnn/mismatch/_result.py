"""What a campaign has found."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..netlist import Netlist
from ._contributions import Contributions, contributions
from ._draws import draws
from ._engines import Job
from ._law import AreaLaw
from ._measures import Failure
from ._statistics import Statistics, Yield, averaging, correlations, statistics, yield_of


@dataclass(frozen=True)
class Campaign:
    """Samples of a circuit with mismatch.

    **Fields**

    - `names`: the measures. `values`: `[sample, measure]`, SI units; NaN where a sample has none, and then `failures`
      says why.
    - `nominal`: the measures without mismatch.
    - `law`, `key` (as JSON has it), `engine`, `netlist`: what they are samples of.
    - `seconds_per_sample`: by the clock, with the workers that there were. `folder`: the store, or None.
      `job`: how a sample is run and measured.
    """

    names: tuple[str, ...]
    values: np.ndarray
    failures: tuple[Failure, ...]
    nominal: Mapping[str, float]
    law: AreaLaw
    key: list[Any]
    engine: str
    netlist: Netlist = field(repr=False)
    seconds_per_sample: float
    folder: Path | None = None
    job: Job | None = field(default=None, repr=False)

    def __getitem__(self, name: str) -> np.ndarray:
        """The values of one measure, `[sample]`. **Raises** `InputError` for a measure that there is not."""
        if name not in self.names:
            raise InputError(f"there is no measure '{name}'; there are {', '.join(self.names)}.")
        return self.values[:, self.names.index(name)]

    @property
    def samples(self) -> int:
        """How many samples."""
        return len(self.values)

    @property
    def failed(self) -> int:
        """How many samples lack at least one measure."""
        return len({failure.sample for failure in self.failures})

    @functools.cached_property
    def statistics(self) -> Mapping[str, Statistics]:
        """Statistics by measure."""
        return {name: statistics(name, self[name], self.failures) for name in self.names}

    @property
    def correlations(self) -> np.ndarray:
        """Between measures, of the logarithms where they are positive, `[measure, measure]`."""
        return correlations(self.values)

    def yields(self, specifications: Mapping[str, tuple[float, float]]) -> Yield:
        """The share of samples within the specifications, name → (lowest, highest). Errors as `yield_of`."""
        return yield_of(self.names, self.values, specifications)

    def averaging(self, name: str, sizes: Sequence[int] = (1, 2, 4, 8, 16)) -> dict[int, float]:
        """CV of the mean over N devices, by N, of the samples that have a value. Errors as `averaging`."""
        return averaging(self[name], sizes)

    def shifts(self) -> dict[str, np.ndarray]:
        """The threshold and current-factor shifts of every sample, drawn again: path → `[sample]`."""
        import jax

        implementation, words = self.key
        key = jax.random.wrap_key_data(jax.numpy.asarray(words, "uint32"), impl=implementation)
        return draws(self.netlist, key, self.samples, self.law)

    def contributions(self, name: str) -> Contributions:
        """Which transistor contributes how much of the variance of a measure, to first order, from one reverse pass
        through the nominal circuit, and how much of the samples that explains. Errors as `contributions`."""
        return contributions(self, name)

    def to_dict(self) -> dict[str, Any]:
        """The keys of `analogsnn monte-carlo --json`."""
        matrix = self.correlations
        return {
            "samples": self.samples,
            "failed": self.failed,
            "measures": {name: {**s.to_dict(), "nominal": self.nominal[name]} for name, s in self.statistics.items()},
            "correlations": [[None if np.isnan(x) else float(x) for x in row] for row in matrix],
            "failures": [
                {"sample": f.sample, "measure": f.measure, "kind": f.kind, "reason": f.reason} for f in self.failures
            ],
            "law": self.law.to_dict(),
            "engine": self.engine,
            "seconds_per_sample": self.seconds_per_sample,
            "store": None if self.folder is None else str(self.folder),
        }

    def write_html(
        self,
        path: Path,
        specifications: Mapping[str, tuple[float, float]] | None = None,
        parts: Sequence[Contributions] = (),
    ) -> None:
        """One self-contained page: distributions, contributions, correlations, what is missing; written whole or not
        at all."""
        from ._page import campaign_page

        campaign_page(self, specifications or {}, parts).write(path)

    def lines(self) -> list[str]:
        """The result for a terminal."""
        lines = [f"{self.samples} samples on {self.engine}, {self.seconds_per_sample:.3g} s each"]
        for name, s in self.statistics.items():
            text = f"  {name:<14} nominal {self.nominal[name]:.5g}"
            if s.mean is not None:
                text += f"  mean {s.mean:.5g}"
            if s.cv is not None:
                text += f"  CV {s.cv:.2%}"
            if s.cv_ci95 is not None:
                text += f" ({s.cv_ci95[0]:.2%} to {s.cv_ci95[1]:.2%})"
            lines.append(text + "".join(f"  [{sentence}]" for sentence in s.sentences()))
        return lines
