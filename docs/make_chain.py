"""The numbers of docs/chain.md: one neuron from a foundry-like card to a network, with the error at each arrow.

`python docs/make_chain.py [FOLDER]` runs it (some six minutes of processor time, ngspice included), writes card and
model into FOLDER and prints the table.
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
from analogsnn.transient import transient
from analogsnn.validation import textbook_model

INPUTS = (60e-12, 100e-12, 200e-12, 400e-12, 1e-9)  # A
SPIKES = 6
# Weaker adaptation than the bench's, so that six spikes come within a short run.
BIASES = {"iref": 500e-12, "iahpw": 300e-12, "iahptau": 4e-12, "iahpgain": 4e-12}
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
    compare(card, calibrated.at)


def compare(card: Path, at: Callable[..., TransistorNeuron]) -> None:
    """Rates and adaptation at each end of the chain; `at` is the model at a condition."""
    circuit = Circuit.from_netlist(library.read_bench("adexp_neuron", card=str(card)))
    rows = []
    for i_in in INPUTS:
        values = {**BIASES, "iin": i_in}
        stop = 2e-3 + SPIKES * (0.9e-12 / i_in + 2e-3)
        native = library.read_bench("adexp_neuron", card="bsim3", parameters=values)
        run = circuit.replace({f"param.{name}": value for name, value in values.items()})
        textbook = library.read_bench("adexp_neuron", card=str(card), parameters=values)
        model = at(i_in=i_in, i_ref=BIASES["iref"], i_ahpw=BIASES["iahpw"], i_ahptau=BIASES["iahptau"]).spikes(
            i_in, SPIKES, stop
        )[0]
        other = textbook_model("adexp_neuron", textbook)
        assert other is not None
        rows.append(
            [
                intervals(np.asarray(spike_times(waves, "spk")))
                for waves in (
                    ngspice.transient(native, stop, save=["spk"]),
                    transient(run, stop, accuracy="fast", rtol=1e-5),
                )
            ]
            + [intervals(np.asarray(model)), intervals(np.asarray(spike_times(other.waves, "spk")))]
        )
    table = np.array(rows)  # [input, engine, (rate, ratio)]
    names = ("ngspice, BSIM3", "circuit, EKV", "model", "textbook")
    for k, i_in in enumerate(INPUTS):
        for engine, name in enumerate(names):
            print(f"{i_in * 1e12:5.0f} pA {name:15s} {table[k, engine, 0]:8.1f} Hz, ratio {table[k, engine, 1]:.3f}")
    arrows = (("card → circuit", 1, 0), ("circuit → model", 2, 1), ("BSIM3 → model", 2, 0), ("→ network", 3, 1))
    for name, a, b in arrows:
        error = 100 * (table[:, a] / table[:, b] - 1)
        print(f"{name}: rate {error[:, 0].round(1)} %, ratio {error[:, 1].round(1)} %")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
