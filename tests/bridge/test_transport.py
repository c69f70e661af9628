"""The transport: what the stage is told when people, and sources, start and stop."""

import asyncio
from functools import wraps

import pytest

from bridge.control.sync import SyncDesk
from bridge.control.tap import TapTempo
from bridge.control.transport import SLACK_NS, Transport
from bridge.messages.stage import Chunk, EpochStarted, Piece, Play, Stop, Stopped, Tempo
from bridge.messages.sync import SourcePlays, SourceState, Sync, SyncSetup
from bridge.players.grid import Song
from bridge.testing import FakeClock
from engines.errors import SidemanError
from engines.music import Meter

BAR = 3840
MS = 1_000_000
LINK, MIDI, JACK = SyncSetup("link"), SyncSetup("midi", "Clock"), SyncSetup("jack")


class Section:
    """A planner that is told what to play, and makes its first bar when the test says so."""

    def __init__(self):
        self.ready = True
        self.cues, self.begun, self.epoch = [], 0, 0
        self.lands = 0

    def cue(self, epoch, position_tick, afresh):
        self.epoch = epoch
        self.cues.append((epoch, position_tick, afresh))

    def cued(self, epoch):
        return self.ready and epoch == self.epoch

    def begin(self):
        self.begun += 1

    def halt(self): ...
    def missed(self, number): ...
    def bar_changed(self, number): ...


class Room:
    """A transport, one player, and a stage that only listens."""

    def __init__(self, sync=None, count_in=0):
        self.clock = FakeClock(5_000 * MS)
        self.told, self.said = [], []
        self.song = Song(Meter(4, 4), 120_000)
        self.transport = Transport(self.song, self.told.append, self.clock.now_ns)
        self.desk = SyncDesk(sync or SyncSetup(), self.transport, self.told.append, self.clock.now_ns)
        self.transport.count_in_bars = count_in
        self.transport.say = self.said.append
        self.section = Section()
        self.transport.conduct((self.section,), "drums")
        self.transport.piece(Piece(0, 0, 120_000))

    def stage_started(self):
        """The stage has placed the last epoch, at stage tick 9600 (5 s)."""
        play = [message for message in self.told if isinstance(message, Play)][-1]
        self.transport.epoch_started(EpochStarted(play.epoch, 9600, play.position_tick))


def in_a_loop(test):
    """Run a test where timers can be set."""

    @wraps(test)
    def run(*args, **kwargs):
        async def inside():
            test(*args, **kwargs)

        asyncio.run(inside())

    return run


@in_a_loop
def test_a_start_waits_for_the_first_bar_and_then_tells_the_stage():
    room = Room()
    room.section.ready = False
    room.transport.play()
    assert room.told == []
    room.section.ready = True
    room.transport.cued()
    assert room.told == [Play(1, 0)]
    assert room.section.begun == 1


@in_a_loop
def test_with_link_a_start_is_at_a_bar_of_the_sessions():
    room = Room(LINK)
    room.transport.play()
    assert room.told == [Play(1, 0, quantum_ticks=BAR)]


@in_a_loop
def test_a_count_in_has_room_and_clicks_before_the_first_bar():
    room = Room(count_in=2)
    room.transport.play()
    play, clicks = room.told
    assert play == Play(1, 0, count_in_ticks=2 * BAR)
    assert isinstance(clicks, Chunk)
    assert (clicks.player, clicks.bar, clicks.start_tick, clicks.length_ticks) == ("drums", -1, -2 * BAR, 2 * BAR)
    assert [note.tick for note in clicks.notes] == [i * 960 for i in range(8)]
    assert [note.velocity for note in clicks.notes] == [110, 80, 80, 80] * 2
    room.stage_started()
    room.transport.stop()
    room.transport.jump(8)
    room.transport.play()
    assert room.told[-1].start_tick == 8 * 960 - 2 * BAR


@in_a_loop
@pytest.mark.parametrize("sync", [MIDI, JACK])
def test_who_is_led_gets_ready_and_starts_when_the_source_does(sync):
    room = Room(sync, count_in=1)
    room.transport.play()
    assert room.told == []
    assert room.section.cues == [(1, 0, True)]
    assert len(room.said) == 1
    assert "starts us" in room.said[0]
    room.transport.source_plays(SourcePlays(0, 5_010 * MS))
    assert room.told == [Play(1, 0, at_ns=5_010 * MS)]
    assert room.section.cues == [(1, 0, True)]  # what was made is what plays
    assert room.section.begun == 1


@in_a_loop
def test_who_waits_for_a_source_plays_when_asked_again():
    room = Room(MIDI)
    room.transport.play()
    assert not room.transport.playing
    room.transport.play()
    assert room.told == [Play(2, 0)]
    assert room.transport.playing
    room.stage_started()
    room.transport.stage_lost()
    room.clock.advance(300 * MS)
    room.transport.stage_back()
    room.transport.piece(Piece(0, room.clock.now_ns(), 120_000))
    assert room.told[-1] == Play(3, BAR, at_ns=7_000 * MS, quantum_ticks=1)  # at its bar, whatever the clock counts


@in_a_loop
def test_a_source_that_starts_elsewhere_does_not_wait_for_the_bar():
    room = Room(MIDI)
    room.transport.play()
    room.section.ready = False
    room.transport.source_plays(SourcePlays(4 * BAR, 5_000 * MS))
    assert room.told == [Play(2, 4 * BAR, at_ns=5_000 * MS)]
    assert room.section.cues[-1] == (2, 4 * BAR, False)
    assert room.section.begun == 0
    room.section.ready = True
    room.transport.cued()
    assert room.section.begun == 1
    assert len(room.told) == 1


@in_a_loop
def test_a_source_stops_us_and_takes_us_on_from_where_it_says():
    room = Room(MIDI)
    room.transport.play()
    room.transport.source_plays(SourcePlays(0, 5_000 * MS))
    room.stage_started()
    room.transport.source_stops()
    assert room.told[-1] == Stop(shared=False)
    assert not room.transport.playing
    room.transport.stopped(Stopped(1, 5000))
    assert room.transport.position_tick() == 5000
    room.transport.source_plays(SourcePlays(4800, 7_000 * MS))
    assert room.told[-1] == Play(2, 4800, at_ns=7_000 * MS)
    assert room.transport.playing


@in_a_loop
def test_playing_on_while_the_source_runs_is_at_a_bar_of_its():
    room = Room(MIDI)
    room.transport.source_plays(SourcePlays(0, 5_000 * MS))
    room.stage_started()
    room.transport.stop()
    assert room.told[-1] == Stop()
    room.transport.play()
    assert room.told[-1].quantum_ticks == BAR
    assert room.told[-1].at_ns is None


@in_a_loop
def test_others_in_the_session_start_and_stop_us():
    room = Room(SyncSetup("link", start_stop=True))
    room.transport.source_plays(SourcePlays(-1, 6_000 * MS))
    assert room.told == [Play(1, 0, at_ns=6_000 * MS - SLACK_NS, quantum_ticks=BAR)]
    room.stage_started()
    room.transport.source_plays(SourcePlays(-1, 6_100 * MS))
    assert len(room.told) == 1
    room.transport.source_stops()
    assert room.told[-1] == Stop(shared=False)


@in_a_loop
def test_the_tempo_of_a_clock_and_the_position_of_a_source_are_not_ours_to_set():
    room = Room(MIDI)
    with pytest.raises(SidemanError, match="MIDI clock"):
        room.transport.set_tempo(130)
    with pytest.raises(SidemanError, match="position"):
        room.transport.jump(4)
    assert room.told == []
    linked = Room(LINK)
    linked.transport.set_tempo(130)
    assert linked.told == [Tempo(130_000)]


@in_a_loop
def test_following_something_else_goes_on_playing_and_frees_what_waited():
    room = Room()
    room.transport.play()
    room.stage_started()
    room.desk.follow("link")
    assert room.told[1:] == [Sync(LINK)]
    assert room.desk.followed == "link"
    waiting = Room(MIDI)
    waiting.transport.play()
    waiting.desk.follow("internal")
    assert [type(message) for message in waiting.told] == [Play, Sync]
    with pytest.raises(SidemanError):
        room.desk.follow("wordclock")
    assert room.desk.followed == "link"


@in_a_loop
def test_the_state_is_the_sources_and_so_is_the_tempo():
    room = Room(MIDI)
    assert room.desk.state() == ("midi", False, 120.0, 0.0, 0)
    room.desk.said(SourceState("midi", True, False, 97_300, -123.4))
    assert room.desk.state() == ("midi", True, 97.3, -0.1234, 0)
    assert room.transport.tempo_mbpm == 97_300
    assert room.desk.line() == "sync midi:Clock: locked, 97.3 bpm, -0.12 ms"
    room.desk.said(SourceState("midi", True, True, 97_300, 0.0))
    assert room.desk.state()[1] is False
    assert "holding" in room.desk.line()


@in_a_loop
def test_what_cannot_be_followed_is_not():
    room = Room(LINK)
    room.desk.said(SourceState("internal", True, False, 120_000, 0.0))
    assert room.desk.followed == "internal"
    room.transport.play()
    assert room.told == [Play(1, 0)]


@in_a_loop
@pytest.mark.parametrize("sync", [None, MIDI])
def test_a_new_stage_goes_on_at_the_next_bar_or_still_waits(sync):
    room = Room(sync)
    room.transport.play()
    if sync is None:
        room.stage_started()
    room.clock.advance(1_000 * MS)
    room.transport.stage_lost()
    room.transport.stage_back()
    room.transport.piece(Piece(0, room.clock.now_ns(), 120_000))
    if sync is None:
        assert room.told[-1] == Play(2, BAR, at_ns=7_000 * MS)
    else:
        assert room.told == []
        room.transport.source_plays(SourcePlays(0, 8_000 * MS))
        assert room.told[-1].at_ns == 8_000 * MS


def test_taps():
    tap, now_ns = TapTempo(), 0
    found = []
    for wait_ms in (0, 500, 510, 490, 900, 500, 500):
        now_ns += wait_ms * MS
        found.append(tap.tap(now_ns))
    assert found[:2] == [None, None]
    assert found[2] == pytest.approx(60 / 0.505)
    assert found[3:] == [pytest.approx(120)] + [pytest.approx(60 / 0.505)] + [pytest.approx(120)] * 2
    assert tap.tap(now_ns + 2_001 * MS) is None  # anew


@in_a_loop
def test_a_tapped_tempo_is_set_within_what_can_be_played():
    room = Room()
    for _ in range(3):
        room.desk.tap(())
        room.clock.advance(1 * MS)
    assert room.told == [Tempo(999_000)]
