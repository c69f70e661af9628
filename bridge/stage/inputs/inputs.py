"""All MIDI inputs of a stage: one thing to wait on, one list of what came."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

from bridge.messages.hearing import InputSetup
from bridge.messages.message import Message
from bridge.stage.inputs.input import Input
from bridge.stage.inputs.mailbox import RawMidi
from bridge.stage.rack import Rack
from engines.errors import SidemanError

WINDOW_NS = 20_000_000
WINDOW_MESSAGES = 128
"""More than this in a window waits for the next one, so that a flood wakes the stage 50 times a second, not 10,000."""


class Inputs:
    """The set's inputs by name, and those that a source of tempo opens besides.

    The stage waits until `fileno()` is readable or `next_ns()` has come, and then calls `poll`.
    """

    def __init__(self, setups: Sequence[InputSetup], rack: Rack) -> None:
        self._rack = rack
        self._set = {setup.name: Input(setup, rack, self._wake) for setup in setups}
        self._others: dict[str, Input] = {}
        self._reader: socket.socket | None = None
        self._writer: socket.socket | None = None
        self._asleep = True
        self._window_ends_ns = 0
        self._handed = 0
        self._next_ns: int | None = None

    @property
    def lost(self) -> int:
        """Messages of floods that were dropped, so far."""
        return sum(found.lost for found in self._all())

    def open(self) -> tuple[list[str], list[str]]:
        """Open every input of the set; a line for people for each that is open or waited for, and each problem."""
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        lines, problems = [], []
        for found in self._set.values():
            try:
                lines.append(found.open())
            except SidemanError as error:
                problems.append(str(error))
        return lines, problems

    def fileno(self) -> int:
        """Readable when something came in."""
        return self._reader.fileno() if self._reader else -1

    def next_ns(self) -> int | None:
        """When to poll though nothing wakes: some of a flood waits, or a system keeps what came until asked."""
        return self._next_ns

    def poll(self, now_ns: int) -> list[RawMidi]:
        """Channel messages that came in on the set's inputs, by time; clock messages wait for their source.

        A note that was held when its port went is ended. Quick; never waits.
        """
        if now_ns >= self._window_ends_ns:
            self._window_ends_ns = now_ns + WINDOW_NS
            self._handed = 0
        if self._reader:
            with contextlib.suppress(OSError):
                self._reader.recv(64)
        self._asleep = True  # before anything is read: what comes from here on wakes again
        everywhere = self._all()
        for found in everywhere:
            found.poll_port()
        came: list[RawMidi] = []
        for found in self._set.values():
            came += found.take(WINDOW_MESSAGES - self._handed - len(came))
            came += found.end_held(now_ns)
        self._handed += len(came)
        self._next_ns = min((now_ns + found.poll_ns for found in everywhere if found.poll_ns), default=None)
        if self._handed >= WINDOW_MESSAGES:
            self._asleep = False  # as if awake: nothing wakes until the window is over
            self._next_ns = self._window_ends_ns
        came.sort(key=_at_ns)
        return came

    def look(self, now_ns: int) -> list[Message]:
        """PortChanged of ports that went or are back, Trouble of floods; call about four times a second."""
        return [message for found in self._all() for message in found.look(now_ns)]

    def named(self, target: str) -> Input:
        """The set's input of that name, or one besides on the port that matches; `Input.open` is the caller's."""
        if target in self._set:
            return self._set[target]
        if target not in self._others:
            self._others[target] = Input(InputSetup(target, target), self._rack, self._wake)
        return self._others[target]

    def close(self) -> None:
        """Close every port. May be called twice."""
        for found in self._all():
            found.close()
        for end in (self._reader, self._writer):
            if end:
                end.close()
        self._reader = self._writer = None

    def _all(self) -> list[Input]:
        return [*self._set.values(), *self._others.values()]

    def _wake(self) -> None:
        """Called from any thread."""
        writer = self._writer
        if self._asleep and writer:
            self._asleep = False
            with contextlib.suppress(OSError):  # closed meanwhile, or full: then it is readable already
                writer.send(b"!")


def _at_ns(message: RawMidi) -> int:
    return message.at_ns
