"""Following at the stage: a source's beats, starts and odd figures become pieces, messages and one line each."""

import itertools

import pytest

from bridge.messages.message import Trouble
from bridge.messages.stage import EpochStarted, Piece, Play, Stop
from bridge.messages.sync import SourcePlays, SourceState, SyncSetup
from bridge.stage.following import Following
from bridge.stage.scheduler import Player, Scheduler
from bridge.testing import FakeClock
from bridge.timing.sync.source import Reference, SourceStatus
from bridge.timing.timeline import NS_MBPM_PER_TICK
from engines.errors import SidemanError

BAR = 3840
MS = 1_000_000
MIDI, LINK = SyncSetup("midi", "Clock"), SyncSetup("link")


class Conductor:
    """A source that does what the test says."""

    def __init__(self, kind, tempo_mbpm=120_000, tick=0.0, peers=0):
        self.kind, self.tolerance_ns = kind, 20_000
        self.tempo_mbpm, self.tick, self.peers = tempo_mbpm, tick, peers
        self.events, self.asked = [], []
        self.at_ns = None
        self.holdover = self.closed = False

    def open(self):
        return f"following {self.kind}"

    def poll(self, now_ns):
        if self.at_ns is not None:
            self.tick += (now_ns - self.at_ns) * self.tempo_mbpm / NS_MBPM_PER_TICK
        self.at_ns = now_ns
        events, self.events = self.events, []
        return events if self.holdover else [*events, Reference(self.tick, now_ns, self.tempo_mbpm)]

    def set_tempo(self, tempo_mbpm, now_ns):
        if self.kind == "midi":
            return False
        self.tempo_mbpm = tempo_mbpm
        return True

    def play(self, position_tick, at_ns):
        self.asked.append(("play", position_tick, at_ns))

    def stop(self, at_ns):
        self.asked.append(("stop", at_ns))

    def state(self):
        return SourceStatus(not self.holdover, self.holdover, self.tempo_mbpm, self.peers)

    def close(self):
        self.closed = True


class Room:
    def __init__(self, **conductors):
        self.conductors = conductors
        self.clock = FakeClock()
        self.scheduler = Scheduler([Player("drums", 10)], 120_000, 0)
        self.following = Following(self.scheduler, self._make)
        self.said = []

    def _make(self, setup):
        if setup.kind == "jack":
            raise SidemanError("no JACK server runs")
        return self.conductors.get(setup.kind)

    def follow(self, setup):
        self.said += self.following.follow(setup, self.clock.now_ns())

    def go(self, ms):
        for _ in range(ms // 5):
            self.clock.advance(5 * MS)
            self.scheduler.due(self.clock.now_ns())
            self.said += self.following.poll(self.clock.now_ns())

    def tell(self, message):
        replies = self.scheduler.apply(message, self.clock.now_ns())
        if isinstance(message, Play):
            self.following.placed(message)
        elif isinstance(message, Stop):
            self.following.stopped(message, self.clock.now_ns())
        return replies

    def heard(self, kind):
        return [message for message in self.said if isinstance(message, kind)]

    def bars_apart(self, conductor):
        epoch = self.scheduler.epoch
        ours = self.scheduler.timeline.tick_at(self.clock.now_ns()) - epoch.tick + epoch.position_tick
        return (conductor.tick - ours + BAR / 2) % BAR - BAR / 2


def test_control_is_told_four_times_a_second():
    room = Room(link=Conductor("link", 100_000, peers=2))
    room.follow(LINK)
    room.go(1000)
    states = room.heard(SourceState)
    assert len(states) == 4
    assert (states[-1].kind, states[-1].locked, states[-1].tempo_mbpm, states[-1].peers) == ("link", True, 100_000, 2)
    assert abs(states[-1].phase_error_us) < 20
    assert len(room.heard(Piece)) == 2


@pytest.mark.parametrize("tempo_mbpm", [5_000, 2_000_000, 0])
def test_a_tempo_that_cannot_be_played_is_said_once_and_the_last_is_held(tempo_mbpm):
    conductor = Conductor("midi", 97_300)
    room = Room(midi=conductor)
    room.follow(MIDI)
    room.go(1000)
    pieces = len(room.heard(Piece))
    conductor.tempo_mbpm = tempo_mbpm
    room.go(3000)
    lines = [trouble.text for trouble in room.heard(Trouble)]
    assert lines[1:] == [f"the MIDI clock is at {tempo_mbpm / 1000:.4g} bpm, which cannot be followed; holding 97.3"]
    assert len(room.heard(Piece)) == pieces
    conductor.tempo_mbpm = 120_000
    room.go(1000)
    assert room.scheduler.timeline.pieces[-1].tempo_mbpm == 120_000
    assert len(room.heard(Trouble)) == 2


def test_a_start_of_the_sources_is_where_it_says():
    conductor = Conductor("midi", 120_000, tick=17_777.7)
    room = Room(midi=conductor)
    room.follow(MIDI)
    room.go(1000)
    conductor.tick = 1920.0
    conductor.events = [SourcePlays(1920, room.clock.now_ns() + 5 * MS)]
    room.go(5)
    plays = room.heard(SourcePlays)[0]
    room.tell(Play(1, plays.position_tick, at_ns=plays.at_ns))
    room.go(2000)
    epoch = room.scheduler.epoch
    assert room.scheduler.source_offset == epoch.position_tick - epoch.tick
    assert abs(room.bars_apart(conductor)) < 1.1


def test_another_source_while_playing_keeps_the_bar():
    first, second = Conductor("link", 110_000, tick=5_000.0, peers=1), Conductor("midi", 125_000, tick=123_456.0)
    room = Room(link=first, midi=second)
    room.follow(LINK)
    room.go(500)
    room.tell(Play(1, 0, quantum_ticks=BAR))
    room.go(6000)
    assert abs(room.bars_apart(first)) < 1.1
    epoch = room.scheduler.epoch
    room.follow(MIDI)
    assert first.closed
    times = []
    for _ in range(200):
        room.go(50)
        times.append(room.scheduler.timeline.tick_at(room.clock.now_ns()))
    assert room.scheduler.epoch is epoch  # nothing began anew
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 100 * 0.69 < min(steps) <= max(steps) < 100 * 1.31 * 125 / 120  # 50 ms; bent, never a jump
    assert abs(room.bars_apart(second)) < 1.1
    room.follow(SyncSetup())
    assert room.scheduler.timeline.pieces[-1].tempo_mbpm == 125_000
    assert room.heard(SourceState)[-1].kind == "internal"


def test_what_cannot_be_opened_is_said_and_we_play_on():
    room = Room()
    room.follow(SyncSetup("jack"))
    assert room.said[0] == Trouble("sync: no JACK server runs; playing at 120 bpm")
    assert room.said[1].kind == "internal"
    room.go(100)
    assert len(room.said) == 2


def test_the_tempo_goes_to_the_session_and_not_to_a_clock():
    link = Conductor("link", peers=1)
    room = Room(link=link, midi=Conductor("midi"))
    assert room.following.refuses(90_000, 0) is None  # ours alone
    room.follow(LINK)
    assert room.following.refuses(5, 0) is None  # the timeline says what is wrong with it
    assert link.tempo_mbpm == 120_000
    assert room.following.refuses(90_000, 0) is None
    assert link.tempo_mbpm == 90_000
    room.go(1000)
    assert room.scheduler.timeline.pieces[-1].tempo_mbpm == 90_000
    room.follow(MIDI)
    assert "MIDI clock" in room.following.refuses(100_000, 0).text


def test_the_others_start_and_stop_with_us():
    conductor = Conductor("link", peers=1)
    room = Room(link=conductor)
    room.follow(LINK)
    room.go(100)
    epoch = next(reply for reply in room.tell(Play(1, 0, quantum_ticks=BAR)) if isinstance(reply, EpochStarted))
    assert conductor.asked == [("play", 0, room.scheduler.timeline.ns_at(epoch.tick))]
    room.tell(Stop(shared=False))
    assert len(conductor.asked) == 1
    room.tell(Play(2, 0, quantum_ticks=BAR))
    room.tell(Stop())
    assert conductor.asked[-1][0] == "stop"


def test_a_source_that_is_silent_leaves_the_tempo():
    conductor = Conductor("midi", 97_300)
    room = Room(midi=conductor)
    room.follow(MIDI)
    room.go(1000)
    pieces = len(room.heard(Piece))
    conductor.holdover = True
    room.go(5000)
    assert len(room.heard(Piece)) == pieces
    assert room.heard(SourceState)[-1].holdover
