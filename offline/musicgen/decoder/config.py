"""Config: what a training of the decoder is told, its presets, and the hparams.json it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import SidemanError
from offline import hparams
from offline.knobs import in_range

if TYPE_CHECKING:
    from transformers import MusicgenDecoderConfig, T5Config

LONGEST_MS = 30_000
"""MusicGen's own positions end here."""


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """One training."""

    width: int = 256  # of the residual stream
    layers: int = 6
    heads: int = 4  # of attention
    text_width: int = 128  # of the text encoder
    text_layers: int = 2
    dropout: float = 0.0  # of what each part of a layer adds

    epochs: int = 60  # of `steps` steps each
    steps: int = 250  # batches in an epoch
    batch: int = 8  # cuts of `cut_ms` in a batch; of long ones so many fewer, of short ones so many more
    cut_ms: int = 4000  # of sound in a cut
    long_ms: int = 8000  # of sound in a long one: from clips as long
    long: float = 0.3  # share of the batches that are of long cuts
    short: float = 0.15  # share that are half of cut_ms: of these some begin late in a clip
    learning_rate: float = 2e-3  # highest
    warmup: int = 200
    decay: float = 0.3  # last share of the training in which it falls
    weight_decay: float = 0.1  # AdamW's
    average: float = 0.998  # weights kept in the running average, per step
    patience: int = 0  # epochs without a better validation; 0 never stops early
    minutes: int = 0  # stop after so much time; 0 never
    precision: str = "auto"  # auto, fp32, bf16, fp16
    judged: int = 64  # held-out cuts looked at after an epoch

    concepts: float = 0.4  # share of the cuts that are of concepts, so much of midi, so much of audio: those
    midi: float = 0.35  # that the data has, in these proportions
    audio: float = 0.25
    silent: float = 0.15  # chance that a cut comes without its text: for guidance
    forget: float = 0.15  # chance that a part of a text ("120 bpm") is left out
    unknown: float = 0.02  # chance that a word is one that is not known

    seed: int = 0  # of everything random

    def check(self) -> None:
        """Raise SidemanError for a value out of its range."""
        in_range(self, {"seed": 0, "patience": 0, "minutes": 0})
        if self.width % self.heads or (self.width // self.heads) % 8:
            raise SidemanError(f"width is {self.width}; it is heads ({self.heads}) times a multiple of 8")
        if self.text_width % 32:
            raise SidemanError(f"text_width is {self.text_width}; it is a multiple of 32")
        if not self.decay:
            raise SidemanError("decay is 0; it is a share of the training above 0")
        if self.long + self.short > 1.0:
            raise SidemanError(f"long and short are {self.long} and {self.short}: together they are at most 1")
        if not 200 <= self.cut_ms <= self.long_ms <= LONGEST_MS:
            raise SidemanError(
                f"cut_ms and long_ms are {self.cut_ms} and {self.long_ms}: 200 <= cut_ms <= long_ms <= {LONGEST_MS:,}"
            )
        if not self.concepts + self.midi + self.audio:
            raise SidemanError("concepts, midi and audio are all 0: one of them is above")

    def t5(self, words: int) -> T5Config:
        """The text encoder, as transformers builds it."""
        from transformers import T5Config

        return T5Config(
            vocab_size=words, d_model=self.text_width, d_kv=32, d_ff=2 * self.text_width, num_layers=self.text_layers,
            num_heads=self.text_width // 32, feed_forward_proj="relu", dropout_rate=self.dropout,
            decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
        )  # fmt: skip

    def musicgen(self, books: int, codes: int) -> MusicgenDecoderConfig:
        """The decoder, as transformers builds it."""
        from transformers import MusicgenDecoderConfig

        return MusicgenDecoderConfig(
            vocab_size=codes, num_hidden_layers=self.layers, ffn_dim=4 * self.width, num_attention_heads=self.heads,
            hidden_size=self.width, num_codebooks=books, audio_channels=1, pad_token_id=codes, bos_token_id=codes,
            dropout=self.dropout,
        )  # fmt: skip


PRESETS = {
    "small": DecoderConfig(),
    "gpu": DecoderConfig(
        width=768, layers=12, heads=12, text_width=256, text_layers=4, dropout=0.1, epochs=100, steps=1000, batch=64,
        learning_rate=5e-4, warmup=1000, average=0.999, precision="bf16", judged=256,
    ),
    "quick": DecoderConfig(
        width=32, layers=2, heads=2, text_width=32, text_layers=1, epochs=3, steps=30, batch=4, cut_ms=800,
        long_ms=1600, learning_rate=5e-3, warmup=10, average=0.9, precision="fp32", judged=8,
    ),
}  # fmt: skip
"""small: an hour or two of two cores; gpu: for one GPU; quick: seconds, to see everything work."""


def write_hparams(folder: Path, config: DecoderConfig, facts: dict[str, Any]) -> None:
    """See offline.hparams."""
    hparams.write(folder, "musicgen", config, facts)


def read_hparams(folder: Path) -> dict[str, Any]:
    """hparams.json of a training; "config" is a DecoderConfig. Raises SidemanError."""
    return hparams.read(folder, "musicgen", DecoderConfig, "sideman train musicgen", _check)


def _check(table: dict[str, Any]) -> None:
    for name in ("books", "codes"):
        if not isinstance(table[name], int) or not 1 <= table[name] <= 1 << 16:
            raise TypeError(f"{name} is no number")
    for piece, score in table["pieces"]:
        if not isinstance(piece, str) or not isinstance(score, float):
            raise TypeError("pieces are no words and scores")
    if not isinstance(table["sources"], list) or not isinstance(table["codec"], str):
        raise TypeError("sources or codec")
