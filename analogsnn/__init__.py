"""analogsnn: emulates analog, mixed-signal neuromorphic chips."""

__version__ = "0.1.0.dev0"
