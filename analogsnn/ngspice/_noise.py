"""Noise of a circuit at rest at its operating point, by ngspice's `.noise`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import InputError
from ._options import Value
from ._process import call
from ._run import Deck, as_netlist, deck_lines, judge


def noise(
    deck: Deck,
    node: str,
    start: float,
    stop: float,
    *,
    points: int = 10,
    reference: str | None = None,
    options: Mapping[str, Value] | None = None,
    timeout: float = 600.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The spectral density of a node's voltage, all noise of the deck together, linear around its operating point.

    Only devices that ngspice knows have noise: resistors, diodes, bipolar and MOS transistors. Behavioural sources have
    none, so that a circuit on an EKV card is silent here. BSIM3 (noimod 1) counts 8/3 kT (gm + gmbs + gds), which in
    weak inversion, where gm + gmbs is about I/UT, is some 4/3 of the shot noise 2qI: 1.25 dB more, 1.5 measured.

    **Arguments**

    - `start`, `stop`: Hz, with `points` to a decade. `reference`: the node that the voltage is against, ground unless
      given. `options`, `timeout`: as of `transient`.

    **Returns** frequencies (Hz, [n]) and one-sided densities (V²/Hz, [n]).

    **Raises** `InputError` for a node that is not there and frequencies that do not ascend, `NgspiceError`.
    """
    netlist = as_netlist(deck)
    for name in (node, reference):
        if name is not None and name.lower() not in netlist.nodes:
            raise InputError(f"'{name}' is no node of {netlist.file}; there are {', '.join(netlist.nodes[:8])} …")
    if not 0 < start < stop:
        raise InputError(f"noise goes from {start:g} to {stop:g} Hz; give two frequencies above zero that ascend.")
    across = node.lower() if reference is None else f"{node.lower()},{reference.lower()}"
    # ngspice wants a source to refer the noise to; this one belongs to nothing.
    lines = [*deck_lines(netlist, options), "Vanalogsnn_in analogsnn_in 0 dc 0 ac 1", "Ranalogsnn_in analogsnn_in 0 1"]
    lines += [f".noise v({across}) Vanalogsnn_in dec {points} {start!r} {stop!r}", ".end"]
    answer, vectors = call(lines, [], timeout)
    judge(answer["log"], {k: v for k, v in (vectors or {}).items() if k != "inoise_spectrum"})
    assert vectors is not None
    return vectors["frequency"], vectors["onoise_spectrum"] ** 2
