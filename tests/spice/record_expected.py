"""Writes spice/expected/*.toml anew: python tests/spice/record_expected.py [BENCH…]. Look before keeping them.

The value is that of a run with reltol 1e-5 (DC benches: 1e-6); the tolerance covers three times the distance of the
bench's own, looser run from it, in steps; neurons get 2 % because their rate depends that much on step control.
"""

from __future__ import annotations

import sys
from typing import Any

from analogsnn import library, ngspice
from analogsnn.measure import evaluate_measures
from analogsnn.netlist import Netlist, Tran

STEPS = (0.002, 0.005, 0.01, 0.02, 0.05)
SHORT = {"adexp_neuron": 0.03}
ABSOLUTE = {"wta": {"o1_during": 1e-14}, "dendrite": {"v_zero": 1e-4}}
# What theory says of the same measures: value, tolerance, reason. Both cards must keep it.
CLOSED = {
    "dpi_synapse": {
        "i_ss": (900e-12, 0.35, "I_g (I_w/I_tau - 1); the exponent kappa_p/kappa_n takes 20 to 30 % on BSIM3"),
        "tau": (3.49e-3, 0.06, "C UT n_p/I_tau; moderate inversion adds a few percent"),
    },
    "dpi_synapse_sink": {
        "i_ss": (900e-12, 0.2, "I_g (I_w/I_tau - 1); the exponent kappa_n/kappa_p and the Early effect add"),
        "tau": (3.36e-3, 0.06, "C UT n_n/I_tau"),
    },
    "nmda_gate": {
        "i_half": (1e-9, 0.05, "half of the current at I_mem = I_nmda in an ideal pair"),
        "i_full": (200e-12, 0.05, "the synapse current; the Early effect of two mirrors adds"),
        "kappa_p": (0.76, 0.06, "slope of the p pair: 0.730 and 0.78 on the cards"),
    },
    "dendrite": {
        "v_zero": (0.3, 0.005, "the reversal voltage"),
        "g": (2.95e-9, 0.06, "kappa_p I_syn/(2 UT) with kappa_p 0.73 to 0.78"),
    },
    "gaba_a_shunt": {"ratio": (1.0, 0.08, "leak and shunt add: tau scales by I_tau/(I_tau + I_shunt)")},
    "wta_sweep": {
        "i_cross": (1e-9, 0.001, "equal inputs share the tail"),
        "o1_low": (1e-9, 0.001, "the winner carries the tail current"),
        "o2_high": (1e-9, 0.001, "the winner carries the tail current"),
    },
    "wta": {
        "o1_before": (1e-9, 0.001, "the winner carries the tail current"),
        "o2_during": (1e-9, 0.001, "the winner carries the tail current"),
    },
    "current_mirror": {
        "n_in": (1e-9, 0.001, "equal voltages, equal currents"),
        "p_gain": (3.0, 0.05, "ratio of the widths; the Early effect adds"),
    },
    "starved_inverter": {"i_peak": (1e-9, 0.1, "the smaller bias limits the supply current")},
    "pulse_extender": {"width": (0.79e-3, 0.04, "C (vdd - vx)/I_dis with vx 0.2 to 0.25 V")},
    "bias_branch": {
        "c5": (2.29e-6, 0.05, "master/2"), "c4": (286e-9, 0.05, "master/2^4"), "c3": (35.8e-9, 0.06, "master/2^7"),
        "c2": (4.47e-9, 0.06, "master/2^10"), "c1": (559e-12, 0.15, "master/2^13; leakage adds"),
        "c0": (69.9e-12, 0.4, "master/2^16; leakage adds a third on BSIM3"),
        "f128": (2.24e-9, 0.05, "tap 2 times 128/256"),
    },
}  # fmt: skip
# What theory says on one card only, because it takes the card's slope factors.
CLOSED_ON = {
    "ekv": {
        "dpi_synapse": {
            "i_ss": (829.7e-12, 0.03, "I_g (I_w/I_tau - 1)^(n_n/n_p); the Early effect of the leak mirror adds"),
            "tau": (3.492e-3, 0.06, "C UT n_p/I_tau; moderate inversion adds 5 %"),
        },
        "dpi_synapse_sink": {
            "i_ss": (978.9e-12, 0.06, "I_g (I_w/I_tau - 1)^(n_p/n_n); the Early effect of the leak mirror adds"),
            "tau": (3.362e-3, 0.03, "C UT n_n/I_tau"),
        },
        "nmda_gate": {"kappa_p": (1 / 1.35, 0.02, "1/n_p; moderate inversion takes 1.5 %")},
    },
}


def solve(netlist: Netlist, name: str, reltol: float | None) -> dict[str, float]:
    options = {} if reltol is None else {"reltol": reltol}
    waves = ngspice.run(netlist, options=options, timeout=1800)
    return evaluate_measures(waves, netlist.measures, netlist.params)


def main(names: list[str]) -> None:
    version = ngspice.ngspice_version()
    for name in names or library.benches():
        head = library.bench(name)
        lines = [f'block = "{head.block}"']
        if name in SHORT:
            lines.append(f"short = {SHORT[name]}  # s; the form that the tests run")
        for card in library.cards():
            netlist = library.read_bench(name, card=card)
            tight = 1e-5 if isinstance(netlist.analyses[0], Tran) else 1e-6
            loose, fine = solve(netlist, name, None), solve(netlist, name, tight)
            early: dict[str, Any] = {}
            if name in SHORT:
                waves = ngspice.transient(netlist, SHORT[name])
                early = evaluate_measures(waves, netlist.measures, netlist.params, strict=False)
            for measure, (unit, _) in head.measures.items():
                value = float(fine[measure])
                distance = abs(float(loose[measure]) / value - 1)
                tolerance = next((step for step in STEPS if step >= 3 * distance), 0.1)
                differs = f"the bench's own differs by {distance:.1e}" if distance >= 1e-5 else "as the bench's own"
                reason = f"ngspice {version}, spice/{name}.cir on {card}, reltol {tight:g}; {differs}"
                if "neuron" in name:
                    tolerance = max(tolerance, 0.02)
                    reason += ", and rates depend on step control by 1 %"
                lines += ["", f"[{card}.{measure}]", f"value = {value:.6g}  # {unit}", f"tolerance = {tolerance:g}"]
                if measure in ABSOLUTE.get(name, {}):
                    lines.append(f"absolute = {ABSOLUTE[name][measure]:g}")
                lines.append(f'reason = "{reason}"')
                if name in SHORT and early[measure] is None:
                    lines.append("long = true")
                print(f"{name:20s} {card:6s} {measure:12s} {value:.5g} {distance:.1e} {tolerance:g}", flush=True)
        for measure, (value, tolerance, reason) in CLOSED.get(name, {}).items():
            lines += ["", f"[closed_form.{measure}]", f"value = {value:g}", f"tolerance = {tolerance:g}"]
            lines.append(f'reason = "{reason}"')
        for card, blocks in CLOSED_ON.items():
            for measure, (value, tolerance, reason) in blocks.get(name, {}).items():
                lines += ["", f"[closed_form_{card}.{measure}]", f"value = {value:.4g}", f"tolerance = {tolerance:g}"]
                lines.append(f'reason = "{reason}"')
        folder = library.spice_folder() / "expected"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
