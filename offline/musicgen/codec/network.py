"""Network: an EncodecModel with what it needs to learn: its codebooks' beginnings, and one pass with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import EncodecModel

from offline.musicgen.codec.config import CodecConfig
from offline.musicgen.codec.quantiser import begin, quantised

ROOM = 16
"""Vectors kept for k-means, for each code of a book."""


class CodecNetwork(nn.Module):
    """`model` is the codec; the buffers beside it say how far its codebooks are, so that a checkpoint holds it all."""

    made: Tensor
    seen: Tensor

    def __init__(self, config: CodecConfig) -> None:
        """Weights are random, from torch's generator."""
        super().__init__()
        self.config = config
        self.model: Any = EncodecModel(config.encodec())
        self.register_buffer("made", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(ROOM * config.codes, config.width))

    @property
    def begun(self) -> bool:
        """Whether there are codes yet."""
        return int(self.made) >= self.config.begin

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Audio [B, 1, N] again [B, 1, N], the distance from the codes, and the codes [K, B, T] or None.

        In training the codebooks learn; before `begin` steps of it there are no codes, and the audio comes straight
        from the encoder's outputs.
        """
        encoded = self.model.encoder(audio)
        if self.training:
            self._remember(encoded.detach())
        if not self.begun:
            return self.model.decoder(encoded), encoded.new_zeros((), dtype=torch.float32), None
        with torch.autocast(audio.device.type, enabled=False):
            vectors, distance, codes = quantised(
                self.model.quantizer, encoded, learn=self.training, forget=self.config.forget,
                seldom=self.config.seldom,
            )  # fmt: skip
        return self.model.decoder(vectors), distance, codes

    @torch.no_grad()
    def _remember(self, encoded: Tensor) -> None:
        """Count a step; keep its vectors, the oldest giving way, until k-means has begun the codebooks."""
        step = int(self.made)
        self.made += 1
        if step >= self.config.begin:
            return
        vectors = encoded.float().permute(0, 2, 1).reshape(-1, encoded.shape[1])
        if step < self.config.begin - 1:
            count = min(len(vectors), len(self.seen))
            self.seen.copy_(torch.roll(self.seen, -count, 0))
            self.seen[-count:] = vectors[-count:]
            return
        known = torch.cat([self.seen, vectors])
        begin(self.model.quantizer, known[known.abs().sum(1) > 0], len(vectors))
        self.seen.zero_()
