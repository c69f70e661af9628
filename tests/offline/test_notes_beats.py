"""Beats by ear, on songs made up here: a bass note a bar, chords on its beats, and a tune over them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.music import STEP_TICKS, Meter
from engines.notes.events import OFFSET, ON_GRID
from offline.notes.beats import is_stated, on_beats, on_some_grid
from offline.notes.pieces import piece_of
from offline.notes.reading import Reading
from offline.notes.tracking import beat_times

BEAT = 960


def song(steps: int = 16, bars: int = 40, seed: int = 1, grid: int = STEP_TICKS) -> Reading:
    """In ticks from 0, `steps` sixteenths a bar; grid: ticks of a place of the tune."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int, int]] = []
    places = steps * STEP_TICKS // grid
    likely = np.where(np.arange(places) % max(1, BEAT // grid) == 0, 0.9, 0.3)
    for bar in range(bars):
        start, root = bar * steps * STEP_TICKS, int(rng.choice([0, 5, 7, 9]))
        rows.append((start, 36 + root, 90, steps * STEP_TICKS))
        for beat in range(steps // 4):
            voices = (0, 4, 7) if beat == 0 else (4, 7)
            rows += [(start + beat * BEAT, 60 + (root + up) % 12, 70, BEAT) for up in voices]
        for place in np.flatnonzero(rng.random(places) < likely):
            pitch = 72 + (root + int(rng.choice([0, 2, 4, 7, 9]))) % 12
            rows.append((start + int(place) * grid, pitch, int(rng.integers(60, 80)), grid))
    table = np.array(sorted(rows), np.int64)
    meters = ((0, Meter(steps // 4, 4)),)
    zeros = np.zeros(len(table), np.int64)
    return Reading(
        table[:, 0], zeros, zeros > 0, table[:, 1], table[:, 2], table[:, 3], meters, ((0, 500_000),), True
    )  # fmt: skip


def moved(reading: Reading, by: int | NDArray[np.int64], metre: Meter) -> Reading:
    return replace(reading, ticks=reading.ticks + by, meters=((0, metre),))


def heard_bars(reading: Reading) -> tuple[Meter | None, float]:
    """The metre that holds longest, and the share of its bars that begin where a bass note does."""
    ends = [tick for tick, _ in reading.meters[1:]] + [int(reading.ticks[-1])]
    spans = [(end - start, start, end, metre) for (start, metre), end in zip(reading.meters, ends, strict=True)]
    _, start, end, metre = max(spans, key=lambda span: span[0])
    basses = set(((reading.ticks[reading.pitch < 48] + STEP_TICKS // 2) // STEP_TICKS * STEP_TICKS).tolist())
    begun = range(start, end, metre.bar_ticks if metre else 1)
    return metre, sum(tick in basses for tick in begun) / len(begun)


def test_a_song_on_its_own_grid_and_in_its_own_bars_is_left_alone() -> None:
    for reading in (song(), song(12), song(grid=BEAT // 3)):
        same, found = on_beats(reading)
        assert same is reading and not found


@pytest.mark.parametrize("by", [97, 1200, 3 * STEP_TICKS + 100, 2 * BEAT + 130])
@pytest.mark.parametrize("steps", [16, 12])
def test_a_grid_that_begins_elsewhere_is_found_with_its_bars(by: int, steps: int) -> None:
    reading, found = on_beats(moved(song(steps), by, Meter(1, 4)))
    assert found
    events = piece_of(reading, True).events
    assert (events[:, OFFSET] == ON_GRID).all()
    metre, right = heard_bars(reading)
    assert metre == Meter(steps // 4, 4) and right > 0.95


def test_a_grid_a_little_late_is_moved_to_its_place() -> None:
    reading, found = on_beats(moved(song(), 30, Meter(1, 4)))
    assert found and (piece_of(reading).events[:, OFFSET] == ON_GRID).all()


def test_bars_that_the_ear_contradicts_are_not_believed() -> None:
    reading, found = on_beats(moved(song(), 5 * STEP_TICKS, Meter(4, 4)))
    assert found and heard_bars(reading)[1] > 0.95


def test_a_grid_that_jumps_is_followed() -> None:
    whole = song()
    half = whole.ticks >= 20 * 4 * BEAT
    reading, _ = on_beats(moved(whole, np.where(half, 100 + 130, 100), Meter(1, 4)))
    assert (piece_of(reading).events[:, OFFSET] == ON_GRID).mean() > 0.98


def played(reading: Reading, seed: int = 0) -> tuple[Reading, NDArray[np.float64]]:
    """The song as a person plays it: a tempo that breathes by a tenth, 10 ms of jitter; seconds of its beats."""
    rng = np.random.default_rng(seed)
    end = int(reading.ticks[-1]) + 8 * BEAT
    at = np.arange(0, end, BEAT)
    speed = np.exp(0.1 * np.sin(np.arange(len(at)) / 9.0))
    beats = 0.3 + np.append(0.0, np.cumsum(0.5 * speed))[:-1]
    seconds = np.interp(reading.ticks, at, beats) + rng.normal(0, 0.01, len(reading.ticks))
    ends = np.interp(reading.ticks + reading.length, at, beats)
    ticks = np.rint(seconds * 2 * BEAT).astype(np.int64)
    length = np.maximum(np.rint(ends * 2 * BEAT).astype(np.int64) - ticks, 1)
    order = np.argsort(ticks, kind="stable")
    kept = beats[at <= reading.ticks[-1]]
    pitch, velocity = reading.pitch[order], reading.velocity[order]
    return replace(reading, ticks=ticks[order], pitch=pitch, velocity=velocity, length=length[order]), kept


def test_beats_of_a_played_song_are_where_the_player_felt_them() -> None:
    reading, felt = played(song())
    assert not is_stated(reading.ticks) and not on_some_grid(reading.ticks)
    found = beat_times(reading)
    near = np.abs(felt[:, None] - found[None, :]).min(1) < 0.07
    assert near.mean() > 0.95 and abs(len(found) - len(felt)) <= 3


def test_a_played_song_comes_back_on_beats() -> None:
    reading, found = on_beats(played(song())[0])
    assert found
    off = np.abs((reading.ticks + STEP_TICKS // 2) % STEP_TICKS - STEP_TICKS // 2)
    assert (off <= 60).mean() > 0.9
    assert 100 <= np.median([60e6 / us for _, us in reading.tempi]) <= 140


@pytest.mark.parametrize("ticks", [[], [5], [0, 7_000_000_000]])
def test_next_to_nothing_is_read_too(ticks: list[int]) -> None:
    count = len(ticks)
    full = song(bars=1)
    few = Reading(
        np.array(ticks, np.int64), full.program[:count], full.is_drum[:count], full.pitch[:count],
        full.velocity[:count], full.length[:count], ((0, Meter(1, 4)),), ((0, 500_000),), True,
    )  # fmt: skip
    reading, _ = on_beats(few)
    assert len(reading.ticks) == count
