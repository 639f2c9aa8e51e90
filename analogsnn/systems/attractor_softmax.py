r"""A winner-take-all whose output currents are a softmax of its inputs, in both engines. A circuit, no network.

The cells of `circuits/wta.cir` share a node and a tail current. In weak inversion their output transistors divide it as
$I_k / I_b = e^{\beta V_k} / \sum_j e^{\beta V_j}$, $\beta = 1/(n U_T)$, of the voltages $V_k$ of their inputs. With
currents as inputs, a cell's voltage is set by the Early effect of its input transistor, $I = I_{sat} (1 + V/V_A)$, so
that the shares are a softmax of $\ln I_k$ with the far larger $\beta (V_A + V)$.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from .. import library, ngspice
from ..circuit import Circuit
from ..netlist import Netlist, read_netlist_text
from ..network import chips as produce
from ..report import BLUE, GREY, INK, ORANGE, drawing, new_figure
from ..transient import dc
from ._on_chips import CV
from ._result import Number, Picture, Result

CELLS = 6
SLOPE, THERMAL = 1.30, 25.865e-3  # ekv.lib: ekv_nn, and ekv_ut at 27 C
BETA = 1.0 / (SLOPE * THERMAL)  # 1/V
EARLY = 10e6 * 2e-6  # V: ekv_ven times the length of a cell's transistors
TAIL = 200e-12  # A
TAILS = (50e-12, 100e-12, 200e-12, 500e-12, 1e-9, 2e-9, 5e-9)
SPAN = 60e-3  # V; voltages lie within this of their middle: shares up to 88 %
LEAST = 0.01  # shares below this are not judged
CURRENT, RANGE = 1e-9, 0.003  # A, and how far the currents lie from it, relative
_AIM = "aim of this project"

_HEAD = """\
* {title}
.include ../circuits/cards/ekv.lib
.include ../circuits/bias.cir
.include ../circuits/wta.cir
.options gmin=1e-18 abstol=1e-17 reltol=1e-6 vntol=1e-9 noopiter
.temp 27
Vdd vdd 0 1.8
Ib vdd vb {tail:g}
Xb vb 0 bias_n
Xt vc vb 0 wta_tail
Vo o 0 1.3
Vs s 0 0
"""


def deck(gains: np.ndarray, *, tail: float = TAIL, currents: bool = False) -> str:
    """The deck: inputs that move along `gains` [cell], each within ±1, while V(s) goes from 0 to 1."""
    title = f"attractor_softmax: {len(gains)} cells, {'currents' if currents else 'voltages'} as inputs"
    lines = [_HEAD.format(title=title, tail=tail)]
    if not currents:
        lines.append("Vm m 0 0.8\n")
    for k, gain in enumerate(gains, 1):
        if currents:
            lines.append(f"I{k} vdd x{k} {CURRENT:g}\nG{k} vdd x{k} s 0 {float(gain * RANGE * CURRENT)!r}\n")
        else:
            lines.append(f"E{k} x{k} m s 0 {float(gain * SPAN)!r}\n")
        lines.append(f"Xc{k} x{k} o{k} vc 0 wta_cell\nV{k} o o{k} 0\n")
    return "".join(lines) + ".dc Vs 0 1 0.05\n.end\n"


def read(text: str) -> Netlist:
    """The deck as a netlist, its includes found in the library."""
    return read_netlist_text(text, str(library.spice_folder() / "attractor_softmax.cir"), [library.root()])


def shares(waves) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the outputs and voltages of the inputs, both [cell, point]."""
    out = np.array([np.asarray(waves.current(f"v{k}")) for k in range(1, CELLS + 1)])
    return out / out.sum(axis=0), np.array([np.asarray(waves.voltage(f"x{k}")) for k in range(1, CELLS + 1)])


def softmax(x: np.ndarray) -> np.ndarray:
    """Along the first axis."""
    e = np.exp(x - x.max(axis=0))
    return e / e.sum(axis=0)


def worst(measured: np.ndarray, expected: np.ndarray) -> float:
    """The largest relative error of a share that should be at least `LEAST`."""
    return float(np.max(np.abs(measured / expected - 1)[expected >= LEAST]))


def run(chips: int = 20, seed: int = 1, *, reduced: bool = False) -> Result:
    """Sweeps through the space of inputs in our engine, the same in ngspice, and with threshold mismatch."""
    one = 2.0 * np.eye(CELLS)[0] - 1.0  # the corners of the range: one input above all others, and one below
    some = np.random.default_rng(seed).uniform(-1, 1, (1 if reduced else 6, CELLS))
    directions = np.concatenate([[one, -one], some])
    s = np.linspace(0, 1, 21)
    circuit = Circuit.from_netlist(read(deck(directions[0])))
    errors, judged, points = [], [], []
    for gains in directions:
        circuit = circuit.replace({f"e{k}.gain": g * SPAN for k, g in enumerate(gains, 1)})
        measured, _ = shares(dc(circuit))
        expected = softmax(BETA * SPAN * gains[:, None] * s)
        errors.append(worst(measured, expected))
        points.append((expected.ravel(), measured.ravel()))
    for gains in directions[:2]:  # the same decks, solved by ngspice
        gold, _ = shares(ngspice.dc(read(deck(gains))))
        ours, _ = shares(dc(circuit.replace({f"e{k}.gain": g * SPAN for k, g in enumerate(gains, 1)})))
        judged.append(worst(ours, gold))
    by_tail = []
    for tail in TAILS:
        measured, _ = shares(dc(circuit.replace({"ib.dc": tail} | _gains(directions[0]))))
        by_tail.append(worst(measured, softmax(BETA * SPAN * directions[0][:, None] * s)))

    text = deck(directions[0], currents=True)
    ours, x = shares(dc(Circuit.from_netlist(read(text))))
    gold, _ = shares(ngspice.dc(read(text)))
    logs = np.log1p(RANGE * directions[0][:, None] * s)
    steep = BETA * (EARLY + x.mean(axis=0))
    by_current = worst(ours, softmax(steep * logs))

    sigma = SLOPE * THERMAL * np.sqrt(np.log1p(CV**2))  # V: what makes currents log-normal with CV
    spread = []
    for chip in produce(chips if not reduced else 2, CV, seed):
        offset = SLOPE * THERMAL * np.log(chip.draw("cell.i", CELLS) * np.sqrt(1 + CV**2))
        shifted = circuit.replace({f"xc{k}.x2.dvt": float(o) for k, o in enumerate(offset, 1)} | _gains(directions[0]))
        measured, _ = shares(dc(shifted))
        spread.append(np.max(np.abs(measured - softmax(BETA * SPAN * directions[0][:, None] * s))))

    numbers = {
        "voltage_error": Number(
            max(errors),
            "1",
            "voltages as inputs: largest relative error of a share, against softmax",
            most=0.03,
            source=_AIM,
        ),
        "voltage_error_ngspice": Number(
            max(judged),
            "1",
            "voltages as inputs: largest relative difference of our engine and ngspice",
            most=0.005,
            source=_AIM,
        ),
        "current_error": Number(
            by_current,
            "1",
            "currents as inputs: largest relative error of a share, against softmax of the logarithms",
            most=0.03,
            source=_AIM,
        ),
        "current_error_ngspice": Number(
            worst(ours, gold),
            "1",
            "currents as inputs: largest relative difference of our engine and ngspice",
            most=0.005,
            source=_AIM,
        ),
        "voltage_beta": Number(BETA, "1/V", "steepness for voltages, from the device card"),
        "current_beta": Number(float(np.mean(steep)), "1", "steepness for logarithms of currents, from the card"),
        "mismatch_error": Number.over(
            spread, "chips", "1", f"with {1e3 * sigma:.1f} mV threshold spread: largest absolute error of a share"
        ),
    } | {
        f"voltage_error_at_{tail * 1e12:.0f}_pA": Number(
            e, "1", f"voltages as inputs: the error at a tail of {tail * 1e12:.0f} pA"
        )
        for tail, e in zip(TAILS, by_tail, strict=True)
    }
    return Result(
        name="attractor_softmax",
        title="A winner-take-all as a softmax",
        about=(
            "The outputs of the winner-take-all of the circuit library share one tail current. With voltages as "
            "inputs the "
            "shares are a softmax at the temperature n U_T (34 mV); with currents they are a softmax of the currents' "
            "logarithms, so steep that a third of a per cent decides. Operating points of every transistor in "
            "our engine, "
            "the same deck in ngspice on the same equations. Nothing is fitted: both temperatures come from the "
            "device card.",
            f"The range: {CELLS} cells, tail {TAIL * 1e12:.0f} pA, inputs within {1e3 * SPAN:.0f} mV of their "
            f"middle, or "
            f"within {100 * RANGE:.1f} % of {CURRENT * 1e9:.0f} nA; shares of at least {100 * LEAST:.0f} %.",
        ),
        limits=(
            "An analogy, no more: spin models and attention layers have learned keys, many inputs and dynamics. This "
            "circuit divides a current by a softmax, and its settling is not looked at here.",
            "The error grows as the root of the tail current, as the transistors leave weak inversion, and passes 3 % "
            "above 1 nA.",
            "Threshold mismatch changes the inputs by as much as it is: it is not part of the error of the law, and is "
            "reported on its own. Nothing was measured on silicon.",
            "The circuit library's card is a long-channel one; there is no chip here to compile for.",
        ),
        numbers=numbers,
        pictures=(
            Picture(
                "Shares and their error",
                _figure(points, by_tail),
                (
                    "Left: shares of the tail current against softmax, all sweeps. Right: the largest relative "
                    "error against the "
                    "tail current, for one sweep."
                ),
            ),
        ),
        deck=deck(directions[0]),
        settings={"chips": chips, "seed": seed, "cells": CELLS, "tail": TAIL, "sweeps": len(directions)},
    )


def _gains(gains: np.ndarray) -> dict[str, float]:
    return {f"e{k}.gain": float(g * SPAN) for k, g in enumerate(gains, 1)}


def _figure(points, by_tail) -> Figure:
    with drawing():
        figure = new_figure(3.8)
        left, right = figure.subplots(1, 2)
        left.plot([LEAST / 3, 1], [LEAST / 3, 1], color=GREY, linewidth=1)
        for expected, measured in points:
            left.loglog(expected, measured, color=BLUE, marker=".", markersize=4, linestyle="none")
        left.axvline(LEAST, color=ORANGE, linestyle=(0, (5, 4)), linewidth=1)
        left.set(xlabel="softmax", ylabel="share of the tail current")
        right.semilogx(np.array(TAILS) * 1e12, 100 * np.array(by_tail), color=INK, marker="o", markersize=4)
        right.axhline(3, color=ORANGE, linestyle=(0, (5, 4)), linewidth=1)
        right.axvline(TAIL * 1e12, color=GREY, linewidth=1)
        right.set(xlabel="tail current (pA)", ylabel="largest relative error (%)", ylim=(0, None))
        return figure
