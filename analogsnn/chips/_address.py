"""Which address a source sends, and whether matching can confuse it with another source.

A word fires for every spike with its address that is delivered to its core, whoever sent it. Two sources may therefore
share an address when no core hears both, or when all words of such a core that carry it are meant for both: then they
share the words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..errors import Misfit
from ._chip import Chip
from ._place import null_core


def usable_tags(chip: Chip) -> np.ndarray:
    """Addresses that a source may send: all but the reserved ones and the one of an unused word."""
    taken = {*chip.routing.reserved_tags, *(() if chip.routing.null_tag is None else (chip.routing.null_tag,))}
    return np.setdiff1d(np.arange(chip.tag_count), list(taken))


def local_ids(core: np.ndarray, reach: np.ndarray, pinned: np.ndarray, chip: Chip) -> np.ndarray:
    """The place of every neuron on its core: int array [neuron].

    Where addresses are free, in logical order. Where the place is the address, first the neurons that many cores hear,
    each on the lowest place whose address no core can confuse; who sends nothing takes the null address if need be.

    **Arguments**: `core`: int array [neuron] over the board; `reach`: bool array [neuron, core]; `pinned`: int array
    [neuron], the place that is asked for, or -1.
    """
    size = chip.topology.neurons_per_core
    free = {int(k): np.ones(size, bool) for k in np.unique(core)}
    spot = pinned.copy()
    for n in np.flatnonzero(pinned >= 0):
        free[int(core[n])][pinned[n]] = False
    if chip.routing.scheme == "tag":
        for k, places in free.items():
            mine = np.flatnonzero((core == k) & (pinned < 0))
            spot[mine] = np.flatnonzero(places)[: len(mine)]
        return spot
    each = chip.topology.cores_per_chip
    heard = np.zeros((chip.tag_count, reach.shape[1]), bool)  # which cores already hear each address
    for n in np.flatnonzero(pinned >= 0):
        heard[core[n] % each * size + pinned[n]] |= reach[n]
    sends = np.asarray(reach.any(axis=1))
    waiting = np.flatnonzero(pinned < 0)
    for n in waiting[np.lexsort((waiting, -reach[waiting].sum(axis=1)))]:
        start = int(core[n]) % each * size
        clash = np.where((heard[start : start + size] & reach[n]).any(axis=1), 1, 0)
        if chip.routing.null_tag is not None and null_core(chip) == core[n] % each:
            # The null address is for those who send nothing, and they take it before any other place.
            clash[chip.routing.null_tag - start] = 2 * size if sends[n] else -1
        order = np.where(free[int(core[n])], clash, 4 * size)
        spot[n] = int(np.argmin(order))
        free[int(core[n])][spot[n]] = False
        heard[start + spot[n]] |= reach[n]
    return spot


def assign_tags(
    reach: np.ndarray, own: np.ndarray, wanted: dict[int, int], chip: Chip
) -> tuple[np.ndarray, list[Misfit]]:
    """An address for every source, from the cores that it reaches: bool array [source, core].

    Every source gets a tag of its own while there are enough; else a tag is used again by sources that reach no core
    in common, which matching cannot confuse.

    **Arguments**: `own`: int array [neuron], the address that its place gives a neuron where the chip has it so;
    `wanted`: {source: tag} that the user gave.

    **Returns** int array [source], -1 for a source that reaches nothing, and what does not fit.
    """
    tags = np.full(len(reach), -1)
    active = np.asarray(reach.any(axis=1))
    if chip.routing.scheme == "source_id":
        tags[: len(own)] = np.where(active[: len(own)], own, -1)
    for source, tag in wanted.items():
        if active[source]:
            tags[source] = tag
    usable = usable_tags(chip)
    waiting = np.flatnonzero(active & (tags < 0))
    unused = np.setdiff1d(usable, tags)
    if len(waiting) <= len(unused):
        tags[waiting] = unused[: len(waiting)]
        return tags, []
    heard = np.zeros((chip.tag_count, reach.shape[1]), bool)
    for source in np.flatnonzero(tags >= 0):
        heard[tags[source]] |= reach[source]
    for source in waiting:
        free = np.flatnonzero(~heard[usable][:, reach[source]].any(axis=1))
        if not len(free):
            most = int(reach.sum(axis=0).max())
            text = f"{int(active.sum())} sources need tags; a core hears {most} of them and has {len(usable)} tags"
            who = "inputs and neurons"
            return tags, [Misfit("tags", most, len(usable), who, "merge inputs, or split cores", text)]
        tags[source] = usable[free[0]]
        heard[tags[source]] |= reach[source]
    return tags, []


def check_addresses(
    tags: np.ndarray,
    reach: np.ndarray,
    words: np.ndarray,
    target_core: np.ndarray,
    chip: Chip,
    name: Callable[[int], str],
) -> tuple[np.ndarray, list[Misfit], list[str]]:
    """Sources that share an address on a core: either they share all its words, or it is a misfit.

    **Arguments**: `words`: int array [synapse, (source, target, ...)], what every synapse needs a word to say, beside
    the address; `target_core`: int array [synapse]; `name(source)`: for messages.

    **Returns** bool array [synapse], False for a synapse that another source's words already give; misfits; warnings.
    """
    keep, misfits, warnings = np.ones(len(words), bool), [], []
    source, core = np.nonzero(reach)
    key = tags[source] * reach.shape[1] + core
    order = np.argsort(key, kind="stable")
    several, first, count = np.unique(key[order], return_index=True, return_counts=True)
    for at, start, n in zip(several[count > 1], first[count > 1], count[count > 1], strict=True):
        tag, core_here = divmod(int(at), reach.shape[1])
        sharing = source[order[start : start + n]]
        rows = [np.flatnonzero((words[:, 0] == s) & (target_core == core_here)) for s in sharing]
        wants = [Counter(map(tuple, words[r, 1:].tolist())) for r in rows]
        who = ", ".join(name(int(s)) for s in sharing[:4]) + (", …" if n > 4 else "")
        address = divmod(tag, chip.topology.neurons_per_core)
        called = f"address {address}" if chip.routing.scheme == "source_id" else f"tag {tag}"
        if all(w == wants[0] for w in wants):
            keep[np.concatenate(rows[1:])] = False
            warnings.append(
                f"{who} share {called} and their synapse words on core {core_here}: each drives all of them."
            )
            continue
        if chip.routing.scheme == "tag":
            resource, text = (
                "tag_clash",
                f"{n} sources with {called} reach core {core_here}, whose words hear both: {who}",
            )
            misfits.append(Misfit(resource, int(n), 1, who, "give one of them another tag", text))
        elif all(set(w) == set(wants[0]) for w in wants):
            many = " and ".join(str(sum(w.values())) for w in wants)
            text = f"{who} have {called} and core {core_here} cannot tell them apart, but they need {many} equal words"
            hint = "equal weights, or another place for one"
            needed = max(sum(w.values()) for w in wants)
            misfits.append(Misfit("alias_multiplicity", needed, min(sum(w.values()) for w in wants), who, hint, text))
        else:
            text = (
                f"{who} have {called} and core {core_here} cannot tell them apart, but not all its words are for both"
            )
            misfits.append(Misfit("alias_sources", int(n), 1, who, "another place for one of them", text))
    return keep, _first_of_each(misfits), warnings


def _first_of_each(misfits: list[Misfit]) -> list[Misfit]:
    """One misfit a resource, with the number of the others: hundreds of addresses can clash for one reason."""
    result = []
    for resource in dict.fromkeys(m.resource for m in misfits):
        some = [m for m in misfits if m.resource == resource]
        more = f" (and {len(some) - 1} more addresses)" if len(some) > 1 else ""
        result.append(replace(some[0], message=some[0].message + more))
    return result


def check_legal(tags: np.ndarray, chip: Chip, name: Callable[[int], str]) -> list[Misfit]:
    """Sources whose address nobody may send."""
    misfits = []
    for source in np.flatnonzero(np.isin(tags, chip.routing.reserved_tags)):
        text = f"{name(int(source))} has tag {tags[source]}, which is reserved"
        misfits.append(Misfit("reserved_tag", int(tags[source]), 0, name(int(source)), "use another tag", text))
    null = np.flatnonzero(tags == chip.routing.null_tag) if chip.routing.null_tag is not None else []
    for source in null:
        who = name(int(source))
        if chip.routing.null_fires:
            address = divmod(int(tags[source]), chip.topology.neurons_per_core)
            text = f"{who} is at {address}, the address of every unused synapse word: it would drive them all"
            misfits.append(Misfit("null_address", 1, 0, who, "use an id of at least 1", text))
        else:
            text = f"{who} has tag {tags[source]}, which unused words carry"
            misfits.append(Misfit("reserved_tag", int(tags[source]), 0, who, "use another tag", text))
    return misfits
