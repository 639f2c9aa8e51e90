"""The circuit tier computes in 64 bit."""

from __future__ import annotations


def use_float64() -> None:
    """Switch JAX to 64 bit for this process.

    Currents of picoamperes beside microamperes, and membranes whose slope spans nine decades, do not fit 32 bit. The
    first use of the circuit tier calls this; the network tier names float32 wherever it means it and is not affected.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
