"""Loops on the grid: each click on its sample, whatever the rates, across tempo changes; seams that do not click."""

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

from bridge.messages.stage import Piece  # noqa: E402
from bridge.sound.clock import ClockPiece, FrameClock  # noqa: E402
from bridge.sound.grid import Grid  # noqa: E402
from bridge.sound.loops import LoopPlayer  # noqa: E402
from bridge.sound.prepare import frames_of, prepared, stretched  # noqa: E402
from bridge.sound.takes import Take, Want  # noqa: E402
from bridge.timing.timeline import NS_MBPM_PER_TICK, TempoMap  # noqa: E402
from engines.errors import SidemanError  # noqa: E402
from engines.music import LoopFile  # noqa: E402
from engines.stretch import attacks_of  # noqa: E402

BEAT, BAR = 960, 3840
START_NS = 3_141_592_653_589
BLOCK = 512


def click_loop(folder, rate, tempo_mbpm=120_000, tail=0.0):
    """A bar with a click on each beat, which rings for a while at the level `tail`."""
    count = round(frames_of(BAR, tempo_mbpm, rate))
    frames = np.zeros((count, 1), np.float32)
    ring = np.arange(rate // 8)
    shape = tail * np.sin(2 * np.pi * 600 * ring / rate) * np.exp(-ring / (0.03 * rate))
    shape[0] = 0.9
    for beat in range(4):
        at = round(frames_of(beat * BEAT, tempo_mbpm, rate))
        part = shape[: count - at]
        frames[at : at + len(part), 0] += part.astype(np.float32)
    return written(folder, "clicks", frames, rate, tempo_mbpm)


def written(folder, name, frames, rate=48_000, tempo_mbpm=120_000):
    path = folder / f"{name}-{rate}-{tempo_mbpm}.wav"
    soundfile.write(path, frames, rate, subtype="FLOAT")
    return LoopFile(str(path), rate, len(frames), frames.shape[1], BAR, tempo_mbpm)


class Player:
    """A LoopPlayer beside a timeline, whose loops are prepared at once; `late`: stretched ones so many blocks later."""

    def __init__(self, rate, tempo_mbpm=120_000, on_tempo="stretch", late=0, all_late=0):
        self.rate = rate
        first = Piece(0, START_NS, tempo_mbpm)
        self.timeline = TempoMap(first)
        self.grid = Grid(FrameClock(rate, (ClockPiece(0, START_NS),)), first)
        self.loops = LoopPlayer(rate, on_tempo)
        self.frame = 0
        self._late = late
        self._all_late = all_late
        self._waiting = []
        self._parts = []

    def tempo(self, tick, tempo_mbpm):
        piece = Piece(tick, self.timeline.ns_at(tick), tempo_mbpm)
        self.timeline.apply(piece)
        self.grid.apply(piece)
        self.loops.tempo(self.grid, self.frame)

    def start(self, loop, tick, length=BAR):
        self.loops.starts(loop, tick, length, self.grid, self.frame)

    def play_until(self, tick):
        """Render up to a tick; returns everything so far."""
        end = round(self.grid.frame_at(tick))
        while self.frame < end:
            for want in self.loops.wants(self.grid):
                stretched = want.tempo_mbpm != want.loop.tempo_mbpm
                self._waiting.append((self._late if stretched else self._all_late, want))
            for late, want in self._waiting:
                if late == 0:
                    take = Take(prepared(want, self.rate), want.tempo_mbpm, want.from_tick)
                    self.loops.ready(want, take, self.grid, self.frame)
            self._waiting = [(late - 1, want) for late, want in self._waiting if late > 0]
            block = np.zeros((min(BLOCK, end - self.frame), 2), np.float32)
            self.loops.render(block, self.frame, self.grid)
            self._parts.append(block)
            self.frame += len(block)
            self.loops.forget(self.frame, self.grid)
        return np.concatenate(self._parts)

    def frame_of(self, tick):
        return (self.timeline.ns_at(tick) - START_NS) * self.rate / 1e9


def clicks(sound, least=0.4):
    """The frames at which something sharp is loudest."""
    level = np.abs(sound).max(axis=1)
    loud = np.flatnonzero(level > least)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 1_000) + 1)
    return [int(group[np.argmax(level[group])]) for group in groups if len(group)]


@pytest.mark.parametrize("rate", [48_000, 44_100, 96_000])
@pytest.mark.parametrize("file_rate", [48_000, 44_100, 22_050])
def test_each_click_is_within_a_sample_of_its_tick(tmp_path, rate, file_rate):
    tempo_mbpm = 97_300 if file_rate >= rate else 120_000  # else half a sample of the file is more than one
    loop = click_loop(tmp_path, file_rate, tempo_mbpm)
    player = Player(rate, tempo_mbpm)
    for bar in range(6):
        player.start(loop, bar * BAR)
    found = clicks(player.play_until(6 * BAR)[:-20], 0.3)  # a resampled loop leads into its beginning
    expected = [player.frame_of(beat * BEAT) for beat in range(24)]
    assert len(found) == 24
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 1


def test_a_loop_at_the_device_s_rate_and_tempo_is_played_as_it_is(tmp_path):
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (96_000, 2)).astype(np.float32)
    player = Player(48_000)
    player.start(written(tmp_path, "noise", noise), 0)
    assert np.array_equal(player.play_until(BAR)[:96_000], noise)


@pytest.mark.parametrize("tail", [0.0, 0.2])
@pytest.mark.parametrize(("tempo_mbpm", "late"), [(93_000, 4), (140_000, 4), (240_000, 0), (60_000, 9), (120_400, 0)])
def test_clicks_stay_on_their_ticks_when_the_tempo_turns_in_mid_bar(tmp_path, tempo_mbpm, late, tail):
    loop = click_loop(tmp_path, 48_000, tail=tail)
    player = Player(48_000, late=late)
    player.start(loop, 0)
    player.play_until(BEAT + 300)
    player.tempo(BEAT + 700, tempo_mbpm)
    player.start(loop, BAR)  # made for the old tempo: a repeat
    player.play_until(BAR + BEAT)
    player.start(click_loop(tmp_path, 48_000, tempo_mbpm, tail=tail), 2 * BAR)
    found = clicks(player.play_until(3 * BAR), 0.5)
    expected = [player.frame_of(beat * BEAT) for beat in range(12)]
    assert len(found) == 12
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 1


def test_a_stretched_tone_keeps_its_pitch_and_one_on_tape_does_not(tmp_path):
    at = np.arange(96_000) / 48_000
    tone = (0.4 * np.sin(2 * np.pi * 500 * at)).astype(np.float32)[:, None]
    loop = written(tmp_path, "tone", tone)

    def pitch(sound):
        spectrum = np.abs(np.fft.rfft(sound[:, 0] * np.hanning(len(sound))))
        return float(spectrum.argmax() * 48_000 / len(sound))

    for late, expected_hz in ((5, 500), (1_000, 500 * 100 / 120)):
        player = Player(48_000, late=0)
        player.start(loop, 0)
        player.play_until(BEAT)
        player._late = late
        player.tempo(BEAT + 100, 100_000)
        sound = player.play_until(BAR)
        assert pitch(sound[48_000:96_000]) == pytest.approx(expected_hz, abs=6)
        assert np.abs(np.diff(sound[1_000:, 0])).max() < 0.08  # 2 pi 500 / 48000 * .4 = .026: nothing clicks


def test_by_the_other_policy_a_loop_finishes_as_it_was_and_the_next_is_on_the_grid(tmp_path):
    loop = click_loop(tmp_path, 48_000)
    player = Player(48_000, on_tempo="finish")
    player.start(loop, 0)
    player.play_until(BEAT)
    player.tempo(BEAT + 100, 100_000)
    player.start(click_loop(tmp_path, 48_000, 100_000), BAR)
    found = clicks(player.play_until(2 * BAR), 0.5)
    assert found[:4] == [0, 24_000, 48_000, 72_000]
    assert found[4:] == pytest.approx([player.frame_of(BAR + beat * BEAT) for beat in range(4)], abs=1)


def test_a_late_loop_plays_its_rest_on_the_grid_and_says_what_was_lost(tmp_path):
    loop = click_loop(tmp_path, 48_000)
    player = Player(48_000, all_late=60)
    player.start(loop, 0)
    sound = player.play_until(BAR)
    assert clicks(sound, 0.5) == [48_000, 72_000]
    assert player.loops.late_frames == 60 * BLOCK
    assert not sound[: 60 * BLOCK].any()


def steps(sound):
    return float(np.abs(np.diff(sound[:, 0])).max())


def test_seams_between_loops_that_do_not_meet_are_faded(tmp_path):
    at = np.arange(96_000) / 48_000
    one = written(tmp_path, "one", (0.5 * np.cos(2 * np.pi * 110 * at)).astype(np.float32)[:, None])
    two = written(tmp_path, "two", (-0.5 * np.cos(2 * np.pi * 90 * at)).astype(np.float32)[:, None])
    player = Player(48_000)
    player.start(one, 0)
    player.start(two, BAR)
    player.start(None, 2 * BAR, 0)
    sound = player.play_until(3 * BAR)
    assert steps(sound[10:]) < 0.02
    assert sound[192_000:192_200].any()
    assert not sound[192_500:].any()


def test_a_loop_that_goes_on_where_it_was_is_not_touched_at_its_seam(tmp_path):
    at = np.arange(96_000) / 48_000
    whole = (0.5 * np.sin(2 * np.pi * 110 * at)).astype(np.float32)[:, None]  # 110 periods a second: it meets itself
    player = Player(48_000)
    loop = written(tmp_path, "round", whole)
    player.start(loop, 0, 3 * BAR)
    assert np.array_equal(player.play_until(3 * BAR)[:, :1], np.tile(whole, (3, 1)))


def test_a_stop_in_mid_loop_fades(tmp_path):
    at = np.arange(96_000) / 48_000
    loop = written(tmp_path, "low", np.cos(2 * np.pi * 50 * at).astype(np.float32)[:, None])
    player = Player(48_000)
    player.start(loop, 0)
    player.play_until(BEAT)
    player.loops.stops(BEAT + 480, player.grid, player.frame)
    sound = player.play_until(BAR)
    assert steps(sound[10:]) < 0.02
    assert sound[36_000:36_400].any()
    assert not sound[36_500:].any()


def test_a_bar_replaced_while_it_sounds_gives_way_without_a_click(tmp_path):
    at = np.arange(96_000) / 48_000
    one = written(tmp_path, "one", np.cos(2 * np.pi * 50 * at).astype(np.float32)[:, None])
    two = written(tmp_path, "two", np.sin(2 * np.pi * 80 * at).astype(np.float32)[:, None])
    player = Player(48_000)
    player.start(one, 0)
    player.play_until(BEAT)
    player.start(two, 0)
    sound = player.play_until(BAR)
    assert steps(sound[10:]) < 0.04
    assert np.allclose(sound[40_000:90_000, 0], np.sin(2 * np.pi * 80 * at)[40_000:90_000], atol=1e-5)


def test_the_block_size_is_not_heard(tmp_path):
    loop = click_loop(tmp_path, 44_100, tail=0.2)
    whole = Player(48_000, 119_900)
    whole.start(loop, 0, 2 * BAR)
    sound = whole.play_until(BAR)
    again = np.zeros((4_001, 2), np.float32)
    whole.loops.render(again, 1_234, whole.grid)
    assert np.allclose(again, sound[1_234 : 1_234 + 4_001], atol=1e-5)


def test_a_bent_device_clock_moves_clicks_by_less_than_a_sample_and_the_sound_goes_on(tmp_path):
    loop = click_loop(tmp_path, 48_000)
    player = Player(48_000)
    clock = FrameClock(48_000, (ClockPiece(0, START_NS, 0),))
    player.grid.clock = clock.and_then(ClockPiece(60_000, START_NS + 1_250_000_000, 150_000))
    player.start(loop, 0, 8 * BAR)
    found = clicks(player.play_until(8 * BAR), 0.3)
    expected = [player.grid.clock.frame_at(START_NS + beat * BEAT * NS_MBPM_PER_TICK // 120_000) for beat in range(32)]
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 1
    assert abs(expected[-1] - 31 * 24_000) > 100


def test_a_long_loop_on_a_clock_that_is_bent_every_second_goes_on_without_a_jump(tmp_path):
    at = np.arange(20 * 48_000)
    tone = (0.5 * np.sin(2 * np.pi * 1_000 * at / 48_000)).astype(np.float32)
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone, 48_000, subtype="FLOAT")
    player = Player(48_000, 96_001)
    player.start(LoopFile(str(path), 48_000, len(tone), 1, 32 * BEAT, 96_000), 0, 32 * BEAT)
    for second in range(1, 20):
        frame = second * 48_000 + 13
        bend = 150_000 + 7_000 * (second % 3)
        at_ns = START_NS + round(player.grid.clock.ns_since(frame, START_NS))
        player.grid.clock = player.grid.clock.and_then(ClockPiece(frame, at_ns, bend))
        player.play_until(player.grid.tick_at(frame))
    sound = player.play_until(30 * BEAT)[:, 0]
    curve = np.diff(sound[100:], 2)
    assert np.abs(curve).max() < 1.1 * 0.5 * (2 * np.pi * 1_000 / 48_000) ** 2


def test_attacks_are_found_where_they_are():
    sound = np.zeros((48_000, 2), np.float32)
    ring = np.exp(-np.arange(8_000) / 2_000) * np.sin(np.arange(8_000) / 20)
    for at in (0, 9_000, 30_001):
        sound[at : at + 8_000] += ring[:, None].astype(np.float32)
    assert [abs(a - b) <= 8 for a, b in zip(attacks_of(sound, 48_000), (0, 9_000, 30_001), strict=True)] == [True] * 3
    hum = np.sin(np.arange(48_000) / 50).astype(np.float32)[:, None] * np.ones((1, 2), np.float32)
    assert len(attacks_of(hum, 48_000)) <= 1
    assert attacks_of(np.zeros((48_000, 2), np.float32), 48_000) == []


def test_a_stretched_loop_is_as_long_and_as_loud_as_it_should(tmp_path):
    noise = np.random.default_rng(2).uniform(-0.3, 0.3, (96_000, 2)).astype(np.float32)
    loop = written(tmp_path, "noise", noise)
    for tempo_mbpm, from_tick in ((90_000, 0), (160_000, 1_000)):
        out = stretched(noise, Want(loop, tempo_mbpm, from_tick), 48_000)
        assert len(out) == round(frames_of(BAR - from_tick, tempo_mbpm, 48_000))
        quarters = [float(np.sqrt((part**2).mean())) for part in np.array_split(out, 4)]
        assert max(quarters) < 1.6 * min(quarters)
        assert 0.1 < min(quarters) < max(quarters) < 0.3


@pytest.mark.parametrize("trouble", ["gone", "short", "nan", "channels", "text", "rate"])
def test_a_file_that_cannot_be_played_is_told_in_one_line(tmp_path, trouble):
    loop = click_loop(tmp_path, 48_000)
    path = tmp_path / "bad.wav"
    if trouble == "short":
        soundfile.write(path, np.zeros((10, 1)), 48_000)
    elif trouble == "nan":
        soundfile.write(path, np.full((loop.frames, 1), np.nan), 48_000, subtype="FLOAT")
    elif trouble == "channels":
        soundfile.write(path, np.zeros((loop.frames, 10)), 48_000)
    elif trouble == "text":
        path.write_text("no sound")
    elif trouble == "rate":
        soundfile.write(path, np.zeros((loop.frames, 1)), 192_000)
    bad = LoopFile(str(path), loop.rate, loop.frames, 1, loop.ticks, loop.tempo_mbpm)
    with pytest.raises(SidemanError, match=r"bad\.wav [^\n]+$"):
        prepared(Want(bad, bad.tempo_mbpm), 48_000)


def test_a_quiet_start_of_192_khz_is_brought_to_the_device(tmp_path):
    loop = click_loop(tmp_path, 192_000)
    assert len(prepared(Want(loop, loop.tempo_mbpm), 48_000)) == 96_000 + 480 + 64
