"""Whether this machine has what the package needs, one check a part."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .errors import AnalogSNNError

PYTHON = (3, 11)
DIVIDER = "* a divider, to see whether ngspice computes\nv1 top 0 1\nr1 top mid 1k\nr2 mid 0 1k\n.op\n.end\n"


@dataclass(frozen=True)
class Check:
    """One part: `found` says what there is, `hint` what to do where that is not enough (else "")."""

    name: str
    ok: bool
    found: str
    hint: str = ""


def doctor() -> list[Check]:
    """Python, JAX in 64 bit, the cache of compiled programs, ngspice (it solves a divider), the circuit library."""
    checks = {
        "python": (_python, f"install Python {PYTHON[0]}.{PYTHON[1]} or newer"),
        "jax": (_jax, "reinstall the versions of requirements.lock"),
        "compilation cache": (_cache, "set XDG_CACHE_HOME to a folder that can be written"),
        "ngspice": (_ngspice, "install ngspice and its shared library, and the extra: pip install 'analogsnn[spice]'"),
        "circuit library": (_library, "reinstall the package"),
        "recording of the demo": (_recording, "pip install 'analogsnn[signals]'"),
    }
    return [_checked(name, look, hint) for name, (look, hint) in checks.items()]


def _checked(name: str, look: Callable[[], tuple[bool, str]], hint: str) -> Check:
    try:
        ok, found = look()
    except (AnalogSNNError, ImportError, OSError) as error:
        ok, found = False, str(error).splitlines()[0]
    return Check(name, ok, found, "" if ok else hint)


def _python() -> tuple[bool, str]:
    return sys.version_info[:2] >= PYTHON, platform.python_version()


def _jax() -> tuple[bool, str]:
    import jax

    from .circuit import use_float64

    use_float64()
    third = float(jax.numpy.asarray(1.0) / 3)
    devices = ", ".join(sorted({d.device_kind for d in jax.devices()}))
    return third == 1 / 3, f"{jax.__version__} on {len(jax.devices())} {devices}"


def _cache() -> tuple[bool, str]:
    from .compilation_cache import use_compilation_cache

    folder = Path(use_compilation_cache())
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder):
        return True, str(folder)


def _ngspice() -> tuple[bool, str]:
    from .netlist import read_netlist_text
    from .ngspice import ngspice_version, operating_point

    point = operating_point(read_netlist_text(DIVIDER), fresh=True)
    half = float(point.voltage("mid").ravel()[-1])
    return abs(half - 0.5) < 1e-6, f"{ngspice_version()}, a divider of 1 V gives {half:.4g} V"


def _library() -> tuple[bool, str]:
    from . import library

    benches = library.benches()
    return len(benches) > 0, f"{len(benches)} benches"


def _recording() -> tuple[bool, str]:
    from .heart_rate import shipped_recording

    return True, f"{shipped_recording().duration:.0f} s"
