"""Epochs: how a stretch of playing begins. Its first bars are made, then the stage is told when it starts.

A source that starts us does not wait for bars: then the stage is told at once, and the bars follow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.messages.stage import Chunk, Play
from bridge.players.grid import Song
from bridge.players.planner import Planner
from engines.music import Note

CUE_S = 2.0
"""How long the first bars of an epoch are waited for, before it starts with silence in their place."""

LED_CUE_S = 0.25
"""The same where the epoch has begun already."""

DELAY_MS = 60
"""From the moment the first bars are there to the first note: time to bring them to the stage."""

RESUME_NS = 150_000_000
"""A new stage's first bar line is at least this far away."""

CLICK_PITCH, CLICK_TICKS = 37, 120
"""General MIDI's side stick, which every kit has."""

LOUD, SOFT = 110, 80


@dataclass(frozen=True, slots=True)
class Start:
    """When an epoch begins.

    at_ns: not before this; led: exactly then, a source says so, even if it is over; armed: when a source says so
    quantum_ticks: where our position and the source's agree modulo so many ticks; 0 does not wait for that
    count_in_bars: after so many bars of clicks
    """

    at_ns: int | None = None
    led: bool = False
    armed: bool = False
    quantum_ticks: int = 0
    count_in_bars: int = 0


class Epochs:
    """Starts one epoch after the other. `now_ns` is perf_counter_ns."""

    def __init__(self, song: Song, to_stage: Callable[[Any], None], now_ns: Callable[[], int]) -> None:
        self.planners: Sequence[Planner] = ()
        self.clicker = ""
        self.number = 0
        self.position_tick = 0
        self._song = song
        self._to_stage = to_stage
        self._now_ns = now_ns
        self._start = Start()
        self._cueing = False
        self._told = False
        self._down = False
        self._timeout: asyncio.TimerHandle | None = None

    @property
    def armed(self) -> bool:
        """Whether a source's start is waited for."""
        return self._start.armed

    def cue(self, position_tick: int, start: Start) -> None:
        """Have the first bars made from a song tick; the epoch starts with them. Without a stage, with the next one."""
        self.end_cue()
        self.number += 1
        self.position_tick = position_tick
        self._start = start
        if self._down:
            return
        self._cueing, self._told = True, False
        if start.led:
            self._tell(self._start)
        self._wait(LED_CUE_S if start.led else CUE_S)
        for planner in self.planners:
            planner.cue(self.number, position_tick, afresh=position_tick == 0)
        self.cued()

    def cued(self) -> None:
        """A player's first bar is there; the epoch begins when all are."""
        if self._cueing and all(planner.cued(self.number) for planner in self.planners):
            self._begin()

    def lead(self, position_tick: int, at_ns: int) -> None:
        """A source has started: a song tick is at at_ns. What was cued for that plays."""
        if not (self._start.armed and self.position_tick == position_tick):
            self.cue(position_tick, Start(at_ns, led=True))
            return
        self._start = Start(at_ns, led=True)
        self._tell(self._start)
        if self._cueing:
            self._wait(LED_CUE_S)
        else:
            self._begin()

    def end_cue(self) -> None:
        """Wait for no bars any more."""
        self._cueing = False
        self._start = Start()
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def halt(self) -> None:
        """Nothing plays until the next epoch."""
        self.end_cue()
        for planner in self.planners:
            planner.halt()

    # A stage that dies, and the one after it

    def stage_lost(self) -> None:
        """The song goes on by our own clock, unheard."""
        self._down = True
        self.halt()

    def stage_back(self) -> tuple[int, int] | None:
        """The bar line that a new stage can reach, as song tick and moment; None if none was lost."""
        if not self._down:
            return None
        self._down = False
        if self._song.epoch != self.number:
            return self.position_tick, self._now_ns()
        tick = self._song.grid.bar_at(self._song.song_tick_at(self._now_ns() + RESUME_NS)).end_tick
        return tick, self._song.ns_at(tick)

    # How

    def _begin(self) -> None:
        start, told = self._start, self._told
        self.end_cue()
        if start.armed:
            self._start = start  # ready, and waiting
            return
        if not told:
            self._tell(start)
        for planner in self.planners:
            planner.begin()

    def _tell(self, start: Start) -> None:
        self._told = True
        bar = self._song.grid.bar_at(self.position_tick)
        count_in = start.count_in_bars * bar.length_ticks
        at_ns = start.at_ns
        if at_ns is not None and not start.led:
            at_ns = max(at_ns, self._now_ns() + DELAY_MS * 1_000_000)
        self._to_stage(Play(self.number, self.position_tick, DELAY_MS, at_ns, start.quantum_ticks, count_in))
        if count_in and self.clicker:
            self._to_stage(self._clicks(count_in, bar.meter.beat_ticks, bar.length_ticks))

    def _clicks(self, length_ticks: int, beat_ticks: int, bar_ticks: int) -> Chunk:
        """The count-in, as a bar before all bars, of which nobody keeps count."""
        clicks = range(0, length_ticks, beat_ticks)
        notes = tuple(Note(at, CLICK_PITCH, SOFT if at % bar_ticks else LOUD, CLICK_TICKS) for at in clicks)
        start = self.position_tick - length_ticks
        return Chunk(self.clicker, self.number, -1, 0, start, length_ticks, "rest", notes)

    def _wait(self, patience_s: float) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
        self._timeout = asyncio.get_running_loop().call_later(patience_s, self._begin)
