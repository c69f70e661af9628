"""Window: a stretch of a song, and the arrays of it that a network is shown, changed as training changes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.notes.controls import CONTROL_CLASSES, ROOT
from engines.notes.events import BAR, BAR_END, PITCH, ROLE, STEP, VELOCITIES, VELOCITY, Events
from engines.notes.fields import BAR_FIELDS, NOTE_FIELDS, PHRASE_BARS
from engines.notes.memory import BARS_BACK, NO_CANDIDATE, NO_PITCH, NO_REFERENCE
from engines.notes.roles import DRUMS, ROLE_COUNT
from engines.notes.tonality import tonality_of
from offline.notes.chain.sequences import Sequences


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a song, elements first to last, of which those from `judged` on count.

    shift: semitones; genre: whether it is told; told: bool [bars of the song, 6] density, polyphony, register, root,
    quality, and who plays (in the first row), or None
    loud:  class that velocities are made up around where they are not known (0: left so), -1: none is told
    lost:  bool [CANDIDATES] lanes of memory that say nothing
    fresh: nothing is known of what was before it, as if the song began here
    wrong: probability that a note was heard at another pitch nearby, drawn with the seed `noise`
    """

    song: int
    first: int
    last: int
    judged: int
    shift: int = 0
    genre: bool = True
    told: NDArray[np.bool_] | None = None
    loud: int = 0
    lost: NDArray[np.bool_] | None = None
    fresh: bool = False
    wrong: float = 0.0
    noise: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """A window of T elements: K bars and the notes between them; of J judged elements F are followed by a note.

    notes:      [T, NOTE_FIELDS], 0 for bars; memory: [T, MEMORY_FIELDS]; bars: [K, BAR_FIELDS], at elements bar_at [K]
    bar_of:     [T] which of the K bars an element is in, -1 for none of them
    time:       [T] sixteenths since the window began
    judged:     [J] elements whose next is judged; step: [J] what comes; candidates: [J, CANDIDATES, 4]
    followed:   [F] which of the J a note follows; comes: [F, 7] those notes; references: [F, REFERENCES, 4]
    tonality:   [F, LANES, 12] before them
    """

    notes: NDArray[np.int32]
    memory: NDArray[np.int32]
    bars: NDArray[np.int32]
    bar_at: NDArray[np.int64]
    bar_of: NDArray[np.int64]
    time: NDArray[np.float32]
    judged: NDArray[np.int64]
    step: NDArray[np.int64]
    candidates: NDArray[np.uint8]
    followed: NDArray[np.int64]
    comes: Events
    references: NDArray[np.uint8]
    tonality: NDArray[np.float32]


def seen(sequences: Sequences, window: Window) -> Seen:
    """The window's arrays."""
    base, note_base = sequences.start[window.song], sequences.note_start[window.song]
    span = slice(base + window.first, base + window.last)
    note, bar = sequences.note[span], sequences.bar[span]
    note_at, bar_at = np.flatnonzero(note >= 0), np.flatnonzero(note < 0)
    heard = _moved(sequences.events[note_base + note[note_at]].astype(np.int32), window.shift)
    if window.wrong:
        heard[:, PITCH] = _misheard(heard, window)
    heard[:, VELOCITY] = _louder(heard[:, VELOCITY], heard[:, STEP], heard[:, ROLE], window.loud)
    notes = np.zeros((len(note), NOTE_FIELDS), np.int32)
    notes[note_at] = sequences.layout.of_notes(heard)
    candidates, matched = _shifted(sequences.candidates[span], window.shift), sequences.matched[span]
    if window.lost is not None:
        candidates, matched = candidates.copy(), matched * ~window.lost[-2:]
        candidates[:, window.lost] = NO_CANDIDATE
    if window.fresh:
        candidates, matched = _begun(sequences, window, candidates, matched)
    begun = sequences.bar_time[sequences.bar_start[window.song] + bar]
    time = (begun - begun[0]).astype(np.float32)
    time[note_at] += heard[:, STEP]

    judged = np.arange(window.judged - window.first, len(note))
    following = sequences.following[span][judged]
    followed = np.flatnonzero(following >= 0)
    next_ = note_base + following[followed]
    comes = _moved(sequences.events[next_].astype(np.int32), window.shift)
    step = np.full(len(judged), BAR_END, np.int64)
    step[followed] = comes[:, STEP]
    references = _moved_references(sequences.references[next_], comes[:, STEP], comes[:, ROLE], window)
    if window.fresh and len(comes):
        references = _references_begun(sequences, window, references, next_)
    return Seen(
        notes=notes,
        memory=sequences.layout.of_memory(candidates, matched),
        bars=_bar_fields(sequences, window, bar[bar_at], heard[:, ROLE]),
        bar_at=bar_at,
        bar_of=np.cumsum(note < 0) - 1,
        time=time,
        judged=judged,
        step=step,
        candidates=candidates[judged],
        followed=followed,
        comes=comes,
        references=references,
        tonality=tonality_of(time.astype(np.float64), heard, note_at)[judged[followed]],
    )


def _bar_fields(
    sequences: Sequences, window: Window, bars: NDArray[np.int32], roles: NDArray[np.int32]
) -> NDArray[np.int32]:
    """[K, BAR_FIELDS]; what a window is not told is class 0."""
    rows = sequences.bar_start[window.song] + bars
    facts, controls = sequences.facts[rows].copy(), sequences.controls[rows].copy()
    if not window.genre:
        facts[:, 3] = 0
    if window.fresh and len(bars):
        facts[:, 4] = (bars - bars[0]) % PHRASE_BARS
    root = controls[:, ROOT]
    controls[:, ROOT] = np.where(root >= 2, (root - 2 + window.shift) % 12 + 2, root)
    seats = np.zeros((len(rows), ROLE_COUNT), np.int32)
    if window.told is None:
        controls[:] = 0
    else:
        controls *= window.told[bars - bars[0], : len(CONTROL_CLASSES)] if len(bars) else 1
        if window.told[0, -1]:
            seats[:] = 1 + (np.bincount(roles, minlength=ROLE_COUNT) > 0)
    return sequences.layout.of_bars(facts, controls, seats).reshape(-1, BAR_FIELDS)


def _moved(events: Events, shift: int) -> Events:
    """The events, which are changed, in another key."""
    if shift:
        events[:, PITCH] += np.where(events[:, ROLE] == DRUMS, 0, shift)
    return events


def _shifted(candidates: NDArray[np.uint8], shift: int) -> NDArray[np.uint8]:
    if not shift:
        return candidates
    moved = candidates.copy()
    pitched = (moved[..., 1] != DRUMS) & (moved[..., 2] < NO_PITCH)
    moved[..., 2] = np.where(pitched, np.clip(moved[..., 2].astype(np.int16) + shift, 0, 127), moved[..., 2])
    return moved


def _moved_references(
    references: NDArray[np.uint8], step: NDArray[np.int32], role: NDArray[np.int32], window: Window
) -> NDArray[np.uint8]:
    moved = references.copy()
    if window.shift:
        pitched = (role != DRUMS)[:, None] & (moved[..., 0] < NO_PITCH)
        there = moved[..., 0].astype(np.int16) + window.shift
        moved[..., 0] = np.where(pitched, np.clip(there, 0, 127), moved[..., 0])
    if window.loud:
        known = moved[..., 2] < VELOCITIES
        louder = _louder(moved[..., 2].astype(np.int32), step[:, None], role[:, None], window.loud)
        moved[..., 2] = np.where(known, louder, moved[..., 2])
    if window.lost is not None:
        moved[:, : len(BARS_BACK)][:, window.lost[: len(BARS_BACK)]] = NO_REFERENCE
    return moved


def _begun(
    sequences: Sequences, window: Window, candidates: NDArray[np.uint8], matched: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Candidates and lengths of matches without those that lie before the window."""
    span = slice(sequences.start[window.song] + window.first, sequences.start[window.song] + window.last)
    bar, at = sequences.bar[span], sequences.matched_at[span]
    before = np.concatenate([bar[:, None] - np.array(BARS_BACK) < bar[0], at < window.first], 1)
    candidates = candidates.copy()
    candidates[before] = NO_CANDIDATE
    return candidates, matched * (at >= window.first)


def _references_begun(
    sequences: Sequences, window: Window, references: NDArray[np.uint8], notes: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """References of `notes` (in the corpus) without those that lie before the window, which begins with a bar."""
    base = sequences.start[window.song]
    bar = sequences.events[notes, BAR]
    first_bar = sequences.bar[base + window.first]
    first_note = window.first - first_bar  # a bar's row stands there, as for each bar before it
    before = np.concatenate(
        [bar[:, None] - np.array(BARS_BACK) < first_bar, sequences.latest[notes][:, None] < first_note], 1
    )
    references = references.copy()
    references[before] = NO_REFERENCE
    return references


def _misheard(heard: Events, window: Window) -> NDArray[np.int32]:
    """Pitches [N] with a few wrong ones: what a model plays is not all right either, and it must find back."""
    rng = np.random.default_rng(window.noise)
    off = rng.choice([-2, -1, 1, 2], len(heard)) * ((rng.random(len(heard)) < window.wrong) & (heard[:, ROLE] != DRUMS))
    pitch: NDArray[np.int32] = np.clip(heard[:, PITCH] + off, 0, 127).astype(np.int32)
    return pitch


def _louder(
    velocity: NDArray[np.int32], step: NDArray[np.int32], role: NDArray[np.int32], loud: int
) -> NDArray[np.int32]:
    """Velocities as a window is told them: beats a little louder than what is between, drums than the rest."""
    if loud < 0:
        return np.zeros_like(velocity)
    if loud == 0:
        return velocity
    made_up = np.clip(loud + (step % 4 == 0) + (role == DRUMS), 1, VELOCITIES - 1)
    return np.where(velocity > 0, velocity, made_up).astype(np.int32)
