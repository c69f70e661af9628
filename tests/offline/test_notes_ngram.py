from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.notes.events import BAR, DURATION, OFFSET, PITCH, ROLE, STEP, VELOCITY, Events
from engines.notes.roles import BASS, DRUMS
from offline.notes.models import FIELDS, Bits, Song
from offline.notes.ngram import NGram
from offline.notes.streams import FIELDS_SIZE, NGramModel, fields_of


def row(bar: int, step: int, role: int, pitch: int, velocity: int = 5) -> list[int]:
    cells = [0] * 7
    cells[BAR], cells[STEP], cells[ROLE], cells[PITCH] = bar, step, role, pitch
    cells[DURATION], cells[VELOCITY], cells[OFFSET] = 3, velocity, 3
    return cells


def song(*rows: list[int], bars: int = 2) -> Song:
    events: Events = np.array(rows, np.int32)
    return Song("a.mid", "jazz", "us", "g", events, np.array([[16, 4, 120]] * bars, np.int32))


def streams(count: int = 60) -> list[NDArray[np.int64]]:
    """Of a language in which 1 and 2 alternate, and 3 comes in anywhere."""
    random = np.random.default_rng(3)
    return [np.where(random.random(40) < 0.15, 3, np.arange(40) % 2 + 1) for _ in range(count)]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_after_any_context_the_probabilities_of_all_tokens_sum_to_one(order: int) -> None:
    model = NGram(order, 6).fit(streams())
    for context in itertools.product((1, 3, 5), repeat=3):  # 5 was never heard
        total = sum(2.0 ** -model.bits(np.array([*context, token]))[-1] for token in range(1, 6))
        assert total == pytest.approx(1.0)


def test_a_longer_memory_pays_less_and_counts_decide() -> None:
    learned, held = streams(), streams(80)[60:]
    paid = [sum(NGram(order, 5).fit(learned).bits(one).mean() for one in held) for order in (1, 2, 3)]
    assert paid[0] > paid[1] + 5 and paid[1] >= paid[2] - 0.5
    one = NGram(1, 5).fit([np.array([1, 1, 1, 2])])
    discounted = 1 - 0.5  # too few counts to estimate: .5 off each, given to all 4 alike
    assert 2.0 ** -one.bits(np.array([2]))[0] == pytest.approx((discounted + 2 * 0.5 / 4) / 4)


def test_pieces_do_not_flow_into_each_other() -> None:
    model = NGram(2, 6).fit([np.array([1, 2, 1, 2])] * 50 + [np.array([3, 4, 3, 4])] * 50)
    assert model.bits(np.array([2, 3]))[1] > 5, "3 begins a piece, and never follows 2"
    assert model.bits(np.array([3, 4]))[1] < 0.1


def test_too_long_a_gram_is_refused() -> None:
    with pytest.raises(SidemanError, match="lower order"):
        NGram(7, 1414)


def test_a_song_is_laid_flat_in_order_and_each_token_knows_what_it_decides() -> None:
    one = song(row(0, 0, DRUMS, 36), row(0, 0, BASS, 40), row(1, 4, BASS, 40, velocity=0))
    stream = fields_of(one)
    assert [FIELDS[field] for field in stream.field] == [
        "step", "role", "pitch", "velocity", "offset",  # a drum is held for no time
        "role", "pitch", "duration", "velocity", "offset",  # the same step
        "bar",
        "step", "role", "pitch", "duration", "offset",  # how loud is not known
        "bar",
    ]  # fmt: skip
    assert stream.drum.sum() == 5 and stream.notes == 3
    assert stream.tokens.min() > 0 and stream.tokens.max() < FIELDS_SIZE
    assert len(np.unique(stream.tokens[stream.field == PITCH])) == 2, "a drum's pitch is none of the bass's"


def test_what_is_charged() -> None:
    one = song(row(0, 0, DRUMS, 36), row(0, 0, BASS, 40), row(1, 4, BASS, 40, velocity=0))
    bits = Bits.of_notes(one.events, np.ones((3, 6)), np.full(2, 0.5))
    assert bits.charged(True).tolist() == [1.0, 3, 3, 3, 2, 2, 3, 0]
    assert bits.charged(False)[VELOCITY] == 0
    drummed = Bits(np.ones(2), np.array([DURATION, PITCH], np.int8), np.array([True, True]), 1)
    assert drummed.charged(True).tolist() == [0, 0, 0, 1, 0, 0, 0, 0], "a vocabulary that says how long a drum is held"


def test_a_model_of_counts_scores_songs() -> None:
    learned = [song(*[row(bar, step, BASS, 40 + step % 3) for bar in range(8) for step in (0, 4, 8)], bars=8)]
    model = NGramModel(NGram(5, FIELDS_SIZE).fit([fields_of(one).tokens for one in learned * 20]), fields_of)
    known = model.bits(learned[0])
    other = model.bits(song(row(0, 1, BASS, 90), row(1, 3, BASS, 12)))
    assert known.charged(True).sum() / known.notes < 1
    assert other.charged(True).sum() / other.notes > 10
