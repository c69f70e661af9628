"""The tape: hands what left the stage to the recorder process, on one count of ticks even if the stage is a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from bridge.child import Child
from bridge.messages.message import Trouble
from bridge.messages.recorder import (
    Finish,
    FromRecorder,
    Record,
    Recorded,
    RecordedLoop,
    RecordedMeter,
    RecordedMute,
    RecordedStop,
    RecordedTempo,
)
from bridge.messages.stage import EpochStarted, Event, Left, Piece
from engines.music import LoopFile, Meter

WRITE_S = 60.0
"""How long the files may take to be written."""


class Tape:
    """A recorder process, if there are paths to record to; else nothing."""

    def __init__(
        self,
        paths: tuple[Path, ...],
        say: Callable[[str], None],
        stems: tuple[tuple[str, Path], ...] = (),
        programs: dict[str, dict[int, int]] | None = None,
    ) -> None:
        self._programs = programs or {}
        self._paths = paths
        self._stems = stems
        self._say = say
        self._looping: set[str] = set()
        self._child: Child | None = None
        self._offset_ticks = 0
        self._before_ticks: int | None = None  # the offset of the stage that died, until the new one plays
        self._last_tick = 0
        self._written = asyncio.Event()

    def start(self, tempo_mbpm: int, meter: Meter) -> None:
        """Start the recorder."""
        if not (self._paths or self._stems):
            return
        accepts: Any = FromRecorder
        self._child = Child("bridge.recorder.process", accepts, self._message, self._gone)
        self._child.start()
        paths = tuple(str(path.absolute()) for path in self._paths)
        stems = tuple((player, str(path.absolute())) for player, path in self._stems)
        self._child.send(Record(paths, tempo_mbpm, meter.numerator, meter.denominator, stems, self._programs))

    def relay(self, message: EpochStarted | Left | Piece) -> None:
        """Hand on what the stage said."""
        if self._child is None:
            return
        if isinstance(message, Piece):
            self._send(RecordedTempo(message.tick + self._offset_ticks, message.tempo_mbpm))
        elif isinstance(message, EpochStarted):
            self._send(msgspec.structs.replace(message, tick=message.tick + self._offset_ticks))
        elif message.events:
            self._last_tick = message.events[-1].tick + self._offset_ticks
            if self._offset_ticks:
                shifted = (msgspec.structs.replace(e, tick=e.tick + self._offset_ticks) for e in message.events)
                message = Left(tuple(shifted))
            self._send(message)

    def meter(self, tick: int, meter: Meter) -> None:
        """The metre from a stage tick on."""
        self._send(RecordedMeter(tick + self._offset_ticks, meter.numerator, meter.denominator))

    def loop(self, player: str, tick: int, length_ticks: int, loop: LoopFile | None) -> None:
        """A bar of a player begins at a stage tick; one of notes alone ends the loop before it."""
        if loop is not None or player in self._looping:
            self._looping = self._looping | {player} if loop else self._looping - {player}
            self._send(RecordedLoop(player, tick + self._offset_ticks, length_ticks, loop))

    def mute(self, player: str, tick: int, muted: bool) -> None:
        """A player is silenced at a stage tick, or heard again."""
        self._send(RecordedMute(player, tick + self._offset_ticks, muted))

    def stop(self, tick: int) -> None:
        """Playing stopped at a stage tick."""
        self._send(RecordedStop(tick + self._offset_ticks))

    def splice(self, tick: int, sounding: Iterable[Event]) -> None:
        """The stage died at its tick `tick`, and what sounded has ended; a new one counts from there.

        Until `align`: only then is it known where in the song the new one goes on.
        """
        ends = tuple(msgspec.structs.replace(on, tick=tick, song_tick=tick, velocity=0) for on in sounding)
        self.relay(Left(ends))
        self.stop(tick)
        self._before_ticks = self._offset_ticks
        self._offset_ticks = max(self._last_tick, tick + self._offset_ticks)

    def align(self, tick: int, old_tick: int) -> None:
        """The new stage's tick `tick` is where the one that died would have had old_tick."""
        if self._before_ticks is not None:
            self._offset_ticks = max(old_tick + self._before_ticks, self._last_tick) - tick
            self._before_ticks = None

    async def finish(self, tick: int | None) -> None:
        """Have the files written, ending at a stage tick (None: where the last event was), and wait for them."""
        if self._child is None:
            return
        self._send(Finish(self._last_tick if tick is None else tick + self._offset_ticks))
        try:
            async with asyncio.timeout(WRITE_S):
                await self._written.wait()
        except TimeoutError:
            self._say("the recorder did not finish in time; what it had is in the .part files")
        self.close()

    def close(self) -> None:
        """Let the recorder write what it has, and leave. May be called twice."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _send(self, message: Any) -> None:
        if self._child is not None:
            self._child.send(message)

    def _message(self, message: Recorded | Trouble) -> None:
        if isinstance(message, Trouble):
            self._say(message.text)
            return
        for path in message.paths:
            self._say(f"recorded {path}")
        self._written.set()

    def _gone(self) -> None:
        self._child = None
        if not self._written.is_set():
            self._say("the recorder died; nothing more is recorded")
            self._written.set()
