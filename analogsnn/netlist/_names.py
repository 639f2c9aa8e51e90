"""Near names for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(name: str, names: Iterable[str], *, kind: str = "") -> str:
    """A hint such as `Did you mean 'nch'?`, or the first few names, or "" where there are none."""
    candidates = sorted(set(names))
    close = difflib.get_close_matches(name, candidates[:5000], n=2, cutoff=0.6)
    if close:
        return "Did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    if not candidates or not kind:
        return ""
    more = ", …" if len(candidates) > 8 else ""
    return f"{kind}: {', '.join(candidates[:8])}{more}."
