"""The heart-rate network on three chips: DYNAP-SE2, one that does not exist yet, and DYNAP-SE1, which cannot have it.

python examples/41_invented_chip.py
"""

from __future__ import annotations

from pathlib import Path

from analogsnn.chips import compile
from analogsnn.errors import DoesNotFitError
from analogsnn.heart_rate import heart_rate_network

CHIPS = ("dynapse2", Path(__file__).with_name("invented_chip.toml"), "dynapse1")


def main() -> None:
    """Compile for every chip and say what came of it."""
    network = heart_rate_network(5)
    for chip in CHIPS:
        try:
            mapping = compile(network, chip)
        except DoesNotFitError as error:
            print(f"{chip} cannot have it, for {len(error.misfits)} reasons:")
            for misfit in error.misfits:
                print(f"  {misfit}")
            continue
        (weights,) = mapping.weights
        print(
            f"{mapping.chip.name}: {network.size} neurons on {len(mapping.occupancy.neurons)} core, at most "
            f"{mapping.occupancy.synapse_words.max()} of {mapping.occupancy.words_per_neuron} synapse words; weights "
            f"{100 * weights.relative_l2:.2f} % off"
        )


if __name__ == "__main__":
    main()
