"""Circuits of several neurons for the tests of derivatives: fast ones, fourteen spikes take 9 ms."""

from __future__ import annotations

from analogsnn import library
from analogsnn.circuit import Circuit
from analogsnn.netlist import read_netlist_text

BIASES = """\
.include circuits/cards/ekv.lib
.include circuits/bias.cir
.include circuits/inverter.cir
.include circuits/adexp_neuron.cir
.include circuits/dpi_synapse.cir
Vdd vdd 0 1.8
Vb vb 0 1.8
Ilk vb vlk 20p
Xlk vlk 0 bias_n
Ith vb vthr 20p
Xth vthr 0 bias_n
Irf vb vref 2n
Xrf vref 0 bias_n
Ipw vpw 0 200n
Xpw vpw vb bias_p
Iaw vahpw 0 1f
Xaw vahpw vb bias_p
Ial vb vahplk 5p
Xal vahplk 0 bias_n
Iag vb vahpthr 5p
Xag vahpthr 0 bias_n
Iw vb vw 10n
Xw vw 0 bias_n
Ig vgain 0 200p
Xg vgain vb bias_p
It vtau 0 10p
Xt vtau vb bias_p
"""


def neuron(i: int, current: str) -> str:
    """Neuron `i` with a constant input current."""
    return (
        f"XN{i} in{i} vlk vthr vref vpw vahpw vahplk vahpthr vmem{i} spk{i} vdd 0 adexp_neuron\n"
        f"Iin{i} vb in{i} {current}\n.ic v(vmem{i})=0 v(xn{i}.vr)=0 v(xn{i}.vahp)=0\n"
    )


def read(text: str) -> Circuit:
    """A circuit from a deck with the library's includes."""
    return Circuit.from_netlist(read_netlist_text(text, str(library.root() / "deck.cir"), library.root()))


def ring(size: int, stop: str) -> Circuit:
    """Neurons at 1.6 kHz and a little more, each of which drives the next one through a DPI synapse."""
    cells = [neuron(i, f"{900 + 70 * i}p") for i in range(1, size + 1)]
    links = [f"XS{i} spk{i} vw vgain vtau in{i % size + 1} vdd 0 dpi_synapse C=0.2p\n" for i in range(1, size + 1)]
    return read(f"ring\n{BIASES}{''.join(cells)}{''.join(links)}.tran 10u {stop}\n")


def resting(stop: str) -> Circuit:
    """Two neurons with adaptation that rest for milliseconds between spikes, 5 % apart. They share their biases alone,
    each of which a spike of either pushes."""
    biases = BIASES
    for old, new in (("vref 2n", "vref 200p"), ("vahpw 0 1f", "vahpw 0 500p"), ("vahplk 5p", "vahplk 2p")):
        biases = biases.replace(old, new)
    biases = biases.replace("vahpthr 5p", "vahpthr 2p")
    return read(f"two that rest\n{biases}{neuron(1, '200p')}{neuron(2, '210p')}.tran 100u {stop}\n")


def synchronised(stop: str) -> Circuit:
    """Two cells at 3 kHz, half a per cent apart, that drive each other so strongly that they spike together."""
    biases = BIASES.replace("Irf vb vref 2n", "Irf vb vref 5n").replace("Ig vgain 0 200p", "Ig vgain 0 400p")
    links = [f"XS{i} spk{i} vw vgain vtau in{3 - i} vdd 0 dpi_synapse C=0.2p\n" for i in (1, 2)]
    return read(
        f"two that spike together\n{biases}{neuron(1, '2000p')}{neuron(2, '2010p')}{''.join(links)}.tran 10u {stop}\n"
    )


def rivals(stop: str) -> Circuit:
    """A winner-take-all that spikes: two neurons that inhibit each other. The first one wins, and the second one spikes
    more and more rarely although its input rises."""
    cells = neuron(1, "1300p") + neuron(2, "pwl(0 900p 2m 900p 7m 1700p)")
    links = [
        f"XI{i} spk{i} not{i} vdd 0 inverter\nXS{i} not{i} vp vh vn in{3 - i} vdd 0 dpi_synapse_sink C=0.2p\n"
        for i in (1, 2)
    ]
    return read(
        f"rivals\n{BIASES}.include circuits/dpi_synapse_sink.cir\nIp vp 0 10n\nXp vp vb bias_p\nIn vb vn 10p\n"
        f"Xn vn 0 bias_n\nIh vb vh 1200p\nXh vh 0 bias_n\n{cells}{''.join(links)}.tran 10u {stop}\n"
    )


def winner(stop: str) -> Circuit:
    """A winner-take-all of three cells; the input of the second one goes up and down in slopes past that of the first,
    and its node with it, from 0.05 V to 0.55 V."""
    cells = "".join(f"XC{i} x{i} s vc 0 wta_cell\n" for i in (1, 2, 3))
    return read(
        "winner\n.include circuits/cards/ekv.lib\n.include circuits/bias.cir\n.include circuits/wta.cir\n"
        "Vdd vdd 0 1.8\nVs s 0 1.3\nIb vdd vb 1n\nXb vb 0 bias_n\nI1 vdd x1 1n\n"
        "I2 vdd x2 PULSE(0.8n 1.2n 0.1m 0.1m 0.1m 0.15m 0.5m)\n"
        f"I3 vdd x3 0.9n\n{cells}XT vc vb 0 wta_tail\n.tran 10u {stop}\n"
    )


def driven(stop: str) -> Circuit:
    """A pulse train with ramps of 1 µs into a DPI synapse, which drives a neuron that has some input of its own."""
    return read(
        f"driven\n{BIASES}{neuron(1, '1200p')}Vp pre 0 PULSE(0 1.8 0.2m 1u 1u 20u 0.4m)\n"
        f"XS1 pre vw vgain vtau in1 vdd 0 dpi_synapse C=0.5p\n.tran 10u {stop}\n"
    )
