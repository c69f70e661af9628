"""The loops of one player in a recording, on the frames of its file, as the stage played them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridge.messages.stage import Piece
from bridge.sound.clock import ClockPiece, FrameClock
from bridge.sound.grid import Grid
from bridge.sound.kit import RATE, Samples
from bridge.sound.loops import LoopPlayer
from bridge.sound.prepare import prepared, take_of
from bridge.timing.timeline import TempoMap
from engines.errors import SidemanError
from engines.music import LoopFile

RAMP_FRAMES = RATE // 200
"""5 ms for going silent and coming back."""

KEPT = 64
"""Changes between silent and heard that are remembered: more than can lie in what is rendered at once."""


@dataclass(frozen=True, slots=True)
class LoopStart:
    """A bar of a player begins at a tick of the file, maybe before heard_from: the tick from which it sounds."""

    player: str
    loop: LoopFile | None
    tick: int
    length_ticks: int
    heard_from: int = 0


def grid_of(tempo_map: TempoMap) -> Grid:
    """The frames of a file whose frame 0 is its tick 0, at RATE."""
    first, *rest = tempo_map.pieces
    grid = Grid(FrameClock(RATE, (ClockPiece(0, 0),)), first)
    for piece in rest:
        grid.apply(piece)
    return grid


class LoopPart:
    """A player's loops: told as they begin, rendered up to where everything is settled.

    Nothing in here waits for another process: a recording may take its time.
    """

    def __init__(self, tempo_map: TempoMap) -> None:
        self._grid = grid_of(tempo_map)
        self._player = LoopPlayer(RATE)
        self._turns: list[tuple[int, int, bool]] = []  # from a frame on, within so many frames, heard or not
        self._muted = False
        self._frame = 0
        self.troubles: list[str] = []

    def tempo(self, piece: Piece) -> None:
        """The tempo from a tick of the file on."""
        self._grid.apply(piece)
        self._player.tempo(self._grid, self._frame)

    def starts(self, start: LoopStart) -> None:
        """A bar begins."""
        self._player.starts(start.loop, start.tick, start.length_ticks, self._grid, self._frame)
        ramp = 1 if start.tick >= start.heard_from else RAMP_FRAMES  # at its beginning a loop is as it is
        self._turn(max(start.tick, start.heard_from), ramp, start.loop is not None and not self._muted)

    def stops(self, tick: int) -> None:
        """Nothing sounds from a tick on, until the next bar begins."""
        self._player.stops(tick, self._grid, self._frame)
        self._turn(tick, RAMP_FRAMES, False)

    def mute(self, tick: int, muted: bool) -> None:
        """The player is muted, or heard again, from a tick on."""
        self._muted = muted
        self._turn(tick, RAMP_FRAMES, not muted)

    def add_to(self, mix: Samples, first: int) -> None:
        """Add the frames from `first` on; they are settled."""
        while wants := self._player.wants(self._grid):
            for want in wants:
                try:
                    take = take_of(prepared(want, RATE), want, RATE)
                except SidemanError as error:
                    self.troubles.append(str(error))
                    self._player.ready(want, None, self._grid, self._frame)
                else:
                    self._player.ready(want, take, self._grid, self._frame)
        self._frame = first + len(mix)
        if self._player.busy:
            part = np.zeros_like(mix)
            self._player.render(part, first, self._grid)
            mix += part * self._gains(first, len(mix))[:, None]
            self._player.forget(self._frame, self._grid)

    def _turn(self, tick: int, ramp: int, heard: bool) -> None:
        frame = max(self._frame, round(self._grid.frame_at(tick)))
        self._turns = [*(old for old in self._turns if old[0] < frame), (frame, ramp, heard)][-KEPT:]

    def _gains(self, first: int, frames: int) -> Samples:
        """What each frame is heard by: from 0 to 1."""
        at, gains = [-RATE], [0.0]
        for frame, ramp, heard in self._turns:
            at += [max(at[-1], frame - 1), max(at[-1] + 1, frame - 1 + ramp)]
            gains += [gains[-1], float(heard)]
        return np.interp(np.arange(first, first + frames), at, gains).astype(np.float32)
