"""Parts of a program that the compiler must not merge with what is around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.experimental.xla_metadata import set_xla_metadata


def apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a part of its own: its arguments and its results are computed once.

    XLA merges operations into loops, and repeats an intermediate result in every loop that uses it; through a chain of
    small sums that grows without bound (a Gauss-Jordan step of five rows was seen to take as long as sixty). On CPU the
    part becomes a call that is not inlined, since an `optimization_barrier` is gone there before operations are merged;
    elsewhere it is such a barrier.
    """

    def inside(*args: Any) -> Any:
        with set_xla_metadata(inlineable="true"):  # calls within it, such as that of jnp.where
            return function(*args)

    def called(*args: Any) -> Any:
        with set_xla_metadata(inlineable="false"):
            return jax.jit(inside)(*args)

    def fenced(*args: Any) -> Any:
        return jax.lax.optimization_barrier(function(*jax.lax.optimization_barrier(args)))

    return lambda *args: jax.lax.platform_dependent(*args, cpu=called, default=fenced)
