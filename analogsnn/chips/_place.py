"""Neurons to cores: first fit, where only populations that can share every bias share a core."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import Misfit
from ..network import Network
from ..units import format_quantity
from ._chip import Chip
from ._requests import Requests

Code = tuple[int, int]
UNSET = (-1, -1)  # a bias that a population needs left unset on its core


@dataclass
class Core:
    """What stands on one core: codes by bias name, free places, and pieces of populations (name, first, count)."""

    free: int
    codes: dict[str, Code] = field(default_factory=dict)
    pieces: list[tuple[str, int, int]] = field(default_factory=list)

    def takes(self, wanted: dict[str, Code]) -> bool:
        """Whether `wanted` contradicts no code that is already set."""
        return all(self.codes.get(name, code) == code for name, code in wanted.items())


def place(
    network: Network, requests: dict[str, Requests], chip: Chip, cores: int
) -> tuple[np.ndarray, list[Core], list[Misfit]]:
    """Place every neuron on one of `cores` cores, in the order of the populations.

    A population goes whole onto the first core that has room and takes its codes, or else is split over cores in
    turn. Codes that two populations ask differently are never averaged: they go to different cores.

    **Returns** int array [neuron, 2] of (core on the board, neuron on the core), the cores, and the misfits.
    """
    room = chip.topology.neurons_per_core
    board = [Core(room) for _ in range(cores)]
    spot = np.full((network.size, 2), -1)
    offsets = network.offsets()
    for population in network.populations:
        wanted = codes_of(requests[population.name])
        first = 0
        while first < population.size:
            left = population.size - first
            fitting = [k for k, core in enumerate(board) if core.free and core.takes(wanted)]
            whole = [k for k in fitting if board[k].free >= left]
            if not fitting:
                return spot, board, _why_not(network, requests, chip, cores)
            k = (whole or fitting)[0]
            core = board[k]
            count = min(left, core.free)
            start = offsets[population.name] + first
            spot[start : start + count, 0] = k
            spot[start : start + count, 1] = room - core.free + np.arange(count)
            core.free -= count
            core.codes |= wanted
            core.pieces.append((population.name, first, count))
            first += count
    return spot, board, []


def codes_of(requests: Requests) -> dict[str, Code]:
    """Code by bias name that a population needs, `UNSET` where it needs the bias off."""
    codes = {name: (row.code.coarse, row.code.fine) for name, row in requests.rows.items()}
    return codes | dict.fromkeys(requests.unset, UNSET)


def _why_not(network: Network, requests: dict[str, Requests], chip: Chip, cores: int) -> list[Misfit]:
    """Why a placement failed: too many neurons, or biases that cannot be shared."""
    room = chip.topology.neurons_per_core
    largest = sorted(network.populations, key=lambda p: -p.size)
    who = ", ".join(f"'{p.name}' {p.size}" for p in largest[:6]) + (", …" if len(largest) > 6 else "")
    if network.size > room * cores:
        need = -(-network.size // room)
        if cores == 1:
            text = f"{network.size} neurons on one core, which has {room}: {who}"
            return [Misfit("neurons_per_core", network.size, room, who, "split over cores, or shrink", text)]
        text = f"{network.size} neurons need {need} cores of {room}, {cores} may be used: {who}"
        return [Misfit("cores", need, cores, who, "allow more chips, or shrink the network", text)]
    misfits = []
    for name in sorted({name for r in requests.values() for name in codes_of(r)}):
        by_code: dict[Code, list[str]] = {}
        for population in network.populations:
            code = codes_of(requests[population.name]).get(name)
            if code is not None:
                by_code.setdefault(code, []).append(population.name)
        if len(by_code) > cores:
            asked = "; ".join(_asks(requests, name, members) for members in by_code.values())
            text = f"{name} is shared by a core and {cores} may be used, but {len(by_code)} values are asked: {asked}"
            members = ", ".join(f"'{m}'" for group in by_code.values() for m in group)
            hint = "ask equal values, or allow more cores"
            misfits.append(Misfit("core_bias_conflict", len(by_code), cores, members, hint, text))
    if not misfits:  # no single bias is to blame, but together they are
        everyone = list(requests.values())
        groups = len({tuple(sorted(codes_of(r).items())) for r in everyone})
        text = f"populations that can share biases do not fill {cores} cores of {room} without mixing: {who}"
        misfits.append(Misfit("core_bias_conflict", groups, cores, who, "make more parameters equal", text))
    return misfits


def _asks(requests: dict[str, Requests], bias: str, members: list[str]) -> str:
    names = ", ".join(f"'{m}'" for m in members[:4]) + (", …" if len(members) > 4 else "")
    row = requests[members[0]].rows.get(bias)
    return f"{names} off" if row is None else f"{names} {row.quantity} {format_quantity(row.asked, row.unit).strip()}"
