"""`sideman train steering`: from a prepared set to directions that are what they say, interrupted or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.cli import main
from engines.errors import SidemanError
from engines.musicgen.direction import Selection, read_direction, steer

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")
pytest.importorskip("pyarrow", reason="needs the extra train")

from offline.steering import directions  # noqa: E402
from offline.steering.concepts import concept_of, file_name  # noqa: E402
from offline.steering.directions import layers_of  # noqa: E402
from offline.steering.examples import examples_of  # noqa: E402
from offline.steering.index import Row, write_index  # noqa: E402
from offline.steering.model import load_model  # noqa: E402
from offline.steering.tiny import SIZES, write_tiny  # noqa: E402

RATE_HZ = 32_000


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    common = {"font": "sines", "program": 0, "register": 4, "rate_hz": RATE_HZ, "seconds": 0.2}
    write_index(folder, [Row(**{**common, **row}) for row in rows])
    return folder


def prepared(folder: Path) -> Path:
    """Tones of four notes in two octaves and rows of clicks, by eight players, no player in two splits."""
    rows, random = [], np.random.default_rng(0)
    for program, split in enumerate(("train",) * 4 + ("validation",) * 2 + ("test",) * 2):
        partials = random.uniform(0.1, 1.0, 4)
        for pitch in (60, 63, 66, 69, 72, 75, 78, 81):
            time_s = np.arange(RATE_HZ // 5) / RATE_HZ
            hz = 440.0 * 2 ** ((pitch - 69) / 12)
            sound = sum(size * np.sin(2 * np.pi * hz * (k + 1) * time_s) for k, size in enumerate(partials))
            name = f"notes-{program}-{pitch}.wav"
            soundfile.write(folder / name, sound / 4.0, RATE_HZ, subtype="PCM_16")
            rows.append({"path": name, "set": "notes", "split": split, "note": pitch % 12, "pitch": pitch})
        for bpm in (60.0, 90.0, 120.0, 180.0):
            sound = np.zeros(RATE_HZ)
            for onset in np.arange(0.05, 0.95, 60 / bpm / 2):
                sound[int(onset * RATE_HZ) :][:400] = random.uniform(-0.7, 0.7, 400)
            name = f"tempos-{program}-{bpm:g}.wav"
            soundfile.write(folder / name, sound, RATE_HZ, subtype="PCM_16")
            rows.append({"path": name, "set": "tempos", "split": split, "bpm": bpm})
    return written(folder, rows)


@dataclass(frozen=True)
class Place:
    dataset: Path
    model: Path
    cache: Path

    def train(self, *options: str, model: Path | None = None) -> int:
        words = ["--model", str(model or self.model), "--cache", str(self.cache), "--trials", "2", "--iterations", "2"]
        return main(["train", "steering", str(self.dataset), *words, "--device", "cpu", *options])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    model = write_tiny(tmp_path_factory.mktemp("model"), layers=3)
    return Place(prepared(tmp_path_factory.mktemp("set")), model, tmp_path_factory.mktemp("cache"))


def test_a_binary_concept(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.train("--concept", "note:D#", "-o", str(tmp_path)) == 0
    table = capsys.readouterr().out
    assert "note:D#: clips: 32 train, 16 validation, 16 test; AUC" in table
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"note-D#.{method}.{ending}"
        for method in ("diffmean", "random", "rfm", "ridge")
        for ending in ("json", "safetensors")
    ]
    model = load_model(str(place.model))
    found = {method: read_direction(tmp_path / f"note-D#.{method}.json") for method in ("rfm", "diffmean", "random")}
    for method, one in found.items():
        one.must_fit(model.hash, 3, model.width)
        assert (one.about.method, one.about.concept, one.about.task) == (method, "note:D#", "binary")
        assert one.about.split == {"train": 32, "validation": 16, "test": 16}
        assert one.scale.min() > 0
    assert min(found["rfm"].about.scores) > 0.5
    assert found["rfm"].about.made["layers"]["0"]["bandwidth"] > 0
    for selection in (Selection(), Selection("top", top=1), Selection("weighted")):
        rfm, drawn = (np.linalg.norm(steer(found[name], 0.5, selection), axis=1) for name in ("rfm", "random"))
        assert rfm == pytest.approx(drawn, abs=1e-6), "the random one is as long, whatever the selection"


def test_all_classes_get_directions_that_tell_them_apart(place: Place, tmp_path: Path) -> None:
    assert place.train("--concept", "note", "--method", "diffmean", "-o", str(tmp_path)) == 0
    names = ("C", "D#", "F#", "A")
    found = [read_direction(tmp_path / f"note-{name}.diffmean.safetensors") for name in names]
    assert [one.about.concept for one in found] == [f"note:{name}" for name in names]
    assert {one.about.task for one in found} == {"multiclass"}
    sum_of_all = np.sum([one.vectors[2] for one in found], axis=0)
    assert np.linalg.norm(sum_of_all) < 2.0, "each points to its own class, away from the others"
    assert len(list(tmp_path.glob("*.random.safetensors"))) == 4


def test_a_number_is_learned_upwards(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--pooling", "none", "--standardise", "feature", "--layers", "1-2", "--prompt", "clicks")
    assert place.train("--concept", "tempo", *options, "-o", str(tmp_path)) == 0
    assert "correlation" in capsys.readouterr().out
    one = read_direction(tmp_path / "tempo.ridge.safetensors")
    assert one.trained.tolist() == [False, True, True]
    assert (one.about.task, one.about.pooling, one.about.prompt) == ("regression", "none", "clicks")
    assert one.about.scores[0] == 0.0
    assert min(one.about.scores[1:]) > 0.0, "more of it is faster"


def test_a_second_concept_hears_nothing_again(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.train("--concept", "pitch", "--pooling", "last", "-o", str(tmp_path / "1")) == 0
    assert "64/64 clips heard" in capsys.readouterr().err
    assert place.train("--concept", "note:C", "--pooling", "last", "-o", str(tmp_path / "2")) == 0
    assert "heard" not in capsys.readouterr().err


def test_an_interrupted_search_goes_on_and_ends_the_same(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--concept", "note:A")
    assert place.train(*options, "-o", str(tmp_path / "whole")) == 0
    searched: list[int] = []
    real = directions.search

    def stopping(*args: Any) -> Any:
        if len(searched) == 2:
            raise KeyboardInterrupt
        searched.append(len(searched))
        return real(*args)

    monkeypatch.setattr(directions, "search", stopping)
    assert place.train(*options, "-o", str(tmp_path / "parts")) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert place.train("--concept", "note:C", "-o", str(tmp_path / "parts")) == 2
    assert "unfinished search with other settings" in capsys.readouterr().err
    counted: list[int] = []

    def counting(*args: Any) -> Any:
        counted.append(1)
        return real(*args)

    monkeypatch.setattr(directions, "search", counting)
    assert place.train(*options, "-o", str(tmp_path / "parts")) == 0
    assert len(counted) == 1, "the layers that were finished are not searched again"
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "parts" / file.name).read_bytes() == file.read_bytes(), file.name
    assert not (tmp_path / "parts" / directions.WORK).exists()


@pytest.mark.parametrize("size", list(SIZES))
def test_each_released_size_is_trained_on(size: str, place: Place, tmp_path: Path) -> None:
    model = write_tiny(tmp_path / "model", size)
    options = ("--concept", "note:C", "--clips", "8", "--trials", "1", "--iterations", "1", "-o", str(tmp_path / "out"))
    assert place.train(*options, model=model) == 0
    one, read = read_direction(tmp_path / "out" / "note-C.rfm.safetensors"), load_model(str(model))
    assert (read.layers, read.width, read.codebooks, read.rate_hz, read.frame_rate_hz) == (
        *SIZES[size][:2],
        4,
        32_000,
        50,
    )
    one.must_fit(read.hash, read.layers, read.width)
    assert one.trained.all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--concept", "note:H"], "'H' is no note"),
        (["--concept", "tune"], "there is no tune"),
        (["--concept", "tempo:120"], "say --concept tempo"),
        (["--concept", "interval:13"], "1 to 12 semitones"),
        (["--concept", "note:E"], "has no note:E; it has note:C, note:D#"),
        (["--concept", "chord:minor"], "nothing of chord"),
        (["--concept", "note:C", "--layers", "2-9"], "layers 0-2"),
        (["--concept", "note:C", "--trials", "0"], "--trials 0"),
        (["--concept", "note:C", "--seed", "-1"], "--seed -1"),
        (["--concept", "note:C", "--device", "toaster"], "no device 'toaster'"),
        (["--concept", "note:C", "--prompt", "x" * 10_000], "10,000 characters"),
    ],
)
def test_a_mistake_is_one_line(
    options: list[str], message: str, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.train(*options, "-o", str(tmp_path / "out")) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_set_that_is_damaged_is_named(tmp_path: Path) -> None:
    row = {"path": "a.wav", "set": "notes", "split": "train", "note": 0, "pitch": 60}
    concept = concept_of("note:C")

    def refused(rows: list[dict[str, Any]], match: str) -> None:
        with pytest.raises(SidemanError, match=match):
            examples_of(written(tmp_path, rows), concept, 8, 0)

    with pytest.raises(SidemanError, match=r"has no index\.parquet"):
        examples_of(tmp_path, concept, 8, 0)
    refused([{**row, "path": "../a.wav"}], "leads out of the folder")
    refused([{**row, "split": "exam"}], "'exam'")
    refused([row], "too few clips in train")
    (tmp_path / "index.parquet").write_bytes(b"PAR1")
    with pytest.raises(SidemanError, match="cannot be used"):
        examples_of(tmp_path, concept, 8, 0)


def test_examples_are_balanced_and_drawn_by_the_seed(tmp_path: Path) -> None:
    rows = [
        {"path": f"{i}.wav", "set": "notes", "split": split, "note": i % 12, "pitch": i}
        for i in range(120) for split in ("train", "validation", "test")
    ]  # fmt: skip
    written(tmp_path, rows)

    def drawn(concept: str, seed: int) -> dict[str, list[float]]:
        found = examples_of(tmp_path, concept_of(concept), 24, seed)
        return {split: [clip.label for clip in clips] for split, clips in found.clips.items()}

    assert {split: (len(labels), sum(labels)) for split, labels in drawn("note:F", 0).items()} == {
        "train": (22, 10), "validation": (12, 6), "test": (12, 6)
    }  # fmt: skip
    with pytest.raises(SidemanError, match="too few clips in validation"):
        drawn("note", 0)  # one of each class is too few to judge on
    assert drawn("pitch", 0) == drawn("pitch", 0) != drawn("pitch", 1)
    assert len(drawn("pitch", 0)["train"]) == 24


def test_words_of_concepts() -> None:
    same: Callable[[str], str] = lambda text: concept_of(text).name  # noqa: E731
    assert [same(text) for text in ("note:Db", "note:c#", "chord:minor", "interval:6", "tempo")] == [
        "note:C#", "note:C#", "chord:min", "interval:6", "tempo"
    ]  # fmt: skip
    assert [concept_of(text).task for text in ("note", "note:C", "tempo")] == ["multiclass", "binary", "regression"]
    assert file_name("signature:3/4") == "signature-3-4"
    assert layers_of("0,2-3", 4) == [0, 2, 3]
    assert layers_of("all", 2) == [0, 1]
