"""The patch bay: each output is told what it can do something with, and nothing else."""

import pytest

from bridge.messages.stage import EpochStarted, Event, OutputSetup, Piece, PlayerSetup, Setup, Stopped
from bridge.stage import patchbay as module
from bridge.stage.bars import LoopStarts
from bridge.stage.outbox import Departure, Pulse
from bridge.stage.patchbay import Patchbay
from bridge.testing import RecordingOutput
from engines.errors import SidemanError
from engines.music import LoopFile

MS = 1_000_000
LOOP = LoopFile("/loops/a.wav", 48_000, 96_000, 2, 3840, 120_000)


class Sound(RecordingOutput):
    """An output with everything that one may have."""

    lead_ns = 20 * MS

    def __init__(self, *args):
        super().__init__(*args)
        self.told = []

    def cue(self, loop):
        self.told.append(("cue", loop))

    def loop_starts(self, loop, tick, length_ticks):
        self.told.append(("loop", loop, tick, length_ticks))

    def timeline(self, message):
        self.told.append(message)

    def clock(self, status, data, at_ns):
        self.told.append(("clock", status, data, at_ns))

    def raw(self, data):
        self.told.append(("raw", data))

    def mute(self, on):
        self.told.append(("mute", on))

    def mix(self, gain_db, pan):
        self.told.append(("mix", gain_db, pan))


@pytest.fixture
def opened(monkeypatch):
    """A patch bay of outputs "plain" and "sound", and these by player."""
    made = {}

    def make(setup, player, rack):
        if setup.kind == "broken":
            raise SidemanError(f"{player.name}: there is no such thing")
        output = (Sound if setup.kind == "sound" else RecordingOutput)(player, setup.target, rack)
        made.setdefault(player.name, []).append(output)
        return output

    monkeypatch.setattr(module, "make_output", make)

    def start(**players):
        setups = tuple(
            PlayerSetup(name, outputs, channel) for channel, (name, outputs) in enumerate(players.items(), 1)
        )
        bay = Patchbay(Setup("test", setups, 120_000))
        lines, problems = bay.open()
        return bay, made, lines, problems

    return start


def test_what_cannot_be_opened_is_said_and_left_out(opened):
    bay, made, lines, problems = opened(drums=(OutputSetup("broken"), OutputSetup("plain")))
    assert len(lines) == 1
    assert problems == ["drums: there is no such thing"]
    assert len(bay.players()[0].lines) == 1
    bay.deliver(Departure(Event("drums", 0, 0, 36, 100, 10, 5, 0), 0))
    assert made["drums"][0].score == [(0, 36, 100)]


def test_outputs_are_told_what_they_can_do(opened):
    bay, made, _, _ = opened(drums=(OutputSetup("plain"), OutputSetup("sound")), bass=(OutputSetup("sound"),))
    bay.cue("drums", LOOP)
    bay.loop_starts(LoopStarts("drums", LOOP, 960, 3840))
    bay.mix("drums", lambda output: output.mix(-6.0, 0.5))
    bay.mix("drums", lambda output: output.mute(True))
    bay.raw("drums", (0xB0, 1, 2))
    drums = made["drums"][1]
    assert drums.told == [
        ("cue", LOOP), ("loop", LOOP, 960, 3840), ("mix", -6.0, 0.5), ("mute", True), ("raw", (0xB0, 1, 2))
    ]  # fmt: skip
    assert made["bass"][0].told == []
    bay.cue("nobody", LOOP)
    bay.raw("nobody", (0xB0, 1, 2))


def test_the_timeline_is_earlier_by_an_outputs_latency(opened):
    bay, made, _, _ = opened(drums=(OutputSetup("sound", latency_ms=12.5), OutputSetup("sound"), OutputSetup("plain")))
    for message in (Piece(0, 100 * MS, 120_000), EpochStarted(1, 10, 0), Stopped(1, 960)):
        bay.timeline(message)
    late, plain = made["drums"][:2]
    assert late.told == [Piece(0, 87_500_000, 120_000), EpochStarted(1, 10, 0), Stopped(1, 960)]
    assert plain.told[0] == Piece(0, 100 * MS, 120_000)


def test_a_port_that_players_share_gets_the_clock_once(opened):
    shared, own = OutputSetup("sound", "Synth", clock=True), OutputSetup("sound", clock=True)
    bay, made, _, _ = opened(drums=(shared, own), bass=(shared, own), lead=(OutputSetup("plain", clock=True),))
    clocked = [[line.clock for line in player.lines] for player in bay.players()]
    assert clocked == [[True, True], [False, True], [False]]
    due_ns = bay.deliver(Departure(Pulse("drums", 0xF8, (), 50 * MS), 0))
    assert due_ns == 30 * MS
    assert made["drums"][0].told == [("clock", 0xF8, (), 50 * MS)]


def test_closing_silences_and_closes_all(opened):
    bay, made, _, _ = opened(drums=(OutputSetup("plain"), OutputSetup("sound")))
    bay.close()
    bay.close()
    assert all(output.closed and output.panics for output in made["drums"])
