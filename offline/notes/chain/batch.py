"""Batch: windows side by side, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.notes.events import DURATION, OFFSET, PITCH, ROLE, STEP, VELOCITY
from offline.notes.chain.sequences import Sequences
from offline.notes.chain.window import Window, seen

if TYPE_CHECKING:
    import torch

    from offline.notes.chain.network import Choice


@dataclass(frozen=True, slots=True)
class Batch:
    """B windows of T elements, padded at their ends.

    notes:   int64 [B, T, NOTE_FIELDS], 0 for bars; memory: int64 [B, T, MEMORY_FIELDS]
    bars:    int64 [K, BAR_FIELDS] of the bars among them, at flat places bar_at [K] of B * T
    within:  int64 [K, BAR_FIELDS] what each note of them is told; bar_of: int64 [B, T] which of them, -1 for none
    index, time: [B, T] number of the element, and sixteenths since the window began
    scored:  int64 [M] flat places whose next is judged; step: [M] what comes; candidates: [M, CANDIDATES, 4]
    followed: int64 [N] which of the M a note follows; choice: those N notes, without `hidden`
    velocity, offset: [N]; velocity_weight, offset_weight: [N]; source: [M] of the song
    """

    notes: torch.Tensor
    memory: torch.Tensor
    bars: torch.Tensor
    bar_at: torch.Tensor
    within: torch.Tensor
    bar_of: torch.Tensor
    index: torch.Tensor
    time: torch.Tensor
    scored: torch.Tensor
    step: torch.Tensor
    candidates: torch.Tensor
    followed: torch.Tensor
    choice: Choice
    velocity: torch.Tensor
    offset: torch.Tensor
    velocity_weight: torch.Tensor
    offset_weight: torch.Tensor
    source: NDArray[np.int64]


def batch_of(sequences: Sequences, windows: Sequence[Window], offset_weight: float = 1.0) -> Batch:
    """The windows as tensors on the CPU; offset_weight: of offsets in songs whose beats were found by ear."""
    import torch

    from offline.notes.chain.network import Choice

    parts = [seen(sequences, window) for window in windows]
    songs = [sequences.songs[window.song] for window in windows]
    longest = max(len(part.notes) for part in parts)
    before = np.cumsum([0, *(len(part.judged) for part in parts)])
    layout = sequences.layout
    bars_before = np.cumsum([0, *(len(part.bars) for part in parts)])

    def tensor(array: NDArray[Any]) -> torch.Tensor:
        wide = array.astype(np.int64) if array.dtype.kind in "iu" else array
        return torch.from_numpy(np.ascontiguousarray(wide))

    def padded(arrays: list[NDArray[Any]], nothing: int = 0) -> torch.Tensor:
        whole = np.full((len(arrays), longest, *arrays[0].shape[1:]), nothing, arrays[0].dtype)
        for row, array in zip(whole, arrays, strict=True):
            row[: len(array)] = array
        return tensor(whole)

    def joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(arrays)

    followed = joined([part.followed + first for part, first in zip(parts, before, strict=False)])
    candidates, comes = joined([part.candidates for part in parts]), joined([part.comes for part in parts])
    references = joined([part.references for part in parts])
    counts = [len(part.comes) for part in parts]
    known = np.repeat([song.velocity_known for song in songs], counts) & (comes[:, VELOCITY] > 0)
    placed = np.repeat([offset_weight if song.performed else 1.0 for song in songs], counts)
    choice = Choice(
        hidden=torch.zeros(0),
        candidates=tensor(candidates[followed]),
        references=tensor(references),
        reference_fields=tensor(layout.of_references(references, comes[:, ROLE])),
        tonality=tensor(joined([part.tonality for part in parts])),
        note_fields=tensor(layout.of_notes(comes)),
        step=tensor(comes[:, STEP]),
        role=tensor(comes[:, ROLE]),
        pitch=tensor(comes[:, PITCH]),
        duration=tensor(comes[:, DURATION]),
    )
    return Batch(
        notes=padded([part.notes for part in parts]),
        memory=padded([part.memory for part in parts]),
        bars=tensor(joined([part.bars for part in parts])),
        within=tensor(layout.within(joined([part.bars for part in parts]))),
        bar_of=padded([np.where(p.bar_of < 0, -1, p.bar_of + k) for p, k in zip(parts, bars_before, strict=False)], -1),
        bar_at=tensor(joined([part.bar_at + i * longest for i, part in enumerate(parts)])),
        index=torch.arange(longest).expand(len(parts), longest),
        time=padded([part.time for part in parts]),
        scored=tensor(joined([part.judged + i * longest for i, part in enumerate(parts)])),
        step=tensor(joined([part.step for part in parts])),
        candidates=tensor(candidates),
        followed=tensor(followed),
        choice=choice,
        velocity=tensor(comes[:, VELOCITY]),
        offset=tensor(comes[:, OFFSET]),
        velocity_weight=tensor(known.astype(np.float32)),
        offset_weight=tensor(placed.astype(np.float32)),
        source=np.repeat([song.source for song in songs], np.diff(before)),
    )


def on(batch: Batch, device: Any) -> Batch:
    """The batch on a device."""
    from dataclasses import fields, replace

    import torch

    if str(device) == "cpu":
        return batch

    def moved(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(device, non_blocking=True)
        return value

    choice = replace(batch.choice, **{f.name: moved(getattr(batch.choice, f.name)) for f in fields(batch.choice)})
    values = {f.name: moved(getattr(batch, f.name)) for f in fields(batch) if f.name != "choice"}
    return Batch(choice=choice, **values)
