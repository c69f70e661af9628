"""The ground floor of Sideman: music and time values, parameters, bundles, runtimes and the engines."""

__version__ = "0.1.0"
