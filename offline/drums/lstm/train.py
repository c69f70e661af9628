"""Training the seed's LSTM: from a prepared data set to a run's folder (`sideman train drums DATA --model lstm`)."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engines.errors import SidemanError
from offline.drums.dataset import DrumDataset, Piece
from offline.drums.lstm.config import LstmConfig
from offline.drums.lstm.data import Corpus, chosen_pieces, feel_of, styles_of
from offline.drums.lstm.run import (
    BACKUP,
    BEST,
    BEST_H5,
    HPARAMS,
    METRICS,
    VOCABULARY,
    Hparams,
    Learned,
    LstmRun,
    use_tensorflow,
)
from offline.drums.vocabulary import Vocabulary


def train(data: Path, config: LstmConfig, folder: Path) -> dict[str, Any]:
    """Train on data/train.npz, choosing by data/validation.npz; the metrics, as in folder/metrics.json.

    folder: a new one, or one whose training was interrupted, which then goes on.
    Raises SidemanError for data that cannot be used, or a folder that holds another training.
    """
    pieces = chosen_pieces(DrumDataset.load(data / "train.npz"), config.sources, f"{data / 'train.npz'}")
    held = chosen_pieces(DrumDataset.load(data / "validation.npz"), config.sources, f"{data / 'validation.npz'}")
    hparams = _prepare(pieces, config, data, folder)
    use_tensorflow()
    from offline.drums.lstm import fit as lstm_fit
    from offline.drums.lstm import network as lstm_network

    vocabulary = hparams.vocabulary()
    corpus, validation = (Corpus.of(some, vocabulary, hparams.styles) for some in (pieces, held))
    network = lstm_network.build(len(vocabulary), len(hparams.styles), config.embedding, config.units, config.dropout)
    print(
        f"{network.count_params():,} parameters, {corpus.steps:,} steps of {len(pieces)} pieces, "
        f"validation {validation.steps:,} of {len(held)}; {folder}",
        flush=True,
    )
    try:
        lstm_fit.fit(network, corpus, validation, config, folder)
    except KeyboardInterrupt:
        print(f"\ninterrupted; the same command with -o {folder} goes on after the last whole epoch", file=sys.stderr)
        raise
    best = LstmRun(folder).network()
    logging.getLogger("absl").setLevel(logging.ERROR)  # Keras calls .h5 legacy; the seed's tools read it
    best.save(folder / BEST_H5)
    metrics: dict[str, Any] = {"epochs": len(lstm_fit.read_log(folder))}
    metrics["minutes"] = float(lstm_fit.read_log(folder)[-1]["minutes"])
    splits = {"train": corpus, "validation": validation}
    if (data / "test.npz").is_file():
        test = chosen_pieces(DrumDataset.load(data / "test.npz"), config.sources, f"{data / 'test.npz'}")
        splits["test"] = Corpus.of(test, vocabulary, hparams.styles)
    for split, some in splits.items():
        metrics[split] = lstm_fit.score(best, some, config)
        print(f"{split}: accuracy {metrics[split]['accuracy']:.4f}, perplexity {metrics[split]['perplexity']:.4f}")
    (folder / METRICS).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder / BACKUP, ignore_errors=True)
    return metrics


def _prepare(pieces: list[Piece], config: LstmConfig, data: Path, folder: Path) -> Hparams:
    """Write what the run is, or check that an interrupted one is the same."""
    vocabulary = Vocabulary.of(np.concatenate([piece.masks for piece in pieces]), config.vocab_cap)
    velocity, offset = feel_of(pieces)
    counts = Counter((piece.source, piece.licence) for piece in pieces)
    hparams = Hparams(
        model="lstm",
        config=config,
        data=str(data),
        masks=vocabulary.masks,
        styles=styles_of(pieces),
        feel_velocity=tuple(map(tuple, velocity.tolist())),
        feel_offset=tuple(map(tuple, offset.tolist())),
        sources=tuple(Learned(name, licence, count) for (name, licence), count in sorted(counts.items())),
        steps=sum(len(piece.masks) for piece in pieces),
    )
    encoded = msgspec.json.format(msgspec.json.encode(hparams), indent=1)
    if (folder / HPARAMS).is_file():
        before = LstmRun(folder).hparams
        if msgspec.structs.replace(before, data=hparams.data) != hparams:
            raise SidemanError(f"{folder} holds a training with other settings or data; give another -o, or delete it")
        if (folder / METRICS).is_file():
            raise SidemanError(f"{folder} holds this training, finished; give another -o, or delete it")
    else:
        if (folder / BEST).exists():
            raise SidemanError(f"{folder} holds another training; give another -o")
        folder.mkdir(parents=True, exist_ok=True)
        vocabulary.save(folder / VOCABULARY)
        (folder / HPARAMS).write_bytes(encoded + b"\n")
    return hparams
