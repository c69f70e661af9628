"""LstmRun: the folder of one training: hparams.json, vocab_topN.json, log.csv, best.keras, best.h5, metrics.json."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from engines.drums.lstm import LstmModel, LstmSettings
from engines.errors import SidemanError
from offline.drums.lstm.config import LstmConfig
from offline.drums.vocabulary import Vocabulary

HPARAMS, VOCABULARY, LOG, METRICS = "hparams.json", "vocab_topN.json", "log.csv", "metrics.json"
BEST = "best.keras"
BEST_H5 = "best.h5"
BACKUP = "backup"


class Learned(msgspec.Struct, frozen=True):
    """A source of the training pieces."""

    name: str
    licence: str
    pieces: int


class Hparams(msgspec.Struct, frozen=True, kw_only=True):
    """hparams.json.

    masks:  of tokens 1, 2, ...; styles: "any" first
    feel_velocity, feel_offset: [16][9], medians of the training pieces (offline.drums.lstm.data.feel_of)
    """

    model: str
    config: LstmConfig
    data: str
    masks: tuple[int, ...]
    styles: tuple[str, ...]
    feel_velocity: tuple[tuple[int, ...], ...]
    feel_offset: tuple[tuple[int, ...], ...]
    sources: tuple[Learned, ...]
    steps: int

    def vocabulary(self) -> Vocabulary:
        """The tokens; without their counts."""
        return Vocabulary(self.masks, (0,) * (len(self.masks) + 1))


class LstmRun:
    """A training's folder, or one checkpoint file in it."""

    def __init__(self, path: Path) -> None:
        """path: the folder (its best checkpoint is meant), or a .keras or .h5 file in it.

        Raises SidemanError when it holds no training of an lstm.
        """
        self.folder = path if path.is_dir() else path.parent
        self.checkpoint = self.folder / BEST if path.is_dir() else path
        file = self.folder / HPARAMS
        try:
            self.hparams = msgspec.json.decode(file.read_bytes(), type=Hparams)
        except FileNotFoundError as error:
            raise SidemanError(f"{path} is no training of an lstm: there is no {HPARAMS} beside it") from error
        except (OSError, msgspec.DecodeError, ValueError) as error:
            raise SidemanError(f"{file}: {error}; train again") from error

    def network(self) -> Any:
        """The Keras network with the checkpoint's weights. Raises SidemanError when they do not fit."""
        if not self.checkpoint.is_file():
            raise SidemanError(f"{self.checkpoint} does not exist; let the training finish an epoch")
        use_tensorflow()
        from offline.drums.lstm import network as lstm_network

        config = self.hparams.config
        network = lstm_network.build(
            len(self.hparams.masks) + 1, len(self.hparams.styles), config.embedding, config.units, config.dropout
        )
        try:
            lstm_network.load_weights(network, self.checkpoint)
        except ValueError as error:
            first = (str(error).splitlines() or ["unreadable"])[0][:200]
            raise SidemanError(f"{self.checkpoint} does not hold this network's weights: {first}") from error
        return network

    def settings(self) -> LstmSettings:
        """What the live side needs to know."""
        given = self.hparams
        try:
            return LstmSettings(
                given.masks,
                given.styles,
                given.config.units,
                given.config.context_bars,
                given.feel_velocity,
                given.feel_offset,
            )
        except ValueError as error:
            raise SidemanError(f"{self.folder / HPARAMS}: {error}; train again") from error

    def model(self) -> LstmModel:
        """The checkpoint as a DrumModel, without export."""
        network = self.network()
        from offline.drums.lstm import network as lstm_network

        return LstmModel(lstm_network.step_graph(network), self.settings())

    def metrics(self) -> dict[str, Any]:
        """What metrics.json says, {} without one."""
        file = self.folder / METRICS
        try:
            return msgspec.json.decode(file.read_bytes(), type=dict[str, Any]) if file.is_file() else {}
        except msgspec.DecodeError as error:
            raise SidemanError(f"{file}: {error}; delete it, or train again") from error


def use_tensorflow() -> None:
    """Have Keras load TensorFlow, without its start-up messages; call before Keras is imported."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise SidemanError(f"Keras runs on {keras.backend.backend()} here; unset KERAS_BACKEND: lstm needs tensorflow")
