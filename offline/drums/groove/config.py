"""GrooveConfig: what a training of the groove model is told, its presets, and the checkpoint it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offline import hparams
from offline.knobs import in_range

HPARAMS, STEP_FOLDER, FEEL_FOLDER = "hparams.json", "step", "humaniser"


@dataclass(frozen=True, slots=True)
class GrooveConfig:
    """One training: the step network, then the humaniser."""

    epochs: int = 36  # of the step network
    batch: int = 2048  # steps in a batch
    width: int = 384  # of the step network's body
    layers: int = 2  # of it
    candidate: int = 32  # width of a candidate's scorers
    heads: int = 4  # attentions over the past bars
    dropout: float = 0.25  # in the body
    learning_rate: float = 2e-3  # highest
    decay: float = 0.5  # last share of the training in which it falls
    weight_decay: float = 0.02  # AdamW's
    average: float = 0.998  # weights kept in the running average, per step
    patience: int = 10  # epochs without a better validation; 0 never stops early
    precision: str = "auto"  # auto, fp32, bf16, fp16

    forget: float = 0.3  # probability that a piece is cut in parts that do not know each other: how to begin
    lose_instrument: float = 0.08  # that a piece is played without one of its instruments
    wrong_hit: float = 0.03  # that a step was heard with one hit changed
    swap: float = 0.25  # that instruments of a kind are exchanged
    lose_lag: float = 0.05  # that a mask of the past is not heard
    hide_style: float = 0.15  # that the style is not told
    hide_fill: float = 0.2  # that beat or fill is not told
    tell_density: float = 0.2  # that the bar's density is told
    hide_bar: float = 0.15  # that the number of the bar is not told

    feel_epochs: int = 22  # of the humaniser
    feel_batch: int = 512  # steps with hits in a batch
    feel_width: int = 224  # of its body
    feel_layers: int = 2  # of it
    feel_dropout: float = 0.35  # in its body
    feel_learning_rate: float = 1e-3  # highest
    feel_weight_decay: float = 0.05  # AdamW's
    feel_hide_past: float = 0.25  # probability that it must do without velocities and offsets of the past
    feel_lose_lag: float = 0.05  # that it must do without those of one step of the past
    feel_louder: float = 0.02  # spread of the log of a factor of a step's velocities, past and all
    feel_later: float = 0.01  # spread of what is added to its offsets, past and all, as a share of a step
    feel_sources: str = "Groove MIDI Dataset"  # only people's playing teaches feel: how those sources' names begin

    seed: int = 0  # of everything random

    def check(self) -> None:
        """Raise SidemanError for a value out of its range."""
        in_range(self, {"seed": 0, "patience": 0, "feel_epochs": 0})


PRESETS = {
    "full": GrooveConfig(),
    "quick": GrooveConfig(epochs=10, decay=0.3, feel_epochs=6),
}
"""full: 40 minutes on two cores; quick: 10."""


def write_hparams(folder: Path, config: GrooveConfig, facts: dict[str, Any]) -> None:
    """See offline.hparams."""
    hparams.write(folder, "groove", config, facts)


def read_hparams(folder: Path) -> dict[str, Any]:
    """hparams.json of a groove training, checked as far as loading needs. Raises SidemanError."""
    return hparams.read(folder, "groove", GrooveConfig, "sideman train drums --model groove", _check)


def _check(table: dict[str, Any]) -> None:
    hparams.words(table["styles"], 1000)
    if not isinstance(table["feature_version"], int):
        raise TypeError("feature_version")
