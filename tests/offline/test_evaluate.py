from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.drums.bar import MASKS, Bar, History
from engines.drums.model import Carry, Controls
from engines.errors import SidemanError
from engines.music import Meter
from offline.bootstrap import interval
from offline.drums import evaluate
from offline.drums.baselines import CopyLastBar, CountModel
from offline.drums.dataset import DrumDataset, Piece
from offline.drums.feel import Feel, Guess, HasFeel, controls
from offline.drums.freerun import Trial, model_playing, play, playing, real_playing, starts
from offline.drums.metrics import Scores, total
from offline.drums.results import Comparison, Result
from offline.drums.vocabulary import Vocabulary

GROOVE = "Groove MIDI Dataset v1.0.0"
BEAT = [1, 0, 4, 0, 6, 0, 4, 0] * 2


def piece(masks: list[int], source: str = GROOVE, path: str = "a.mid", offset: int = 0, bpm: float = 120.0) -> Piece:
    array = np.array(masks, np.uint16)
    on = (array[:, None] >> np.arange(9)) & 1 != 0
    velocity = np.where(on, 90, 0).astype(np.uint8)
    offsets = np.where(on, offset, 0).astype(np.int16)
    return Piece(array, velocity, offsets, Meter(), bpm, source=source, path=path, style="rock")


class Repeater:
    """Plays the last bar again, and knows it: a whole DrumModel with feel."""

    styles = ("rock",)

    def prime(self, history: History, controls: Controls) -> Carry:
        return None

    def bar(
        self, history: History, carry: Carry, meter: Meter, controls: Controls, random: np.random.Generator
    ) -> tuple[Bar, Carry]:
        return (history[-1] if history else Bar.silent(meter)), None

    def distributions(self, bars: Sequence[Bar], controls: Controls) -> NDArray[np.float32]:
        assert controls.style == "rock"
        masks = np.concatenate([bar.masks for bar in bars])
        p = np.full((len(masks), MASKS), 0.5 / (MASKS - 1), np.float32)
        p[np.arange(len(masks)), masks] = 0.5
        return p

    def feel(self, bars: Sequence[Bar], controls: Controls, continuing: bool) -> Guess:
        shape = (sum(len(bar.masks) for bar in bars), 9)
        return np.full(shape, 80, np.float32), np.full(shape, 24 if continuing else 0, np.float32)


def test_scores_by_hand() -> None:
    masks = np.array([1, 0, 3, 8], np.uint16)
    p = np.zeros((4, MASKS), np.float32)
    p[0, 1], p[1, 1], p[1, 0], p[2, 3] = 1.0, 0.75, 0.25, 1.0
    p[3, 8], p[3, 16], p[3, 0] = 0.25, 0.25, 0.5
    scores = Scores.of(masks, p, 2, Vocabulary((0, 1, 3), (1, 1, 1, 1)))
    assert scores.bits == pytest.approx(0 + 2 + 0 + 2)
    # Masks 8 and 16 are UNK, together as likely as silence; of equals the lower token is taken.
    assert scores.nats == pytest.approx(np.log(4) + np.log(2), abs=1e-5)
    assert (scores.correct, scores.right_steps, scores.exact_bars) == (3, 2, 0)
    assert scores.true.tolist()[:2] == [2, 1]
    assert (scores.false.sum(), scores.missed.sum()) == (1, 1)
    assert scores.f1[0] == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert scores.f1_micro == pytest.approx(6 / 8)
    both = total([scores, scores])
    assert (both.bits_per_bar, both.bars) == (pytest.approx(2.0), 4)
    assert both.perplexity == pytest.approx(scores.perplexity)


def test_a_bar_is_exact_only_when_every_step_is() -> None:
    masks = np.array([1, 0, 1, 1], np.uint16)
    p = np.full((4, MASKS), 0.1 / (MASKS - 1), np.float32)
    p[[0, 1, 2, 3], [1, 0, 1, 2]] = 0.9
    assert Scores.of(masks, p, 2, None).exact == 0.5


def test_intervals_hold_the_mean_and_pair_by_file() -> None:
    random = np.random.default_rng(1)
    bars = random.integers(1, 50, 80)
    hard = random.normal(40, 15, 80)
    low, high = interval(hard * bars, bars, seed=0)
    assert low < (hard * bars).sum() / bars.sum() < high
    assert (low, high) == interval(hard * bars, bars, seed=0)

    def result(name: str, bits: NDArray[np.float64]) -> Result:
        zeros = np.zeros(9, np.int64)
        return Result(name, "p", {
            str(i): Scores(16 * int(n), int(n), float(b), 0.0, 0, 0, 0, zeros, zeros, zeros)
            for i, (b, n) in enumerate(zip(bits, bars, strict=True))
        })  # fmt: skip

    compared = Comparison.of(result("one", (hard - 1) * bars), result("other", hard * bars), 0)
    assert compared.difference == pytest.approx(-1)
    assert (compared.low, compared.high) == (pytest.approx(-1), pytest.approx(-1))
    assert compared.better == 1.0


def test_feel_is_in_milliseconds_at_the_piece_s_tempo() -> None:
    slow = piece(BEAT, offset=48, bpm=60.0)
    shape = (16, 9)
    feel = Feel.of(slow, (np.full(shape, 80, np.float32), np.zeros(shape, np.float32)))
    assert feel.timing_mae_ms == pytest.approx(50)
    assert feel.velocity_mae == pytest.approx(10)


def test_controls_of_feel_learn_from_train_alone() -> None:
    train = DrumDataset.of([piece(BEAT, offset=-30)])
    late = piece(BEAT * 8, offset=30)
    errors = {name: Feel.of(late, guess(late)).timing_mae_ms for name, guess in controls(train).items()}
    tick_ms = 500 / 960
    assert errors["quantised, constant"] == pytest.approx(30 * tick_ms)
    assert errors["medians by instrument"] == pytest.approx(60 * tick_ms)
    assert errors["running mean"] < 20 * tick_ms
    assert list(controls(None)) == ["quantised, constant"]


def test_playing_counts_repeats_hits_and_silence() -> None:
    bars = piece([*BEAT, *BEAT, *[0] * 16, *[1] * 16]).bars()
    found = playing([(None, bars, 120.0), (bars[0], bars[:1], 120.0)])
    assert found.repeats == pytest.approx(2 / 4)
    assert found.hits == pytest.approx((10 + 10 + 0 + 16 + 10) / 5)
    assert found.silent == pytest.approx(1 / 5)
    assert found.velocity_spread == 0


def test_free_running_starts_inside_pieces_and_repeats_by_seed() -> None:
    pieces = [piece(BEAT * 12), piece(BEAT), piece(BEAT * 3)]
    drawn = starts(pieces, 5, seed=3)
    assert len(drawn) == 5
    assert all(start.heard for start in drawn)
    assert len(starts(pieces, 99, seed=3)) == 8 + 1
    trial = Trial(True, 1.0, 4, seed=1)
    assert model_playing(Repeater(), drawn, trial).repeats == 1.0
    model = CountModel([(), ("previous",)]).fit(DrumDataset.of(pieces))
    takes = [[bar.masks.tolist() for bar in play(model, drawn[0], trial, take)] for take in (0, 0, 1)]
    assert takes[0] == takes[1] != takes[2]
    assert model_playing(Repeater(), drawn, Trial(False, 1.0, 4, seed=1)).silent == 1.0
    assert real_playing(pieces).bars == 15


def test_a_judged_model_has_every_measure() -> None:
    model = Repeater()
    assert isinstance(model, HasFeel)
    assert not isinstance(CopyLastBar(), HasFeel)
    part = evaluate.Part("groove validation", (piece(BEAT * 6, offset=24),), (), None)
    row = evaluate._judge("model", model, part, Vocabulary((0, 1, 4, 6), (0,) * 5), {}).row(seed=0)
    assert row["bits_per_bar"] == pytest.approx(16)
    assert row["accuracy"] == row["exact_bar"] == row["f1_micro"] == row["f1_kick"] == 1.0
    assert row["f1_ride"] is None
    assert row["perplexity"] == pytest.approx(2, abs=0.01)
    assert row["timing_mae_ms_hits"] == pytest.approx(12.5)
    assert row["timing_mae_ms_continuing"] == 0
    assert row["velocity_mae_hits"] == pytest.approx(10)
    assert row["hits_per_bar_greedy"] == 10


def dataset(folder: Path, *splits: str) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    for split in splits:
        pieces = []
        for i in range(6):
            masks = [int(m) for m in np.where(random.random(96) < 0.1, 2, BEAT * 6)]
            pieces.append(piece(masks, GROOVE if i % 2 else "other", f"{split}{i}.mid", offset=int(i)))
        DrumDataset.of(pieces).save(folder / f"{split}.npz")
        if split == "train":
            Vocabulary.of(np.concatenate([p.masks for p in pieces]), 128).save(folder / "vocab_topN.json")
    return folder


def run(*options: str) -> int:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return evaluate.run(parser.parse_args(options))


def rows(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return {(row["model"], row["part"]): row for row in csv.DictReader(file)}


QUICK = ("--starts", "2", "--bars", "2", "--no-figures")


def test_baselines_are_in_the_table_of_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = dataset(tmp_path / "ds", "train", "validation", "test")
    assert run("--data", str(data), "-o", str(tmp_path / "out"), *QUICK) == 0
    table = rows(tmp_path / "out")
    parts = {part for _, part in table}
    assert parts == {"groove validation", "groove test", "rest", "rest of test", "its own test split"}
    for name in ("unigram", "bigram", "copy last bar"):
        row = table[name, "groove validation"]
        assert 0 < float(row["bits_per_bar"]) < 60
        assert 0 < float(row["accuracy"]) <= 1
        assert row["primed_t1_hits_per_bar"]
    assert float(table["copy last bar", "rest"]["bits_per_bar"]) < float(table["unigram", "rest"]["bits_per_bar"])
    assert table["running mean", "rest"]["timing_mae_ms_continuing"]
    assert table["the seed, as published", "its own test split"]["accuracy"] == "0.5559"
    assert "copy last bar" in capsys.readouterr().out


def test_a_held_out_folder_takes_its_baselines_from_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = dataset(tmp_path / "train", "train")
    held = dataset(tmp_path / "held", "test")
    run("--data", str(held), "--train", str(train), "-o", str(tmp_path / "out"), *QUICK)
    assert ("unigram", "groove test") in rows(tmp_path / "out")
    assert rows(tmp_path / "out")["unigram", "rest"]["accuracy"]
    run("--data", str(held), "-o", str(tmp_path / "bare"), *QUICK)
    said = capsys.readouterr().out
    assert said.count("no baselines: ") == 1
    assert ("unigram", "groove test") not in rows(tmp_path / "bare")
    assert ("real", "groove test") in rows(tmp_path / "bare")


def test_files_that_were_learned_from_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = dataset(tmp_path / "ds", "train", "validation")
    run("--data", str(data), "-o", str(tmp_path / "out"), *QUICK)
    assert "warning" not in capsys.readouterr().out
    (data / "validation.npz").write_bytes((data / "train.npz").read_bytes())
    run("--data", str(data), "-o", str(tmp_path / "out"), *QUICK)
    assert "warning: 6 of the files to judge by are in train.npz too, such as train0.mid" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_table(tmp_path: Path) -> None:
    data = dataset(tmp_path / "ds", "train", "validation")
    for name in ("one", "two"):
        run("--data", str(data), "-o", str(tmp_path / name), *QUICK)
    assert (tmp_path / "one" / "metrics.csv").read_bytes() == (tmp_path / "two" / "metrics.csv").read_bytes()


def test_figures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib, of the train extra")
    data = dataset(tmp_path / "ds", "train", "validation")
    run("--data", str(data), "-o", str(tmp_path / "out"), "--starts", "2", "--bars", "2")
    for name in ("bits.png", "f1.png", "playing.png", "feel.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "missing"], "does not exist"),
        (["--data", "ds", "--split", "test"], "test.npz does not exist"),
        (["nothing.here", "--data", "ds"], "nothing.here"),
        (["--data", "ds", "--bars", "0"], "--bars"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str) -> None:
    dataset(tmp_path / "ds", "train", "validation")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SidemanError, match=said):
        run(*options)


def test_what_does_not_sum_to_one_has_no_score() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        Scores.of(np.zeros(2, np.uint16), np.full((2, MASKS), 0.01, np.float32), 2, None)


def test_models_are_told_what_the_labels_say_or_nothing() -> None:
    heard: list[Controls] = []

    class Listener(Repeater):
        def distributions(self, bars: Sequence[Bar], controls: Controls) -> NDArray[np.float32]:
            heard.append(controls)
            return Repeater.distributions(self, bars, Controls(style="rock"))

    fill = replace(piece(BEAT, bpm=90.0), fill=True)
    for told in (True, False):
        evaluate._judge("model", Listener(), evaluate.Part("rest", (fill,), (), None, told), None, {})
    assert (heard[0].style, heard[0].fill, heard[0].bpm) == ("rock", True, 90.0)
    assert heard[1] == Controls()
