"""Offline: data, training and evaluation of the models that Sideman plays."""

__version__ = "0.1.0"
