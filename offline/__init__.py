"""Offline: data, training and evaluation of the models that Sideman plays."""
