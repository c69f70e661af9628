"""The chain model, from a training's folder to a Subject of export: a trunk that keeps its context, and six heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Source, Tensor
from engines.errors import SidemanError
from engines.notes.chain import HEADS, TOLD_FIELDS, VERSION
from engines.notes.events import OFFSET
from engines.notes.fields import BAR_FIELDS, MEMORY_FIELDS, NOTE_FIELDS, Layout
from engines.notes.memory import CANDIDATES, REFERENCES
from engines.notes.stream import ELEMENT_FIELDS
from engines.notes.tonality import LANES
from engines.runtime import Graph
from engines.runtime.context import Context
from export.attention import LAST, TOTAL, buffers, buffers_out, onnx_attention, torch_attention
from export.onnx import from_torch
from export.subject import GraphSubject, Heads, Subject
from export.torchscript import from_torch as script_from_torch
from offline.notes.chain.batch import batch_of
from offline.notes.chain.checkpoint import load_checkpoint
from offline.notes.chain.sequences import Sequences, Song
from offline.notes.chain.window import Window

if TYPE_CHECKING:
    from torch import nn

    from offline.notes.chain.batch import Batch
    from offline.notes.chain.network import ChainNetwork

Inputs = dict[str, NDArray[Any]]

CLASSES = {"step": 33, "role": 16, "pitch": 128, "duration": 36, "velocity": 9, "offset": 6}


def subject(checkpoint: Path, data: Path | None, steps: int) -> Subject:
    """Load a run's folder.

    data: of `sideman prepare notes`: its validation pieces are the steps of parity; None: made-up pieces are
    steps: elements to compare. Raises SidemanError.
    """
    from export.notes_chain_modules import HeadModule, ToldModule, Trunk

    network, table = load_checkpoint(checkpoint)
    seen = list(_batches(network, table, data, steps))
    inputs = trunk_inputs(network)
    kept = tuple(each for each in inputs if each.name[-1].isdigit())
    width = network.config.width
    outputs = (Tensor("hidden", "float32", (-1, width)), *buffers_out(kept))
    runs = [_elements(batch) for batch in seen]
    hidden = [_hidden(network, batch) for batch in seen]
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
    shown = {name: _shown(name, network, seen, hidden) for name in HEADS}
    meant = _meant(network, seen, hidden)
    fields = Tensor("fields", "int64", (-1, TOLD_FIELDS))
    told = {"fields": _told_fields("offset", seen)}
    graphs["told"] = _plain(
        ToldModule(network),
        (fields,),
        Tensor("told", "float32", (-1, width)),
        told,
        meant=meant["told"],
        products=False,
    )
    for name in HEADS:
        logits = Tensor("logits", "float32", (-1, CLASSES[name]))
        graphs[name] = _plain(
            HeadModule(network, name), head_inputs(name, width), logits, shown[name], meant=meant[name]
        )
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


def _batches(network: ChainNetwork, table: dict[str, Any], data: Path | None, steps: int) -> Iterator[Batch]:
    """Windows of validation pieces, of one source after the other, or of made-up ones: at least `steps` notes."""
    config, layout = network.config, Layout(len(table["genres"]))
    songs = _made_up(layout.genres) if data is None else _validation(data, table["genres"])
    had = 0
    for song in songs:
        sequences = Sequences([song], layout)
        batch = batch_of(sequences, [Window(0, 0, min(config.context, int(sequences.size[0])), 0)])
        yield batch
        had += len(batch.followed)
        if had >= steps:
            return
    raise SidemanError(f"the validation pieces have fewer than {steps} notes; export without --data")


def _validation(data: Path, genres: list[str]) -> Iterator[Song]:
    from offline.notes.chain.train import songs_of
    from offline.notes.corpus import load_split

    corpus = load_split(data, "validation")
    random = np.random.default_rng(0)
    order = random.permutation(len(corpus))
    rank = np.zeros(len(corpus), np.int64)
    for source in np.unique(corpus.piece_source[order]):
        mine = order[corpus.piece_source[order] == source]
        rank[mine] = np.arange(len(mine))
    for i in sorted(order.tolist(), key=lambda i: (rank[i], str(corpus.piece_source[i]))):
        yield from songs_of(corpus, np.array([i]), tuple(genres), [])


def _made_up(genres: int) -> Iterator[Song]:
    """Pieces of random notes in bars that come back."""
    random = np.random.default_rng(0)
    while True:
        riff = np.unique(
            np.stack([random.integers(0, 16, 30), random.integers(0, 6, 30), random.integers(36, 84, 30)], 1), axis=0
        )
        bars = 12
        events = np.zeros((bars * len(riff), OFFSET + 1), np.int32)
        events[:, 0] = np.repeat(np.arange(bars), len(riff))
        events[:, 1:4] = np.tile(riff, (bars, 1))
        events[:, 4] = np.where(events[:, 2] == 0, 0, random.integers(0, 8, len(events)))
        events[:, 5], events[:, 6] = random.integers(1, 9, len(events)), random.integers(0, 6, len(events))
        yield Song(events, np.tile(np.array([[16, 4, 120]], np.int32), (bars, 1)), 1 % (genres + 1), 0, True, False)


def _elements(batch: Batch) -> Inputs:
    """The trunk's inputs of a window's elements, together: fields [T, ELEMENT_FIELDS], index and sixteenths [T]."""
    fields = np.zeros((batch.notes.shape[1], ELEMENT_FIELDS), np.int64)
    fields[:, :NOTE_FIELDS] = batch.notes[0].numpy()
    fields[batch.bar_at.numpy(), :BAR_FIELDS] = batch.bars.numpy()
    fields[:, -MEMORY_FIELDS:] = batch.memory[0].numpy()
    return {"fields": fields, "index": batch.index[0].numpy(), "sixteenths": batch.time[0].numpy()}


def _hidden(network: ChainNetwork, batch: Batch) -> NDArray[np.float32]:
    """[T, width] as training has it: the whole window at once."""
    import torch

    with torch.inference_mode():
        embedded = network.embedded(batch.notes) + network.embedded(batch.memory)
        flat = embedded.flatten(0, 1).index_add(0, batch.bar_at, network.embedded(batch.bars))
        result: NDArray[np.float32] = network.trunk(flat.view_as(embedded), batch.index, batch.time)[0].numpy()
    return result


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


def _told_fields(name: str, seen: list[Batch]) -> NDArray[np.int64]:
    """[M, TOLD_FIELDS]: what a head is told at each real element that it is asked about."""
    head = HEADS.index(name)
    rows = []
    for batch in seen:
        fields = batch.choice.note_fields.numpy().copy()
        fields[:, head + (head > 2) :] = 0  # a pitch has two fields
        references = batch.choice.reference_fields.numpy()
        rows.append(np.concatenate([fields, references if head > 1 else np.zeros_like(references)], 1))
    return np.concatenate(rows)


def _shown(name: str, network: ChainNetwork, seen: list[Batch], hidden: list[NDArray[np.float32]]) -> Inputs:
    """A head's inputs at each real element that it is asked about."""
    import torch

    from export.notes_chain_modules import ToldModule

    one, head = np.ones(1, np.float32), HEADS.index(name)
    if head == 0:
        candidates = np.concatenate([batch.candidates.numpy() for batch in seen])
        return {"x": np.concatenate(hidden), "candidates": candidates, "keep": one}
    with torch.inference_mode():
        told = ToldModule(network)(torch.from_numpy(_told_fields(name, seen))).numpy()
    vectors = np.concatenate([each[batch.followed.numpy()] for each, batch in zip(hidden, seen, strict=True)])
    choices = [batch.choice for batch in seen]
    chosen = np.concatenate([np.stack([c.step.numpy(), c.role.numpy(), c.pitch.numpy()], 1) for c in choices])
    chosen[:, head:] = 0
    shown = {
        "x": vectors + told,
        "candidates": np.concatenate([c.candidates.numpy() for c in choices]),
        "chosen": chosen,
        "references": np.concatenate([c.references.numpy() for c in choices]),
        "tonality": np.concatenate([c.tonality.numpy() for c in choices]),
        "keep": one,
    }
    return {each.name: shown[each.name] for each in head_inputs(name, network.config.width)}


def _meant(network: ChainNetwork, seen: list[Batch], hidden: list[NDArray[np.float32]]) -> Heads:
    """What the network itself says where the graphs of heads are asked, in the way it is trained."""
    import torch

    said: dict[str, list[NDArray[np.float32]]] = {}
    for batch, vectors in zip(seen, hidden, strict=True):
        whole = torch.from_numpy(vectors)
        choice = replace(batch.choice, hidden=whole[batch.followed])
        with torch.inference_mode():
            logits = (network.step_logits(whole, batch.candidates), *network.note_logits(choice))
            told = network.told(choice)[-1]
        for name, each in zip((*HEADS, "told"), (*logits, told), strict=True):
            said.setdefault(name, []).append(each.numpy())
    return {name: np.concatenate(parts) for name, parts in said.items()}


def _plain(
    module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, shown: Inputs, *,
    meant: NDArray[np.float32], products: bool = True,
) -> GraphSubject:  # fmt: skip
    """A graph without a context, and what it is to say (`meant`) of what it is shown."""
    import torch

    arguments = [torch.from_numpy(np.ascontiguousarray(shown[each.name])) for each in inputs]
    example = [each if each.shape == (1,) else each[:2] for each in arguments]

    def row(array: NDArray[Any], i: int) -> NDArray[Any]:
        return array if len(array) == 1 else array[i : i + 1]

    def probe(graph: Graph) -> Heads:
        said = [graph(**{name: row(array, i) for name, array in shown.items()})[0] for i in range(len(meant))]
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
