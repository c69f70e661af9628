"""MIDI inputs, and what was played on them."""

from __future__ import annotations

import msgspec

from bridge.messages.message import Message


class InputSetup(msgspec.Struct, frozen=True):
    """A named MIDI input.

    port: an existing port by its name, "" for a virtual one called like the input
    channel: 1-16, 0 hears all; thru: the player whose outputs get what is played here, "" for none
    """

    name: str
    port: str = ""
    channel: int = 0
    thru: str = ""


class HeardEvent(msgspec.Struct, frozen=True, array_like=True):
    """A MIDI message that came in: three bytes (the last is 0 where there are two) on an input, at at_ns.

    tick: the stage tick of that moment; song_tick: the same in the song that plays, -1 while nothing does.
    """

    input: str
    data: tuple[int, int, int]
    at_ns: int
    tick: int
    song_tick: int


class Heard(Message, frozen=True):
    """What came in since the last such message, in order. lost: messages of a flood that were dropped, so far."""

    events: tuple[HeardEvent, ...]
    lost: int = 0
