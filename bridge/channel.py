"""Channel: messages in order between two of our processes, over a socket one of them inherited.

A stream socket pair, because it is the one kind that exists on every system and tells at once when the other side has
died. Each message is a 4-byte little-endian length and a msgpack value.
"""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
from typing import Any

import msgspec

MESSAGE_BYTES_MAX = 1 << 22
"""A longer message means that the other side has gone mad."""


class ChannelClosedError(Exception):
    """The other process has gone, or sends what is no message."""


class Channel:
    """One end. Sending never blocks: what the socket does not take at once waits here for `flush`.

    accepts: the message types (a msgspec union) that may arrive.
    """

    def __init__(self, sock: socket.socket, accepts: Any) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._decode = msgspec.msgpack.Decoder(accepts).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._incoming = bytearray()
        self._outgoing = bytearray()

    @classmethod
    def inherited(cls, descriptor: int, accepts: Any) -> Channel:
        """The end whose descriptor was handed to this process when it was started."""
        return cls(socket.socket(fileno=descriptor), accepts)

    def fileno(self) -> int:
        """The descriptor, for select."""
        return self._socket.fileno()

    @property
    def waiting(self) -> bool:
        """True while something is still to be sent."""
        return bool(self._outgoing)

    def send(self, message: msgspec.Struct) -> None:
        """Send, or queue, a message. Raises ChannelClosedError if the other side has gone."""
        payload = self._encode(message)
        self._outgoing += len(payload).to_bytes(4, "little") + payload
        self.flush()

    def flush(self) -> None:
        """Send as much of what waits as the socket takes. Raises ChannelClosedError."""
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError as error:
                raise ChannelClosedError from error
            del self._outgoing[:sent]

    def receive(self) -> list[Any]:
        """All whole messages that have arrived, without waiting.

        Raises ChannelClosedError once the other side has gone and everything it sent has been returned.
        """
        closed = not self._read()
        messages = self._parsed()
        if closed and not messages:
            raise ChannelClosedError
        return messages

    def first(self) -> Any:
        """Wait for one message, such as the set-up that a child is started with, and leave the rest for `receive`.

        Raises ChannelClosedError.
        """
        closed = False
        while True:
            found = self._parsed(1)
            if found:
                return found[0]
            if closed:
                raise ChannelClosedError
            self.wait(None)
            closed = not self._read()

    def hear_no_more(self) -> None:
        """From now on only what has arrived already is received; then it is as if the other side had gone."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until something can be received (or, with something to send, sent); False at the time-out."""
        writers = [self._socket] if self._outgoing else []
        ready = select.select([self._socket], writers, [], timeout_s)
        return bool(ready[0] or ready[1])

    def close(self) -> None:
        """Close this end."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _read(self) -> bool:
        """Take in what has arrived; False once the other side has gone."""
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            self._incoming += data

    def _parsed(self, limit: int | None = None) -> list[Any]:
        messages: list[Any] = []
        start, end = 0, len(self._incoming)
        while end - start >= 4 and (limit is None or len(messages) < limit):
            size = int.from_bytes(self._incoming[start : start + 4], "little")
            if size > MESSAGE_BYTES_MAX:
                raise ChannelClosedError
            if end - start - 4 < size:
                break
            try:
                messages.append(self._decode(self._incoming[start + 4 : start + 4 + size]))
            except msgspec.DecodeError as error:
                raise ChannelClosedError from error
            start += 4 + size
        del self._incoming[:start]
        return messages


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair: one end to keep, one to hand to a child (see `inherited_by`)."""
    mine, theirs = socket.socketpair()
    return mine, theirs


def module_command(module: str, descriptor: int, python: str = sys.executable) -> list[str]:
    """The command that runs one of our modules as a process on an inherited descriptor.

    -P: a folder called engines where the user happens to be is not ours.
    """
    return [python, "-P", "-m", module, str(descriptor)]


def inherited_by(theirs: socket.socket) -> dict[str, Any]:
    """The arguments of Popen with which a child inherits an end, in a session of its own.

    The terminal's Ctrl-C then reaches control alone.
    """
    if sys.platform == "win32":  # sockets are handles there, and pass_fds does not exist
        theirs.set_inheritable(True)
        return {"close_fds": False, "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"pass_fds": [theirs.fileno()], "start_new_session": True}
