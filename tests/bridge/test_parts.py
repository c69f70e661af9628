"""Parts: what an engine that speaks for several has each of them play, on a channel, in a track, with a sound."""

import socket
import struct

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.files.song import SongBar, write_song
from bridge.messages.stage import Chunk, EpochStarted, Event, Left, Mute, Panic, Play, PlayerSetup, Stop
from bridge.recorder.process import Recorder
from bridge.stage.outbox import REPORT, Outbox
from bridge.stage.outputs import midi as midi_output
from bridge.stage.outputs.midi import MidiOutput
from bridge.stage.outputs.osc import OscOutput
from bridge.stage.rack import Rack
from bridge.stage.scheduler import Player, Scheduler
from bridge.testing import FakeClock, play_until
from engines.music import Meter, Note, Phrase
from engines.notes.roles import CHANNELS, ROLE_NAMED, ROLES

BAR = 3840
DRUMS, BASS, PIANO, STRINGS = (ROLE_NAMED[name] + 1 for name in ("drums", "bass", "piano", "strings"))
C, E = 60, 64


def played(*notes, until=BAR, stop_at=None, channels=CHANNELS, channel=10):
    """What leaves of a bar: (tick in the song, channel, pitch, velocity)."""
    clock, replies = FakeClock(), []
    scheduler = Scheduler([Player("keys", channel, channels=channels)], 120_000, 0)
    for message in (Play(1, 0), Chunk("keys", 1, 0, 1, 0, BAR, "hit", notes)):
        replies += scheduler.apply(message, clock.now_ns())
    start = next(reply for reply in replies if isinstance(reply, EpochStarted)).tick
    events = []
    if stop_at is not None:
        events += play_until(scheduler, clock, scheduler.timeline.ns_at(stop_at + start), replies.append)
        scheduler.apply(Stop(), clock.now_ns())
    events += play_until(scheduler, clock, scheduler.timeline.ns_at(until + start), replies.append)
    assert scheduler.sounding == 0
    return [(event.song_tick, event.channel, event.pitch, event.velocity) for event in events]


def test_each_part_plays_on_its_channel_and_a_note_without_one_on_the_players():
    notes = (Note(0, 36, 100, 60, DRUMS), Note(0, 40, 100, 60, BASS), Note(0, C, 100, 60, PIANO), Note(0, E, 90, 60))
    assert played(*notes, channel=16)[:4] == [(0, 10, 36, 100), (0, 5, 40, 100), (0, 1, C, 100), (0, 16, E, 90)]


def test_one_pitch_in_two_parts_is_two_notes_each_with_its_end():
    score = played(Note(0, C, 100, 960, PIANO), Note(480, C, 80, 960, STRINGS))
    assert score == [(0, 1, C, 100), (480, 6, C, 80), (960, 1, C, 0), (1440, 6, C, 0)]


def test_parts_on_one_channel_are_one_instrument_whose_key_is_struck_again():
    one = (3,) * 16
    score = played(Note(0, C, 100, 960, PIANO), Note(480, C, 80, 960, STRINGS), channels=one)
    assert score == [(0, 3, C, 100), (480, 3, C, 0), (480, 3, C, 80), (1440, 3, C, 0)]


def test_a_stop_ends_every_part():
    score = played(Note(0, C, 100, 3000, PIANO), Note(0, C, 100, 3000, BASS), Note(0, C, 100, 3000), stop_at=960)
    assert sorted(event for event in score if not event[3]) == [(961, 1, C, 0), (961, 5, C, 0), (961, 10, C, 0)]


NOTES = st.builds(
    Note,
    st.integers(-120, BAR - 1),
    st.integers(58, 61),
    st.integers(1, 127),
    st.integers(1, 2 * BAR),
    st.integers(0, 16),
)
CHUNKS = st.builds(
    lambda bar, id_, notes, from_beat: Chunk(
        "keys", 1, bar, id_, bar * BAR, BAR, "hit", tuple(notes), from_beat * 960 + bar * BAR if from_beat else -1
    ),
    st.integers(0, 3), st.integers(1, 9), st.lists(NOTES, max_size=12), st.integers(0, 3),
)  # fmt: skip
SAID = st.one_of(
    CHUNKS, st.builds(Mute, st.just("keys"), st.booleans()), st.just(Stop()), st.just(Play(1, 0)), st.just(Panic())
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(SAID, st.integers(0, 900_000_000)), max_size=20),
    st.lists(st.integers(1, 16), min_size=16, max_size=16),
)
def test_whatever_the_parts_play_and_wherever_they_are_sent_each_key_is_let_go(said, channels):
    clock, events = FakeClock(), []
    scheduler = Scheduler([Player("keys", 10, channels=tuple(channels))], 120_000, 0)
    scheduler.apply(Play(1, 0), 0)
    for message, wait_ns in said:
        scheduler.apply(message, clock.now_ns())
        events += play_until(scheduler, clock, clock.now_ns() + wait_ns, lambda reply: None)
    events += play_until(scheduler, clock, clock.now_ns() + 60_000_000_000, lambda reply: None)
    down = set()
    for event in events:
        key = (event.channel, event.pitch)
        assert (key in down) is not bool(event.velocity)
        (down.add if event.velocity else down.remove)(key)
        assert event.channel == (channels[event.part - 1] if event.part else 10)
    assert not down
    assert scheduler.sounding == 0


def test_what_sounds_on_two_channels_of_an_output_is_ended_on_both():
    outbox = Outbox()
    player = Player("keys", 10)
    for part, channel in ((PIANO, 1), (BASS, 5)):
        outbox.put(Event("keys", 0, 0, C, 100, channel, 0, 0, part), player.lines)
    outbox.due(0)
    ends = [(end.event.channel, end.event.part) for end in outbox.ends(10, 1) if end.output != REPORT]
    assert ends == [(1, PIANO), (5, BASS)]


class Port:
    lead_ns = 0
    name = "sideman:keys"

    def __init__(self):
        self.sent = []
        self.wires = ()

    def send(self, data, at_ns):
        self.sent.append(tuple(data))

    def present(self):
        return True

    def connections(self):
        return self.wires

    def close(self):
        pass


@pytest.fixture
def port(monkeypatch):
    port = Port()
    monkeypatch.setattr(midi_output, "open_virtual", lambda player, rack: port)
    return port


def test_a_panic_reaches_every_channel_that_was_played_on(port):
    output = MidiOutput(PlayerSetup("keys", (), 16), "", Rack("sideman"))
    output.open()
    output.send(Event("keys", 0, 0, C, 100, 5, 0, 0, BASS))
    output.panic()
    assert port.sent[0] == (0x94, C, 100)
    assert {data[0] & 0x0F for data in port.sent[1:]} == {4, 15}


def test_programs_are_sent_where_the_set_asks_when_it_opens_when_it_is_wired_and_when_playing_begins(port):
    channels = tuple(7 if role.name == "bass" else role.channel for role in ROLES)
    output = MidiOutput(PlayerSetup("keys", (), 1, channels, {BASS: 33, PIANO: 4}), "", Rack("sideman"))
    output.open()
    programs = [(0xC6, 33), (0xC0, 4)]
    assert port.sent == programs
    output.timeline(EpochStarted(1, 0, 0))
    assert port.sent == programs * 2
    output.poll(0)
    port.wires = ("synth:in",)
    output.poll(0)
    assert port.sent[4:] == programs * 2, "no wire at first is news, and so is the first one"
    silent = MidiOutput(PlayerSetup("keys", ()), "", Rack("sideman"))
    port.sent.clear()
    silent.open()
    silent.timeline(EpochStarted(1, 0, 0))
    assert port.sent == []


def test_osc_tells_the_channel_of_a_part_and_says_nothing_new_without_one():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5)
        output = OscOutput(PlayerSetup("keys", ()), f"127.0.0.1:{ear.getsockname()[1]}", Rack("sideman"))
        output.open()
        output.send(Event("keys", 0, 960, C, 100, 5, 0, 0, BASS))
        output.send(Event("keys", 0, 960, C, 100, 10, 0, 0))
        part, plain = ear.recv(1000), ear.recv(1000)
        output.close()
    assert b",iiii\0" in part
    assert struct.unpack(">iiii", part[-16:]) == (C, 100, 960, 5)
    assert b",iii\0" in plain
    assert struct.unpack(">iii", plain[-12:]) == (C, 100, 960)


def tracks_of(path):
    """Name, programs, and channels of notes, of each track but the first."""
    found = []
    for track in mido.MidiFile(path).tracks[1:]:
        programs = [message.program for message in track if message.type == "program_change"]
        channels = {message.channel + 1 for message in track if message.type in ("note_on", "note_off")}
        found.append((track.name, programs, channels))
    return found


def test_a_recording_has_a_track_for_each_part_and_ends_their_notes(tmp_path):
    path = tmp_path / "take.mid"
    recorder = recorder_of(path)
    on = Event("keys", 0, 0, C, 100, 1, 0, 0, PIANO)
    other = Event("keys", 0, 0, C, 100, 7, 0, 0, BASS)
    drum = Event("drums", 0, 0, 36, 100, 10, 0, 0)
    recorder.handle(EpochStarted(1, 0, 0))
    recorder.handle(Left((on, other, drum)))
    recorder.handle(Left((Event("keys", 960, 960, C, 0, 1, 0, 0, PIANO),)))
    recorder.take.finish(BAR)
    recorder.write()
    assert tracks_of(path) == [("keys bass", [38], {7}), ("keys piano", [0], {1}), ("drums", [], {10})]
    offs = [m.type for track in mido.MidiFile(path).tracks for m in track if m.type == "note_off"]
    assert len(offs) == 3


def recorder_of(path):
    from bridge.messages.recorder import Record

    return Recorder(Record((str(path),), 120_000, 4, 4, programs={"keys": {BASS: 38}}))


def test_a_written_song_has_a_track_for_each_part(tmp_path):
    notes = (Note(0, 36, 100, 60, DRUMS), Note(0, 40, 100, 960, BASS), Note(960, C, 100, 960, PIANO))
    bar = SongBar(Meter(), 120.0, Phrase(BAR, notes))
    for name in ("song.mid", "song.wav"):
        write_song(tmp_path / name, [bar])
    assert tracks_of(tmp_path / "song.mid") == [
        ("notes drums", [], {10}),
        ("notes bass", [33], {5}),
        ("notes piano", [0], {1}),
    ]
    data = np.frombuffer((tmp_path / "song.wav").read_bytes()[44:], np.int16)
    assert np.abs(data).max() > 1000
