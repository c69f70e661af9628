"""A renderer beside a device that takes its blocks by hand: what is heard, when, and how soon a change is heard."""

import numpy as np
import pytest

from bridge.messages.sound import Fader, RendererSetup, SoundNote, SoundSilence, StartLoop
from bridge.messages.stage import Piece
from bridge.sound.ahead import ahead_frames, guard_frames
from bridge.sound.clock import ClockPiece, FrameClock
from bridge.sound.console import Console
from bridge.sound.desk import BLOCK, PLAYED, RATE, STARVED_FRAMES, WRITTEN, Desk
from bridge.sound.kit import Kit
from bridge.sound.mixer import Hit, Mixer
from bridge.sound.prepare import prepared
from bridge.sound.renderer import Renderer, fader_of
from bridge.sound.takes import Take
from engines.errors import SidemanError
from engines.music import LoopFile

SNARE, START_NS = 38, 5_000_000_000
FRAMES = 512


@pytest.fixture(scope="module")
def kit():
    return Kit()


class Device:
    """A device of 48 kHz that takes 512 frames at once, and a renderer that is woken after each."""

    def __init__(self, kit, later_ns=0, block=FRAMES):
        self.desk = Desk.create()
        self.desk.words[RATE], self.desk.words[BLOCK] = 48_000, block
        clock = FrameClock(48_000, (ClockPiece(0, START_NS),))
        self.desk.set_clock(clock)
        self.renderer = Renderer(self.desk, RendererSetup(0, later_ns=later_ns), clock, Mixer(kit))
        self.renderer.tell(Fader())
        self.console = Console(self.desk, 48_000, 8192)
        self.console.add(0)
        self.frame, self._block, self._parts = 0, block, []
        self.renderer.fill()

    def tell(self, message):
        self.renderer.tell(message)
        self.renderer.take_up(Here())
        self.renderer.fill()

    def take(self, blocks, filling=True):
        for _ in range(blocks):
            out = np.empty((self._block, 2), np.float32)
            self.console.mix(self.frame, out)
            self._parts.append(out)
            self.frame += self._block
            self.desk.words[PLAYED] = self.frame
            if filling:
                self.renderer.take_up(Here())
                self.renderer.fill()
        return np.concatenate(self._parts)

    def ns_of(self, frame):
        return START_NS + frame * 10**9 // 48_000


class Here:
    """A workshop that prepares at once."""

    def __init__(self):
        self._made = []

    def ask(self, want):
        try:
            self._made.append((want, Take(prepared(want, 48_000), want.tempo_mbpm, want.from_tick), ""))
        except SidemanError as error:
            self._made.append((want, None, str(error)))

    def fetch(self):
        return self._made, False


@pytest.fixture
def device(kit):
    found = Device(kit)
    yield found
    found.desk.close()


def alone(kit, frame, frames):
    mixer = Mixer(kit)
    mixer.add(Hit(frame, SNARE, 100))
    return mixer.render(frames)


def test_a_note_is_on_its_frame_though_it_comes_when_that_has_been_rendered(kit, device):
    device.take(10)
    frame = device.frame + guard_frames(48_000, FRAMES) + 100
    assert device.desk.strip(0, WRITTEN) > frame
    device.tell(SoundNote(SNARE, 100, 10, device.ns_of(frame) + 1))
    sound = device.take(30)
    assert np.allclose(sound, alone(kit, frame, len(sound)), atol=1e-6)
    assert device.desk.strip(0, STARVED_FRAMES) == 0


def test_no_more_than_forty_milliseconds_lie_ready_and_what_is_next_always_does(device):
    for _ in range(40):
        device.take(1)
        ready = device.desk.strip(0, WRITTEN) - device.desk.played
        assert FRAMES <= ready <= 0.040 * 48_000


@pytest.mark.parametrize("block", [64, 256, 1024, 2048, 4096])
def test_devices_of_other_blocks_are_fed_too(kit, block):
    device = Device(kit, block=block)
    device.take(4)
    frame = device.frame + guard_frames(48_000, block) + 10
    device.tell(SoundNote(SNARE, 100, 10, device.ns_of(frame) + 1))
    sound = device.take(4 + 20_000 // block)
    assert np.allclose(sound, alone(kit, frame, len(sound)), atol=1e-6)
    assert device.desk.strip(0, STARVED_FRAMES) == 0
    assert ahead_frames(48_000, block) >= block + guard_frames(48_000, block)
    device.desk.close()


def test_notes_out_of_order_and_too_late_sound_all_the_same(kit, device):
    device.take(10)
    first = device.frame + guard_frames(48_000, FRAMES)
    for frame in (first + 900, first + 300, first - 5_000):
        device.tell(SoundNote(SNARE, 100, 10, device.ns_of(frame) + 1))
    sound = device.take(30)
    expected = sum(alone(kit, frame, len(sound)) for frame in (first, first + 300, first + 900))
    assert np.allclose(sound, expected, atol=0.05)
    assert np.allclose(sound[: first + 200], expected[: first + 200], atol=1e-5)


def test_silence_is_heard_a_block_later_and_not_what_lies_ready(device):
    device.tell(SoundNote(57, 127, 1, device.ns_of(4_000)))
    device.take(20)
    at = device.frame
    device.tell(SoundSilence())
    sound = device.take(10)
    assert np.abs(sound[at - 200 : at]).max() > 0.05
    assert not sound[at + guard_frames(48_000, FRAMES) + 480 :].any()


def test_mute_is_heard_in_the_next_block(device):
    device.tell(SoundNote(57, 127, 1, device.ns_of(4_000)))
    device.take(20)
    at = device.frame
    device.tell(Fader(muted=True))
    sound = device.take(10)
    assert sound[at - 10].any()
    assert not sound[at + 240 :].any()


def test_a_device_slower_than_the_stage_looks_ahead_plays_everything_later_but_evenly(kit):
    device = Device(kit, later_ns=100_000_000)
    device.take(2)
    for frame in (3_000, 6_000):
        device.tell(SoundNote(SNARE, 100, 10, device.ns_of(frame) + 1))
    sound = device.take(40)
    expected = alone(kit, 7_800, len(sound)) + alone(kit, 10_800, len(sound))
    assert np.allclose(sound, expected, atol=1e-5)
    device.desk.close()


def test_a_renderer_that_was_away_comes_back_on_the_grid(kit, device):
    device.tell(SoundNote(SNARE, 100, 10, device.ns_of(30_000) + 1))
    device.take(10)
    device.take(20, filling=False)
    assert device.desk.strip(0, STARVED_FRAMES) > 15 * FRAMES
    sound = device.take(60)
    assert np.allclose(sound[29_000:], alone(kit, 30_000, len(sound))[29_000:], atol=1e-6)


def test_a_tempo_that_turns_while_frames_lie_ready_moves_the_loop_s_clicks(tmp_path, device):
    soundfile = pytest.importorskip("soundfile")
    frames = np.zeros(96_000, np.float32)
    frames[::24_000] = 0.5
    soundfile.write(tmp_path / "clicks.wav", frames, 48_000, subtype="FLOAT")
    loop = LoopFile(str(tmp_path / "clicks.wav"), 48_000, 96_000, 1, 3840, 120_000)
    device.tell(Piece(0, START_NS, 120_000))
    device.tell(StartLoop(loop, 240, 3840))  # at frame 6000
    while device.frame < 29_000:  # the next click, at 30,000, lies ready
        device.take(1)
    assert device.desk.strip(0, WRITTEN) > 30_000 > device.renderer.changeable
    tick = 960 + 235
    device.tell(Piece(tick, START_NS + tick * 500_000_000 // 960, 119_000))
    sound = device.take(100)
    loud = np.flatnonzero(np.abs(sound[:, 0]) > 0.25).tolist()
    assert loud[:2] == [6_000, round(29_875 + 125 * 120 / 119)]  # the second lay ready at 30,000
    assert abs(loud[2] - (29_875 + (24_000 + 125) * 120 / 119)) <= 1.5


def test_a_loop_that_cannot_be_played_is_told_once_and_the_rest_plays(kit, device):
    device.tell(Piece(0, START_NS, 120_000))
    device.renderer.tell(StartLoop(LoopFile("/nowhere/x.wav", 48_000, 10, 1, 3840, 120_000), 0, 3840))
    told = [*device.renderer.take_up(Here()), *device.renderer.take_up(Here())]
    assert len(told) == 1
    assert told[0].startswith("/nowhere/x.wav")
    device.tell(SoundNote(SNARE, 100, 10, device.ns_of(6_000) + 1))
    sound = device.take(30)
    assert np.allclose(sound, alone(kit, 6_000, len(sound)), atol=1e-6)


def test_faders():
    assert fader_of(Fader()) == (1.0, 1.0)
    assert fader_of(Fader(muted=True)) == (0.0, 0.0)
    assert fader_of(Fader(-60.0)) == (0.0, 0.0)
    assert fader_of(Fader(-6.0206, 1.0)) == pytest.approx((0.0, 0.5), abs=1e-4)
    assert fader_of(Fader(0.0, -0.5)) == pytest.approx((1.0, 0.7071), abs=1e-4)
    assert max(fader_of(Fader(99.0, 0.0))) == pytest.approx(10 ** (12 / 20))
