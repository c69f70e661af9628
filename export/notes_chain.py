"""The chain model, from a training's folder to a Subject of export: a trunk that keeps its context, and six heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Source, Tensor
from engines.notes.chain import HEADS, TOLD_FIELDS, VERSION
from engines.notes.memory import CANDIDATES, REFERENCES
from engines.notes.stream import ELEMENT_FIELDS
from engines.notes.tonality import LANES
from engines.runtime import Graph
from engines.runtime.context import Context
from export.attention import LAST, TOTAL, buffers, buffers_out, onnx_attention, torch_attention
from export.notes_chain_steps import Inputs, batches, elements, hidden_of, inputs_shown, outputs_meant, told_fields
from export.onnx import from_torch
from export.subject import GraphSubject, Heads, Subject
from export.torchscript import from_torch as script_from_torch
from offline.notes.chain.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from torch import nn

    from offline.notes.chain.network import ChainNetwork

CLASSES = {"step": 33, "role": 16, "pitch": 128, "duration": 36, "velocity": 9, "offset": 6}


def subject(checkpoint: Path, data: Path | None, steps: int) -> Subject:
    """Load a run's folder.

    data: of `sideman prepare notes`: its validation pieces are the steps of parity; None: made-up pieces are
    steps: elements to compare. Raises SidemanError.
    """
    from export.notes_chain_modules import HeadModule, ToldModule, Trunk

    network, table = load_checkpoint(checkpoint)
    seen = list(batches(network, table, data, steps))
    inputs = trunk_inputs(network)
    kept = tuple(each for each in inputs if each.name[-1].isdigit())
    width = network.config.width
    outputs = (Tensor("hidden", "float32", (-1, width)), *buffers_out(kept))
    runs = [elements(batch) for batch in seen]
    hidden = [hidden_of(network, batch) for batch in seen]
    graphs = {
        "trunk": GraphSubject(
            inputs=inputs,
            outputs=outputs,
            onnx=lambda path: from_torch(
                Trunk(network, onnx_attention), _trunk_example(inputs), inputs, outputs, path, rest=len(kept)
            ),
            torchscript=lambda path: script_from_torch(Trunk(network, torch_attention), _trunk_example(inputs), path),
            reference={"hidden": np.concatenate(hidden)},
            probe=lambda graph: {"hidden": np.concatenate([_stepped(graph, inputs, network, run) for run in runs])},
            distributions=_when(network, np.concatenate([each.candidates.numpy() for each in seen])),
        )
    }
    meant = outputs_meant(network, seen, hidden)
    fields = Tensor("fields", "int64", (-1, TOLD_FIELDS))
    told, output = {"fields": told_fields("offset", seen)}, Tensor("told", "float32", (-1, width))
    graphs["told"] = _plain(ToldModule(network), (fields,), output, told, meant=meant["told"], products=False)
    for name in HEADS:
        output = Tensor("logits", "float32", (-1, CLASSES[name]))
        shown = inputs_shown(name, network, seen, hidden)
        graphs[name] = _plain(HeadModule(network, name), head_inputs(name, width), output, shown, meant=meant[name])
    return Subject(
        engine="notes",
        kind="chain",
        graphs=graphs,
        config={"version": VERSION, "genres": table["genres"], "heads": network.config.heads},
        sources=tuple(Source(each["name"], each["licence"], each["pieces"]) for each in table["sources"]),
        steps_from="made-up pieces" if data is None else f"validation pieces of {data.name}",
        training={"parameters": table["parameters"], **asdict(table["config"])},
    )


def trunk_inputs(network: ChainNetwork) -> tuple[Tensor, ...]:
    """Of the trunk's graph, whose buffers hold as many elements as it was trained to attend to."""
    config = network.config
    size = config.width // config.heads
    return (
        Tensor("fields", "int64", (-1, -1, ELEMENT_FIELDS)),
        Tensor("cos", "float32", (-1, -1, config.heads, size // 2)),
        Tensor("sin", "float32", (-1, -1, config.heads, size // 2)),
        LAST,
        TOTAL,
        *buffers(config.layers, config.heads, config.context, size),
    )


def head_inputs(name: str, width: int) -> tuple[Tensor, ...]:
    """Of a head's graph: what it looks at."""
    head = HEADS.index(name)
    inputs = [Tensor("x", "float32", (-1, width)), Tensor("candidates", "int64", (-1, CANDIDATES, 4))]
    if head >= 1:
        inputs.append(Tensor("chosen", "int64", (-1, 3)))
    if head >= 2:
        inputs.append(Tensor("references", "int64", (-1, REFERENCES, 4)))
    if name == "pitch":
        inputs.append(Tensor("tonality", "float32", (-1, LANES, 12)))
    return (*inputs, Tensor("keep", "float32", (1,)))


def _stepped(graph: Graph, inputs: tuple[Tensor, ...], network: ChainNetwork, run: Inputs) -> NDArray[np.float32]:
    """[T, width] element by element, with the context kept."""
    import torch

    from offline.notes.chain.network import angles

    config = network.config
    angle = angles(
        torch.from_numpy(run["index"]), torch.from_numpy(run["sixteenths"]), config.heads, config.width // config.heads
    ).numpy()[None]
    cos, sin = np.cos(angle), np.sin(angle)
    context, said = Context(graph, inputs), []
    for i in range(len(run["fields"])):
        here = slice(i, i + 1)
        said.append(context.hear(1, fields=run["fields"][None, here], cos=cos[:, here], sin=sin[:, here])[0])
    return np.concatenate(said)


def _trunk_example(inputs: tuple[Tensor, ...]) -> list[Any]:
    import torch

    rows, count = 2, 3
    sizes = {-1: rows}
    example: list[Any] = []
    for each in inputs:
        shape = [count if i == 1 and n == -1 else sizes.get(n, n) for i, n in enumerate(each.shape)]
        example.append(torch.zeros(shape, dtype=getattr(torch, each.dtype)))
    example[3], example[4] = torch.full((rows,), 8, dtype=torch.int32), torch.tensor(9, dtype=torch.int32)
    return example


def _when(network: ChainNetwork, candidates: NDArray[np.int64]) -> Callable[[Heads], Heads]:
    """What follows from the trunk's vectors: when the next note comes."""
    import torch

    def distributions(heads: Heads) -> Heads:
        with torch.inference_mode():
            logits = network.step_logits(torch.from_numpy(heads["hidden"]), torch.from_numpy(candidates))
        return {"step": torch.log_softmax(logits, -1).numpy()}

    return distributions


def _plain(
    module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, shown: Inputs, *,
    meant: NDArray[np.float32], products: bool = True,
) -> GraphSubject:  # fmt: skip
    """A graph without a context, and what it is to say (`meant`) of what it is shown."""
    import torch

    arguments = [torch.from_numpy(np.ascontiguousarray(shown[each.name])) for each in inputs]
    example = [each if each.shape == (1,) else each[:2] for each in arguments]

    def row(name: str, i: int) -> NDArray[Any]:
        return shown[name] if len(shown[name]) == 1 else shown[name][i : i + 1]

    def probe(graph: Graph) -> Heads:
        said = [graph(**{each.name: row(each.name, i) for each in inputs})[0] for i in range(len(meant))]
        return {output.name: np.concatenate(said)}

    return GraphSubject(
        inputs=inputs,
        outputs=(output,),
        onnx=lambda path: from_torch(module, example, inputs, (output,), path, rest=max(0, len(inputs) - 2)),
        torchscript=lambda path: script_from_torch(module, example, path),
        reference={output.name: meant},
        probe=probe,
        distributions=lambda heads: heads,
        products=products,
    )
