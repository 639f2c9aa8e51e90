"""Parts of a program that the compiler must not merge with what is around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.backend import backends


def apart(function: Callable[..., Any], known: int = 0) -> Callable[..., Any]:
    """The function as a part of its own: its arguments and its results are computed once.

    XLA merges operations into loops, and repeats an intermediate result in every loop that uses it; through a chain of
    small sums that grows without bound (a Gauss-Jordan step of five rows was seen to take as long as sixty). On CPU the
    part becomes a call that is not inlined, since an `optimization_barrier` is gone there before operations are merged;
    elsewhere it is such a barrier.

    Make a part once, outside of what uses it: then all of its calls are traced, differentiated and lowered as one.

    **Arguments**: `known`: how many of the first arguments are known before compilation; they must be hashable.
    """

    @wraps(function)
    def inside(*args: Any) -> Any:
        with set_xla_metadata(inlineable="true"):  # calls within it, such as that of jnp.where
            return function(*args)

    part = jax.jit(inside, static_argnums=tuple(range(known)))

    def called(*args: Any) -> Any:
        with set_xla_metadata(inlineable="false"):
            return part(*args)

    def chosen(*args: Any) -> Any:
        # Both ways side by side cost twice the work at every level of nesting, so not where there is nothing to choose.
        if backends().keys() == {"cpu"}:
            return called(*args)
        given, args = args[:known], args[known:]

        def fenced(*args: Any) -> Any:
            return jax.lax.optimization_barrier(function(*given, *jax.lax.optimization_barrier(args)))

        return jax.lax.platform_dependent(*args, cpu=partial(called, *given), default=fenced)

    return chosen
