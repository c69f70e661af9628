"""From raw MIDI to a playing bundle, with the documented commands, on a few songs in folders of artists."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bridge.cli import main

NEEDS = 'needs the train extra: pip install "sideman[train]"'
for module in ("torch", "onnxscript", "pyarrow", "sklearn", "symusic"):
    pytest.importorskip(module, reason=NEEDS)

from engines.notes.events import quantised  # noqa: E402
from engines.notes.roles import BASS, DRUMS, ROLE_NAMED  # noqa: E402
from offline.notes.playing import plain_bars, write_midi  # noqa: E402

PIANO = ROLE_NAMED["piano"]

ARTISTS = {"Ann": "jazz", "Bob": "folk"}
SONGS, BARS = 14, 12
SMALL = {
    "quick": "width=64 layers=1 heads=2 hidden=96 context=128 epochs=1 steps=6 batch=2 judged=2000",
    "seed": "width=64 layers=1 heads=2 key_heads=1 hidden=64 sequence=512 epochs=1 windows=8 batch=2 judged=4",
}


def write_songs(folder: Path) -> None:
    """Ann's songs are drums, bass and a melody in eighths; Bob's are chords on the beats. Each is another."""
    for artist in ARTISTS:
        (folder / artist).mkdir(parents=True)
        for number in range(SONGS):
            random = np.random.default_rng((number, len(artist), artist == "Ann"))
            rows = []
            for bar in range(BARS):
                at, root = bar * 3840, int(random.choice([48, 53, 55, 57]))
                spots, tones = np.arange(4) * 2, (0, 4, 7)
                if artist == "Ann":
                    rows += [(at + 480 * i, DRUMS, 42, 80 + int(random.integers(20)), 100) for i in range(8)]
                    rows += [(at + 960 * i, BASS, root - 12, 90 + i, 900) for i in range(4)]
                    spots, tones = random.choice(8, 5, replace=False), (int(random.integers(12, 24)),)
                rows += [(at + 480 * int(i), PIANO, root + tone, 60 + int(i), 460) for i in spots for tone in tones]
            ticks, role, pitch, velocity, length = np.array(rows, np.int64).T
            events = quantised(ticks, role, pitch, velocity, length, np.arange(BARS + 1) * 3840)
            write_midi(folder / artist / f"Song {number}.mid", events, plain_bars(BARS))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    write_songs(folder / "midi")
    (folder / "midi" / "Ann" / "broken.mid").write_bytes(b"MThd and no more")
    genres = folder / "genres.csv"
    genres.write_text("artist,genre\n" + "".join(f"{artist},{genre}\n" for artist, genre in ARTISTS.items()))
    made = ["prepare", "notes", folder / "midi", "-o", folder / "data", "--genres", genres, "--workers", 0, "--quiet"]
    assert main([str(word) for word in made]) == 0
    return folder / "data"


@pytest.mark.timeout(400)  # graphs are exported: slow on a machine that does other work
@pytest.mark.parametrize("preset", ["quick", "seed"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_from_raw_midi_to_a_playing_bundle(
    data: Path, tmp_path: Path, preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*words: object) -> str:
        assert main([str(word) for word in words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    run, bundle, out = tmp_path / "run", tmp_path / "bundle", tmp_path / "evaluation"
    settings = [word for setting in SMALL[preset].split() for word in ("--set", setting)]
    command("train", "notes", data, "--preset", preset, "-o", run, "--device", "cpu", *settings)
    command("export", "notes", run, "-o", bundle, "--formats", "int8")
    said = command(
        "evaluate", "notes", f"mine={run}", bundle, "--data", data, "-o", out, "--samples-per-genre", 1, "--bars", 2
    )  # fmt: skip
    with (out / "model_metrics.csv").open(newline="") as file:
        metrics = {row["model"]: row for row in csv.DictReader(file)}
    assert float(metrics["5-gram"]["bits_per_note"]) < float(metrics["unigram"]["bits_per_note"])
    assert 0 < float(metrics["mine"]["perplexity"]) < 2000
    assert "genre recognised" in said and {path.name for path in (out / "generated" / "bundle").iterdir()} == {
        "jazz",
        "folk",
    }
    song = tmp_path / "song.mid"
    command("generate", bundle, "--bars", 2, "--seed", 3, "--set", "genre=folk", "-o", song)
    first = song.read_bytes()
    command("generate", bundle, "--bars", 2, "--seed", 3, "--set", "genre=folk", "-o", song)
    assert song.read_bytes() == first and first.startswith(b"MThd")
