"""What a JACK port still has to send, emptied cycle by cycle inside the process callback."""

from __future__ import annotations

from collections import deque
from typing import Protocol

RECENT_CYCLES = 8
"""An overrun is told of some cycles after it."""


class Writable(Protocol):
    """The part of a JACK MIDI port that is needed; raises when the cycle's buffer is full."""

    def write_midi_event(self, time: int, event: bytes) -> None:
        """Send at a frame of the cycle; frames must not go back."""
        ...


class PortQueue:
    """Messages with their times, in the order they leave. The stage adds and JACK's thread takes, both atomic.

    When the server overruns a cycle, what was sent in it is lost on the way. A lost note-on is late music, but a lost
    note-off is a hung note: `repeat_ends` sends those of the last cycles again.
    """

    def __init__(self) -> None:
        self._messages: deque[tuple[int, bytes]] = deque()
        self._ended: dict[tuple[int, int], int] = {}
        self._cycle = 0

    def __bool__(self) -> bool:
        return bool(self._messages)

    def add(self, data: bytes, at_ns: int) -> None:
        """Queue a message for its time; never waits."""
        self._messages.append((at_ns, data))

    def clear(self) -> None:
        """Forget what was to be sent."""
        self._messages.clear()

    def next_cycle(self) -> None:
        """Called once a cycle."""
        self._cycle += 1

    def write(self, port: Writable, start_ns: float, ns_per_frame: float, frames: int) -> None:
        """Send what belongs to the cycle that began at start_ns, each on its frame; what is late, at once."""
        end_ns = start_ns + frames * ns_per_frame
        frame = 0
        while self._messages and self._messages[0][0] < end_ns:
            at_ns, data = self._messages[0]
            frame = max(frame, min(frames - 1, int((at_ns - start_ns) / ns_per_frame)))
            try:
                port.write_midi_event(frame, data)
            except Exception:  # the buffer is full: the rest goes in the next cycle
                return
            self._messages.popleft()
            self._remember(data)

    def repeat_ends(self, port: Writable) -> None:
        """Send the note-offs of the last cycles again, but for notes that were struck anew since."""
        oldest = self._cycle - RECENT_CYCLES
        self._ended = {note: cycle for note, cycle in self._ended.items() if cycle >= oldest}
        for channel, pitch in self._ended:
            try:
                port.write_midi_event(0, bytes((0x80 | channel, pitch, 64)))
            except Exception:  # the buffer is full
                return

    def _remember(self, data: bytes) -> None:
        if data[0] >= 0xF0:  # clock has no notes
            return
        kind, note = data[0] & 0xF0, (data[0] & 0x0F, data[1])
        if kind == 0x80:
            self._ended[note] = self._cycle
        elif kind == 0x90:
            self._ended.pop(note, None)
