"""What a compilation gives: the configuration, the network that it is, and a report of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import InputError
from ..network import Network
from ._chip import Chip
from ._configuration import Configuration
from ._core_weights import CoreWeights


@dataclass(frozen=True)
class Place:
    """One neuron, logical and physical."""

    population: str
    index: int
    chip: int
    core: int
    neuron: int


@dataclass(frozen=True)
class BiasRow:
    """One bias of one core in the report.

    `core` counts on the chip. `requested`, `realised` (A), `coarse`, `fine`, `relative_error` of the current;
    `quantity` with `asked` and `got` in `unit` is what it stands for; `populations` are those that asked for it.
    """

    name: str
    chip: int
    core: int
    requested: float
    realised: float
    coarse: int
    fine: int
    relative_error: float
    quantity: str
    unit: str
    asked: float
    got: float
    populations: tuple[str, ...]


@dataclass(frozen=True)
class Occupancy:
    """How much of the chip is used, beside what there is.

    - `neurons`: {(chip, core): neurons}, of `neurons_per_core`.
    - `synapse_words`, `route_words`: int arrays [neuron] in logical order, of `words_per_neuron` and `destinations`
      (with the word for the host).
    - `tags`: different tags, of `tags_usable`.
    """

    neurons: dict[tuple[int, int], int]
    neurons_per_core: int
    synapse_words: np.ndarray
    words_per_neuron: int
    route_words: np.ndarray
    destinations: int
    tags: int
    tags_usable: int


@dataclass(frozen=True)
class Mapping:
    """A network on a chip.

    - `chip`: the description; `configuration`: what the board is told.
    - `network`: decoded back from the configuration: what the chip will compute.
    - `neurons`: logical ↔ physical, one `Place` per neuron in logical order.
    - `biases`: the report, one `BiasRow` per bias and core; `weights`: one `CoreWeights` per core with synapses.
    - `occupancy`, `warnings`.
    """

    chip: Chip
    configuration: Configuration
    network: Network
    neurons: tuple[Place, ...]
    biases: tuple[BiasRow, ...]
    weights: tuple[CoreWeights, ...]
    occupancy: Occupancy
    warnings: tuple[str, ...]

    def physical(self, population: str, index: int) -> tuple[int, int, int]:
        """(chip, core, neuron) of a logical neuron."""
        if (population, index) not in self._physical:
            raise InputError(f"There is no neuron {index} of '{population}'.")
        return self._physical[population, index]

    def logical(self, chip: int, core: int, neuron: int) -> tuple[str, int] | None:
        """(population, index) of a physical neuron, None for one that is not used."""
        return self._logical.get((chip, core, neuron))

    @cached_property
    def _physical(self) -> dict[tuple[str, int], tuple[int, int, int]]:
        return {(p.population, p.index): (p.chip, p.core, p.neuron) for p in self.neurons}

    @cached_property
    def _logical(self) -> dict[tuple[int, int, int], tuple[str, int]]:
        return {there: here for here, there in self._physical.items()}
