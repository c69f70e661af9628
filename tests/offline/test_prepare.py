from __future__ import annotations

import argparse
import json
import tarfile
import zipfile
from pathlib import Path

import mido
import numpy as np
import pytest

from engines.errors import SidemanError
from engines.music import Meter
from offline.data.labels import Label, read_labels
from offline.data.midi import UnusableError, read_drums
from offline.data.source import MAX_FILE_BYTES, Source
from offline.data.split import assign_splits
from offline.drums import prepare
from offline.drums.dataset import DrumDataset, Piece
from offline.drums.quantise import Tally, quantise

UNLABELLED = Label("x.mid")
KICK, SNARE, HAT = 36, 38, 42
BEAT = 480


def midi(
    hits: list[tuple[float, int, int]],
    meters: list[tuple[float, int, int]] = [(0, 4, 4)],  # noqa: B006 - never changed
    tempi: list[tuple[float, int]] = [(0, 500_000)],  # noqa: B006
    channel: int = 9,
    ticks_per_beat: int = BEAT,
) -> bytes:
    """A MIDI file; times in quarter notes, hits as (time, pitch, velocity)."""
    import io

    events = [(t, 0, mido.MetaMessage("time_signature", numerator=n, denominator=d)) for t, n, d in meters]
    events += [(t, 1, mido.MetaMessage("set_tempo", tempo=tempo)) for t, tempo in tempi]
    for time, pitch, velocity in hits:
        events.append((time, 3, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)))
        events.append((time + 0.1, 2, mido.Message("note_off", channel=channel, note=pitch)))
    file = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    track = mido.MidiTrack()
    file.tracks.append(track)
    now = 0
    for time, _, message in sorted(events, key=lambda event: event[:2]):
        tick = round(time * ticks_per_beat)
        track.append(message.copy(time=tick - now))
        now = tick
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def beat(bars: int, pitch: int = KICK) -> list[tuple[float, int, int]]:
    return [(float(b), pitch, 100) for b in range(bars * 4)]


def pieces(data: bytes, label: Label = UNLABELLED, tally: Tally | None = None) -> list[Piece]:
    return quantise(read_drums(data), label, tally or Tally())


def test_a_hit_belongs_to_its_nearest_step_also_across_the_bar_line() -> None:
    (piece,) = pieces(midi([(0, KICK, 100), (0.3, HAT, 80), (3.9375, SNARE, 70), (4.5, KICK, 60)]))
    assert np.argwhere(piece.velocity).tolist() == [[0, 0], [1, 2], [16, 1], [18, 0]]
    assert piece.velocity[16, 1] == 70
    assert [piece.offset[0, 0], piece.offset[1, 2], piece.offset[16, 1]] == [0, 48, -60]
    assert piece.masks.tolist()[:2] == [1, 4]


def test_two_hits_on_a_step_keep_the_louder() -> None:
    tally = Tally()
    (piece,) = pieces(midi([(1, SNARE, 50), (1.05, 40, 90), (1.1, 37, 20)]), tally=tally)
    assert piece.velocity[4, 1] == 90
    assert piece.offset[4, 1] == 48
    assert tally.doubled_hits == 2


def test_strays_of_general_midi_are_in_the_kit_and_congas_are_not() -> None:
    tally = Tally()
    (piece,) = pieces(midi([(0, 35, 100), (1, 39, 100), (2, 41, 100), (3, 63, 100)]), tally=tally)
    assert piece.masks[[0, 4, 8, 12]].tolist() == [1, 2, 16, 0]
    assert tally.other_notes == 1


def test_metres_are_kept_apart_and_cut_bars_are_counted() -> None:
    tally = Tally()
    hits = [(b / 2, KICK, 100) for b in range(2 * 18)]
    out = pieces(midi(hits, meters=[(0, 4, 4), (6, 7, 8), (13, 3, 4)]), tally=tally)
    assert [str(piece.meter) for piece in out] == ["4/4", "7/8", "3/4"]
    assert [piece.bar_count for piece in out] == [1, 2, 2]
    assert [int(piece.masks[0]) for piece in out] == [1, 1, 1]
    assert tally.hits_in_cut_bars == 4


def test_a_hit_just_before_a_change_of_metre_opens_the_next_piece_early() -> None:
    out = pieces(midi([(0, KICK, 100), (3.95, SNARE, 90), (5, KICK, 80)], meters=[(0, 4, 4), (4, 3, 4)]))
    assert [piece.masks.tolist().count(0) for piece in out] == [15, 10]
    assert (out[1].masks[0], out[1].offset[0, 1]) == (2, -48)


def test_a_metre_restated_on_the_bar_line_goes_on() -> None:
    (piece,) = pieces(midi(beat(3), meters=[(0, 4, 4), (4, 4, 4)]))
    assert piece.bar_count == 3


def test_a_metre_outside_the_known_ones_is_named() -> None:
    tally = Tally()
    hits = [(t / 4, KICK, 100) for t in range(64)]
    out = pieces(midi(hits, meters=[(0, 4, 4), (8, 33, 32)]), tally=tally)
    assert [piece.bar_count for piece in out] == [2]
    assert tally.odd_meters == ["x.mid"]


def test_silence_around_and_an_end_on_the_one_are_cut_and_a_long_rest_divides() -> None:
    tally = Tally()
    hits = [(8, KICK, 100), (13, SNARE, 90), (48, KICK, 90), (51, KICK, 90), (52, 49, 120)]
    out = pieces(midi(hits), tally=tally)
    assert [piece.bar_count for piece in out] == [2, 1]
    assert tally.rest_bars == 2 + 8
    assert tally.ending_bars == 1


def test_tempo_is_the_pieces_mean_and_the_labels_only_where_the_file_says_nothing() -> None:
    (piece,) = pieces(midi(beat(4), tempi=[(0, 500_000), (8, 1_000_000)]))
    assert piece.bpm == pytest.approx(80)
    (piece,) = pieces(midi(beat(4), tempi=[]), Label("x.mid", bpm=93.0))
    assert piece.bpm == 93
    (piece,) = pieces(midi(beat(4)), Label("x.mid", bpm=93.0))
    assert piece.bpm == pytest.approx(120)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"RIFF....", "not a MIDI file"),
        (b"MThd", "cut short"),
        (midi(beat(2))[:-20], "cut short"),
        (midi(beat(2))[:14], "cut short"),
        (b"MThd\0\0\0\6\0\0\0\1\0\x60XXXX\0\0\0\0", "damaged"),
        (midi(beat(2), tempi=[(0, 0)]), "tempo of zero"),
        (midi([]), "no notes at all"),
        (midi(beat(2), channel=0), "no notes on channel 10"),
        (midi(beat(2, pitch=63)), "other percussion only"),
        (midi([(0, KICK, 90), (6000, KICK, 90)], tempi=[(0, 4_000_000)]), "longer than 3 hours"),
        (midi(beat(1), tempi=[(t / 100, 500_000) for t in range(10_002)]), "changes of tempo"),
        (midi([(0, KICK, 90), (200_000, KICK, 90)], tempi=[(0, 1)], ticks_per_beat=24), "longer than"),
    ],
)
def test_a_bad_file_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        read_drums(data)


def test_any_channel_reads_drums_elsewhere() -> None:
    assert len(read_drums(midi(beat(2), channel=0), any_channel=True).ticks) == 8


def test_labels_are_read_with_what_they_lack_and_what_they_add() -> None:
    table = b"path,style,bpm,beat_type,split,nc,colour\na.mid,Rock,120,fill,valid,true,red\nb.mid,,fast,solo,later,,\n"
    labels, problems = read_labels("set/labels.csv", table)
    assert labels["set/a.mid"] == Label("set/a.mid", "rock", split="validation", bpm=120.0, fill=True, nc=True)
    assert labels["set/b.mid"] == Label("set/b.mid")
    assert [p.split(": ")[1].split()[0] for p in problems] == ["bpm", "beat_type", "split"]


def test_groove_s_own_table_is_read_as_it_comes() -> None:
    table = b"drummer,session,style,bpm,beat_type,midi_filename,split\nd1,d1/s1,funk/x,95,beat,d1/1.mid,test\n"
    (label,) = read_labels("info.csv", table)[0].values()
    assert (label.path, label.style, label.group, label.split) == ("d1/1.mid", "funk", "d1/s1", "test")
    assert label.source.startswith("Groove MIDI Dataset")


@pytest.mark.parametrize("table", [b"", b"file,style\na,b\n", b"\xff\xfe\0p"])
def test_a_table_that_is_none_is_a_mistake(table: bytes) -> None:
    with pytest.raises(SidemanError, match=r"labels\.csv"):
        read_labels("labels.csv", table)


def test_groups_are_never_divided_and_a_source_s_own_split_is_kept() -> None:
    own = [Label(f"o{i}", source="own", group=f"g{i % 3}", split="test" if i % 3 == 0 else "train") for i in range(9)]
    late = [Label("late", source="own", group="g0")]
    free = [Label(f"f{i}", source="free", group=f"g{i % 25}", split="train") for i in range(100)]
    splits = assign_splits([*own, *late, *free])
    assert splits[:9] == [label.split for label in own]
    assert splits[9] == "test"
    held_out = {label.group for label, split in zip(free, splits[10:], strict=True) if split == "validation"}
    assert len(held_out) == 2
    assert splits[10:].count("validation") == 8
    assert assign_splits(free[::-1])[::-1] == splits[10:]


def run(source: Path, output: Path, *options: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    assert prepare.run(parser.parse_args([str(source), "-o", str(output), *options])) == 0
    report: dict[str, object] = json.loads((output / "report.json").read_text())
    return report


def folder(root: Path) -> Path:
    root.mkdir()
    for i in range(30):
        hits = [*beat(2 + i % 5), (0.25 + i / 4, SNARE, 90)]
        (root / f"song{i:02}.mid").write_bytes(midi(hits))
    (root / "broken.mid").write_bytes(b"MThd\0\0")
    (root / "piano.MID").write_bytes(midi(beat(1), channel=0))
    (root / "huge.mid").write_bytes(b"MThd" + bytes(MAX_FILE_BYTES))
    (root / "cover.jpg").write_bytes(b"jpg")
    return root


def test_prepare_without_labels_says_what_became_of_every_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run(folder(tmp_path / "midi"), tmp_path / "ds")
    text = capsys.readouterr().out
    assert report["midi_files"] == 33
    assert report["files_per_split"] == {"train": 28, "validation": 2, "test": 0}
    assert report["other_files_ignored"] == {".jpg": 1}
    dropped = report["dropped"]
    assert isinstance(dropped, dict)
    assert sorted(dropped) == ["broken.mid", "huge.mid", "piano.MID"]
    assert all(text.count(path) == 1 for path in dropped)
    train = DrumDataset.load(tmp_path / "ds" / "train.npz")
    assert len(train) == 28
    assert sorted(p.name for p in (tmp_path / "ds").iterdir()) == [
        "report.json", "train.npz", "validation.npz", "vocab_topN.json",
    ]  # fmt: skip
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_folder_and_its_archives_give_the_same_data(tmp_path: Path) -> None:
    root = folder(tmp_path / "midi")
    (root / "labels.csv").write_text("path,style,split\n" + "".join(f"song{i:02}.mid,s{i},\n" for i in range(30)))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(root.iterdir(), reverse=True):
            archive.write(path, f"midi/{path.name}")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(root, "midi")
    sources = [root, tmp_path / "a.zip", tmp_path / "a.tar.gz"]
    try:
        import zstandard
    except ImportError:
        zstandard = None  # type: ignore[assignment]
    if zstandard:
        with tarfile.open(tmp_path / "plain.tar", "w") as tar:
            tar.add(root, "midi")
        (tmp_path / "a.tar.zst").write_bytes(zstandard.compress((tmp_path / "plain.tar").read_bytes()))
        sources.append(tmp_path / "a.tar.zst")
    for i, source in enumerate(sources):
        run(source, tmp_path / f"ds{i}")
    for i in range(1, len(sources)):
        for name in ("train.npz", "validation.npz", "vocab_topN.json"):
            assert (tmp_path / f"ds{i}" / name).read_bytes() == (tmp_path / "ds0" / name).read_bytes()


def test_labels_that_do_not_match_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "midi")
    (root / "labels.csv").write_text("path,group\nsong00.mid,a\ngone.mid,b\n")
    report = run(root, tmp_path / "ds")
    assert "there is no such" in report["dropped"]["gone.mid"]  # type: ignore[index]
    assert "song01.mid" in report["unlabelled"]  # type: ignore[operator]


def test_non_commercial_files_can_be_left_out(tmp_path: Path) -> None:
    root = folder(tmp_path / "midi")
    (root / "labels.csv").write_text("path,nc\nsong00.mid,True\nsong01.mid,False\n")
    assert "non-commercial" in run(root, tmp_path / "ds", "--no-nc")["dropped"]["song00.mid"]  # type: ignore[index]


def test_the_same_music_in_two_splits_is_an_error_or_dropped_from_train(tmp_path: Path) -> None:
    root = tmp_path / "midi"
    root.mkdir()
    (root / "one.mid").write_bytes(midi(beat(3)))
    (root / "copy.mid").write_bytes(midi([(t, p, 40) for t, p, _ in beat(3)], tempi=[(0, 300_000)]))
    (root / "other.mid").write_bytes(midi(beat(3, SNARE)))
    (root / "labels.csv").write_text("path,split\none.mid,train\ncopy.mid,test\nother.mid,train\n")
    with pytest.raises(SidemanError, match=r"one\.mid \(train\) = copy\.mid \(test\).*--drop-duplicates"):
        run(root, tmp_path / "ds")
    assert not (tmp_path / "ds").exists()
    report = run(root, tmp_path / "ds", "--drop-duplicates")
    assert report["duplicates_dropped"] == {"one.mid": "copy.mid"}
    assert [p.path for p in DrumDataset.load(tmp_path / "ds" / "train.npz").pieces()] == ["other.mid"]


def test_a_held_out_folder_goes_whole_to_test_and_clears_what_was_there(tmp_path: Path) -> None:
    run(folder(tmp_path / "midi"), tmp_path / "ds")
    root = tmp_path / "held"
    root.mkdir()
    (root / "a.mid").write_bytes(midi(beat(3)))
    (root / "labels.csv").write_text("path,split\na.mid,test\n")
    run(root, tmp_path / "ds")
    assert sorted(p.name for p in (tmp_path / "ds").iterdir()) == ["report.json", "test.npz"]


@pytest.mark.parametrize("name", ["missing", "empty", "text.zip", "drumless"])
def test_a_source_without_drums_is_a_mistake(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_bytes(b"PK no zip")
    (tmp_path / "drumless").mkdir()
    (tmp_path / "drumless" / "a.mid").write_bytes(midi(beat(1), channel=3))
    with pytest.raises(SidemanError, match=name):
        run(tmp_path / name, tmp_path / "ds")
    assert not (tmp_path / "ds").exists()


def test_names_that_lead_out_of_an_archive_are_refused(tmp_path: Path) -> None:
    data = midi(beat(2))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("../up.mid", "/abs.mid", "ok/in.mid"):
            archive.writestr(name, data)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("link.mid")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    entries = {entry.path: entry for entry in Source(tmp_path / "a.zip").read(lambda name: 1 << 20)}
    assert [path for path, entry in entries.items() if entry.data is not None] == ["ok/in.mid"]
    assert [entry.problem for entry in Source(tmp_path / "a.tar").read(lambda name: 1 << 20)] == [
        "a link or a device, not a plain file"
    ]


def test_a_cut_archive_is_a_mistake_by_name(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(folder(tmp_path / "midi"), "midi")
    whole = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SidemanError, match=r"cut\.tar\.gz cannot be read"):
        run(tmp_path / "cut.tar.gz", tmp_path / "ds")


def test_metre_default_and_pick_up_bar() -> None:
    (piece,) = pieces(midi([(3.5, SNARE, 90), *[(4.0 + t, KICK, 100) for t in range(4)]], meters=[]))
    assert (piece.meter, piece.bar_count, int(piece.masks[14])) == (Meter(4, 4), 2, 2)
