"""Solver options for circuits that live on picoamperes."""

from __future__ import annotations

from collections.abc import Mapping

Value = float | str | bool

# ngspice's own defaults are for milliamperes: gmin 1e-12 S is a floor of 1 pA at every transistor, abstol 1e-12 A is
# larger than a leak. Gear, because the trapezoidal rule loses spikes at loose tolerances. noopiter goes straight to
# gmin stepping, since subthreshold operating points rarely converge directly.
DEFAULT_OPTIONS: Mapping[str, Value] = {
    "gmin": 1e-17,
    "abstol": 1e-16,
    "chgtol": 1e-16,
    "vntol": 1e-7,
    "reltol": 1e-4,
    "method": "gear",
    "noopiter": True,
    "itl4": 50.0,
}

# What `accuracy` means in ngspice: the tolerance of ordinary runs, and one to judge others by. Measured on 30 ms of
# `spice/adexp_neuron.cir`, largest error of a spike time against our Rodas5P at 1e-9: Gear at reltol 1e-4 122 µs, at
# 1e-6 27 µs, with trtol 1 too 8 µs; trapezoidal 4 µs (14 µs after 100 ms), and at 1e-7 0.8 µs. Smaller vntol and chgtol
# take six times as long and gain nothing. At such tolerances the trapezoidal rule loses no spikes; on the
# BSIM3 card it can stop at an edge with a time step too small, where Gear goes on.
ACCURACY: Mapping[str, Mapping[str, Value]] = {
    "fast": {"reltol": 1e-4},
    "reference": {"reltol": 1e-7, "trtol": 1.0, "method": "trap"},
}


def merge_options(deck: Mapping[str, Value], given: Mapping[str, Value] | None) -> dict[str, Value]:
    """What counts: the caller's options before the deck's, and those before the defaults."""
    return {**DEFAULT_OPTIONS, **deck, **(given or {})}
