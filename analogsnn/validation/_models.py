"""The behavioural models of the synapse and the neuron at textbook parameters, as waveforms of their benches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..circuit import Circuit, use_float64
from ..netlist import Netlist, Tran
from ..waveforms import Waveforms


@dataclass(frozen=True)
class Model:
    """What a model says about a bench: its waveforms, and which of the bench's measures it has an opinion on."""

    waves: Waveforms
    measures: tuple[str, ...]
    about: str


def textbook_model(bench: str, netlist: Netlist) -> Model | None:
    """The model of a bench, or None for a bench that has none.

    Nothing is fitted: currents are the bench's `.param`, capacitors those of the block without the transistors' own,
    slopes, thresholds and thermal voltage those of the EKV card, and off-currents are I_0 = I_S e^(-V_T/(n UT)).
    """
    make = _MODELS.get(bench)
    if make is None:
        return None
    use_float64()
    return make(Circuit.from_netlist(netlist), netlist)


def _off_current(circuit: Circuit, device: str, polarity: str) -> float:
    """I_0 of a transistor: its current at a gate voltage of zero, saturated."""
    ut, n = circuit["card.ekv_ut"], circuit[f"card.ekv_n{polarity}"]
    return _specific_current(circuit, device, polarity) * math.exp(-circuit[f"card.ekv_vt{polarity}"] / (n * ut))


def _specific_current(circuit: Circuit, device: str, polarity: str) -> float:
    """I_S = 2 n KP (W/L) UT², where weak inversion ends."""
    ut, n, kp = circuit["card.ekv_ut"], circuit[f"card.ekv_n{polarity}"], circuit[f"card.ekv_kp{polarity}"]
    return float(2 * n * kp * circuit[f"{device}.w"] / circuit[f"{device}.l"] * ut**2)


def _synapse(polarity: str) -> Callable[[Circuit, Netlist], Model]:
    """The DPI: `polarity` is that of the transistors on its capacitor, leak and output."""

    def make(circuit: Circuit, netlist: Netlist) -> Model:
        from ..models import DPI

        dpi = DPI(
            c=circuit["x1.csyn.c"], kappa=1 / circuit[f"card.ekv_n{polarity}"], ut=circuit["card.ekv_ut"],
            i_tau=circuit["param.itau"], i_gain=circuit["param.igain"], i0=_off_current(circuit, "x1.xsyn", polarity),
        )  # fmt: skip
        times = np.linspace(0.0, _stop(netlist), 4001)
        u = dpi.trace(times, np.array([float(circuit["vpre.td"])]), circuit["vpre.pw"], circuit["param.iw"])
        current = np.exp(np.asarray(u))
        waves = Waveforms(
            time=times, voltages=np.zeros((0, times.size)), nodes=(), currents=current[None], branches=("vo",)
        )
        return Model(waves, ("i_rest", "i_ss", "i_80", "i_20", "tau"), "the DPI equation")

    return make


def _neuron(circuit: Circuit, netlist: Netlist) -> Model:
    """The DPI adaptive-exponential neuron; its refractory period and adaptation pulse are C_r V_T / I_ref."""
    from ..models import AHP, DPI, ExponentLaw, Neuron, spike_times

    current = {
        name: circuit[f"param.{name}"] for name in ("iin", "itau", "ithr", "iref", "iahpw", "iahptau", "iahpgain")
    }
    kappa, ut, vt = 1 / circuit["card.ekv_nn"], circuit["card.ekv_ut"], circuit["card.ekv_vtn"]
    i0 = _off_current(circuit, "x1.xa1", "n")
    refractory = circuit["x1.cr.c"] * vt / current["iref"]
    ahp = DPI(
        c=circuit["x1.cahp.c"], kappa=kappa, ut=ut, i_tau=current["iahptau"], i_gain=current["iahpgain"],
        i0=_off_current(circuit, "x1.xg6", "n"),
    )  # fmt: skip
    neuron = Neuron(
        c=circuit["x1.cmem.c"], kappa=kappa, ut=ut, i_tau=current["itau"], i_gain=current["ithr"],
        i_spike=_specific_current(circuit, "x1.xa1", "n"), i_reset=i0, t_ref=refractory, i0=i0,
        feedback=ExponentLaw(i0=i0, kappa=kappa), ahp=AHP(dpi=ahp, i_w=current["iahpw"], pulse=refractory),
    )  # fmt: skip
    delay, stop = float(circuit["iin.td"]), _stop(netlist)
    # Before the input comes the membrane rests at its reset, so that the model starts with it.
    train = spike_times(neuron, current["iin"], stop - delay, max_spikes=256)
    times = delay + np.asarray(train.times)[: int(train.count)]
    assert netlist.supply is not None
    return Model(
        _pulses(times, stop, netlist.supply), ("t1", "t2", "t5", "t14", "t15", "rate_first", "rate_adapted"),
        "the adaptive-exponential equation",
    )  # fmt: skip


def _pulses(times: np.ndarray, stop: float, supply: float) -> Waveforms:
    """Spikes as a waveform of `spk`: edges through half the supply at `times`."""
    edge, width = 1e-9, 1e-6
    corners = np.concatenate(
        [[0.0], np.ravel([(t - edge, t + edge, t + width, t + width + edge) for t in times]), [stop]]
    )
    levels = np.concatenate([[0.0], np.tile([0.0, supply, supply, 0.0], len(times)), [0.0]])
    return Waveforms(
        time=corners, voltages=levels[None], nodes=("spk",), currents=np.zeros((0, corners.size)), branches=(),
        supply=supply,
    )  # fmt: skip


def _stop(netlist: Netlist) -> float:
    return next(a.stop for a in netlist.analyses if isinstance(a, Tran))


_MODELS: Mapping[str, Callable[[Circuit, Netlist], Model]] = {
    "dpi_synapse": _synapse("p"),
    "dpi_synapse_sink": _synapse("n"),
    "adexp_neuron": _neuron,
}
