"""`sideman generate`: bars into files, with an engine that is installed as anyone's would be."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from bridge import cli
from bridge.cli import main
from bridge.commands.making import continued, made
from engines.bundle import Bundle
from engines.engine import Engine
from engines.music import Meter
from engines.parameter import Parameters
from engines.registry import engine_class

ENGINE = """
from dataclasses import dataclass
from engines.engine import Request
from engines.music import Note, Phrase
from engines.parameter import Parameter
from engines.randomness import generator

class Engine:
    parameters = (
        Parameter(name="pitch", kind="int", default=38, high=127),
        Parameter(name="temperature", kind="float", default=1.0, high=2.0),
    )

    @classmethod
    def load(cls, bundle, runtime="auto"):
        return cls()

    def start(self, seed):
        return 0

    def prime(self, history, seed):
        return len(history)

    def generate(self, request, state):
        random = generator(request.seed, request.bar, request.take)
        steps = sorted(int(step) for step in random.choice(request.meter.steps, 5, replace=False))
        notes = [Note(step * 240 + 7, 36, 40 + 10 * i, 120) for i, step in enumerate(steps)]
        notes.append(Note(0, 49 if request.fill else int(request.parameters["pitch"]), 100, 120))
        return Phrase.of(request.length_ticks, notes), state + 1
"""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle for an engine `scatter`, whose package lies in a folder on the path."""
    site = tmp_path / "site"
    info = site / "scatter-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scatter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sideman.engines]\nscatter = scatter_engine:Engine\n")
    (site / "scatter_engine.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(str(site))
    folder = tmp_path / "scattered"
    folder.mkdir()
    manifest = {
        "schema": 1, "name": "scattered", "engine": "scatter", "kind": "scatter", "version": "1", "created": "today",
        "licence": "MIT", "sources": [], "graphs": {}, "sha256": {},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def make(bundle: Path, tmp_path: Path) -> Callable[..., Path]:
    """Runs the command with further arguments; the file it wrote."""

    def run(name: str, *arguments: str) -> Path:
        path = tmp_path / name
        assert main(["generate", str(bundle), "-o", str(path), *arguments]) == 0
        return path

    return run


def notes_of(path: Path) -> list[tuple[int, int, int]]:
    """(tick, pitch, velocity) of the note-ons."""
    found, tick = [], 0
    for message in mido.MidiFile(path).tracks[1]:
        tick += message.time
        if message.type == "note_on":
            found.append((tick, message.note, message.velocity))
    return found


def test_the_same_seed_is_the_same_file_and_another_is_not(make: Callable[..., Path]) -> None:
    first = make("a.mid", "--bars", "4", "--seed", "7")
    assert _digest(first) == _digest(make("b.mid", "--bars", "4", "--seed", "7"))
    assert _digest(first) != _digest(make("c.mid", "--bars", "4", "--seed", "8"))
    bars = [[note for note in notes_of(first) if bar * 3840 <= note[0] < (bar + 1) * 3840] for bar in range(4)]
    assert all(len(bar) >= 5 for bar in bars)
    assert len({tuple((tick % 3840, pitch) for tick, pitch, _ in bar) for bar in bars}) == 4


def test_the_bars_are_those_of_the_engine_asked_bar_by_bar(make: Callable[..., Path], bundle: Path) -> None:
    engine: Engine = engine_class("scatter").load(Bundle.load(bundle))
    wanted, start = [], 0
    plan = replace(continued((), 3, 4, Meter(7, 8), 90.0), fill_every=2)
    for bar in made(engine, Parameters(engine.parameters), plan):
        wanted += [(start + note.tick, note.pitch, note.velocity) for note in bar.phrase.notes]
        start += Meter(7, 8).bar_ticks
    path = make("x.mid", "--bars", "4", "--seed", "3", "--meter", "7/8", "--bpm", "90", "--fill-every", "2")
    assert sorted(notes_of(path)) == sorted(wanted)
    assert [pitch for tick, pitch, _ in notes_of(path) if tick % 3360 == 0] == [38, 49, 38, 49]
    meta = {message.type: message for message in mido.MidiFile(path).tracks[0]}
    assert round(mido.tempo2bpm(meta["set_tempo"].tempo), 3) == 90
    assert (meta["time_signature"].numerator, meta["time_signature"].denominator) == (7, 8)


def test_every_note_ends_and_plain_notes_are_as_the_seed_writes_them(make: Callable[..., Path]) -> None:
    path = make("x.mid", "--velocity", "95", "--note-length", "0.06", "--bpm", "100", "--seed", "1")
    sounding: dict[int, int] = {}
    tick = 0
    for message in mido.MidiFile(path).tracks[1]:
        tick += message.time
        if message.type == "note_on":
            assert message.velocity == 95
            sounding[message.note] = tick
        elif message.type == "note_off":
            assert tick - sounding.pop(message.note) == 96  # .06 s at 100 bpm
    assert not sounding


def test_jsonl_and_back_is_the_same_midi_file(make: Callable[..., Path], tmp_path: Path) -> None:
    midi = make("x.mid", "--seed", "5", "--meter", "3/4", "--bpm", "133.5")
    lines = make("x.jsonl", "--seed", "5", "--meter", "3/4", "--bpm", "133.5")
    assert main(["midi", str(lines), "-o", str(tmp_path / "back.mid")]) == 0
    assert _digest(tmp_path / "back.mid") == _digest(midi)
    assert main(["midi", str(midi), "-o", str(tmp_path / "back.jsonl")]) == 0
    back = (tmp_path / "back.jsonl").read_text()
    for ours, theirs in zip(lines.read_text().splitlines(), back.splitlines(), strict=True):
        one, other = json.loads(ours), json.loads(theirs)
        assert abs(one.pop("bpm") - other.pop("bpm")) < 1e-3  # MIDI counts whole microseconds a beat
        assert one == other


def test_parameters_are_set_by_their_options_and_by_set(make: Callable[..., Path]) -> None:
    path = make("x.mid", "--set", "pitch=42", "--temperature", "0.5", "--bars", "1")
    assert notes_of(path)[0][1] in (36, 42) and 42 in {pitch for _, pitch, _ in notes_of(path)}


def test_the_built_in_kit_plays_it(make: Callable[..., Path]) -> None:
    path = make("x.wav", "--bars", "2", "--bpm", "240", "--seed", "1")
    with wave.open(str(path)) as sound:
        seconds = sound.getnframes() / sound.getframerate()
        frames = sound.readframes(sound.getnframes())
    assert 2.0 <= seconds < 6.0
    assert max(frames) > 0


@pytest.mark.peer
def test_fluidsynth_plays_it_with_a_sound_font(make: Callable[..., Path]) -> None:
    font = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
    if shutil.which("fluidsynth") is None or not font.is_file():
        pytest.skip("needs FluidSynth and TimGM6mb.sf2 (Debian: fluidsynth, timgm6mb-soundfont)")
    path = make("x.wav", "--bars", "1", "--bpm", "240", "--soundfont", str(font))
    with wave.open(str(path)) as sound:
        assert sound.getnframes() > sound.getframerate()
        assert any(sound.readframes(sound.getnframes()))


def test_live_records_the_very_file_that_generate_writes(
    make: Callable[..., Path], bundle: Path, tmp_path: Path
) -> None:
    wanted = make("wanted.mid", "--bars", "4", "--bpm", "240", "--seed", "6", "--fill-every", "2")
    played = tmp_path / "played.mid"
    command = [
        sys.executable, "-m", "bridge.cli", "live", "--player", f"drums={bundle}", "--bars", "4", "--bpm", "240",
        "--seed", "6", "--set", "fill_every=2", "--osc-port", "0", "--silent", "--record", str(played),
    ]  # fmt: skip
    paths = os.pathsep.join((str(Path(cli.__file__).parent.parent), str(tmp_path / "site")))
    environment = {**os.environ, "PYTHONPATH": paths}
    live = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert live.returncode == 0, live.stderr
    bars = [line for line in live.stdout.splitlines() if " bar " in line]
    assert len(bars) == 4
    if "0 late" not in bars[-1]:
        pytest.skip("this machine is too busy to play in time")
    assert _digest(played) == _digest(wanted)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "x.txt"], "x.txt has no ending"),
        (["-o", "nowhere/x.mid"], "there is no folder nowhere"),
        (["-o", f"{'x' * 300}.mid"], "cannot be written: File name too long"),
        (["-o", "x.mid", "--bars", "0"], "--bars takes a whole number from 1"),
        (["-o", "x.mid", "--bars", "nine"], "argument --bars: invalid int value"),
        (["-o", "x.mid", "--bpm", "nan"], "--bpm takes a number from 20 to 999"),
        (["-o", "x.mid", "--velocity", "128"], "--velocity takes a whole number from 1 to 127"),
        (["-o", "x.mid", "--note-length", "inf"], "--note-length takes seconds"),
        (["-o", "x.mid", "--meter", "4"], "'4' is not a metre"),
        (["-o", "x.mid", "--fill-every", "-1"], "--fill-every takes"),
        (["-o", "x.mid", "--set", "pitch"], "write it like --set temperature=0.9"),
        (["-o", "x.mid", "--set", "pich=3"], "there is no parameter pich"),
        (["-o", "x.mid", "--set", "pitch=200"], "pitch takes a whole number from 0 to 127"),
        (["-o", "x.mid", "--temperature", "nan"], "temperature takes a number from 0 to 2"),
        (["-o", "x.mid", "--style", "rock"], "there is no parameter style"),
        (["-o", "x.wav", "--soundfont", "none.sf2"], "none.sf2"),
        (["-o", "x.jsonl", "--set", "pitch=60"], "pitch 60 is no drum"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(
    arguments: list[str], says: str, bundle: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--soundfont" in arguments and shutil.which("fluidsynth") is None:
        pytest.skip("needs FluidSynth")
    try:
        status: object = main(["generate", str(bundle), *arguments])
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr().err
    assert status == 2
    assert says in said and said.count("\n") == 1
    assert not list(here.iterdir())


def test_no_bundle_of_that_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "grove", "-o", "x.mid"]) == 2
    assert "there is no bundle grove" in capsys.readouterr().err


def test_a_folder_of_loops_becomes_a_wav_sample_by_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = np.random.default_rng(0).uniform(-0.5, 0.5, (2 * 96_000, 2))
    (tmp_path / "loops").mkdir()
    soundfile.write(tmp_path / "loops" / "funk_120bpm.wav", frames, 48_000)
    out = tmp_path / "out.wav"
    assert main(["generate", str(tmp_path / "loops"), "--bars", "4", "-o", str(out)]) == 0
    assert "4 bars of loops, seed" in capsys.readouterr().out
    made, rate = soundfile.read(out)
    assert rate == 48_000
    assert np.abs(made[: 4 * 96_000] - np.concatenate([frames, frames])).max() < 3e-4, "two roundings to 16 bits"
    arguments = ["generate", str(tmp_path / "loops"), "-o", str(tmp_path / "out.mid")]
    assert main(arguments) == 2
    assert "these bars are audio; write them to a .wav" in capsys.readouterr().err
    assert not (tmp_path / "out.mid").exists()
