"""A real stage process over a real channel, heard through OSC."""

import os
import select
import signal
import socket
import subprocess
import time

import pytest
from pythonosc.osc_message import OscMessage

from bridge.channel import Channel, ChannelClosedError, module_command, pair
from bridge.messages.message import Trouble
from bridge.messages.stage import (
    AskStatus,
    BarStarted,
    Chunk,
    EpochStarted,
    FromStage,
    Left,
    Mute,
    OutputSetup,
    Panic,
    Piece,
    Play,
    PlayerSetup,
    PortChanged,
    Quit,
    Setup,
    StageReady,
    StageStatus,
    Stop,
    Stopped,
    Subscribers,
    Tempo,
)
from engines.music import Note

BAR = 3840
PATIENCE_S = 20.0


class Ear:
    """A UDP socket that understands note messages."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.notes = []

    def listen(self, enough):
        """Take notes in until `enough(notes)`."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not enough(self.notes):
            ready, _, _ = select.select([self.socket], [], [], max(0, deadline_s - time.monotonic()))
            assert ready, f"heard only {self.notes}"
            message = OscMessage(self.socket.recv(2000))
            assert message.address == "/sideman/drums/note"
            self.notes.append(tuple(message.params))
        return self.notes


class Stage:
    """A stage process and this end of its channel."""

    def __init__(self, *outputs, sounding=(), tempo_mbpm=240_000):
        mine, theirs = pair()
        with theirs:
            self.process = subprocess.Popen(
                module_command("bridge.stage.process", theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stderr=subprocess.PIPE,
            )
        self.channel = Channel(mine, FromStage)
        self.heard = []
        player = PlayerSetup("drums", tuple(OutputSetup(*output.split(":", 1)) for output in outputs))
        self.say(Setup("sideman test", (player,), tempo_mbpm, sounding=sounding))

    def say(self, *messages):
        for message in messages:
            self.channel.send(message)

    def wait_for(self, kind, condition=lambda _: True):
        """The first message of a kind that fulfils a condition, waiting for it."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            for message in self.heard:
                if isinstance(message, kind) and condition(message):
                    return message
            assert self.channel.wait(max(0, deadline_s - time.monotonic())), f"no {kind} in {self.heard}"
            self.heard += self.channel.receive()

    @property
    def events(self):
        return [event for message in self.heard if isinstance(message, Left) for event in message.events]

    def finish(self):
        self.channel.close()
        _, stderr = self.process.communicate(timeout=PATIENCE_S)
        return stderr.decode()


@pytest.fixture
def ear():
    found = Ear()
    yield found
    found.socket.close()


@pytest.fixture
def stages():
    started = []

    def start(*outputs, **options):
        started.append(Stage(*outputs, **options))
        return started[-1]

    yield start
    for stage in started:
        if stage.process.poll() is None:
            stage.process.kill()
        stage.channel.close()
        stage.process.communicate()


def bar(number, *notes, length=120, epoch=1):
    return Chunk(
        "drums",
        epoch,
        number,
        number + 1,
        number * BAR,
        BAR,
        "hit",
        tuple(Note(tick, pitch, 100, length) for tick, pitch in notes),
    )


def long_note(pitch=36):
    """A bar with a note that sounds for a minute."""
    return Chunk("drums", 1, 0, 1, 0, 400_000, "hit", (Note(0, pitch, 100, 240_000),))


def test_a_bar_arrives_whole_and_control_is_told(stages, ear):
    stage = stages(f"osc:127.0.0.1:{ear.port}")
    ready = stage.wait_for(StageReady)
    assert ready.problems == ()
    assert f"127.0.0.1:{ear.port}" in ready.outputs[0]
    assert stage.wait_for(Piece).tempo_mbpm == 240_000
    stage.say(Play(1, 0), bar(0, (0, 36), (240, 42), (480, 38)))
    assert ear.listen(lambda notes: len(notes) == 6) == [
        (36, 100, 0),
        (36, 0, 120),
        (42, 100, 240),
        (42, 0, 360),
        (38, 100, 480),
        (38, 0, 600),
    ]
    stage.wait_for(Left, lambda left: left.events[-1].song_tick == 600)
    assert [(event.pitch, event.velocity, event.song_tick) for event in stage.events] == ear.notes
    started = stage.wait_for(EpochStarted)
    assert all(event.tick == event.song_tick + started.tick for event in stage.events)
    assert stage.wait_for(BarStarted).bar == 0
    stage.say(AskStatus())
    status = stage.wait_for(StageStatus)
    assert (status.events, status.sounding, status.dropped_notes) == (6, 0, 0)
    stage.say(Quit())
    stage.process.wait(PATIENCE_S)
    assert stage.finish() == ""


def test_tempo_and_stop_go_through(stages, ear):
    stage = stages(f"osc:127.0.0.1:{ear.port}")
    stage.say(Play(1, 0), long_note())
    ear.listen(lambda notes: notes == [(36, 100, 0)])
    stage.say(Tempo(999_000), Tempo(1), Stop())
    assert stage.wait_for(Piece, lambda piece: piece.tick > 0).tempo_mbpm == 999_000
    assert "choose one from 20 to 999" in stage.wait_for(Trouble).text
    stopped = stage.wait_for(Stopped)
    ear.listen(lambda notes: notes == [(36, 100, 0), (36, 0, stopped.position_tick)])


@pytest.mark.parametrize("how", ["control dies", "SIGTERM", "quit"])
def test_every_note_ends_when_the_stage_leaves(stages, ear, how):
    stage = stages(f"osc:127.0.0.1:{ear.port}")
    stage.say(Play(1, 0), long_note(), bar(100, (0, 50)))
    ear.listen(lambda notes: notes == [(36, 100, 0)])
    if how == "control dies":
        stage.channel.close()
    elif how == "SIGTERM":
        stage.process.send_signal(signal.SIGTERM)
    else:
        stage.say(Quit())
    ear.listen(lambda notes: len(notes) == 2 and notes[1][:2] == (36, 0))
    assert stage.process.wait(PATIENCE_S) == 0
    said = stage.finish()
    if how == "control dies":
        assert said.startswith("sideman: control is gone; every note was ended and the ports closed")
        assert len(said.splitlines()) == 1
    else:
        assert said == ""


def test_the_end_of_a_note_is_reported_when_the_stage_is_terminated(stages, ear):
    stage = stages(f"osc:127.0.0.1:{ear.port}")
    stage.say(Play(1, 0), long_note())
    ear.listen(lambda notes: len(notes) == 1)
    stage.process.terminate()
    stage.wait_for(Left, lambda left: left.events[-1].velocity == 0)
    with pytest.raises(ChannelClosedError):
        while stage.channel.wait(PATIENCE_S):
            stage.channel.receive()


def test_a_new_stage_ends_what_the_old_one_left_sounding(stages, ear):
    old = stages(f"osc:127.0.0.1:{ear.port}")
    old.say(Play(1, 0), long_note())
    ear.listen(lambda notes: len(notes) == 1)
    os.kill(old.process.pid, signal.SIGKILL)
    stages(f"osc:127.0.0.1:{ear.port}", sounding=(("drums", 10, 36),))
    ear.listen(lambda notes: notes == [(36, 100, 0), (36, 0, 0)])


def test_mute_and_panic(stages, ear):
    stage = stages(f"osc:127.0.0.1:{ear.port}")
    stage.say(Play(1, 0), long_note(), bar(1, (0, 38)))
    ear.listen(lambda notes: len(notes) == 1)
    stage.say(Panic())
    ear.listen(lambda notes: len(notes) >= 2)
    assert [note[:2] for note in ear.notes[1:]] == [(36, 0)] * (len(ear.notes) - 1)
    stage.say(Mute("drums", True))
    stage.wait_for(BarStarted, lambda started: started.bar == 1)
    assert all(event.pitch == 36 for event in stage.events)


def test_subscribers_get_what_their_pattern_names(stages, ear):
    other = Ear()
    stage = stages("osc")
    stage.say(
        Subscribers(
            (
                ("127.0.0.1", ear.port, "/sideman/*/note"),
                ("127.0.0.1", other.port, "/sideman/bass/*"),
                ("no address", 9, ""),
            )
        ),
        Play(1, 0),
        bar(0, (0, 36)),
    )
    ear.listen(lambda notes: notes == [(36, 100, 0), (36, 0, 120)])
    assert select.select([other.socket], [], [], 0)[0] == []
    other.socket.close()


def test_an_output_that_cannot_be_opened_is_named_and_the_others_play(stages, ear):
    stage = stages("osc:nowhere", "harp", "midi:no such port", f"osc:127.0.0.1:{ear.port}")
    ready = stage.wait_for(StageReady)
    assert len(ready.outputs) == 1
    assert [problem for problem in ready.problems if "osc:HOST:PORT" in problem]
    assert [problem for problem in ready.problems if "there is no output 'harp'" in problem]
    assert len(ready.problems) == 3
    stage.say(Play(1, 0), bar(0, (0, 36)))
    ear.listen(lambda notes: len(notes) == 2)
    stage.say(AskStatus())
    stage.wait_for(StageStatus)
    assert not [message for message in stage.heard if isinstance(message, PortChanged)]


def test_a_stage_that_nobody_sets_up_leaves(stages):
    mine, theirs = pair()
    with theirs:
        process = subprocess.Popen(module_command("bridge.stage.process", theirs.fileno()), pass_fds=[theirs.fileno()])
    mine.close()
    assert process.wait(PATIENCE_S) == 0
