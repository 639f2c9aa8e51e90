"""The numbers of docs/chain.md: one neuron from a foundry-like card to a network, with the error at each arrow.

`python docs/make_chain.py [FOLDER]` runs it (some six minutes of processor time, ngspice included), writes card and
model into FOLDER, draws docs/figures/chain.png and prints the numbers of the page.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analogsnn import library, ngspice
from analogsnn.calibrate import NeuronDesign, extract_card, neuron
from analogsnn.circuit import Circuit
from analogsnn.measure import spike_times
from analogsnn.models import TransistorNeuron
from analogsnn.network import (
    Adaptation,
    CircuitNeuron,
    Events,
    Mismatch,
    Network,
    Population,
    circuit_neuron,
    lanes,
    simulate,
)
from analogsnn.report import BLUE, GREY, ORANGE, drawing, new_figure
from analogsnn.transient import transient

INPUTS = (60e-12, 100e-12, 200e-12, 400e-12, 1e-9)  # A
SPIKES = 6
STEP = 2e-6  # s, of the network: the upswing of a spike takes microseconds
# Weaker adaptation than the bench's, so that six spikes come within a short run.
BIASES = {"iref": 500e-12, "iahpw": 300e-12, "iahptau": 4e-12, "iahpgain": 4e-12}
BIAS_OFF = 1e-15  # A, of a weight that is off
UNSEEN = (15.0, 50.0)  # °C
LEAK = 20e-12  # A, leak and gain of the bench
DESIGN = NeuronDesign(leaks=(10e-12, 50e-12), ratios=(3.0, 10.0, 40.0), settings=((1.0, 2e-9), (1.0, 300e-12)))


def intervals(times: np.ndarray) -> tuple[float, float]:
    """First rate (Hz), and that of the fifth interval over it; NaN for a neuron that spikes less often."""
    if len(times) < SPIKES:
        return np.nan, np.nan
    periods = np.diff(times[:SPIKES])
    return 1 / periods[0], periods[0] / periods[-1]


def main(folder: Path) -> None:
    """Run the chain and print it."""
    bsim3 = library.circuits_folder() / "cards" / "bsim3.lib"
    found = extract_card(bsim3, "nb", "pb")
    card = folder / "chain_card.lib"
    card.write_text(found.to_lib(), encoding="utf-8")
    print("BSIM3 → EKV card, drain current, 1 pA to 1 µA:", found.overall)
    calibrated = neuron(card=str(card), design=DESIGN)
    (folder / "chain_model.toml").write_text(calibrated.to_toml(), encoding="utf-8")
    print("circuit → model:", calibrated.summary(), calibrated.valid_range)
    network = circuit_neuron(calibrated)
    for name, growth in network.warming.items():
        print(f"network's {name}: {getattr(network, name):.4g}, {100 * growth:+.2f} % a kelvin")
    for celsius in DESIGN.celsius:
        errors = np.array([row.relative_error for row in network.errors if row.condition["celsius"] == celsius])
        print(
            f"circuit → network, {celsius:g} °C: rms {100 * np.sqrt((errors**2).mean()):.1f} %, largest "
            f"{100 * np.abs(errors).max():.1f} %, within 10 %: {100 * (np.abs(errors) < 0.1).mean():.0f} %"
        )
    between(card, network)
    compare(card, calibrated.at, network)


def between(card: Path, network: CircuitNeuron) -> None:
    """The network's rates at temperatures that the calibration has not seen, without adaptation."""
    circuit = Circuit.from_netlist(library.read_bench("adexp_neuron", card=str(card)))
    for celsius in UNSEEN:
        errors = []
        for i_in in INPUTS:
            values = {"param.iin": i_in, "param.iref": BIASES["iref"], "param.iahpw": BIAS_OFF, "temp": celsius}
            waves = transient(circuit.replace(values), 2e-3 + 3 * (0.9e-12 / i_in + 1e-3), accuracy="fast", rtol=1e-5)
            times = np.asarray(spike_times(waves, "spk"))
            rate = network.rate(i_in, i_tau=LEAK, i_gain=LEAK, i_ref=BIASES["iref"], celsius=celsius)
            errors.append(100 * (float(rate) * (times[1] - times[0]) - 1) if len(times) > 1 else np.nan)
        print(f"circuit → network, {celsius:g} °C, not seen: rate {np.round(errors, 1)} %")


def in_network(network: CircuitNeuron, i_in: float, pulse: float, stop: float) -> np.ndarray:
    """Spike times (s) of a network of one neuron."""
    physics = network.physics()
    adaptation = Adaptation(
        tau=physics.time_constant(BIASES["iahptau"], "ahp"), weight=BIASES["iahpw"], gain=1.0, pulse=pulse
    )
    neuron = network.neuron(i_in, i_tau=LEAK, i_gain=LEAK, i_ref=BIASES["iref"], adaptation=adaptation)
    one = Network(populations=(Population(name="one", size=1, neuron=neuron),), physics=physics)
    return simulate(lanes(one, [Mismatch(cv=0.0)]), Events(np.zeros(0), np.zeros(0, int)), stop, dt=STEP).time


def compare(card: Path, at: Callable[..., TransistorNeuron], network: CircuitNeuron) -> None:
    """Rates and adaptation at each end of the chain; `at` is the model at a condition."""
    circuit = Circuit.from_netlist(library.read_bench("adexp_neuron", card=str(card)))
    rows = []
    for i_in in INPUTS:
        values = {**BIASES, "iin": i_in}
        stop = 2e-3 + SPIKES * (0.9e-12 / i_in + 2e-3)
        native = library.read_bench("adexp_neuron", card="bsim3", parameters=values)
        run = circuit.replace({f"param.{name}": value for name, value in values.items()})
        model = at(i_in=i_in, i_ref=BIASES["iref"], i_ahpw=BIASES["iahpw"], i_ahptau=BIASES["iahptau"])
        network_times = in_network(network, i_in, float(model.pulse), stop)
        rows.append(
            [
                intervals(np.asarray(spike_times(waves, "spk")))
                for waves in (
                    ngspice.transient(native, stop, save=["spk"]),
                    transient(run, stop, accuracy="fast", rtol=1e-5),
                )
            ]
            + [intervals(np.asarray(model.spikes(i_in, SPIKES, stop)[0])), intervals(network_times)]
        )
    table = np.array(rows)  # [input, engine, (rate, ratio)]
    draw(table)
    names = ("ngspice, BSIM3", "circuit, EKV", "model", "network")
    for k, i_in in enumerate(INPUTS):
        for engine, name in enumerate(names):
            print(f"{i_in * 1e12:5.0f} pA {name:15s} {table[k, engine, 0]:8.1f} Hz, ratio {table[k, engine, 1]:.3f}")
    arrows = (
        ("card → circuit", 1, 0),
        ("circuit → model", 2, 1),
        ("BSIM3 → model", 2, 0),
        ("model → network", 3, 2),
        ("BSIM3 → network", 3, 0),
    )
    for name, a, b in arrows:
        error = 100 * (table[:, a] / table[:, b] - 1)
        print(f"{name}: rate {error[:, 0].round(1)} %, ratio {error[:, 1].round(1)} %")


def draw(table: np.ndarray) -> None:
    """Rates over the input at each stage, and their errors against BSIM3."""
    with drawing():
        figure = new_figure(3.2)
        left, right = figure.subplots(1, 2)
        inputs = 1e12 * np.array(INPUTS)
        marks = (
            ("ngspice, BSIM3", GREY, "-"),
            ("circuit, EKV", BLUE, "o"),
            ("model", ORANGE, "x"),
            ("network", BLUE, "^"),
        )
        for k, (name, colour, mark) in enumerate(marks):
            left.loglog(inputs, table[:, k, 0], mark, color=colour, label=name, markerfacecolor="none")
            if k:
                error = 100 * (table[:, k, 0] / table[:, 0, 0] - 1)
                right.semilogx(inputs, error, mark + "-", color=colour, markerfacecolor="none", lw=0.8)
        left.set_ylabel("first rate (Hz)")
        right.set_ylabel("error against BSIM3 (%)")
        for axes in (left, right):
            axes.set_xlabel("input (pA)")
        left.legend(frameon=False)
        figure.savefig(Path(__file__).parent / "figures" / "chain.png", dpi=150)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
