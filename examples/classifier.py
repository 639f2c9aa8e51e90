"""What the trained classifiers share: their network, training with and without mismatch, the trial, the page.

A third one is `samples(count, seed)`, its `WIRES`, and the `main` of the first two.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from analogsnn.chips import Arrival, train_for_chip
from analogsnn.network import Input, Network, Neuron, Population, Samples, Synapse, all_to_all, connect
from analogsnn.report import write_training_report

NEURON = Neuron(tau=15e-3, gain=20.0, refractory=5e-3, threshold=200e-12)
SYNAPSES = {
    "AMPA": Synapse(tau=6e-3, gain=1.0),
    "NMDA": Synapse(tau=40e-3, gain=1.0),
    "GABA_A": Synapse(tau=20e-3, gain=1.0),
    "GABA_B": Synapse(tau=40e-3, gain=1.0),
}
LARGEST = 100e-9  # A
EACH = 8  # neurons a class
TRAININGS = {"mismatch in the loss": 0.2, "no mismatch in the loss": 0.0}
Wire = tuple[str, str, str, float]  # source, target ("output" for every class), synapse type, mean of the weights (A)


def two_layers(channels: int, hidden: int, outputs: Sequence[str], wires: Sequence[Wire], seed: int) -> Network:
    """An input, hidden neurons and a population for every class, all joined as `wires` say by random weights."""
    rng = np.random.default_rng(seed)
    sizes = {"in": channels, "hidden": hidden} | dict.fromkeys(outputs, EACH)

    def joined(source: str, target: str, kind: str, mean: float):
        count = sizes[source] * sizes[target]
        weights = rng.exponential(mean, count) + 1e-10
        return connect(source, target, kind, all_to_all(sizes[source], sizes[target]), weights)

    first = [joined(*wire) for wire in wires if wire[1] == "hidden"]
    second = [joined(s, name, kind, mean) for name in outputs for s, target, kind, mean in wires if target == "output"]
    return Network(
        populations=tuple(
            Population(name=name, size=sizes[name], neuron=NEURON, synapses=SYNAPSES, pulse=100e-6)
            for name in ("hidden", *outputs)
        ),
        inputs=(Input(name="in", size=channels),),
        connections=(*first, *second),
    )


def said(arrival: Arrival) -> str:
    """What arrives, in one line."""
    chips = arrival.mismatched
    return (
        f"float {arrival.unquantised:.3f}, quantised {arrival.quantised:.3f}, {len(chips)} fresh chips at 20 % "
        f"{chips.mean():.3f} ± {chips.std():.3f}, worst {chips.min():.3f}, lost {100 * arrival.lost:.1f} points"
    )


def compare(
    page: Path, title: str, notes: Sequence[str], network: Network, outputs: Sequence[str], learn: Samples,
    check: Samples, *, steps: int, seed: int,
) -> dict[str, float]:  # fmt: skip
    """Train with and without mismatch in the loss, write the page, return the shares of answers lost on chips."""
    page.parent.mkdir(parents=True, exist_ok=True)
    started, arrivals = time.perf_counter(), {}
    for name, mismatch in TRAININGS.items():
        arrivals[name] = train_for_chip(
            network, learn, check, outputs,
            largest=LARGEST, steps=steps, seed=seed, mismatch=mismatch, draws=4 if mismatch else 1,
        )  # fmt: skip
        print(f"{name}: {said(arrivals[name])}")
    seconds = time.perf_counter() - started
    write_training_report(page, arrivals, check, title=title, outputs=outputs, notes=notes, seconds=seconds, seed=seed)
    print(f"wrote {page} after {time.perf_counter() - started:.0f} s")
    return {name: a.lost for name, a in arrivals.items()}


def command_line(main: Callable[[Path, int, int], object], description: str, steps: int) -> None:
    """`[FOLDER] [--seed N] [--steps N]`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"), help="where the page is written")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same numbers")
    parser.add_argument("--steps", type=int, default=steps, help="of training")
    given = parser.parse_args()
    if given.seed < 0 or given.steps < 1:
        parser.error(f"the seed is {given.seed}, the steps are {given.steps}; give whole numbers from 0 and from 1 on")
    main(given.folder, given.seed, given.steps)
