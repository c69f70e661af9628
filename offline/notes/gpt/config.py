"""GptConfig: what a training of the flat GPT is told, its preset, and the facts beside its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import SidemanError
from offline import hparams
from offline.knobs import in_range

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
    """See offline.hparams."""
    hparams.write(folder, KIND, config, facts)


def read_hparams(folder: Path) -> dict[str, Any]:
    """hparams.json of a training of the flat GPT, checked as far as loading needs. Raises SidemanError."""
    return hparams.read(folder, KIND, GptConfig, "sideman train notes --preset seed", _check)


def _check(table: dict[str, Any]) -> None:
    hparams.words(table["vocabulary"], 1 << 16)
