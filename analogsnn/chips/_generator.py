"""The bias generator of a chip: its table of currents over coarse and fine codes."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import model_validator

from ..documents import Ampere, Count, Integer, Positive, Section

Polarity = Literal["n", "p"]


class Point(Section):
    """The current (A) of one code, where it is known by itself."""

    coarse: Integer
    fine: Integer
    current: Ampere


class Branch(Section):
    """What the law of the generator needs for one polarity.

    - `full_scale` (A, per coarse): for the linear laws.
    - `knots` (A, [coarse, knot]) and `blocks` (A, [coarse, block, (first, last)]): for `blocks32`; `points`: codes
      whose current is known by itself, through which the straight line of their block is bent.
    - `divide` (per coarse): this branch is the other one divided by it; `fine_zero` (A, per coarse) then replaces
      the current of fine code 0, which is leakage and does not follow the ratio.
    """

    full_scale: tuple[Ampere, ...] | None = None
    knots: tuple[tuple[Ampere, ...], ...] | None = None
    blocks: tuple[tuple[tuple[Ampere, Ampere], ...], ...] | None = None
    points: tuple[Point, ...] = ()
    divide: tuple[Positive, ...] | None = None
    fine_zero: tuple[Ampere, ...] | None = None


class Generator(Section):
    """A generator of `coarse` x `fine` currents.

    - `law = "linear_255"`: full_scale * fine / (fine codes - 1), zero at fine 0.
    - `law = "linear_256"`: full_scale * (fine + 1) / fine codes.
    - `law = "blocks32"`: straight lines between knots up to `knots_fine[-1]`, then in equal blocks, each with its
      own first and last current: the measured curve, which is not monotone.
    """

    coarse: Count
    fine: Count
    law: Literal["blocks32", "linear_255", "linear_256"]
    knots_fine: tuple[Integer, ...] = ()
    n: Branch
    p: Branch

    def table(self, polarity: Polarity) -> np.ndarray:
        """Currents (A) before the scale of a bias: float array [coarse, fine]."""
        branch = self.n if polarity == "n" else self.p
        if branch.divide is not None:
            table = self.table("p" if polarity == "n" else "n") / np.array(branch.divide)[:, None]
            if branch.fine_zero is not None:
                table[:, 0] = branch.fine_zero
            return table
        fine = np.arange(self.fine)
        if self.law == "blocks32":
            assert branch.knots is not None
            assert branch.blocks is not None
            low = self.knots_fine[-1] + 1
            rows = []
            for coarse, (knots, blocks) in enumerate(zip(branch.knots, branch.blocks, strict=True)):
                known = {point.fine: point.current for point in branch.points if point.coarse == coarse}
                width = (self.fine - low) // len(blocks)
                lines = [_line(fine[:low], dict(zip(self.knots_fine, knots, strict=True)), known)]
                for k, (first, last) in enumerate(blocks):
                    codes = fine[low + k * width : low + (k + 1) * width]
                    lines.append(_line(codes, {codes[0]: first, codes[-1]: last}, known))
                rows.append(np.concatenate(lines))
            return np.array(rows)
        full = np.array(branch.full_scale)[:, None]
        return full * fine / (self.fine - 1) if self.law == "linear_255" else full * (fine + 1) / self.fine

    @model_validator(mode="after")
    def _shapes(self) -> Generator:
        for name, branch in (("n", self.n), ("p", self.p)):
            other = self.p if name == "n" else self.n
            if branch.divide is not None:
                rows = {"divide": branch.divide, "fine_zero": branch.fine_zero or branch.divide}
                if other.divide is not None:
                    raise ValueError("the branches n and p are each given as a division of the other.")
            elif self.law == "blocks32":
                if branch.knots is None or branch.blocks is None:
                    raise ValueError(f"law blocks32 needs 'knots' and 'blocks' in branch {name} (or 'divide').")
                rows = {"knots": branch.knots, "blocks": branch.blocks}
                self._check_blocks(name, branch)
            else:
                if branch.full_scale is None:
                    raise ValueError(f"law {self.law} needs 'full_scale' in branch {name} (or 'divide').")
                rows = {"full_scale": branch.full_scale}
            for key, row in rows.items():
                if len(row) != self.coarse:
                    raise ValueError(f"branch {name} has {len(row)} entries in '{key}' for {self.coarse} coarse codes.")
        if self.law != "blocks32" and self.fine < 2:
            raise ValueError("a linear law needs at least 2 fine codes.")
        return self

    def _check_blocks(self, name: str, branch: Branch) -> None:
        for point in branch.points:
            if not (0 <= point.coarse < self.coarse and 0 <= point.fine < self.fine):
                raise ValueError(f"branch {name} has a point at code ({point.coarse}, {point.fine}), which is none.")
        knots = self.knots_fine
        if len(knots) < 2 or knots[0] != 0 or any(b <= a for a, b in pairwise(knots)):
            raise ValueError("law blocks32 needs 'knots_fine' ascending from 0.")
        rest = self.fine - knots[-1] - 1
        for row, blocks in zip(branch.knots or (), branch.blocks or (), strict=False):
            if len(row) != len(knots):
                raise ValueError(f"branch {name} has a row of {len(row)} knots for {len(knots)} 'knots_fine'.")
            if rest < 1 or not blocks or rest % len(blocks):
                raise ValueError(f"branch {name} has {len(blocks)} blocks that do not share {rest} fine codes evenly.")


def _line(codes: np.ndarray, ends: dict, known: dict) -> np.ndarray:
    """Currents (A) of consecutive fine codes: straight lines between `ends` and what of `known` lies among them."""
    knots = dict(sorted((ends | {fine: i for fine, i in known.items() if fine in codes}).items()))
    return np.interp(codes, list(knots), list(knots.values()))
