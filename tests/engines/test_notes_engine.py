"""The engine of notes around small models whose answers are known, or are noise: it is the engine that is looked at."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engines.engine import Played, Request
from engines.music import Meter, Note, Phrase
from engines.notes.asked import Asked, Written
from engines.notes.controls import DENSITY, POLYPHONY, QUALITY, REGISTER, ROOT
from engines.notes.engine import NotesEngine, NotesState
from engines.notes.events import BAR, BAR_END, DURATIONS, OFFSETS, ON_GRID, PITCH, ROLE, STEP, VELOCITIES
from engines.notes.history import History
from engines.notes.page import Blend, Logits, scored, written
from engines.notes.roles import BASS, DRUMS, ROLE_COUNT, ROLE_NAMED, ROLES
from engines.notes.scales import CHORDS, chord_classes, scale_classes
from engines.parameter import RESERVED_NAMES
from engines.randomness import generator

SIZES = (BAR_END + 1, ROLE_COUNT, 128, len(DURATIONS), VELOCITIES, len(OFFSETS))
PIANO, REED = ROLE_NAMED["piano"], ROLE_NAMED["reed"]
BAR_TICKS = 3840


class NoisyPage:
    """Any choice may be likely, and it depends on all that was chosen before."""

    def __init__(self, seed: int, loud: float = 3.0) -> None:
        self.seed, self.loud, self.notes = seed, loud, list[tuple[int, ...]]()

    def logits(self, chosen: Sequence[int]) -> Logits:
        random = np.random.default_rng((self.seed, len(self.notes), *chosen))
        logits = random.normal(size=SIZES[len(chosen)]) * self.loud
        if not chosen:
            logits -= np.arange(BAR_END + 1) * 0.5  # step by step, rather than from end to end
        return logits.astype(np.float32)

    def write(self, note: Sequence[int]) -> None:
        self.notes.append(tuple(note))


class Noise:
    """A NoteModel of NoisyPages, which remembers what it was asked."""

    genres = ("blues", "jazz")

    def __init__(self) -> None:
        self.asked: list[tuple[History, Asked]] = []

    def write(self, history: History, asked: Asked, random: np.random.Generator) -> Written:
        self.asked.append((history, asked))
        seed = len(history) + 100 * int(sum(bar.events[:, PITCH].sum() for bar in history))
        pages = [NoisyPage(seed + 7 * genre + 7) for genre, _ in asked.genres]
        return written(Blend(pages, [share for _, share in asked.genres]), asked, random)

    def score(self, history: History, asked: Asked) -> float:
        return scored(NoisyPage(int(history[-1].events[:, PITCH].sum())), asked.bar.events)


@pytest.fixture
def model() -> Noise:
    return Noise()


@pytest.fixture
def engine(model: Noise) -> NotesEngine:
    return NotesEngine(model)


COMMON_TIME = Meter()


def request(engine: NotesEngine, bar: int = 0, meter: Meter = COMMON_TIME, **changes: Any) -> Request:
    """changes: of the request, or of the parameters"""
    values = {parameter.name: parameter.default for parameter in engine.parameters}
    values |= {name: changes.pop(name) for name in list(changes) if name in values}
    asked = Request(
        bar=bar, start_tick=bar * meter.bar_ticks, length_ticks=meter.bar_ticks, meter=meter, tempo_bpm=120.0,
        parameters=values, seed=1,
    )  # fmt: skip
    return msgspec.structs.replace(asked, **changes)


def song(
    engine: NotesEngine, bars: int, state: NotesState | None = None, **changes: Any
) -> tuple[list[Phrase], NotesState]:
    state, phrases = state or engine.start(1), []
    for bar in range(bars):
        phrase, state = engine.generate(request(engine, bar, **changes), state)
        phrase.check()
        phrases.append(phrase)
    return phrases, state


def test_no_parameter_bears_a_reserved_name_and_every_default_is_allowed(engine: NotesEngine) -> None:
    names = [parameter.name for parameter in engine.parameters]
    assert len(set(names)) == len(names)
    assert not RESERVED_NAMES & set(names)
    assert all(parameter.check(parameter.default) == parameter.default for parameter in engine.parameters)


def test_the_same_request_from_the_same_state_is_the_same_bar(engine: NotesEngine) -> None:
    state = engine.start(1)
    first, later = engine.generate(request(engine), state)
    again, _ = engine.generate(request(engine), state)
    assert first == again
    assert first.notes
    assert engine.generate(request(engine, take=1), state)[0] != first
    assert engine.generate(request(engine, 1), state)[0] != first
    assert not state.history
    assert len(later.history) == later.number == 1


TURNED = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**40),
        "meter": st.sampled_from(["4/4", "7/8", "3/4", "1/16", "5/1", "6/8"]).map(Meter.parse),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(0, 128),
        "scale": st.sampled_from(["any", "major", "blues"]),
        "chord": st.sampled_from(["free", "heard", "Dm7", "Gbaug"]),
        "chord_tones": st.sampled_from(["off", "beats", "all"]),
        "drums": st.booleans(),
        "voices": st.integers(1, 16),
    }
)

QUIET = {
    "seed": 0, "meter": Meter(), "temperature": 0.0, "top_p": 0.0, "top_k": 0, "scale": "any", "chord": "free",
    "chord_tones": "off", "drums": False, "voices": 1,
}  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(turned=TURNED)
@example({**QUIET, "temperature": 1e-308})
def test_anything_that_is_sampled_can_be_played(turned: dict[str, Any]) -> None:
    by_pitch: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for bar, phrase in enumerate(song(NotesEngine(Noise()), 3, **turned)[0]):
        for note in phrase.notes:
            start = note.tick + bar * turned["meter"].bar_ticks
            by_pitch.setdefault((note.part, note.pitch), []).append((start, start + note.length))
    for (part, _), same in by_pitch.items():
        assert turned["drums"] or part - 1 != DRUMS
        assert all(before[1] <= after[0] for before, after in pairwise(sorted(same)))


def test_scale_and_chord_are_never_broken(engine: NotesEngine) -> None:
    in_scale, in_chord = scale_classes("dorian", "D"), chord_classes(*CHORDS["Am7"])
    phrases, _ = song(engine, 40, scale="dorian", root="D", chord="Am7", temperature=2.0, voices=16, voices_total=64)
    pitched = [note for phrase in phrases for note in phrase.notes if note.part - 1 != DRUMS]
    assert len(pitched) > 300
    assert all(in_scale[note.pitch % 12] for note in pitched)
    on_beats = [note for note in pitched if (note.tick + 120) % 960 <= 200]
    assert len(on_beats) > 20
    assert all(in_chord[note.pitch % 12] for note in on_beats)
    assert any(not in_chord[note.pitch % 12] for note in pitched)


def test_what_the_performer_asks_is_told_to_the_model(engine: NotesEngine, model: Noise) -> None:
    song(engine, 1, density=0.0, polyphony=1.0, register=0.5, chord="Dbm7", **seats("piano", "reed"))
    _, asked = model.asked[0]
    assert asked.bar.controls[[DENSITY, POLYPHONY, REGISTER, ROOT, QUALITY]].tolist() == [1, 8, 5, 3, 5]
    assert asked.bar.told[[DRUMS, BASS, PIANO, REED]].tolist() == [1, 1, 2, 2]
    assert asked.genres == ((-1, 1.0),)
    song(engine, 1, genre="jazz", blend="blues", blend_amount=0.25)
    _, asked = model.asked[1]
    assert not asked.bar.controls.any()
    assert not asked.bar.told.any()  # fifteen seats are no band: who plays is the model's choice
    assert asked.genres == ((1, 0.75), (0, 0.25))


def test_a_blend_of_nothing_is_one_genre(engine: NotesEngine, model: Noise) -> None:
    for bar, (amount, left) in enumerate([(0.0, ((1, 1.0),)), (1.0, ((0, 1.0),))]):
        song(engine, 1, genre="jazz", blend="blues", blend_amount=amount)
        assert model.asked[bar][1].genres == left


def test_a_bar_that_came_again_and_again_weakens_the_memory(engine: NotesEngine, model: Noise) -> None:
    once = Played(Meter(), Phrase(BAR_TICKS, (Note(0, 60, 80, 480, PIANO + 1),)))
    other = Played(Meter(), Phrase(BAR_TICKS, (Note(0, 62, 80, 480, PIANO + 1),)))
    for history, share in (([once, other], 1.0), ([other, once, once], 0.6), ([once] * 4, 0.6**3)):
        engine.generate(request(engine, len(history)), engine.prime(history, 1))
        assert model.asked[-1][1].memory == pytest.approx(share)


def test_a_fill_is_busier_and_vary_is_warmer(engine: NotesEngine, model: Noise) -> None:
    state = song(engine, 1)[1]
    engine.generate(request(engine, 1, fill=True, density=0.5), state)
    engine.generate(request(engine, 1, fill=True), state)
    engine.generate(request(engine, 1, vary=True, temperature=0.8), state)
    asked = [each for _, each in model.asked[1:]]
    assert [int(each.bar.controls[DENSITY]) for each in asked[:1]] == [7]
    assert asked[1].bar.controls[DENSITY] >= 3
    assert asked[2].temperature == 1.0


def seats(*names: str) -> dict[str, bool]:
    return {role.name: role.name in names for role in ROLES}


def heard_scale(part: int = PIANO + 1, bar: int = -1) -> tuple[Note, ...]:
    return tuple(Note(bar * BAR_TICKS + i * 480, 60 + pitch, 90, 480, part) for i, pitch in enumerate((0, 4, 7, 11)))


def test_what_is_heard_stands_in_the_bars_in_which_it_was_played(engine: NotesEngine, model: Noise) -> None:
    state = song(engine, 2, reed=False, bass=False)[1]
    engine.generate(request(engine, 2, heard=heard_scale(REED + 1, -2)), state)
    history, _ = model.asked[-1]
    rows = history[0].events
    assert rows[rows[:, ROLE] == REED][:, [STEP, PITCH]].tolist() == [[0, 60], [2, 64], [4, 67], [6, 71]]
    assert (np.lexsort(rows[:, [PITCH, ROLE, STEP]].T) == np.arange(len(rows))).all()
    assert not (state.history[0].events[:, ROLE] == REED).any()  # the state that was given is as it was
    assert (history[1].events == state.history[1].events).all()


def test_a_flood_of_notes_is_bounded(engine: NotesEngine, model: Noise) -> None:
    flood = tuple(Note(-BAR_TICKS + 2 * i, i % 128, 90, 100, 1 + i % 16) for i in range(1900))
    engine.generate(request(engine, 0, heard=flood), engine.start(1))
    assert [len(bar.events) for bar in model.asked[0][0]] == [256]


def test_what_is_heard_before_the_first_bar_makes_bars_of_its_own(engine: NotesEngine, model: Noise) -> None:
    _, state = engine.generate(request(engine, 0, heard=heard_scale(bar=-2)), engine.start(1))
    history, asked = model.asked[0]
    assert [len(bar.events) for bar in history] == [4, 0]
    assert asked.number == 2
    assert state.number == len(state.history) == 3


def test_bars_that_it_kept_silent_while_it_listened_are_in_the_history(engine: NotesEngine, model: Noise) -> None:
    state = song(engine, 2)[1]
    four = tuple(note for bar in (-4, -3, -2, -1) for note in heard_scale(REED + 1, bar))
    engine.generate(request(engine, 6, heard=four), state)
    history, asked = model.asked[-1]
    assert [len(bar.events) for bar in history[2:]] == [4, 4, 4, 4]
    assert (history[1].events == state.history[1].events).all()
    assert asked.number == 6


def test_who_is_ignored_changes_nothing(engine: NotesEngine) -> None:
    state = song(engine, 2)[1]
    alone, _ = engine.generate(request(engine, 2), state)
    deaf, _ = engine.generate(request(engine, 2, heard=heard_scale(), follow="ignore"), state)
    listening, _ = engine.generate(request(engine, 2, heard=heard_scale()), state)
    assert alone == deaf != listening


def test_who_is_accompanied_keeps_the_seat_for_some_bars(engine: NotesEngine, model: Noise) -> None:
    trio = {"follow": "accompany", **seats("bass", "piano", "reed")}
    state, parts = song(engine, 2, **trio)[1], []
    for bar in range(2, 10):
        heard = heard_scale(REED + 1) if bar == 2 else ()
        phrase, state = engine.generate(request(engine, bar, heard=heard, **trio), state)
        parts.append({note.part - 1 for note in phrase.notes})
    asked = [asked for _, asked in model.asked[2:]]
    assert [bool(each.grammar.limits.may[:, REED].any()) for each in asked] == [False] * 5 + [True] * 3
    assert {int(each.bar.told[REED]) for each in asked} == {2}  # the person plays it, or the model may
    assert REED not in set.union(*parts[:5])


def test_the_band_is_in_the_context_and_said_to_play(engine: NotesEngine, model: Noise) -> None:
    state = song(engine, 1)[1]
    kick = (Note(-BAR_TICKS, 36, 100, 60, DRUMS + 1), Note(-1920, 36, 100, 60, DRUMS + 1))
    engine.generate(request(engine, 1, band=kick, **seats("piano")), state)
    history, asked = model.asked[-1]
    rows = history[0].events
    assert rows[rows[:, ROLE] == DRUMS][:, [STEP, PITCH]].tolist() == [[0, 36], [8, 36]]
    assert asked.bar.told[DRUMS] == 2


def test_the_chord_that_is_heard_holds_until_another_is(engine: NotesEngine, model: Noise) -> None:
    state = engine.start(1)
    seventh = tuple(Note(-1000, pitch, 90, 900, PIANO + 1) for pitch in (43, 59, 62, 65))
    for bar, heard in enumerate([(), seventh, (), (Note(-900, 72, 90, 500, PIANO + 1),)]):
        _, state = engine.generate(request(engine, bar, heard=heard, chord="heard"), state)
    told = [tuple(asked.bar.controls[[ROOT, QUALITY]].tolist()) for _, asked in model.asked]
    root, quality = CHORDS["G7"]
    assert told == [(0, 0)] + [(root + 2, quality + 1)] * 3


def test_who_accompanies_takes_the_chord_that_is_heard_unless_one_is_named(engine: NotesEngine, model: Noise) -> None:
    triad = tuple(Note(-1000, pitch, 90, 900, REED + 1) for pitch in (57, 60, 64))
    for chord, expected in (("free", "Am"), ("heard", "Am"), ("D7", "D7")):
        engine.generate(request(engine, heard=triad, follow="accompany", chord=chord), engine.start(1))
        root, quality = CHORDS[expected]
        assert model.asked[-1][1].bar.controls[[ROOT, QUALITY]].tolist() == [root + 2, quality + 1]
    engine.generate(request(engine, heard=triad), engine.start(1))
    assert not model.asked[-1][1].bar.controls.any()


def test_priming_restores_the_history_and_what_still_sounds(engine: NotesEngine) -> None:
    phrases, state = song(engine, 3)
    primed = engine.prime([Played(Meter(), phrase) for phrase in phrases], 1)
    for bar, kept in zip(primed.history, state.history, strict=True):
        assert bar.events[:, [BAR, STEP, ROLE, PITCH]].tolist() == kept.events[:, [BAR, STEP, ROLE, PITCH]].tolist()
    assert (primed.until == state.until).all()
    band = (Note(0, 36, 100, 60, DRUMS + 1),)
    again = engine.prime([Played(Meter(), phrases[0], band)], 1)
    assert again.history[0].events[0].tolist() == [0, 0, DRUMS, 36, 0, 7, ON_GRID]


class Ticking:
    """A clock that goes on by a second each time that it is looked at."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


def test_a_bar_without_time_enough_ends_at_a_beat_and_its_notes_with_it(model: Noise) -> None:
    whole, _ = NotesEngine(model).generate(request(NotesEngine(model)), NotesState())
    cuts = set()
    for time_s in range(len(whole.notes) + 2):
        engine = NotesEngine(model, Ticking())
        phrase, state = engine.generate(request(engine, time_left_s=time_s + 0.5), engine.start(1))
        phrase.check()
        if phrase.cut_tick is None:
            assert phrase == whole
            continue
        cuts.add(phrase.cut_tick)
        assert phrase.cut_tick % 960 == 0
        assert all(note.tick + note.length <= phrase.cut_tick for note in phrase.notes)
        before = [note for note in whole.notes if (note.tick + 120) // 240 * 240 < phrase.cut_tick]
        assert [(note.tick, note.part, note.pitch) for note in phrase.notes] == [
            (note.tick, note.part, note.pitch) for note in before
        ]
        assert len(state.history) == 1
    assert len(cuts) > 1
    assert 0 in cuts


def test_a_bar_between_two_is_one_of_some_and_likelier_than_they_to_be_followed_by_what_follows(
    engine: NotesEngine, model: Noise
) -> None:
    state = song(engine, 2)[1]
    following = Phrase(BAR_TICKS, tuple(Note(i * 480, 60 + i, 90, 480, PIANO + 1) for i in range(8)))
    after = engine.prime([Played(Meter(), following)], 1).history[0].events
    chosen, all_nats = [], []
    for take in range(8):
        before = len(model.asked)
        _, later = engine.generate(request(engine, 2, following=following, take=take), state)
        assert len(model.asked) - before == 8
        assert len(later.history) == 3
        asked = model.asked[before][1]
        proposals = [model.write(state.history, asked, generator(1, 2, take, stream)).events for stream in range(8)]
        nats = [scored(NoisyPage(int(rows[:, PITCH].sum())), after) for rows in proposals]
        chosen.append(nats[[rows.tolist() for rows in proposals].index(later.history[-1].events.tolist())])
        all_nats.append(nats)
        assert chosen[-1] > np.mean(nats)
    assert any(nats == max(each) for nats, each in zip(chosen, all_nats, strict=True))


def test_proposals_take_no_more_than_half_of_the_time(model: Noise) -> None:
    following = Phrase(BAR_TICKS, (Note(0, 60, 90, 480, PIANO + 1),))
    clock = Ticking()
    engine = NotesEngine(model, clock)
    engine.generate(request(engine, following=following, time_left_s=60.0), engine.start(1))
    assert clock.now_s < 35.0
    assert 1 < len(model.asked) < 8


def test_a_note_ends_where_the_bar_after_strikes_its_pitch(engine: NotesEngine) -> None:
    everywhere = Phrase(BAR_TICKS, tuple(Note(0, pitch, 90, 480, PIANO + 1) for pitch in range(20, 110)))
    phrase, _ = engine.generate(request(engine, 0, following=everywhere, **seats("piano")), engine.start(1))
    assert phrase.notes
    assert all(note.tick + note.length <= BAR_TICKS for note in phrase.notes)


class Drummer(NoisyPage):
    """Nineteen of twenty notes are drums', on every step; the bass is wanted on step 8 alone, and nobody else."""

    def logits(self, chosen: Sequence[int]) -> Logits:
        if len(chosen) == 1:
            logits = np.full(ROLE_COUNT, -30.0)
            logits[DRUMS], logits[BASS] = 0.0, -2.0 if chosen[0] == 8 else -9.0
            return logits.astype(np.float32)
        if not chosen:
            logits = np.full(BAR_END + 1, -12.0)
            last = self.notes[-1][0] if self.notes else -1
            logits[last + 1 : 16] = 0.0
            logits[BAR_END] = -3.0
            return logits.astype(np.float32)
        return super().logits(chosen)


def test_a_silent_drummers_moments_do_not_become_the_others(engine: NotesEngine, model: Noise) -> None:
    song(engine, 1)
    asked = replace(model.asked[0][1], temperature=1.0, top_p=1.0)
    rows = [row for seed in range(40) for row in written(Drummer(seed), asked, np.random.default_rng(seed)).events]
    assert {int(row[ROLE]) for row in rows} == {BASS}
    assert sum(row[STEP] == 8 for row in rows) > 0.8 * len(rows)
    assert written(Drummer(0), replace(asked, temperature=0.0), np.random.default_rng(0)).events[0, STEP] == 8
