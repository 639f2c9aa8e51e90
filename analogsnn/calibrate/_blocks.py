"""Which blocks of the library have a model, and how to calibrate each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import InputError
from ._calibration import Calibration
from ._gate import GateDesign, gate
from ._neuron import neuron
from ._neuron_experiments import NeuronDesign
from ._synapse import BLOCKS as SYNAPSES
from ._synapse import Design, synapse

# Block → its calibration, and how many experiments that takes.
MODELLED: Mapping[str, tuple[Callable[..., Calibration], Callable[[], int]]] = {
    **{block: (synapse, lambda: Design().size) for block in SYNAPSES},
    "adexp_neuron": (neuron, lambda: NeuronDesign().size),
    "nmda_gate": (gate, lambda: GateDesign().size),
}


def experiments(block: str) -> int:
    """How many circuit runs the calibration of a block takes.

    **Raises** `InputError` for a block without a model.
    """
    return _modelled(block)[1]()


def calibrate(block: str, *, card: str = "ekv", progress: Callable[[float], None] | None = None) -> Calibration:
    """Calibrate the model of a block of the library against its circuit: `synapse`, `neuron` or `gate`, by its name.

    **Raises** `InputError` for a block without a model; and what those raise.
    """
    return _modelled(block)[0](block, card=card, progress=progress)


def _modelled(block: str) -> tuple[Callable[..., Calibration], Callable[[], int]]:
    if block not in MODELLED:
        raise InputError(f"there is no model to calibrate for '{block}'; there are models for {', '.join(MODELLED)}.")
    return MODELLED[block]
