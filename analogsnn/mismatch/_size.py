"""A sizing from its specification to its verification: fresh samples of both sizings, in our engine and in ngspice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..netlist import Netlist
from ._campaign import monte_carlo
from ._law import AreaLaw
from ._result import Campaign
from ._size_spec import SizeSpec, read_size_spec
from ._sizing import Sizing, law_of, optimise, start_netlist

# Verified with samples that are none of the loss's.
_FRESH = 1_000_003


@dataclass(frozen=True)
class SizeResult:
    """A sizing and its proof.

    **Fields**

    - `spec`, `law`, `sizing`.
    - `before`, `after`: Monte Carlo of both sizings by our engine; `ngspice_before`, `ngspice_after` by ngspice, or
      None.
    """

    spec: SizeSpec
    law: AreaLaw
    sizing: Sizing
    before: Campaign
    after: Campaign
    ngspice_before: Campaign | None
    ngspice_after: Campaign | None

    def to_dict(self) -> dict[str, Any]:
        """The keys of `analogsnn size --json`."""
        sizing = self.sizing

        def side(campaign: Campaign, area: float, parameters: Any) -> dict[str, Any]:
            found = campaign.statistics[self.spec.measure]
            return {
                "area": area, "cv": found.cv, "cv_ci95": None if found.cv_ci95 is None else list(found.cv_ci95),
                "count": found.count, "measures": dict(campaign.nominal), "parameters": dict(parameters),
            }  # fmt: skip

        def judge(campaign: Campaign | None) -> dict[str, Any]:
            if campaign is None:
                return {"cv": None, "runs": 0}
            found = campaign.statistics[self.spec.measure]
            ends = None if found.cv_ci95 is None else list(found.cv_ci95)
            return {"cv": found.cv, "runs": campaign.samples, "cv_ci95": ends, "count": found.count}

        return {
            "before": side(self.before, sizing.area_before, sizing.before),
            "after": side(self.after, sizing.area_after, sizing.after),
            "ngspice": {"before": judge(self.ngspice_before), "after": judge(self.ngspice_after)},
            "measure": self.spec.measure,
            "minimise": self.spec.minimise,
            "grid": self.spec.grid,
            "before_grid": dict(sizing.exact),
            "loss": {"before": sizing.cv_before, "after": sizing.cv_after, "evaluations": sizing.evaluations},
            "message": sizing.message,
        }

    def lines(self) -> list[str]:
        """The result for a terminal."""
        sizing = self.sizing
        lines = [f"{sizing.iterations} iterations, {sizing.evaluations} evaluations: {sizing.message}"]
        names = [("ours", self.before, self.after)]
        if self.ngspice_before is not None and self.ngspice_after is not None:
            names.append(("ngspice", self.ngspice_before, self.ngspice_after))
        for engine, before, after in names:
            a, b = (c.statistics[self.spec.measure] for c in (before, after))
            ratio = "" if not a.cv or b.cv is None else f", {b.cv / a.cv:.3f} of it"
            lines.append(f"  CV of {self.spec.measure} in {engine}: {_percent(a.cv)} → {_percent(b.cv)}{ratio}")
            lines += [f"    {when}: {text}" for when, s in (("before", a), ("after", b)) for text in s.sentences()]
        lines.append(f"  area: {sizing.area_before * 1e12:.4g} → {sizing.area_after * 1e12:.4g} µm²")
        for name in self.after.names:
            lines.append(f"  {name}: {self.before.nominal[name]:.5g} → {self.after.nominal[name]:.5g}")
        if self.spec.grid is not None:
            lines.append(f"  sizes are rounded to the grid of {self.spec.grid * 1e9:g} nm:")
        for path, value in sizing.after.items():
            lines.append(f"    {path:<16}{sizing.before[path] * 1e6:9.4g} → {value * 1e6:9.4g} µm")
        return lines

    def write_html(self, path: Path) -> None:
        """One page with both sizings side by side."""
        from ._size_page import size_page

        size_page(self).write(path)


def _percent(value: float | None) -> str:
    return "no value" if value is None else f"{value:.2%}"


def size(
    spec: SizeSpec | str | Path,
    *,
    ngspice_runs: int = 300,
    workers: int = 1,
    folder: Path | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> SizeResult:
    """Choose sizes, and verify them.

    **Arguments**

    - `spec`: a specification, or the path of one; decks are looked for relative to it.
    - `ngspice_runs`: runs of either sizing in ngspice; 0 for none.
    - `folder`: where the samples are kept, so that a verification that was stopped goes on.
    - `progress`: called with what is done, how far, and of how much (None: unknown).

    **Raises** `InputError` for a specification that cannot be read or begun with, `SimulationError` where no sizes
    within its limits were found.
    """
    base = Path.cwd()
    if not isinstance(spec, SizeSpec):
        base, spec = Path(spec).parent, read_size_spec(Path(spec))
    netlist = start_netlist(_deck(base, spec), spec)
    law = law_of(netlist, spec)

    def searching(count: int, cv: float, area: float) -> None:
        if progress is not None:
            progress(f"CV {cv:.2%}, {area * 1e12:.4g} µm²", count, None)

    sizing = optimise(netlist, spec, law, searching)
    measures = list(dict.fromkeys([spec.measure, *spec.hold]))

    def verify(which: str, sizes: dict[str, float], engine: str, runs: int) -> Campaign | None:
        if not runs:
            return None

        def sampling(done: int) -> None:
            if progress is not None:
                progress(f"{which}, {engine}", done, runs)

        where = None if folder is None else folder / f"{which}-{engine}"
        return monte_carlo(
            netlist.replace(sizes), measures, runs, (spec.seed + _FRESH) % 2**32, law=law, engine=engine, folder=where,
            workers=workers, t_stop=spec.t_stop, progress=sampling,
        )  # fmt: skip

    sides = {"before": dict(sizing.before), "after": dict(sizing.after)}
    ours = [verify(which, sizes, "jax", spec.samples) for which, sizes in sides.items()]
    theirs = [verify(which, sizes, "ngspice", ngspice_runs) for which, sizes in sides.items()]
    assert ours[0] is not None
    assert ours[1] is not None
    return SizeResult(spec, law, sizing, ours[0], ours[1], theirs[0], theirs[1])


def _deck(base: Path, spec: SizeSpec) -> Netlist:
    from .. import library, simulation
    from ..netlist import read_netlist_text

    path = base / spec.deck
    if spec.card is None:
        return simulation.read_deck(path)
    import re

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}.") from None
    card = library.cards().get(spec.card) or (base / spec.card).resolve()
    text, count = re.subn(r"(?mi)^\.include\s+\S*cards/\w+\.lib\s*$", lambda _: f'.include "{card}"', text)
    if count != 1:
        raise InputError(f"{path} includes {count} device cards (…cards/NAME.lib); 'card' can take the place of one.")
    return read_netlist_text(text, str(path), [*simulation.deck_roots(path), card.parent])
