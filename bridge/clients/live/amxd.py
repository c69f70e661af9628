"""The container of a Max for Live device: `ampf`, `meta` and `ptch` around the JSON of its patch, unfrozen."""

from __future__ import annotations

import json
import struct
from typing import Any

AUDIO_EFFECT, MIDI_EFFECT, INSTRUMENT = b"aaaa", b"mmmm", b"iiii"

VERSION = 4


def packed(patcher: dict[str, Any], kind: bytes) -> bytes:
    """The bytes of an .amxd."""
    text = json.dumps(patcher, indent="\t").encode() + b"\n\0"
    header = b"ampf" + struct.pack("<I", VERSION) + kind + b"meta" + struct.pack("<II", 4, 0)
    return header + b"ptch" + struct.pack("<I", len(text)) + text


def unpacked(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The patch and the kind of an .amxd. Raises ValueError for one that is not as `packed` makes it."""
    magic, version, kind, meta, length, _, ptch, size = struct.unpack("<4sI4s4sII4sI", data[:32])
    if (magic, version, meta, length, ptch) != (b"ampf", VERSION, b"meta", 4, b"ptch"):
        raise ValueError("the header is not that of a device")
    if size != len(data) - 32 or data[-1:] != b"\0":
        raise ValueError(f"the header says {size} bytes of patch, there are {len(data) - 32}")
    patcher: dict[str, Any] = json.loads(data[32:-1])
    return patcher, kind
