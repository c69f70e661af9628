"""OSC on the wire: packets from anyone to messages, and our messages to packets that Max, Pd and hardware take."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engines.errors import SidemanError
from engines.music import Note
from engines.parameter import Value

PACKET_BYTES_MAX = 1400
"""Of what we send: more is split on its way, or dropped by small devices."""

NOTES_PER_PACKET = 60
"""20 bytes each, beside an address and three numbers."""

PART_NOTES_PER_PACKET = 48
"""25 bytes each."""

SPAN_NOTES_PER_PACKET = 56
"""Beside five numbers and an empty string; one beside the name of a file, which may be as long as TEXT_MAX."""

TEXT_MAX = 1000
"""Bytes of a string that we send: the path of a loop's file has room in a packet."""

MESSAGES_MAX = 512
"""In a bundle."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that came in. at_s: when it is to be done, in seconds since 1970, or 0: at once."""

    at_s: float
    address: str
    arguments: tuple[Any, ...]


def parse(packet: bytes) -> list[Incoming]:
    """The messages of a packet, bundles unpacked, by time. Raises SidemanError, with the reason, for anything else."""
    from pythonosc.osc_packet import OscPacket

    logging.disable(logging.WARNING)  # python-osc logs what it does not know, into the middle of the terminal view
    try:
        messages = OscPacket(packet).messages
    except Exception as error:  # garbage makes python-osc raise nearly anything
        raise SidemanError(f"{len(packet)} bytes are no OSC message or bundle") from error
    finally:
        logging.disable(logging.NOTSET)
    if len(messages) > MESSAGES_MAX:
        raise SidemanError(f"a bundle of {len(messages)} messages; at most {MESSAGES_MAX} are taken")
    now_s = time.time()
    return [
        Incoming(timed.time if timed.time > now_s else 0.0, timed.message.address, tuple(timed.message.params))
        for timed in messages
    ]


def encode(address: str, arguments: Sequence[Value]) -> bytes:
    """A message with arguments of types i, f and s alone; a bool is sent as 0 or 1."""
    tags, data = [","], []
    for argument in arguments:
        if isinstance(argument, str):
            tags.append("s")
            data.append(_string(argument))
        elif isinstance(argument, int) and -(1 << 31) <= argument < 1 << 31:
            tags.append("i")
            data.append(struct.pack(">i", argument))
        else:
            tags.append("f")
            data.append(struct.pack(">f", argument))
    return b"".join([_string(address), _string("".join(tags)), *data])


def bar_packets(address: str, bar: int, notes: Sequence[Note]) -> Iterator[bytes]:
    """A whole bar as messages: bar, part (from 1), parts, then tick, pitch, velocity and length of each note."""
    parts = max(1, -(-len(notes) // NOTES_PER_PACKET))
    for part in range(parts):
        values = [bar, part + 1, parts]
        for note in notes[part * NOTES_PER_PACKET : (part + 1) * NOTES_PER_PACKET]:
            values += (note.tick, note.pitch, note.velocity, note.length)
        yield encode(address, values)


def span_packets(address: str, place: tuple[int, int, int, str], notes: Sequence[Note]) -> Iterator[bytes]:
    """A span of a bar: bar, tick in it, ticks, WAV file or "", packet (from 1), packets, then notes as bar_packets."""
    room = SPAN_NOTES_PER_PACKET if not place[3] else 1
    packets = max(1, -(-len(notes) // room))
    for packet in range(packets):
        values: list[Value] = [*place, packet + 1, packets]
        for note in notes[packet * room : (packet + 1) * room]:
            values += (note.tick, note.pitch, note.velocity, note.length)
        yield encode(address, values)


def part_packets(address: str, bar: int, notes: Sequence[Note], channels: Sequence[int]) -> Iterator[bytes]:
    """A bar of several parts: as bar_packets, with the MIDI channel of each note after its length.

    channels: of parts 1-16; a note without one has channel 0.
    """
    packets = max(1, -(-len(notes) // PART_NOTES_PER_PACKET))
    for packet in range(packets):
        values = [bar, packet + 1, packets]
        for note in notes[packet * PART_NOTES_PER_PACKET : (packet + 1) * PART_NOTES_PER_PACKET]:
            channel = channels[note.part - 1] if note.part else 0
            values += (note.tick, note.pitch, note.velocity, note.length, channel)
        yield encode(address, values)


def _string(text: str) -> bytes:
    data = text.encode("utf-8", "replace").replace(b"\0", b"")[:TEXT_MAX]
    data = data.decode("utf-8", "ignore").encode()  # no half of a character at its end
    return data + b"\0" * (4 - len(data) % 4)
