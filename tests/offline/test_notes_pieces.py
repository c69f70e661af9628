from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.music import Meter
from engines.notes.events import BAR, DURATION, OFFSET, ON_GRID, PITCH, ROLE, STEP, VELOCITY
from engines.notes.roles import ROLE_NAMED
from offline.data.midi import UnusableError
from offline.notes.pieces import piece_of
from offline.notes.reading import Reading

BEAT = 960
FOUR = Meter()


def reading(
    notes: list[tuple[float, int, float]],
    meters: Sequence[tuple[float, Meter | None]] = ((0, FOUR),),
    tempi: Sequence[tuple[float, int]] = ((0, 500_000),),
    *,
    program: int = 0,
    drums: bool = False,
    velocities: list[int] | None = None,
) -> Reading:
    """Times and lengths in quarter notes; notes as (time, pitch, length)."""
    table = np.array(sorted((round(t * BEAT), p, max(1, round(n * BEAT))) for t, p, n in notes), np.int64).reshape(
        -1, 3
    )
    count = len(table)
    return Reading(
        table[:, 0], np.full(count, program), np.full(count, drums), table[:, 1],
        np.array(velocities or [80] * count, np.int64), table[:, 2],
        tuple((round(t * BEAT), metre) for t, metre in meters),
        tuple((round(t * BEAT), us) for t, us in tempi),
        True,
    )  # fmt: skip


def test_notes_stand_in_the_bars_of_their_metres() -> None:
    piece = piece_of(
        reading([(0, 60, 1), (4.25, 62, 0.5), (8, 64, 4), (11.5, 65, 1)], [(0, Meter()), (8, Meter(7, 8))])
    )
    assert piece.bars.tolist() == [[16, 4, 120], [16, 4, 120], [14, 8, 120], [14, 8, 120]]
    assert piece.events[:, [BAR, STEP, PITCH, DURATION]].tolist() == [
        [0, 0, 60, 3], [1, 1, 62, 1], [2, 0, 64, 15], [3, 0, 65, 3],
    ]  # fmt: skip
    assert (piece.events[:, OFFSET] == ON_GRID).all()


def test_a_pickup_stays_a_short_bar() -> None:
    piece = piece_of(reading([(0, 60, 1), (1, 62, 1), (4, 64, 1)], [(0, Meter(1, 4)), (1, Meter(3, 4))]))
    assert piece.bars[:, 0].tolist() == [4, 12, 12]
    assert piece.events[:, BAR].tolist() == [0, 1, 2]


def test_a_metre_that_changes_inside_a_bar_cuts_it_short() -> None:
    piece = piece_of(reading([(t, 60, 1) for t in range(8)], [(0, Meter()), (6, Meter(2, 4))]))
    assert piece.bars[:, 0].tolist() == [16, 8, 8]


@pytest.mark.parametrize(
    ("metre", "steps"),
    [(Meter(12, 4), [24, 24]), (Meter(9, 4), [20, 16]), (Meter(17, 8), [18, 16]), (Meter(8, 4), [32])],
)
def test_a_long_bar_becomes_several_on_its_beats(metre: Meter, steps: list[int]) -> None:
    piece = piece_of(reading([(t / 2, 60, 1) for t in range(2 * sum(steps) // 4)], [(0, metre)]))
    assert piece.bars[:, 0].tolist() == steps


def test_a_metre_that_is_none_leaves_the_one_before() -> None:
    piece = piece_of(reading([(t, 60, 1) for t in range(9)], [(0, Meter(3, 4)), (3, None)]))
    assert piece.bars[:, 0].tolist() == [12, 12, 12]


def test_silence_is_cut_at_the_start_and_shortened_inside() -> None:
    piece = piece_of(reading([(9, 60, 1), (4 * 8, 62, 1), (4 * 15 + 1, 64, 1)]))
    assert piece.events[:, BAR].tolist() == [0, 2, 4]
    assert len(piece.bars) == 5


def test_a_rest_of_four_bars_stays() -> None:
    piece = piece_of(reading([(0, 60, 1), (4 * 5, 62, 1), (4 * 11, 64, 1)]))
    assert piece.events[:, BAR].tolist() == [0, 5, 7]


def test_the_tempo_of_a_bar_is_the_mean_over_it() -> None:
    piece = piece_of(reading([(0, 60, 1), (4, 62, 1)], tempi=[(0, 500_000), (2, 1_000_000)]))
    assert piece.bars[:, 2].tolist() == [80, 60]


def test_programs_and_the_drum_channel_are_roles() -> None:
    assert piece_of(reading([(0, 40, 1)], program=33)).events[0, ROLE] == ROLE_NAMED["bass"]
    assert piece_of(reading([(0, 60, 1)], program=125)).events[0, ROLE] == ROLE_NAMED["effects"]
    drums = piece_of(reading([(0, 36, 4)], program=33, drums=True)).events[0]
    assert (drums[ROLE], drums[DURATION]) == (ROLE_NAMED["drums"], 0)


def test_velocities_that_say_nothing_are_unknown() -> None:
    notes = [(0.0, 60, 1.0), (1.0, 62, 1.0)]
    assert piece_of(reading(notes)).events[:, VELOCITY].tolist() == [0, 0]
    assert piece_of(reading(notes, velocities=[40, 90])).events[:, VELOCITY].tolist() == [3, 6]
    assert piece_of(reading(notes, velocities=[40, 90]), velocities=False).events[:, VELOCITY].tolist() == [0, 0]


def test_no_notes_is_no_piece() -> None:
    with pytest.raises(UnusableError, match="no notes"):
        piece_of(reading([]))


METERS = st.one_of(st.none(), st.builds(Meter, st.integers(1, 32), st.sampled_from([1, 2, 4, 8, 16])))


@given(
    st.lists(st.tuples(st.floats(0, 200), st.integers(0, 127), st.floats(0, 30)), min_size=1, max_size=40),
    st.lists(st.tuples(st.floats(0, 220), METERS), max_size=6),
)
def test_any_file_gives_events_in_order_inside_their_bars(
    notes: list[tuple[float, int, float]], meters: list[tuple[float, Meter | None]]
) -> None:
    piece = piece_of(reading(notes, [(0, Meter()), *sorted(meters, key=lambda change: change[0])]))
    events, bars = piece.events, piece.bars
    assert bars[:, 0].min() >= 1 and bars[:, 0].max() <= 32
    assert (events[:, STEP] >= 0).all() and (events[:, STEP] < bars[events[:, BAR], 0]).all()
    assert events[0, BAR] == 0 and events[-1, BAR] == len(bars) - 1
    keys = [tuple(row) for row in events[:, [BAR, STEP, ROLE, PITCH]].tolist()]
    assert keys == sorted(set(keys))
