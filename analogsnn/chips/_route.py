"""Tags for sources and the destination words that carry them to cores."""

from __future__ import annotations

import numpy as np

from ..errors import Misfit
from ._chip import Chip


def usable_tags(chip: Chip) -> np.ndarray:
    """Tags that a user may give: all but the reserved ones and the one of an unused word."""
    taken = {*chip.routing.reserved_tags, *(() if chip.routing.null_tag is None else (chip.routing.null_tag,))}
    return np.setdiff1d(np.arange(chip.tag_count), list(taken))


def assign_tags(reach: np.ndarray, chip: Chip) -> tuple[np.ndarray, Misfit | None]:
    """A tag for every source, from the cores that it reaches: bool array [source, core].

    Every source gets a tag of its own while there are enough; else a tag is used again by sources that reach no core
    in common, which matching cannot confuse.

    **Returns** int array [source], -1 for a source that reaches nothing, and the misfit if tags run out.
    """
    tags = np.full(len(reach), -1)
    usable = usable_tags(chip)
    active = np.flatnonzero(reach.any(axis=1))
    if len(active) <= len(usable):
        tags[active] = usable[: len(active)]
        return tags, None
    taken = np.zeros((reach.shape[1], len(usable)), bool)
    for source in active:
        free = ~taken[reach[source]].any(axis=0)
        if not free.any():
            most = int(reach.sum(axis=0).max())
            text = f"{len(active)} sources need tags; a core hears {most} of them and has {len(usable)} tags"
            return tags, Misfit("tags", most, len(usable), "inputs and neurons", "merge inputs, or split cores", text)
        first = int(np.argmax(free))
        tags[source] = usable[first]
        taken[reach[source], first] = True
    return tags, None


def words(reach: np.ndarray, cores_per_chip: int) -> np.ndarray:
    """One word per source and chip that it reaches: int array [word, (source, chip, core mask)]."""
    by_chip = reach.reshape(len(reach), -1, cores_per_chip)
    mask = by_chip @ (1 << np.arange(cores_per_chip))
    source, chip = np.nonzero(mask)
    return np.stack([source, chip, mask[source, chip]], axis=1)


def check_routes(route: np.ndarray, home: np.ndarray, monitor: int, chip: Chip, name) -> list[Misfit]:
    """Limits on the words of neurons: how many, how far, and in which direction.

    **Arguments**: `route` from `words` (neurons only); `home`: chip of every neuron; `monitor`: words lost to the
    host; `name(neuron)`: its name for messages.
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
    for rule in chip.topology.forbidden_hops:
        bad = np.isin(home[route[:, 0]], rule.sources) & np.isin(route[:, 1], rule.targets)
        if bad.any():
            row = route[np.flatnonzero(bad)[0]]
            text = f"{name(int(row[0]))} on chip {home[row[0]]} would send to chip {row[1]}: {rule.reason}"
            misfits.append(Misfit("chip_direction", int(bad.sum()), 0, name(int(row[0])), "swap the chips", text))
    return misfits
