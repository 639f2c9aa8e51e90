"""Whole systems, each on the full path: network → compiled chip → quantised, mismatched simulation → numbers."""

from __future__ import annotations

from importlib import import_module

from ..documents import near
from ..errors import InputError
from ._page import write_page as write_page
from ._result import Number as Number
from ._result import Result as Result

# Each is a module of this room with a function `run(chips, seed, *, reduced)`, in the order of the gallery.
SYSTEMS = (
    "heart_rate",
    "predictive_plasticity",
    "delay_motion",
    "reservoir_what_when",
    "critical_liquid",
    "gain_control",
    "attractor_softmax",
)


def check_system(name: str) -> None:
    """Whether `name` is one of `SYSTEMS`.

    **Raises** `InputError` with a near match for an unknown name.
    """
    if name not in SYSTEMS:
        raise InputError(
            f"There is no example '{name}'{near(name, SYSTEMS) or '; there are ' + ', '.join(SYSTEMS) + '.'}"
        )


def run_system(name: str, *, chips: int | None = None, seed: int = 1, reduced: bool = False) -> Result:
    """Run one of `SYSTEMS` on `chips` mismatched chips (default: the system's own number).

    **Raises** `InputError` with a near match for an unknown name.
    """
    check_system(name)
    run = import_module(f"{__name__}.{name}").run
    return run(seed=seed, reduced=reduced) if chips is None else run(chips, seed, reduced=reduced)
