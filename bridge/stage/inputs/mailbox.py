"""What came in and was not yet read: bounded, and without a lock between the thread that brings it and the stage's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bridge.stage.midi.numbers import ALL_NOTES_OFF, ALL_SOUND_OFF, SUSTAIN

WAITING_MAX = 1024
"""More than any hand plays while the stage is busy; a flood loses its oldest."""


@dataclass(frozen=True, slots=True)
class RawMidi:
    """A MIDI message that came in on an input, at at_ns (perf_counter; on JACK up to a period ahead of now).

    data: a channel message as three bytes (the last is 0 where there are two), a clock message as it is.
    """

    input: str
    data: tuple[int, ...]
    at_ns: int


class Mailbox:
    """Messages in order of arrival, at most WAITING_MAX of them and every end of a note.

    One thread puts, another takes. Each step that they share is one that the interpreter does not interrupt: the full
    deque lets its oldest go as it takes the newest, and the ends of notes lie in a table besides, one for each note,
    from which the taker gets those that went.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, RawMidi]] = deque(maxlen=WAITING_MAX)
        self._ends: dict[tuple[int, int], tuple[int, RawMidi]] = {}
        self._put = 0
        self._taken = 0
        self.lost = 0

    def __bool__(self) -> bool:
        return self._taken < self._put

    def put(self, message: RawMidi) -> None:
        """Add a message; never waits."""
        numbered = (self._put, message)
        if end := _end_of(message.data):
            self._ends[end] = numbered
        self._waiting.append(numbered)
        self._put += 1

    def take(self, at_most: int = WAITING_MAX) -> list[RawMidi]:
        """The oldest messages, and no longer in the box; `lost` counts those that were dropped."""
        taken: list[tuple[int, RawMidi]] = []
        while self._waiting and len(taken) < at_most:
            taken.append(self._waiting.popleft())
        if not taken:
            return []
        until = taken[-1][0] + 1
        missing = until - self._taken - len(taken)
        if missing:
            here = {number for number, _ in taken}
            kept = [end for end in list(self._ends.values()) if self._taken <= end[0] < until and end[0] not in here]
            self.lost += missing - len(kept)
            taken = sorted(taken + kept, key=_number)
        self._taken = until
        return [message for _, message in taken]


def _end_of(data: tuple[int, ...]) -> tuple[int, int] | None:
    """Which note, pedal or channel a message ends; None for another message."""
    kind, channel = data[0] & 0xF0, data[0] & 0x0F
    if kind == 0x80 or (kind == 0x90 and data[2] == 0):
        return 0x80 | channel, data[1]
    if kind == 0xB0 and (data[1] in (ALL_SOUND_OFF, ALL_NOTES_OFF) or (data[1] == SUSTAIN and data[2] < 64)):
        return data[0], data[1]
    return None


def _number(numbered: tuple[int, RawMidi]) -> int:
    return numbered[0]
