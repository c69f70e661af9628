"""What trainings pay for a song: each decision once, knowing what came before and nothing of what comes later."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.errors import SidemanError
from engines.notes.events import BAR, quantised
from engines.notes.roles import BASS, DRUMS, ROLE_NAMED
from offline.notes import evaluate
from offline.notes.models import FIELDS, Bits, Scored, Song
from offline.notes.ngram import NGram
from offline.notes.playing import plain_bars
from offline.notes.streams import NGramModel, seed_of
from offline.notes.tokens import NAMES_FILE

torch = pytest.importorskip("torch", reason='trainings need the train extra: pip install "sideman[train]"')

WORDS = (
    "PAD_None", "BOS_None", "EOS_None", "Bar_0", "Bar_1", "Position_0", "Position_8", "Program_-1", "Program_33",
    "Pitch_36", "Pitch_40", "Velocity_99", "Duration_1.0.8", "Tempo_120.0", "Genre_folk", "Genre_jazz",
)  # fmt: skip


def song(bars: int = 6, tokens: NDArray[np.uint16] | None = None) -> Song:
    random = np.random.default_rng(4)
    rows = [(bar * 3840 + 240 * int(i), DRUMS, 36, 90, 1) for bar in range(bars) for i in random.choice(16, 3, False)]
    rows += [
        (bar * 3840 + 960 * i, BASS, 40 + int(random.integers(7)), 70, 900) for bar in range(bars) for i in range(4)
    ]
    rows += [(bar * 3840, ROLE_NAMED["piano"], 60 + tone, 80, 3000) for bar in range(bars) for tone in (0, 4, 7)]
    ticks, role, pitch, velocity, length = np.array(rows, np.int64).T
    events = quantised(ticks, role, pitch, velocity, length, np.arange(bars + 1) * 3840)
    return Song("a.mid", "jazz", "us", "g", events, plain_bars(bars), tokens=tokens)


def chain() -> Scored:
    from offline.notes.chain.config import ChainConfig
    from offline.notes.chain.network import ChainNetwork
    from offline.notes.chain.scored import ChainScored

    torch.manual_seed(1)
    config = ChainConfig(width=32, layers=2, heads=2, hidden=48, context=40)
    return ChainScored(ChainNetwork(config, 2), config, ("folk", "jazz"))


def gpt(window: int = 24) -> Scored:
    from offline.notes.gpt.network import GptNetwork, GptShape
    from offline.notes.gpt.scored import GptScored

    torch.manual_seed(1)
    return GptScored(GptNetwork(GptShape(len(WORDS), 32, 2, 2, 1, 48)), WORDS, window)


def tokens(notes: int = 12) -> NDArray[np.uint16]:
    """BOS, jazz, two bars of drums and bass, EOS."""
    body = []
    for i in range(notes):
        body += [3] * (i == 0) + [13] * (i == 0) + [4] * (i == notes // 2) + [5 + i % 2]
        body += [7, 9] if i % 3 == 0 else [8, 10]
        body += [11, 12]
    return np.array([1, 15, *body, 2], np.uint16)


def cut(whole: Song, bars: int) -> Song:
    return replace(whole, events=whole.events[whole.events[:, BAR] < bars], bars=whole.bars[:bars])


def test_a_chain_model_pays_once_for_each_decision_of_a_song_longer_than_its_context() -> None:
    model, whole = chain(), song()
    bits = model.bits(whole)
    drums = int((whole.events[:, 2] == DRUMS).sum())
    expected = [6, *[len(whole.events)] * 6, 0]
    expected[4] -= drums
    assert np.bincount(bits.field, minlength=len(FIELDS)).tolist() == expected
    assert (bits.bits > 0).all() and bits.bits.mean() < 8
    assert bits.notes == len(whole.events)


def test_what_comes_later_costs_nothing_earlier() -> None:
    whole = song()
    model = chain()
    later = model.bits(whole), model.bits(cut(whole, 3))
    for field in range(len(FIELDS)):
        a, b = (each.bits[each.field == field] for each in later)
        assert np.allclose(a[: len(b)], b, atol=1e-4), FIELDS[field]
    flat = tokens()
    reader = gpt(window=12)
    a, b = (reader.bits(song(tokens=each)).bits for each in (flat, np.append(flat[:30], flat[-1])))
    assert np.allclose(a[:28], b[:28], atol=1e-4)


def test_the_genre_counts() -> None:
    model, reader = chain(), gpt()
    one, other = (
        song(tokens=tokens()),
        replace(song(), genre="folk", tokens=np.append([1, 14], tokens()[2:]).astype("u2")),
    )
    unknown = replace(one, genre="polka")
    assert not np.allclose(model.bits(one).bits, model.bits(other).bits)
    assert np.isfinite(model.bits(unknown).bits).all()
    assert not np.allclose(reader.bits(one).bits, reader.bits(other).bits)


def test_windows_of_tokens_cover_a_song_once() -> None:
    flat = tokens()
    whole, windowed = gpt(200).bits(song(tokens=flat)), gpt(16).bits(song(tokens=flat))
    assert len(whole.bits) == len(windowed.bits) == len(flat) - 2
    assert np.allclose(whole.bits[:14], windowed.bits[:14], atol=1e-4), "the first window knows as much"
    assert whole.notes == 12


def test_the_seed_s_tokens_say_what_they_decide() -> None:
    stream = seed_of(WORDS)(song(tokens=tokens()))
    names = [FIELDS[field] for field in stream.field[:7]]
    assert names == ["bar", "other", "step", "role", "pitch", "velocity", "duration"]
    assert stream.drum[3:7].all() and not stream.drum[8:12].any()
    bits = Bits(np.ones(len(stream.tokens)), stream.field, stream.drum, stream.notes)
    spent = dict(zip(FIELDS, bits.charged(velocity=False), strict=True))
    assert spent["duration"] == 8 and spent["velocity"] == 0 and spent["pitch"] == 12, "drums are held for no time"
    model = NGramModel(NGram(5, len(WORDS)).fit([stream.tokens] * 9), seed_of(WORDS), reads_tokens=True)
    assert model.bits(song(tokens=tokens())).bits.mean() < 1
    for wrong in (None, np.array([1, 15, 99], np.uint16)):
        with pytest.raises(SidemanError, match="tokens of this vocabulary"):
            seed_of(WORDS)(song(tokens=wrong))


def test_a_model_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAMES_FILE).write_text(json.dumps(WORDS))
    evaluate._check_vocabularies({"fits": gpt(), "no tokens": chain()}, tmp_path)
    (tmp_path / NAMES_FILE).write_text(json.dumps(WORDS[:-1]))
    with pytest.raises(SidemanError, match="flat was trained on another vocabulary"):
        evaluate._check_vocabularies({"flat": gpt()}, tmp_path)
