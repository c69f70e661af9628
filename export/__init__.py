"""Export: from a training checkpoint to a verified bundle."""

__version__ = "0.1.0"
