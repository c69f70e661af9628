"""The bridge: the live daemon and the sideman command."""

__version__ = "0.1.0"
