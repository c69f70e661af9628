"""The renderer: a process per player of sound, which writes its strip of the desk a little ahead of the device.

Run by the stage's audio output as `python -m bridge.sound.renderer DESCRIPTOR DESK`. Frames lie ready at most 40 ms
before the device takes them (bridge/sound/ahead.py); all but the block that it may take next can still be rendered
again, so that a note, a stop or a new tempo need not come so long before it sounds.
"""

from __future__ import annotations

import contextlib
import select
import signal
import sys
from typing import Protocol

import numpy as np

from bridge.channel import Channel, ChannelClosedError
from bridge.messages.message import Trouble
from bridge.messages.sound import (
    CueLoop,
    Fader,
    RendererReady,
    RendererSetup,
    SoundNote,
    SoundSilence,
    StartLoop,
)
from bridge.messages.stage import Piece
from bridge.sound.ahead import ahead_frames, guard_frames, ready_frames
from bridge.sound.clock import ClockPiece, FrameClock
from bridge.sound.desk import CAPACITY, FROM, LATE_FRAMES, WRITTEN, Desk
from bridge.sound.grid import Grid
from bridge.sound.kit import Kit, Samples
from bridge.sound.loops import LoopPlayer
from bridge.sound.mixer import Hit, Mixer
from bridge.sound.prepare import load_readers
from bridge.sound.workshop import Workshop
from bridge.stage.realtime import take_realtime
from bridge.timing.host import keep_time
from engines.errors import SidemanError
from engines.notes.roles import PROGRAMS

ToRenderer = RendererSetup | SoundNote | SoundSilence | CueLoop | StartLoop | Fader | Piece

PART_FRAMES = 1024
CLOCK_TRIES = 100
"""The device may just be writing it."""

WAIT_MIN_S, WAIT_MAX_S = 0.002, 0.010


class Instrument(Protocol):
    """What plays a player's notes: the built-in Mixer, or bridge/sound/font.py. All frames are the device's."""

    rewinds: bool

    @property
    def frame(self) -> int:
        """The next frame to be rendered."""
        ...

    def add(self, hit: Hit) -> None:
        """Queue a hit."""
        ...

    def silence(self) -> None:
        """Fade out everything from the next frame on, and forget what was to come."""
        ...

    def render_into(self, mix: Samples) -> None:
        """Add the next frames."""
        ...

    def rewind(self, frame: int) -> int:
        """Go back to a frame, or as far as it can; returns where it is then."""
        ...

    def skip(self, frame: int) -> None:
        """Go on at a later frame."""
        ...


class Renderer:
    """A strip, its instrument and its loops. It reads no clock but the device's, from the desk."""

    def __init__(self, desk: Desk, setup: RendererSetup, clock: FrameClock, instrument: Instrument) -> None:
        self._desk = desk
        self._setup = setup
        self._ring = desk.ring(setup.strip)
        self._instrument = instrument
        self.loops = LoopPlayer(desk.rate, "finish" if setup.finish else "stretch")
        self._clock = self._later(clock)
        self.grid: Grid | None = None
        self._cursor = 0
        self._mix = np.zeros((PART_FRAMES, 2), np.float32)

    def tell(self, message: ToRenderer) -> None:
        """What the stage says."""
        grid, now = self.grid, self.changeable
        match message:
            case SoundNote():
                frame = round(self._clock.frame_at(message.at_ns))
                self._back(frame)
                self._instrument.add(Hit(frame, message.pitch, message.velocity, message.channel))
            case SoundSilence():
                self._back(now)
                self._instrument.silence()
                if grid:
                    self.loops.stops(grid.tick_at(now), grid, now)
            case Fader():
                self._desk.set_fader(self._setup.strip, *fader_of(message))
            case CueLoop():
                self.loops.cue(message.loop)
            case StartLoop() if grid:
                self._back(self.loops.starts(message.loop, message.tick, message.length_ticks, grid, now))
            case Piece() if grid:
                grid.apply(message)
                self._back(self.loops.tempo(grid, now))
            case Piece():
                self.grid = Grid(self._clock, message)
            case _:
                pass

    @property
    def changeable(self) -> int:
        """The first frame that is not as good as played."""
        return self._desk.played + guard_frames(self._desk.rate, self._desk.block)

    def take_up(self, workshop: Workshop) -> list[str]:
        """Ask for loops that are wanted, and take those that are ready; returns what there is to say."""
        if self.grid is None:
            return []
        for want in self.loops.wants(self.grid):
            workshop.ask(want)
        found, died = workshop.fetch()
        for want, take, _ in found:
            self._back(self.loops.ready(want, take, self.grid, self.changeable))
        if died:
            self.loops.lost()
        return [text for _, _, text in found if text]

    def fill(self) -> None:
        """Render up to where the ring may be filled."""
        desk, strip = self._desk, self._setup.strip
        clock = desk.clock()
        if clock and clock.pieces[-1] != self._told.pieces[-1]:
            self._clock = self._later(clock)
            if self.grid:
                self.grid.clock = self._clock
        if self._cursor < desk.played:  # late: what can still be in time is what comes after the next block
            self._cursor = self.changeable
            self._instrument.skip(self._cursor)
            if desk.strip(strip, WRITTEN) < self._cursor:
                desk.set_strip(strip, FROM, self._cursor)
        ready = ahead_frames if self._instrument.rewinds else ready_frames
        until = desk.played + ready(desk.rate, desk.block)
        while self._cursor < until:
            self._render(min(PART_FRAMES, until - self._cursor, CAPACITY - self._cursor % CAPACITY))
        desk.set_strip(strip, LATE_FRAMES, self.loops.late_frames)
        if self.grid:
            self.loops.forget(desk.played, self.grid)

    def _render(self, count: int) -> None:
        mix = self._mix[:count]
        mix.fill(0)
        self._instrument.render_into(mix)
        if self.grid and self.loops.busy:
            self.loops.render(mix, self._cursor, self.grid)
        at = self._cursor % CAPACITY
        self._ring[at : at + count] = mix
        self._cursor += count
        written = self._desk.strip(self._setup.strip, WRITTEN)
        if self._cursor > written:
            self._desk.set_strip(self._setup.strip, WRITTEN, self._cursor)

    def _back(self, frame: int) -> None:
        """From a frame on, or as far back as can still be, everything is to be rendered again."""
        frame = max(frame, self.changeable)
        if frame < self._cursor:
            self._cursor = max(frame, min(self._cursor, self._instrument.rewind(frame)))

    def _later(self, clock: FrameClock) -> FrameClock:
        """A map by which everything sounds `later_ns` later."""
        self._told = clock
        later_ns = self._setup.later_ns
        pieces = tuple(ClockPiece(piece.frame, piece.at_ns - later_ns, piece.bend_ppb) for piece in clock.pieces)
        return FrameClock(clock.rate, pieces)


def fader_of(message: Fader) -> tuple[float, float]:
    """Left and right of a fader: a balance, as what is mixed is stereo; both full in the middle."""
    gain = 0.0 if message.muted or message.gain_db <= -60 else 10 ** (min(12.0, message.gain_db) / 20)
    pan = max(-1.0, min(1.0, message.pan))
    left, right = (float(np.cos(max(0.0, side) * np.pi / 2)) for side in (pan, -pan))
    return gain * left, gain * right


def serve(channel: Channel, desk: Desk) -> None:
    """Write a strip until the stage goes."""
    first = channel.first()
    clock = next((clock for clock in (desk.clock() for _ in range(CLOCK_TRIES)) if clock), None)
    if not isinstance(first, RendererSetup) or clock is None:
        return
    try:
        instrument = _instrument(first, desk)
    except SidemanError as error:
        channel.send(Trouble(str(error)))
        instrument = Mixer(Kit(desk.rate), desk.played, PROGRAMS | first.programs)
    renderer = Renderer(desk, first, clock, instrument)
    workshop = Workshop(desk.rate)
    load_readers()
    take_realtime()
    channel.send(RendererReady())
    try:
        while True:
            for message in channel.receive():
                renderer.tell(message)
            for text in renderer.take_up(workshop):
                channel.send(Trouble(text))
            renderer.fill()
            wait_s = max(WAIT_MIN_S, min(WAIT_MAX_S, desk.block / desk.rate))
            listening = [channel.fileno(), *([workshop.channel.fileno()] if workshop.channel else [])]
            select.select(listening, [], [], wait_s)
    finally:
        workshop.close()


def _instrument(setup: RendererSetup, desk: Desk) -> Instrument:
    programs = PROGRAMS | setup.programs
    if setup.font:
        from bridge.sound.font import FontPlayer

        return FontPlayer(setup.font, desk.rate, desk.played, programs)
    return Mixer(Kit(desk.rate), desk.played, programs)


def main() -> None:
    """Run as a process on an inherited descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    channel = Channel.inherited(int(sys.argv[1]), ToRenderer)
    desk = Desk.attach(sys.argv[2])
    with contextlib.suppress(ChannelClosedError), keep_time():
        serve(channel, desk)
    channel.close()


if __name__ == "__main__":
    main()
