"""Fixtures of the model tests: double precision for the modules that ask for it."""

from __future__ import annotations

import jax
import pytest


@pytest.fixture(scope="module")
def x64():
    """64-bit floats while the tests of a module run; the rest of the session keeps its own setting."""
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)
