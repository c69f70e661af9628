"""python-rtmidi as a way in, over JACK: the one MIDI system that runs without hardware or the kernel's sequencer."""

import contextlib
import functools
import threading
import time

import pytest

from bridge.stage.midi.rtmidi_ports import RtMidiIn
from bridge.stage.midi.systems import open_virtual
from bridge.stage.rack import Rack
from bridge.testing import JackServer, until

jack = pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)
rtmidi = pytest.importorskip("rtmidi", reason="python-rtmidi is not here")
pytestmark = pytest.mark.jack


@pytest.fixture
def on_jack(server, monkeypatch):
    if rtmidi.API_UNIX_JACK not in rtmidi.get_compiled_api():
        pytest.skip("this python-rtmidi was built without JACK")
    monkeypatch.setattr(rtmidi, "MidiIn", functools.partial(rtmidi.MidiIn, rtmidi.API_UNIX_JACK))
    client = jack.Client("look", no_start_server=True)
    yield client
    client.close()


class Came:
    """What is delivered, by rtmidi's thread."""

    def __init__(self):
        self.messages = []
        self._more = threading.Event()

    def deliver(self, data, at_ns):
        self.messages.append((data, at_ns))
        self._more.set()

    def until(self, count):
        return until(lambda: self.messages if len(self.messages) >= count else None, f"message {count}", self._more)


def test_two_hundred_messages_and_the_clock_among_them_come_in_order_and_on_time(on_jack):
    came = Came()
    heard = RtMidiIn("sidemantest", "keys", None, came.deliver)
    rack = Rack("sidemanhand")
    hand = open_virtual("keys", rack)
    port = next(found.name for found in on_jack.get_ports(is_midi=True, is_input=True) if "keys" in found.name)
    on_jack.connect("sidemanhand:keys", port)
    start_ns = time.perf_counter_ns() + 3 * hand.lead_ns
    sent = [b"\xf8" if number % 10 == 0 else bytes((0x90, number % 128, 64)) for number in range(200)]
    times_ns = [start_ns + number * 5_000_000 for number in range(200)]
    for data, at_ns in zip(sent, times_ns, strict=True):
        hand.send(data, at_ns)
    assert [data for data, _ in came.until(200)] == sent
    late_ms = sorted((came_ns - at_ns) / 1e6 for (_, came_ns), at_ns in zip(came.messages, times_ns, strict=True))
    print(f"{late_ms[0]:.1f} to {late_ms[-1]:.1f} ms late: JACK hands them over once a period")
    period_ms = JackServer.PERIOD / JackServer.RATE * 1000
    assert late_ms[-1] - late_ms[0] < 2 * period_ms
    assert heard.present()
    rack.close()  # first: a client of RtMidi that closes while ours is called back has taken the interpreter with it
    heard.close()
    heard.close()


def test_an_existing_port_is_missed_and_found_again(on_jack):
    rack = Rack("sidemanhand")
    open_virtual("keys", rack)
    came = Came()
    heard = RtMidiIn("sidemantest", "keys", "sidemanhand:keys", came.deliver)
    assert heard.present()
    rack.close()
    assert not heard.present()
    assert not heard.reopen()
    with contextlib.closing(Rack("sidemanhand")) as again:
        hand = open_virtual("keys", again)
        assert heard.reopen()
        until(
            lambda: on_jack.get_all_connections("sidemanhand:keys"), "the connection: JACK makes it between two cycles"
        )
        hand.send(b"\x90\x3c\x40", 0)
        assert came.until(1)[0][0] == b"\x90\x3c\x40"
    heard.close()
