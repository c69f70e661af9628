"""Playing through: what comes in on an input leaves on a player's outputs, and control hears of it."""

import threading
from collections import deque

import pytest

from bridge.messages.hearing import Heard, InputSetup
from bridge.messages.stage import OutputSetup, Panic, Play, PlayerSetup, Setup, StageReady
from bridge.testing import StageProcess, until

jack = pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)
pytestmark = pytest.mark.jack


class Keyboard:
    """A JACK client with an output to play on and an input to listen with."""

    def __init__(self):
        self.client = jack.Client("keyboard", no_start_server=True)
        self.out = self.client.midi_outports.register("out")
        self.ear = self.client.midi_inports.register("in")
        self.to_play, self.heard = deque(), []
        self._cycle = threading.Event()
        self.client.set_process_callback(self._process)
        self.client.activate()

    def _process(self, _frames):
        self.heard += [tuple(bytes(data)) for _, data in self.ear.incoming_midi_events()]
        self.out.clear_buffer()
        while self.to_play:
            self.out.write_midi_event(0, bytes(self.to_play.popleft()))
        self._cycle.set()

    def until(self, enough):
        until(lambda: enough(self.heard), "what was to be heard", self._cycle)

    def close(self):
        self.client.deactivate()
        self.client.close()


@pytest.fixture
def keyboard(server):
    found = Keyboard()
    yield found
    found.close()


@pytest.fixture
def stage(keyboard):
    player = PlayerSetup("bass", (OutputSetup("midi"),), channel=3)
    inputs = (InputSetup("keys", thru="bass"), InputSetup("pads", channel=10))
    found = StageProcess(Setup("sideman", (player,), 120_000, inputs=inputs))
    ready = found.wait_for(StageReady)
    assert len(ready.outputs) == 3
    assert ready.problems == ()
    keyboard.client.connect(keyboard.out, "sideman:keys")
    keyboard.client.connect("sideman:bass", keyboard.ear)
    yield found
    found.close()


def test_notes_and_controllers_go_through_on_the_players_channel(stage, keyboard):
    keyboard.to_play += [(0x90, 60, 90), (0xB0, 1, 33), (0xC0, 7), (0x80, 60, 0)]
    keyboard.until(lambda heard: len(heard) >= 4)
    assert keyboard.heard == [(0x92, 60, 90), (0xB2, 1, 33), (0xC2, 7), (0x82, 60, 64)]
    heard = stage.wait_for(Heard, lambda message: message.events[-1].data[0] == 0x80)
    events = [event for message in stage.said if isinstance(message, Heard) for event in message.events]
    assert [(event.input, event.data, event.song_tick) for event in events] == [
        ("keys", (0x90, 60, 90), -1),
        ("keys", (0xB0, 1, 33), -1),
        ("keys", (0xC0, 7, 0), -1),
        ("keys", (0x80, 60, 0), -1),
    ]
    assert heard.lost == 0


def test_what_is_heard_while_playing_has_its_place_in_the_song(stage, keyboard):
    stage.tell(Play(1, 3840))
    stage.listen(0.5)
    keyboard.to_play.append((0x91, 62, 80))
    event = stage.wait_for(Heard).events[0]
    assert event.song_tick == pytest.approx(stage.song_tick_at(event.at_ns), abs=1)
    assert event.song_tick > 3840


def test_a_panic_ends_what_is_held(stage, keyboard):
    keyboard.to_play.append((0x90, 64, 100))
    keyboard.until(lambda heard: (0x92, 64, 100) in heard)
    stage.tell(Panic())
    keyboard.until(lambda heard: (0x82, 64, 64) in heard)
    stage.tell(Panic())
