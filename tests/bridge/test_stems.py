"""Stems: a file for each player, from the same first frame on; loops in it; what a crash or a full disk leaves."""

import signal
import subprocess
import wave

import mido
import numpy as np
import pytest
import soundfile

from bridge.channel import Channel, module_command, pair
from bridge.control.tape import Tape
from bridge.files.loopwav import write_loop
from bridge.messages.message import Trouble
from bridge.messages.recorder import (
    Finish,
    FromRecorder,
    Record,
    Recorded,
    RecordedLoop,
    RecordedMute,
    RecordedStop,
    RecordedTempo,
)
from bridge.messages.stage import EpochStarted, Event, Left
from bridge.recorder.process import Recorder
from engines.audio import Loop, frames_in
from engines.music import LoopFile, Meter

BAR, BEAT = 3_840, 960
ORIGIN = 500
RATE = 48_000
PATIENCE_S = 20.0


def hit(tick, pitch=38, velocity=127, player="drums"):
    return Event(player, ORIGIN + tick, tick, pitch, velocity, 10, 0, 0)


def clicks(folder, tempo_bpm=120.0, rate=RATE, level=0.5):
    """A bar with a click of one frame on each beat."""
    frames = np.zeros((frames_in(BAR, tempo_bpm, rate), 1), np.float32)
    for beat in range(4):
        frames[frames_in(beat * BEAT, tempo_bpm, rate)] = level
    path = folder / f"clicks_{tempo_bpm:g}_{rate}.wav"
    write_loop(path, Loop(frames, rate, BAR), round(tempo_bpm * 1000), Meter())
    return LoopFile(str(path), rate, len(frames), 1, BAR, round(tempo_bpm * 1000))


def bar(number, loop, player="keys"):
    return RecordedLoop(player, ORIGIN + number * BAR, BAR, loop)


def recorded(tmp_path, *messages, tempo_mbpm=120_000, paths=()):
    """Take messages down, with stems of keys and drums; the frames of the stem keys, and the recorder."""
    stems = tuple((player, str(tmp_path / f"{player}.wav")) for player in ("keys", "drums"))
    recorder = Recorder(Record(paths, tempo_mbpm, 4, 4, stems))
    for message in messages:
        recorder.handle(message)
    recorder.write()
    return soundfile.read(tmp_path / "keys.wav", dtype="float32")[0], recorder


def struck(frames, level=0.2):
    """The frames of clicks."""
    loud = np.flatnonzero(np.abs(frames[:, 0]) > level)
    return [int(at) for i, at in enumerate(loud) if i == 0 or at - loud[i - 1] > 500]


def test_loops_and_notes_lie_on_their_frames_and_all_files_are_as_long(tmp_path):
    loop = clicks(tmp_path)
    notes = (Left((hit(n * BEAT), hit(n * BEAT + 240, velocity=0))) for n in range(12))
    frames, recorder = recorded(
        tmp_path,
        EpochStarted(1, ORIGIN, 0),
        *(message for n in range(3) for message in (bar(n, loop), *(next(notes) for _ in range(4)))),
        Finish(ORIGIN + 3 * BAR),
        paths=(str(tmp_path / "take.mid"), str(tmp_path / "take.wav")),
    )
    assert recorder.troubles == []
    beats = [beat * 24_000 for beat in range(12)]
    assert struck(frames) == beats
    assert frames[24_000, 0] == pytest.approx(0.5, abs=1e-4)
    drums, _ = soundfile.read(tmp_path / "drums.wav", dtype="float32")
    mix, _ = soundfile.read(tmp_path / "take.wav", dtype="float32")
    assert len(frames) == len(drums) == len(mix) == 12 * 24_000 + round(2.5 * RATE)
    assert all(abs(at - beat) <= 60 for at, beat in zip(struck(drums, 0.3), beats, strict=True))
    assert np.abs(mix - frames - drums).max() < 0.35, "limited where both are loud"
    score = [message for track in mido.MidiFile(tmp_path / "take.mid").tracks for message in track]
    assert sum(message.type == "note_on" for message in score) == 12


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_a_loop_of_another_rate_is_on_its_frames_too(tmp_path, rate):
    loop = clicks(tmp_path, rate=rate)
    frames, _ = recorded(
        tmp_path, EpochStarted(1, ORIGIN, 0), bar(0, loop), bar(1, loop), Finish(ORIGIN + 2 * BAR)
    )  # fmt: skip
    assert all(abs(at - beat * 24_000) <= 1 for beat, at in enumerate(struck(frames)))
    assert len(struck(frames)) == 8


def test_when_the_tempo_turns_in_a_bar_the_loop_follows(tmp_path):
    loop, slow = clicks(tmp_path), clicks(tmp_path, 80.0)
    turn = 2 * BEAT
    frames, _ = recorded(
        tmp_path,
        EpochStarted(1, ORIGIN, 0),
        bar(0, loop),
        RecordedTempo(ORIGIN + turn, 80_000),
        bar(1, slow),
        Finish(ORIGIN + 2 * BAR),
    )
    expected = [0, 24_000, 48_000, 84_000, *(120_000 + beat * 36_000 for beat in range(4))]
    assert len(struck(frames)) == 8
    assert all(abs(at - frame) <= 2 for at, frame in zip(struck(frames), expected, strict=True))


def test_a_tempo_that_was_set_before_it_begins_holds_from_the_first_frame(tmp_path):
    loop = clicks(tmp_path, 80.0)
    messages = (RecordedTempo(100, 80_000), EpochStarted(1, ORIGIN, 0), bar(0, loop), Finish(ORIGIN + BAR))
    frames, _ = recorded(tmp_path, *messages)
    assert struck(frames) == [beat * 36_000 for beat in range(4)]


def test_a_muted_loop_is_silent_and_comes_back_where_it_would_be(tmp_path):
    loop = clicks(tmp_path)
    frames, _ = recorded(
        tmp_path,
        EpochStarted(1, ORIGIN, 0),
        bar(0, loop),
        RecordedMute("keys", ORIGIN + 480, True),
        bar(1, loop),
        RecordedMute("keys", ORIGIN + BAR + 480, False),
        Finish(ORIGIN + 2 * BAR),
    )
    assert struck(frames) == [beat * 24_000 for beat in (0, 5, 6, 7)]


def test_playing_that_stops_and_goes_on_in_mid_bar(tmp_path):
    loop = clicks(tmp_path)
    resumed = ORIGIN + 10 * BEAT  # on the second beat of the bar, which began at nine
    frames, _ = recorded(
        tmp_path,
        EpochStarted(1, ORIGIN, 0),
        bar(0, loop),
        RecordedStop(ORIGIN + BEAT + 480),
        EpochStarted(2, resumed, BEAT),
        RecordedLoop("keys", resumed - BEAT, BAR, loop),
        Finish(resumed + 3 * BEAT),
    )
    assert struck(frames) == [beat * 24_000 for beat in (0, 1, 11, 12)], "it fades in from the tenth on"


def test_a_bar_without_a_loop_is_silent(tmp_path):
    loop = clicks(tmp_path)
    messages = (EpochStarted(1, ORIGIN, 0), bar(0, loop), bar(1, None), bar(2, loop), Finish(ORIGIN + 3 * BAR))
    frames, _ = recorded(tmp_path, *messages)
    assert struck(frames) == [beat * 24_000 for beat in (0, 1, 2, 3, 8, 9, 10, 11)]


def test_a_loop_that_has_gone_is_said_and_the_rest_is_recorded(tmp_path):
    loop = clicks(tmp_path)
    gone = LoopFile(str(tmp_path / "gone.wav"), RATE, 96_000, 1, BAR, 120_000)
    messages = (EpochStarted(1, ORIGIN, 0), bar(0, gone), bar(1, loop), bar(2, loop), Finish(ORIGIN + 3 * BAR))
    frames, recorder = recorded(tmp_path, *messages)
    assert struck(frames) == [beat * 24_000 for beat in range(4, 12)]
    assert len(recorder.troubles) == 1 and "gone.wav" in recorder.troubles[0]


class Process:
    """A recorder process; `say` sends, `answer` waits for what it says."""

    def __init__(self, record):
        mine, theirs = pair()
        with theirs:
            command = module_command("bridge.recorder.process", theirs.fileno())
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL)
        self.channel = Channel(mine, FromRecorder)
        self.say(record)

    def say(self, *messages):
        for message in messages:
            self.channel.send(message)

    def answer(self):
        return self.channel.first()


def playable(path):
    """How many frames any program finds in a file, by its header and by what is there."""
    with wave.open(str(path)) as file:
        frames = file.getnframes()
        assert len(file.readframes(frames)) == frames * 4
    assert soundfile.info(path).frames == frames
    return frames


def test_when_the_recorder_is_killed_the_files_can_be_played_as_far_as_they_are(tmp_path):
    loop = clicks(tmp_path)
    stems = (("keys", str(tmp_path / "keys.wav")),)
    recorder = Process(Record((str(tmp_path / "bad.ogg"),), 120_000, 4, 4, stems))
    assert isinstance(recorder.answer(), Trouble)
    recorder.say(EpochStarted(1, ORIGIN, 0), *(bar(number, loop) for number in range(8)))
    recorder.say(bar(8, LoopFile(str(tmp_path / "gone.wav"), RATE, 96_000, 1, BAR, 120_000)), bar(9, None))
    assert "gone.wav" in recorder.answer().text, "so far it has come"
    recorder.process.send_signal(signal.SIGKILL)
    recorder.process.wait(PATIENCE_S)
    recorder.channel.close()
    assert playable(tmp_path / "keys.part.wav") > 6 * 96_000
    frames, _ = soundfile.read(tmp_path / "keys.part.wav", dtype="float32")
    assert struck(frames)[:24] == [beat * 24_000 for beat in range(24)]


def test_a_full_disk_is_said_and_leaves_what_there_was_room_for(tmp_path, full_disk):
    loop = clicks(tmp_path)
    stems = (("keys", str(full_disk / "keys.wav")),)
    recorder = Recorder(Record((str(full_disk / "take.mid"), str(tmp_path / "whole.wav")), 120_000, 4, 4, stems))
    recorder.handle(EpochStarted(1, ORIGIN, 0))
    recorder.handle(bar(0, loop))
    recorder.handle(Left((hit(0), hit(240, velocity=0))))
    recorder.refresh()
    for number in range(1, 4):
        recorder.handle(bar(number, loop))
    recorder.handle(Finish(ORIGIN + 4 * BAR))
    assert recorder.write() == (str(tmp_path / "whole.wav"),)
    assert sum("No space left on device" in text for text in recorder.troubles) == len(recorder.troubles) == 2
    assert 40_000 < playable(full_disk / "keys.wav") < 65_536
    frames, _ = soundfile.read(full_disk / "keys.wav", dtype="float32")
    assert struck(frames)[:2] == [0, 24_000]
    assert sum(message.type == "note_on" for track in mido.MidiFile(full_disk / "take.mid").tracks for message in track)
    assert sorted(path.name for path in full_disk.iterdir()) == ["keys.wav", "take.mid"]
    assert playable(tmp_path / "whole.wav") == 4 * 96_000 + round(2.5 * RATE)


def test_the_tape_tells_of_loops_and_of_their_end_once(tmp_path):
    sent = []
    tape = Tape((), print)
    tape._send = sent.append
    loop = clicks(tmp_path)
    tape.loop("drums", 0, BAR, None)
    tape.loop("keys", 0, BAR, loop)
    tape.loop("keys", BAR, BAR, None)
    tape.loop("keys", 2 * BAR, BAR, None)
    assert sent == [RecordedLoop("keys", 0, BAR, loop), RecordedLoop("keys", BAR, BAR, None)]


def test_recorded_names_the_stems(tmp_path):
    stems = (("keys", str(tmp_path / "keys.wav")), ("drums", str(tmp_path / "drums.wav")))
    recorder = Process(Record((), 120_000, 4, 4, stems))
    recorder.say(EpochStarted(1, ORIGIN, 0), Finish(ORIGIN + BAR))
    assert recorder.answer() == Recorded(tuple(path for _, path in stems))
    recorder.channel.close()
    assert recorder.process.wait(PATIENCE_S) == 0
