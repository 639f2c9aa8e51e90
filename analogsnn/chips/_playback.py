"""Whether the host can play a sequence of input events: its spike generator stores intervals, not times."""

from __future__ import annotations

import numpy as np

from ..errors import DoesNotFitError, Misfit
from ..units import format_quantity
from ._chip import Chip


def check_playback(chip: Chip, times: np.ndarray) -> None:
    """Refuse events whose intervals span more than the generator's interval field, whatever its tick.

    The tick is the user's choice; a tick that resolves the shortest interval must still count through the longest.

    **Arguments**: `times` of all input events, `[event]` in s, ascending.

    **Raises** `DoesNotFitError` (`isi_range`) where the longest interval is more ticks than the field holds.
    """
    most = chip.routing.input_isi_ticks
    gaps = np.diff(times)
    if most is None or not (gaps > 0).any():
        return
    shortest, longest = float(gaps[gaps > 0].min()), float(gaps.max())
    if longest > most * shortest * (1 + 1e-9):
        at = float(times[int(gaps.argmax())])
        text = (
            f"the interval of {format_quantity(longest, 's')} after the event at {format_quantity(at, 's')} is "
            f"{longest / shortest:.0f} times the shortest, {format_quantity(shortest, 's')}; the spike generator of "
            f"'{chip.name}' counts to {most}"
        )
        hint = "round the times to a coarser tick, or put events of an input that nobody hears into the long gaps"
        raise DoesNotFitError([Misfit("isi_range", longest / shortest, most, "input events", hint, text)])
