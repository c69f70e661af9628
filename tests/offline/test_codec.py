"""The codec: its codebooks learn, a training goes on exactly, and what it leaves is what transformers reads."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soundfile", reason="needs the extra train")
pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")

import soundfile
import torch
from transformers import EncodecModel

from bridge.cli import main
from engines.errors import SidemanError
from offline.data.pitch import pitch
from offline.musicgen.codec.beginning import LOUDNESS, begin_weights
from offline.musicgen.codec.checkpoint import load_codec
from offline.musicgen.codec.config import PRESETS, CodecConfig
from offline.musicgen.codec.data import Cuts, clips_of, fixed_cuts
from offline.musicgen.codec.losses import MelLoss, si_sdr_db
from offline.musicgen.codec.quantiser import begin, quantised
from offline.musicgen.index import Clip, read_index, write_index, write_shard
from offline.trainer import read_weights

RATE_HZ = 16_000
QUICK = ["--preset", "quick", "--device", "cpu", "--set", "precision=fp32"]


def tones(folder: Path) -> Path:
    """Twelve clips of one and a half seconds, each a tone, in three splits."""
    (folder / "shards").mkdir(parents=True)
    seconds = np.arange(24_000) / RATE_HZ
    clips = []
    for i in range(12):
        wave = 8_000 * np.sin(2 * np.pi * 220 * 2 ** (i / 12) * seconds)
        write_shard(folder / "shards" / f"{i}.flac", [wave.astype(np.int16)], RATE_HZ)
        split = "train" if i < 8 else "validation" if i < 10 else "test"
        clips.append(Clip(f"shards/{i}.flac", 0, 24_000, RATE_HZ, split, "concepts", str(i), "", "", ""))
    write_index(folder, clips)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tones, and a training on them that nothing interrupted."""
    data, run = tones(tmp_path_factory.mktemp("codec") / "data"), tmp_path_factory.mktemp("codec") / "run"
    assert main(["train", "codec", str(data), "-o", str(run), *QUICK]) == 0
    return data, run


def test_every_config_has_as_many_codebooks_as_it_says() -> None:
    for books in range(1, 9):
        for codes in (32, 512, 1024, 2048):
            config = CodecConfig(codebooks=books, codes=codes).encodec()
            assert (config.num_quantizers, config.frame_rate, config.hop_length) == (books, 50, 320)
    for config in PRESETS.values():
        config.check()
    with pytest.raises(SidemanError, match="power of two"):
        CodecConfig(codes=1000).check()
    with pytest.raises(SidemanError, match="cut_frames"):
        CodecConfig(cut_frames=16_001).check()


def test_codebooks_find_clusters_and_take_up_those_that_move() -> None:
    torch.manual_seed(0)
    model = EncodecModel(PRESETS["quick"].encodec())
    places = torch.randn(32, 16) * 3

    def vectors(count: int, shift: float = 0.0) -> torch.Tensor:
        return places[torch.randint(32, (count,))] + shift + 0.01 * torch.randn(count, 16)

    begin(model.quantizer, vectors(2_000), 400)
    known = vectors(400).T[None]
    made, _, codes = quantised(model.quantizer, known, learn=False)
    assert float((made - known).pow(2).mean() / known.pow(2).mean()) < 0.05
    assert codes.shape == (4, 1, 400)
    assert len(codes[0].unique()) >= 20
    torch.testing.assert_close(made, model.quantizer.decode(model.quantizer.encode(known)))
    far = vectors(400, 20.0).T[None]
    before = float(quantised(model.quantizer, far, learn=False)[1])
    for _ in range(300):
        quantised(model.quantizer, vectors(400, 20.0).T[None], learn=True, forget=0.9)
    after = float(quantised(model.quantizer, far, learn=False)[1])
    assert after < 0.1 * before
    assert torch.isfinite(model.quantizer.layers[0].codebook.embed).all()


def test_the_gradient_passes_the_codes_straight_through() -> None:
    torch.manual_seed(0)
    model = EncodecModel(PRESETS["quick"].encodec())
    begin(model.quantizer, torch.randn(500, 16), 10)
    encoded = torch.randn(2, 16, 5, requires_grad=True)
    weight = torch.randn(2, 16, 5)
    made, _, _ = quantised(model.quantizer, encoded, learn=False)
    (made * weight).sum().backward()
    torch.testing.assert_close(encoded.grad, weight)


def test_a_new_codec_passes_music_on_at_its_strength() -> None:
    torch.manual_seed(0)
    model = EncodecModel(PRESETS["quick"].encodec())
    audio = 0.1 * torch.sin(torch.arange(16_000) * 0.2)[None, None].repeat(2, 1, 1)
    begin_weights(model, audio)
    with torch.no_grad():
        encoded = model.encoder(audio)
        made = model.decoder(encoded)
    assert float(encoded.std()) == pytest.approx(1.0, abs=1e-3)
    assert float(made.std()) == pytest.approx(LOUDNESS, abs=1e-4)
    assert float(made.mean()) == pytest.approx(0.0, abs=1e-4)


def test_losses_measure_what_they_say() -> None:
    mel = MelLoss(RATE_HZ, "cpu")
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(RATE_HZ) / RATE_HZ)[None]
    noise = torch.randn(1, RATE_HZ, generator=torch.Generator().manual_seed(0))
    assert float(mel(tone, tone)) == 0.0
    assert float(mel(-tone, tone)) == pytest.approx(0.0, abs=1e-5)
    assert float(mel(tone + 0.1 * noise, tone)) > float(mel(tone + 0.01 * noise, tone)) > 0.0
    scaled = 0.5 * (tone + 0.1 * noise * tone.norm() / noise.norm())
    assert float(si_sdr_db(scaled, tone)) == pytest.approx(20.0, abs=0.2)


def test_a_training_goes_on_exactly_where_it_was_left(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data, whole), halves = trained, tmp_path / "halves"
    batch = Cuts.batch

    def interrupted(self: Cuts, index: int) -> object:
        if index == 6:  # before k-means has begun the codebooks
            signal.raise_signal(signal.SIGINT)
        return batch(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Cuts, "batch", interrupted)
        assert main(["train", "codec", str(data), "-o", str(halves), *QUICK]) == 130
    assert main(["train", "codec", str(data), "-o", str(halves), *QUICK, "--resume"]) == 0
    one, two = (read_weights(folder / "best.pt") for folder in (whole, halves))
    assert one["made"] == 40
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=0, msg=name)


def test_a_trained_codec_is_read_by_transformers_and_judged(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = trained
    model = EncodecModel.from_pretrained(run / "model").eval()
    ours = load_codec(run)
    audio = torch.from_numpy(fixed_cuts(data, clips_of(data, "test", RATE_HZ), 2, 16_000)[0])[:, None]
    with torch.no_grad():
        theirs = model(audio)
        codes = ours.quantizer.encode(ours.encoder(audio))
        torch.testing.assert_close(theirs.audio_codes[0], codes.transpose(0, 1))
        torch.testing.assert_close(theirs.audio_values, ours.decoder(ours.quantizer.decode(codes)))
    assert codes.shape == (4, 2, 50)
    assert len(codes.unique()) > 1
    capsys.readouterr()
    words = ["evaluate", "codec", str(data), "--codec", str(run), "--split", "test", "--cuts", "2", "--seconds", "1"]
    assert main([*words, "-o", str(tmp_path / "figures")]) == 0
    shown = capsys.readouterr().out
    assert all(way in shown for way in ("codec, 1 of 4 books", "codec without codes", "below 1 kHz", "silence"))
    assert ("opus" in shown) == ("OPUS" in soundfile.available_subtypes("OGG"))
    assert (tmp_path / "figures" / "codec.csv").is_file()
    assert main(["train", "codec", str(data), "-o", str(run), *QUICK]) == 2
    assert "holds a training already" in capsys.readouterr().err
    assert main(["train", "codec", str(data), "-o", str(run), *QUICK, "--resume", "--set", "batch=3"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_batches_depend_on_their_number_alone(tmp_path: Path) -> None:
    clips = read_index(tones(tmp_path / "data"))
    config = PRESETS["quick"]
    one, two = (Cuts(tmp_path / "data", clips, config, 1, "cpu") for _ in range(2))
    one.batch(0)
    np.testing.assert_array_equal(one.batch(3), two.batch(3))
    assert one.batch(3).shape == (2, 1, 8_000)
    assert not np.array_equal(one.batch(3), Cuts(tmp_path / "data", clips, config, 2, "cpu").batch(3))


@pytest.mark.parametrize("midi", [45, 60.3, 81])
def test_the_pitch_of_a_note_is_found_and_noise_has_none(midi: float) -> None:
    seconds = np.arange(2 * RATE_HZ) / RATE_HZ
    hz = 440 * 2 ** ((midi - 69) / 12)
    note = sum(0.3 / k * np.sin(2 * np.pi * k * hz * seconds) for k in range(1, 6))
    assert pitch(note.astype(np.float32), RATE_HZ) == pytest.approx(midi, abs=0.15)  # type: ignore[union-attr]
    assert pitch(np.zeros(RATE_HZ, np.float32), RATE_HZ) is None


def test_data_that_a_codec_cannot_learn_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tones(tmp_path / "data")
    assert main(["train", "codec", str(data), "-o", str(tmp_path / "a"), *QUICK, "--set", "rate_hz=32000"]) == 2
    assert "16,000 Hz" in capsys.readouterr().err
    assert main(["evaluate", "codec", str(data), "--codec", str(tmp_path)]) == 2
    assert "is no codec" in capsys.readouterr().err
