from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.notes.events import BAR, PITCH, ROLE, STEP, VELOCITY, Events
from engines.notes.roles import DRUMS, ROLE_NAMED
from offline.notes.automaton import Automaton
from offline.notes.copies import COPY_BARS, COPY_NOTES, Run, band, copy_rows, runs, seats
from offline.notes.models import Song

PIANO, BASS = ROLE_NAMED["piano"], ROLE_NAMED["bass"]


def tune(seed: int, bars: int = 8, role: int = PIANO) -> Events:
    """Four to eight single notes a bar."""
    rng = np.random.default_rng(seed)
    rows = [
        (bar, step, role, int(rng.integers(48, 84)), 1, 5, 3)
        for bar in range(bars)
        for step in sorted(rng.choice(16, int(rng.integers(4, 9)), replace=False).tolist())
    ]
    return np.array(rows, np.int32)


def together(*parts: Events) -> Events:
    rows = np.concatenate(parts)
    return rows[np.lexsort((rows[:, PITCH], rows[:, ROLE], rows[:, STEP], rows[:, BAR]))]


def song(events: Events, path: str = "") -> Song:
    return Song(path, "", "", "", events, np.tile(np.array([[16, 4, 120]], np.int32), (8, 1)))


def longest_by_hand(text: list[int], others: list[list[int]]) -> list[int]:
    """Of the longest string that ends at each symbol and is in one of the others."""
    inside = {tuple(other[i:j]) for other in others for i in range(len(other)) for j in range(i + 1, len(other) + 1)}
    return [
        max((k for k in range(end + 1) if tuple(text[end - k : end]) in inside), default=0)
        for end in range(1, len(text) + 1)
    ]


TEXTS = st.lists(st.lists(st.integers(0, 2), max_size=12), min_size=1, max_size=4)


@given(TEXTS, TEXTS)
def test_matches_are_those_that_comparing_everything_finds(texts: list[list[int]], others: list[list[int]]) -> None:
    automaton = Automaton(texts)
    for number, other in enumerate(others):
        automaton.read(other, number)
    for text, (lengths, readers) in zip(texts, automaton.matches(), strict=True):
        assert lengths.tolist() == longest_by_hand(text, others)
        for end, (length, reader) in enumerate(zip(lengths.tolist(), readers.tolist(), strict=True), 1):
            assert (reader < 0) == (length == 0)
            if length:
                heard = others[reader]
                assert text[end - length : end] in [heard[i : i + length] for i in range(len(heard))]


def test_a_copy_in_another_key_is_found() -> None:
    learned = [tune(1), tune(2), tune(3)]
    copy = tune(2)[tune(2)[:, BAR] >= 3]
    copy[:, BAR] -= 3
    copy[:, PITCH] += 5
    copy[:, VELOCITY] = 2
    assert runs([copy], learned, band) == [Run(len(copy) - 1, 5, 1)]  # the first note's interval was to another


def test_music_of_ones_own_is_none() -> None:
    run = runs([tune(9)], [tune(1), tune(2)], band)[0]
    assert run.notes < COPY_NOTES and run.bars == 0
    assert runs([tune(9)], [], band) == [Run()]


def test_four_bars_in_the_middle_count_but_three_do_not() -> None:
    original, own = tune(1), tune(9)
    for bars in (range(2, 6), range(2, 5)):
        here = np.isin(own[:, BAR], bars)
        mixed = together(own[~here], original[np.isin(original[:, BAR], bars)])
        assert (runs([mixed], [original], band)[0].bars >= COPY_BARS) == (len(bars) >= COPY_BARS)


def test_a_seat_copied_under_another_accompaniment_is_heard_only_alone() -> None:
    learned = together(tune(1), tune(2, role=BASS))
    made = together(tune(1), tune(3, role=BASS))
    assert runs([made], [learned], band)[0].bars == 0
    assert runs([made], [learned], seats)[0].bars == 8


def test_drums_are_not_transposed_and_no_seat() -> None:
    drums = tune(1, role=DRUMS)
    higher = drums.copy()
    higher[:, PITCH] += 1
    assert runs([drums], [drums], band)[0].bars == 8
    assert runs([higher], [drums], band)[0].notes < COPY_NOTES
    assert runs([drums], [drums], seats) == [Run()]


def test_a_bar_more_between_notes_is_another_tune() -> None:
    late = tune(1)
    late[late[:, BAR] >= 4, BAR] += 1
    assert runs([late], [tune(1)], band)[0].bars == 4


def test_rows_say_share_and_longest() -> None:
    rows = copy_rows({"made": [song(tune(1)), song(tune(9))], "real": [song(tune(8))]}, [song(tune(1), "a.mid")])
    made = next(row for row in rows if row["pieces"] == "made" and row["compared"] == "the band")
    assert made["copies_of_4_bars"] == 0.5 and made["longest_run_of"] == "a.mid" and made["longest_run"] == len(tune(1))
    real = [row for row in rows if row["pieces"] == "real"]
    assert [row["copies_of_4_bars"] for row in real] == [0.0, 0.0]
