"""A calibrated model against its block on a foundry's card, the error split into that of the card and of the model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import library, ngspice
from ..circuit import Circuit
from ..errors import InputError
from ..netlist import Tran, transient_analysis
from ..waveforms import Waveforms
from ._bench import in_our_engine, read_calibration_bench
from ._calibration import Calibration
from ._neuron import predict
from ._neuron_experiments import NeuronDesign, run_neuron
from ._synapse import BLOCKS as SYNAPSES
from ._synapse import Design, predicted, run_experiments

# Outputs of 20 pA to 2 nA, inputs of 20 pA to 2 nA; each a run of ngspice too.
SYNAPSE = Design(leaks=(20e-12, 60e-12, 200e-12), ratios=(3.0, 10.0), gains=(0.5, 1.4))
NEURON = NeuronDesign(
    leaks=(10e-12, 50e-12), ratios=(2.0, 8.0, 40.0), settings=((1.0, 1e-9),), inputs=(100e-12, 500e-12),
    weights=(300e-12,), slow=((4e-12, 500e-12),),
)  # fmt: skip
POINTS = 1000  # of a run: the decay time is read between points


@dataclass(frozen=True)
class FoundryRow:
    """A quantity by all three: the block on the foundry's card (ngspice), on the EKV card (our engine), the model."""

    quantity: str
    condition: Mapping[str, float]
    foundry: float
    circuit: float
    model: float

    def errors(self) -> dict[str, float]:
        """`card_error` of the circuit against the foundry, `model_error` against the circuit, `error` of both."""
        return {
            "card_error": self.circuit / self.foundry - 1, "model_error": self.model / self.circuit - 1,
            "error": self.model / self.foundry - 1,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The row as it stands in the JSON file; what is not finite is null."""
        numbers = {"foundry": self.foundry, "circuit": self.circuit, "model": self.model, **self.errors()}
        finite = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
        return {"quantity": self.quantity, "condition": dict(self.condition), **finite}


def compared(block: str, foundry: str | None = None) -> int:
    """How many conditions `compare` runs, in both engines.

    **Raises** `InputError` for a block without such a comparison, and for a card `foundry` that cannot be read.
    """
    if foundry is not None:
        library.read_bench(block, card=foundry)
    if block in SYNAPSES:
        return SYNAPSE.size
    if block == "adexp_neuron":
        return NEURON.size
    raise InputError(
        f"there is no comparison of {block} with a foundry's card; there is for {', '.join(SYNAPSES)}, adexp_neuron."
    )


def compare(found: Calibration, foundry: str, progress: Callable[[float], None] | None = None) -> list[FoundryRow]:
    """Compare a calibrated synapse or neuron with its block on the card `foundry`, by name or file, in ngspice.

    Currents of 20 pA to 2 nA, 0 to 70 °C; other conditions than those of the calibration.

    **Arguments**: `progress`: called with 1 after each run of either engine, twice `compared(block)`.

    **Raises** `InputError` for a block without such a comparison, and an unknown card; `NgspiceError`.
    """
    compared(found.block)
    bench = read_calibration_bench(found.block, found.card)
    ours = in_our_engine(Circuit.from_netlist(bench))
    theirs = _in_ngspice(found.block, foundry)
    if found.block in SYNAPSES:
        seen = [run_experiments(solve, SYNAPSE, progress) for solve in (theirs, ours)]
        model = predicted(found.parameters, seen[1])
        names, keys, quantities = ("i_tau", "i_w", "i_gain", "celsius"), seen[1], ("gain", "tau")
    else:
        runs = [run_neuron(solve, NEURON, progress) for solve in (theirs, ours)]
        keys, seen = runs[0][0], [run[1] for run in runs]
        capacitors = {name: found.parameters[name] for name in ("c_mem", "c_ref", "c_ahp")}
        # Silent neurons have no rate; any will do in their place, they have no rows.
        known = seen[1]._replace(rate=np.where(seen[1].rate > 0, seen[1].rate, 1e3))
        model = predict(found.parameters, keys, known, capacitors, NEURON.spikes)
        names, quantities = keys._fields, ("rate", "refractory", "ratio")
    rows = []
    for k in range(len(keys.celsius)):
        condition = {name: float(getattr(keys, name)[k]) for name in names}
        for quantity in quantities:
            there, here = (float(getattr(x, quantity)[k]) for x in seen)
            if there > 0 and here > 0:  # neither silent nor NaN
                rows.append(FoundryRow(quantity, condition, there, here, float(model[quantity][k])))
    return rows


def summary(rows: list[FoundryRow]) -> dict[str, dict[str, dict[str, float]]]:
    """By quantity and kind of error, the largest and the root mean square."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for quantity in dict.fromkeys(row.quantity for row in rows):
        errors = [row.errors() for row in rows if row.quantity == quantity]
        found[quantity] = {
            kind: {
                "max_relative": max(abs(e[kind]) for e in errors),
                "rms_relative": math.sqrt(sum(e[kind] ** 2 for e in errors) / len(errors)),
            }
            for kind in ("card_error", "model_error", "error")
        }
    return found


def _in_ngspice(block: str, card: str) -> Callable[[Mapping[str, float], float], Waveforms]:
    netlist = library.read_bench(block, card=card)
    save = ["spk", "vmem"] if block == "adexp_neuron" else []

    def solve(values: Mapping[str, float], stop: float) -> Waveforms:
        tran, _ = transient_analysis(netlist, None)
        fine = dataclasses.replace(tran, max_step=stop / POINTS)
        analyses = tuple(fine if isinstance(a, Tran) else a for a in netlist.analyses)
        return ngspice.transient(
            dataclasses.replace(netlist.replace(values), analyses=analyses), stop, save=save, keep=False
        )

    return solve
