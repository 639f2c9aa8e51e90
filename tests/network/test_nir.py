"""Networks as NIR graphs: ours come back whole, those of other tools with what they have."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from analogsnn.chips import differences
from analogsnn.errors import InputError
from analogsnn.network import (
    Adaptation,
    Input,
    Network,
    Neuron,
    Population,
    Synapse,
    connect,
    one_to_one,
    read_nir,
    write_nir,
)

NETWORK = Network(
    populations=(
        Population(
            name="a", size=3, neuron=Neuron(dc=1e-10, adaptation=Adaptation()), synapses={"AMPA": Synapse(tau=5e-3)}
        ),
        Population(name="b", size=3, neuron=Neuron(nmda_gate=1e-9), rate=10.0),
    ),
    inputs=(Input(name="in", size=2),),
    connections=(
        connect("in", "a", "AMPA", [[0, 0], [0, 0], [1, 2]], [1e-9, 2e-9, 3e-9]),
        connect("a", "b", "NMDA", one_to_one(3), 1e-9, "precise"),
        connect("b", "a", "GABA_B", one_to_one(3), 2e-9, stp=True),
    ),
)


def test_our_networks_come_back_whole(tmp_path):
    path = tmp_path / "net.nir"
    lost = " ".join(write_nir(NETWORK, path))
    for word in (
        "adaptation of a",
        "constant input of a",
        "NMDA gates of b",
        "Delay classes",
        "several synapses".capitalize(),
    ):
        assert word in lost
    again, notes = read_nir(path)
    assert notes == []
    assert differences(NETWORK, again, tolerance=0.0) == []
    assert again.populations == NETWORK.populations


def test_other_tools_see_leaky_neurons_and_signed_weights(tmp_path):
    path = tmp_path / "net.nir"
    write_nir(NETWORK, path)
    nodes: dict[str, Any] = nir.read(path).nodes
    assert np.allclose(nodes["a"].tau, 20e-3)
    assert nodes["connection0"].weight[0, 0] == pytest.approx(3e-9)  # the sum of two synapses
    assert nodes["connection2"].weight.min() == pytest.approx(-2e-9)


def foreign(**nodes) -> nir.NIRGraph:
    one = np.ones(2)
    every = {
        "in": nir.Input({"input": np.array([3])}),
        "w": nir.Linear(np.array([[1.0, 0.0, -0.5], [0.0, 2.0, 0.0]])),
        "n": nir.LIF(tau=one * 30e-3, r=one, v_leak=0 * one, v_threshold=one),
        "out": nir.Output({"output": np.array([2])}),
    } | nodes
    return nir.NIRGraph(nodes=every, edges=[("in", "w"), ("w", "n"), ("n", "out")])


def test_a_graph_of_another_tool(tmp_path):
    path = tmp_path / "f.nir"
    nir.write(path, foreign())
    with pytest.raises(InputError, match="weights have no unit"):
        read_nir(path)
    network, notes = read_nir(path, weight_unit=1e-9)
    assert network.population("n").neuron.tau == pytest.approx(30e-3)
    kinds = {c.synapse: (c.pairs.tolist(), c.weight.tolist()) for c in network.connections}
    assert kinds["AMPA"] == ([[0, 0], [1, 1]], [1e-9, 2e-9])
    assert kinds["GABA_B"] == ([[2, 0]], [0.5e-9])
    assert any("left out" in n for n in notes)
    assert any("GABA_B" in n for n in notes)


def test_graphs_that_cannot_be_networks(tmp_path):
    path = tmp_path / "f.nir"
    one = np.ones(2)
    nir.write(path, foreign(n=nir.LIF(tau=np.array([1e-2, 2e-2]), r=one, v_leak=0 * one, v_threshold=one)))
    with pytest.raises(InputError, match="node 'n' has 2 time constants"):
        read_nir(path, weight_unit=1e-9)
    nir.write(path, foreign(w=nir.Affine(np.ones((2, 3)), np.ones(2))))
    with pytest.raises(InputError, match="node 'w' has a bias"):
        read_nir(path, weight_unit=1e-9)
    nir.write(path, foreign(n=nir.LI(tau=one, r=one, v_leak=0 * one)))
    with pytest.raises(InputError, match="node 'n' is a LI"):
        read_nir(path, weight_unit=1e-9)
    path.write_text("no HDF5")
    with pytest.raises(InputError, match="cannot be read as NIR"):
        read_nir(path)
