"""Features: what an excerpt of music is like in numbers, for comparing genres and telling them apart.

None looks at the metre, the tempo or at how loud notes are: the first two are asked of a model rather than chosen by
it, and the last tells sources apart, not genres.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.music import DRUM_OF_PITCH, STEP_TICKS, TICKS_PER_BEAT
from engines.notes.events import BAR, DURATION, DURATIONS, OFFSET, OFFSETS, PITCH, ROLE, STEP, Events
from engines.notes.harmony import QUALITIES, best_chords
from engines.notes.roles import BASS, DRUMS, ROLE_COUNT
from offline.notes.models import Song

SCALARS = ("density", "drum density", "polyphony", "duration", "range")
"""Notes a beat of all but drums, and of drums; notes of all but drums that sound at once where any does; beats that
a note is held; semitones from the lowest note to the highest."""

_STEPS_A_BEAT = TICKS_PER_BEAT // STEP_TICKS
_HELD = np.array(DURATIONS)
_HELD_EDGES = (2, 3, 4, 5, 8, 9, 16)
_LEAP_EDGES = (-12, -7, -4, -2, 0, 1, 3, 5, 8, 13)
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How much each degree belongs to a key (Krumhansl and Kessler 1982)."""


def _keys() -> NDArray[np.float64]:
    """[24, 12] profiles of the major keys of C to B and of their relative minors; a product with one correlates."""
    profiles = [np.roll(profile, root) for profile in (MAJOR, np.roll(MINOR, -3)) for root in range(12)]
    centred = [profile - profile.mean() for profile in profiles]
    return np.stack([profile / np.linalg.norm(profile) for profile in centred])


_KEYS = _keys()


def excerpts(song: Song, bars: int, most: int) -> Iterator[Song]:
    """Up to `most` stretches of `bars` bars with notes, evenly spread over a song; the whole of a shorter one."""
    whole = len(song.bars) // bars
    if whole == 0:
        yield song
        return
    for index in np.unique(np.linspace(0, whole - 1, min(most, whole)).round().astype(np.int64)):
        first = int(index) * bars
        low, high = np.searchsorted(song.events[:, BAR], (first, first + bars))
        if low < high:
            events = song.events[low:high].copy()
            events[:, BAR] -= first
            yield replace(song, events=events, bars=song.bars[first : first + bars], tokens=None)


def scalars(song: Song) -> NDArray[np.float64]:
    """SCALARS of a song [5]; 0 where there are no such notes."""
    pitched = song.events[song.events[:, ROLE] != DRUMS]
    drums = len(song.events) - len(pitched)
    if not len(pitched):
        return np.array([0.0, drums / song.beats, 0.0, 0.0, 0.0])
    sounding = _sounding(song, pitched)
    return np.array([
        len(pitched) / song.beats,
        drums / song.beats,
        sounding[sounding > 0].mean(),
        _HELD[pitched[:, DURATION]].mean() / _STEPS_A_BEAT,
        np.ptp(pitched[:, PITCH]),
    ])  # fmt: skip


def pitch_classes(song: Song) -> NDArray[np.float64]:
    """Share of the notes of each pitch class [12], the song's own key as C or A; 0 where there are none."""
    pitched = song.events[song.events[:, ROLE] != DRUMS]
    return np.roll(_chroma(pitched), -_tonic(pitched))


def vector(song: Song) -> NDArray[np.float32]:
    """What a classifier of genres sees [F]."""
    events = song.events
    drum = events[:, ROLE] == DRUMS
    pitched = events[~drum]
    share = np.bincount(events[:, ROLE], minlength=ROLE_COUNT) / max(1, len(events))
    parts = [
        scalars(song),
        share,
        share > 0,
        pitch_classes(song),
        _shares(np.searchsorted(_HELD_EDGES, _HELD[pitched[:, DURATION]], side="right"), len(_HELD_EDGES) + 1),
        _shares(pitched[:, STEP] % _STEPS_A_BEAT, _STEPS_A_BEAT),
        _shares(events[:, OFFSET], len(OFFSETS)),
        _heights(pitched),
        _leaps(pitched),
        _chords(pitched, len(song.bars)),
        _repeats(events),
        _places(pitched[pitched[:, ROLE] == BASS], len(song.bars)),
        *_kit(events[drum], len(song.bars)),
    ]
    return np.concatenate([np.asarray(part, np.float64) for part in parts]).astype(np.float32)


def _shares(classes: NDArray[np.integer], count: int) -> NDArray[np.float64]:
    return np.bincount(classes, minlength=count) / max(1, len(classes))


def _sounding(song: Song, pitched: Events) -> NDArray[np.int64]:
    """Notes that sound at each sixteenth of the song."""
    starts = np.append(0, np.cumsum(song.bars[:, 0]))
    begin = starts[pitched[:, BAR]] + pitched[:, STEP]
    end = np.minimum(begin + _HELD[pitched[:, DURATION]], starts[-1])
    change = np.bincount(begin, minlength=starts[-1] + 1) - np.bincount(end, minlength=starts[-1] + 1)
    return np.cumsum(change)[:-1]


def _chroma(pitched: Events) -> NDArray[np.float64]:
    return _shares(pitched[:, PITCH] % 12, 12)


def _tonic(pitched: Events) -> int:
    """Pitch class of the key's tonic (of a minor key's relative major) by correlation with the key profiles."""
    held = np.bincount(pitched[:, PITCH] % 12, _HELD[pitched[:, DURATION]], minlength=12)
    if not held.any():
        return 0
    return int((_KEYS @ held).reshape(2, 12).max(0).argmax())


def _heights(pitched: Events) -> NDArray[np.float64]:
    """Mean pitch of all, of the bass, and the lowest and highest tenth."""
    if not len(pitched):
        return np.zeros(4)
    bass = pitched[pitched[:, ROLE] == BASS, PITCH]
    low, high = np.quantile(pitched[:, PITCH], (0.1, 0.9))
    return np.array([pitched[:, PITCH].mean(), bass.mean() if len(bass) else 0.0, low, high])


def _leaps(pitched: Events) -> NDArray[np.float64]:
    """How the highest note of each moment moves to the next, in classes from falling to rising."""
    if not len(pitched):
        return np.zeros(len(_LEAP_EDGES) + 1)
    moment = pitched[:, BAR].astype(np.int64) * 64 + pitched[:, STEP]
    first = np.flatnonzero(np.diff(moment, prepend=-1))
    top = np.maximum.reduceat(pitched[:, PITCH], first)
    return _shares(np.searchsorted(_LEAP_EDGES, np.diff(top), side="right"), len(_LEAP_EDGES) + 1)


def _chords(pitched: Events, bars: int) -> NDArray[np.float64]:
    """Share of bars of each kind of chord, and of bars whose root is the last one's."""
    chroma = np.bincount(
        pitched[:, BAR].astype(np.int64) * 12 + pitched[:, PITCH] % 12, _HELD[pitched[:, DURATION]], minlength=12 * bars
    ).reshape(bars, 12)
    lowest = np.full(bars, 128)
    np.minimum.at(lowest, pitched[:, BAR], pitched[:, PITCH])
    root, quality = best_chords(chroma.astype(np.float64), np.where(lowest < 128, lowest % 12, -1))
    same = (root[1:] == root[:-1]).mean() if bars > 1 else 0.0
    return np.append(_shares(quality + 1, len(QUALITIES) + 1), same)


def _repeats(events: Events) -> NDArray[np.float64]:
    """Share of notes that stood in the same place one, two and four bars before."""
    place = (events[:, STEP].astype(np.int64) * ROLE_COUNT + events[:, ROLE]) * 128 + events[:, PITCH]
    span = 64 * ROLE_COUNT * 128
    whole = events[:, BAR].astype(np.int64) * span + place
    return np.array([np.isin(whole - back * span, whole).sum() / max(1, len(whole)) for back in (1, 2, 4)])


def _places(rows: Events, bars: int) -> NDArray[np.float64]:
    """Notes a bar on each of the first sixteen sixteenths."""
    return np.bincount(rows[:, STEP] % 16, minlength=16) / bars


def _kit(drums: Events, bars: int) -> list[NDArray[np.float64]]:
    """Hits a bar by place, of kick, snare and cymbals; and of everything else that is hit."""
    group_of = np.full(128, 3)
    for pitch, drum in DRUM_OF_PITCH.items():
        group_of[pitch] = (0, 1, 2, 2, 3, 3, 3, 3, 2)[drum]
    group = group_of[drums[:, PITCH]]
    return [_places(drums[group == each], bars) for each in range(3)] + [np.array([(group == 3).sum() / bars])]
