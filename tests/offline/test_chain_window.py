"""A window that is to know nothing of what was before it is as if the song began there."""

from dataclasses import replace

import numpy as np

from engines.notes.events import BAR
from engines.notes.fields import NOTE_FIELDS, Layout
from offline.notes.chain.sequences import Sequences, Song
from offline.notes.chain.window import Window, seen


def song(bars: int = 12) -> Song:
    rng = np.random.default_rng(5)
    rows = set()
    for bar in range(bars):
        for step in rng.choice(16, 6, replace=False):
            role = int(rng.choice([0, 1, 2]))
            rows.add((bar, int(step), role, int(rng.integers(40, 60)), 0 if role == 0 else int(rng.integers(9)), 5, 3))
    return Song(
        np.array(sorted(rows), np.int32), np.tile(np.array([[16, 4, 120]], np.int32), (bars, 1)), 1, 0, True, False
    )


def test_a_fresh_window_is_the_beginning_of_a_song() -> None:
    whole, layout, bar = song(), Layout(3), 5
    later = whole.events[whole.events[:, BAR] >= bar].copy()
    later[:, BAR] -= bar
    cut = Sequences([replace(whole, events=later, bars=whole.bars[bar:])], layout)
    full = Sequences([whole], layout)
    first = int(full.bars_of(0)[bar])
    fresh = seen(full, Window(0, first, int(full.size[0]), first, fresh=True))
    alone = seen(cut, Window(0, 0, int(cut.size[0]), 0))
    known = seen(full, Window(0, first, int(full.size[0]), first))
    assert (fresh.bars == alone.bars).all()
    assert (fresh.candidates[:, :3] == alone.candidates[:, :3]).all()
    assert (fresh.references == alone.references).all()
    assert (fresh.notes == alone.notes).all() and (fresh.time == alone.time).all()
    assert (known.candidates != alone.candidates).any() and (known.references != alone.references).any()
    matched = (fresh.candidates[:, 3:] != alone.candidates[:, 3:]).any(-1)
    silent = (fresh.candidates[:, 3:, 0] == 33) & matched  # a match that reached back says nothing, not a shorter one
    assert (silent == matched).all()


def test_notes_are_told_what_their_bar_is() -> None:
    layout, sequences = Layout(3), Sequences([song()], Layout(3))
    part = seen(sequences, Window(0, 0, int(sequences.size[0]), 0))
    inside = layout.within(part.bars)
    assert inside.min() >= layout.inside > part.bars.max()
    assert inside.max() < layout.memory[0]
    assert (part.bar_of[part.bar_at] == np.arange(len(part.bars))).all()
    assert part.notes.shape[1] == NOTE_FIELDS
