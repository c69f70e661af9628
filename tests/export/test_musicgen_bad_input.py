"""What is given to a MusicGen and cannot be: one line that names it and says the remedy, exit 2, and no file left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")
import soundfile

from bridge.cli import main
from engines.bundle import Bundle
from engines.errors import SidemanError
from engines.musicgen.direction import About, Direction, write_direction
from engines.musicgen.shape import Shape, shape_of
from engines.musicgen.wav import write_sound

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(musicgen_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("bundles") / "tiny"
    assert main(["export", "musicgen", str(musicgen_folder()), "-o", str(found), "--formats", "onnx", "--quiet"]) == 0
    return found


@pytest.fixture(scope="module")
def shape(bundle: Path) -> Shape:
    return shape_of(Bundle.load(bundle).manifest.config, bundle)


def direction(shape: Shape, concept: str = "note:C", layers: int | None = None) -> Direction:
    count = layers or shape.layers
    vectors = np.random.default_rng(len(concept)).standard_normal((count, shape.width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    about = About(
        schema=1, concept=concept, task="binary", method="random", model=shape.model_hash, pooling="mean", prompt="",
        split={}, scores=(0.5,) * count, made={},
    )  # fmt: skip
    return Direction(about, vectors, np.full(count, 20.0, np.float32))


@pytest.fixture
def given(shape: Shape, tmp_path: Path) -> Path:
    """A folder of directions, one of them good (C), and of sounds."""
    good = direction(shape)
    write_direction(good, tmp_path / "C.safetensors")
    other = msgspec.structs.replace(good.about, model="0" * 64)
    write_direction(Direction(other, good.vectors, good.scale), tmp_path / "other.safetensors")
    write_direction(direction(shape, layers=shape.layers + 2), tmp_path / "deep.safetensors")
    write_direction(direction(shape, "tempo"), tmp_path / "tempo.safetensors")
    data, about = (tmp_path / "C.safetensors").read_bytes(), json.loads((tmp_path / "C.json").read_text())
    (tmp_path / "swapped.safetensors").write_bytes(data)
    (tmp_path / "swapped.json").write_bytes((tmp_path / "tempo.json").read_bytes())
    (tmp_path / "cut.safetensors").write_bytes(data[:100])
    (tmp_path / "cut.json").write_text(json.dumps(about))
    overlapping = {"vectors": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]},
                   "scale": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}  # fmt: skip
    header = json.dumps(overlapping).encode()
    half = json.dumps({"vectors": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}}).encode()
    for name, forged in (
        ("short", data[:100]),
        ("huge", (1 << 40).to_bytes(8, "little") + b"{}"),
        ("overlapping", len(header).to_bytes(8, "little") + header + bytes(60)),
        ("half", len(half).to_bytes(8, "little") + half + bytes(4)),
    ):
        (tmp_path / f"{name}.safetensors").write_bytes(forged)
        about["sha256"] = hashlib.sha256(forged).hexdigest()
        (tmp_path / f"{name}.json").write_text(json.dumps(about))
    noise = 0.1 * np.random.default_rng(0).standard_normal((3_000, 1))
    for name, rate_hz, channels in (("odd", 11_111, 2), ("slow", 3_000, 1), ("fast", 400_000, 1), ("many", 8_000, 40)):
        soundfile.write(tmp_path / f"{name}.wav", np.repeat(noise, channels, axis=1), rate_hz)
    soundfile.write(tmp_path / "nan.wav", np.full((800, 1), np.nan), 8_000, subtype="FLOAT")
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), 8_000)
    soundfile.write(tmp_path / "click.wav", noise[:50], 8_000)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "folder.wav").mkdir()
    return tmp_path


def generate(bundle: Path, given: Path, *options: str) -> int:
    words = ["-o", str(given / "a.wav"), "--seconds", ".2", "--seed", "1", "--prompt", "rock song"]
    return main(["generate", "musicgen", str(bundle), *words, *(each.replace("IN", str(given)) for each in options)])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--seconds", "0"], "a duration is above 0"),
        (["--seconds", "nan"], "a duration is above 0"),
        (["--seconds", "900"], "ask for less"),
        (["--seconds", "900", "--continue", "IN/odd.wav"], "leaves no room for --continue; ask for less"),
        (["--prompt", "a" * 10_000], "the prompt has 10,000 characters, at most 2,000 are read"),
        (["--prompt", "x y " * 300], "at most 256 are read"),
        (["--guidance", "nan"], "guidance is nan; it goes from 0 to 20"),
        (["--temperature", "-1"], "temperature is -1.0; it goes from 0"),
        (["--strengths", "1"], "give at least one --direction FILE"),
        (["-o", "IN/a.mp3"], "what is written is a .wav file"),
        (["-o", "IN/nowhere/a.wav"], "nowhere; make it first"),
        (["-o", "IN/folder.wav"], "folder.wav is a folder; name a file in it"),
        (["--direction", "IN/none.safetensors"], "make it with: sideman train steering"),
        (["--direction", "IN/other.safetensors"], "is for another model (00000000, not "),
        (["--direction", "IN/deep.safetensors"], "is for a model of 5x64 layers and width, this one has 3x64"),
        (["--direction", "IN/swapped.safetensors"], "was altered, or belongs to another JSON"),
        (["--direction", "IN/cut.safetensors"], "was altered, or belongs to another JSON"),
        (["--direction", "IN/short.safetensors"], "short.safetensors cannot be read"),
        (["--direction", "IN/huge.safetensors"], "huge.safetensors cannot be read"),
        (["--direction", "IN/overlapping.safetensors"], "overlapping.safetensors cannot be read"),
        (["--direction", "IN/half.safetensors"], "half.safetensors cannot be read"),
        (["--direction", "IN/C.safetensors", "--coefficient", "nan"], "must be a finite number"),
        (["--direction", "IN/C.safetensors", "--strengths", "0", "nan"], "must be a finite number"),
        (["--direction", "IN/C.safetensors", "--coefficient", "1e300"], "which no number can hold"),
        (["--direction", "IN/C.safetensors,inject=2"], "the inject chance is 2; it goes from 0 to 1"),
        (["--direction", "IN/C.safetensors,top=x"], "top is written like 16"),
        (["--direction", "IN/C.safetensors,schedule=soon"], "there is no schedule soon"),
        (
            ["--direction", "IN/C.safetensors,schedule=0:1e308"],
            "1e+308 at step 0; it goes to 1,000,000",
        ),
        (["--direction", "IN/C.safetensors,loud=1"], "keys are coefficient"),
        (["--continue", "IN/none.wav"], "none.wav cannot be read"),
        (["--continue", "IN/text.wav"], "text.wav cannot be read: Format not recognised"),
        (["--continue", "IN/slow.wav"], "slow.wav has 1 channels at 3000 Hz; convert it"),
        (["--continue", "IN/fast.wav"], "fast.wav has 1 channels at 400000 Hz; convert it"),
        (["--continue", "IN/many.wav"], "many.wav has 40 channels"),
        (["--continue", "IN/nan.wav"], "holds numbers that are not finite"),
        (["--continue", "IN/empty.wav"], "holds no sound"),
        (["--continue", "IN/click.wav"], "click.wav is shorter than a frame of codes"),
    ],
)
def test_a_mistake_is_one_line(bundle: Path, given: Path, capsys: Captured, options: list[str], says: str) -> None:
    there = sorted(given.iterdir())
    assert generate(bundle, given, *options) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("tiny: weights under")]
    assert len(lines) == 1
    assert lines[0].startswith("sideman: ")
    assert says in lines[0]
    assert sorted(given.iterdir()) == there, "nothing is written"


def test_what_can_be_made_of_it_is_made_and_said(bundle: Path, given: Path, capsys: Captured) -> None:
    """No prompt, a sound of an odd rate, which is resampled, and coefficients that would leave nothing of the music."""
    assert generate(bundle, given, "--prompt", "", "--continue", "IN/odd.wav", "--direction", "IN/C.safetensors",
                    "--coefficient", "1e30") == 0  # fmt: skip
    said = capsys.readouterr().err
    assert "no prompt: it plays what comes to its mind" in said
    assert "would destroy the sound; held at 1" in said
    begun_frames = round(3_000 / 11_111 * 50)
    assert abs(soundfile.info(given / "a.wav").frames / 160 - (begun_frames + 10)) <= 1


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.wav"
    write_sound(file, np.zeros((10, 1), np.float32), 8_000)
    before = file.read_bytes()

    def full(*_: object, **__: object) -> None:
        (tmp_path / ".a.part.wav").write_bytes(b"RIFF")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(SidemanError, match="cannot be written: No space left"):
        patch.setattr(soundfile, "write", full)
        write_sound(file, np.ones((10, 1), np.float32), 8_000)
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (before, [file])
    with pytest.raises(SidemanError, match=r"nowhere.a\.wav cannot be written"):
        write_sound(tmp_path / "nowhere" / "a.wav", np.zeros((10, 1), np.float32), 8_000)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["MODEL/none"], "there is no folder"),
        (["nobody/musicgen"], "`hf download nobody/musicgen --local-dir FOLDER` makes a folder"),
        (["MODEL"], "no config.json; give the folder that from_pretrained would read"),
        (["MODEL", "--formats", "torchscript"], "--formats torchscript: of onnx, int8"),
        (["MODEL", "--formats", "mp3"], "--formats mp3: of onnx, int8"),
    ],
)
def test_a_model_that_cannot_be_exported(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://hub.invalid")
    words = [each.replace("MODEL", str(tmp_path)) for each in words]
    assert main(["export", "musicgen", *words, "-o", str(tmp_path / "b")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not list(tmp_path.iterdir())
