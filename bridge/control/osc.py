"""The OSC door: what comes in goes to the surface, answers and events go to the clients (docs/ARCHITECTURE.md, OSC).

A socket of its own, drained in turns: of several values for one address in one turn the last counts, actions are all
done, and playing is never held up for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bridge.control.clients import LEASE_S, Clients, Sender
from bridge.control.pattern import is_pattern
from bridge.control.surface import ROOT, Node, Surface
from bridge.control.wire import Incoming, bar_packets, encode, parse, part_packets, span_packets
from bridge.players.grid import BarSpan
from engines.errors import SidemanError
from engines.music import TICKS_PER_BEAT, Phrase
from engines.notes.roles import CHANNELS
from engines.parameter import Value

MESSAGES_PER_WAKE = 128
DATAGRAM_BYTES_MAX = 1 << 16
LATER_MAX = 1024
LATER_MAX_S = 3600.0
"""How many messages may wait for their timetag, and for how long."""

TELL_S = 0.02
"""Values that change faster than this are told as they are then."""

SUBSCRIBE, UNSUBSCRIBE, ERROR = (f"{ROOT}/system/{name}" for name in ("subscribe", "unsubscribe", "error"))


class OscDoor:
    """OSC over UDP on one port; lan opens it to other machines."""

    def __init__(self, surface: Surface, port: int, lan: bool) -> None:
        self.clients = Clients(time.monotonic, self._clients_changed)
        self.on_clients: Callable[[], None] = lambda: None
        self._surface = surface
        self._host = "0.0.0.0" if lan else "127.0.0.1"  # noqa: S104 - the user has asked for it
        self._port = port
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._later = 0
        self._lease: asyncio.TimerHandle | None = None
        self._speaks: Sender | None = None  # whose message is being done
        self._news: dict[str, tuple[Node, Sender | None]] = {}  # values to tell of, and who knows already
        self._told: dict[str, tuple[Value, ...]] = {}

    @property
    def port(self) -> int:
        """The port in use, once open."""
        return self._port

    def open(self) -> str:
        """Listen; a line for people. Raises SidemanError naming the port if it is taken."""
        self._loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind((self._host, self._port))
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRINUSE:
                remedy = "end the other sideman, or choose a port with --osc-port (0: any that is free)"
                raise SidemanError(f"OSC port {self._port} is taken; {remedy}") from error
            raise SidemanError(f"OSC port {self._port} cannot be opened: {error.strerror}; choose another") from error
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket, self._port = sock, sock.getsockname()[1]
        self._surface.on_set = self._was_set
        self._loop.add_reader(sock.fileno(), self._readable)
        where = "every machine that reaches this one" if self._host != "127.0.0.1" else "this machine"
        return f"OSC on port {self._port}, from {where}"

    def close(self) -> None:
        """Stop listening. May be called twice."""
        if self._lease is not None:
            self._lease.cancel()
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def nodes(self) -> tuple[Node, ...]:
        """The addresses of the door itself; their work needs the sender, so it is done here."""
        takes = "a port, a pattern, both or nothing"
        return (
            Node(SUBSCRIBE, takes, "where this client's answers and events go, for a minute after each message"),
            Node(UNSUBSCRIBE, "a port or nothing", "end it"),
            Node(ERROR, "nothing", "address and reason of a message that could not be understood"),
        )

    # Out

    def broadcast(self, address: str, arguments: tuple[Value, ...], but: Sender | None = None) -> None:
        """Send an event to every client that wants it, but one."""
        targets = [target for target in self.clients.wanting(address) if target != but]
        if targets:
            packet = encode(address, arguments)
            for target in targets:
                self._send(packet, target)

    def broadcast_bar(self, player: str, span: BarSpan, phrase: Phrase, channels: Sequence[int] = CHANNELS) -> None:
        """Send a whole bar ahead of its time: its notes, its parts, and the file of a bar of audio.

        channels: of the player's parts
        """
        loop = phrase.loop
        if loop is not None:
            told = (span.number, loop.path, loop.tempo_mbpm / 1000, loop.ticks / TICKS_PER_BEAT)
            self.broadcast(f"{ROOT}/{player}/loop", told)
        if phrase.notes or loop is None:
            self._send_all(f"{ROOT}/{player}/bar", lambda at: bar_packets(at, span.number, phrase.notes))
        if any(note.part for note in phrase.notes):
            self._send_all(f"{ROOT}/{player}/parts", lambda at: part_packets(at, span.number, phrase.notes, channels))

    def broadcast_span(self, player: str, bar: BarSpan, span: BarSpan, phrase: Phrase) -> None:
        """Send a span of a bar ahead of its time: where it lies in the bar, its notes, or the file of its sound."""
        into, path = span.start_tick - bar.start_tick, phrase.loop.path if phrase.loop else ""
        place = (bar.number, into, span.length_ticks, path)
        self._send_all(f"{ROOT}/{player}/span", lambda at: span_packets(at, place, phrase.notes))

    def _send_all(self, address: str, packets: Callable[[str], Iterator[bytes]]) -> None:
        targets = self.clients.wanting(address)
        for packet in packets(address) if targets else ():
            for target in targets:
                self._send(packet, target)

    def _was_set(self, node: Node) -> None:
        """A value may be another: tell the clients soon, but for the one that has set it."""
        if not self._news and self._loop is not None:
            self._loop.call_later(TELL_S, self._tell)
        speaks = self.clients.target(self._speaks) if self._speaks else None
        before = self._news.get(node.address, (node, speaks))
        self._news[node.address] = (node, speaks if before[1] == speaks else None)

    def _tell(self) -> None:
        news, self._news = self._news, {}
        for address, (node, knows) in news.items():
            value = node.get() if node.get is not None else ()
            if self._told.get(address) != value:
                self._told[address] = value
                self.broadcast(address, value, but=knows)

    def _send(self, packet: bytes, target: Sender) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # a client that is not there is not our trouble
                self._socket.sendto(packet, target)

    def _error(self, sender: Sender, address: str, reason: str) -> None:
        if self.clients.may_err(sender):
            self._send(encode(ERROR, (address[:80], reason)), self.clients.target(sender))

    # In

    def _readable(self) -> None:
        turn: list[list[tuple[Sender, Incoming]]] = []
        values: dict[str, list[tuple[Sender, Incoming]]] = {}
        for _ in range(MESSAGES_PER_WAKE):
            try:
                packet, sender = self._receive()
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # an earlier packet of ours could not be delivered
            self.clients.renew(sender)
            try:
                messages = parse(packet)
            except SidemanError as error:
                self._error(sender, "", str(error))
                continue
            for message in messages:
                if message.at_s:
                    self._postpone(sender, message)
                    continue
                latest = [(sender, message)]
                if self._is_value(message):
                    overtaken = values.get(message.address, [])
                    latest = [*overtaken, *latest]
                    overtaken.clear()
                    values[message.address] = latest
                elif not message.arguments:
                    values.clear()  # a question is answered with what was set before it
                turn.append(latest)
        for messages_of_one in turn:  # the last value that can be taken counts
            any(self._handle(*entry) for entry in reversed(messages_of_one))

    def _receive(self) -> tuple[bytes, Sender]:
        if self._socket is None:
            raise BlockingIOError
        packet, address = self._socket.recvfrom(DATAGRAM_BYTES_MAX)
        return packet, (str(address[0]), int(address[1]))

    def _is_value(self, message: Incoming) -> bool:
        """True for a message that sets one value: a later one for the same address makes it pointless."""
        if not message.arguments or is_pattern(message.address) or message.address in (SUBSCRIBE, UNSUBSCRIBE):
            return False
        try:
            node = self._surface.find(message.address)[0]
        except SidemanError:
            return False
        words = node.parameter is not None and node.parameter.kind == "text"
        return node.act is None and (words or len(message.arguments) == 1)

    def _postpone(self, sender: Sender, message: Incoming) -> None:
        wait_s = message.at_s - time.time()
        if self._loop is None:
            return
        if wait_s > LATER_MAX_S or self._later >= LATER_MAX:
            self._error(sender, message.address, f"its timetag is too far ahead, or {LATER_MAX} others wait already")
            return
        self._later += 1
        self._loop.call_later(max(0.0, wait_s), self._due, sender, message)

    def _due(self, sender: Sender, message: Incoming) -> None:
        self._later -= 1
        self._handle(sender, message)

    def _handle(self, sender: Sender, message: Incoming) -> bool:
        """Do what a message says; False if it was refused."""
        try:
            if message.address == SUBSCRIBE:
                self._subscribe(sender, message.arguments)
            elif message.address == UNSUBSCRIBE:
                self.clients.unsubscribe(sender, _port(message.arguments[0]) if message.arguments else None)
            else:
                return self._to_surface(sender, message)
        except SidemanError as error:
            self._error(sender, message.address, str(error))
            return False
        return True

    def _to_surface(self, sender: Sender, message: Incoming) -> bool:
        taken = True
        for node in self._surface.find(message.address):
            self._speaks = sender
            try:
                answer = self._surface.handle(node, message.arguments)
            except SidemanError as error:
                self._error(sender, node.address, str(error))
                taken = False
                continue
            finally:
                self._speaks = None
            if answer is not None:
                self._send(encode(node.address, answer), self.clients.target(sender))
        return taken

    def _subscribe(self, sender: Sender, arguments: tuple[Any, ...]) -> None:
        rest = list(arguments)
        port = _port(rest.pop(0)) if rest and not isinstance(rest[0], str) else sender[1]
        pattern = rest.pop(0) if rest else ""
        if rest or not isinstance(pattern, str) or (pattern and not pattern.startswith("/")):
            raise SidemanError("subscribe takes a port, then an address pattern such as /sideman/drums/*; or either")
        self.clients.subscribe(sender, port, pattern)
        self._send(encode(SUBSCRIBE, (port, pattern, LEASE_S)), (sender[0], port))

    def _clients_changed(self) -> None:
        self.on_clients()
        if self._loop is not None and self._lease is None:
            self._expire()

    def _expire(self) -> None:
        """Look again when the next lease may be over; without clients there is nothing to look for."""
        self._lease = None
        wait_s = self.clients.expire()
        if wait_s is not None and self._loop is not None:
            self._lease = self._loop.call_later(wait_s + 0.1, self._expire)


def _port(value: Any) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value // 1 and 0 < value < 1 << 16:
        return int(value)
    raise SidemanError("a port is a whole number from 1 to 65535")
