"""Write what the documentation says about the library: python docs/make_library.py [--table].

`--table` writes the table of `docs/library.md` and `circuits/README.md` from the headers of the files.
"""

from __future__ import annotations

import re
import sys

from analogsnn import library

FILES = ("docs/library.md", "circuits/README.md")
MARKED = re.compile(r"(<!-- table: begin -->\n).*(<!-- table: end -->\n)", re.DOTALL)


def write_tables() -> None:
    for name in FILES:
        path = library.root() / name
        text, count = MARKED.subn(lambda m: m[1] + library.table() + m[2], path.read_text(encoding="utf-8"))
        assert count == 1, f"{name} has no place for the table"
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_tables()
    assert sys.argv[1:] in ([], ["--table"]), __doc__
