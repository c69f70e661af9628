"""Likeness: whether what a model plays after a phrase that it heard is like that phrase.

A phrase is four bars of one seat of a song that was held out. It is played to a model, and what the model plays next
is compared with it: the shares of the twelve pitch classes, and of the sixteen places of the bar. Chance is how like
the same answers are to phrases of other songs of the genre. Beside it stand the same model with the same seed that
heard nothing, and what the song itself goes on with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.music import STEP_TICKS, Note
from engines.notes.events import BAR, DURATION, DURATIONS, PITCH, ROLE, STEP, Events, notes_of
from engines.notes.parameters import HEARD_CHORD
from engines.notes.roles import DRUMS
from engines.randomness import generator
from offline.bootstrap import interval
from offline.csvfile import Cell
from offline.notes.models import Playing, Prompt, Song
from offline.notes.playing import plain_bars

PHRASE_BARS = 4
ANSWER_BARS = 4
PHRASE_NOTES = 12
"""A phrase has at least so many notes."""
MEASURES = ("pitch classes", "rhythm")
BAR_STEPS = 16
BAR_TICKS = BAR_STEPS * STEP_TICKS

_HELD = np.array(DURATIONS, np.float64)


@dataclass(frozen=True, slots=True)
class Heard:
    """A phrase, and what its song goes on with: events in bars from 0, all of 4/4.

    following: of the phrase's own seat; others: of all others but drums
    tempo_bpm: of its first bar
    """

    phrase: Events
    following: Events
    others: Events
    genre: str
    group: str
    tempo_bpm: int

    @property
    def notes(self) -> tuple[Note, ...]:
        """The phrase in ticks before the bar that follows it, so negative."""
        span = PHRASE_BARS * BAR_TICKS
        return tuple(
            Note(note.tick + bar * BAR_TICKS - span, note.pitch, note.velocity, note.length, note.part)
            for bar in range(PHRASE_BARS)
            for note in notes_of(self.phrase[self.phrase[:, BAR] == bar])
        )


def phrases(songs: Sequence[Song], most: int, seed: int) -> list[Heard]:
    """One phrase of each of up to `most` songs that have one: of the highest seat of its bars, from a random place."""
    random = generator(seed, 0)
    found: list[Heard] = []
    for index in random.permutation(len(songs)):
        if len(found) == most:
            break
        heard = _phrase(songs[index], random)
        if heard is not None:
            found.append(heard)
    return found


def _phrase(song: Song, random: np.random.Generator) -> Heard | None:
    whole = np.append(0, np.cumsum(song.bars[:, 0] != BAR_STEPS))
    span = PHRASE_BARS + ANSWER_BARS
    places = [first for first in range(len(song.bars) - span + 1) if whole[first + span] == whole[first]]
    for first in random.permutation(places)[:8].tolist():
        low, middle, high = np.searchsorted(song.events[:, BAR], (first, first + PHRASE_BARS, first + span))
        here, after = song.events[low:middle], song.events[middle:high]
        roles = [role for role in np.unique(here[:, ROLE]).tolist() if role != DRUMS]
        lines = [here[here[:, ROLE] == role] for role in roles]
        lines = [line for line in lines if len(line) >= PHRASE_NOTES and (after[:, ROLE] == line[0, ROLE]).any()]
        if lines:
            phrase, following = max(lines, key=_height).copy(), after.copy()
            phrase[:, BAR] -= first
            following[:, BAR] -= first + PHRASE_BARS
            own = following[:, ROLE] == phrase[0, ROLE]
            others = following[~own & (following[:, ROLE] != DRUMS)]
            return Heard(phrase, following[own], others, song.genre, song.group, int(song.bars[first, 2]))
    return None


def _height(events: Events) -> float:
    return float(events[:, PITCH].mean())


def profiles(events: Events) -> NDArray[np.float64] | None:
    """Of all but drums: the time of each pitch class [12], the notes on each place of the bar [16]; None: no notes."""
    pitched = events[events[:, ROLE] != DRUMS]
    if not len(pitched):
        return None
    pitches = np.bincount(pitched[:, PITCH] % 12, _HELD[pitched[:, DURATION]], minlength=12)
    places = np.bincount(pitched[:, STEP] % BAR_STEPS, minlength=BAR_STEPS)
    return np.concatenate([pitches / np.linalg.norm(pitches), places / np.linalg.norm(places)])


def likeness(answers: Sequence[Events], heard: Sequence[Events]) -> NDArray[np.float64]:
    """[2, A, H] cosine of the profiles of each answer and each phrase, by MEASURES; nan for an answer of no notes."""
    silent = np.full(12 + BAR_STEPS, np.nan)
    one, other = (
        np.stack([silent if found is None else found for found in map(profiles, each)]) for each in (answers, heard)
    )
    return np.stack([one[:, :12] @ other[:, :12].T, one[:, 12:] @ other[:, 12:].T])


def answers(player: Playing, heard: Sequence[Heard], seed: int, follow: str | None, chord: str = "") -> list[Events]:
    """What a player plays after each phrase; follow: the way of following it, or None: it hears nothing."""
    played = []
    for number, one in enumerate(heard):
        genre = one.genre if one.genre in player.genres else ""
        prompt = Prompt(genre, plain_bars(ANSWER_BARS, one.tempo_bpm), seed * 100_003 + number)
        if follow is not None:
            prompt = replace(prompt, heard=one.notes, follow=follow, chord=chord)
        played.append(player.play(prompt)[0])
    return played


def likeness_rows(name: str, player: Playing, heard: Sequence[Heard], seed: int) -> list[dict[str, Cell]]:
    """Rows of likeness.csv: for each way of following and each of MEASURES, how like the answers are to the phrases.

    Only songs that other seats play in too are accompanied; what those really play is beside it.
    likeness: to the phrase that was heard; shuffled: to those of the other songs of its genre, if there are any, else
    of all; gain: their difference, of which low and high are the 95 % interval over phrases; changed: share of the
    answers that are others than without hearing.
    """
    bands = [one for one in heard if len(one.others)]
    rows: list[dict[str, Cell]] = []

    def add(
        after: str, those: Sequence[Heard], given: Sequence[Events], unheard: Sequence[Events] | None = None
    ) -> None:
        pairs = zip(given, unheard or given, strict=True)
        changed = float(np.mean([not np.array_equal(one, other) for one, other in pairs])) if unheard else None
        rows.extend(
            {"model": name, "after": after, "measure": measure, **cells, "changed": changed}
            for measure, cells in zip(MEASURES, compared(given, those, seed), strict=True)
        )

    for follow, those, truth in (
        ("continue", heard, [one.following for one in heard]),
        ("accompany", bands, [one.others for one in bands]),
    ):
        if those:
            unheard = answers(player, those, seed, None)
            add(follow, those, answers(player, those, seed, follow), unheard)
            if follow == "accompany":
                by_chord = answers(player, those, seed, follow, HEARD_CHORD)
                add("accompany, the chord heard", those, by_chord, unheard)
            add(f"{follow}: had it heard nothing", those, unheard)
            add(f"{follow}: the song itself", those, truth)
    return rows


def compared(given: Sequence[Events], heard: Sequence[Heard], seed: int) -> list[dict[str, Cell]]:
    """Of each of MEASURES: phrases, likeness, shuffled, gain, low, high; answers without notes are left out."""
    tables = likeness(given, [one.phrase for one in heard])
    genre = np.array([one.genre for one in heard])
    group = np.array([one.group for one in heard])
    other = group[:, None] != group[None, :]
    alike = other & (genre[:, None] == genre[None, :])
    others = np.where(alike.any(1, keepdims=True), alike, other)
    cells: list[dict[str, Cell]] = []
    for table in tables:
        sounding = np.flatnonzero(~np.isnan(table).any(1) & others.any(1))
        if not len(sounding):
            cells.append({"phrases": 0})
            continue
        own = table[sounding, sounding]
        chance = np.array([table[i, others[i]].mean() for i in sounding])
        low, high = interval(own - chance, np.ones(len(sounding), np.int64), seed)
        cells.append({
            "phrases": len(sounding), "likeness": float(own.mean()), "shuffled": float(chance.mean()),
            "gain": float((own - chance).mean()), "low": low, "high": high,
        })  # fmt: skip
    return cells
