"""From a drum track to pieces on the grid: every hit on its nearest sixteenth, with how far off it was.

A file gives a piece for each stretch of one metre. Bars before the first hit and after the last are cut; so is a last
bar that holds only a hit on its first step, which ends a take and is no bar of playing; a rest of more than
MAX_REST_BARS bars divides a piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.drums.bar import INSTRUMENTS, masks_of
from engines.music import STEP_TICKS, TICKS_PER_BEAT, Meter
from offline.data.labels import Label
from offline.data.midi import DrumTrack
from offline.drums.dataset import Piece

MAX_REST_BARS = 4
MIN_BPM, MAX_BPM = 20.0, 999.0


@dataclass(slots=True)
class Tally:
    """What happened to the hits and bars of the files so far."""

    hits: int = 0
    doubled_hits: int = 0
    hits_in_cut_bars: int = 0
    hits_in_odd_meters: int = 0
    other_notes: int = 0
    ending_bars: int = 0
    rest_bars: int = 0
    odd_meters: list[str] = field(default_factory=list)


def quantise(track: DrumTrack, label: Label, tally: Tally) -> list[Piece]:
    """The pieces of a track, in order of time. Counts into `tally`.

    Two hits of an instrument on one step keep the louder. A hit up to half a step before a piece's beginning belongs
    to its first step, with a negative offset.
    """
    tally.other_notes += track.other_notes
    pieces: list[Piece] = []
    for start, end, meter in _stretches(track):
        if meter is None or meter.steps == 0:
            lost = len(track.ticks[_between(track, start, end)])
            tally.hits_in_odd_meters += lost
            tally.odd_meters += [label.path] * (lost > 0)
            continue
        grid = _grid(track, start, end, meter, tally)
        if grid is None:
            continue
        velocity, offset = grid
        played = (velocity > 0).reshape(-1, meter.steps, INSTRUMENTS)
        for first, last in _runs(played, tally):
            span = slice(first * meter.steps, last * meter.steps)
            bpm = _bpm(track, start + first * meter.bar_ticks, start + last * meter.bar_ticks, label)
            piece = Piece(
                masks_of(velocity[span] > 0), velocity[span], offset[span], meter, bpm,
                label.fill, label.style, label.group, label.path, label.source, label.licence, label.nc,
            )  # fmt: skip
            pieces.append(piece)
    return pieces


def _stretches(track: DrumTrack) -> Iterator[tuple[int, int | None, Meter | None]]:
    """Start tick, end tick (None: open) and metre of each stretch; a metre restated on a bar line goes on."""
    stretches: list[tuple[int, Meter | None]] = []
    for tick, meter in track.meters:
        before, current = stretches[-1] if stretches else (0, None)
        goes_on = meter is not None and meter == current and (tick - before) % meter.bar_ticks == 0
        if not goes_on:
            stretches.append((tick, meter))
    ends: list[int | None] = [tick for tick, _ in stretches[1:]]
    for (start, meter), end in zip(stretches, [*ends, None], strict=True):
        yield start, end, meter


def _grid(
    track: DrumTrack, start: int, end: int | None, meter: Meter, tally: Tally
) -> tuple[NDArray[np.uint8], NDArray[np.int16]] | None:
    """Velocity and offset [steps, 9] of a stretch in whole bars, or None when it has no hits."""
    half = STEP_TICKS // 2
    inside = _between(track, start - half, None if end is None else end - half)
    ticks = track.ticks[inside] - start
    if not len(ticks):
        return None
    step = (ticks + half) // STEP_TICKS
    offset = ticks - step * STEP_TICKS
    instrument, loudness = track.instrument[inside], track.velocity[inside]
    bars = int(step.max()) // meter.steps + 1
    if end is not None:
        bars = min(bars, (end - start) // meter.bar_ticks)
    kept = step < bars * meter.steps
    tally.hits += len(step)
    tally.hits_in_cut_bars += int((~kept).sum())
    if not kept.any():
        return None
    # The louder is written last and so stays; equal ones keep the earlier.
    order = np.lexsort((-ticks, loudness))
    order = order[kept[order]]
    velocity_grid = np.zeros((bars * meter.steps, INSTRUMENTS), np.uint8)
    offset_grid = np.zeros((bars * meter.steps, INSTRUMENTS), np.int16)
    velocity_grid[step[order], instrument[order]] = loudness[order]
    offset_grid[step[order], instrument[order]] = offset[order]
    tally.doubled_hits += len(order) - int((velocity_grid > 0).sum())
    return velocity_grid, offset_grid


def _between(track: DrumTrack, start: int, end: int | None) -> slice:
    """The hits from one tick up to another, None for the last."""
    first = int(np.searchsorted(track.ticks, start))
    return slice(first, len(track.ticks) if end is None else int(np.searchsorted(track.ticks, end)))


def _runs(played: NDArray[np.bool_], tally: Tally) -> Iterator[tuple[int, int]]:
    """First bar and bar after the last of each run without a long rest; played: [bars, steps, 9]."""
    sounding = np.flatnonzero(played.any(axis=(1, 2)))
    breaks = np.flatnonzero(np.diff(sounding) > MAX_REST_BARS + 1) + 1
    runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(sounding, breaks)]
    tally.rest_bars += len(played) - sum(last - first for first, last in runs)
    first, last = runs[-1]
    if last - first > 1 and not played[last - 1, 1:].any():
        tally.ending_bars += 1
        runs[-1] = (first, int(sounding[-2]) + 1)
    yield from runs


def _bpm(track: DrumTrack, start: int, end: int, label: Label) -> float:
    if not track.has_tempo and label.bpm is not None:
        return label.bpm
    seconds = track.seconds(end) - track.seconds(start)
    bpm = 60 * (end - start) / TICKS_PER_BEAT / seconds if seconds > 0 else MAX_BPM
    return min(max(bpm, MIN_BPM), MAX_BPM)
