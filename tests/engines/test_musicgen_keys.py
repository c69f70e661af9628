"""Hands: held keys rise and fall, chords are named, a fader's schedule begins when it is moved."""

from __future__ import annotations

from engines.music import Note
from engines.musicgen.keys import Ramp, Touch, concepts_held, levels_after
from engines.musicgen.state import Clock


def test_a_schedules_clock_begins_when_its_fader_is_moved() -> None:
    clock = Clock().after("ramp", (0.0, 0.0), 0).after("ramp", (0.0, 1.0), 40).after("ramp", (0.0, 1.0), 90)
    assert clock.moved == (0, 40)
    assert clock.after("linear", (0.0, 1.0), 120).moved == (120, 120)


def test_a_held_key_rises_and_falls() -> None:
    touch = Touch(1.0, attack=10, release=50, step_ticks=40.0)
    held = [Note(-100, 60, 127, 100)]
    levels = levels_after({}, held, 0, touch, 100)
    assert [levels["note:C"].at(step) for step in (100, 105, 110, 200)] == [0.0, 0.5, 1.0, 1.0]
    assert levels_after(levels, held, 0, touch, 105) == levels
    left = levels_after(levels, [Note(-400, 60, 127, 100)], 0, touch, 200)
    assert [left["note:C"].at(step) for step in (200, 225, 250)] == [1.0, 0.5, 0.0]
    assert not levels_after(left, (), 0, touch, 250)
    soft = levels_after({}, [Note(-100, 60, 127, 400)], 300, Touch(0.5, 0, 0, 40.0), 0)
    assert soft == {"note:C": Ramp(0.0, 0, 0.5, 0)}
    struck = levels_after({}, [Note(-800, 60, 127, 200)], 0, touch, 0)["note:C"]
    assert (struck.at(0), struck.at(50)) == (0.5, 0.0)


def test_chords_are_named_whatever_their_root() -> None:
    def held(*pitches: int) -> set[str]:
        return {name for name in concepts_held(Note(0, pitch, 64, 1) for pitch in pitches) if "chord" in name}

    assert held(57, 60, 64) == held(60, 69, 76) == {"chord:min"}
    assert (held(60, 64, 67), held(60, 64, 68), held(71, 74, 77)) == ({"chord:maj"}, {"chord:aug"}, {"chord:dim"})
    assert held(60, 64) == set()
