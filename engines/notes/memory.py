"""Memory: what stood at the same place before, looked up instead of learned.

Music repeats itself: at each step the model is shown what followed at this place one, two and four bars ago, and what
followed the last time that the latest notes were heard, as they were and transposed; and once it has chosen when and
who, what that role played there. It is for pitched music what the drum model's memory is (docs/MODELS.md), and it
reaches back as far as the song does, where attention sees its window.

A sequence is a piece as the model reads it: each bar's own row, then its notes. An *element* is either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.notes.events import (
    BAR,
    BAR_END,
    DURATION,
    DURATIONS,
    OFFSET,
    OFFSETS,
    PITCH,
    ROLE,
    STEP,
    VELOCITIES,
    VELOCITY,
    Events,
)
from engines.notes.roles import DRUMS, ROLE_COUNT

BARS_BACK = (1, 2, 4)
CANDIDATES = len(BARS_BACK) + 2
"""What may come next: as in each of BARS_BACK, as after the longest match, and after the longest match of intervals."""
REFERENCES = len(BARS_BACK) + 1
"""What a role played at a step: in each of BARS_BACK, and its latest note."""

NO_STEP, NO_ROLE, NO_PITCH, NO_DURATION = BAR_END + 1, ROLE_COUNT, 128, len(DURATIONS)
NO_CANDIDATE = (NO_STEP, NO_ROLE, NO_PITCH, NO_DURATION)
END_CANDIDATE = (BAR_END, NO_ROLE, NO_PITCH, NO_DURATION)
NO_REFERENCE = (NO_PITCH, NO_DURATION, VELOCITIES, len(OFFSETS))
"""Pitch, duration, velocity, offset of a reference that is not there."""

MATCH_LENGTHS = (2, 4, 8, 16)
"""Elements that a match may have; class 0 of a match's length is none, 1 the shortest."""

_BASE = np.uint64(0x9E3779B97F4A7C15)
_BAR_SPAN = 1 << 20
"""More than any key of a place in a bar."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A piece as the model reads it, with what memory says at each element; S = B + N elements.

    note:       int32 [S] index of the element's event, -1 for a bar's row
    bar:        int32 [S]
    following:  int32 [S] index of the event that comes next in this bar, -1 where the bar ends
    candidates: uint8 [S, CANDIDATES, 4] step, role, pitch, duration of what may come next
    matched:    uint8 [S, 2] length of the two matches, classes of MATCH_LENGTHS
    matched_at: int32 [S, 2] the element that each match ends with, -1 for none
    references: uint8 [N, REFERENCES, 4] pitch, duration, velocity, offset of what an event's role played before
    latest:     int32 [N] the event that is the last of the references, -1 for none
    """

    note: NDArray[np.int32]
    bar: NDArray[np.int32]
    following: NDArray[np.int32]
    candidates: NDArray[np.uint8]
    matched: NDArray[np.uint8]
    matched_at: NDArray[np.int32]
    references: NDArray[np.uint8]
    latest: NDArray[np.int32]


def sequence_of(events: Events, bars: int) -> Sequence:
    """The sequence of a piece of `bars` bars."""
    count = len(events)
    bar_at = np.arange(bars) + np.searchsorted(events[:, BAR], np.arange(bars))
    note_at = np.arange(count) + events[:, BAR] + 1
    note = np.full(bars + count, -1, np.int32)
    note[note_at] = np.arange(count)
    bar = np.zeros(bars + count, np.int32)
    bar[bar_at], bar[note_at] = np.arange(bars), events[:, BAR]
    following = np.append(note[1:], -1).astype(np.int32)

    latest = _latest_by_role(events, note)
    rank = _rank(events)
    candidates = np.empty((bars + count, CANDIDATES, 4), np.uint8)
    candidates[:] = NO_CANDIDATE
    matched, matched_at = np.zeros((bars + count, 2), np.uint8), np.full((bars + count, 2), -1, np.int32)
    for i, back in enumerate(BARS_BACK):
        candidates[:, i] = _same_place(events, note, bar, back)
    for i, tokens in enumerate(_tokens(events, note, latest)):
        before, matched[:, i] = _longest_match(tokens)
        matched_at[:, i] = before
        candidates[:, len(BARS_BACK) + i] = _continued(events, note, latest, before, transposed=i == 1)
    before = latest[note_at - 1, events[:, ROLE]].astype(np.int32)
    references = _references(events, rank, before)
    return Sequence(note, bar, following, candidates, matched, matched_at, references, before)


def _values(events: Events, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """[..., 4] step, role, pitch, duration of events; END_CANDIDATE for index -1, NO_CANDIDATE for -2."""
    if not len(events):
        return np.where((index == -1)[:, None], END_CANDIDATE, NO_CANDIDATE)
    values = events[np.maximum(index, 0)][:, [STEP, ROLE, PITCH, DURATION]].astype(np.int64)
    values[index == -1] = END_CANDIDATE
    values[index == -2] = NO_CANDIDATE
    return values


def _key(events: Events) -> NDArray[np.int64]:
    """Place in a bar in canonical order; 1 and up."""
    return (events[:, STEP].astype(np.int64) * ROLE_COUNT + events[:, ROLE]) * 128 + events[:, PITCH] + 1


def _same_place(events: Events, note: NDArray[np.int32], bar: NDArray[np.int32], back: int) -> NDArray[np.int64]:
    """[S, 4]: the first note of the bar `back` bars ago whose place is after the element's."""
    whole = events[:, BAR].astype(np.int64) * _BAR_SPAN + _key(events)
    here = np.zeros(len(note), np.int64)
    here[note >= 0] = _key(events)
    wanted = (bar.astype(np.int64) - back) * _BAR_SPAN + here
    index = np.searchsorted(whole, wanted, side="right")
    there = np.append(events[:, BAR], -9)[index] == bar - back
    index = np.where(there, index, -1)
    index = np.where(bar < back, -2, index)
    return _values(events, index)


def _latest_by_role(events: Events, note: NDArray[np.int32]) -> NDArray[np.int32]:
    """[S, ROLE_COUNT]: index of the latest event of each role up to and with the element, or -1."""
    table = np.full((len(note), ROLE_COUNT), -1, np.int32)
    at = np.flatnonzero(note >= 0)
    table[at, events[:, ROLE]] = note[at]
    return np.maximum.accumulate(table, axis=0)


def _tokens(events: Events, note: NDArray[np.int32], latest: NDArray[np.int32]) -> tuple[NDArray[np.uint64], ...]:
    """Two numbers for each element: what it is with its pitch, and with the interval from its role's note before."""
    absolute = np.zeros(len(note), np.int64)
    relative = np.zeros(len(note), np.int64)
    at = np.flatnonzero(note >= 0)
    key = _key(events)
    absolute[at] = key
    before = latest[np.maximum(at - 1, 0), events[:, ROLE]] if len(at) else np.zeros(0, np.int32)
    pitch = events[:, PITCH].astype(np.int64)
    interval = np.where(before >= 0, pitch - pitch[np.maximum(before, 0)] if len(pitch) else pitch, 200) + 256
    relative[at] = np.where(events[:, ROLE] == DRUMS, key, key // 128 * 1024 + interval + (1 << 24))
    return absolute.astype(np.uint64), relative.astype(np.uint64)


def _longest_match(tokens: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each element, the latest earlier one after the same elements, and the class of how many; -1 and 0 for none.

    Polynomial hashes of the last 1, 2, 4, ... elements, each from two of half its length; 64 bits do not collide here.
    """
    size = len(tokens)
    found, length = np.full(size, -1, np.int64), np.zeros(size, np.int64)
    mixed: NDArray[np.uint64] = (tokens + np.uint64(1)) * _BASE
    mixed ^= mixed >> np.uint64(29)
    power, reach = np.full(1, _BASE | np.uint64(1), np.uint64), 1  # an array: its products wrap without a word
    for class_, wanted in enumerate(MATCH_LENGTHS, 1):
        while reach < wanted:
            shifted = np.zeros(size, np.uint64)
            shifted[reach:] = mixed[:-reach] if reach < size else mixed[:0]
            mixed = np.add(mixed, shifted * power, dtype=np.uint64)
            power = power * power
            reach *= 2
        order = np.argsort(mixed, kind="stable")
        same = mixed[order[1:]] == mixed[order[:-1]]
        before = np.full(size, -1, np.int64)
        before[order[1:][same]] = order[:-1][same]
        before[: wanted - 1] = -1
        before[before < wanted - 1] = -1
        better = before >= 0
        found[better], length[better] = before[better], class_
    return found, length


def _continued(
    events: Events, note: NDArray[np.int32], latest: NDArray[np.int32], before: NDArray[np.int64], *, transposed: bool
) -> NDArray[np.int64]:
    """[S, 4]: what followed element `before` of each element, its pitch moved to where its role is now if asked."""
    after = np.append(note, -1)[before + 1].astype(np.int64)
    index = np.where(before >= 0, after, -2)
    values = _values(events, index)
    if transposed and len(events):
        rows = np.flatnonzero((index >= 0) & (values[:, 1] != DRUMS))
        role = values[rows, 1]
        then, now = latest[before[rows], role], latest[rows, role]
        moved = values[rows, 2] + np.where(
            (then >= 0) & (now >= 0), events[np.maximum(now, 0), PITCH] - events[np.maximum(then, 0), PITCH], 0
        )
        values[rows, 2] = np.where((moved >= 0) & (moved <= 127), moved, values[rows, 2])
    return values


def _rank(events: Events) -> NDArray[np.int64]:
    """Of each event, how many of its role stand below it at its step."""
    group = (events[:, BAR].astype(np.int64) * 64 + events[:, STEP]) * ROLE_COUNT + events[:, ROLE]
    first = np.append(True, group[1:] != group[:-1])[: len(group)]
    starts = np.maximum.accumulate(np.where(first, np.arange(len(group)), 0))
    return np.arange(len(group)) - starts


def _references(events: Events, rank: NDArray[np.int64], before: NDArray[np.int32]) -> NDArray[np.uint8]:
    references = np.empty((len(events), REFERENCES, 4), np.uint8)
    references[:] = NO_REFERENCE
    if not len(events):
        return references
    place = (events[:, STEP].astype(np.int64) * ROLE_COUNT + events[:, ROLE]) * 128 + np.minimum(rank, 127)
    whole = events[:, BAR].astype(np.int64) * _BAR_SPAN + place
    columns = [PITCH, DURATION, VELOCITY, OFFSET]
    for i, back in enumerate(BARS_BACK):
        wanted = whole - back * _BAR_SPAN
        index = np.minimum(np.searchsorted(whole, wanted), len(whole) - 1)
        hit = whole[index] == wanted
        references[hit, i] = events[index[hit]][:, columns]
    references[before >= 0, -1] = events[before[before >= 0]][:, columns]
    return references
