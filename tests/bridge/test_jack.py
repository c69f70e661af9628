"""The stage on a real JACK server, with the dummy driver."""

from collections import deque

import numpy as np
import pytest

from bridge.messages.stage import (
    Chunk,
    Connections,
    Left,
    OutputSetup,
    Play,
    PlayerSetup,
    PortChanged,
    Setup,
    StageReady,
)
from bridge.stage.midi.systems import open_existing, systems
from bridge.stage.rack import Rack
from bridge.testing import JackServer, StageProcess
from engines.errors import SidemanError
from engines.music import Note

jack = pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)
pytestmark = pytest.mark.jack

BAR = 3840


class Ear:
    """A JACK client with a MIDI input: what came, with the frame it came on."""

    def __init__(self, name="ear"):
        self.client = jack.Client(name, no_start_server=True)
        self.port = self.client.midi_inports.register("in")
        self.heard = deque()
        self.client.set_process_callback(self._process)
        self.client.activate()

    def _process(self, _frames):
        start = self.client.last_frame_time
        for offset, data in self.port.incoming_midi_events():
            self.heard.append((start + offset, bytes(data)))

    def close(self):
        self.client.deactivate()
        self.client.close()


class AudioEar:
    """A JACK client that listens to what PortAudio plays."""

    def __init__(self):
        self.client = jack.Client("audio ear", no_start_server=True)
        self.port = self.client.inports.register("in")
        self.blocks = deque()
        self.client.set_process_callback(self._process)
        self.client.activate()

    def _process(self, _frames):
        self.blocks.append((self.client.last_frame_time, self.port.get_array().copy()))

    def connect(self):
        self.client.connect(self.client.get_ports("PortAudio", is_audio=True, is_output=True)[0], self.port)

    def onsets(self, louder_than, apart_s):
        """Frames at which it becomes loud."""
        blocks = list(self.blocks)
        start = blocks[0][0]
        sound = np.zeros(blocks[-1][0] - start + JackServer.PERIOD)
        for frame, block in blocks:
            sound[frame - start : frame - start + len(block)] = block
        found, at = [], 0
        while (np.abs(sound[at:]) > louder_than).any():
            at += int(np.argmax(np.abs(sound[at:]) > louder_than))
            found.append(at)
            at += int(apart_s * JackServer.RATE)
        return found

    def close(self):
        self.client.deactivate()
        self.client.close()


def stage_with(*outputs, reconnect=None):
    player = PlayerSetup("drums", tuple(OutputSetup(*output.split(":", 1)) for output in outputs))
    return StageProcess(Setup("sidemantest", (player,), 480_000, reconnect=reconnect or {}))


def bars(count):
    notes = tuple(Note(i * 240, 36 + i, 100, 100) for i in range(16))
    return [Chunk("drums", 1, number, number + 1, number * BAR, BAR, "hit", notes) for number in range(count)]


def test_every_note_arrives_in_order_and_on_its_frame(server, closing):
    ear = closing(Ear())
    stage = closing(stage_with("midi", reconnect={"sidemantest:drums": ("ear:in",)}))
    assert "MIDI sidemantest:drums, channel 10" in stage.wait_for(StageReady).outputs
    assert stage.wait_for(Connections).ports == {"sidemantest:drums": ("ear:in",)}
    stage.tell(Play(1, 0, 200))
    for bar in bars(8):
        stage.tell(bar)
    stage.wait_for(Left, lambda _: len(stage.events) >= 2 * 16 * 8)
    left = stage.events
    stage.close()
    ons, offs = ([item for item in ear.heard if item[1][0] == status] for status in (0x99, 0x89))
    left_ons = [event for event in left if event.velocity]
    assert [data for _, data in ons] == [bytes((0x99, event.pitch, 100)) for event in left_ons]
    assert {data[1] for _, data in offs} == {event.pitch for event in left_ons}
    assert len(offs) >= len(ons), "an overrun of the server may repeat an end"
    frames = np.array([frame for frame, _ in ons])
    planned = np.array([event.at_ns for event in left_ons]) * server.RATE / 1e9
    off = np.abs(np.diff(frames) - np.diff(planned))  # from one event to the next: an overrun of the server shifts one
    print(f"arrival jitter: p50 {np.median(off) / 48:.3f} ms, p99 {np.percentile(off, 99) / 48:.3f} ms")
    assert np.median(off) <= 1.5, "events do not leave on their frames"


def test_the_notes_end_at_the_other_side_when_control_dies(server, closing):
    ear = closing(Ear())
    stage = stage_with("midi", reconnect={"x:drums": ("ear:in",)})
    stage.wait_for(Connections)
    stage.tell(Play(1, 0))
    stage.tell(Chunk("drums", 1, 0, 1, 0, 400_000, "hit", (Note(0, 36, 100, 400_000),)))
    stage.wait_for(Left)
    assert stage.abandon() == 0
    heard = list(dict.fromkeys(data for _, data in ear.heard))  # an overrun of the server may repeat an end
    assert heard == [b"\x99\x24\x64", b"\x89\x24\x40", b"\xb9\x40\x00", b"\xb9\x7b\x00", b"\xb9\x78\x00"]


def test_a_server_that_dies_is_told_and_taken_up_again_with_its_connections(server, closing):
    stage = closing(stage_with("midi", reconnect={"x:drums": ("ear:in",)}))
    stage.wait_for(StageReady)
    server.stop(kill=True)
    assert stage.wait_for(PortChanged) == PortChanged(
        "sidemantest:drums", False, "MIDI port sidemantest:drums is gone; waiting for it"
    )
    server.start()
    stage.wait_for(PortChanged, lambda changed: changed.present)
    ear = closing(Ear())
    stage.wait_for(Connections, lambda told: told.ports == {"sidemantest:drums": ("ear:in",)})
    stage.tell(Play(1, 0))
    stage.tell(bars(1)[0])
    stage.wait_for(Left, lambda left: left.events[-1].song_tick == 15 * 240 + 100)
    stage.close()
    assert len([data for _, data in ear.heard if data[0] == 0x99]) == 16


def test_an_existing_port_is_found_by_a_part_of_its_name_and_waited_for_when_it_goes(server, closing):
    ear = Ear("Drum Machine")
    stage = closing(stage_with("midi:drum mach"))
    stage.wait_for(StageReady)
    wires = {"sidemantest:drums": ("Drum Machine:in",)}
    first = stage.wait_for(Connections, lambda told: told.ports == wires)
    ear.close()
    assert not stage.wait_for(PortChanged).present
    closing(Ear("Drum Machine"))
    stage.wait_for(PortChanged, lambda changed: changed.present)
    stage.wait_for(Connections, lambda told: told.ports == wires and told is not first)


def test_it_is_heard_aloud_on_the_beat(server, closing):
    ear = closing(AudioEar())
    stage = closing(stage_with("audio:system"))
    ready = stage.wait_for(StageReady)
    if ready.problems:
        pytest.skip(f"nothing plays aloud on JACK here: {ready.problems[0]}")
    ear.connect()
    stage.tell(Play(1, 0, 300))
    hats = tuple(Note(i * 960, 42, 127, 800) for i in range(4))
    for number in range(4):
        stage.tell(Chunk("drums", 1, number, number + 1, number * BAR, BAR, "hit", hats))
    stage.wait_for(Left, lambda left: left.events[-1].song_tick == 4 * BAR - 160)
    onsets = ear.onsets(louder_than=0.12, apart_s=0.08)
    assert len(onsets) == 16
    steps_ms = np.diff(onsets) / server.RATE * 1000
    print(f"heard every {np.median(steps_ms):.3f} ms, at most {np.abs(steps_ms - 125).max():.3f} ms off")
    assert np.median(steps_ms) == pytest.approx(125, abs=0.5)


def test_a_player_on_its_own_port_and_on_an_existing_one(server, closing):
    machine, other = closing(Ear("Drum Machine")), closing(Ear())
    stage = closing(stage_with("midi", "midi:machine", reconnect={"sidemantest:drums": ("ear:in",)}))
    assert len(stage.wait_for(StageReady).outputs) == 2
    stage.wait_for(Connections, lambda told: told.ports == {"sidemantest:drums 2": ("Drum Machine:in",)})
    stage.tell(Play(1, 0))
    stage.tell(bars(1)[0])
    stage.wait_for(Left, lambda left: left.events[-1].song_tick == 15 * 240 + 100)
    stage.close()
    played = [[data[1] for _, data in ear.heard if data[0] == 0x99] for ear in (machine, other)]
    assert played == [list(range(36, 52))] * 2


def test_an_unknown_port_is_answered_with_the_ports_there_are(server, closing):
    closing(Ear("Drum Machine"))
    (on_jack,) = (system for system in systems()[0] if system.name == "JACK")
    assert "Drum Machine:in" in on_jack.destinations()
    with pytest.raises(SidemanError, match=r"drums: no MIDI port matches 'organ'; there are: .*Drum Machine:in"):
        open_existing("organ", "drums", Rack("sidemantest"))
