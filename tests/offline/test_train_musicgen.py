"""The decoder: it learns its data and the text, a training goes on exactly, and what it leaves transformers reads."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soundfile", reason="needs the extra train")
pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")

import torch
from transformers import AutoTokenizer, EncodecModel, MusicgenForConditionalGeneration

from bridge.cli import main
from engines.errors import SidemanError
from engines.musicgen.tokens import Tokens
from export.musicgen import licence_of, sources_of
from export.musicgen_tokens import table_of
from offline.musicgen.codec.beginning import begin_weights
from offline.musicgen.codec.config import PRESETS as CODECS
from offline.musicgen.codec.quantiser import begin
from offline.musicgen.decoder import codes as decoder_codes
from offline.musicgen.decoder.baselines import bigram, unigram
from offline.musicgen.decoder.checkpoint import load_checkpoint
from offline.musicgen.decoder.codes import EMPTY, codec_hash, coded
from offline.musicgen.decoder.config import PRESETS, DecoderConfig
from offline.musicgen.decoder.data import IGNORED, Cuts, Example, Form
from offline.musicgen.decoder.judge import others_texts
from offline.musicgen.decoder.text import UNKNOWN, numbers_of, pieces_of, tokenizer_of, varied
from offline.musicgen.index import Clip, read_frames, read_index, write_index, write_shard
from offline.trainer import read_weights

RATE_HZ, SECONDS = 16_000, 1.6
PITCHES = {"low": 100.0, "middle": 300.0, "high": 1000.0}
"""Of which a frame of codes holds whole periods."""
QUICK = ["--preset", "quick", "--device", "cpu"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that pulse at the pitch that their prompts name, in three splits."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "shards").mkdir()
    seconds, rng = np.arange(round(RATE_HZ * SECONDS)) / RATE_HZ, np.random.default_rng(0)
    pulse = 0.2 + 0.8 * (np.floor(seconds * 5) % 2)
    clips = []
    for i in range(21):
        word = list(PITCHES)[i % 3]
        wave = rng.uniform(0.8, 1.0) * pulse * np.sin(2 * np.pi * PITCHES[word] * seconds)
        write_shard(folder / "shards" / f"{i}.flac", [(8_000 * wave).astype(np.int16)], RATE_HZ)
        split = "train" if i < 15 else "validation" if i < 18 else "test"
        prompt = f"{word} note, {100 + 20 * (i % 3)} bpm"
        source, licence = ("concepts", "") if i % 2 else ("midi", "GPL-2.0+")
        clips.append(Clip(f"shards/{i}.flac", 0, len(wave), RATE_HZ, split, source, f"own:{i}", "", licence, prompt))
    write_index(folder, clips)
    return folder


@pytest.fixture(scope="module")
def codec(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A codec of random weights whose codebooks are taken from the clips."""
    torch.manual_seed(0)
    model = EncodecModel(CODECS["quick"].encodec()).eval()
    sound = torch.stack([torch.from_numpy(read_frames(data, clip)) for clip in read_index(data)])
    begin_weights(model, sound[:, None])
    with torch.no_grad():
        begin(model.quantizer, model.encoder(sound[:, None]).permute(0, 2, 1).flatten(0, 1), 100)
    folder = tmp_path_factory.mktemp("codec")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, codec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of the preset quick."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "musicgen", str(data), "--codec", str(codec), "-o", str(folder), *QUICK]) == 0
    return folder


def test_it_learns_what_repeats_and_listens_to_the_text(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "musicgen", str(run), "--data", str(data), "--split", "test", "-o", str(tmp_path)]
    assert main([*words, "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    with (tmp_path / "musicgen.csv").open() as file:
        rows = {(row["way"], row["source"]): row for row in csv.DictReader(file)}
    bits = {way: float(rows[way, "all"]["bits"]) for way in ("own text", "another clip's text", "no text", "unigram")}
    assert bits["own text"] < bits["unigram"] - 0.3
    assert bits["own text"] < bits["another clip's text"] - 0.1
    assert bits["own text"] < bits["no text"]
    row = rows["bigram", "all"]
    assert (row["clips"], row["codes"]) == ("3", str(3 * 4 * 40))
    assert np.mean([float(row[f"book{book}"]) for book in range(4)]) == pytest.approx(float(row["bits"]), abs=1e-3)
    assert all(way in shown for way in ("own text", "bigram", "its text is worth"))
    with (run / "log.csv").open() as file:
        log = list(csv.DictReader(file))
    assert len(log) == 3
    assert float(log[-1]["loss"]) < float(log[0]["loss"])
    books = [float(log[-1][f"book{book}"]) for book in range(4)]
    assert float(log[-1]["loss"]) == pytest.approx(np.mean(books), abs=1e-4)
    assert float(log[-1]["text"]) > 0.0


def test_transformers_says_of_the_folder_what_was_trained(run: Path) -> None:
    network = load_checkpoint(run)
    whole = MusicgenForConditionalGeneration.from_pretrained(run / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    told = tokenizer(["low note", "high note, 140 bpm"], padding=True, return_tensors="pt")
    columns = torch.randint(0, 33, (2, 4, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = network(columns, told.input_ids, told.attention_mask.bool()).transpose(1, 2).flatten(0, 1)
        theirs = whole(**told, decoder_input_ids=columns.flatten(0, 1)).logits
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
        silent = network(columns, told.input_ids, torch.zeros_like(told.input_ids).bool()).transpose(1, 2)
        nothing = torch.zeros(2, 1, whole.config.decoder.hidden_size)
        theirs = whole.decoder(input_ids=columns.flatten(0, 1), encoder_hidden_states=nothing).logits
        torch.testing.assert_close(silent.flatten(0, 1), theirs, rtol=0, atol=1e-5)
    assert whole.config.decoder.pad_token_id == 32
    codes = whole.generate(**told, max_new_tokens=12, do_sample=False)
    assert codes.shape[0] == 2


def test_the_folder_names_its_sources_and_is_what_export_reads(run: Path) -> None:
    model = str(run / "model")
    assert licence_of(model) == "GPL-2.0-or-later"
    said = {(source.name, source.licence): source.pieces for source in sources_of(model)}
    assert said == {("own (concepts)", "synthesised"): 7, ("own (midi)", "GPL-2.0+"): 8}
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokens = Tokens(table_of(tokenizer, model))
    for text in ("low note, 100 bpm", "a middle  something", "HIGH note,note", "low"):
        assert tokens(text) == tokenizer(text)["input_ids"]
    (run / "model" / "sources.json").write_text('{"a": 1}')
    with pytest.raises(SidemanError, match=r"sources\.json"):
        sources_of(model)


def test_a_training_of_the_decoder_goes_on_exactly(
    data: Path, codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    words = ["train", "musicgen", str(data), "--codec", str(codec), *QUICK, "--set", "steps=6", "--set", "dropout=.1"]
    assert main([*words, "-o", str(whole), "--set", "epochs=2"]) == 0
    batch = Cuts.batch

    def interrupted(self: Cuts, epoch: int, index: int) -> object:
        if (epoch, index) == (1, 2):
            signal.raise_signal(signal.SIGINT)
        return batch(self, epoch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Cuts, "batch", interrupted)
        assert main([*words, "-o", str(halves), "--set", "epochs=2"]) == 130
    assert (halves / "model" / "config.json").is_file()
    assert main([*words, "-o", str(halves), "--set", "epochs=2", "--resume"]) == 0
    one, two = (read_weights(folder / "last.pt") for folder in (whole, halves))
    assert one["place"][2] == two["place"][2] == 12
    for part in ("network", "averaged"):
        for name, value in one[part].items():
            torch.testing.assert_close(two[part][name], value, rtol=0, atol=0, msg=name)
    capsys.readouterr()
    assert main([*words, "-o", str(halves), "--set", "epochs=2"]) == 2
    assert "holds a training already" in capsys.readouterr().err
    assert main([*words, "-o", str(halves), "--set", "epochs=2", "--set", "batch=3", "--resume"]) == 2
    assert "other settings" in capsys.readouterr().err
    other = EncodecModel(CODECS["quick"].encodec())
    other.save_pretrained(tmp_path / "other")
    words[words.index(str(codec))] = str(tmp_path / "other")
    assert main([*words, "-o", str(halves), "--set", "epochs=2", "--resume"]) == 2
    assert "another codec" in capsys.readouterr().err


def test_codes_are_worked_out_once(data: Path, codec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = EncodecModel.from_pretrained(codec).eval()
    digest, clips = codec_hash(model), [clip for clip in read_index(data) if clip.split == "test"]
    first = coded(data, clips, model, digest)
    with torch.no_grad():
        sound = torch.from_numpy(read_frames(data, clips[1]))[None, None]
        direct = model.quantizer.encode(model.encoder(sound))[:, 0].numpy()
    np.testing.assert_array_equal(first[1], direct)
    encoded = decoder_codes._encoded
    asked: list[int] = []

    def counted(codec: object, sound: np.ndarray) -> np.ndarray:
        asked.append(len(sound))
        return encoded(codec, sound)

    monkeypatch.setattr(decoder_codes, "_encoded", counted)
    np.testing.assert_array_equal(coded(data, clips[::-1], model, digest)[1], first[1])
    assert asked == []
    (file,) = (data / "codes").glob(f"{digest[:16]}-*.npy")
    kept = np.load(file, mmap_mode="r+", allow_pickle=False)
    kept[len(kept) - 5] = EMPTY  # the last clip was being written when the machine went down
    kept.flush()
    np.testing.assert_array_equal(coded(data, clips, model, digest)[2], first[2])
    assert asked == [1]
    coded(data, clips, model, "f" * 64)
    assert asked == [1, 3]
    file.write_bytes(b"not an array")
    np.testing.assert_array_equal(coded(data, clips, model, digest)[0], first[0])


def example(frames: int, prompt: str = "a, b", source: str = "midi") -> Example:
    codes = np.arange(4 * frames, dtype=np.uint16).reshape(4, frames) % 30
    return Example(Clip("s", 0, frames * 320, RATE_HZ, "train", source, "", "", "", prompt), codes)


def test_batches_are_delayed_and_ask_for_frames_alone() -> None:
    form = Form(4, 32, 50.0, "cpu")
    cut = example(6).codes
    batch = form.batch([cut, cut[:, :4]], 6, np.zeros((2, 1), np.int64), np.zeros((2, 1), bool))
    assert batch.columns.shape == (2, 4, 9)
    assert batch.targets.shape == (2, 9, 4)
    assert (batch.columns[:, :, 0] == 32).all()
    for book in range(4):
        np.testing.assert_array_equal(batch.targets[0, book : book + 6, book], cut[book])
        np.testing.assert_array_equal(batch.columns[0, book, book + 1 : book + 7], cut[book][: 8 - book])
    assert [int((batch.targets[row] != IGNORED).sum()) for row in range(2)] == [24, 16]
    assert int((batch.targets == 32).sum()) == 0


def test_cuts_depend_on_their_number_alone_and_are_of_all_lengths() -> None:
    examples = [example(100, "piano, 80 bpm"), example(160, "drums"), example(40, "a note", "concepts")]
    config = DecoderConfig(batch=4, cut_ms=1000, long_ms=3000, steps=60, concepts=0.5, midi=0.5)
    tokenizer = tokenizer_of(pieces_of(each.clip.prompt for each in examples))
    one, two = (Cuts(examples, tokenizer, config, Form(4, 32, 50.0, "cpu")) for _ in range(2))
    one.epoch(1).batch(0)
    shapes = []
    for index in range(len(one.epoch(1))):
        ours, theirs = one.epoch(1).batch(index), two.epoch(1).batch(index)
        torch.testing.assert_close(ours.columns, theirs.columns)
        torch.testing.assert_close(ours.tokens, theirs.tokens)
        shapes.append(tuple(ours.columns.shape))
    assert set(shapes) == {(4, 4, 53), (1, 4, 153), (8, 4, 28)}
    assert 0.1 < sum(shape[2] == 153 for shape in shapes) / 60 < 0.5
    assert not torch.equal(one.batch(1, 3).targets[0, :5], one.batch(2, 3).targets[0, :5])
    only = DecoderConfig(concepts=1.0, midi=0.0, audio=0.0)
    with pytest.raises(SidemanError, match="share is above 0"):
        Cuts(examples[:2], tokenizer, only, Form(4, 32, 50.0, "cpu"))


def test_words_are_pieces_and_texts_vary() -> None:
    pieces = pieces_of(["jazz, piano and bass, 120 bpm, C# minor", "a C# piano note"])
    tokenizer = tokenizer_of([(piece, score) for piece, score in json.loads(json.dumps(pieces))])
    tokens, heard = numbers_of(tokenizer, ["jazz, 120 bpm", "", "tuba"])
    names = [piece for piece, _ in pieces]
    assert [names[number] for number in tokens[0]] == ["\u2581jazz", ",", "\u2581120", "\u2581bpm", "</s>"]
    assert not heard[1].any()
    assert UNKNOWN in tokens[2]
    rng = np.random.default_rng(0)
    made = {varied("jazz, piano, 120 bpm", 0.5, rng) for _ in range(200)}
    assert made == {
        "jazz, piano, 120 bpm",
        "jazz, piano",
        "jazz, 120 bpm",
        "piano, 120 bpm",
        "jazz",
        "piano",
        "120 bpm",
    }
    assert varied("jazz, piano", 0.0, rng) == "jazz, piano"
    assert {varied("an A#4 piano note", 0.0, rng) for _ in range(20)} == {"an A#4 piano note", "an A# piano note"}
    noisy, _ = numbers_of(tokenizer, ["jazz, piano and bass"] * 200, 0.25, rng)
    assert 0.15 < (noisy[:, :-1] == UNKNOWN).mean() < 0.35
    assert (noisy[:, -1] == 1).all()
    examples = [example(9, "a"), example(9, "b", "audio"), example(9, "a"), example(9, "c")]
    assert others_texts(examples) == ["c", "b", "c", "a"]


def test_baselines_know_what_they_should() -> None:
    rng = np.random.default_rng(0)
    circle = np.tile(np.arange(16, dtype=np.uint16), 50)
    learn = [np.stack([circle, rng.integers(0, 16, 800).astype(np.uint16)])]
    judged = [learn[0][:, 100:400], learn[0][:, 7:300]]
    single, double = unigram(learn, judged, 16), bigram(learn, judged, 16)
    np.testing.assert_allclose(single[:, 0], 4.0, atol=0.01)
    assert (double[:, 0] < 0.2).all()
    unseen = unigram(learn, [np.full((2, 3), 15, np.uint16)], 32)
    assert np.isfinite(unseen).all()


def test_data_that_a_decoder_cannot_learn_from(
    data: Path, codec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(folder: Path, *more: str) -> str:
        words = ["train", "musicgen", str(folder), "--codec", str(codec), "-o", str(tmp_path / "none"), *QUICK, *more]
        assert main(words) == 2
        return capsys.readouterr().err

    def changed(name: str, **values: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "shards").symlink_to(data / "shards")
        clips = read_index(data)
        fields = {field: [values.get(field, getattr(clip, field)) for clip in clips] for field in Clip.__slots__}
        write_index(folder, [Clip(*row) for row in zip(*fields.values(), strict=True)])
        return folder

    assert "no train clips" in told(changed("split", split="test"))
    assert "prepare it again with --rate 16000" in told(changed("rate", rate_hz=32_000))
    assert "no prompts" in told(changed("silent", prompt=""))
    assert "has no index.parquet" in told(tmp_path)
    assert "there is no preset huge" in told(data, "--preset", "huge")
    assert "multiple of 8" in told(data, "--set", "heads=3")
    assert "is no codec" in told(data, "--codec", str(data))
    assert not (tmp_path / "none" / "hparams.json").exists()
    assert main(["evaluate", "musicgen", str(tmp_path), "--data", str(data)]) == 2
    assert "sideman train musicgen" in capsys.readouterr().err
    for config in PRESETS.values():
        config.check()
    for wrong in (
        DecoderConfig(long_ms=100),
        DecoderConfig(long=0.8, short=0.4),
        DecoderConfig(concepts=0, midi=0, audio=0),
    ):
        with pytest.raises(SidemanError):
            wrong.check()
