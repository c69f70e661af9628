"""GrooveConfig: what a training of the groove model is told, its presets, and the checkpoint it leaves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines.errors import SidemanError
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
    """hparams.json: the config, and what an export and a reader of the checkpoint need to know."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"model": "groove", "config": asdict(config), **facts}, indent=1)
    (folder / HPARAMS).write_text(text + "\n", encoding="utf-8")


def read_hparams(folder: Path) -> dict[str, Any]:
    """hparams.json of a groove training, checked as far as loading needs. Raises SidemanError."""
    path = folder / HPARAMS
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SidemanError(f"{path} cannot be read; it is made by: sideman train drums --model groove") from error
    if not isinstance(table, dict) or table.get("model") != "groove":
        raise SidemanError(f"{folder} holds no training of the groove model")
    try:
        config = GrooveConfig(**table["config"])
        config.check()
        styles = table["styles"]
        ok = isinstance(styles, list) and len(styles) <= 1000 and all(isinstance(style, str) for style in styles)
        if not ok or not isinstance(table["feature_version"], int):
            raise TypeError("styles or feature_version")
    except (TypeError, KeyError) as error:
        raise SidemanError(f"{path} is not what this version writes ({error}); train again") from error
    return {**table, "config": config}
