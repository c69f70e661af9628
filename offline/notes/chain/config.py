"""ChainConfig: what a training of the chain model is told, its presets, and the hparams.json it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import SidemanError
from offline import hparams
from offline.knobs import in_range


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """One training."""

    width: int = 256  # of the trunk
    layers: int = 4
    heads: int = 8  # of each layer; half turn with the index, half with musical time
    hidden: int = 768  # of a layer's feed-forward part
    context: int = 512  # elements (bars and notes) it attends to
    dropout: float = 0.05

    epochs: int = 16  # of `steps` batches each
    steps: int = 300  # batches in an epoch
    batch: int = 4  # windows of `context` elements in a batch
    learning_rate: float = 2e-3  # highest
    warmup: int = 200
    decay: float = 0.5  # last share of the training in which it falls
    weight_decay: float = 0.02  # AdamW's
    average: float = 0.998  # weights kept in the running average, per step
    patience: int = 0  # epochs without a better validation; 0 never stops early
    precision: str = "auto"  # auto, fp32, bf16, fp16
    judged: int = 60_000  # validation notes looked at after an epoch

    balance: float = 0.5  # 0: each source as often as it has notes, 1: all sources alike
    lowest: int = -5  # transposition, in semitones
    highest: int = 6
    hide_genre: float = 0.1  # probability that a window is not told its genre
    tell: float = 0.5  # that a window is told anything by its controls; then each is told half of the time
    thin: float = 0.35  # that a piece of three roles or more is played without some of them
    hide_velocity: float = 0.1  # that a window is told no velocities
    fresh: float = 0.3  # that a window knows nothing of what was before it, as if the song began there
    begin: float = 0.3  # that a batch is of beginnings: many short windows that know nothing of what was before
    begin_context: int = 64  # elements of those; as many of them as make a batch of the same size
    wrong_note: float = 0.02  # that a note of the past was heard at another pitch nearby
    lose_lane: float = 0.07  # that a lane of memory says nothing
    offset_weight: float = 0.3  # of the offsets' loss in pieces whose beats were found by ear

    seed: int = 0  # of everything random

    def check(self) -> None:
        """Raise SidemanError for a value out of its range."""
        in_range(self, {"seed": 0, "patience": 0, "lowest": -12, "highest": -12})
        if self.begin_context > self.context:
            raise SidemanError(f"begin_context is {self.begin_context}; it is at most context, {self.context}")
        if self.width % self.heads or self.heads % 2 or self.width // self.heads % 2 or self.lowest > self.highest:
            raise SidemanError("width must be a multiple of heads, heads even, lowest not above highest")


PRESETS = {
    "small": ChainConfig(),
    "base": ChainConfig(
        width=512, layers=8, heads=16, hidden=2048, context=512, dropout=0.15, epochs=60, steps=500, batch=32,
        learning_rate=1e-3, warmup=500,
    ),
    "quick": ChainConfig(width=128, layers=2, heads=4, hidden=384, context=256, epochs=4, steps=200),
}  # fmt: skip
"""small: under two hours of a CPU; base: for one GPU; quick: minutes, to see everything work."""


def write_hparams(folder: Path, config: ChainConfig, facts: dict[str, Any]) -> None:
    """See offline.hparams."""
    hparams.write(folder, "chain", config, facts)


def read_hparams(folder: Path) -> dict[str, Any]:
    """hparams.json of a training, checked as far as loading needs; "config" is a ChainConfig. Raises SidemanError."""
    return hparams.read(folder, "chain", ChainConfig, "sideman train notes", _check)


def _check(table: dict[str, Any]) -> None:
    hparams.words(table["genres"], 1000)
    if not table["genres"]:
        raise TypeError("genres")
