"""The destination words that carry a source's address to cores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import Misfit
from ._chip import Chip


def words(reach: np.ndarray, cores_per_chip: int) -> np.ndarray:
    """One word per source and chip that it reaches: int array [word, (source, chip, core mask)]."""
    by_chip = reach.reshape(len(reach), -1, cores_per_chip)
    mask = by_chip @ (1 << np.arange(cores_per_chip))
    source, chip = np.nonzero(mask)
    return np.stack([source, chip, mask[source, chip]], axis=1)


def check_routes(
    route: np.ndarray, home: np.ndarray, monitor: int, chip: Chip, name: Callable[[int], str]
) -> tuple[list[Misfit], list[Misfit]]:
    """Limits on the words of neurons: how many, how far, and in which direction.

    **Arguments**: `route` from `words` (neurons only); `home`: chip of every neuron; `monitor`: words lost to the
    host; `name(neuron)`: its name for messages.

    **Returns** what cannot be, and apart from it the directions that must not be.
    """
    misfits = []
    used = np.bincount(route[:, 0], minlength=len(home)) + monitor
    limit = chip.routing.destinations
    if len(used) and used.max() > limit:
        worst = int(np.argmax(used))
        chips = ", ".join(str(c) for c in route[route[:, 0] == worst, 1])
        more = int((used > limit).sum()) - 1
        text = (
            f"{name(worst)} needs {used[worst]} destination words, it has {limit}: chips {chips}"
            + (f" and {monitor} for the host" if monitor else "")
            + (f" (and {more} more neurons)" if more else "")
        )
        hint = "bring its targets onto fewer chips" + (", or drop monitoring" if monitor else "")
        misfits.append(Misfit("sram_words", int(used[worst]), limit, name(worst), hint, text))
    place = np.array(chip.topology.chip_positions)
    hops = place[route[:, 1]] - place[home[route[:, 0]]]
    for axis, (low, high) in enumerate((chip.routing.hop.x, chip.routing.hop.y)):
        outside = np.flatnonzero((hops[:, axis] < low) | (hops[:, axis] > high))
        if len(outside):
            row, hop = route[outside[0]], int(hops[outside[0], axis])
            who, bound = name(int(row[0])), high if hop > high else low
            text = f"{who} must hop {hop} chips along {'xy'[axis]} to chip {row[1]}; {low} to {high} are possible"
            misfits.append(Misfit("hop_range", hop, bound, who, "use nearer chips", text))
    forbidden = []
    for rule in chip.topology.forbidden_hops:
        bad = np.isin(home[route[:, 0]], rule.sources) & np.isin(route[:, 1], rule.targets)
        if bad.any():
            row = route[np.flatnonzero(bad)[0]]
            text = f"{name(int(row[0]))} on chip {home[row[0]]} would send to chip {row[1]}: {rule.reason}"
            hint = "swap the chips, or insist on it"
            forbidden.append(Misfit("chip_direction", int(bad.sum()), 0, name(int(row[0])), hint, text))
    return misfits, forbidden
