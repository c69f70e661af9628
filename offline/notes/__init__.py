"""Notes: datasets, networks, training and evaluation of models of pitched music."""
