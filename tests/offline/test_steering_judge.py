"""`sideman evaluate steering`: the judges name what is there and nothing where nothing is; the tables count rightly."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.cli import main
from engines.bundle import Bundle
from engines.errors import SidemanError
from engines.musicgen.direction import About, Direction, write_direction
from engines.musicgen.model import MusicgenModel

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")
pytest.importorskip("pyarrow", reason="needs the extra train")
pytest.importorskip("sklearn", reason="needs the extra train")

from offline.data.fluidsynth import SoundFont, find_font, library, resample  # noqa: E402
from offline.steering.index import Row, write_index  # noqa: E402
from offline.steering.judge import making  # noqa: E402
from offline.steering.judge.basicpitch import basic_pitch, network_file  # noqa: E402
from offline.steering.judge.compare import compared  # noqa: E402
from offline.steering.judge.figures import Findings, class_of, tempo_ranks  # noqa: E402
from offline.steering.judge.hearing import Heard, hear  # noqa: E402
from offline.steering.judge.intervals import rank_correlation, wilson  # noqa: E402
from offline.steering.judge.notes import CHORDS, NOBODY, Opinion, chord_of, note_of, quality, spectrum_profile  # noqa: E402
from offline.steering.judge.probe import Examples, fit  # noqa: E402
from offline.steering.judge.spectrum import apart_db, bands_db, level_db  # noqa: E402
from offline.steering.judge.tempo import tempo_of  # noqa: E402
from offline.steering.recipe import clips, track_of  # noqa: E402
from offline.steering.tiny import write_tiny  # noqa: E402

RATE_HZ = 16_000
Posteriors = Callable[[np.ndarray, int], np.ndarray]


@pytest.fixture(scope="module")
def network() -> Posteriors:
    """Basic Pitch; skips where its wheel is not installed."""
    try:
        network_file()
    except SidemanError as error:
        pytest.skip(str(error))
    return basic_pitch()


def tone(*pitches: float, seconds: float = 2.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Held notes with six partials each, begun anew every half second."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    sound = sum(
        0.6**k * np.sin(2 * np.pi * 440.0 * 2 ** ((pitch - 69) / 12) * (k + 1) * time_s)
        for pitch in pitches for k in range(6)
    )  # fmt: skip
    return (0.1 * sound * np.exp(-2.0 * (time_s % 0.5))).astype(np.float32)


def clicks(bpm: float, seconds: float = 4.0, rate_hz: int = RATE_HZ, first_s: float = 0.1) -> np.ndarray:
    sound = np.zeros(round(seconds * rate_hz), np.float32)
    click = np.random.default_rng(0).uniform(-0.5, 0.5, rate_hz // 40) * np.exp(-np.arange(rate_hz // 40) / 100)
    for number, at_s in enumerate(np.arange(first_s, seconds - 0.05, 60 / bpm)):
        at = round(at_s * rate_hz)
        sound[at : at + len(click)] += (1.0 if number % 4 == 0 else 0.7) * click.astype(np.float32)
    return sound


def noise(brown: bool = False, seconds: float = 4.0) -> np.ndarray:
    white = np.random.default_rng(1).standard_normal(round(seconds * RATE_HZ))
    walk = np.cumsum(white) - np.linspace(0, white.sum(), len(white))
    return ((walk / np.abs(walk).max() if brown else white / 5) * 0.3).astype(np.float32)


def test_the_judge_names_the_note_of_a_tone(network: Posteriors) -> None:
    said = {pitch: note_of(sound, RATE_HZ, network(sound, RATE_HZ)) for pitch in range(48, 84, 5)
            for sound in [tone(pitch)]}  # fmt: skip
    assert {pitch: (one.named, one.voiced > 0.9) for pitch, one in said.items()} == {
        pitch: (pitch % 12, True) for pitch in said
    }


def test_the_judge_names_notes_of_unseen_instruments(network: Posteriors) -> None:
    try:
        library()
        path = find_font(None)
    except SidemanError as error:
        pytest.skip(str(error))
    test = [clip for clip in clips("notes") if clip.split == "test"][3::37][:6]
    assert len(test) == 6
    with SoundFont(path) as font:
        for clip in test:
            voice, notes = track_of(clip)
            sound = resample(font.render([voice], notes, 4.0), RATE_HZ)
            assert note_of(sound, RATE_HZ, network(sound, RATE_HZ)).named == clip.note, clip.name


@pytest.mark.parametrize("sound", [np.zeros(4 * RATE_HZ, np.float32), noise(), noise(brown=True), clicks(120)])
def test_where_there_is_no_note_nobody_names_one(network: Posteriors, sound: np.ndarray) -> None:
    posteriors = network(sound, RATE_HZ)
    assert note_of(sound, RATE_HZ, posteriors).named == NOBODY
    assert chord_of(sound, RATE_HZ, posteriors).named == NOBODY


def test_both_must_agree() -> None:
    assert [Opinion(3, 3, 1.0).named, Opinion(3, 4, 1.0).named, Opinion(NOBODY, 4, 1.0).named] == [3, NOBODY, NOBODY]


def test_the_judge_hears_the_quality_of_a_chord_on_any_root(network: Posteriors) -> None:
    shapes = {"maj": (0, 4, 7), "min": (0, 3, 7), "aug": (0, 4, 8), "dim": (0, 3, 6)}
    for root, name in zip((60, 64, 55, 69), CHORDS, strict=True):
        sound = tone(*(root + step for step in shapes[name]))
        assert quality(spectrum_profile(sound, RATE_HZ)) == CHORDS.index(name)
        assert chord_of(sound, RATE_HZ, network(sound, RATE_HZ)).named == CHORDS.index(name)
    assert quality(np.ones(12)) == quality(np.eye(12)[0]) == NOBODY


@pytest.mark.parametrize("bpm", [52.0, 61.0, 77.5, 96.0, 120.0, 133.0, 174.0, 208.0])
def test_tempo_of_clicks_within_two_percent(bpm: float) -> None:
    for rate_hz in (16_000, 32_000):
        assert tempo_of(clicks(bpm, rate_hz=rate_hz), rate_hz) == pytest.approx(bpm, rel=0.02)


def test_no_tempo_where_nothing_pulses() -> None:
    held = tone(60, 64, seconds=4.0) * 0 + 0.1
    assert [tempo_of(sound, RATE_HZ) for sound in (noise(), noise(brown=True), held)] == [None] * 3


def test_intervals_of_shares() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(60, 64) == pytest.approx((0.8500, 0.9754), abs=1e-4)
    assert all(math.isnan(end) for end in wilson(0, 0))
    assert rank_correlation(np.array([1.0, 2, 3, 4]), np.array([1.0, 4, 9, np.nan])) == pytest.approx(1.0)
    assert math.isnan(rank_correlation(np.ones(4), np.arange(4.0)))


def test_spectra_say_how_far_sounds_lie_apart() -> None:
    one = bands_db(tone(60), RATE_HZ)
    assert apart_db(one, one) == 0.0
    assert apart_db(one, bands_db(noise(), RATE_HZ)) > 20.0
    assert apart_db(bands_db(noise(), RATE_HZ), bands_db(noise() * 0.5, RATE_HZ)) == pytest.approx(6.02, abs=0.01)
    sine = np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    assert level_db(sine) == pytest.approx(-3.01, abs=0.01)
    assert bands_db(sine, RATE_HZ)[5:-5].max() == pytest.approx(1.8, abs=1.0)  # a window's peak and its neighbours


def test_a_probe_learns_what_is_linear() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 12, 240).astype(np.float64)
    labels = np.where(labels == 7, 6, labels)  # a class that is not there
    x = np.eye(12)[labels.astype(int)] + 0.1 * random.standard_normal((240, 12))
    probe = fit("note", Examples(x[:160], labels[:160]), Examples(x[160:], labels[160:]), 12)
    guesses = ((x[160:] - probe.mean) / probe.spread @ probe.weights + probe.offset).argmax(1)
    assert (guesses == labels[160:]).mean() > 0.95
    numbers = x @ np.arange(12.0)
    line = fit("tempo", Examples(x[:160], numbers[:160]), Examples(x[160:], numbers[160:]), 0)
    said = ((x[160:] - line.mean) / line.spread @ line.weights + line.offset)[:, 0]
    assert np.corrcoef(said, numbers[160:])[0, 1] > 0.99


def heard(named: list[int] | None = None, bpm: list[float] | None = None) -> Heard:
    count = len(named or bpm or [])
    classes, nothing = np.array(named or [NOBODY] * count), np.full(count, np.nan)
    return Heard(
        named=classes, basic=classes, harmonic=classes, bpm=np.array(bpm or nothing), voiced=np.ones(count),
        probe=nothing, level_db=np.full(count, -20.0), bands=np.zeros((count, 3, 32), np.float16), text=np.zeros(0),
    )  # fmt: skip


def test_an_abstention_is_a_miss_and_other_classes_are_counted() -> None:
    said = {("note", "unsteered", 0.0): heard([NOBODY, 0, 2, 4]), ("note:D", "rfm", 0.2): heard([2, 2, NOBODY, 7])}
    rows = {row["method"]: row for row in Findings("note", 4, 0, said).rows()}
    figures = ("target", "other", "abstained", "clips")
    assert [rows["rfm"][name] for name in figures] == [0.5, 0.25, 0.25, 4]
    assert [rows["unsteered"][name] for name in figures] == [0.25, 0.5, 0.25, 4]
    assert rows["rfm"]["target_low"] == pytest.approx(wilson(2, 4)[0])
    assert (class_of("note:D"), class_of("chord:min"), class_of("note:C")) == (2, 1, 0)


def test_the_mean_of_the_classes_comes_first_and_a_lost_cell_is_told() -> None:
    said = {("note", "unsteered", 0.0): heard([0, 2, 2, 4]), ("note:C", "rfm", 0.2): heard([0, 0, 0, NOBODY]),
            ("note:D", "rfm", 0.2): heard([2, 0, 0, 0]), ("note:C", "random", 0.2): heard([1, 1, 0, 1])}  # fmt: skip
    first = Findings("note", 4, 0, said).rows()[:3]
    assert [row["concept"] for row in first] == ["note, 2 classes"] * 3
    assert [(row["method"], row["target"], row.get("failed")) for row in first] == [
        ("unsteered", 0.375, None), ("rfm", 0.5, None), ("random", 0.25, 1)
    ]  # fmt: skip


def test_the_strength_is_chosen_by_takes_that_are_not_reported() -> None:
    said = {("note", "unsteered", 0.0): heard([NOBODY] * 8),
            ("note:C", "rfm", 0.2): heard([0, 0, 0, 0, 0, 1, 1, 1]),
            ("note:C", "rfm", 0.4): heard([0, 1, 1, 1, 0, 0, 0, 0]),
            ("note:C", "ridge", 0.2): heard([1] * 8), ("note:C", "ridge", 0.4): heard([0] * 8)}  # fmt: skip
    rows = compared(Findings("note", 8, 0, said))
    found = {(row["against"], row["strength"]): (row["rfm_strength"], row["its_strength"], row["difference"])
             for row in rows}  # fmt: skip
    assert found == {
        ("unsteered", "own best"): (0.2, 0.0, 0.25), ("ridge", "own best"): (0.2, 0.4, -0.75),
        ("ridge", "the same"): (0.2, 0.2, 0.25),
    }  # fmt: skip
    assert rows[1]["low"] <= -0.75 <= rows[1]["high"]  # type: ignore[operator]


def test_tempo_is_told_by_how_it_moves() -> None:
    plain = [100.0, 110.0, 120.0, 130.0]
    said = {("tempo", "unsteered", 0.0): heard(bpm=plain)}
    for way in (-0.2, 0.2):
        said["tempo", "rfm", way] = heard(bpm=[bpm * (1 + way) for bpm in plain])
        said["tempo", "random", way] = heard(bpm=[99.0, 120.0, math.nan, 124.0])
    findings = Findings("tempo", 4, 0, said)
    rows = {(row["method"], row["strength"]): row for row in findings.rows()}
    assert (rows["rfm", -0.2]["target"], rows["rfm", 0.2]["target"], rows["rfm", 0.2]["other"]) == (1.0, 1.0, 0.0)
    assert rows["rfm", 0.2]["bpm"] == pytest.approx(138.0)
    assert (rows["random", 0.2]["target"], rows["random", 0.2]["other"], rows["random", 0.2]["abstained"]) == (
        0.25, 0.25, 0.25
    )  # fmt: skip
    ranks = {str(row["method"]): row for row in tempo_ranks(findings)}
    correlations = [ranks[method]["rank_correlation"] for method in ("rfm", "random")]
    assert correlations[0] > 0.8  # type: ignore[operator]
    assert correlations[1] == pytest.approx(0.0, abs=0.2)


# From a bundle to tables.


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("judged")
    write_tiny(place / "model", layers=2)
    words = ["export", "musicgen", str(place / "model"), "-o", str(place / "bundle"), "--formats", "onnx", "--quiet"]
    assert main(words) == 0
    return place / "bundle"


@pytest.fixture(scope="module")
def directions(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, config = tmp_path_factory.mktemp("directions"), Bundle.load(bundle).manifest.config
    for number, concept in enumerate(("note:C", "note:D#", "tempo", "interval:6")):
        for method in ("rfm", "random"):
            write(folder, config, concept, method, number)
    return folder


def write(folder: Path, config: dict[str, Any], concept: str, method: Any, seed: int) -> None:
    layers, width = config["layers"], config["width"]
    vectors = np.random.default_rng([seed, len(method)]).standard_normal((layers, width)).astype(np.float32)
    about = About(
        schema=1, concept=concept, task="binary", method=method, model=config["model_hash"], pooling="mean",
        prompt="", split={}, scores=(0.5,) * layers, made={},
    )  # fmt: skip
    one = Direction(about, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.full(layers, 5.0, np.float32))
    write_direction(one, folder / f"{concept.replace(':', '-')}.{method}.safetensors")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rows = tmp_path_factory.mktemp("set"), []
    for split, base in (("train", 48), ("validation", 60), ("test", 72)):
        for step in range(0, 12, 3):
            name = f"{split}-{step}.wav"
            soundfile.write(folder / name, tone(base + step), RATE_HZ)
            rows.append(Row(name, "notes", split, "sines.sf2", 0, base // 12, RATE_HZ, 2.0, base + step, step))
        for bpm in (90.0, 150.0):
            name = f"{split}-{bpm:g}.wav"
            soundfile.write(folder / name, clicks(bpm, 2.0), RATE_HZ)
            rows.append(Row(name, "tempos", split, "sines.sf2", -1, -1, RATE_HZ, 2.0, bpm=bpm))
    write_index(folder, rows)
    return folder


def evaluate(bundle: Path, directions: Path, output: Path, *words: str) -> int:
    small = ["--clips", "4", "--seconds", "2", "--strengths", ".3", "--adherence", "2", "--known", "4"]
    own = ["--directions", str(directions), "-o", str(output), "--workers", "0", "--listen", "1"]
    return main(["evaluate", "steering", str(bundle), *own, *small, *words])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_from_a_bundle_to_tables_and_nothing_is_made_twice(
    network: Posteriors, bundle: Path, directions: Path, dataset: Path, tmp_path: Path, *,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ("--data", str(dataset))
    assert evaluate(bundle, directions, tmp_path, *words) == 0
    told = capsys.readouterr()
    assert "no judge knows interval:6" in told.err
    assert "note, 2 classes, 4 clips of each" in told.out
    assert "rank correlation" in told.out
    rows = read(tmp_path / "steering.csv")
    assert [(row["concept"], row["method"], float(row["strength"])) for row in rows] == [
        (concept, method, way * 0.3)
        for concept in ("note, 2 classes", "note:C", "note:D#", "tempo")
        for method in ("unsteered", "rfm", "random")
        for way in ([-1, 1] if (concept, method != "unsteered") == ("tempo", True) else [method != "unsteered"])
    ]
    for row in rows:
        if row["target"]:
            total = float(row["target"]) + float(row["other"]) + float(row["abstained"])
            assert total == pytest.approx(1.0) or row["concept"] == "tempo"
            assert 0.0 <= float(row["target_low"]) <= float(row["target"]) <= float(row["target_high"]) <= 1.0
        assert math.isfinite(float(row["text_nats"]))
        assert float(row["apart_db"]) > 0.0
    ceilings = {(row["kind"], row["sound"], row["coded"]): row for row in read(tmp_path / "ceilings.csv")}
    assert float(ceilings["note", "test clips, sines", "0"]["right"]) == 1.0
    assert float(ceilings["tempo", "test clips, sines", "0"]["right"]) == 1.0
    assert {float(ceilings["note", each, "0"]["wrong"]) for each in ("silence", "white noise", "clicks")} == {0.0}
    assert len(list((tmp_path / "sounds").glob("*.wav"))) == 2 + 2 * 2 + 2 * 2

    counted: list[str] = []
    real, takes = making.hear, making._takes
    monkeypatch.setattr(making, "hear", lambda *how: counted.append("hear") or real(*how))
    monkeypatch.setattr(making, "_takes", lambda *how: counted.append("make") or takes(*how))
    table = (tmp_path / "steering.csv").read_bytes()
    assert evaluate(bundle, directions, tmp_path, *words) == 0
    assert counted == []
    (one,) = (tmp_path / ".cells").glob("note-C.rfm.*.heard.npz")
    one.write_bytes(b"damaged")
    assert evaluate(bundle, directions, tmp_path, *words) == 0
    assert counted == ["hear"], "what was made stays"
    for file in (tmp_path / ".cells").glob("note-C.rfm.*.npz"):
        file.unlink()
    assert evaluate(bundle, directions, tmp_path, *words) == 0
    assert counted == ["hear", "make", "hear"]
    assert (tmp_path / "steering.csv").read_bytes() == table, "the same takes again"


def test_a_cell_that_fails_costs_itself_alone(
    bundle: Path, directions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = making._takes

    def failing(plan: Any, cell: Any, *rest: Any) -> Any:
        if (cell.method, cell.strength) == ("rfm", 0.3):
            raise RuntimeError("the graph breaks")
        return real(plan, cell, *rest)

    monkeypatch.setattr(making, "_takes", failing)
    assert evaluate(bundle, directions, tmp_path, "--concepts", "tempo", "--adherence", "0") == 1
    assert "tempo.rfm.0.3" in capsys.readouterr().err
    assert [(row["method"], float(row["strength"])) for row in read(tmp_path / "steering.csv")] == [
        ("unsteered", 0.0), ("rfm", -0.3), ("random", -0.3), ("random", 0.3)
    ]  # fmt: skip


def test_the_likelihood_of_the_text_is_that_of_all_columns_at_once(bundle: Path) -> None:
    model = MusicgenModel.load(Bundle.load(bundle), "fp32")
    shape, random = model.shape, np.random.default_rng(0)
    codes = random.integers(0, shape.vocabulary, (2, shape.books, 5))
    prompts = [model.prompt("a piano note"), model.prompt("loud drums")]
    said = making.text_nats(model, codes, prompts)
    laid = shape.delay.laid(codes)
    for take, prompt in enumerate(prompts):
        nats = 0.0
        for sign, text in ((1, prompt), (-1, model.prompt(""))):
            for count in range(1, laid.shape[-1]):
                context = model.context(1, laid.shape[-1])
                model.hear_prompts(context, [text])
                heard_first = np.ascontiguousarray(laid[take : take + 1, :, :count].transpose(0, 2, 1))
                none = np.zeros((shape.layers, 1, shape.width), np.float32)
                (logits,) = context.hear(count, codes=heard_first, position=np.arange(count), steer=none)
                for book in np.flatnonzero(shape.delay.open(count, 5)):
                    own = logits[0, book].astype(np.float64)
                    nats += sign * (own[laid[take, book, count]] - np.log(np.exp(own).sum()))
        assert said[take] == pytest.approx(nats / codes[0].size, abs=1e-5)
    assert abs(making.text_nats(model, codes, [model.prompt("")] * 2)).max() < 1e-6


def test_without_its_wheel_the_judge_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(SidemanError, match="pip install --no-deps basic-pitch"):
        network_file()


def test_hearing_a_tempo_takes_no_network() -> None:
    said = hear([clicks(100.0), noise()], RATE_HZ, "tempo", None)
    assert said.bpm[0] == pytest.approx(100, rel=0.02)
    assert math.isnan(said.bpm[1])
    assert said.voiced.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--strengths", "0"], "numbers above 0"),
        (["--seconds", "1"], "--seconds 1"),
        (["--clips", "1"], "--clips 1"),
        (["--concepts", "interval"], "there is no judge of it"),
        (["--concepts", "note:E"], "has no directions of note:E"),
        (["--seconds", "31"], "--seconds 31"),
        (["--guidance", "nan"], "guidance is nan"),
        (["--data", "nowhere"], "nowhere has no index.parquet"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], message: str, bundle: Path, directions: Path, tmp_path: Path, *,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert evaluate(bundle, directions, tmp_path, *(["--concepts", "tempo"] if "--concepts" not in words else []),
                    *words) == 2  # fmt: skip
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_directions_that_do_not_fit_are_refused(bundle: Path, directions: Path, tmp_path: Path) -> None:
    config = dict(Bundle.load(bundle).manifest.config)
    write(tmp_path, {**config, "model_hash": "0" * 64}, "tempo", "rfm", 0)
    assert evaluate(bundle, tmp_path, tmp_path / "out") == 2
    for place in ("1", "2"):
        (tmp_path / place).mkdir()
        write(tmp_path / place, config, "note:C", "rfm", 0)
    (tmp_path / "tempo.rfm.json").unlink()
    assert evaluate(bundle, tmp_path, tmp_path / "out", "--concepts", "note") == 2
    assert evaluate(bundle, tmp_path / "nowhere", tmp_path / "out") == 2
