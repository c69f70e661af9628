"""`sideman live` on a JACK server that is killed while it plays, and brought back."""

import contextlib
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque

import pytest
from pythonosc.osc_message import OscMessage

from bridge.testing import PATIENCE_S, until

jack = pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)
pytestmark = pytest.mark.jack

KEY, OTHER_KEY = 100, 101
SET = """
seed = 5
tempo = 240.0
osc_port = 0
[inputs.keys]
port = "Keyboard"
thru = "drums"
[players.drums]
outputs = ["midi", "osc:127.0.0.1:{port}"]
"""


class Room:
    """A keyboard and a drum module: what the module heard, as (status, pitch)."""

    def __init__(self):
        self.heard = deque()
        self.to_play = []
        self._cycles = 0
        self._cycle = threading.Event()
        self._clients = [jack.Client(name, no_start_server=True) for name in ("Keyboard", "Module")]
        self._keys = self._clients[0].midi_outports.register("out")
        self._drums = self._clients[1].midi_inports.register("in")
        self._clients[0].set_process_callback(self._play)
        self._clients[1].set_process_callback(self._hear)
        for client in self._clients:
            client.activate()

    def ports(self):
        return [port.name for port in self._clients[0].get_ports("sideman", is_midi=True)]

    def connect(self):
        self._clients[1].connect("sideman:drums", self._drums)

    def sounding(self):
        notes = set()
        for status, pitch in list(self.heard):
            (notes.add if status & 0xF0 == 0x90 else notes.discard)(pitch)
        return notes

    def hear_cycles(self, count):
        """Hear what is on its way."""
        last = self._cycles + count
        until(lambda: self._cycles >= last, "JACK's cycles", self._cycle)

    def close(self):
        for client in self._clients:
            with contextlib.suppress(jack.JackError):  # the server may have died
                client.deactivate()
            client.close()

    def _play(self, _frames):
        self._keys.clear_buffer()
        while self.to_play:
            self._keys.write_midi_event(0, self.to_play.pop(0))

    def _hear(self, _frames):
        for _, data in self._drums.incoming_midi_events():
            message = bytes(data)
            if message[0] & 0xE0 == 0x80:
                self.heard.append((message[0], message[1]))
        self._cycles += 1
        self._cycle.set()


class Ear:
    """What the OSC output of the player was told: (when, pitch, velocity)."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.notes = []

    def listen(self, seconds=0.0, until=lambda: False):
        deadline_s = time.monotonic() + (seconds or PATIENCE_S)
        while not until() and (left_s := deadline_s - time.monotonic()) > 0:
            if select.select([self._socket], [], [], min(left_s, 0.05))[0]:
                pitch, velocity, _ = OscMessage(self._socket.recv(2000)).params
                self.notes.append((time.monotonic(), pitch, velocity))
        assert seconds or until(), self.notes[-5:]

    def sounding(self):
        found = set()
        for _, pitch, velocity in self.notes:
            (found.add if velocity else found.discard)(pitch)
        return found

    def close(self):
        self._socket.close()


@pytest.fixture
def ear():
    found = Ear()
    yield found
    found.close()


def test_jackd_killed_and_brought_back_while_playing(server, ear, tmp_path):
    file, log = tmp_path / "set.toml", tmp_path / "log"
    file.write_text(SET.format(port=ear.port))
    room = Room()
    with log.open("w") as out:
        command = [sys.executable, "-m", "bridge.cli", "live", str(file)]
        live = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        ear.listen(until=lambda: ear.notes)
        room.connect()
        room.to_play = [bytes((0x90, KEY, 90))]
        ear.listen(until=lambda: len(room.heard) > 10 and (0x99, KEY) in room.heard)

        server.stop(kill=True)
        killed_s = time.monotonic()
        room.close()
        ear.listen(2.0)
        assert KEY not in ear.sounding(), "what was held on the keyboard ends when that goes"
        ons_s = [at_s for at_s, _, velocity in ear.notes if velocity and at_s > killed_s]
        gaps_s = [after - before for before, after in zip([killed_s, *ons_s], ons_s, strict=False)]
        print(f"{len(ons_s)} notes in the 2 s without JACK, {max(gaps_s):.2f} s without one at most")
        assert len(ons_s) > 10
        assert max(gaps_s) < 1.5, "playing goes on"

        server.start()
        room = Room()
        back_s = time.monotonic()
        ear.listen(until=lambda: len(room.heard) > 10)
        print(f"the output was back {time.monotonic() - back_s:.1f} s after the server")
        room.to_play = [bytes((0x90, OTHER_KEY, 90))]
        ear.listen(until=lambda: (0x99, OTHER_KEY) in room.heard)
    finally:
        live.send_signal(signal.SIGTERM)
        live.wait(PATIENCE_S)
        room.hear_cycles(3)
        ear.listen(0.2)
        room.close()
        print(log.read_text())
    assert ear.sounding() == set()
    assert room.sounding() == set()
    assert live.returncode == 0
    for line in (
        "MIDI port sideman:drums is gone",
        "MIDI port sideman:drums is back",
        "MIDI input keys (sideman:keys)",
    ):
        assert line in log.read_text()
