"""Fitting the seed's network with Keras: batches, callbacks, and going on after Ctrl-C."""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from offline.drums.lstm.config import LstmConfig
from offline.drums.lstm.data import Corpus, Sequences, swapped
from offline.drums.lstm.network import POSITIONS, Perplexity, smoothed_loss
from offline.drums.lstm.run import BACKUP, BEST, LOG

COOLDOWN = 0.3
"""A training with a time limit lowers its learning rate over this last part of the time, instead of at plateaus."""


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """Batches of sequences; those of training are cut, shuffled and disturbed anew in every epoch."""

    def __init__(self, corpus: Corpus, config: LstmConfig, epoch: int | None = None) -> None:
        """epoch: the first epoch of training; None for validation."""
        super().__init__()
        self._corpus, self._config, self._epoch = corpus, config, epoch
        self._rows = max(1, config.batch_steps // (16 * config.context_bars))
        self._cut()

    def _cut(self) -> None:
        self._random = np.random.default_rng([self._config.seed, self._epoch or 0])
        random = None if self._epoch is None else self._random
        self._sequences: Sequences = self._corpus.sequences(self._config.context_bars, random)
        count = len(self._sequences)
        self._order = np.arange(count) if self._epoch is None else self._random.permutation(count)

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._rows)

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Any, Any]:
        rows = self._order[index * self._rows : (index + 1) * self._rows]
        all_of = self._sequences
        read, style = all_of.read[rows], all_of.style[rows]
        if self._epoch is not None:
            read = swapped(read, self._config.swap_prob, self._random)
            style = np.where(self._random.random(style.shape) < self._config.style_drop, 0, style)
        return inputs(read, style), all_of.say[rows], all_of.weight[rows]

    def on_epoch_end(self) -> None:
        """Cut the next epoch's sequences."""
        if self._epoch is not None:
            self._epoch += 1
            self._cut()


def inputs(read: Any, style: Any) -> dict[str, Any]:
    """The network's inputs from tokens [B, T] that start at a bar line and styles [B, 1]."""
    positions = np.broadcast_to(np.arange(read.shape[1], dtype=np.int32) % POSITIONS, read.shape)
    return {"tokens": read, "positions": positions, "style": style}


class Clock(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Adds the minutes spent to the log; at a time limit cools the learning rate down and stops."""

    def __init__(self, config: LstmConfig, spent_minutes: float, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._limit, self._rate, self._now_s = config.minutes, config.learning_rate, now_s
        self._start_s = now_s() - 60.0 * spent_minutes

    @property
    def _minutes(self) -> float:
        return (self._now_s() - self._start_s) / 60.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the learning rate for the time left."""
        if self._limit:
            left = max(0.0, 1.0 - self._minutes / self._limit)
            self.model.optimizer.learning_rate = self._rate * min(1.0, max(0.01, left / COOLDOWN))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop when the time is up."""
        if self._limit and self._minutes >= self._limit:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Put the time and the learning rate in the log."""
        if logs is not None:
            logs["minutes"] = round(self._minutes, 2)
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class Recall(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Gives callbacks that count epochs without progress their counts back, from the log of an interrupted training."""

    def __init__(self, history: list[dict[str, str]], *waiting: Any) -> None:
        super().__init__()
        self._history, self._waiting = history, waiting

    def on_train_begin(self, logs: Any = None) -> None:
        """Runs after the others' own reset, since it is last in the list."""
        losses = [float(row["val_loss"]) for row in self._history]
        if not losses:
            return
        rates = [float(row["learning_rate"]) for row in self._history]
        best = int(np.argmin(losses))
        changed = max((i for i in range(1, len(rates)) if rates[i] != rates[i - 1]), default=0)
        for callback in self._waiting:
            since = max(best, changed - 1) if isinstance(callback, keras.callbacks.ReduceLROnPlateau) else best
            callback.best = losses[best]
            callback.wait = len(losses) - 1 - since


def fit(network: keras.Model, train: Corpus, validation: Corpus, config: LstmConfig, folder: Path) -> None:
    """Train a network, or go on with the training that `folder` holds; its best weights end in folder/best.keras."""
    keras.utils.set_random_seed(config.seed)
    history = read_log(folder)
    network.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate, clipnorm=1.0),
        loss=smoothed_loss(config.label_smoothing),
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy"), Perplexity(name="perplexity")],
    )
    best = min((float(row["val_loss"]) for row in history), default=None)
    checkpoint = keras.callbacks.ModelCheckpoint(folder / BEST, save_best_only=True, initial_value_threshold=best)
    stop = keras.callbacks.EarlyStopping(patience=config.patience)
    plateau = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=config.plateau, min_lr=config.learning_rate / 100)
    spent = float(history[-1]["minutes"]) if history else 0.0
    network.fit(
        Batches(train, config, epoch=len(history)),
        validation_data=Batches(validation, config),
        epochs=config.epochs,
        verbose=1 if sys.stderr.isatty() else 2,
        callbacks=[
            Clock(config, spent),
            *([] if config.minutes else [plateau]),
            checkpoint,
            stop,
            keras.callbacks.CSVLogger(folder / LOG, append=True),
            keras.callbacks.BackupAndRestore(folder / BACKUP, delete_checkpoint=False),
            Recall(history, stop, plateau),
        ],
    )


def score(network: keras.Model, corpus: Corpus, config: LstmConfig) -> dict[str, float]:
    """Accuracy and perplexity per step of a corpus, as the seed counts them: UNK is a token like any other."""
    network.compile(
        loss=smoothed_loss(0.0),
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy"), Perplexity(name="perplexity")],
    )
    values = network.evaluate(Batches(corpus, config), verbose=0, return_dict=True)
    return {name: round(float(values[name]), 4) for name in ("accuracy", "perplexity")}


def read_log(folder: Path) -> list[dict[str, str]]:
    """The rows of log.csv, one an epoch; none without one."""
    file = folder / LOG
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
