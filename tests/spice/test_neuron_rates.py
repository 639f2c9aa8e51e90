"""The neuron's rate against its input current on both cards, without adaptation.

Rates: measured on these circuits in ngspice 39 at reltol 1e-4, gear; 2 % covers the dependence on step control (0.8 %
between reltol 1e-4 and 1e-5).
"""

from __future__ import annotations

import pytest

from analogsnn import library, measure, ngspice

CURRENTS = [10e-12, 20e-12, 30e-12, 50e-12, 100e-12, 200e-12, 400e-12, 1e-9]
RATES = {
    "bsim3": [0.0, 11.1, 62.7, 136.0, 277.4, 494.8, 825.9, 1508.7],
    "ekv": [0.0, 13.2, 83.6, 173.1, 339.1, 586.8, 954.7, 1680.1],
}
POINTS = [(card, i, rate) for card, rates in RATES.items() for i, rate in zip(CURRENTS, rates, strict=True)]
QUICK = [point for point in POINTS if point[0] == "bsim3" or point[1] in (10e-12, 30e-12, 200e-12)]
REST = [pytest.param(*point, marks=pytest.mark.validate_long) for point in POINTS if point not in QUICK]
TOLERANCE = 0.02


@pytest.mark.parametrize(("card", "current", "rate"), [*QUICK, *REST])
def test_rate(card, current, rate):
    parameters = {"iin": current, "iref": 2e-9, "iahpw": 1e-15}
    netlist = library.read_bench("adexp_neuron", card=card, parameters=parameters)
    if rate == 0.0:
        waves = ngspice.transient(netlist, 0.12)
        assert len(measure.spike_times(waves, "spk")) == 0
        return
    # Long enough for four spikes: the first comes later, since the membrane starts at zero.
    waves = ngspice.transient(netlist, 2e-3 + 5.0 / rate)
    assert measure.rate(waves, "spk", first=2) == pytest.approx(rate, rel=TOLERANCE)
