"""evaluate notes, on a small data set of three made-up genres and models whose answers are known."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from engines.engine import Request
from engines.errors import SidemanError
from engines.music import Note, Phrase
from engines.notes.events import BAR, Bars, Events, quantised
from engines.notes.roles import BASS, DRUMS, ROLE_NAMED
from engines.parameter import Parameter
from offline.notes import evaluate, genre
from offline.notes.compare import compare
from offline.notes.corpus import FOLDER, Corpus
from offline.notes.features import SCALARS, excerpts, pitch_classes, scalars, vector
from offline.notes.genre import Excerpts, Judge, Verdict
from offline.notes.models import FIELDS, Bits, Prompt, Song
from offline.notes.pieces import Piece
from offline.notes.playing import EnginePlayer, meter_of, plain_bars, write_midi
from offline.notes.reading import read_midi
from offline.notes.results import Result, rows_of
from offline.notes.songs import ALL, MACRO, parts_of, read_songs

if TYPE_CHECKING:
    from engines.engine import Engine

pytest.importorskip("sklearn", reason='judges need the train extra: pip install "sideman[train]"')
PIANO = ROLE_NAMED["piano"]
GENRES = ("bebop", "march", "waltz")


def music(style: str, seed: int, bars: int = 8) -> Events:
    """bebop: running eighths and drums; march: bass on the beats; waltz: chords after the beat."""
    random = np.random.default_rng((GENRES.index(style), seed))
    rows = []
    for bar in range(bars):
        at = bar * 3840
        if style == "bebop":
            rows += [(at + 480 * i, PIANO, 60 + int(random.integers(12)), 90, 400) for i in range(8)]
            rows += [(at + 960 * i, DRUMS, 51, 80, 100) for i in range(4)]
        if style == "march":
            rows += [(at + 960 * i, BASS, 36 + int(random.choice([0, 5, 7])), 100, 900) for i in range(4)]
        if style == "waltz":
            root = 48 + int(random.integers(12))
            rows += [(at + 960 * i, PIANO, root + tone, 60, 1900) for i in (1, 2) for tone in (0, 4, 7)]
    ticks, role, pitch, velocity, length = np.array(rows, np.int64).T
    return quantised(ticks, role, pitch, velocity, length, np.arange(bars + 1) * 3840)


def song(style: str, seed: int = 0, bars: int = 8, source: str = "us") -> Song:
    return Song(f"{style}{seed}.mid", style, source, f"{style}{seed}", music(style, seed, bars), plain_bars(bars))


def data_set(folder: Path) -> Path:
    """Of 20 training and 6 validation songs a genre, MMA's and POP909's."""
    for split, seeds in (("train", range(20)), ("validation", range(20, 26))):
        songs = [song(style, seed) for style in GENRES for seed in seeds]
        corpus = Corpus.of(
            [Piece(one.events, one.bars) for one in songs],
            piece_velocity=[True for _ in songs],
            piece_genre=[one.genre for one in songs],
            piece_source=["POP909" if i % 2 else "MMA grooves" for i in range(len(songs))],
            piece_group=[one.group for one in songs],
            piece_path=[one.path for one in songs],
            piece_licence=["MIT" for _ in songs],
            piece_nc=[False for _ in songs],
        )
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        corpus.save(folder / FOLDER / f"{split}.npz")
    return folder


class Player:
    """Plays what it is asked for; a blend by chance. obeys: or any genre."""

    genres = GENRES

    def __init__(self, obeys: bool = True) -> None:
        self._obeys = obeys

    def play(self, prompt: Prompt) -> tuple[Events, Bars]:
        random = np.random.default_rng(prompt.seed)
        style = prompt.blend if random.random() < prompt.blend_amount else prompt.genre or "march"
        if not self._obeys:
            style = GENRES[prompt.seed % 3]
        return music(style, 100 + prompt.seed, len(prompt.bars)), prompt.bars


class Coin:
    """Pays one bit for everything."""

    reads_tokens = False

    def bits(self, song: Song) -> Bits:
        return Bits.of_notes(song.events, np.ones((len(song.events), 6)), np.ones(len(song.bars)))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return evaluate.run(parser.parse_args([str(word) for word in words]))


def test_features_by_hand() -> None:
    found = dict(zip(SCALARS, scalars(song("waltz")), strict=True))
    assert found["density"] == pytest.approx(6 / 4) and found["drum density"] == 0
    assert found["polyphony"] == pytest.approx((3 * 4 + 6 * 4 + 3 * 4) / 12, abs=0.01), (
        "the second chord over the first"
    )
    assert found["duration"] == pytest.approx(2)
    shares = pitch_classes(song("march"))
    assert shares.sum() == pytest.approx(1) and (shares > 0).sum() == 3
    assert shares[[0, 5, 7]].sum() == pytest.approx(1) or shares[[0, 2, 7]].sum() == pytest.approx(1), (
        "in the song's key"
    )
    silent = Song("", "", "", "", np.zeros((0, 7), np.int32), plain_bars(2))
    assert np.isfinite(vector(silent)).all() and not scalars(silent).any()


def test_excerpts_are_whole_and_begin_at_bar_0() -> None:
    parts = list(excerpts(song("march", bars=20), 8, 4))
    assert [len(part.bars) for part in parts] == [8, 8]
    assert all(part.events[0, BAR] == 0 and part.events[-1, BAR] == 7 for part in parts)
    assert len(next(excerpts(song("march", bars=3), 8, 4)).bars) == 3


def test_rows_of_parts_and_their_mean() -> None:
    songs = [song("march", 0, source="MMA a"), song("bebop", 1, source="POP909"), song("waltz", 2, source="LMMS")]
    results = [Result.of("coin", part, Coin(), members) for part, members in parts_of(songs).items()]
    rows = {str(row["part"]): row for row in rows_of(results, 0)}
    assert list(rows) == ["MMA", "POP909", "other", MACRO, ALL]
    assert rows["MMA"]["bits_per_note"] == pytest.approx(6 + 8 / 32)
    assert rows["MMA"]["bits_per_note_on_grid"] == pytest.approx(5 + 8 / 32)
    assert rows["MMA"]["bits_per_beat"] == pytest.approx(6 + 8 / 32), "four notes and four beats a bar"
    assert rows["POP909"]["bits_per_note"] == pytest.approx((8 * 6 + 4 * 5 + 1) / 12), "a drum is held for no time"
    mean = (float(rows["MMA"]["bits_per_note"] or 0) + float(rows["POP909"]["bits_per_note"] or 0)) / 2
    assert rows[MACRO]["bits_per_note"] == pytest.approx(mean), "without the rest"
    assert rows[ALL]["bits_per_note"] == pytest.approx((32 * 6 + 96 * 6 - 32 + 48 * 6 + 24) / 176)
    assert rows["MMA"]["perplexity"] == pytest.approx(2)
    spent = sum(float(rows["MMA"][f"bits_{name}"] or 0) for name in FIELDS)
    assert spent == pytest.approx(rows["MMA"]["bits_per_note"])
    assert [*parts_of([song("march", source="x"), song("march", source="y")])] == ["x", "y"], (
        "none of ours: each its own"
    )


def test_a_judge_hears_who_does_as_asked() -> None:
    learned = Excerpts.of([song(style, seed) for style in GENRES for seed in range(15)])
    judge = Judge.taught("us", learned, 0)
    obeyed, ignored = (
        Verdict.of(judge, "model", Excerpts.of([
            Song("", style, "", "", *Player(obeys).play(Prompt(style, plain_bars(8), seed)))
            for style in GENRES for seed in range(6)
        ])) for obeys in (True, False)
    )  # fmt: skip
    (*each, whole), chance = obeyed.rows(), ignored.rows()[-1]
    assert [row["genre"] for row in each] == [*GENRES] and whole["recognised"] == 1.0
    assert chance["recognised"] == pytest.approx(1 / 3) and chance["chance"] == pytest.approx(1 / 3)
    assert sum(int(str(row["excerpts"])) for row in ignored.confusion()) == 18
    weighted = obeyed.rows(np.array([9, 1, 0]))[-1]
    assert weighted["majority"] == pytest.approx(0.9)


def test_what_is_compared_has_a_floor() -> None:
    real, other = ([song("waltz", seed) for seed in range(i, i + 20)] for i in (0, 20))
    rows = {
        str(row["feature"]): row for row in compare("m", "waltz", [song("bebop", i) for i in range(20)], real, other)
    }
    assert rows["density"]["mean"] == pytest.approx(2) and rows["density"]["mean_real"] == pytest.approx(1.5)
    assert float(rows["range"]["distance"] or 0) > 3 * float(rows["range"]["floor"] or 0)
    assert float(rows["pitch classes"]["distance"] or 0) > float(rows["pitch classes"]["floor"] or 0) > 0
    degrees = [float(rows[f"degree {i}"]["mean_real"] or 0) for i in range(12)]
    assert sum(degrees) == pytest.approx(1)


def test_midi_is_read_back_as_it_was_played(tmp_path: Path) -> None:
    one = song("bebop")
    for name in ("a.mid", "b.mid"):
        write_midi(tmp_path / name, one.events, one.bars)
    data = (tmp_path / "a.mid").read_bytes()
    assert data == (tmp_path / "b.mid").read_bytes()
    reading = read_midi(data)
    assert len(reading.ticks) == len(one.events) and reading.is_drum.sum() == 32
    assert reading.meters[0][1] == meter_of(one.bars[0]) and reading.tempi[0][1] == 500_000
    odd = np.array([[7, 8, 90], [14, 8, 90]], np.int32)
    assert [str(meter_of(bar)) for bar in odd] == ["7/16", "7/8"]


def test_the_command_repeats_its_files_and_says_who_is_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_set(tmp_path / "data")
    monkeypatch.setattr(evaluate, "load_model", {"good": Player(), "deaf": Player(False), "coin": Coin()}.__getitem__)
    monkeypatch.setattr(genre, "TREES", 40)
    options = (
        "--data",
        data,
        "--samples-per-genre",
        4,
        "--bars",
        8,
        "--blend",
        "bebop:march",
        "--phrases",
        4,
        "--seed",
        5,
    )
    for folder in ("one", "two"):
        assert run("good", "deaf", "fair=coin", "-o", tmp_path / folder, *options) == 0
    files = {
        "model_metrics.csv", "genre_compare.csv", "genre_classifier.csv", "genre_confusion.csv", "genre_blend.csv",
        "copies.csv", "likeness.csv",
    }  # fmt: skip
    written = {path.name for path in (tmp_path / "one").glob("*.csv")}
    assert files == written and (tmp_path / "one" / "confusion_all_sources.png").stat().st_size > 10_000
    for path in (*sorted((tmp_path / "one").glob("*.csv")), *(tmp_path / "one" / "generated").rglob("*.mid")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path.name
    assert len(list((tmp_path / "one" / "generated" / "good" / "waltz").glob("*.mid"))) == 4
    metrics = {(row["model"], row["part"]): row for row in table(tmp_path / "one" / "model_metrics.csv")}
    bits = [float(metrics[name, MACRO]["bits_per_note"]) for name in ("5-gram", "bigram", "unigram")]
    assert bits[0] < bits[1] < bits[2]
    assert ("fair", "MMA") in metrics and ("the seed, as published", "its own test split") in metrics
    verdicts = {
        row["subject"]: row for row in table(tmp_path / "one" / "genre_classifier.csv") if row["genre"] == "all"
    }
    assert float(verdicts["real"]["recognised"]) == float(verdicts["good"]["recognised"]) == 1.0
    assert float(verdicts["deaf"]["recognised"]) < 0.5
    blend = [
        row
        for row in table(tmp_path / "one" / "genre_blend.csv")
        if (row["judge"], row["model"]) == ("all sources", "good")
    ]
    shares = [float(row["p_blend"]) for row in blend]
    assert [row["blend_amount"] for row in blend] == ["0", "0.25", "0.5", "0.75", "1"]
    assert shares[0] < 0.1 and shares[-1] > 0.9
    assert "genre recognised in 100%" in capsys.readouterr().out


@pytest.mark.filterwarnings("default")  # those of Jupyter's own parts are not ours to mend
def test_the_notebook_draws_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notebook: Callable[[str], tuple[str, list[dict[str, Any]]]]
) -> None:
    data = data_set(tmp_path / "data")
    monkeypatch.setattr(evaluate, "load_model", lambda path: Player())
    monkeypatch.setattr(genre, "TREES", 10)
    run("good", "-o", tmp_path / "out", "--data", data, "--samples-per-genre", 2, "--bars", 8, "--phrases", 3,
        "--no-figures", "--blend", "bebop:march")  # fmt: skip
    monkeypatch.setenv("SIDEMAN_EVALUATION", str(tmp_path / "out"))
    texts, shown = notebook("notes.ipynb")
    assert "5-gram" in texts and "hold a copy of 4 bars" in texts and "gain " in texts
    assert sum("image/png" in data for data in shown) == 6, "bits, fields, two of the genres, judges, blends"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "missing"], "does not exist"),
        (["--data", "data", "--samples-per-genre", "0"], "--samples-per-genre"),
        (["--data", "data", "--phrases", "-1"], "--phrases 0 or more"),
        (["--data", "data", "nothing.here"], "nothing.here"),
        (["--data", "data", "empty"], "no bundle, and no training"),
        (["--data", "data", "other"], "a training of groove"),
        (["--data", "data", "a/x", "b/x"], "two models are called x"),
        (["--data", "data", "--blend", "jazz"], "two genres"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str) -> None:
    data_set(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "hparams.json").write_text(json.dumps({"model": "groove"}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SidemanError, match=said):
        run(*options)


def test_a_genre_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_set(tmp_path / "data")
    monkeypatch.setattr(evaluate, "load_model", lambda path: Player())
    with pytest.raises(SidemanError, match="no genre polka; there are bebop, march, waltz"):
        run("p", "--data", data, "-o", tmp_path / "o", "--no-baselines", "--no-figures", "--samples-per-genre", 1,
            "--bars", 4, "--blend", "bebop:polka")  # fmt: skip


def test_parts_and_licences(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data")
    songs = read_songs(data, "validation", tokens=True)
    assert [*parts_of(songs)] == ["MMA", "POP909"] and all(one.tokens is None for one in songs)
    assert len(read_songs(data, "train", nc=False)) == 60


class Organ:
    """An engine that holds one chord a bar in the seat whose switch is on, an octave up for bebop."""

    parameters: tuple[Parameter, ...] = (
        Parameter(name="genre", kind="choice", default="any", choices=("any", *GENRES)),
        Parameter(name="temperature", kind="float", default=0.7),
        Parameter(name="drums", kind="bool", default=False),
    )

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def start(self, seed: int) -> int:
        return seed

    def generate(self, request: Request, state: int) -> tuple[Phrase, int]:
        self.asked.append(request)
        pitch = 60 + 12 * (request.parameters["genre"] == "bebop") + state
        return Phrase.of(request.length_ticks, [Note(-40, pitch, 80, 900, part=PIANO + 1)]), state + 1


def test_an_engine_plays_what_it_is_asked_bar_by_bar() -> None:
    engine = Organ()
    player = EnginePlayer(cast("Engine", engine), "organ")
    assert player.genres == GENRES
    bars = np.array([[16, 4, 120], [14, 8, 90]], np.int32)
    heard = (Note(-960, 60, 80, 900, 3),)
    events, as_played = player.play(Prompt("bebop", bars, 2, heard=heard))
    assert events[:, [0, 1, 2, 3]].tolist() == [[0, 0, PIANO, 74], [1, 0, PIANO, 75]] and as_played is bars
    first, second = engine.asked
    assert (first.heard, second.heard) == (heard, ()) and (second.start_tick, str(second.meter)) == (3840, "7/8")
    assert first.parameters == {"genre": "bebop", "temperature": 0.7, "drums": True}
    player.play(Prompt("", bars, 2, temperature=0.5))
    assert engine.asked[-1].parameters["genre"] == "any" and engine.asked[-1].parameters["temperature"] == 0.5
    engine.parameters = engine.parameters[1:]
    with pytest.raises(SidemanError, match="organ has no genres"):
        EnginePlayer(cast("Engine", engine), "organ")
