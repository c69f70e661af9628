"""Data: cuts of coded clips with their prompts, as delayed columns and what follows each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.musicgen.delay import Delay, delays_of
from offline.musicgen.decoder.codes import Codes, coded
from offline.musicgen.decoder.config import DecoderConfig
from offline.musicgen.decoder.text import numbers_of, varied
from offline.musicgen.index import SOURCES, Clip, read_index

IGNORED = -100
"""A target that is no frame's code."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A clip and its codes, uint16 [books, frames]."""

    clip: Clip
    codes: Codes


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """columns: int64 [B, books, T]; targets: int64 [B, T, books], IGNORED where nothing is asked.

    tokens, heard: of the texts, [B, S]
    """

    columns: Any
    targets: Any
    tokens: Any
    heard: Any


def examples_of(folders: Sequence[Path], split: str, codec: Any, digest: str, most: int = 0) -> list[Example]:
    """The clips of a split of prepared folders, with their codes. most: of each source, evenly taken; 0: all.

    Raises SidemanError where there are none, or they are at another rate than the codec.
    """
    found = []
    for folder in folders:
        clips = [clip for clip in read_index(folder) if clip.split == split]
        if not clips:
            raise SidemanError(f"{folder} has no {split} clips; prepare more songs")
        if most:
            clips = [clip for source in SOURCES for clip in evenly([c for c in clips if c.source == source], most)]
        found += [Example(clip, codes) for clip, codes in zip(clips, coded(folder, clips, codec, digest), strict=True)]
    return found


def evenly(clips: Sequence[Clip], most: int) -> list[Clip]:
    """At most so many of them, from the first to the last."""
    chosen = np.unique(np.linspace(0, len(clips) - 1, min(most, len(clips))).round().astype(np.int64))
    return [clips[i] for i in chosen]


class Cuts:
    """`steps` batches of random cuts; each depends on (seed, epoch, number) alone."""

    def __init__(self, examples: Sequence[Example], tokenizer: Any, config: DecoderConfig, form: Form) -> None:
        """form: of the codes."""
        self._examples, self._tokenizer, self._form = examples, tokenizer, form
        self.config = config
        self._lengths = np.array([example.codes.shape[1] for example in examples])
        self._long = self._edges(form.frames(config.long_ms))
        self._any = self._edges(0)

    def epoch(self, number: int) -> Epoch:
        """The batches of an epoch."""
        return Epoch(self, number)

    def _edges(self, least: int) -> NDArray[np.float64]:
        """Summed chances of the clips of so many frames (of all, if none has): each source its share, by length."""
        fits = self._lengths >= least
        chance = np.where(fits if fits.any() else True, self._lengths, 0).astype(np.float64)
        sources = np.array([example.clip.source for example in self._examples])
        for source in SOURCES:
            its = sources == source
            if total := chance[its].sum():
                chance[its] *= getattr(self.config, source) / total
        if not chance.sum():
            raise SidemanError("the data has no clips of a source whose share is above 0: change concepts, midi, audio")
        return np.cumsum(chance / chance.sum())

    def batch(self, epoch: int, index: int) -> Batch:
        """See offline.trainer.Batches."""
        config = self.config
        rng = np.random.default_rng((config.seed, epoch, index))
        kind = rng.random()
        cut_ms, edges = config.cut_ms, self._any
        if kind < config.long:
            cut_ms, edges = config.long_ms, self._long
        elif kind < config.long + config.short:
            cut_ms = config.cut_ms // 2
        frames = self._form.frames(cut_ms)
        rows = max(1, config.batch * config.cut_ms // cut_ms)
        cuts, texts = [], []
        for _ in range(rows):
            example = self._examples[min(int(np.searchsorted(edges, rng.random())), len(self._examples) - 1)]
            first = int(rng.integers(max(1, example.codes.shape[1] - frames + 1)))
            cuts.append(example.codes[:, first : first + frames])
            text = varied(example.clip.prompt, config.forget, rng)
            texts.append("" if rng.random() < config.silent else text)
        tokens, heard = numbers_of(self._tokenizer, texts, config.unknown, rng)
        return self._form.batch(cuts, frames, tokens, heard)


@dataclass(frozen=True, slots=True)
class Epoch:
    """See offline.trainer.Batches."""

    cuts: Cuts
    number: int

    def __len__(self) -> int:
        return self.cuts.config.steps

    def batch(self, index: int) -> Batch:
        """See Cuts.batch."""
        return self.cuts.batch(self.number, index)


@dataclass(frozen=True, slots=True)
class Form:
    """How codes are laid out. books of `codes` codes, at frame_rate_hz; device: where batches go."""

    books: int
    codes: int
    frame_rate_hz: float
    device: Any

    def frames(self, milliseconds: int) -> int:
        """Frames of codes in so much sound."""
        return max(1, round(milliseconds * self.frame_rate_hz / 1000))

    def batch(self, cuts: Sequence[Codes], frames: int, tokens: NDArray[np.int64], heard: NDArray[np.bool_]) -> Batch:
        """Cuts [books, up to `frames`] delayed, with padding behind the shorter ones and nothing asked there."""
        import torch

        codes = np.full((len(cuts), self.books, frames), self.codes, np.int64)
        for row, cut in enumerate(cuts):
            codes[row, :, : cut.shape[1]] = cut
        laid = Delay(delays_of(self.books), self.codes).laid(codes)
        targets = np.where(laid == self.codes, IGNORED, laid)[..., 1:].transpose(0, 2, 1)
        arrays = (laid[..., :-1], targets, tokens, heard)
        return Batch(*(torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for array in arrays))
