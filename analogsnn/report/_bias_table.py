"""Requested against realised biases as rows of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..units import format_quantity

if TYPE_CHECKING:
    from ..chips import Mapping

HEADER = ("bias", "stands for", "requested", "realised", "current asked", "current realised", "coarse", "fine", "error")


def bias_table(mapping: Mapping) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows, one a bias and core; currents and quantities with their units, the error of the current in %."""
    several = len({(b.chip, b.core) for b in mapping.biases}) > 1
    rows = []
    for b in mapping.biases:
        name = f"{b.name} (chip {b.chip}, core {b.core})" if several else b.name
        rows.append(
            (
                name,
                b.quantity,
                _quantity(b.asked, b.unit),
                _quantity(b.got, b.unit),
                format_quantity(b.requested, "A"),
                format_quantity(b.realised, "A"),
                str(b.coarse),
                str(b.fine),
                f"{100 * b.relative_error:+.2f} %",
            )
        )
    return HEADER, rows


def _quantity(value: float, unit: str) -> str:
    return format_quantity(value, unit) if unit not in ("", "1") else f"{value:.4g}"
