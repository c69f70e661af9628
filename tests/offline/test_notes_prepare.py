from __future__ import annotations

import argparse
import csv
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("symusic", reason="needs the extra train")
from symusic import Note, Score, Tempo, TimeSignature, Track

from engines.errors import SidemanError
from engines.notes.events import ROLE, VELOCITY
from offline.notes import gather, prepare
from offline.notes.corpus import Corpus, load_split
from offline.notes.index import INDEX_FILE, MANIFEST_FILE, read_index, read_manifest
from offline.notes.tokens import Tokeniser


def song(seed: int = 0, up: int = 0, bars: int = 8, bpm: float = 120.0, velocities: int = 40) -> bytes:
    """A song of its own for each seed, `up` semitones higher."""
    rng = np.random.default_rng(seed)
    score = Score(480)
    score.time_signatures.append(TimeSignature(0, 4, 4))
    score.tempos.append(Tempo(0, bpm))
    piano, drums = Track(program=0), Track(program=0, is_drum=True)
    for step in range(bars * 8):
        loud = 60 + int(rng.integers(velocities)) if velocities else 80
        piano.notes.append(Note(step * 240, 240, 60 + up + int(rng.integers(12)), loud))
        drums.notes.append(Note(step * 240, 60, 42, loud))
    score.tracks.extend([piano, drums])
    data: bytes = score.dumps_midi()
    return data


def folder_of(tmp_path: Path, files: dict[str, bytes], rows: list[dict[str, str]] | None = None) -> Path:
    root = tmp_path / "source"
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    if rows:
        with (root / "labels.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, sorted({key for row in rows for key in row}))
            writer.writeheader()
            writer.writerows(rows)
    return root


def run(source: Path, output: Path, *options: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    assert prepare.run(parser.parse_args([str(source), "-o", str(output), "--quiet", "--workers", "0", *options])) == 0
    report: dict[str, Any] = json.loads((output / "report.json").read_text())
    return report


def labelled(count: int, **more: str) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    files = {f"{i}.mid": song(i) for i in range(count)}
    rows = [
        {"path": name, "genre": ("jazz", "rock")[i % 2], "source": "band", "group": f"g{i}", "licence": "CC0", **more}
        for i, name in enumerate(files)
    ]
    return files, rows


def test_a_data_set_holds_what_the_labels_and_the_files_say(tmp_path: Path) -> None:
    source = folder_of(tmp_path, *labelled(10))
    report = run(source, tmp_path / "out")
    rows = read_index(tmp_path / "out")
    assert [row.path for row in rows] == [f"{i}.mid" for i in range(10)]
    assert {(row.genre, row.source, row.licence, row.nc) for row in rows} == {
        ("jazz", "band", "CC0", False),
        ("rock", "band", "CC0", False),
    }
    assert all((row.notes, row.bars, row.velocity, row.performed) == (128, 8, True, False) for row in rows)
    assert rows[0].seconds == pytest.approx(63 * 0.25)
    splits = json.loads((tmp_path / "out" / "splits.json").read_text())
    assert [len(splits[split]) for split in ("train", "validation", "test")] == [9, 1, 0]
    assert {row.path for row in rows if row.split == "validation"} == set(splits["validation"])
    assert report["files_used"] == 10
    assert report["files_per_genre"]["jazz"]["train"] + report["files_per_genre"]["jazz"]["validation"] == 5


def test_pieces_are_events_with_what_is_known_of_them(tmp_path: Path) -> None:
    run(folder_of(tmp_path, *labelled(6, velocity="human")), tmp_path / "out", "--no-tokens")
    train = load_split(tmp_path / "out", "train")
    assert len(train) == 5
    assert train.piece_group.tolist() == [f"g{path[0]}" for path in train.piece_path.tolist()]
    assert train.piece_velocity.all() and not train.piece_nc.any()
    piece = train.piece(0)
    assert (len(piece.events), len(piece.bars)) == (128, 8)
    assert set(piece.events[:, ROLE].tolist()) == {0, 2}
    assert piece.events[:, VELOCITY].min() > 0
    assert not (tmp_path / "out" / MANIFEST_FILE).exists()


@pytest.mark.parametrize(
    ("label", "velocities", "known"),
    [
        ({"velocity": "human"}, 40, True),
        ({"velocity": "programmed+rand"}, 40, False),
        ({"velocity": "none"}, 40, False),
        ({"origin": "synthetic arrangement", "velocity": "programmed"}, 40, False),
        ({}, 40, True),
        ({}, 3, False),
        ({}, 0, False),
    ],
)
def test_velocities_that_mean_nothing_are_not_known(
    tmp_path: Path, label: dict[str, str], velocities: int, known: bool
) -> None:
    source = folder_of(tmp_path, {"a.mid": song(velocities=velocities)}, [{"path": "a.mid", **label}])
    run(source, tmp_path / "out", "--no-tokens")
    corpus = load_split(tmp_path / "out", "train")
    assert corpus.piece_velocity.tolist() == [known]
    assert (corpus.events[:, VELOCITY] > 0).all() == known
    assert (corpus.events[:, VELOCITY] == 0).all() != known


def test_tokens_begin_with_the_genre_and_are_found_by_the_manifest(tmp_path: Path) -> None:
    report = run(folder_of(tmp_path, *labelled(4)), tmp_path / "out")
    tokeniser = Tokeniser.load(tmp_path / "out")
    assert tokeniser.genres == ("jazz", "rock")
    assert report["vocabulary"] == len(tokeniser.names)
    for row in read_manifest(tmp_path / "out"):
        tokens = np.load(tmp_path / "out" / row.file, allow_pickle=False)
        assert (tokens.dtype, len(tokens), row.cut) == (np.uint16, row.tokens, False)
        names = [tokeniser.names[i] for i in tokens]
        assert names[:2] == ["BOS_None", f"Genre_{row.genre}"] and names[-1] == "EOS_None"
        assert sum(name.startswith("Pitch_") for name in names) == 128


def test_tokens_are_cut_where_they_are_told_to_be(tmp_path: Path) -> None:
    source = folder_of(tmp_path, {"a.mid": song(1, bars=8), "b.mid": song(2, bars=3)})
    report = run(source, tmp_path / "bars", "--max-bars", "4")
    assert report["tokens_cut_at_their_last_bar"] == ["a.mid"]
    assert [row.cut for row in read_manifest(tmp_path / "bars")] == [True, False]
    run(source, tmp_path / "length", "--max-len", "50")
    assert [(row.tokens, row.cut) for row in read_manifest(tmp_path / "length")] == [(50, True), (50, True)]
    assert load_split(tmp_path / "bars", "train").bar_start[-1] in (3, 8)


def test_the_same_notes_count_once_in_any_key_and_train_never_holds_what_is_judged(tmp_path: Path) -> None:
    files = {"a.mid": song(1), "b.mid": song(1, up=5, bpm=90.0), "c.mid": song(2), "d.mid": song(2, up=-3)}
    rows = [{"path": f"{name}.mid", "split": split} for name, split in zip("abcd", ("train", "train", "train", "test"))]  # noqa: B905
    rows.append({"path": "e.mid", "split": "validation"})
    files["e.mid"] = song(3)
    report = run(folder_of(tmp_path, files, rows), tmp_path / "out", "--no-tokens")
    assert report["duplicates"] == {"b.mid": "a.mid", "c.mid": "d.mid"}
    assert [(row.path, row.split) for row in read_index(tmp_path / "out")] == [
        ("a.mid", "train"),
        ("d.mid", "test"),
        ("e.mid", "validation"),
    ]


def test_files_of_one_group_never_come_apart(tmp_path: Path) -> None:
    files = {f"{i}.mid": song(i) for i in range(20)}
    rows = [{"path": name, "group": f"g{i // 4}"} for i, name in enumerate(files)]
    run(folder_of(tmp_path, files, rows), tmp_path / "out", "--no-tokens")
    by_group: dict[str, set[str]] = {}
    for row in read_index(tmp_path / "out"):
        by_group.setdefault(row.group, set()).add(row.split)
    assert sorted(len(splits) for splits in by_group.values()) == [1] * 5
    assert sorted("".join(splits) for splits in by_group.values()).count("validation") == 1


def test_a_bad_file_is_named_with_its_reason_and_stops_nothing(tmp_path: Path) -> None:
    files, rows = labelled(3)
    rows += [{"path": "gone.mid", "genre": "jazz"}, {"path": "nc.mid", "genre": "jazz", "nc": "True"}]
    files |= {"cut.mid": song(7)[:-30], "text.mid": b"hello", "nc.mid": song(8), "notes.txt": b"", "new.mid": song(9)}
    report = run(folder_of(tmp_path, files, rows), tmp_path / "out", "--no-nc")
    assert report["dropped"] == {
        "cut.mid": "cut short or damaged",
        "gone.mid": "named in the labels, but there is no such MIDI file",
        "nc.mid": "non-commercial licence (--no-nc)",
        "text.mid": "not a MIDI file",
    }
    assert report["unlabelled"] == ["cut.mid", "new.mid", "text.mid"]
    assert report["other_files_ignored"] == {".txt": 1}
    assert report["files_used"] == 4
    assert Tokeniser.load(tmp_path / "out").genres == ("jazz", "rock", "unknown")


def test_a_folder_its_archive_and_other_processes_give_the_same_bytes(tmp_path: Path) -> None:
    source = folder_of(tmp_path, *labelled(5))
    archive = tmp_path / "band.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(source, "band")
    run(source, tmp_path / "one")
    run(archive, tmp_path / "two", "--workers", "1")
    one, two = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    one.pop("report.json"), two.pop("report.json")  # they name the source
    assert one == two
    assert {INDEX_FILE, MANIFEST_FILE, "splits.json", "vocab.json", "pieces/train.npz"} < one.keys()


def test_a_run_that_was_interrupted_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder_of(tmp_path, *labelled(6))
    make, made = gather.make, []

    def interrupted(job: gather.Job) -> gather.Facts:
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(job.path)
        return make(job)

    monkeypatch.setattr(gather, "make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out")
    monkeypatch.setattr(gather, "make", lambda job: (made.append(job.path), make(job))[1])
    run(source, tmp_path / "out")
    assert made == [f"{i}.mid" for i in range(6)]
    monkeypatch.undo()
    run(source, tmp_path / "whole")
    for name in ("pieces/train.npz", "index.parquet", "manifest.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "out" / ".parts").exists()


def test_what_an_earlier_run_wrote_goes(tmp_path: Path) -> None:
    run(folder_of(tmp_path, *labelled(4)), tmp_path / "out")
    run(folder_of(tmp_path, {"only.mid": song(11)}), tmp_path / "out", "--no-tokens")
    assert not (tmp_path / "out" / "tokens").exists()
    assert not (tmp_path / "out" / "vocab.json").exists()


@pytest.fixture
def clean_midi(tmp_path: Path) -> Iterator[Path]:
    """Lakh's layout."""
    names = ("ABBA/Waterloo", "ABBA/Waterloo.1", "ABBA/Waterloo.2", "Miles Davis/So What", "Nobody/Song", "ABBA/SOS")
    yield folder_of(tmp_path, {f"{name}.mid": song(i) for i, name in enumerate(names)})


def test_folders_of_artists_take_genres_from_a_table_and_copies_of_a_song_are_one_group(
    tmp_path: Path, clean_midi: Path
) -> None:
    table = tmp_path / "genres.csv"
    table.write_text("Artist,File,Genre\nabba,,Pop\nMiles Davis,,Jazz\n,ABBA/SOS.mid,Disco\nabba,,Rock\n")
    run(clean_midi, tmp_path / "out", "--genres", str(table))
    rows = {row.path: row for row in read_index(tmp_path / "out")}
    assert {path: row.genre for path, row in rows.items()} == {
        "ABBA/SOS.mid": "disco",
        "ABBA/Waterloo.1.mid": "pop",
        "ABBA/Waterloo.2.mid": "pop",
        "ABBA/Waterloo.mid": "pop",
        "Miles Davis/So What.mid": "jazz",
        "Nobody/Song.mid": "",
    }
    assert {row.group for path, row in rows.items() if "Waterloo" in path} == {"abba/waterloo"}
    assert Tokeniser.load(tmp_path / "out").genres == ("disco", "jazz", "pop", "unknown")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "No such file"),
        ("artist,style of it\nabba,pop\n", "needs a column genre"),
        ("genre\npop\n", "a column artist or path"),
        ("artist,genre\n,\n", "names no genre"),
        (b"\xff\xfeartist", "no CSV in UTF-8"),
    ],
)
def test_a_table_that_is_none_is_told_in_a_line(
    tmp_path: Path, clean_midi: Path, table: str | bytes | None, message: str
) -> None:
    path = tmp_path / "genres.csv"
    if table is not None:
        path.write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(SidemanError, match=message):
        run(clean_midi, tmp_path / "out", "--genres", str(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-bars", "0"), "--max-bars 0"),
        (("--max-bars", "60000"), "--max-bars 60000"),
        (("--max-len", "1"), "--max-len 1"),
        (("--workers", "-1"), "--workers -1"),
    ],
)
def test_options_out_of_range_are_told(tmp_path: Path, options: tuple[str, str], message: str) -> None:
    with pytest.raises(SidemanError, match=message):
        run(folder_of(tmp_path, {"a.mid": song()}), tmp_path / "out", *options)


def test_a_source_without_notes_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        SidemanError, match=r"none of the 1 MIDI files .* gives notes; the first, a.mid: not a MIDI file"
    ):
        run(folder_of(tmp_path, {"a.mid": b"nothing"}), tmp_path / "out")
    assert not (tmp_path / "out" / ".parts").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SidemanError, match="holds no MIDI files"):
        run(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(SidemanError, match="does not exist"):
        run(tmp_path / "nowhere", tmp_path / "out")


def test_a_data_set_that_is_damaged_or_not_there_is_told_in_a_line(tmp_path: Path) -> None:
    run(folder_of(tmp_path, *labelled(4)), tmp_path / "out")
    for read in (read_index, read_manifest, lambda folder: load_split(folder, "train")):
        with pytest.raises(SidemanError, match="prepare notes"):
            read(tmp_path / "nowhere")
    for name in (INDEX_FILE, MANIFEST_FILE, "pieces/train.npz"):
        (tmp_path / "out" / name).write_bytes((tmp_path / "out" / name).read_bytes()[:200])
    for read in (read_index, read_manifest, lambda folder: load_split(folder, "train")):
        with pytest.raises(SidemanError, match="write it again"):
            read(tmp_path / "out")
    with pytest.raises(SidemanError, match="no split 'all'"):
        load_split(tmp_path / "out", "all")


def test_a_corpus_whose_parts_do_not_fit_is_refused(tmp_path: Path) -> None:
    run(folder_of(tmp_path, *labelled(4)), tmp_path / "out", "--no-tokens")
    path = tmp_path / "out" / "pieces" / "train.npz"
    with np.load(path) as file:
        arrays = dict(file)
    for name, value in (("event_start", arrays["event_start"] + 1), ("piece_nc", arrays["piece_nc"][:1])):
        np.savez(path, **{**arrays, name: value})
        with pytest.raises(SidemanError, match="no split of a data set"):
            Corpus.load(path)
