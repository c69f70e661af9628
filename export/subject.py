"""Subject: what there is to export, whichever framework it was trained in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Source, Tensor
from engines.runtime import Graph

Heads = dict[str, NDArray[np.float32]]
"""Name to values [N, ...]: what a graph says in N real steps."""

Writer = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class GraphSubject:
    """A graph of the bundle to be.

    onnx, torchscript: write the graph to a file; torchscript is None where the framework has none
    reference:         what the checkpoint's own network says in N >= 1,000 steps
    probe:             the same steps through an exported graph, which carries its own state from step to step
    distributions:     the log-probabilities, over their last axis, that follow from heads: what is really sampled from
    products:          it has matrix products, which int8 is about; without, its float form is its int8 form too
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    onnx: Writer
    torchscript: Writer | None
    reference: Heads
    probe: Callable[[Graph], Heads]
    distributions: Callable[[Heads], Heads]
    products: bool = True


@dataclass(frozen=True, slots=True)
class Subject:
    """A trained model, ready to be exported.

    engine, kind: as in the manifest; config: what the engine needs beside the graphs
    sources:  of the training data; training: settings and figures of the training; metrics: scores it came with
    steps_from: where the steps of parity were taken from
    """

    engine: str
    kind: str
    graphs: dict[str, GraphSubject]
    config: dict[str, Any]
    sources: tuple[Source, ...]
    steps_from: str
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
