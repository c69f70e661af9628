"""jack_midi_clock, with klick as the timebase master, as the drum machine whose clock is followed."""

import math
import select
import signal
import socket
import subprocess
import sys
import time

import pytest
from pythonosc.osc_message import OscMessage

from bridge.messages.message import Trouble
from bridge.messages.stage import OutputSetup, Play, PlayerSetup, Setup
from bridge.messages.sync import SourcePlays, SourceState, SourceStops, SyncSetup
from bridge.testing import PATIENCE_S, JackServer, StageProcess

jack = pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)
pytestmark = [pytest.mark.jack, pytest.mark.peer]

BPM = 163.3
BAR_S = 4 * 60 / BPM
BAR = 3840
RMS_MS = 2.0
"""Of the phase: pulses are 15.3 ms apart, so that a clock that is not followed is 4.4 off. How well it
is follows from simulated clocks (tests/bridge/test_follow.py)."""


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
    with desk.punctual:
        assert abs(stage.tempo_mbpm - 163_300) < 100
    settled_ns = time.perf_counter_ns()
    stage.listen(2 * BAR_S)
    rms_ms, worst_ms = phase_ms(stage, plays, desk.pulses(settled_ns))
    print(f"{stage.tempo_mbpm / 1000:.3f} bpm, phase {rms_ms:.3f} ms rms, {worst_ms:.3f} ms at most")
    with desk.punctual:
        assert rms_ms < RMS_MS
    now_ns = desk.pulses()[-2]
    with desk.punctual:
        assert stage.song_tick_at(round(now_ns)) / 960 == pytest.approx(desk.beats_at(now_ns), abs=0.02)

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
    with desk.punctual:
        assert ours == pytest.approx(theirs, abs=0.125), "jack_midi_clock's positions are sixteenths"
    rms_ms, worst_ms = phase_ms(stage, plays, desk.pulses(now_ns - BAR_S * 0.5e9))
    with desk.punctual:
        assert rms_ms < RMS_MS

    desk.client.transport_frame = round(20 * BAR_S * JackServer.RATE)
    plays = started(stage, 3)
    assert plays.position_tick // BAR == 20
    stage.listen(BAR_S / 2)
    now_ns = desk.pulses()[-2]
    with desk.punctual:
        assert stage.song_tick_at(round(now_ns)) / 960 == pytest.approx(desk.beats_at(now_ns), abs=0.125)


def test_a_machine_that_goes_silent_is_held_and_met_again(stage, desk):
    desk.start()
    plays = started(stage, 1)
    stage.listen(2 * BAR_S)
    desk.client.disconnect("jack_midi_clock:mclk_out", "sidemantest:jack_midi_clock")
    stage.wait_for(SourceState, lambda state: state.holdover)
    assert "the MIDI clock of jack_midi_clock is gone; holding " in told(stage, Trouble)[-1].text
    with desk.punctual:
        assert "holding 163." in told(stage, Trouble)[-1].text
    stage.listen(BAR_S)
    desk.client.connect("jack_midi_clock:mclk_out", "sidemantest:jack_midi_clock")
    stage.wait_for(Trouble, lambda trouble: trouble.text.endswith("is back"))
    back_ns = time.perf_counter_ns()
    met_ms = []  # in each bar after it came back: a busy machine may take more than one to meet it
    while not met_ms or (met_ms[-1] >= RMS_MS and len(met_ms) < 3):
        stage.listen(BAR_S)
        met_ms.append(
            phase_ms(stage, plays, desk.pulses(max(back_ns + 0.5e9, time.perf_counter_ns() - BAR_S * 1e9)))[0]
        )
    with desk.punctual:
        assert met_ms[-1] < RMS_MS, met_ms
    now_ns = desk.pulses()[-2]
    with desk.punctual:
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
        with self._desk.punctual:
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
        desk.play_to(4.3 * 4)
        desk.stop()
        desk.hear(1.0)
        first = band.notes()
        desk.start()
        desk.play_to(7.3 * 4)
        desk.stop()
        desk.hear(1.0)
        second = band.notes()
    finally:
        band.close()
        print(band.log.read_text())
    for name, notes in (("begun", first), ("taken up again", second)):
        off_ms = sorted((ours - theirs) * 60_000 / BPM for theirs, ours in notes)
        spread = f"{off_ms[0]:.2f} to {off_ms[-1]:.2f} ms off, {off_ms[len(off_ms) // 2]:.2f} in the middle"
        print(f"{name} in bar {notes[0][1] // 4:.0f}: {len(notes)} notes, {spread}")
    assert first[0][1] < 1
    assert first[-1][1] > 16
    settled = [abs(ours - theirs) for theirs, ours in first if ours > 8]
    with desk.punctual:
        assert max(settled) < 0.05
    assert second[0][1] // 4 == 4, "in the bar it was stopped in"
    with desk.punctual:
        assert max(abs(ours - theirs) for theirs, ours in second) < 0.125
