"""What left is what is in the file, on its tick."""

import signal
import subprocess
import wave

import mido
import pytest

from bridge.channel import Channel, module_command, pair
from bridge.messages.message import Trouble
from bridge.messages.recorder import Finish, FromRecorder, Record, Recorded, RecordedMeter, RecordedTempo
from bridge.messages.stage import EpochStarted, Event, Left
from bridge.recorder.midifile import MeterChange, TempoChange, Track, write_midi
from bridge.recorder.process import Recorder
from bridge.recorder.take import Take
from bridge.recorder.wavfile import write_wav
from engines.music import Note

PATIENCE_S = 20.0


def on(tick, pitch, player="drums", channel=10):
    return Event(player, tick, tick - 500, pitch, 100, channel, 0, 0)


def off(tick, pitch, player="drums", channel=10):
    return Event(player, tick, tick - 500, pitch, 0, channel, 0, 0)


def score(path, track):
    """(tick, pitch, velocity) of a track of a file."""
    found, tick = [], 0
    for message in mido.MidiFile(path).tracks[track]:
        tick += message.time
        if message.type in ("note_on", "note_off"):
            found.append((tick, message.note, message.velocity if message.type == "note_on" else 0))
    return found


def metas(path, kind):
    found, tick = [], 0
    for message in mido.MidiFile(path).tracks[0]:
        tick += message.time
        if message.type == kind:
            found.append((tick, message))
    return found


class Process:
    def __init__(self, *paths, tempo_mbpm=120_000):
        mine, theirs = pair()
        with theirs:
            self.process = subprocess.Popen(
                module_command("bridge.recorder.process", theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stderr=subprocess.PIPE,
            )
        self.channel = Channel(mine, FromRecorder)
        self.channel.send(Record(tuple(map(str, paths)), tempo_mbpm, 4, 4))

    def say(self, *messages):
        for message in messages:
            self.channel.send(message)

    def answer(self):
        return self.channel.first()

    def end(self):
        self.channel.close()
        _, stderr = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0
        return stderr.decode()


TAKE = (
    EpochStarted(1, 500, 0),
    Left((on(500, 36), on(500, 42), off(560, 42))),
    RecordedTempo(1_000, 93_700),
    Left((off(620, 36), on(1_460, 38), off(1_500, 38))),
    RecordedMeter(4_340, 7, 8),
    Left((on(4_340, 36),)),
)
TAKEN = [(0, 36, 100), (0, 42, 100), (60, 42, 0), (120, 36, 0), (960, 38, 100), (1_000, 38, 0), (3_840, 36, 100)]


def test_a_take_is_written_on_its_ticks_when_it_is_finished(tmp_path):
    recorder = Process(tmp_path / "take.mid", tmp_path / "take.wav")
    recorder.say(*TAKE, Finish(500 + 3_840 + 3_360))
    assert recorder.answer() == Recorded((str(tmp_path / "take.mid"), str(tmp_path / "take.wav")))
    assert recorder.end() == ""
    path = tmp_path / "take.mid"
    assert score(path, 1) == [*TAKEN, (7_200, 36, 0)]
    assert [(tick, message.tempo) for tick, message in metas(path, "set_tempo")] == [(0, 500_000), (500, 640_342)]
    meters = [(tick, message.numerator, message.denominator) for tick, message in metas(path, "time_signature")]
    assert meters == [(0, 4, 4), (3_840, 7, 8)]
    assert mido.MidiFile(path).ticks_per_beat == 960
    assert mido.MidiFile(path).tracks[1].name == "drums"
    assert {message.channel for message in mido.MidiFile(path).tracks[1] if message.type == "note_on"} == {9}
    with wave.open(str(tmp_path / "take.wav")) as file:
        seconds = 500 / 1920 + (7_200 - 500) / 960 * 60 / 93.7
        assert file.getnframes() / file.getframerate() == pytest.approx(seconds + 2.5, abs=0.001)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("how", ["control dies", "SIGTERM"])
def test_a_take_is_written_when_it_is_cut_short(tmp_path, how):
    recorder = Process(tmp_path / "take.mid", tmp_path / "bad.ogg")
    assert isinstance(recorder.answer(), Trouble)  # it is up
    recorder.say(*TAKE)
    if how == "SIGTERM":
        recorder.process.send_signal(signal.SIGTERM)
        recorder.process.wait(PATIENCE_S)
    recorder.end()
    assert score(tmp_path / "take.mid", 1) == [*TAKEN, (3_841, 36, 0)]


def test_paths_that_cannot_be_written_are_named_at_once_and_the_rest_is(tmp_path):
    recorder = Process(tmp_path / "take.ogg", tmp_path / "nowhere" / "take.mid", tmp_path / "take.mid")
    assert recorder.answer() == Trouble(f"{tmp_path}/take.ogg cannot be recorded to; end its name in .mid or .wav")
    assert "nowhere/take.mid cannot be recorded to: No such file or directory" in recorder.answer().text
    recorder.say(*TAKE, Finish(4_440))
    assert recorder.answer() == Recorded((str(tmp_path / "take.mid"),))
    recorder.end()


def test_a_file_that_exists_is_untouched_until_the_new_one_is_whole(tmp_path):
    (tmp_path / "take.mid").write_bytes(b"precious")
    recorder = Process(tmp_path / "take.mid", tmp_path / "bad.ogg")
    recorder.answer()
    assert (tmp_path / "take.mid").read_bytes() == b"precious"
    recorder.say(*TAKE, Finish(4_440))
    recorder.answer()
    recorder.end()
    assert score(tmp_path / "take.mid", 1)[:2] == TAKEN[:2]


def test_a_silent_take_is_a_file_too(tmp_path):
    recorder = Process(tmp_path / "take.mid")
    recorder.say(EpochStarted(1, 500, 0), Finish(500 + 3_840))
    recorder.answer()
    recorder.end()
    assert [(tick, message.tempo) for tick, message in metas(tmp_path / "take.mid", "set_tempo")] == [(0, 500_000)]


def test_the_sound_rendered_while_recording_is_that_of_the_whole_take(tmp_path):
    recorder = Recorder(Record((str(tmp_path / "live.wav"),), 120_000, 4, 4))
    recorder.handle(EpochStarted(1, 500, 0))
    for i in range(64):
        if i % 10 == 5:
            recorder.handle(RecordedTempo(500 + i * 240, 100_000 + 1_000 * i))
        pitches = (36, 42, 49)[: 1 + i % 3]
        recorder.handle(Left(tuple(on(500 + i * 240, pitch) for pitch in reversed(pitches))))
        recorder.handle(Left(tuple(off(560 + i * 240, pitch) for pitch in pitches)))
    assert (tmp_path / "live.part.wav").stat().st_size > 1_000_000
    recorder.handle(Finish(500 + 64 * 240))
    assert recorder.write() == (str(tmp_path / "live.wav"),)
    take = recorder.take
    write_wav(tmp_path / "whole.wav", take.tracks, take.tempo_map, take.end_tick)
    assert (tmp_path / "live.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    assert recorder.troubles == []


def test_the_score_is_on_disk_while_recording_goes_on(tmp_path):
    recorder = Recorder(Record((str(tmp_path / "take.mid"),), 120_000, 4, 4))
    for message in TAKE:
        recorder.handle(message)
    assert not list(tmp_path.iterdir())
    recorder.refresh()
    assert score(tmp_path / "take.mid", 1) == [*TAKEN, (3_841, 36, 0)]
    (tmp_path / "take.mid").unlink()
    recorder.refresh()
    assert not list(tmp_path.iterdir()), "nothing new was heard"
    recorder.handle(Left((off(4_400, 36),)))
    recorder.write()
    assert score(tmp_path / "take.mid", 1) == [*TAKEN, (3_900, 36, 0)]


def test_a_file_that_cannot_be_written_any_more_does_not_cost_the_other(tmp_path):
    (tmp_path / "a").mkdir()
    recorder = Recorder(Record((str(tmp_path / "a" / "take.mid"), str(tmp_path / "take.mid")), 120_000, 4, 4))
    for message in TAKE:
        recorder.handle(message)
    (tmp_path / "a").rmdir()
    assert recorder.write() == (str(tmp_path / "take.mid"),)
    assert recorder.troubles == [f"{tmp_path}/a/take.mid cannot be recorded to: No such file or directory"]


def test_every_player_has_a_track():
    take = Take(120_000, 4, 4)
    take.begin(500)
    take.left([on(500, 36), on(500, 60, "bass", 1), off(700, 60, "bass", 1), off(800, 36)])
    assert [(track.name, track.channel, len(track.events)) for track in take.tracks] == [
        ("drums", 10, 2),
        ("bass", 1, 2),
    ]


def test_a_tempo_that_never_took_effect_is_not_recorded():
    take = Take(120_000, 4, 4)
    take.begin(0)
    take.tempo(960, 90_000)
    take.tempo(480, 100_000)
    assert take.tempos == [TempoChange(0, 120_000), TempoChange(480, 100_000)]


def test_the_tempo_before_playing_began_is_the_one_at_the_start():
    take = Take(120_000, 4, 4)
    take.tempo(100, 90_000)
    take.begin(500)
    take.tempo(500, 91_000)
    take.tempo(1_460, 92_000)
    assert take.tempos == [TempoChange(0, 91_000), TempoChange(960, 92_000)]
    assert take.tempo_map.ns_at(1_920) == pytest.approx(60e9 / 91 + 60e9 / 92, abs=2)


def test_whole_notes_become_pairs_in_order(tmp_path):
    notes = [
        Note(0, 36, 90, 960),
        Note(480, 36, 80, 100),
        Note(480, 36, 70, 50),
        Note(-30, 42, 60, 30),
        Note(580, 36, 50, 9),
    ]
    path = tmp_path / "notes.mid"
    write_midi(path, [Track.of_notes("drums", 10, notes)], [TempoChange(0, 120_000)], [MeterChange(0, 4, 4)], 3_840)
    assert score(path, 1) == [
        (0, 36, 90),
        (0, 42, 60),
        (30, 42, 0),
        (480, 36, 0),
        (480, 36, 70),
        (530, 36, 0),
        (580, 36, 50),
        (589, 36, 0),
    ]
    assert sum(message.time for message in mido.MidiFile(path).tracks[1]) == 3_840
