"""The benches that models are calibrated on, and the cards that they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .. import library
from ..circuit import Circuit
from ..errors import InputError
from ..netlist import Device, Netlist
from ..transient import transient
from ..waveforms import Waveforms

# What an experiment asks for: waveforms until a time (s), with other values of the bench's parameters by path.
Solve = Callable[[Mapping[str, float], float], Waveforms]


def in_our_engine(circuit: Circuit) -> Solve:
    """Experiments in our engine."""

    def solve(values: Mapping[str, float], stop: float) -> Waveforms:
        return transient(circuit.replace(values), stop, accuracy="fast", rtol=1e-5)

    return solve


def read_calibration_bench(block: str, card: str) -> Netlist:
    """The bench of a block on an EKV card, by name or file.

    **Raises** `InputError` for a card of transistors that our engine has no equations for.
    """
    netlist = library.read_bench(block, card=card)
    for element in netlist.flatten({"nfet", "pfet"}).elements:
        if isinstance(element, Device) and element.definition.model_kind != "ekv":
            raise InputError(
                f"the transistors of the card '{card}' are none that our engine computes, and models are calibrated "
                f"on circuits that it runs. Fit an EKV card to it first, `analogsnn extract-card "
                f"{element.definition.file} --nmos NAME --pmos NAME --out card.toml`, and give --card card.lib."
            )
    return netlist
