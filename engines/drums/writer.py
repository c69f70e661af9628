"""The groove model's way to write a mask: nine drums one after another, each knowing those before it.

This is a fully visible sigmoid belief network (Frey 1998; a NADE, Larochelle and Murray 2011, without hidden units)
whose biases and couplings the network says anew for each step: drum i is hit with probability sigmoid(a_i + sum of W_ij
over the drums j < i that are hit). Any of the 512 masks can come out, and each has an exact probability.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import INSTRUMENTS, MASKS

COEFFICIENTS = INSTRUMENTS + INSTRUMENTS * (INSTRUMENTS - 1) // 2
"""a_0 .. a_8, then W_10, W_20, W_21, W_30 ..."""

NODES = MASKS - 1
"""Node (1 << i) - 1 + p decides drum i where those before it are the bits of p."""


def _tree() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    masks = np.arange(MASKS)
    nodes = np.stack([(1 << i) - 1 + masks % (1 << i) for i in range(INSTRUMENTS)], axis=1)
    tree = np.zeros((COEFFICIENTS, NODES), np.float32)
    coupling = INSTRUMENTS
    for i in range(INSTRUMENTS):
        first, prefixes = (1 << i) - 1, np.arange(1 << i)
        tree[i, first : first + len(prefixes)] = 1.0
        for j in range(i):
            tree[coupling, first : first + len(prefixes)] = (prefixes >> j) & 1
            coupling += 1
    return nodes.astype(np.int64), tree


NODES_OF_MASK, TREE = _tree()
"""Nodes on each mask's path, int64 [512, 9]; what each coefficient adds to each node's logit, [COEFFICIENTS, 511]."""

_HIT = (np.arange(MASKS)[:, None] >> np.arange(INSTRUMENTS)) & 1 > 0


def log_probabilities(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """Exact log-probabilities of all masks: [n, COEFFICIENTS] -> [n, 512]."""
    logits = coefficients @ TREE
    off = -np.logaddexp(np.float32(0.0), logits)
    steps = np.where(_HIT, (logits + off)[:, NODES_OF_MASK], off[:, NODES_OF_MASK])
    result: NDArray[np.float32] = steps.sum(axis=2)
    return result


def write(coefficients: NDArray[np.float32], uniform: NDArray[np.float64]) -> int:
    """A mask drawn drum by drum from coefficients [COEFFICIENTS] with uniforms [9]."""
    a: list[float] = coefficients.tolist()
    mask, coupling = 0, INSTRUMENTS
    for i, u in enumerate(uniform.tolist()):
        logit = a[i]
        for j in range(i):
            if mask >> j & 1:
                logit += a[coupling + j]
        coupling += i
        # sigmoid(logit) > u, without overflow
        if logit > math.log(u / (1.0 - u)) if u > 0.0 else True:
            mask |= 1 << i
    return mask
