"""Training the chain model (`sideman train notes DATASET`).

The folder of a run: hparams.json, log.csv, last.pt to go on from and best.pt, the averaged weights with the best
validation.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.notes.fields import Layout
from offline.hparams import HPARAMS
from offline.notes.chain.batch import batch_of, on
from offline.notes.chain.config import ChainConfig, read_hparams, write_hparams
from offline.notes.chain.epoch import Epoch, beginning, judging
from offline.notes.chain.sequences import Sequences, Song, thinned
from offline.notes.chain.window import Window
from offline.notes.corpus import Corpus, load_split
from offline.trainer import MAY_CHANGE, Task, Trainer, TrainerConfig, choose_device

if TYPE_CHECKING:
    import torch

    from offline.notes.chain.batch import Batch
    from offline.notes.chain.network import ChainNetwork


def train(data: Path, config: ChainConfig, folder: Path, device_name: str = "auto", resume: bool = False) -> None:
    """Train on the pieces of data/train, choosing by data/validation.

    Raises SidemanError for unusable data or a folder with another training, Interrupted after Ctrl-C.
    """
    import torch

    from offline.notes.chain.network import ChainNetwork, parameters_of

    device = choose_device(device_name)
    if not resume and (folder / HPARAMS).is_file():
        raise SidemanError(f"{folder} holds a training already: go on with --resume, or give another -o")
    learned = load_split(data, "train")
    chosen = np.flatnonzero(~learned.piece_nc)
    genres = tuple(sorted(set(learned.piece_genre[chosen].tolist()) - {""}))
    if not genres:
        raise SidemanError(f"{data} names no genres; give a labels.csv or --genres to sideman prepare notes")
    facts: dict[str, Any] = {"genres": list(genres), "data": str(data), "sources": sources_of(learned, chosen)}
    if resume and (folder / HPARAMS).is_file():
        before = read_hparams(folder)
        same = {name: getattr(config, name) for name in MAY_CHANGE if hasattr(config, name)}
        if replace(before["config"], **same) != config or before["genres"] != facts["genres"]:
            raise SidemanError(
                f"{folder} was begun with other settings or data: resume with the same, or give another -o"
            )
    sources = sorted(set(learned.piece_source[chosen].tolist()))
    layout = Layout(len(genres))
    songs = songs_of(learned, chosen, genres, sources)
    twins, extra = with_thinned(songs, config)
    corpus = Sequences([*songs, *extra], layout)
    judged = load_split(data, "validation")
    judge = Sequences(songs_of(judged, np.flatnonzero(~judged.piece_nc), genres, sources), layout)
    torch.manual_seed(config.seed)
    network = ChainNetwork(config, len(genres))
    facts["parameters"] = parameters_of(network)
    write_hparams(folder, config, facts)
    print(
        f"{len(songs):,} pieces of {sum(len(song.events) for song in songs):,} notes, validation {len(judge.songs)}; "
        f"{facts['parameters'] / 1e6:.2f} M parameters; {device}; {folder}",
        file=sys.stderr,
    )
    windows, beginnings = sample(judge, config), list(beginning(judge, config, range(len(judge.songs))))

    def validate(model: torch.nn.Module) -> dict[str, float]:
        spent, notes = per_source(model, judge, windows, config, device)  # type: ignore[arg-type]
        known = np.flatnonzero(notes)
        each = {sources[i]: float(spent[i].sum() / notes[i]) for i in known}
        begun, first = per_source(model, judge, beginnings, config, device)  # type: ignore[arg-type]
        return {
            "loss": float(np.mean(list(each.values()))),
            "begin": float(np.mean(begun[first > 0].sum(1) / first[first > 0])),
            **each,
        }

    task = Task(
        network, lambda epoch: Epoch(corpus, twins, config, epoch, device), loss, validate,
    )  # fmt: skip
    loop = TrainerConfig(
        epochs=config.epochs, learning_rate=config.learning_rate, warmup=config.warmup, decay=config.decay,
        weight_decay=config.weight_decay, average=config.average, patience=config.patience,
        precision=config.precision, seed=config.seed,
    )  # fmt: skip
    Trainer(task, loop, folder, device, "notes").run(resume)


def loss(network: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Mean nats of an element's decisions."""
    nats = decisions(network, batch)  # type: ignore[arg-type]
    return nats.sum() / len(batch.scored)


def decisions(network: ChainNetwork, batch: Batch, weighted: bool = True) -> torch.Tensor:
    """[M, 6] nats of step (or the bar's end), role, pitch, duration, velocity, offset at each scored element.

    0 where no note follows. weighted: velocities that are not known, and offsets, count as the batch says.
    """
    import torch
    from torch.nn import functional

    hidden = network.trunk(network.elements(batch), batch.index, batch.time).flatten(0, 1)[batch.scored]
    nats = hidden.new_zeros(len(batch.scored), 6, dtype=torch.float32)
    nats[:, 0] = functional.cross_entropy(network.step_logits(hidden, batch.candidates), batch.step, reduction="none")
    choice = replace(batch.choice, hidden=hidden[batch.followed])
    logits = network.note_logits(choice)
    targets = (choice.role, choice.pitch, choice.duration, batch.velocity, batch.offset)
    each = [
        functional.cross_entropy(each, target, reduction="none") for each, target in zip(logits, targets, strict=True)
    ]
    if weighted:
        each[2] = each[2] * (choice.role != 0)
        each[3] = each[3] * batch.velocity_weight
        each[4] = each[4] * batch.offset_weight
    return nats.index_put(
        (batch.followed[:, None], torch.arange(1, 6, device=nats.device)[None, :]), torch.stack(each, 1)
    )


def per_source(
    network: ChainNetwork, corpus: Sequences, windows: list[Window], config: ChainConfig, device: Any
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """[sources, 6] bits and [sources] notes of the windows' judged elements.

    Left out: offsets, how long drums are held, and velocities that are not known.
    """
    size = int(corpus.source.max()) + 1
    spent, notes = np.zeros((size, 6)), np.zeros(size, np.int64)
    network.eval()
    for first in range(0, len(windows), 16):
        batch = on(batch_of(corpus, windows[first : first + 16]), device)
        bits = decisions(network, batch).double().cpu().numpy() / math.log(2)
        bits[:, 5] = 0.0
        for column in range(6):
            spent[:, column] += np.bincount(batch.source, bits[:, column], minlength=size)
        notes += np.bincount(batch.source[batch.followed.cpu().numpy()], minlength=size)
    return spent, notes


def sample(corpus: Sequences, config: ChainConfig) -> list[Window]:
    """A fixed choice of judging windows, about config.judged elements, as many of each source."""
    rng = np.random.default_rng(7)
    by_source: dict[int, list[Window]] = {}
    for window in judging(corpus, config, range(len(corpus.songs))):
        by_source.setdefault(int(corpus.source[window.song]), []).append(window)
    chosen = []
    for windows in by_source.values():
        order, left = rng.permutation(len(windows)), config.judged / len(by_source)
        for i in order:
            if left <= 0:
                break
            chosen.append(windows[i])
            left -= windows[i].last - windows[i].judged
    return sorted(chosen, key=lambda window: (window.last - window.first, window.song, window.first))


def songs_of(corpus: Corpus, chosen: NDArray[np.int64], genres: tuple[str, ...], sources: list[str]) -> list[Song]:
    """The chosen pieces as the model takes them; a genre it does not know is class 0, an unknown source comes last."""
    genre_at = {genre: i + 1 for i, genre in enumerate(genres)}
    source_at = {source: i for i, source in enumerate(sources)}
    songs = []
    for i in chosen:
        piece = corpus.piece(i)
        genre = genre_at.get(str(corpus.piece_genre[i]), 0)
        source = source_at.get(str(corpus.piece_source[i]), len(sources))
        songs.append(Song(piece.events, piece.bars, genre, source, bool(corpus.piece_velocity[i]), piece.performed))
    return songs


def with_thinned(songs: list[Song], config: ChainConfig) -> tuple[NDArray[np.int64], list[Song]]:
    """For each song and then each of the thinned ones: the number of its thinned version, -1 for none, -2 is one."""
    rng = np.random.default_rng((config.seed, 3))
    twins, extra = np.full(len(songs), -1, np.int64), list[Song]()
    for i, song in enumerate(songs):
        thin = thinned(song, rng) if config.thin else None
        if thin is not None:
            twins[i] = len(songs) + len(extra)
            extra.append(thin)
    return np.concatenate([twins, np.full(len(extra), -2, np.int64)]), extra


def sources_of(corpus: Corpus, chosen: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Sources, licences and numbers of the chosen pieces, for a manifest."""
    names = zip(corpus.piece_source[chosen].tolist(), corpus.piece_licence[chosen].tolist(), strict=True)
    counts = sorted(Counter(names).items())
    return [{"name": name, "licence": licence, "pieces": pieces} for (name, licence), pieces in counts]
