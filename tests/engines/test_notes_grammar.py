"""The grammar of bars: whatever is chosen among what it allows, the music that comes out can be played."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.music import STEP_TICKS, Meter, Note
from engines.notes.events import BAR_END, OFFSET_TICKS, OFFSETS, Events
from engines.notes.grammar import NOTES_MAX, Grammar, Limits, bar_notes, silence, sounding
from engines.notes.limits import RANGES, beats_of, limits_of
from engines.notes.roles import BASS, DRUMS, ROLE_COUNT, ROLE_NAMED, ROLES
from engines.notes.scales import CHORDS, SCALES, chord_classes, chord_of, scale_classes

VALUES: dict[str, Any] = {
    "lowest": 0, "highest": 127, "scale": "any", "root": "C", "chord_tones": "beats", "voices": 6, "voices_total": 24,
}  # fmt: skip
ALL = np.ones(ROLE_COUNT, bool)
PIANO = ROLE_NAMED["piano"]


def some(mask: np.ndarray[Any, Any], random: np.random.Generator) -> int:
    return int(random.choice(np.flatnonzero(mask)))


def written(grammar: Grammar, random: np.random.Generator) -> tuple[Events, Grammar]:
    """A bar of random choices among what the grammar allows, dense: it ends only now and then before it must."""
    rows: list[list[int]] = []
    while True:
        steps = grammar.steps()
        if steps[:BAR_END].any() and random.random() > 0.02:
            steps[BAR_END] = False
            near = np.flatnonzero(steps)[:3]
            step = int(random.choice(near))
        else:
            step = some(steps, random)
        if step == BAR_END:
            return np.array(rows, np.int32).reshape(-1, 7), grammar
        role = some(grammar.roles(step), random)
        pitch = some(grammar.pitches(step, role), random)
        row = [
            0, step, role, pitch, some(grammar.durations(role), random), some(grammar.velocities(), random),
            some(grammar.offsets(step, role, pitch), random),
        ]  # fmt: skip
        grammar = grammar.wrote(np.array(row, np.int32))
        rows.append(row)


def song(limits: Limits, seed: int, bars: int = 3) -> tuple[list[Events], list[Note]]:
    """Bars that follow each other; their events, and all their notes in ticks of the song."""
    random, until, notes, pages = np.random.default_rng(seed), silence(), [], []
    for bar in range(bars):
        rows, _ = written(Grammar(limits, until), random)
        played = bar_notes(rows)
        start = bar * limits.steps * STEP_TICKS
        notes += [Note(n.tick + start, n.pitch, n.velocity, n.length, n.part) for n in played]
        until = sounding(until, played, limits.steps * STEP_TICKS)
        pages.append(rows)
    return pages, notes


def most_at_once(notes: list[Note]) -> int:
    edges = sorted([(n.tick + n.length, -1) for n in notes] + [(n.tick, 1) for n in notes])
    return int(np.cumsum([change for _, change in edges]).max(initial=0))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    meter=st.sampled_from(["4/4", "7/8", "3/4", "1/16", "8/4"]),
    voices=st.integers(1, 6),
    total=st.integers(1, 12),
)
def test_whatever_is_chosen_no_pitch_overlaps_itself_and_no_more_sound_than_may(
    seed: int, meter: str, voices: int, total: int
) -> None:
    limits = limits_of(Meter.parse(meter), VALUES | {"voices": voices, "voices_total": total}, ALL, None)
    pages, notes = song(limits, seed)
    for rows in pages:
        places = [tuple(row[1:4]) for row in rows.tolist()]
        assert places == sorted(set(places))
        assert (rows[rows[:, 2] == DRUMS, 4] == 0).all()
    for part in {note.part for note in notes}:
        own = [note for note in notes if note.part == part]
        for pitch in {note.pitch for note in own}:
            same = sorted(note for note in own if note.pitch == pitch)
            assert all(a.tick + a.length <= b.tick for a, b in pairwise(same))
        if part - 1 != DRUMS:
            assert most_at_once(own) <= voices
        low, high = RANGES[ROLES[part - 1].name]
        assert all(low <= note.pitch <= high for note in own)
    assert most_at_once([note for note in notes if note.part - 1 != DRUMS]) <= total


def test_a_bar_can_be_dense_and_still_ends() -> None:
    limits = limits_of(Meter(8, 4), VALUES | {"voices": 16, "voices_total": 64}, ALL, None)
    grammar, count = Grammar(limits, silence()), 0
    while (steps := grammar.steps())[:BAR_END].any():  # the earliest, lowest and shortest that there is
        step = int(steps.argmax())
        role = int(grammar.roles(step).argmax())
        pitch = int(grammar.pitches(step, role).argmax())
        grammar = grammar.wrote(np.array([0, step, role, pitch, 0, 5, grammar.offsets(step, role, pitch).argmax()]))
        count += 1
    assert count == NOTES_MAX
    assert steps[BAR_END]


def test_with_nobody_to_play_a_bar_can_only_end() -> None:
    limits = limits_of(Meter(), VALUES, np.zeros(ROLE_COUNT, bool), None)
    assert np.flatnonzero(Grammar(limits, silence()).steps()).tolist() == [BAR_END]


def test_what_sounds_on_from_the_bar_before_cannot_be_struck_again_before_it_ends() -> None:
    until = sounding(silence(), (Note(0, 60, 80, 3840 + 480, PIANO + 1),), 3840)
    only = np.zeros((16, ROLE_COUNT, 128), bool)
    only[:, PIANO, 60] = True
    grammar = Grammar(Limits(only, np.full(ROLE_COUNT, 6)), until)
    assert np.flatnonzero(grammar.steps()).tolist() == [*range(2, 16), BAR_END]
    assert [OFFSETS[i] * OFFSET_TICKS for i in np.flatnonzero(grammar.offsets(2, PIANO, 60))] == [0, 40, 80]
    assert grammar.offsets(3, PIANO, 60).all()


def test_a_late_note_ends_where_it_would_on_the_grid_and_drums_are_struck_not_held() -> None:
    late, early, drum = bar_notes(
        np.array([[0, 4, PIANO, 60, 1, 5, 5], [0, 8, PIANO, 60, 1, 5, 0], [0, 8, DRUMS, 36, 0, 5, 3]], np.int32)
    )
    assert (late.tick, late.tick + late.length) == (4 * 240 + 80, 6 * 240)
    assert (early.tick, early.length) == (8 * 240 - 120, 480)
    assert drum.length == 120


def classes_at(limits: Limits, step: int, role: int) -> set[int]:
    return {int(pitch) % 12 for pitch in np.flatnonzero(limits.may[step, role])}


def test_a_scale_binds_everyone_but_the_drums() -> None:
    limits = limits_of(Meter(), VALUES | {"scale": "dorian", "root": "D"}, ALL, None)
    for role in range(ROLE_COUNT):
        wanted = set(range(12)) if role == DRUMS else {0, 2, 4, 5, 7, 9, 11}
        assert classes_at(limits, 3, role) == wanted


def test_a_chord_binds_on_the_beats_everywhere_or_not_at_all() -> None:
    asked = CHORDS["Dm7"]
    tones = {2, 5, 9, 0}
    on_beats = limits_of(Meter(), VALUES | {"scale": "major"}, ALL, asked)
    assert classes_at(on_beats, 4, BASS) == tones
    assert classes_at(on_beats, 5, BASS) == {0, 2, 4, 5, 7, 9, 11}
    everywhere = limits_of(Meter(), VALUES | {"chord_tones": "all"}, ALL, asked)
    assert all(classes_at(everywhere, step, PIANO) == tones for step in range(16))
    told = limits_of(Meter(), VALUES | {"chord_tones": "off"}, ALL, asked)
    assert classes_at(told, 0, PIANO) == set(range(12))


def test_scale_and_chord_hold_both_where_they_can_and_else_the_chord() -> None:
    both = limits_of(Meter(), VALUES | {"scale": "major", "chord_tones": "all"}, ALL, CHORDS["E7"])
    assert classes_at(both, 1, PIANO) == {4, 11, 2}
    pentatonic = VALUES | {"scale": "major_pentatonic", "chord_tones": "all"}
    apart = limits_of(Meter(), pentatonic, ALL, CHORDS["Bbm"])
    assert classes_at(apart, 1, PIANO) == {10, 1, 5}


def test_range_holds_for_all_pitched_roles_in_either_order() -> None:
    for ends in ({"lowest": 50, "highest": 60}, {"lowest": 60, "highest": 50}):
        limits = limits_of(Meter(), VALUES | ends, ALL, None)
        assert np.flatnonzero(limits.may[0, PIANO]).tolist() == list(range(50, 61))
        assert np.flatnonzero(limits.may[0, DRUMS]).tolist() == list(range(27, 88))


@pytest.mark.parametrize(
    ("text", "beats"),
    [
        ("4/4", [0, 4, 8, 12]),
        ("6/8", [0, 6]),
        ("7/8", [0, 2, 4, 6, 8, 10, 12]),
        ("3/8", [0, 2, 4]),
        ("2/2", [0, 4, 8, 12]),
    ],
)
def test_beats_of_metres(text: str, beats: list[int]) -> None:
    assert beats_of(Meter.parse(text)).tolist() == beats


def test_chords_are_named_as_musicians_write_them_and_found_in_what_is_played() -> None:
    assert len(CHORDS) == 96
    assert np.flatnonzero(chord_classes(*CHORDS["Ab7"])).tolist() == [0, 3, 6, 8]
    assert np.flatnonzero(scale_classes("blues", "A")).tolist() == [0, 2, 3, 4, 7, 9]
    assert all(0 in tones for tones in SCALES.values())
    for name in ("C", "Gbm7", "Bbmaj7", "Edim"):
        played = [Note(-1000, 48 + int(pc), 80, 900) for pc in np.flatnonzero(chord_classes(*CHORDS[name]))]
        played.append(Note(-1000, 36 + CHORDS[name][0], 80, 900))
        assert chord_of(played, -3840, 0) == CHORDS[name]
    assert chord_of([Note(-1000, 60, 80, 900)], -3840, 0) is None
    assert chord_of([Note(-9000, 60, 80, 900), Note(-9000, 64, 80, 900)], -3840, 0) is None
