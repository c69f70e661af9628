"""The bundle `notes` that ships: it plays in its genres, answers to what is turned and heard, and keeps the grammar."""

import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engines.bundle import Bundle, shipped_folder
from engines.engine import Request
from engines.music import Meter, Note, Phrase
from engines.notes.controls import DENSITY, REGISTER, controls_of
from engines.notes.engine import NotesEngine
from engines.notes.events import events_of
from engines.notes.harmony import ROOTS
from engines.notes.roles import DRUMS, ROLE_NAMED, ROLES
from engines.notes.scales import SCALES, scale_classes

FOLDER = shipped_folder() / "notes"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no bundle `notes` ships with this version")
BAR_TICKS = 3840
SAMPLES = int(os.environ.get("SIDEMAN_SAMPLES", "24"))
"""Bars at random settings; docs/NOTES.md has what a thousand gave."""


@pytest.fixture(scope="module")
def engine() -> NotesEngine:
    return NotesEngine.load(Bundle.load(FOLDER))


def play(engine: NotesEngine, bars: int, seed: int = 1, heard: tuple[Note, ...] = (), **turned: Any) -> list[Phrase]:
    """Bars in common time; heard: before each of the first two."""
    values = {parameter.name: parameter.default for parameter in engine.parameters} | turned
    state, phrases = engine.start(seed), []
    for bar in range(bars):
        phrase, state = engine.generate(
            Request(
                bar=bar, start_tick=bar * BAR_TICKS, length_ticks=BAR_TICKS, meter=Meter(), tempo_bpm=120.0,
                parameters=values, seed=seed, heard=heard if bar < 2 else (),
            ),
            state,
        )  # fmt: skip
        phrase.check()
        phrases.append(phrase)
    return phrases


def seats(*names: str) -> dict[str, bool]:
    return {role.name: role.name in names for role in ROLES}


def settings(genres: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(1)
    while True:
        yield {
            "genre": str(random.choice(genres)),
            "temperature": float(random.uniform(0, 2)), "top_p": float(random.uniform(0.5, 1)),
            "memory": float(random.random()), "drums": bool(random.random() < 0.5),
            "scale": str(random.choice(list(SCALES))), "root": str(random.choice(ROOTS)),
            "density": float(random.uniform(-1, 1)), "voices": int(random.integers(1, 17)),
        }  # fmt: skip


def test_at_any_settings_a_bar_decodes_keeps_its_scale_and_leaves_no_note_hanging(engine: NotesEngine) -> None:
    notes = 0
    for seed, turned in zip(range(SAMPLES // 4), settings(engine.model.genres), strict=False):
        ends: dict[tuple[int, int], int] = {}
        allowed = scale_classes(turned["scale"], turned["root"])
        for bar, phrase in enumerate(play(engine, 4, seed, **turned)):
            for note in phrase.notes:
                start = bar * BAR_TICKS + note.tick
                assert ends.get((note.part, note.pitch), -BAR_TICKS) <= start
                ends[note.part, note.pitch] = start + note.length
                assert note.part - 1 == DRUMS or allowed[note.pitch % 12]
                assert note.length <= 64 * 240
            notes += len(phrase.notes)
    print(f"{SAMPLES} bars, {notes:,} notes")
    assert notes


def test_the_same_seed_is_the_same_music_and_a_state_is_never_changed(engine: NotesEngine) -> None:
    first, again = play(engine, 6, 7), play(engine, 6, 7)
    assert first == again
    assert any(a != b for a, b in zip(first, play(engine, 6, 8), strict=True))
    assert any(a != b for a, b in pairwise(first))


def test_it_plays_in_five_genres_and_more(engine: NotesEngine) -> None:
    assert len(engine.model.genres) >= 5
    for genre in engine.model.genres:
        assert sum(len(phrase.notes) for phrase in play(engine, 2, 4, genre=genre, drums=True)) > 3


def test_density_and_register_are_answered(engine: NotesEngine) -> None:
    def classes(column: int, **turned: float) -> float:
        bars = [play(engine, 4, seed, **seats("piano"), **turned) for seed in (1, 2)]
        return float(np.mean([controls_of(_events(phrases), np.full(4, 16, np.int32))[:, column] for phrases in bars]))

    assert classes(DENSITY, density=0.1) + 1 < classes(DENSITY, density=0.9)
    assert classes(REGISTER, register=0.1) + 2 < classes(REGISTER, register=0.9)


def test_what_is_heard_changes_what_comes(engine: NotesEngine) -> None:
    riff = tuple(Note(-BAR_TICKS + i * 480, 60 + i % 4, 90, 400, ROLE_NAMED["piano"] + 1) for i in range(8))
    alone, heard = play(engine, 3, 2), play(engine, 3, 2, riff)
    assert alone != heard
    assert play(engine, 3, 2, riff, follow="ignore") == alone


def _events(phrases: list[Phrase]) -> Any:

    rows = []
    for bar, phrase in enumerate(phrases):
        events = events_of(Meter(), phrase.notes)
        events[:, 0] = bar
        rows.append(events)
    return np.concatenate(rows)
