"""A sine cut into spans comes out as it was: no step, no dip, no frame too many or too few, whatever the rates."""

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

from bridge.files.loopwav import LoopFolder  # noqa: E402
from bridge.messages.stage import Piece  # noqa: E402
from bridge.sound.clock import ClockPiece, FrameClock  # noqa: E402
from bridge.sound.grid import Grid  # noqa: E402
from bridge.sound.loops import LoopPlayer  # noqa: E402
from bridge.sound.prepare import prepared, take_of  # noqa: E402
from bridge.timing.timeline import TempoMap  # noqa: E402
from engines.audio import LEAD_S, Loop, frames_in  # noqa: E402
from engines.music import Meter  # noqa: E402

SPAN = 480
START_NS = 3_141_592_653_589
BLOCK = 512
HZ = 311.1
LOUD = 0.5


class Sine:
    """A source that makes one sine without end, cut into files of whole frames, each with its lead."""

    def __init__(self, folder, rate, lead_s=LEAD_S):
        self.rate = rate
        self.lead = round(lead_s * rate)
        self.at = 0
        self.begins = []  # of each span, in frames of the source
        self._folder = LoopFolder(folder)

    def span(self, tempo_mbpm):
        count = frames_in(SPAN, tempo_mbpm / 1000, self.rate)
        sound = self.sound(np.arange(self.at - self.lead, self.at + count))
        self.begins.append(self.at)
        self.at += count
        loop = Loop(sound.astype(np.float32)[:, None], self.rate, SPAN, self.lead)
        loop.check(tempo_mbpm / 1000)
        return self._folder.write(loop, tempo_mbpm, Meter())

    def sound(self, frames):
        return LOUD * np.sin(2 * np.pi * HZ * frames / self.rate)


class Player:
    """A LoopPlayer that is given each span `early` frames before it begins, as a renderer is, and renders in blocks."""

    def __init__(self, rate, tempo_mbpm, early):
        first = Piece(0, START_NS, tempo_mbpm)
        self.timeline = TempoMap(first)
        self.grid = Grid(FrameClock(rate, (ClockPiece(0, START_NS),)), first)
        self.loops = LoopPlayer(rate)
        self.rate, self.early = rate, early
        self.ring = np.zeros((0, 2), np.float32)

    def tempo(self, tick, tempo_mbpm):
        piece = Piece(tick, self.timeline.ns_at(tick), tempo_mbpm)
        self.timeline.apply(piece)
        self.grid.apply(piece)
        self.loops.tempo(self.grid, len(self.ring))

    def starts(self, loop, tick):
        """What has been rendered from `early` before the span on is rendered again."""
        self.play_until(self.grid.frame_at(tick) - self.early + 1_000)
        changeable = max(0, len(self.ring) - 1_000)
        self.ring = self.ring[: self.loops.starts(loop, tick, SPAN, self.grid, changeable)]
        self.prepare()

    def play_until(self, frame):
        while len(self.ring) < int(frame):
            block = np.zeros((min(BLOCK, int(frame) - len(self.ring)), 2), np.float32)
            self.loops.render(block, len(self.ring), self.grid)
            self.ring = np.concatenate([self.ring, block])
            self.loops.forget(len(self.ring) - 4_000, self.grid)

    def prepare(self):
        """All that is wanted, from what can still be changed on."""
        for want in self.loops.wants(self.grid):
            take = take_of(prepared(want, self.rate), want, self.rate)
            frame = self.loops.ready(want, take, self.grid, max(0, len(self.ring) - 1_000))
            self.ring = self.ring[:frame]


def residual_db(player, source, begins, until_span):
    """What differs from the sine that fills each span exactly, in dB of the sine, at worst."""
    starts = np.array([player.grid.frame_at(number * SPAN) for number in range(until_span + 1)])
    frames = np.arange(int(starts[1]), int(starts[-1]))
    wanted = source.sound(np.interp(frames, starts, [*begins, source.at][: until_span + 1]))
    found = player.ring[frames]
    assert np.array_equal(found[:, 0], found[:, 1])
    return 20 * np.log10(np.abs(found[:, 0] - wanted).max() / LOUD)


@pytest.mark.parametrize("early", [2_000, 100])
@pytest.mark.parametrize(("file_rate", "rate"), [(48_000, 48_000), (16_000, 48_000), (32_000, 44_100)])
def test_spans_at_an_awkward_tempo_are_one_sine(tmp_path, file_rate, rate, early):
    source, player = Sine(tmp_path, file_rate), Player(rate, 125_300, early)
    for number in range(16):
        player.starts(source.span(125_300), number * SPAN)
    player.play_until(player.grid.frame_at(16 * SPAN))
    assert residual_db(player, source, source.begins, 15) < -90
    assert player.loops.late_frames == 0


def test_with_a_tempo_that_is_followed_they_still_are(tmp_path):
    source, player, tempo_mbpm = Sine(tmp_path, 16_000), Player(48_000, 125_300, 2_000), 125_300
    for number in range(16):
        player.starts(source.span(tempo_mbpm), number * SPAN)
        tempo_mbpm += 97 if number < 8 else -101
        player.tempo(number * SPAN + 200, tempo_mbpm)
    player.play_until(player.grid.frame_at(16 * SPAN))
    found = player.ring[: int(player.grid.frame_at(15 * SPAN)), 0]
    steps = np.abs(np.diff(found, 2))[2_000:]
    assert steps.max() < 1.1 * LOUD * (2 * np.pi * HZ * 1.01 / 48_000) ** 2, "no step, and no kink"
    level = np.sqrt(np.convolve(found**2, np.ones(1_543) / 1_543, "valid"))[4_000:]
    assert level.min() > 0.98 * LOUD / np.sqrt(2), "no dip"


def test_after_a_silence_it_is_faded_into_where_it_goes_on_and_not_where_it_begins(tmp_path):
    heads = []
    for at, lead_s in ((777, LEAD_S), (0, 0.0)):
        source, player = Sine(tmp_path, 48_000, lead_s), Player(48_000, 125_300, 2_000)
        source.at = at
        player.starts(source.span(125_300), SPAN)
        player.play_until(player.grid.frame_at(2 * SPAN))
        start = round(player.grid.frame_at(SPAN))
        assert not player.ring[: start - 1].any()
        heads.append(np.abs(player.ring[start : start + 100, 0]).max())
    assert heads[0] < 0.25 * LOUD < 0.9 * LOUD < heads[1]


def test_when_the_tempo_jumps_what_is_made_already_is_bent_and_nothing_clicks(tmp_path):
    source, player, tempo_mbpm = Sine(tmp_path, 16_000), Player(48_000, 125_300, 2_000), 125_300
    for number in range(8):
        player.starts(source.span(tempo_mbpm), number * SPAN)
        if number == 3:
            tempo_mbpm = 150_000
            player.tempo(number * SPAN + 200, tempo_mbpm)
            player.prepare()
    player.play_until(player.grid.frame_at(8 * SPAN))
    found = player.ring[: int(player.grid.frame_at(8 * SPAN)) - 1_000, 0]
    assert np.abs(np.diff(found)).max() < 1.5 * LOUD * 2 * np.pi * HZ * 1.2 / 48_000
    assert player.loops.late_frames == 0


def test_a_span_that_is_another_sound_is_faded_into(tmp_path):
    source, player = Sine(tmp_path, 16_000), Player(48_000, 125_300, 2_000)
    for number in range(8):
        if number == 4:
            source.at += 23  # elsewhere in the sine
        player.starts(source.span(125_300), number * SPAN)
    player.play_until(player.grid.frame_at(8 * SPAN))
    seam = int(player.grid.frame_at(4 * SPAN))
    found = player.ring[seam - 2_000 : seam + 2_000, 0]
    assert np.abs(np.diff(found)).max() < 2.5 * LOUD * 2 * np.pi * HZ / 48_000


def test_the_last_span_again_is_what_it_was_and_does_not_click(tmp_path):
    source, player = Sine(tmp_path, 16_000), Player(48_000, 125_300, 2_000)
    loops = [source.span(125_300) for _ in range(3)]
    for number, index in enumerate((0, 1, 1, 2)):
        player.starts(loops[index], number * SPAN)
    player.play_until(player.grid.frame_at(4 * SPAN))
    found = player.ring[500:, 0][: int(player.grid.frame_at(4 * SPAN)) - 1_000]
    assert np.abs(np.diff(found)).max() < 2.5 * LOUD * 2 * np.pi * HZ / 48_000
