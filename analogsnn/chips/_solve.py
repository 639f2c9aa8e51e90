"""Placement as a constraint problem: an answer where first fit has none, a proof that there is none, less traffic.

Two models for CP-SAT. `pack` counts the neurons of every group on every core; it is exact for capacity and shared
biases, and small. `arrange` places items that move together (single neurons, or pieces of populations) and knows where
spikes go: destination words, reach, forbidden directions, and how many sources a core hears; its objective is the
number of cores in use, then the traffic between cores. With single neurons it is exact for all of these.

One thread, a seed and the solver's own deterministic clock: equal input gives equal output on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from ._chip import Chip
from ._place import Board, Core, Group, leak_groups

Verdict = Literal["found", "impossible", "unknown"]
PATIENCE = 20.0  # of the wall clock, in units of the deterministic limit: only a stalled machine meets it


def pack(every: Sequence[Group], board: Board, *, seed: int, limit: float) -> tuple[Verdict, np.ndarray | None]:
    """Capacity and shared biases alone, with as few cores as possible; int array [neuron] when found."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    count, there = {}, {}
    for g, group in enumerate(every):
        size = len(group.neurons)
        for k in board.cores:
            count[g, k] = model.new_int_var(0, size, "")
            there[g, k] = model.new_bool_var("")
            model.add(count[g, k] <= size * there[g, k])
        model.add(sum(count[g, k] for k in board.cores) == size)
    for k in board.cores:
        for sends in {g.sends for g in every} | {False}:
            some = [count[g, k] for g, group in enumerate(every) if group.sends or not sends]
            model.add(sum(some) <= board.free(k, sends))
        _share(model, every, board, k, {g: there[g, k] for g in range(len(every))})
        if board.distinct:
            alike = sum(count[g, other] for g in range(len(every)) for other in board.alike(k))
            pinned = sum(int((board.core == other).sum()) for other in board.alike(k))
            model.add(alike <= board.chip.topology.neurons_per_core - int(board.chip.routing.null_fires) - pinned)
    used = _used(model, board, {k: [there[g, k] for g in range(len(every))] for k in board.cores})
    model.minimize(sum(used.values()))
    verdict, solver = _run(model, seed, limit)
    if solver is None:
        return verdict, None
    core = board.core.copy()
    for g, group in enumerate(every):
        start = 0
        for k in board.cores:
            n = solver.value(count[g, k])
            core[group.neurons[start : start + n]] = k
            start += n
    return verdict, core


@dataclass(frozen=True)
class Traffic:
    """Who sends to whom: `source` (neurons, then input channels) and `target`, int arrays [synapse].

    `rate` (Hz): float array [source]. `words`: destination words that a neuron has for chips; `heard`: sources that a
    core can tell apart. `strict`: whether forbidden directions are.
    """

    source: np.ndarray
    target: np.ndarray
    rate: np.ndarray
    words: int
    heard: int
    strict: bool


def items(every: Sequence[Group], start: np.ndarray, single: bool, most: int) -> list[tuple[Group, np.ndarray]]:
    """Neurons that move together: single ones, or the pieces that `start` made, of at most `most` neurons."""
    if single:
        return [(g, g.neurons[k : k + 1]) for g in every for k in range(len(g.neurons))]
    pieces = [(g, g.neurons[start[g.neurons] == k]) for g in every for k in np.unique(start[g.neurons])]
    return [(g, part) for g, piece in pieces for part in np.array_split(piece, -(-len(piece) // most))]


def arrange(
    parts: Sequence[tuple[Group, np.ndarray]],
    board: Board,
    traffic: Traffic,
    start: np.ndarray | None,
    *,
    seed: int,
    limit: float,
) -> tuple[Verdict, np.ndarray | None]:
    """Capacity, shared biases and routes, with few cores and little traffic; int array [neuron] when found.

    **Arguments**: `parts`: from `items`; `start`: a placement to begin with.
    """
    from ortools.sat.python import cp_model

    cores = list(board.cores)
    model = cp_model.CpModel()
    at = {(i, k): model.new_bool_var("") for i in range(len(parts)) for k in cores}
    for i in range(len(parts)):
        model.add_exactly_one(at[i, k] for k in cores)
    for k in cores:
        for sends in {g.sends for g, _ in parts} | {False}:
            some = sum(len(n) * at[i, k] for i, (g, n) in enumerate(parts) if g.sends or not sends)
            model.add(some <= board.free(k, sends))
        present = {}
        for g in {id(g): g for g, _ in parts}.values():
            here = [at[i, k] for i, (other, _) in enumerate(parts) if other is g]
            present[id(g)] = here[0] if len(here) == 1 else model.new_bool_var("")
            if len(here) > 1:
                for one in here:
                    model.add_implication(one, present[id(g)])
        every = list({id(g): g for g, _ in parts}.values())
        _share(model, every, board, k, {n: present[id(g)] for n, g in enumerate(every)})
        if board.distinct:
            alike = sum(len(n) * at[i, other] for i, (_, n) in enumerate(parts) for other in board.alike(k))
            pinned = sum(int((board.core == other).sum()) for other in board.alike(k))
            model.add(alike <= board.chip.topology.neurons_per_core - int(board.chip.routing.null_fires) - pinned)
    used = _used(model, board, {k: [at[i, k] for i in range(len(parts))] for k in cores})

    item = np.full(len(board.core), -1)
    for i, (_, neurons) in enumerate(parts):
        item[neurons] = i
    sources = _sources(traffic, item, board.core)
    hears = {(n, k): model.new_bool_var("") for n in range(len(sources)) for k in cores}
    crossing = []
    for n, s in enumerate(sources):
        for k in cores:
            for j in s.targets:
                model.add_implication(at[j, k], hears[n, k])
            if k in s.pinned_targets:
                model.add(hears[n, k] == 1)
            if s.home is None and s.item is None:
                crossing.append(s.weight * hears[n, k])
            elif s.home != k:  # what stays on the source's own core is no traffic
                cross = model.new_bool_var("")
                own = [] if s.item is None else [at[s.item, k]]
                model.add_bool_or([hears[n, k].negated(), cross, *own])
                crossing.append(s.weight * cross)
        if s.is_neuron:
            _reaches(model, s, {k: hears[n, k] for k in cores}, at, board, traffic)
    for k in cores:
        if sum(s.count for s in sources) > traffic.heard:
            model.add(sum(s.count * hears[n, k] for n, s in enumerate(sources)) <= traffic.heard)
    most = 1 + sum(s.weight for s in sources) * len(cores)
    model.minimize(most * sum(used.values()) + sum(crossing))
    if start is not None:
        for i, (_, neurons) in enumerate(parts):
            for k in cores:
                model.add_hint(at[i, k], int(start[neurons[0]] == k))
    verdict, solver = _run(model, seed, limit)
    if solver is None:
        return verdict, None
    core = board.core.copy()
    for i, (_, neurons) in enumerate(parts):
        core[neurons] = next(k for k in cores if solver.value(at[i, k]))
    return verdict, core


@dataclass(frozen=True)
class _Source:
    """Sources that place alike: of one item (or pinned to `home`, or an input) and with the same targets."""

    item: int | None
    home: int | None
    is_neuron: bool
    targets: tuple[int, ...]
    pinned_targets: frozenset[int]
    count: int
    weight: int


def _sources(traffic: Traffic, item: np.ndarray, core: np.ndarray) -> list[_Source]:
    order = np.argsort(traffic.source, kind="stable")
    source, target = traffic.source[order], traffic.target[order]
    merged: dict[tuple[int | None, int | None, bool, tuple[int, ...], frozenset[int]], list[float]] = {}
    who, first = np.unique(source, return_index=True)
    for s, some in zip(who.tolist(), np.split(target, first[1:]) if len(who) else [], strict=True):
        own = s < len(core)
        mine = int(item[s]) if own and item[s] >= 0 else None
        home = int(core[s]) if own and item[s] < 0 else None
        reached = np.unique(item[some])
        key = (mine, home, own, tuple(reached[reached >= 0].tolist()), frozenset(core[some[item[some] < 0]].tolist()))
        merged.setdefault(key, []).append(float(traffic.rate[s]))
    unit = max((sum(rates) for rates in merged.values()), default=0.0) / 1000 or 1.0  # CP-SAT counts in integers
    return [_Source(*key, len(rates), max(1, round(sum(rates) / unit))) for key, rates in merged.items()]


def _reaches(model: Any, source: _Source, hears: dict[int, Any], at: dict, board: Board, traffic: Traffic) -> None:
    """The words of a neuron: one a chip that it reaches, none to where nothing may go."""
    each = board.chip.topology.cores_per_chip
    chips = sorted({k // each for k in hears})
    reached = {c: model.new_bool_var("") for c in chips}
    for k, heard in hears.items():
        model.add_implication(heard, reached[k // each])
    model.add(sum(reached.values()) <= traffic.words)
    for a, b in _closed(board.chip, chips, traffic.strict):
        if source.item is None:
            if source.home is not None and source.home // each == a:
                model.add(reached[b] == 0)
            continue
        for k in hears:
            if k // each == a:
                model.add_implication(at[source.item, k], reached[b].negated())


def _closed(chip: Chip, chips: Sequence[int], strict: bool) -> list[tuple[int, int]]:
    """Pairs of chips (from, to) between which no word can go, or none may."""
    place, hop = chip.topology.chip_positions, chip.routing.hop
    result = []
    for a in chips:
        for b in chips:
            step = [place[b][axis] - place[a][axis] for axis in (0, 1)]
            near = hop.x[0] <= step[0] <= hop.x[1] and hop.y[0] <= step[1] <= hop.y[1]
            banned = strict and any(a in r.sources and b in r.targets for r in chip.topology.forbidden_hops)
            if not near or banned:
                result.append((a, b))
    return result


def _share(model: Any, every: Sequence[Group], board: Board, core: int, there: dict[int, Any]) -> None:
    """No bias of a core has two values, its leaks are as many as it offers, and some populations stay apart."""
    pinned = board.pinned.get(core, Core(core))

    def values(chosen: list, already: list, most: int) -> None:
        known = {v for v in chosen if v is not None} | set(already)
        if len(known) <= most:
            return
        on = {v: model.new_bool_var("") for v in known}
        for n, value in enumerate(chosen):
            if value is not None:
                model.add_implication(there[n], on[value])
        for value in already:
            model.add(on[value] == 1)
        model.add(sum(on.values()) <= most)

    for name in sorted({name for g in every for name in g.codes}):
        already = [pinned.codes[name]] if name in pinned.codes else []
        values([g.codes.get(name) for g in every], already, 1)
    values([g.leak for g in every], list(pinned.leaks), leak_groups(board.chip))
    for a, first in enumerate(every):
        for b in range(a):
            if frozenset((first.population, every[b].population)) in board.apart:
                model.add(there[a] + there[b] <= 1)


def _used(model: Any, board: Board, there: dict[int, list]) -> dict[int, Any]:
    """Whether each core is used; of equal cores of a chip the earlier ones first."""
    used = {k: model.new_bool_var("") for k in board.cores}
    for k, some in there.items():
        if k in board.pinned:
            model.add(used[k] == 1)
        for one in some:
            model.add_implication(one, used[k])
        model.add_bool_or([*some, used[k].negated(), *([True] if k in board.pinned else [])])
    each = board.chip.topology.cores_per_chip
    for a, b in pairwise(k for k in board.cores if k not in board.pinned):
        if a // each == b // each and not board.chip.routing.null_fires:
            model.add_implication(used[b], used[a])
    return used


def _run(model: Any, seed: int, limit: float) -> tuple[Verdict, Any]:
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.max_deterministic_time = limit
    solver.parameters.max_time_in_seconds = PATIENCE * limit + 1.0
    status = solver.solve(model)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return "found", solver
    return ("impossible" if status == cp_model.INFEASIBLE else "unknown"), None
