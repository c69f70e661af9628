"""A bar leans to what was asked of it: seen in bars of noise, and where nothing is asked nothing moves."""

from dataclasses import replace

import numpy as np
import pytest

from engines.music import Meter
from engines.notes.asked import Asked
from engines.notes.controls import CONTROL_CLASSES, DENSITY, POLYPHONY, QUALITY, REGISTER, ROOT, controls_of
from engines.notes.events import BAR_END, PITCH, ROLE, Events
from engines.notes.grammar import Grammar, silence
from engines.notes.history import Measure, no_events
from engines.notes.limits import limits_of
from engines.notes.page import Logits, written
from engines.notes.roles import BASS, DRUMS, ROLE_COUNT, ROLE_NAMED
from engines.notes.scales import CHORDS
from engines.notes.steering import Steering

PIANO = ROLE_NAMED["piano"]
BARS = 16
SIZES = (BAR_END + 1, ROLE_COUNT, 128, 36, 9, 6)


class Pianist:
    """Every moment from here on, every pitch and every length are as likely; now and then there is another at once."""

    def __init__(self) -> None:
        self.step = 0

    def logits(self, chosen: list[int]) -> Logits:
        logits = np.zeros(SIZES[len(chosen)], np.float32)
        if not chosen:
            logits -= 0.7 * np.abs(np.arange(BAR_END + 1) - self.step)
            logits[BAR_END] = -0.7 * (16 - self.step)
        if len(chosen) == 1:
            logits[[BASS, DRUMS]] = -20.0
        if len(chosen) == 3:
            logits -= np.arange(36)
        return logits

    def write(self, note: list[int]) -> None:
        self.step = note[0]


def bars(**asked: int) -> Events:
    """BARS bars, asked for with controls of these classes; each as its own bar of a piece."""
    named = {"density": DENSITY, "polyphony": POLYPHONY, "register": REGISTER, "root": ROOT, "quality": QUALITY}
    controls = np.zeros(len(CONTROL_CLASSES), np.int32)
    for name, value in asked.items():
        controls[named[name]] = value
    values = {"lowest": 0, "highest": 127, "scale": "any", "root": "C", "chord_tones": "off", "voices": 16}
    roles = np.arange(ROLE_COUNT) == PIANO
    limits = limits_of(Meter(), values | {"voices_total": 64}, roles, None)
    bar = Measure(16, 4, 120.0, controls, np.zeros(ROLE_COUNT, np.int32), no_events())
    order = Asked(bar, 0, ((-1, 1.0),), Grammar(limits, silence()))
    rows = []
    for number in range(BARS):
        events = written(Pianist(), replace(order), np.random.default_rng(number)).events
        events[:, 0] = number
        rows.append(events)
    return np.concatenate(rows)


def read(events: Events, column: int) -> float:
    """The mean class that its bars have."""
    return float(controls_of(events, np.full(BARS, 16, np.int32))[:, column].mean())


@pytest.mark.parametrize(("name", "column"), [("density", DENSITY), ("polyphony", POLYPHONY), ("register", REGISTER)])
def test_more_of_it_asked_is_more_of_it_played(name: str, column: int) -> None:
    low, middle, high = (read(bars(**{name: value}), column) for value in (1, 4, 8))
    assert low + 1.0 < middle < high - 1.0


def test_pitches_lean_to_the_chord_and_are_not_bound_to_it() -> None:
    root, quality = CHORDS["Dm"]
    asked = bars(root=root + 2, quality=quality + 1)
    free = bars()
    share, plain = (np.isin(each[:, PITCH] % 12, [2, 5, 9]).mean() for each in (asked, free))
    assert plain + 0.15 < share < 0.9


def test_where_nothing_is_asked_nothing_moves_and_drums_are_left_alone() -> None:
    logits = np.random.default_rng(0).normal(size=128).astype(np.float32)
    free = Steering(np.zeros(len(CONTROL_CLASSES), np.int32))
    bound = Steering(np.full(len(CONTROL_CLASSES), 8, np.int32))
    for each in (free, bound):
        each.wrote([2, PIANO, 60, 0, 4, 3])
    assert (free.pitches(logits, PIANO) == logits).all()
    assert (free.steps(logits[:33], 16) == logits[:33]).all()
    assert (bound.pitches(logits, DRUMS) == logits).all()
    assert not (bound.pitches(logits, PIANO) == logits).all()


def test_the_bass_keeps_its_own_height() -> None:
    controls = np.zeros(len(CONTROL_CLASSES), np.int32)
    controls[REGISTER] = 8
    logits = np.zeros(128, np.float32)
    assert Steering(controls).pitches(logits, BASS).argmax() == 0
    assert Steering(controls).pitches(logits, PIANO).argmax() == 80
    assert (bars(register=8)[:, ROLE] == PIANO).all()
