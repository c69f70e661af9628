"""The terminal view: each bar as a grid while it plays, with its outcome, headroom and the counts so far.

On a terminal it is a panel that is drawn in place; elsewhere each bar is one line. The player never waits for whoever
reads: a terminal that takes no more (Ctrl-S) misses frames, the music goes on.
"""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO

from bridge.messages.stage import Outcome
from bridge.terminal.grids import NAME_WIDTH, grid, one_line, spaced
from engines.music import Meter, Note

WANTED: tuple[Outcome, ...] = ("hit", "hold", "listen")
"""Outcomes that are what was wanted; the others count as late."""


@dataclass(frozen=True, slots=True)
class ShownBar:
    """A bar that has just begun.

    notes:    General MIDI pitches, ticks from the bar's start
    headroom: time that was left when it arrived / the bar's length; below 0 it came too late
    counts:   bars of each outcome since the start, this one included
    response_ms: how long the last change of a parameter took to be heard, None before one was
    """

    player: str
    bar: int
    meter: Meter
    tempo_bpm: float
    notes: tuple[Note, ...]
    outcome: Outcome
    headroom: float
    counts: dict[Outcome, int]
    response_ms: float | None = None


class View(Protocol):
    """What the daemon tells whoever watches."""

    def bar(self, shown: ShownBar) -> None:
        """A bar has begun."""
        ...

    def playhead(self, step: int) -> None:
        """The sixteenth of the bar that sounds now, from 0."""
        ...

    def sync(self, text: str) -> None:
        """How a source is followed, about four times a second; "" without one."""
        ...

    def say(self, text: str) -> None:
        """One line for people."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


Write = Callable[[str, bool], bool]
"""Writes a text, which must be read or (False) may be left out; returns whether it was or will be written."""


def open_view(stream: TextIO | None = None, quiet: bool = False) -> View:
    """The view for a stream (stdout): a panel on a terminal, lines elsewhere, only what must be said if quiet."""
    stream = sys.stdout if stream is None else stream
    panel = not quiet and stream.isatty() and os.environ.get("TERM", "xterm") != "dumb"
    writer = Writer(stream)
    writer.start()
    if panel:
        return PanelView(writer.write, shutil.get_terminal_size, writer.close)
    return LineView(writer.write, not quiet, writer.close)


class Writer:
    """Writes to a stream from a thread of its own, so that a full pipe or a stopped terminal holds up nobody."""

    FRAMES_AHEAD = 2
    LINES_AHEAD = 256
    CLOSE_S = 0.5

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def write(self, text: str, needed: bool) -> bool:
        """See Write; never waits."""
        if self._queue.qsize() >= (self.LINES_AHEAD if needed else self.FRAMES_AHEAD):
            return False
        self._queue.put(text)
        return True

    def close(self) -> None:
        """Write what waits, if that doesn't take long."""
        self._queue.put(None)
        self._thread.join(self.CLOSE_S)

    def _run(self) -> None:
        while (text := self._queue.get()) is not None:
            try:
                self._put(text)
            except (OSError, ValueError):
                return  # whoever read this has left

    def _put(self, text: str) -> None:
        """Past the stream's own buffer: a thread that hangs in it at the end would take the interpreter with it."""
        data = text.encode(self._stream.encoding or "utf-8", "replace")
        while data:
            data = data[os.write(self._stream.fileno(), data) :]


class LineView:
    """One line a bar."""

    def __init__(self, write: Write, bars: bool = True, close: Callable[[], None] = lambda: None) -> None:
        self._write = write
        self._bars = bars
        self.close = close

    def bar(self, shown: ShownBar) -> None:
        """See View."""
        if self._bars:
            self._write(f"{heading(shown)}  {one_line(shown.meter, shown.notes)}\n", False)

    def playhead(self, step: int) -> None:
        """See View; lines have none."""

    def sync(self, text: str) -> None:
        """See View; not in lines."""

    def say(self, text: str) -> None:
        """See View."""
        self._write(printable(text) + "\n", True)


class PanelView:
    """A panel at the foot of the terminal: a grid for each player, drawn in place; lines scroll by above it."""

    def __init__(
        self, write: Write, size: Callable[[], os.terminal_size], close: Callable[[], None] = lambda: None
    ) -> None:
        self._write = write
        self._size = size
        self._bars: dict[str, ShownBar] = {}
        self._bands: set[str] = set()  # players of several parts
        self._height = 0
        self._step = -1
        self._sync = ""
        self.close = close

    def bar(self, shown: ShownBar) -> None:
        """See View."""
        self._bars[shown.player] = shown
        if any(note.part for note in shown.notes):
            self._bands.add(shown.player)
        self._step = 0
        self._draw()

    def _draw(self) -> None:
        panel, height = self._panel()
        if self._write(f"{self._up()}{panel}", False):
            self._height = height

    def playhead(self, step: int) -> None:
        """See View. Only the foot of the panel is written."""
        if step != self._step and self._height:
            self._step = step
            self._write(f"\x1b[1F\x1b[2K{self._foot()}\n", False)

    def sync(self, text: str) -> None:
        """See View. The line stands above the grids."""
        if text != self._sync:
            self._sync = printable(text)
            self._draw()

    def say(self, text: str) -> None:
        """See View."""
        panel, height = self._panel()
        if self._write(f"{self._up()}\x1b[J{printable(text)}\n{panel}", True):
            self._height = height

    def _panel(self) -> tuple[str, int]:
        """The panel as text, and its lines."""
        if not self._bars:
            return "", 0
        width, height = self._size()
        grids = [grid(shown.meter, shown.notes, name in self._bands) for name, shown in self._bars.items()]
        needed = sum(len(rows) + 1 for rows in grids) + 2 + bool(self._sync)
        roomy = needed <= height and width >= NAME_WIDTH + 30
        lines = [self._sync] if self._sync else []
        for shown, rows in zip(self._bars.values(), grids, strict=True):
            lines.append(heading(shown))
            indented = " " * (NAME_WIDTH + 2) + one_line(shown.meter, shown.notes)
            lines += rows if roomy else [indented]
        lines.append(self._foot())
        return "".join(f"\x1b[2K{line[: width - 1]}\n" for line in lines) + "\x1b[J", len(lines)

    def _foot(self) -> str:
        """The playhead, below the grid's first player."""
        meter = next(iter(self._bars.values())).meter
        cells = ["^" if step == self._step else " " for step in range(meter.steps)]
        return " " * (NAME_WIDTH + 2) + spaced(meter, cells)

    def _up(self) -> str:
        return f"\x1b[{self._height}F" if self._height else ""


def heading(shown: ShownBar) -> str:
    """The bar's number, tempo, outcome and headroom, and the counts."""
    made = sum(shown.counts.get(outcome, 0) for outcome in WANTED)
    late = sum(shown.counts.values()) - made
    response = "" if shown.response_ms is None else f"  fader {shown.response_ms:.0f} ms"
    return (
        f"{shown.player} bar {shown.bar + 1:<4} {shown.meter} {shown.tempo_bpm:g} bpm  {shown.outcome:<6} "
        f"headroom {shown.headroom:4.0%}  {made} hit, {late} late{response}"
    )


def printable(text: str) -> str:
    """Text from anywhere without what could steer a terminal, in one line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
