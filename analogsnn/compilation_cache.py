"""Compiled programs kept between runs, in the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path


def use_compilation_cache() -> Path:
    """Let JAX keep its compiled programs in `$XDG_CACHE_HOME/analogsnn` (or `~/.cache/analogsnn`).

    The command line calls this; a program of your own may. A cache that was configured before is left as it is.

    **Returns** the folder in use.
    """
    import jax

    configured = getattr(jax.config, "jax_compilation_cache_dir", None)
    if configured is None:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        configured = str(Path(base) / "analogsnn" / "jax")
        jax.config.update("jax_compilation_cache_dir", configured)
        # Small ones too: a hundred of them together take as long as a large one.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return Path(configured)
