"""On their frames, in order, and no note hangs when the server overruns a cycle."""

from bridge.stage.midi.jack_queue import RECENT_CYCLES, PortQueue

FRAMES = 256
FRAME_NS = 1e9 / 48_000
ON, OFF, OTHER_ON = b"\x99\x24\x64", b"\x89\x24\x40", b"\x99\x26\x64"


class Port:
    """A cycle's buffer that takes so many events."""

    def __init__(self, room=100):
        self.events = []
        self.room = room

    def write_midi_event(self, time, event):
        if len(self.events) == self.room:
            raise OSError("full")
        self.events.append((time, event))


def ns(frame):
    return round(frame * FRAME_NS) + 1


def cycle(queue, number, room=100):
    port = Port(room)
    queue.next_cycle()
    queue.write(port, number * FRAMES * FRAME_NS, FRAME_NS, FRAMES)
    return port.events


def test_each_event_is_on_its_frame_of_its_cycle():
    queue = PortQueue()
    for frame, data in ((0, ON), (255, OFF), (256, ON), (300, OFF)):
        queue.add(data, ns(frame))
    assert cycle(queue, 0) == [(0, ON), (255, OFF)]
    assert queue
    assert cycle(queue, 1) == [(0, ON), (44, OFF)]
    assert not queue


def test_clock_has_no_notes_to_remember():
    queue = PortQueue()
    queue.add(b"\xf8", ns(10))
    queue.add(b"\xf2\x10\x00", ns(20))
    assert cycle(queue, 0) == [(10, b"\xf8"), (20, b"\xf2\x10\x00")]


def test_what_is_late_leaves_at_once_and_what_is_behind_it_not_before_it():
    queue = PortQueue()
    queue.add(ON, ns(600))
    queue.add(OFF, 0)
    queue.add(OTHER_ON, ns(10))
    assert cycle(queue, 1) == []
    assert cycle(queue, 2) == [(88, ON), (88, OFF), (88, OTHER_ON)]
    queue.add(ON, ns(10))
    assert cycle(queue, 3) == [(0, ON)]


def test_what_does_not_fit_goes_in_the_next_cycle():
    queue = PortQueue()
    for data in (ON, OFF, OTHER_ON):
        queue.add(data, ns(20))
    assert cycle(queue, 0, room=2) == [(20, ON), (20, OFF)]
    assert cycle(queue, 1) == [(0, OTHER_ON)]


def test_after_an_overrun_the_last_ends_are_sent_again():
    queue = PortQueue()
    for data in (ON, OFF, OTHER_ON):
        queue.add(data, ns(20))
    cycle(queue, 0)
    port = Port()
    queue.repeat_ends(port)
    assert port.events == [(0, OFF)]
    queue.add(ON, ns(30))
    cycle(queue, 1)
    queue.repeat_ends(port)
    assert port.events == [(0, OFF)], "a note that was struck anew is not cut"


def test_ends_of_long_ago_are_not():
    queue = PortQueue()
    queue.add(OFF, 0)
    for number in range(RECENT_CYCLES + 2):
        cycle(queue, number)
    port = Port()
    queue.repeat_ends(port)
    assert port.events == []
