"""jack_midi_clock, with klick as the timebase master, as the drum machine whose clock is followed."""

import contextlib
import math
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque

import pytest
from pythonosc.osc_message import OscMessage

from bridge.messages.message import Trouble
from bridge.messages.stage import (
    OutputSetup,
    Play,
    PlayerSetup,
    Setup,
    SourcePlays,
    SourceState,
    SourceStops,
    SyncSetup,
)
from bridge.stage.outputs.jack_clock import cycle_reader
from bridge.testing import PATIENCE_S, JackServer, StageProcess

jack = pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)
pytestmark = [pytest.mark.jack, pytest.mark.peer]

BPM = 97.3
BAR_S = 4 * 60 / BPM
BAR = 3840
CLOCK = b"\xf8"


@pytest.fixture
def short_period(monkeypatch):
    """As a performer has it: a pulse lasts 1,233 frames."""
    monkeypatch.setattr(JackServer, "PERIOD", 512)


@pytest.fixture
def desk(short_period, server):
    """JACK's transport, and what jack_midi_clock sends."""
    for program in ("klick", "jack_midi_clock"):
        if not shutil.which(program):
            pytest.skip(f"there is no {program} here (on Debian and Ubuntu: sudo apt install klick jack-midi-clock)")
    found = Desk()
    try:
        found.open()
        if not 0.99 < found.speed() < 1.01:
            pytest.skip("JACK loses cycles here: this machine is too busy to keep time")
        yield found
    finally:
        found.close()


class Desk:
    """The machine, and an ear on it. heard: (when, frame of the transport, message)."""

    def __init__(self):
        self.heard = deque()
        self.client = jack.Client("ear", no_start_server=True)
        self.port = self.client.midi_inports.register("in")
        self.notes_port = self.client.midi_inports.register("notes")
        self._notes = deque()
        self._read_cycle = cycle_reader(self.client)
        self.client.set_process_callback(self._process)
        self._programs = []

    def open(self):
        self.client.activate()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._programs.append(subprocess.Popen(["klick", "-P", "-t", "-T", str(BPM)], **quiet))
        self._programs.append(subprocess.Popen(["jack_midi_clock", "-d", "1"], **quiet))
        self.until(lambda: self.client.get_ports("jack_midi_clock", is_output=True), "jack_midi_clock")
        self.until(lambda: self.client.transport_query()[1].get("beats_per_minute"), "klick")
        self.stop()
        self.until(lambda: self.client.transport_state == jack.STOPPED, "the transport's stop")
        self.client.transport_frame = 0
        self.until(self._connected, "connection with jack_midi_clock")

    def _connected(self):
        with contextlib.suppress(jack.JackError):  # it has a port before it takes part
            self.client.connect("jack_midi_clock:mclk_out", self.port)
        return self.port.is_connected_to("jack_midi_clock:mclk_out")

    def start(self):
        self.client.transport_start()

    def stop(self):
        self.client.transport_stop()

    def speed(self):
        """How many seconds of frames go by in a second."""
        frame, at_s = self.client.frame_time, time.monotonic()
        time.sleep(1.0)
        return (self.client.frame_time - frame) / JackServer.RATE / (time.monotonic() - at_s)

    def pulses(self, after_ns=0):
        """When each pulse was sent."""
        return [at_ns for at_ns, _, data in list(self.heard) if data == CLOCK and at_ns > after_ns]

    def beats_at(self, at_ns):
        """Where the transport was, in beats, by the pulse heard next."""
        heard_ns, frame, _ = next(item for item in list(self.heard) if item[0] >= at_ns)
        return (frame / JackServer.RATE - (heard_ns - at_ns) / 1e9) * BPM / 60

    def taken_notes(self):
        """(pitch, the transport's beats) of the notes heard since the last call."""
        return [self._notes.popleft() for _ in range(len(self._notes))]

    def close(self):
        for program in self._programs:
            program.send_signal(signal.SIGINT)
            program.wait()
        with contextlib.suppress(jack.JackError):
            self.client.deactivate()
        self.client.close()

    def _process(self, frames):
        start_ns, ns_per_frame = self._read_cycle(frames)
        _, position = self.client.transport_query_struct()
        for frame, data in self.port.incoming_midi_events():
            self.heard.append((start_ns + frame * ns_per_frame, position.frame + frame, bytes(data)))
        for frame, data in self.notes_port.incoming_midi_events():
            status, pitch, velocity = bytes(data)
            if status & 0xF0 == 0x90 and velocity:
                self._notes.append((pitch, (position.frame + frame) / JackServer.RATE * BPM / 60))

    def until(self, there, what):
        deadline_s = time.monotonic() + PATIENCE_S
        while not there():
            assert time.monotonic() < deadline_s, f"no {what}"
            time.sleep(0.05)


@pytest.fixture
def stage(desk):
    player = PlayerSetup("drums", (OutputSetup("osc", "127.0.0.1:9"),))
    found = StageProcess(Setup("sidemantest", (player,), 120_000, SyncSetup("midi", "jack_midi_clock")))
    found.wait_for(SourceState)
    yield found
    found.close()


def started(stage, epoch):
    """The epoch-th start of the source, which the stage is told to play with, as control would."""
    stage.wait_for(SourcePlays, lambda _: len(told(stage, SourcePlays)) >= epoch)
    plays = told(stage, SourcePlays)[-1]
    stage.tell(Play(epoch, plays.position_tick, at_ns=plays.at_ns))
    return plays


def told(stage, kind):
    return [message for message in stage.said if isinstance(message, kind)]


def phase_ms(stage, plays, pulses):
    """rms and worst of how far the song's pulses lie from those that the machine sent after it started."""
    pulse_ns = 60e9 / BPM / 24
    errors_ms = []
    for at_ns in pulses:
        ticks = stage.song_tick_at(round(at_ns)) - plays.position_tick
        errors_ms.append((ticks / 40 - round(ticks / 40)) * pulse_ns / 1e6)
    return math.sqrt(sum(error * error for error in errors_ms) / len(errors_ms)), max(map(abs, errors_ms))


def test_the_machine_is_followed_stopped_and_taken_up_again_in_the_right_bar(stage, desk):
    desk.start()
    plays = started(stage, 1)
    assert plays.position_tick == 0
    stage.listen(2 * BAR_S)
    assert abs(stage.tempo_mbpm - 97_300) < 100
    settled_ns = time.perf_counter_ns()
    stage.listen(2 * BAR_S)
    rms_ms, worst_ms = phase_ms(stage, plays, desk.pulses(settled_ns))
    print(f"{stage.tempo_mbpm / 1000:.3f} bpm, phase {rms_ms:.3f} ms rms, {worst_ms:.3f} ms at most")
    assert rms_ms < 0.5
    now_ns = desk.pulses()[-2]
    assert stage.song_tick_at(round(now_ns)) / 960 == pytest.approx(desk.beats_at(now_ns), abs=0.01)

    desk.stop()
    stage.wait_for(SourceStops)
    stage.listen(1.0)
    assert not [message.text for message in told(stage, Trouble) if "gone" in message.text], "it was stopped"
    desk.start()
    plays = started(stage, 2)
    assert plays.position_tick // BAR == 4, "it was stopped in the fifth bar"
    stage.listen(BAR_S)
    now_ns = desk.pulses()[-2]
    ours, theirs = stage.song_tick_at(round(now_ns)) / 960, desk.beats_at(now_ns)
    print(f"continued: {ours:.3f} beats, the transport {theirs:.3f}")
    assert ours == pytest.approx(theirs, abs=0.125), "jack_midi_clock's positions are sixteenths"
    rms_ms, worst_ms = phase_ms(stage, plays, desk.pulses(now_ns - BAR_S * 0.5e9))
    assert rms_ms < 0.5

    desk.client.transport_frame = round(20 * BAR_S * JackServer.RATE)
    plays = started(stage, 3)
    assert plays.position_tick // BAR == 20
    stage.listen(BAR_S / 2)
    now_ns = desk.pulses()[-2]
    assert stage.song_tick_at(round(now_ns)) / 960 == pytest.approx(desk.beats_at(now_ns), abs=0.125)


def test_a_machine_that_goes_silent_is_held_and_met_again(stage, desk):
    desk.start()
    plays = started(stage, 1)
    stage.listen(2 * BAR_S)
    desk.client.disconnect("jack_midi_clock:mclk_out", "sidemantest:jack_midi_clock")
    stage.wait_for(SourceState, lambda state: state.holdover)
    assert "the MIDI clock of jack_midi_clock is gone; holding 97." in told(stage, Trouble)[-1].text
    stage.listen(BAR_S)
    desk.client.connect("jack_midi_clock:mclk_out", "sidemantest:jack_midi_clock")
    stage.wait_for(Trouble, lambda trouble: trouble.text.endswith("is back"))
    back_ns = time.perf_counter_ns()
    stage.listen(BAR_S)
    rms_ms, _ = phase_ms(stage, plays, desk.pulses(back_ns + 0.5e9))
    assert rms_ms < 0.5
    now_ns = desk.pulses()[-2]
    assert stage.song_tick_at(round(now_ns)) / 960 == pytest.approx(desk.beats_at(now_ns), abs=0.02)


SET = """
sync = "midi:jack_midi_clock"
seed = 7
osc_port = 0
[players.drums]
outputs = ["midi", "osc:127.0.0.1:{port}"]
"""


class Band:
    """`sideman live`, heard: each note as it left on JACK, where the transport was then, and its place in the song."""

    def __init__(self, desk, folder):
        self._desk = desk
        self._osc = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._osc.bind(("127.0.0.1", 0))
        file = folder / "set.toml"
        file.write_text(SET.format(port=self._osc.getsockname()[1]))
        self.log = folder / "log"
        with self.log.open("w") as log:
            command = [sys.executable, "-m", "bridge.cli", "live", str(file)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        desk.until(lambda: desk.client.get_ports("sideman:drums", is_output=True), "sideman:drums")
        desk.client.connect("sideman:drums", desk.notes_port)

    def wait_for_line(self, text):
        self._desk.until(lambda: text in self.log.read_text(), f"line with {text!r}")

    def notes(self):
        """(transport's beats, the song's beats) of each note-on since the last call, in order."""
        told = []
        while select.select([self._osc], [], [], 0)[0]:
            pitch, velocity, tick = OscMessage(self._osc.recv(2000)).params
            if velocity:
                told.append((pitch, tick / 960))
        heard = self._desk.taken_notes()
        assert [pitch for pitch, _ in told] == [pitch for pitch, _ in heard]
        return [(theirs, ours) for (_, theirs), (_, ours) in zip(heard, told, strict=True)]

    def close(self):
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE_S)
        self._osc.close()


def test_the_band_plays_in_the_bars_of_the_machine_through_a_stop_and_a_restart(desk, tmp_path):
    band = Band(desk, tmp_path)
    try:
        band.wait_for_line("ready; the MIDI clock starts us")
        band.wait_for_line("following MIDI clock")
        desk.start()
        time.sleep(5.3 * BAR_S)
        desk.stop()
        time.sleep(1.0)
        first = band.notes()
        desk.start()
        time.sleep(4 * BAR_S)
        desk.stop()
        time.sleep(1.0)
        second = band.notes()
    finally:
        band.close()
        print(band.log.read_text())
    for name, notes in (("begun", first), ("taken up again", second)):
        off_ms = sorted((ours - theirs) * 60_000 / BPM for theirs, ours in notes)
        spread = f"{off_ms[0]:.2f} to {off_ms[-1]:.2f} ms off, {off_ms[len(off_ms) // 2]:.2f} in the middle"
        print(f"{name} in bar {notes[0][1] // 4:.0f}: {len(notes)} notes, {spread}")
    assert first[0][1] < 1
    assert first[-1][1] > 20
    settled = [abs(ours - theirs) for theirs, ours in first if ours > 8]
    assert max(settled) < 0.02
    assert second[0][1] // 4 == 5, "in the bar it was stopped in"
    assert max(abs(ours - theirs) for theirs, ours in second) < 0.125
