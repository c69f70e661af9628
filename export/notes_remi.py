"""The flat GPT, from a training's folder to a Subject of export: one graph that keeps its context."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Source, Tensor
from engines.notes.remi.model import GRAPH
from engines.runtime import Graph
from engines.runtime.context import Context
from export.attention import LAST, TOTAL, buffers, buffers_out, onnx_attention, torch_attention
from export.onnx import from_torch
from export.subject import GraphSubject, Subject
from export.torchscript import from_torch as script_from_torch

if TYPE_CHECKING:
    from offline.notes.gpt.network import GptNetwork, GptShape

LOGITS = "logits"
RUN = 512
"""Steps of parity in one run, each knowing all before it."""


def subject(checkpoint: Path, data: Path | None, steps: int) -> Subject:
    """Load a run's folder.

    data: of `sideman prepare notes`: its validation pieces give the steps of parity; None: random tokens do. In runs
    of RUN steps, as many as `steps` asks for at least. Raises SidemanError.
    """
    from offline.notes.gpt.network import GptStep
    from offline.notes.gpt.train import load_checkpoint

    network, table = load_checkpoint(checkpoint)
    config, shape = table["config"], network.shape
    inputs = inputs_of(shape, config.sequence)
    kept = tuple(each for each in inputs if each.name[-1].isdigit())
    outputs = (Tensor(LOGITS, "float32", (-1, shape.vocabulary)), *buffers_out(kept))
    rows = _rows(data, tuple(table["vocabulary"]), -(-steps // RUN), min(RUN, config.sequence))
    parameters = sum(each.numel() for each in network.parameters())
    return Subject(
        engine="notes",
        kind="remi",
        graphs={
            GRAPH: GraphSubject(
                inputs=inputs,
                outputs=outputs,
                onnx=lambda path: from_torch(
                    GptStep(network, onnx_attention), example(inputs), inputs, outputs, path, rest=len(kept)
                ),
                torchscript=lambda path: script_from_torch(GptStep(network, torch_attention), example(inputs), path),
                reference={LOGITS: _reference(network, rows)},
                probe=lambda graph: {LOGITS: _probe(graph, inputs, rows)},
                distributions=lambda heads: heads,
            )
        },
        config={"vocabulary": table["vocabulary"]},
        sources=tuple(Source(each["name"], each["licence"], each["pieces"]) for each in table["sources"]),
        steps_from="random tokens" if data is None else f"validation pieces of {data.name}",
        training={"parameters": parameters, **asdict(config)},
    )


def inputs_of(shape: GptShape, window: int) -> tuple[Tensor, ...]:
    """Of the graph, whose buffers hold as many tokens as a window of its training."""
    half = shape.head_size // 2
    return (
        Tensor("tokens", "int64", (-1, -1)),
        Tensor("cos", "float32", (-1, half)),
        Tensor("sin", "float32", (-1, half)),
        LAST,
        TOTAL,
        *buffers(shape.layers, shape.key_heads, window, shape.head_size),
    )


def example(inputs: tuple[Tensor, ...]) -> list[Any]:
    """Three tokens for each of two rows, the first of their contexts."""
    import torch

    rows, count = 2, 3
    made: list[Any] = []
    for each in inputs:
        first = count if each.name in ("cos", "sin") else rows
        free = iter((first, count))
        made.append(torch.zeros([next(free) if n == -1 else n for n in each.shape], dtype=getattr(torch, each.dtype)))
    made[3], made[4] = torch.full((rows,), count - 1, dtype=torch.int32), torch.tensor(count, dtype=torch.int32)
    return made


def _rows(data: Path | None, words: tuple[str, ...], count: int, length: int) -> NDArray[np.int64]:
    """[count, length] tokens from the beginnings of validation pieces, from all over the split; or random ones."""
    if data is None:
        return np.random.default_rng(0).integers(0, len(words), (count, length))
    from engines.errors import SidemanError
    from offline.notes.gpt.data import read_tokens
    from offline.notes.gpt.dataset import Windows

    windows = Windows(read_tokens(data, "validation", nc=True), length)
    if windows.data.words != words:
        raise SidemanError(f"{data} has another vocabulary than the checkpoint; give the data it was trained on")
    long = windows.data.starts[:-1][np.diff(windows.data.starts) >= length]
    chosen = np.linspace(0, len(long) - 1, count if len(long) >= count else 0).round().astype(np.int64)
    if not len(chosen):
        raise SidemanError(f"{data} has too few validation pieces of {length} tokens; export without --data")
    return windows.rows(long[chosen])


def _reference(network: GptNetwork, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """[count * length, V] as training has it: each row at once."""
    import torch

    with torch.inference_mode():
        logits: NDArray[np.float32] = network(torch.from_numpy(rows)).flatten(0, 1).numpy()
    return logits


def _probe(graph: Graph, inputs: tuple[Tensor, ...], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The same token by token, with the context kept."""
    import torch

    from offline.notes.gpt.network import rotation

    size = 2 * next(each.shape[1] for each in inputs if each.name == "cos")
    cos, sin = (each.numpy() for each in rotation(torch.arange(rows.shape[1]), size))
    context, said = Context(graph, inputs), []
    for row in rows:
        context.length = 0
        for i in range(len(row)):
            here = slice(i, i + 1)
            said.append(context.hear(1, tokens=row[None, here], cos=cos[here], sin=sin[here])[0])
    return np.concatenate(said)
