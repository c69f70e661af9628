"""What the chain model's graphs are shown to hold them against the network, and what it says there.

Validation pieces, or made-up ones, in the way training reads them (offline.notes.chain).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.notes.chain import HEADS
from engines.notes.events import OFFSET
from engines.notes.fields import BAR_FIELDS, MEMORY_FIELDS, NOTE_FIELDS, Layout
from engines.notes.stream import ELEMENT_FIELDS
from export.subject import Heads
from offline.notes.chain.batch import batch_of
from offline.notes.chain.sequences import Sequences, Song
from offline.notes.chain.window import Window

if TYPE_CHECKING:
    from offline.notes.chain.batch import Batch
    from offline.notes.chain.network import ChainNetwork

Inputs = dict[str, NDArray[Any]]


def batches(network: ChainNetwork, table: dict[str, Any], data: Path | None, steps: int) -> Iterator[Batch]:
    """Windows of validation pieces, of one source after the other, or of made-up ones: at least `steps` notes."""
    config, layout = network.config, Layout(len(table["genres"]))
    songs = made_up(layout.genres) if data is None else _validation(data, table["genres"])
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


def made_up(genres: int) -> Iterator[Song]:
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


def elements(batch: Batch) -> Inputs:
    """The trunk's inputs of a window's elements, together: fields [T, ELEMENT_FIELDS], index and sixteenths [T]."""
    fields = np.zeros((batch.notes.shape[1], ELEMENT_FIELDS), np.int64)
    fields[:, :NOTE_FIELDS] = batch.notes[0].numpy()
    fields[:, NOTE_FIELDS:-MEMORY_FIELDS] = batch.within.numpy()[batch.bar_of[0].numpy()]
    fields[batch.bar_at.numpy(), : NOTE_FIELDS + BAR_FIELDS] = 0
    fields[batch.bar_at.numpy(), :BAR_FIELDS] = batch.bars.numpy()
    fields[:, -MEMORY_FIELDS:] = batch.memory[0].numpy()
    return {"fields": fields, "index": batch.index[0].numpy(), "sixteenths": batch.time[0].numpy()}


def hidden_of(network: ChainNetwork, batch: Batch) -> NDArray[np.float32]:
    """[T, width] as training has it: the whole window at once."""
    import torch

    with torch.inference_mode():
        embedded = network.elements(batch)
        result: NDArray[np.float32] = network.trunk(embedded, batch.index, batch.time)[0].numpy()
    return result


def told_fields(name: str, seen: list[Batch]) -> NDArray[np.int64]:
    """[M, TOLD_FIELDS]: what a head is told at each real element that it is asked about."""
    head = HEADS.index(name)
    rows = []
    for batch in seen:
        fields = batch.choice.note_fields.numpy().copy()
        fields[:, head + (head > 2) :] = 0  # a pitch has two fields
        references = batch.choice.reference_fields.numpy()
        rows.append(np.concatenate([fields, references if head > 1 else np.zeros_like(references)], 1))
    return np.concatenate(rows)


def inputs_shown(name: str, network: ChainNetwork, seen: list[Batch], hidden: list[NDArray[np.float32]]) -> Inputs:
    """A head's inputs at each real element that it is asked about."""
    import torch

    from export.notes_chain_modules import ToldModule

    one, head = np.ones(1, np.float32), HEADS.index(name)
    if head == 0:
        candidates = np.concatenate([batch.candidates.numpy() for batch in seen])
        return {"x": np.concatenate(hidden), "candidates": candidates, "keep": one}
    with torch.inference_mode():
        told = ToldModule(network)(torch.from_numpy(told_fields(name, seen))).numpy()
    vectors = np.concatenate([each[batch.followed.numpy()] for each, batch in zip(hidden, seen, strict=True)])
    choices = [batch.choice for batch in seen]
    chosen = np.concatenate([np.stack([c.step.numpy(), c.role.numpy(), c.pitch.numpy()], 1) for c in choices])
    chosen[:, head:] = 0
    told_all = {
        "x": vectors + told,
        "candidates": np.concatenate([c.candidates.numpy() for c in choices]),
        "chosen": chosen,
        "references": np.concatenate([c.references.numpy() for c in choices]),
        "tonality": np.concatenate([c.tonality.numpy() for c in choices]),
        "keep": one,
    }
    return told_all


def outputs_meant(network: ChainNetwork, seen: list[Batch], hidden: list[NDArray[np.float32]]) -> Heads:
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
