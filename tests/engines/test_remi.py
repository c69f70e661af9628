"""The flat GPT as a NoteModel, with random weights: whatever it says, a bar comes out that decodes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.bundle import Tensor
from engines.errors import BundleError
from engines.music import Meter
from engines.notes.asked import Asked
from engines.notes.bar import written
from engines.notes.events import BAR, DURATION, OFFSET, ON_GRID, PITCH, ROLE, STEP, VELOCITY, Events, events_of
from engines.notes.grammar import Grammar, Limits, bar_notes, silence
from engines.notes.history import History, Measure, no_events, silent
from engines.notes.remi.line import Line
from engines.notes.remi.model import RemiGraph, RemiModel
from engines.notes.remi.vocabulary import END, POSITIONS, Vocabulary, log_sums, place_of, row_at
from engines.notes.roles import BASS, DRUMS, ROLE_COUNT

VOCABULARY = Vocabulary(
    (
        "PAD_None", "BOS_None", "EOS_None", *(f"Pitch_{i}" for i in range(21, 110)),
        *(f"Velocity_{i}" for i in range(3, 128, 4)), *(f"Duration_{i // 8}.{i % 8}.8" for i in range(1, 32)),
        *(f"Duration_{i // 4}.{i % 4}.4" for i in range(16, 49)), *(f"TimeSig_{i}" for i in ("3/4", "4/4", "7/8")),
        *(f"Position_{i}" for i in range(96)), *(f"Program_{i}" for i in range(-1, 128)),
        *(f"Tempo_{i}" for i in (60.0, 90.0, 120.0, 150.0)), *(f"Bar_{i}" for i in range(200)),
        "Genre_folk", "Genre_jazz",
    )
)  # fmt: skip
FOUR = Meter()
SIZE = 8


class Noise:
    """A graph whose logits depend on every token in its buffers, and on nothing else.

    Of one layer: a token's key is what it is, and where: as in a real one, turned by its position.
    """

    def __init__(self, window: int, sharpness: float = 3.0) -> None:
        random = np.random.default_rng(0)
        count = len(VOCABULARY)
        self.inputs = (
            Tensor("tokens", "int64", (-1, -1)), Tensor("cos", "float32", (-1, SIZE // 2)),
            Tensor("sin", "float32", (-1, SIZE // 2)), Tensor("last", "int32", (-1,)), Tensor("total", "int32", ()),
            Tensor("key0", "float32", (-1, 1, window, SIZE)), Tensor("value0", "float32", (-1, 1, window, SIZE)),
        )  # fmt: skip
        self._key = random.normal(size=(count, SIZE)).astype(np.float32)
        self._value = random.normal(size=(count, SIZE)).astype(np.float32)
        self._query = random.normal(size=(count, SIZE)).astype(np.float32)
        self._out = random.normal(size=(SIZE, count)).astype(np.float32) * sharpness
        self._rare = np.array([7.0 * name.startswith("Bar_") for name in VOCABULARY.names])
        self.heard = 0

    def __call__(self, **inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        tokens, total = inputs["tokens"][0], int(inputs["total"])
        self.heard += len(tokens)
        keys, values = inputs["key0"].copy(), inputs["value0"].copy()
        keys[0, 0, total - len(tokens) : total] = turned(self._key[tokens], inputs["cos"], inputs["sin"])
        values[0, 0, total - len(tokens) : total] = self._value[tokens]
        query = turned(self._query[tokens[-1:]], inputs["cos"][-1:], inputs["sin"][-1:])[0]
        weight = np.exp(keys[0, 0, :total] @ query / SIZE)
        mixed = (weight / weight.sum()) @ values[0, 0, :total] + self._value[tokens[-1]]
        return ((mixed @ self._out - self._rare)[None].astype(np.float32), keys, values)


def turned(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    one, other = np.split(x, 2, axis=-1)
    return np.concatenate([one * cos - other * sin, other * cos + one * sin], -1)


def model(window: int = 1024) -> tuple[RemiModel, Noise]:
    noise = Noise(window)
    return RemiModel(RemiGraph(noise, noise.inputs), VOCABULARY), noise


def asked(meter: Meter = FOUR, number: int = 0, **changed: object) -> Asked:
    (bar,) = silent(meter, 120.0)
    may = np.ones((meter.steps, ROLE_COUNT, 128), bool)
    grammar = Grammar(Limits(may, np.full(ROLE_COUNT, 6), 24), silence())
    return replace(Asked(bar, number, ((0, 1.0),), grammar), **changed)


def song(model_: RemiModel, bars: int, seed: int = 0, **changed: object) -> History:
    history: History = ()
    for number in range(bars):
        question = asked(number=number, **changed)
        events = model_.write(history, question, np.random.default_rng((seed, number))).events
        history = (*history, replace(question.bar, events=events))
    return history


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.sampled_from(["4/4", "7/8", "3/4"]),
    st.integers(1, 4), st.sampled_from([1.0, 0.5]),
)  # fmt: skip
def test_every_sample_is_a_bar_that_decodes(seed: int, heat: float, metre: str, voices: int, top_p: float) -> None:
    meter, (made, _) = Meter.parse(metre), model()
    may = np.zeros((meter.steps, ROLE_COUNT, 128), bool)
    may[:, [DRUMS, BASS, 3], 30:90:3] = True
    grammar = Grammar(Limits(may, np.full(ROLE_COUNT, voices), 5), silence())
    question = asked(meter, grammar=grammar, temperature=heat, top_p=top_p)
    bar = written(made, (), question, meter, np.random.default_rng(seed))
    events = bar.measures[0].events
    assert may[events[:, STEP], events[:, ROLE], events[:, PITCH]].all()
    assert (events[:, DURATION][events[:, ROLE] == DRUMS] == 0).all()
    place = (events[:, STEP] * 16 + events[:, ROLE]) * 128 + events[:, PITCH]
    assert (np.diff(place) > 0).all()
    for role in (DRUMS, BASS, 3):
        own = [note for note in bar.notes if note.part == role + 1]
        for note in own:
            sounding = [n for n in own if n.tick <= note.tick < n.tick + n.length]
            assert len(sounding) <= voices
            assert sum(n.pitch == note.pitch for n in sounding) == 1


def test_what_is_sampled_is_read_as_the_tokens_that_were_heard() -> None:
    made, noise = model()
    history = song(made, 2)
    assert all(len(bar.events) for bar in history)
    noise.heard = 0
    made.write(history, asked(number=2, left_s=lambda: 0.0), np.random.default_rng(0))
    bar = len(VOCABULARY.music(history[1], ())) + 8
    assert noise.heard <= bar, "no more than the last bar is heard again"


def test_a_fresh_model_answers_alike() -> None:
    history = song(model()[0], 3)
    question = asked(number=3)
    one = song(model()[0], 4)[3].events
    other = model()[0].write(history, question, np.random.default_rng((0, 3))).events
    np.testing.assert_array_equal(one, other)


def test_another_take_goes_on_from_the_same_music() -> None:
    made, _ = model()
    history = song(made, 3)
    first = made.write(history, asked(number=3), np.random.default_rng(1)).events
    made.write(history, asked(number=3), np.random.default_rng(2))
    np.testing.assert_array_equal(made.write(history, asked(number=3), np.random.default_rng(1)).events, first)


def test_a_full_context_slides_and_is_not_computed_again() -> None:
    made, noise = model(window=420)
    history: History = ()
    for number in range(30):
        before = noise.heard
        question = asked(number=number)
        events = made.write(history, question, np.random.default_rng(number)).events[:20]
        history = (*history, replace(question.bar, events=events))
        new = 4 + 5 * 256
        assert noise.heard - before < new + 4 * 20 + 250
    assert number == 29


def test_the_prefix_is_turned_after_what_is_left() -> None:
    """After a slide this graph, of one layer, says what it would had the dropped bars never been."""
    noise = Noise(420)
    line = Line(noise, noise.inputs, VOCABULARY, 0)
    bars = [
        replace(silent(FOUR, 0.0)[0], events=notes((step, 60 + number, 2) for step in range(16))) for number in range(8)
    ]
    line.open(tuple(bars), silent(FOUR, 0.0)[0], 8)
    line.open((*bars, bars[0]), silent(FOUR, 0.0)[0], 9)
    fresh = Line(noise, noise.inputs, VOCABULARY, 0)
    first = 9 - len(line.bars) + 1
    fresh.open((*bars[first:], bars[0]), silent(FOUR, 0.0)[0], 9)
    assert len(line.bars) < 10
    np.testing.assert_allclose(line.logits, fresh.logits, atol=1e-4)


def notes(places) -> Events:
    rows = [[0, step, BASS, pitch, duration, 5, ON_GRID] for step, pitch, duration in places]
    return np.array(rows, np.int32).reshape(-1, 7)


def test_positions_are_places_of_events() -> None:
    for position in range(POSITIONS):
        step, offset = row_at(position)
        row = [0] * 7
        row[STEP], row[OFFSET] = step, offset
        assert place_of(row) == position


def test_notes_are_the_tokens_of_the_seed() -> None:
    bar = replace(silent(FOUR, 120.0)[0], events=notes([(0, 40, 3), (3, 45, 0)]))
    header = VOCABULARY.header(bar, 0, None)
    said = [VOCABULARY.names[token] for token in (*header, *VOCABULARY.music(bar, header))]
    assert said == [
        "Bar_0", "TimeSig_4/4", "Position_0", "Tempo_120.0", "Program_33", "Pitch_40", "Velocity_71", "Duration_1.0.8",
        "Position_6", "Program_33", "Pitch_45", "Velocity_71", "Duration_0.2.8",
    ]  # fmt: skip


def test_a_tempo_is_said_where_it_changes_and_bars_are_counted_on_without_end() -> None:
    (slow,), (fast,) = silent(FOUR, 90.0), silent(FOUR, 150.0)
    said = [VOCABULARY.names[token] for token in VOCABULARY.header(fast, 3, slow)]
    assert said == ["Bar_3", "TimeSig_4/4", "Position_0", "Tempo_150.0"]
    assert len(VOCABULARY.header(slow, 3, slow)) == 2
    numbers = [VOCABULARY.names[VOCABULARY.header(slow, n, slow)[0]] for n in (63, 64, 127, 128, 10_000)]
    assert numbers == ["Bar_63", "Bar_64", "Bar_127", "Bar_64", f"Bar_{64 + 10_000 % 64}"]


def test_probabilities_of_tokens_that_mean_the_same_are_summed() -> None:
    logits = np.zeros(len(VOCABULARY), np.float32)
    p = np.exp(log_sums(logits, VOCABULARY.next))
    assert p[END] * len(VOCABULARY) == pytest.approx(200)
    assert p[POSITIONS + BASS] * len(VOCABULARY) == pytest.approx(8)
    assert p[POSITIONS + DRUMS] * len(VOCABULARY) == pytest.approx(1)
    assert p.sum() == pytest.approx((200 + 96 + 129) / len(VOCABULARY))


def test_two_genres_are_mixed_by_their_shares() -> None:
    made, _ = model()
    bar = replace(silent(FOUR, 120.0)[0], events=notes([(0, 40, 3), (4, 45, 1)]))
    alone = [made.score((), asked(bar=bar, genres=((genre, 1.0),))) for genre in (0, 1)]
    mixed = made.score((), asked(bar=bar, genres=((0, 0.25), (1, 0.75))))
    assert alone[0] != pytest.approx(alone[1], abs=1e-4)
    assert mixed == pytest.approx(0.25 * alone[0] + 0.75 * alone[1], rel=1e-5)


def test_time_that_is_over_leaves_an_incomplete_bar() -> None:
    made, _ = model()
    left = iter([1.0] * 8 + [0.0] * 1000)
    bar = made.write((), asked(left_s=lambda: next(left)), np.random.default_rng(0))
    assert not bar.complete
    assert 0 < len(bar.events) <= 8


def test_a_vocabulary_of_something_else_is_refused() -> None:
    with pytest.raises(BundleError, match="has no BOS_None"):
        Vocabulary(("PAD_None", "hello"))


def test_played_notes_become_events_and_tokens_and_back() -> None:
    events = notes([(2, 50, 5), (6, 52, 1)])
    again = events_of(FOUR, bar_notes(events))
    np.testing.assert_array_equal(events[:, [BAR, STEP, ROLE, PITCH, DURATION, VELOCITY]], again[:, :6])
    assert not len(VOCABULARY.music(Measure(16, 4, 0.0, *_silence(), no_events()), ()))


def _silence() -> tuple[np.ndarray, np.ndarray]:
    (bar,) = silent(FOUR, 0.0)
    return bar.controls, bar.told
