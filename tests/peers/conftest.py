"""What the tests of MIDI clock share: a third-party machine that sends it, on JACK's transport, and an ear on it."""

import contextlib
import shutil
import signal
import subprocess
import threading
from collections import deque

import pytest

from bridge.testing import JackServer, until
from bridge.timing.jack_clock import cycle_reader

BPM = 163.3
CLOCK = b"\xf8"


@pytest.fixture
def short_period(monkeypatch):
    """As a performer has it: a pulse lasts 735 frames."""
    monkeypatch.setattr(JackServer, "PERIOD", 512)


@pytest.fixture
def desk(short_period, server, punctual):
    """JACK's transport, and what jack_midi_clock sends."""
    for program in ("klick", "jack_midi_clock"):
        if not shutil.which(program):
            pytest.skip(f"there is no {program} here (on Debian and Ubuntu: sudo apt install klick jack-midi-clock)")
    pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)
    found = Desk(punctual)
    try:
        found.open()
        yield found
    finally:
        found.close()


class Desk:
    """The machine, and an ear on it. heard: (when, frame of the transport, message)."""

    def __init__(self, punctual):
        import jack

        self._jack = jack
        self.punctual = punctual
        self._cycle_seen = punctual.watch()
        self.heard = deque()
        self.client = self._jack.Client("ear", no_start_server=True)
        self.port = self.client.midi_inports.register("in")
        self.notes_port = self.client.midi_inports.register("notes")
        self._notes = deque()
        self._cycle = threading.Event()
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
        self.until(lambda: self.client.transport_state == self._jack.STOPPED, "the transport's stop")
        self.client.transport_frame = 0
        self.until(self._connected, "connection with jack_midi_clock")

    def _connected(self):
        with contextlib.suppress(self._jack.JackError):  # it has a port before it takes part
            self.client.connect("jack_midi_clock:mclk_out", self.port)
        return self.port.is_connected_to("jack_midi_clock:mclk_out")

    def start(self):
        self.client.transport_start()

    def stop(self):
        self.client.transport_stop()

    def play_to(self, beat):
        """Let the transport come to a beat."""
        frames = beat * 60 / BPM * JackServer.RATE
        self.until(lambda: self.client.transport_frame >= frames, f"beat {beat}")

    def hear(self, seconds):
        """Let so much of JACK's time pass."""
        until_frame = self.client.frame_time + seconds * JackServer.RATE
        self.until(lambda: self.client.frame_time >= until_frame, "JACK's time")

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
        with contextlib.suppress(self._jack.JackError):
            self.client.deactivate()
        self.client.close()

    def _process(self, frames):
        self._cycle_seen(self.client.last_frame_time, frames)
        start_ns, ns_per_frame = self._read_cycle(frames)
        _, position = self.client.transport_query_struct()
        for frame, data in self.port.incoming_midi_events():
            self.heard.append((start_ns + frame * ns_per_frame, position.frame + frame, bytes(data)))
        for frame, data in self.notes_port.incoming_midi_events():
            status, pitch, velocity = bytes(data)
            if status & 0xF0 == 0x90 and velocity:
                self._notes.append((pitch, (position.frame + frame) / JackServer.RATE * BPM / 60))
        self._cycle.set()

    def until(self, there, what):
        until(there, what, self._cycle)
