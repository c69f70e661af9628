"""CodecConfig: what a training of the codec is told, its presets, and the hparams.json it leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import SidemanError
from offline import hparams
from offline.knobs import in_range

if TYPE_CHECKING:
    from transformers import EncodecConfig

RATIOS = (5, 4, 4, 4)
"""Strides, the decoder's order: 320 frames of 16 kHz to a code frame. The wide ones come first where it costs most."""


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """One training."""

    rate_hz: int = 16_000
    filters: int = 16  # channels of the outermost convolutions; doubled at each stride
    width: int = 128  # of a code's vector
    lstm_layers: int = 1
    codebooks: int = 4
    codes: int = 1024  # in a codebook, a power of two

    epochs: int = 160  # of `steps` batches each
    steps: int = 250  # batches in an epoch
    batch: int = 4  # cuts in a batch
    cut_frames: int = 8_000  # audio frames of a cut
    learning_rate: float = 5e-4  # highest
    warmup: int = 200
    decay: float = 0.5  # last share of the training in which it falls
    weight_decay: float = 0.01  # AdamW's
    average: float = 0.99  # weights kept in the running average, per step
    patience: int = 0  # epochs without a better validation; 0 never stops early
    minutes: int = 0  # stop after so much time; 0 never
    precision: str = "auto"  # auto, fp32, bf16, fp16
    judged: int = 96  # held-out cuts looked at after an epoch

    begin: int = 1500  # steps of waveforms alone, without codes; then the codebooks are begun with k-means
    forget: float = 0.98  # of a codebook's running means, what stays a step
    seldom: float = 0.2  # a code used less than so much of its share is begun anew
    time_weight: float = 1.0  # of the waveform's error, relative to its mean
    mel_weight: float = 1.0  # of the mel spectra's
    commit_weight: float = 0.25  # of the encoder's distance from its codes
    balance: float = 0.8  # 0: each kind of source as often as it has hours, 1: all kinds alike
    quieter: float = 0.25  # probability that a cut is made quieter, by up to 20 dB

    seed: int = 0  # of everything random

    def check(self) -> None:
        """Raise SidemanError for a value out of its range."""
        in_range(self, {"seed": 0, "patience": 0, "minutes": 0, "lstm_layers": 1})
        if self.codes & (self.codes - 1) or not 2 <= self.codes <= 1 << 14:
            raise SidemanError(f"codes is {self.codes}; it is a power of two from 2 to {1 << 14:,}")
        if not self.decay:
            raise SidemanError("decay is 0; it is a share of the training above 0")
        if self.rate_hz % self.hop:
            raise SidemanError(f"rate_hz is {self.rate_hz}; it is a multiple of {self.hop}")
        if self.cut_frames % self.hop or self.cut_frames < 4096:
            raise SidemanError(f"cut_frames is {self.cut_frames}; it is a multiple of {self.hop} from 4,160 on")

    @property
    def hop(self) -> int:
        """Audio frames to a code frame."""
        return math.prod(RATIOS)

    def encodec(self) -> EncodecConfig:
        """The same as transformers' EncodecConfig, with which EncodecModel and MusicGen are built."""
        from transformers import EncodecConfig

        rate = self.rate_hz // self.hop
        return EncodecConfig(
            sampling_rate=self.rate_hz, audio_channels=1, num_filters=self.filters, hidden_size=self.width,
            num_lstm_layers=self.lstm_layers, upsampling_ratios=list(RATIOS), codebook_size=self.codes,
            target_bandwidths=[self.codebooks * rate * math.log2(self.codes) / 1000], use_causal_conv=False,
            use_conv_shortcut=False, normalize=False, pad_mode="constant",
        )  # fmt: skip


PRESETS = {
    "small": CodecConfig(),
    "gpu": CodecConfig(
        filters=32, lstm_layers=2, codes=2048, epochs=200, steps=1000, batch=64, cut_frames=16_000,
        learning_rate=3e-4, begin=2000, precision="fp32",
    ),
    "quick": CodecConfig(
        filters=4, width=16, codes=32, epochs=2, steps=20, batch=2, cut_frames=8000, begin=10, warmup=5, judged=4,
    ),
}  # fmt: skip
"""small: hours of one core; gpu: for one GPU; quick: seconds, to see everything work."""


def write_hparams(folder: Path, config: CodecConfig, facts: dict[str, Any]) -> None:
    """See offline.hparams."""
    hparams.write(folder, "codec", config, facts)


def read_hparams(folder: Path) -> dict[str, Any]:
    """hparams.json of a training; "config" is a CodecConfig. Raises SidemanError."""
    return hparams.read(folder, "codec", CodecConfig, "sideman train codec")
