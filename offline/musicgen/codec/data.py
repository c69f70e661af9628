"""Data: random cuts of the clips of prepare musicgen, and fixed ones to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import SidemanError
from offline.musicgen.codec.config import CodecConfig
from offline.musicgen.index import Clip, read_frames, read_index

SILENT = 1e-3
TRIES = 4


class Cuts:
    """`steps` batches of random cuts [batch, 1, cut_frames]; each depends on (seed, epoch, number) alone."""

    def __init__(self, folder: Path, clips: Sequence[Clip], config: CodecConfig, epoch: int, device: Any) -> None:
        self._folder, self._clips, self._config, self._epoch, self._device = folder, clips, config, epoch, device
        lengths_s = np.array([clip.seconds for clip in clips])
        kinds = np.unique(np.array([clip.source for clip in clips]), return_inverse=True)[1]
        totals = np.bincount(kinds, lengths_s)
        chance = lengths_s * totals[kinds] ** -config.balance
        self._edges = np.cumsum(chance / chance.sum())

    def __len__(self) -> int:
        return self._config.steps

    def batch(self, index: int) -> Any:
        """See offline.trainer.Batches."""
        import torch

        rng = np.random.default_rng((self._config.seed, self._epoch, index))
        cuts = np.stack([self._cut(rng) for _ in range(self._config.batch)])
        return torch.from_numpy(cuts)[:, None].to(self._device)

    def _cut(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """A cut that is not silent, where one is soon found; at times made quieter, turned over half of the time."""
        length = self._config.cut_frames
        for _ in range(TRIES):
            clip = self._clips[min(int(np.searchsorted(self._edges, rng.random())), len(self._clips) - 1)]
            first = int(rng.integers(max(1, clip.frames - length + 1)))
            cut = read_frames(self._folder, clip, first, length)
            if np.abs(cut).max() > SILENT:
                break
        gain = 10.0 ** (-rng.uniform(0.0, 1.0)) if rng.random() < self._config.quieter else 1.0
        return cut * np.float32(gain if rng.random() < 0.5 else -gain)


def clips_of(folder: Path, split: str, rate_hz: int) -> list[Clip]:
    """The clips of a split. Raises SidemanError where there are none, or they are at another rate."""
    clips = [clip for clip in read_index(folder) if clip.split == split]
    if not clips:
        raise SidemanError(f"{folder} has no {split} clips; prepare more songs")
    if other := {clip.rate_hz for clip in clips} - {rate_hz}:
        raise SidemanError(
            f"{folder} is at {other.pop():,} Hz, the codec at {rate_hz:,}: --set rate_hz, or prepare again"
        )
    return clips


def fixed_cuts(folder: Path, clips: Sequence[Clip], count: int, frames: int) -> tuple[NDArray[np.float32], list[str]]:
    """About `count` cuts [N, frames] from the middle of clips, as many of each source, and the source of each.

    Raises SidemanError where all of them are silent.
    """
    by_source: dict[str, list[Clip]] = {}
    for clip in clips:
        by_source.setdefault(clip.source, []).append(clip)
    cuts, sources = [], []
    for source, members in sorted(by_source.items()):
        share = -(-count // len(by_source))
        for i in np.unique(np.linspace(0, len(members) - 1, min(share, len(members))).round().astype(np.int64)):
            clip = members[i]
            cut = read_frames(folder, clip, max(0, (clip.frames - frames) // 2), frames)
            if np.abs(cut).max() > SILENT:
                cuts.append(cut)
                sources.append(source)
    if not cuts:
        raise SidemanError(f"{folder}: the clips to judge by are all silent; prepare others")
    return np.stack(cuts), sources
