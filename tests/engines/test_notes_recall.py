"""Memory, told note by note, says what it says of the whole piece."""

import numpy as np
import pytest

from engines.notes.events import BAR, OFFSET, Events
from engines.notes.memory import END_CANDIDATE, NO_CANDIDATE, sequence_of
from engines.notes.recall import BARS_KEPT, Recall


def piece(bars: int, seed: int) -> Events:
    """A few riffs that come back, some of them moved, with some notes changed."""
    rng = np.random.default_rng(seed)
    riffs = []
    for _ in range(3):
        rows = {(int(s), int(r), int(p)) for s, r, p in zip(
            rng.integers(0, 16, 12), rng.choice([0, 1, 2, 5], 12), rng.integers(40, 60, 12), strict=True)}  # fmt: skip
        riffs.append(sorted(rows))
    found = []
    for bar in range(bars):
        shift = int(rng.integers(-3, 4))
        for step, role, pitch in riffs[rng.integers(3)]:
            if rng.random() < 0.9:
                found.append((bar, step, role, pitch + (shift if role else 0), 0 if role == 0 else int(rng.integers(6)),
                              int(rng.integers(1, 9)), int(rng.integers(6))))  # fmt: skip
    return np.array(sorted(found), np.int32).reshape(-1, OFFSET + 1)


def told(events: Events, bars: int) -> tuple[list, list, list]:
    recall, candidates, matched, references = Recall(), [], [], []
    for bar in range(bars):
        recall.bar()
        for row in [None, *events[events[:, BAR] == bar].tolist()]:
            if row is not None:
                references.append(recall.references(row[1], row[2]))
                recall.note(tuple(row))
            found, lengths = recall.candidates()
            candidates.append(found)
            matched.append(lengths)
    return candidates, matched, references


@pytest.mark.parametrize("seed", range(4))
def test_note_by_note_is_what_the_whole_piece_says(seed: int) -> None:
    events = piece(20, seed)
    whole = sequence_of(events, 20)
    candidates, matched, references = told(events, 20)
    assert (np.array(candidates) == whole.candidates).all()
    assert (np.array(matched) == whole.matched).all()
    assert (np.array(references) == whole.references).all()
    assert whole.matched.max() >= 3  # long matches do occur here


def test_taking_back_leaves_no_trace() -> None:
    events, other = piece(12, 1), piece(12, 2)
    recall = Recall()
    for bar in range(12):
        recall.bar()
        rows = [tuple(row) for row in events[events[:, BAR] == bar].tolist()]
        for row in rows[:3]:
            recall.note(row)
        kept = recall.candidates()
        for row in other[other[:, BAR] == bar].tolist()[:5]:
            if (row[1], row[2], row[3]) > rows[2][1:4]:
                recall.note(tuple(row))
        recall.bar()
        recall.rewind(bar + 1, 3)
        assert recall.candidates() == kept
        recall.rewind(bar + 1, 0)
        for row in rows:
            recall.note(row)
    straight = Recall()
    for bar in range(12):
        straight.bar()
        for row in events[events[:, BAR] == bar].tolist():
            straight.note(tuple(row))
    assert recall.candidates() == straight.candidates()
    assert recall.references(4, 2) == straight.references(4, 2)
    assert recall._tables == straight._tables


def test_the_oldest_bars_are_forgotten() -> None:
    bars = BARS_KEPT + 30
    events = piece(bars, 3)
    recall = Recall()
    for bar in range(bars):
        recall.bar()
        for row in events[events[:, BAR] == bar].tolist():
            recall.note(tuple(row))
    last = events[events[:, BAR] >= bars - BARS_KEPT].copy()
    last[:, BAR] -= bars - BARS_KEPT
    fresh = sequence_of(last, BARS_KEPT)
    found, _ = recall.candidates()
    assert (np.array(found)[:4] == fresh.candidates[-1][:4]).all()
    kept = {number for table in recall._tables for places in table.values() for number in places}
    assert min(kept) >= recall._first
    assert len(kept) <= 1 + len(recall._elements)


def test_a_bar_that_ended_there_says_so() -> None:
    recall = Recall()
    recall.bar()
    recall.bar()
    recall.note((0, 8, 2, 60, 3, 5, 3))
    assert recall.candidates()[0] == [END_CANDIDATE, NO_CANDIDATE, NO_CANDIDATE, NO_CANDIDATE, NO_CANDIDATE]
