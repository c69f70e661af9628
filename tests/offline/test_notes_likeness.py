from __future__ import annotations

from dataclasses import replace

import numpy as np

from engines.engine import Request
from engines.music import STEP_TICKS, Note, Phrase
from engines.notes.events import BAR, PITCH, ROLE, STEP, Bars, Events
from engines.notes.roles import DRUMS, ROLE_NAMED
from engines.parameter import Parameter
from offline.notes.likeness import BAR_TICKS, PHRASE_BARS, Heard, likeness, likeness_rows, phrases
from offline.notes.models import Prompt, Song
from offline.notes.playing import EnginePlayer, plain_bars

GENRES = ("folk", "jazz")
PIANO, BASS = ROLE_NAMED["piano"], ROLE_NAMED["bass"]


def song(seed: int, bars: int = 12, steps: int = 16) -> Song:
    """A tune in a key of its own on places of its own, over a bass and a drum."""
    rng = np.random.default_rng(seed)
    scale = (rng.integers(12) + np.array([0, 2, 4, 7, 9])) % 12 + 60
    places = np.sort(rng.choice(min(steps, 16), 6, replace=False))
    rows = []
    for bar in range(bars):
        rows += [(bar, 0, DRUMS, 36, 0, 5, 3), (bar, 0, BASS, 40, 15, 5, 3)]
        rows += [(bar, int(place), PIANO, int(rng.choice(scale)), 1, 5, 3) for place in places]
    events = np.array(sorted(rows), np.int32)
    return Song(
        f"{seed}.mid",
        GENRES[seed % 2],
        "s",
        str(seed),
        events,
        np.tile(np.array([[steps, 4, 96]], np.int32), (bars, 1)),
    )


class Answering:
    """Plays what it heard once more, if it is told to go on or to take the chord, and else something of its own."""

    def __init__(self, deaf: bool = False) -> None:
        self._deaf = deaf
        self.parameters = (
            Parameter(name="genre", kind="choice", default="any", choices=("any", *GENRES)),
            Parameter(name="follow", kind="choice", default="continue", choices=("continue", "accompany", "ignore")),
            Parameter(name="chord", kind="choice", default="free", choices=("free", "heard")),
        )

    def start(self, seed: int) -> tuple[Note, ...]:
        return ()

    def generate(self, request: Request, state: tuple[Note, ...]) -> tuple[Phrase, tuple[Note, ...]]:
        state = request.heard or state
        span = request.length_ticks
        goes_on = request.parameters["follow"] == "continue" or request.parameters["chord"] == "heard"
        if self._deaf or not goes_on or not state:
            rng = np.random.default_rng((request.seed, request.bar))
            notes = [
                Note(int(place) * STEP_TICKS, int(rng.integers(60, 72)), 80, STEP_TICKS, 3)
                for place in rng.choice(16, 5, replace=False)
            ]
        else:
            first = -PHRASE_BARS * BAR_TICKS + request.bar * span
            notes = [
                Note(note.tick - first, note.pitch, note.velocity, note.length, note.part)
                for note in state
                if first <= note.tick < first + span
            ]
        return Phrase.of(span, notes), state


def player(deaf: bool = False) -> EnginePlayer:
    return EnginePlayer(Answering(deaf), "answering")  # type: ignore[arg-type] # all that a player needs


def test_a_phrase_is_the_highest_seat_of_four_bars_and_what_it_goes_on_with() -> None:
    heard = phrases([song(1)], 3, seed=0)
    assert len(heard) == 1
    one = heard[0]
    assert set(one.phrase[:, ROLE]) == {PIANO} and set(one.phrase[:, BAR]) == {0, 1, 2, 3}
    assert set(one.following[:, ROLE]) == {PIANO} and set(one.following[:, BAR]) == {0, 1, 2, 3}
    assert set(one.others[:, ROLE]) == {BASS}
    assert len(one.notes) == 24 and one.tempo_bpm == 96
    assert all(-PHRASE_BARS * BAR_TICKS <= note.tick < 0 and note.part == PIANO + 1 for note in one.notes)


def test_songs_of_other_metres_or_too_short_have_none() -> None:
    assert phrases([song(1, steps=12), song(2, bars=7)], 5, seed=0) == []


def test_a_phrase_is_wholly_like_itself_and_an_answer_of_nothing_is_like_none() -> None:
    phrase = phrases([song(1)], 1, 0)[0].phrase
    lower, later = phrase.copy(), phrase.copy()
    lower[:, PITCH] -= 12
    later[:, STEP] = (later[:, STEP] + 1) % 16
    pitches, rhythm = likeness([phrase, lower, later, phrase[:0]], [phrase])
    assert np.allclose(pitches[:3, 0], 1) and np.isnan(pitches[3, 0])
    assert np.allclose(rhythm[:2, 0], 1) and rhythm[2, 0] < 0.9


def rows_of(deaf: bool) -> dict[tuple[str, str], dict[str, float]]:
    heard: list[Heard] = phrases([song(seed) for seed in range(12)], 12, seed=3)
    rows = likeness_rows("it", player(deaf), heard, 3)
    return {(str(row["after"]), str(row["measure"])): row for row in rows}  # type: ignore[misc]


def test_who_repeats_what_it_hears_is_above_chance_and_who_is_deaf_is_not() -> None:
    listening, deaf = rows_of(False), rows_of(True)
    for measure in ("pitch classes", "rhythm"):
        row = listening["continue", measure]
        assert row["likeness"] > 0.999 and row["low"] > 0.1 and row["changed"] == 1
        assert listening["continue: the song itself", measure]["low"] > 0
        for said in (deaf["continue", measure], listening["accompany", measure]):
            assert said["low"] < 0 < said["high"] and said["changed"] == 0
        assert listening["accompany, the chord heard", measure]["likeness"] > 0.999
        nothing = listening["continue: had it heard nothing", measure]
        assert nothing["low"] < 0 < nothing["high"] and nothing["changed"] is None
    assert {row["phrases"] for row in listening.values()} == {12}


def test_only_who_plays_with_others_is_accompanied() -> None:
    alone = []
    for seed in (1, 3):
        whole = song(seed)
        alone.append(replace(whole, events=whole.events[whole.events[:, ROLE] == PIANO]))
    rows = likeness_rows("it", player(), phrases(alone, 2, 0), 0)
    assert {str(row["after"]).partition(":")[0] for row in rows} == {"continue"}


def test_the_same_seed_gives_the_same_rows() -> None:
    assert rows_of(False) == rows_of(False)


def test_a_player_of_any_kind_may_be_asked() -> None:
    class Silent:
        genres = GENRES

        def play(self, prompt: Prompt) -> tuple[Events, Bars]:
            return np.zeros((0, 7), np.int32), plain_bars(4)

    rows = likeness_rows("silent", Silent(), phrases([song(1), song(3)], 2, 0), 0)
    assert [row["phrases"] for row in rows if row["after"] == "continue"] == [0, 0]
