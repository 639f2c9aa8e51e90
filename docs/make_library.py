"""Write what the documentation says about the library: python docs/make_library.py [--table | BLOCK…].

The table of `docs/library.md` and `circuits/README.md` comes from the headers of the files; the figures under
`docs/figures/blocks/` from runs of the benches in ngspice, on both cards.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator

from analogsnn import library, ngspice
from analogsnn.report import BLUE, GREY, ORANGE, drawing, new_figure

FILES = ("docs/library.md", "circuits/README.md")
MARKED = re.compile(r"(<!-- table: begin -->\n).*(<!-- table: end -->\n)", re.DOTALL)
CARDS = {"ekv": (BLUE, "-"), "bsim3": (ORANGE, "--")}


@dataclass(frozen=True)
class Panel:
    """One panel: what it shows in words, the signal (`-i(v)` turns the sign), whether on a logarithmic axis, limits."""

    text: str
    signal: str
    log: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Sheet:
    """The figure of a block: panels over the axis of its bench, from `start` to `stop` (its unit), and the axis in words."""

    panels: tuple[Panel, ...]
    start: float | None = None
    stop: float | None = None
    axis: str = "time"
    unit: str = "s"
    bench: str = ""


SHEETS = {
    "adexp_neuron": Sheet(
        (Panel("spike", "v(spk)"), Panel("membrane", "v(vmem)"), Panel("refractory node", "v(x1.vr)"),
         Panel("adaptation node", "v(x1.vahp)"))
    ),
    "bias_branch": Sheet((Panel("output, tap 2", "i(vo)"), Panel("the same", "i(vo)", log=True, limits=(1e-11, 1e-8))), axis="fine code", unit=""),
    "current_mirror": Sheet(
        (Panel("n mirror, 1 nA", "i(vn)"), Panel("p mirror, 1 nA", "i(vp)"), Panel("p mirror, M = 3", "i(v3)")),
        axis="output voltage", unit="V",
    ),
    "dendrite": Sheet((Panel("into the membrane", "i(vo)"),), axis="membrane voltage (reversal 0.3 V)", unit="V"),
    "dpi_synapse": Sheet((Panel("input pulse", "v(pre)"), Panel("output", "i(vo)"), Panel("the same", "i(vo)", log=True))),
    "dpi_synapse_sink": Sheet(
        (Panel("input, active low", "v(pre)"), Panel("output", "i(vo)"), Panel("the same", "i(vo)", log=True))
    ),
    "gaba_a_shunt": Sheet(
        (Panel("shunt, active low", "v(npre)"), Panel("shunt current", "i(vm)"), Panel("membrane current", "i(vr)"),
         Panel("the same", "i(vr)", log=True)),
    ),
    "neuron_with_synapses": Sheet(
        (Panel("spike", "v(spk)"), Panel("membrane", "v(vmem)"), Panel("AMPA state", "v(x1.xampa.syn)"),
         Panel("NMDA state", "v(x1.xnmda.syn)"), Panel("GABA_B, low", "v(nb)"), Panel("GABA_A, low", "v(na)")),
    ),
    "nmda_gate": Sheet(
        (Panel("output", "i(vo)"), Panel("the same", "i(vo)", log=True)), axis="membrane voltage", unit="V"
    ),
    "pulse_extender": Sheet((Panel("input, 1 µs", "v(in)"), Panel("output", "v(out)")), 0.0, 1.5e-3),
    "starved_inverter": Sheet((Panel("input", "v(a)"), Panel("output", "v(y)"), Panel("supply, cut at 3 nA", "-i(vdd)", limits=(-1e-9, 3e-9)))),
    "wta": Sheet(
        (Panel("cell 1: 1 nA", "i(v1)"), Panel("cell 2: 0.8 to 1.2 nA", "i(v2)")),
        axis="input of cell 2", unit="A", bench="wta_sweep",
    ),
}  # fmt: skip


def write_tables() -> None:
    for name in FILES:
        path = library.root() / name
        text, count = MARKED.subn(lambda m: m[1] + library.table() + m[2], path.read_text(encoding="utf-8"))
        assert count == 1, f"{name} has no place for the table"
        path.write_text(text, encoding="utf-8")


def figure(block: str) -> Figure:
    sheet = SHEETS[block]
    result = new_figure(0.75 + 0.95 * len(sheet.panels), 6.4)
    axes = result.subplots(len(sheet.panels), 1, sharex=True, squeeze=False)[:, 0]
    for card, (colour, style) in CARDS.items():
        waves = ngspice.run(library.read_bench(sheet.bench or block, card=card))
        shown = np.ones(waves.time.size, bool)
        if sheet.stop is not None:
            shown = (waves.time >= sheet.start) & (waves.time <= sheet.stop)
        for panel, ax in zip(sheet.panels, axes, strict=True):
            name = panel.signal.lstrip("-")
            values = (waves.voltage if name[0] == "v" else waves.current)(name[2:-1])[shown]
            values = -values if panel.signal.startswith("-") else values
            ax.plot(waves.time[shown], values, style, color=colour, linewidth=1.2, label=card.upper())
    for panel, ax in zip(sheet.panels, axes, strict=True):
        ax.set_ylabel(panel.text, rotation=0, ha="right", va="center", fontsize=9)
        ax.margins(x=0.0, y=0.12)
        if panel.log:
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(numticks=4))
            ax.yaxis.set_minor_locator(LogLocator(subs=(), numticks=4))
        ax.yaxis.set_major_formatter(EngFormatter("A" if "i(" in panel.signal else "V"))
        if panel.limits is not None:
            ax.set_ylim(*panel.limits)
        ax.tick_params(labelsize=8.5)
        ax.grid(color=GREY, alpha=0.2, linewidth=0.6)
    axes[-1].set_xlabel(sheet.axis)
    if sheet.unit:
        axes[-1].xaxis.set_major_formatter(EngFormatter(sheet.unit))
    axes[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=8.5, borderaxespad=0.1)
    axes[0].set_title(block)
    return result


def write_figures(blocks: list[str]) -> None:
    folder = library.root() / "docs" / "figures" / "blocks"
    folder.mkdir(parents=True, exist_ok=True)
    with drawing():
        for block in blocks:
            figure(block).savefig(folder / f"{block}.png", dpi=90, metadata={"Software": None})
            print(f"docs/figures/blocks/{block}.png")


if __name__ == "__main__":
    write_tables()
    if sys.argv[1:] != ["--table"]:
        write_figures(sys.argv[1:] or list(SHEETS))
