"""What every message is, and the one that all processes send."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A message; its class's name travels with it."""


class Trouble(Message, frozen=True):
    """One line for people."""

    text: str
