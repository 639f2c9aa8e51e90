"""The log is judged, for ngspice's exit status is 0 for many failures. Lines as ngspice 39 prints them."""

from __future__ import annotations

import pytest

from analogsnn.ngspice import classify

GOOD = ["Note: No compatibility mode selected!", "Circuit: a title with error, failed! and unknown in it",
        "Doing analysis at TEMP = 27.000000 and TNOM = 27.000000", "Note: Starting dynamic gmin stepping",
        "Trying gmin =   1.0000E-03 Note: One successful gmin step", "Note: Dynamic gmin stepping completed",
        "No. of Data Rows : 512", "Reference value :  1.00000e-03"]  # fmt: skip


def test_harmless():
    assert classify(GOOD) == ([], [])


@pytest.mark.parametrize(
    "line",
    [
        "Error: Transient op failed, timestep too small",
        'doAnalyses: TRAN:  Timestep too small; time = 1e-05, timestep = 1e-17: trouble with node "b"',
        "run simulation(s) aborted",
        "Warning: singular matrix:  check node b",
        "Error on line 3 : m1 d g 0 0 nch",
        "could not find a valid modelname",
        "Undefined parameter [w]",
        "Unknown model type foo - ignored",
        "Error: no such vector v(x)",
        "Fatal error: no simulation",
    ],
)
def test_fatal(line):
    fatal, _ = classify([*GOOD, line])
    assert fatal == [line]


def test_a_singular_matrix_that_stepping_cured_is_a_warning():
    line = "Warning: singular matrix:  check node b"
    assert classify([line, "Note: Dynamic gmin stepping completed"]) == ([], [line])
    assert classify(["Note: Dynamic gmin stepping completed", line]) == ([line], [])


def test_warnings_are_kept():
    line = "Warning: vdd: no DC value, transient time 0 value used"
    assert classify([*GOOD, line]) == ([], [line])


def test_what_stands_behind_progress_is_seen():
    error = "Error: -1 out of range for sqrt"
    assert classify([f"Supplies reduced to   0.0000% {error}"]) == ([error], [])
    line = "Warning: singular matrix:  check node b"
    lines = [f"Trying gmin =   1.0000E-03 {line}", "Trying gmin =   1.0000E-04 Note: One successful gmin step"]
    assert classify(lines) == ([line], [])
    assert classify([*lines, "Note: True gmin stepping completed"]) == ([], [line])


def test_steps_of_a_search_that_ends_well_are_no_warnings():
    lines = [
        "Warning: Further gmin increment",
        "Warning: Dynamic gmin stepping failed",
        "Note: source stepping completed",
    ]
    assert classify(lines) == ([], [])
