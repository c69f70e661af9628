"""Sequences: pieces as the chain model reads them, element by element, with what memory says at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.notes.controls import TEMPO_EDGES, band, controls_of
from engines.notes.events import BAR, ROLE, Bars, Events
from engines.notes.fields import DENOMINATORS, PHRASE_BARS, Layout
from engines.notes.memory import sequence_of
from engines.notes.roles import DRUMS

THICK = 3
"""Roles from which on a piece is also heard without some of them."""


@dataclass(frozen=True, slots=True)
class Song:
    """One piece: its music, and what is said of it."""

    events: Events
    bars: Bars
    genre: int
    source: int
    velocity_known: bool
    performed: bool


class Sequences:
    """Songs, and for each element what memory says, in flat arrays."""

    def __init__(self, songs: Sequence[Song], layout: Layout) -> None:
        self.songs, self.layout = songs, layout
        notes = [len(song.events) for song in songs]
        bars = [len(song.bars) for song in songs]
        self.note_start = np.concatenate([[0], np.cumsum(notes)]).astype(np.int64)
        self.bar_start = np.concatenate([[0], np.cumsum(bars)]).astype(np.int64)
        self.start = self.note_start + self.bar_start
        made = [sequence_of(song.events, len(song.bars)) for song in songs]

        def joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate(parts) if parts else np.zeros(0, np.int32)

        self.note = joined([each.note for each in made])  # within the song, -1 for a bar
        self.bar = joined([each.bar for each in made])
        self.following = joined([each.following for each in made])
        self.candidates = joined([each.candidates for each in made])
        self.matched = joined([each.matched for each in made])
        self.matched_at = joined([each.matched_at for each in made])  # within the song
        self.references = joined([each.references for each in made])
        self.latest = joined([each.latest for each in made])  # within the song
        self.events = joined([song.events.astype(np.int16) for song in songs])
        self.controls = joined([controls_of(song.events, song.bars[:, 0]) for song in songs])
        self.facts = joined([bar_facts(song) for song in songs])
        self.bar_time = joined([np.cumsum(song.bars[:, 0]) - song.bars[:, 0] for song in songs])
        self.source = np.array([song.source for song in songs], np.int64)
        self.size = np.diff(self.start)

    def bars_of(self, song: int) -> NDArray[np.int64]:
        """Places, within the song, of its bars' rows."""
        return np.flatnonzero(self.note[self.start[song] : self.start[song + 1]] < 0)


def bar_facts(song: Song) -> NDArray[np.int32]:
    """[B, 5] of a song's bars, as Layout.of_bars takes them."""
    steps, denominator, tempo = song.bars.T
    known = [DENOMINATORS.index(int(d)) + 1 if int(d) in DENOMINATORS else 0 for d in denominator]
    return np.stack(
        [
            steps,
            np.array(known, np.int64),
            band(tempo.astype(np.float64), TEMPO_EDGES),
            np.full(len(steps), song.genre),
            np.arange(len(steps)) % PHRASE_BARS,
        ],
        1,
    ).astype(np.int32)


def thinned(song: Song, rng: np.random.Generator) -> Song | None:
    """The song without some of its roles, drums first of all; None where it has too few."""
    roles = np.unique(song.events[:, ROLE])
    if len(roles) < THICK:
        return None
    gone = rng.random(len(roles)) < np.where(roles == DRUMS, 0.7, 0.3)
    if not gone.any() or gone.all():
        gone = roles == roles[0]
    events = song.events[~np.isin(song.events[:, ROLE], roles[gone])]
    used = np.unique(events[:, BAR])
    bars = song.bars[used[0] : used[-1] + 1]
    events = events.copy()
    events[:, BAR] -= used[0]
    return Song(events, bars, song.genre, song.source, song.velocity_known, song.performed)
