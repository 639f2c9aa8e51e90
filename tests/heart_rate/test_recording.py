"""Reading recordings: what is read, and one clear sentence for everything that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.errors import InputError
from analogsnn.heart_rate import read_recording

GOOD = [f"{np.sin(k / 5):.3f}" for k in range(3000)]  # 30 s at 100 Hz


def write(path, lines):
    path.write_text("\n".join(lines))
    return path


def test_one_column_without_header(tmp_path):
    r = read_recording(write(tmp_path / "a.csv", GOOD), 100.0)
    assert r.signal.shape == (3000,)
    assert r.duration == pytest.approx(30.0)
    assert not r.semi_synthetic


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("column", ["pulse", "1", 1])
def test_table_by_name_and_number(tmp_path, separator, column):
    lines = [separator.join(("time", "pulse"))] + [separator.join((str(i), v)) for i, v in enumerate(GOOD)]
    r = read_recording(write(tmp_path / "a.csv", lines), 100.0, column)
    assert r.signal[:3] == pytest.approx([float(v) for v in GOOD[:3]])


def test_gaps_are_kept_and_reported(tmp_path):
    lines = GOOD.copy()
    lines[500:700] = ["nan"] * 200
    r = read_recording(write(tmp_path / "a.csv", lines), 100.0)
    assert np.isnan(r.signal[500:700]).all()
    assert r.gaps == [(5.0, 7.0)]


def table(*rows):
    return ["t,x", *(f"{i},{v}" for i, v in enumerate(GOOD)), *rows]


BAD = {
    "empty": ([], {}, "is empty"),
    "only blanks": (["", "  "], {}, "is empty"),
    "two columns": (table(), {}, "has 2 columns; say which one"),
    "wrong name": (table(), {"column": "y"}, "has no column 'y'; its columns: 0 't', 1 'x'"),
    "near name": (["time,pulse"] + ["1,2"] * 3000, {"column": "puls"}, "Did you mean 'pulse'?"),
    "wrong number": (table(), {"column": "7"}, "has no column 7"),
    "short line": (table("5"), {"column": "x"}, ":3002: the line has 1 cells, the first line has 2"),
    "text in a number": ([*GOOD[:10], "1,5a", *GOOD], {}, ""),
    "letters": ([*GOOD, "12abc"], {}, ":3001: '12abc' is not a number"),
    "infinite": ([*GOOD, "inf"], {}, ":3001: 'inf' is not finite"),
    "flat": (["7"] * 3000, {}, "is flat"),
    "all missing": (["x", *["nan"] * 3000], {}, "has no number"),
    "short": (GOOD[:1999], {}, "20.0 s at 100 Hz; at least 20 s"),
    "rate of zero": (GOOD, {"rate": 0.0}, "sampling rate is 0 Hz"),
    "negative rate": (GOOD, {"rate": -1.0}, "sampling rate is -1 Hz"),
    "rate not a number": (GOOD, {"rate": float("nan")}, "sampling rate is nan Hz"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_recordings(tmp_path, case):
    lines, options, sentence = BAD[case]
    arguments = {"rate": 100.0, "column": None} | options
    with pytest.raises(InputError) as e:
        read_recording(write(tmp_path / "a.csv", lines), **arguments)
    assert sentence in str(e.value)
    assert "\n" not in str(e.value)


def test_missing_file_names_a_near_one(tmp_path):
    write(tmp_path / "pulse.csv", GOOD)
    with pytest.raises(InputError, match=r"no file .*Did you mean 'pulse.csv'"):
        read_recording(tmp_path / "puls.csv", 100.0)


def test_not_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x80" * 100)
    with pytest.raises(InputError, match="not a text file"):
        read_recording(tmp_path / "a.csv", 100.0)
