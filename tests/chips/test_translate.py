"""A bias as time, current and code, and the vendor's layout of a configuration."""

from __future__ import annotations

import pytest

from analogsnn.chips import compile, load_chip, meaning, translate, vendor_layout
from analogsnn.errors import DoesNotFitError, InputError
from analogsnn.network import Input, Network, Neuron, Population, connect

CHIP = load_chip("dynapse2")
# Published table as straight lines: 5.8 % below fine 32 (RP paramgen.py).
LINES = 0.058


def test_both_ways():
    there = translate(CHIP, "SOIF_LEAK_N", time=20e-3)
    # I_tau = C U_T / (kappa tau) = 3 pF 25 mV / (0.705 20 ms) = 5.32 pA (RP defaults.py)
    assert there.code.requested == pytest.approx(5.32e-12, rel=1e-3)
    back = translate(CHIP, "SOIF_LEAK_N", code=(there.code.coarse, there.code.fine))
    assert back.got == pytest.approx(there.got, rel=1e-12)
    assert back.code.realised == there.code.realised
    by_current = translate(CHIP, "SOIF_LEAK_N", current=there.code.requested)
    assert by_current.code == there.code
    assert there.meaning is not None
    assert (there.meaning.quantity, there.unit) == ("tau", "s")


def test_published_defaults_of_profile_a():
    # t_ref 1 ms -> 1.05 nA; pulse 10 us -> 35 nA; AHP pulse 1 us -> 350 nA; tau_syn 10 ms -> 86.9 pA; tau_ahp 50 ms ->
    # 28.4 pA (computed from RP defaults.py).
    for name, time, current in (
        ("SOIF_REFR_N", 1e-3, 1.05e-9), ("SYPD_EXT_N", 10e-6, 35e-9), ("SOAD_PWTAU_N", 1e-6, 350e-9),
        ("DEAM_ETAU_P", 10e-3, 86.9e-12), ("SOAD_TAU_P", 50e-3, 28.4e-12),
    ):  # fmt: skip
        assert translate(CHIP, name, time=time).code.requested == pytest.approx(current, rel=2e-3)


def test_mismatch_is_log_normal_with_this_cv():
    answer = translate(CHIP, "SOIF_LEAK_N", time=20e-3, cv=0.2)
    low, high = answer.current_spread
    # Log-normal, mean as realised, cv 0.2: sigma = sqrt(ln(1.04)) = 0.198, exp(±0.198 - 0.0196).
    assert low / answer.code.realised == pytest.approx(0.8045, abs=1e-3)
    assert high / answer.code.realised == pytest.approx(1.1954, abs=1e-3)
    assert answer.spread[0] < answer.got < answer.spread[1]
    assert translate(CHIP, "SOIF_LEAK_N", time=20e-3, cv=0.0).spread == pytest.approx((answer.got, answer.got))


def test_what_cannot_be_translated():
    with pytest.raises(DoesNotFitError, match=r"time_constant: 5 s needs .* ask 213 ms, or allow_subfloor"):
        translate(CHIP, "SOIF_LEAK_N", time=5.0)
    assert translate(CHIP, "SOIF_LEAK_N", time=5.0, nearest=True).got == pytest.approx(0.213, rel=0.1)
    # The lowest code (0.301 pA, RP) gives 0.353 s; nothing is slower.
    with pytest.raises(DoesNotFitError, match="ask 353 ms"):
        translate(CHIP, "SOIF_LEAK_N", time=5.0, allow_subfloor=True)
    with pytest.raises(InputError, match="sets 'gain', which is no time"):
        translate(CHIP, "SOIF_GAIN_N", time=1e-3)
    with pytest.raises(InputError, match="sets no quantity of the model"):
        translate(CHIP, "SOHO_VB_P", time=1e-3)
    with pytest.raises(InputError, match="did you mean 'SYPD_DLY0_P'"):
        translate(CHIP, "SYPD_DYL0_P", current=1e-9)
    with pytest.raises(InputError, match="Give one of"):
        translate(CHIP, "SOIF_LEAK_N", current=1e-9, time=1e-3)
    with pytest.raises(InputError, match="must be positive"):
        translate(CHIP, "SOIF_LEAK_N", time=0.0)


def test_every_bias_of_both_chips_has_a_meaning_or_none():
    for name in ("dynapse1", "dynapse2"):
        chip = load_chip(name)
        found = {bias: meaning(chip, bias) for bias in chip.biases.names}
        assert found[chip.neuron.biases.tau or ""] is not None
        assert sum(m is not None for m in found.values()) >= 19  # soma, adaptation, synapses, weights
    second = meaning(load_chip("dynapse1"), "IF_TAU2_N")
    assert second is not None
    assert second.quantity == "tau"


def _two(chip: str) -> Network:
    neuron = Neuron(threshold=load_chip(chip).neuron.fixed.threshold or 10e-9)
    return Network(
        populations=(Population(name="a", size=1, neuron=neuron), Population(name="b", size=1, neuron=neuron)),
        inputs=(Input(name="in", size=1),),
        connections=(connect("in", "a", "AMPA", [[0, 0]], 1e-9), connect("a", "b", "GABA_B", [[0, 0]], 2e-9)),
    )


def test_golden_layout_of_dynapse2():
    # Field names of Dynapse2Synapse and Dynapse2Destination in the driver's public type hints.
    mapping = compile(_two("dynapse2"))
    core = vendor_layout(mapping.configuration, mapping.chip)["chips"]["0"]["cores"]["0"]
    assert core["parameters"]["SOIF_LEAK_N"] == {"coarse_value": 0, "fine_value": 29}
    flags = {"precise_delay": False, "mismatched_delay": False, "stp": False}
    a, b = core["neurons"]["0"], core["neurons"]["1"]
    (word,) = a["synapses"]
    bit = [w for w in word["weight"] if w]
    assert word == {"tag": 2, "dendrite": "ampa", "weight": word["weight"], **flags}
    assert len(word["weight"]) == 4
    assert bit == [True]
    assert b["synapses"][0]["dendrite"] == "gaba"
    assert a["destinations"] == [
        {"core": [True, True, True, True], "x_hop": -7, "y_hop": 0, "tag": 0},
        {"core": [True, False, False, False], "x_hop": 0, "y_hop": 0, "tag": 1},
    ]


def test_golden_layout_of_dynapse1():
    # Field names of Dynapse1Synapse and Dynapse1Destination in the driver's public type hints; signs as CT sets them.
    pins = {"a": [(2, 1, 5)], "b": [(0, 3, 6)]}
    mapping = compile(_two("dynapse1"), "dynapse1", pins=pins)
    chips = vendor_layout(mapping.configuration, mapping.chip)["chips"]
    a = chips["2"]["cores"]["1"]["neurons"]["5"]
    b = chips["0"]["cores"]["3"]["neurons"]["6"]
    assert a["destinations"] == [
        {
            "target_chip_id": 0, "in_use": True, "virtual_core_id": 1, "core_mask": 8,
            "sx": False, "dx": 0, "sy": False, "dy": 1,
        }
    ]  # fmt: skip
    assert b["synapses"] == [{"listen_core_id": 1, "listen_neuron_id": 5, "syn_type": "GABA_B"}]
    assert chips["0"]["cores"]["3"]["parameter_group"]["param_map"]["PS_WEIGHT_INH_S_N"]["coarse_value"] in (2, 3)


def test_no_layout_for_other_chips():
    mapping = compile(_two("dynapse2"))
    other = mapping.chip.model_copy(update={"meta": mapping.chip.meta.model_copy(update={"name": "mine"})})
    with pytest.raises(InputError, match="not for chip 'mine'"):
        vendor_layout(mapping.configuration, other)
