"""Near names for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(name: str, names: Iterable[str], *, kind: str = "") -> str:
    """A hint such as `Models visible here: nch, pch. Did you mean 'nch'?`; without `kind` only its second part."""
    candidates = sorted(set(names))
    words = []
    if kind and candidates:
        more = ", …" if len(candidates) > 8 else ""
        words.append(f"{kind}: {', '.join(candidates[:8])}{more}.")
    close = difflib.get_close_matches(name, candidates[:5000], n=2, cutoff=0.6)
    if close:
        words.append("Did you mean " + " or ".join(f"'{c}'" for c in close) + "?")
    return " ".join(words)
