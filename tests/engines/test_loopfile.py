"""A user's own loops: in tempo, sample-exact where nothing is to be changed, and bad files left out in one line."""

import numpy as np
import pytest
import soundfile

from engines.audio import frames_in
from engines.audiofile import open_audio
from engines.engine import Played, Request
from engines.errors import SidemanError
from engines.loopfile import LoopFiles
from engines.music import Meter, Phrase
from engines.parameter import Parameters

RATE = 48_000
FOUR = Meter(4, 4)


def noise(seconds, channels=2, rate=RATE, seed=0):
    wave = np.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    return wave.astype(np.float32)


def clicks(beats, tempo_bpm, rate=RATE):
    frames = np.zeros((frames_in(beats * 960, tempo_bpm, rate), 1), np.float32)
    for beat in range(beats):
        at = frames_in(beat * 960, tempo_bpm, rate)
        frames[at : at + 200, 0] = np.exp(-np.arange(200) / 30)
    return frames


def save(path, frames, rate=RATE, subtype="FLOAT"):
    soundfile.write(path, frames, rate, subtype=subtype)


def play(engine, bars, tempo_bpm=120.0, meter=FOUR, *, state=None, vary=(), turns=None, first=0, **parameters):
    """Bars one after the other as one array, and the state after them. turns: bar to parameters from there on."""
    values = Parameters(engine.parameters).snapshot() | parameters
    state = engine.start(1) if state is None else state
    made = []
    for bar in range(first, first + bars):
        values = values | (turns or {}).get(bar, {})
        request = Request(
            bar=bar, start_tick=bar * meter.bar_ticks, length_ticks=meter.bar_ticks, meter=meter,
            tempo_bpm=tempo_bpm, parameters=values, seed=1, vary=bar in vary,
        )  # fmt: skip
        loop, state = engine.generate(request, state)
        loop.check(tempo_bpm)
        made.append(loop.frames)
    return np.concatenate(made), state


@pytest.fixture
def folder(tmp_path):
    """Three loops of two bars, each at one level, so that they can be told apart."""
    for number in (1, 2, 3):
        save(tmp_path / f"{number}_120bpm.wav", np.full((192_000, 1), number / 4, np.float32))
    return tmp_path


def levels(frames, bars):
    return [round(float(np.median(part)) * 4) for part in np.split(frames, bars)]


def test_at_its_own_tempo_a_loop_is_played_sample_by_sample(tmp_path):
    frames = noise(8.0)
    save(tmp_path / "funk_120bpm.wav", frames)
    made, _ = play(LoopFiles.from_folder(tmp_path), 8)
    assert np.array_equal(made, np.concatenate([frames, frames]))


def test_also_where_a_bar_is_no_whole_number_of_frames(tmp_path):
    frames = noise(frames_in(4 * 3840, 97.3, 44_100) / 44_100, rate=44_100)
    save(tmp_path / "funk_97.3bpm.flac", frames, 44_100, "PCM_24")
    engine = LoopFiles.from_folder(tmp_path)
    bars = [play(engine, bar + 1, 97.3)[0] for bar in range(4)]
    frames = soundfile.read(tmp_path / "funk_97.3bpm.flac", dtype="float32")[0]
    for bar, made in enumerate(bars):
        start = frames_in(bar * 3840, 97.3, 44_100)
        last = made[-(len(made) - (len(bars[bar - 1]) if bar else 0)) :]
        assert np.array_equal(last, np.take(frames, range(start, start + len(last)), axis=0, mode="wrap"))


@pytest.mark.parametrize(
    ("tempo_bpm", "meter", "off"),
    [(140.0, Meter(), 8), (97.3, Meter(7, 8), 8), (120.05, Meter(), RATE // 1000)],  # the last is not worth a stretch
)
def test_at_another_tempo_every_beat_is_where_it_belongs(tmp_path, tempo_bpm, meter, off):
    save(tmp_path / "click_120bpm.wav", clicks(8, 120.0))
    made, _ = play(LoopFiles.from_folder(tmp_path), 8, tempo_bpm, meter)
    beats = 8 * meter.bar_ticks // 960
    assert len(made) == pytest.approx(frames_in(beats * 960, tempo_bpm, RATE), abs=8)
    for beat in range(1, beats):
        expected = frames_in(beat * 960, tempo_bpm, RATE)
        around = np.abs(made[expected - 2_000 : expected + 2_000, 0])
        assert abs(int(around.argmax()) - 2_000) <= off, "bars are whole numbers of frames, so eight may be off by 8"


def test_a_long_loop_is_stretched_bar_by_bar(tmp_path):
    save(tmp_path / "long_120bpm.wav", clicks(80, 120.0))
    made, _ = play(LoopFiles.from_folder(tmp_path), 4, 130.0)
    for beat in range(1, 16):
        expected = frames_in(beat * 960, 130.0, RATE)
        assert abs(int(np.abs(made[expected - 2_000 : expected + 2_000, 0]).argmax()) - 2_000) <= 8


def test_another_file_begins_at_the_next_bar_with_its_first(tmp_path):
    save(tmp_path / "a_120bpm.wav", noise(4.0, seed=1))
    other = noise(4.0, seed=2)
    save(tmp_path / "b_120bpm.wav", other)
    made, _ = play(LoopFiles.from_folder(tmp_path), 3, turns={1: {"file": 2}})
    assert np.array_equal(made[96_000:], other)


@pytest.mark.parametrize(("order", "heard"), [("again", [1] * 8), ("next", [1, 1, 2, 2, 3, 3, 1, 1])])
def test_what_follows_a_loop_that_is_over(folder, order, heard):
    made, _ = play(LoopFiles.from_folder(folder), 8, order=order)
    assert levels(made, 8) == heard


def test_a_random_order_is_the_seed_s(folder):
    heard = levels(play(LoopFiles.from_folder(folder), 24, order="random")[0], 24)
    assert heard == levels(play(LoopFiles.from_folder(folder), 24, order="random")[0], 24)
    assert set(heard) == {1, 2, 3}
    assert heard[::2] == heard[1::2], "each to its end"


def test_something_else_is_another_file(folder):
    heard = levels(play(LoopFiles.from_folder(folder), 4, vary={2})[0], 4)
    assert heard[:2] == [1, 1] and heard[2] in (2, 3) and heard[3] == heard[2]


def test_a_fresh_worker_goes_on_where_the_music_is(tmp_path):
    frames = noise(8.0)
    save(tmp_path / "funk_120bpm.wav", frames)
    engine = LoopFiles.from_folder(tmp_path)
    state = engine.prime([Played(Meter(), Phrase(3840))] * 6, 1)
    made, _ = play(engine, 2, state=state, first=6)
    assert np.array_equal(made, frames[2 * 96_000 :])


@pytest.mark.parametrize(
    ("name", "seconds", "tempo_bpm", "ticks"),
    [
        ("x_120bpm.wav", 8.0, 120.0, 4 * 3840),
        ("x 97.3 BPM.wav", 4 * 60 / 97.3, 97.3, 3840),
        ("x_120bpm.wav", 1.75, 120.0, 3360),
        ("x_120bpm.wav", 8.3, 120.0, 17 * 960),
        ("x_4bars.wav", 8.0, 120.0, 4 * 3840),
        ("x_1bar.wav", 2.5, 96.0, 3840),
    ],
)
def test_the_name_says_tempo_or_bars(tmp_path, name, seconds, tempo_bpm, ticks):
    save(tmp_path / name, noise(seconds, 1))
    file = open_audio(tmp_path / name)
    assert file.span() == (pytest.approx(tempo_bpm, abs=0.01), ticks)
    assert file.notice == ""


def test_a_file_that_says_nothing_is_guessed_and_named(tmp_path):
    save(tmp_path / "groove.wav", noise(8.0, 1))
    engine = LoopFiles.from_folder(tmp_path)
    assert open_audio(tmp_path / "groove.wav").span() == (120.0, 16 * 960)
    assert engine.troubles == (
        "groove.wav does not say its tempo: taken as 16 beats at 120.0 bpm; put it into the name, like _120bpm",
    )


def test_a_tempo_that_is_turned_is_taken_instead_of_the_file_s(tmp_path):
    frames = noise(8.0)
    save(tmp_path / "funk_120bpm.wav", frames)
    made, _ = play(LoopFiles.from_folder(tmp_path), 2, tempo_bpm=60.0, tempo=60.0)
    assert np.array_equal(made, frames)


def test_bad_files_are_said_in_one_line_each_and_the_rest_plays(tmp_path):
    good = noise(2.0)
    save(tmp_path / "good_120bpm.wav", good)
    save(tmp_path / "silent_120bpm.wav", np.zeros((96_000, 2), np.float32))
    save(tmp_path / "ten_120bpm.wav", noise(2.0, 10))
    broken = good.copy()
    broken[500] = np.nan
    save(tmp_path / "nan_120bpm.wav", broken)
    whole = (tmp_path / "good_120bpm.wav").read_bytes()
    (tmp_path / "short_120bpm.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "header_120bpm.wav").write_bytes(whole[:30])
    (tmp_path / "text_120bpm.wav").write_text("no sound at all")
    (tmp_path / "empty_120bpm.ogg").write_bytes(b"")
    save(tmp_path / "blip_120bpm.wav", noise(0.01))
    save(tmp_path / "endless_120bpm.flac", np.zeros((8_000 * 121, 1), np.float32), 8_000, "PCM_16")
    (tmp_path / "readme.txt").write_text("not looked at")
    (tmp_path / "folder.wav").mkdir()
    engine = LoopFiles.from_folder(tmp_path)
    said = {line.split()[0].split("_")[0]: line for line in engine.troubles}
    assert sorted(said) == ["blip", "empty", "endless", "header", "nan", "short", "silent", "ten", "text"]
    assert len(engine.troubles) == 9
    assert said["ten"] == "ten_120bpm.wav has 10 channels; one or two can be played; it is left out"
    assert "is silent" in said["silent"] and "not finite" in said["nan"] and "cut short" in said["short"]
    assert "longer than 120 s" in said["endless"] and "too short" in said["blip"]
    assert all("\n" not in line for line in engine.troubles)
    assert np.array_equal(play(engine, 1)[0], good)


def test_a_file_of_192_khz_is_played_at_a_rate_that_is_heard(tmp_path):
    t = np.arange(384_000) / 192_000
    save(tmp_path / "high_120bpm.wav", (0.5 * np.sin(2 * np.pi * 1000 * t))[:, None].astype(np.float32), 192_000)
    engine = LoopFiles.from_folder(tmp_path)
    made, _ = play(engine, 1)
    assert len(made) == 192_000  # two seconds at 96 kHz
    spectrum = np.abs(np.fft.rfft(made[:, 0]))
    assert int(spectrum.argmax()) / 2 == pytest.approx(1000, abs=1)
    assert engine.troubles == ("high_120bpm.wav is at 192000 Hz: it is played at 96000 Hz",)


def test_a_folder_without_a_file_that_can_be_played_is_a_mistake(tmp_path):
    with pytest.raises(SidemanError, match=r"has no \.wav, \.ogg, \.flac file that can be played$"):
        LoopFiles.from_folder(tmp_path)
    save(tmp_path / "silent.wav", np.zeros((96_000, 2), np.float32))
    with pytest.raises(SidemanError, match=r"can be played \(silent.wav is silent"):
        LoopFiles.from_folder(tmp_path)


def test_a_file_that_goes_while_it_plays_costs_a_bar_and_is_named(tmp_path):
    save(tmp_path / "a_120bpm.wav", noise(2.0))
    save(tmp_path / "b_120bpm.wav", noise(2.0))
    engine = LoopFiles.from_folder(tmp_path)
    (tmp_path / "b_120bpm.wav").unlink()
    with pytest.raises(SidemanError, match=r"b_120bpm.wav cannot be read"):
        play(engine, 1, file=2)


def test_without_a_folder_it_is_a_click():
    made, _ = play(LoopFiles.load(None), 2, 120.0, Meter(3, 4))
    loud = np.flatnonzero(np.abs(made[:, 0]) > 0.2)
    assert [int(loud[0]) // 24_000, *np.unique(loud // 24_000)[1:]] == [0, 1, 2, 3, 4, 5]
