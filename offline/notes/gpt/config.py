"""GptConfig: what a training of the flat GPT is told, its preset, and the facts beside its weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines.errors import SidemanError
from offline.knobs import in_range

HPARAMS = "hparams.json"
KIND = "remi"


@dataclass(frozen=True, slots=True)
class GptConfig:
    """One training."""

    sequence: int = 1024  # tokens in a window, genre and all
    width: int = 192  # of the residual stream
    layers: int = 4  # of attention and SwiGLU
    heads: int = 6  # of attention, 32 wide each
    key_heads: int = 2  # keys and values, shared by the heads
    hidden: int = 512  # of SwiGLU
    dropout: float = 0.0  # on what is added to the residual stream

    epochs: int = 60  # the schedule is stretched over them
    windows: int = 256  # in an epoch
    batch: int = 4  # windows in a batch
    accumulate: int = 1  # batches to a step
    learning_rate: float = 2e-3  # highest
    warmup: int = 100  # steps to reach it
    decay: float = 0.3  # last share of the training in which it falls
    weight_decay: float = 0.02  # AdamW's
    average: float = 0.995  # weights kept in the running average, per step
    patience: int = 8  # epochs without a better validation; 0 never stops early
    precision: str = "auto"  # auto, fp32, bf16, fp16
    transpose: bool = True  # each window by -5 to +6 semitones, but for the drums
    hide_genre: float = 0.1  # probability that a window is not told its genre
    judged: int = 64  # windows of validation after each epoch
    nc: bool = False  # learn from files whose licence forbids commercial use too
    seed: int = 0  # of everything random

    def check(self) -> None:
        """Raise SidemanError for a value out of its range."""
        in_range(self, {"seed": 0, "patience": 0})
        if self.width % self.heads or self.width // self.heads % 2 or self.heads % self.key_heads:
            raise SidemanError(
                f"width {self.width}, heads {self.heads}, key_heads {self.key_heads}: heads must be even parts of the "
                "width, and a multiple of key_heads"
            )


PRESETS = {"seed": GptConfig()}
"""seed: the seed's vocabulary and sequence, a network that a CPU trains in two hours."""


def write_hparams(folder: Path, config: GptConfig, facts: dict[str, Any]) -> None:
    """hparams.json: the config, and what an export and a reader of the checkpoint need to know."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"model": KIND, "config": asdict(config), **facts}, indent=1)
    (folder / HPARAMS).write_text(text + "\n", encoding="utf-8")


def read_hparams(folder: Path) -> dict[str, Any]:
    """hparams.json of a training of the flat GPT, checked as far as loading needs. Raises SidemanError."""
    path = folder / HPARAMS
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SidemanError(f"{path} cannot be read; it is made by: sideman train notes --preset seed") from error
    if not isinstance(table, dict) or table.get("model") != KIND:
        raise SidemanError(f"{folder} holds no training of the flat GPT (sideman train notes --preset seed)")
    try:
        config = GptConfig(**table["config"])
        config.check()
        words = table["vocabulary"]
        if not isinstance(words, list) or len(words) > 1 << 16 or not all(isinstance(word, str) for word in words):
            raise TypeError("vocabulary")
    except (TypeError, KeyError) as error:
        raise SidemanError(f"{path} is not what this version writes ({error}); train again") from error
    return {**table, "config": config}
