"""The desk: memory that a sound device's process shares with the renderers of its players and with the stage.

A strip for each player: a ring of frames, which its renderer writes and the device's callback reads, and its fader. All
count the device's own frames: frame f lies at f modulo CAPACITY, and a reader that lost time just goes on later.
Nothing is ever waited for. The memory has no name that outlives it: it is mapped over an inherited descriptor, or on
Windows over a temporary file (docs/ARCHITECTURE.md, Processes).

One process writes each word. They are aligned, eight bytes, and go through in one piece; where several belong
together (the pieces of the clock) a counter is odd while they change.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bridge.sound.clock import PIECES_KEPT, ClockPiece, FrameClock

STRIPS = 16
CAPACITY = 1 << 15
"""Frames of a ring; far more than is ever written ahead, at any rate."""

WORD = 8
RATE, BLOCK, PLAYED, XRUNS, CALLBACKS, PPB, ERROR_NS, CLOCK_CHANGES, CLOCK = range(9)
CLOCK_WORDS = 1 + 3 * PIECES_KEPT
LOADS = CLOCK + CLOCK_WORDS
LOADS_MAX = 100
"""Callbacks by how much of their period they took, in percent; the last holds all above."""

STRIP_0 = LOADS + LOADS_MAX + 1
FROM, WRITTEN, LEFT, RIGHT, STARVED_FRAMES, STARVATIONS, LATE_FRAMES = range(7)
"""Of a strip: its frames from FROM up to WRITTEN are there."""

STRIP_WORDS = 8
RINGS_BYTES = 4096
RING_BYTES = CAPACITY * 2 * 4
SIZE = RINGS_BYTES + STRIPS * RING_BYTES


class Desk:
    """The memory, seen from any of the processes. `create` in one, `attach` in the others."""

    def __init__(self, memory: mmap.mmap, handle: str, descriptor: int = -1, path: Path | None = None) -> None:
        self._memory: mmap.mmap | None = memory
        self._view = memoryview(memory)
        self.words = self._view[:RINGS_BYTES].cast("q")
        self.numbers = self._view[:RINGS_BYTES].cast("d")
        self.handle = handle
        self.descriptor = descriptor
        self._path = path

    @classmethod
    def create(cls) -> Desk:
        """A new one, all zero; pages that nobody touches cost nothing."""
        if sys.platform == "win32":  # descriptors are not inherited there
            descriptor, name = tempfile.mkstemp(prefix="sideman-desk-")
            path: Path | None = Path(name)
        else:
            path = None
            if hasattr(os, "memfd_create"):
                descriptor = os.memfd_create("sideman-desk", os.MFD_CLOEXEC)
            else:
                descriptor, name = tempfile.mkstemp(prefix="sideman-desk-")
                Path(name).unlink()
        os.ftruncate(descriptor, SIZE)
        memory = mmap.mmap(descriptor, SIZE)
        return cls(memory, str(path or descriptor), descriptor, path)

    @classmethod
    def attach(cls, handle: str) -> Desk:
        """That of the process which started this one, by the handle it was given."""
        descriptor = int(handle) if handle.isdecimal() else os.open(handle, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            return cls(mmap.mmap(descriptor, SIZE), handle)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Let go of it. May be called twice."""
        memory, self._memory = self._memory, None
        if memory is None:
            return
        self.words.release()
        self.numbers.release()
        self._view.release()
        with contextlib.suppress(BufferError):  # an array still looks at it; it goes with the process
            memory.close()
        if self.descriptor >= 0:
            os.close(self.descriptor)
        if self._path:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def reset(self) -> None:
        """All words as if it were new; nobody may be using it."""
        for index in range(STRIP_0 + STRIPS * STRIP_WORDS):
            self.words[index] = 0

    # The device

    @property
    def rate(self) -> int:
        """Frames a second; 0 before there is a device."""
        return self.words[RATE]

    @property
    def block(self) -> int:
        """The most frames that the device takes at once."""
        return self.words[BLOCK]

    @property
    def played(self) -> int:
        """The first frame that the device has not taken yet."""
        return self.words[PLAYED]

    def set_clock(self, clock: FrameClock) -> None:
        """The device's process tells which frame is heard when."""
        words = self.words
        words[CLOCK_CHANGES] += 1
        words[CLOCK] = len(clock.pieces)
        for index, piece in enumerate(clock.pieces):
            at = CLOCK + 1 + 3 * index
            words[at], words[at + 1], words[at + 2] = piece.frame, piece.at_ns, piece.bend_ppb
        words[CLOCK_CHANGES] += 1

    def clock(self) -> FrameClock | None:
        """What it told; None while that is being changed, or has not been said."""
        words = self.words
        changes = words[CLOCK_CHANGES]
        count = min(words[CLOCK], PIECES_KEPT)
        pieces = tuple(ClockPiece(*(words[CLOCK + 1 + 3 * i + j] for j in range(3))) for i in range(count))
        if changes % 2 or changes != words[CLOCK_CHANGES] or not pieces:
            return None
        return FrameClock(self.rate, pieces)

    def load_percent(self, percent: float) -> float:
        """Of its period, what the callback took at most in `percent` of all cases, rounded up; 0 before the first."""
        counts = [self.words[LOADS + i] for i in range(LOADS_MAX + 1)]
        wanted = sum(counts) * percent / 100
        for load, count in enumerate(counts):
            wanted -= count
            if wanted <= 0:
                return load + 1 if count else 0
        return LOADS_MAX + 1

    # The strips

    def strip(self, index: int, word: int) -> int:
        """A word of a strip."""
        return self.words[STRIP_0 + index * STRIP_WORDS + word]

    def set_strip(self, index: int, word: int, value: int) -> None:
        """Write a word of a strip."""
        self.words[STRIP_0 + index * STRIP_WORDS + word] = value

    def fader(self, index: int) -> tuple[float, float]:
        """How loud a strip is to be, left and right."""
        at = STRIP_0 + index * STRIP_WORDS
        return self.numbers[at + LEFT], self.numbers[at + RIGHT]

    def set_fader(self, index: int, left: float, right: float) -> None:
        """Move it; the device's callback goes there in a ramp."""
        at = STRIP_0 + index * STRIP_WORDS
        self.numbers[at + LEFT], self.numbers[at + RIGHT] = left, right

    def ring(self, index: int) -> Any:
        """A strip's frames, (CAPACITY, 2) float32, as a numpy array over the memory itself."""
        import numpy as np

        at = RINGS_BYTES + index * RING_BYTES
        return np.frombuffer(self._view[at : at + RING_BYTES], np.float32).reshape(CAPACITY, 2)
