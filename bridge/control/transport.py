"""The transport: tempo, play, stop, continue, jump and metre, for all players together.

Positions that people see are in beats (quarter notes) from the song's start, as floats; inside they are ticks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from bridge.control.surface import ROOT, Node
from bridge.messages.stage import EpochStarted, Piece, Play, Stop, Stopped, Tempo
from bridge.players.grid import Song
from bridge.players.planner import Planner
from bridge.set import TEMPO_BPM_HIGH, TEMPO_BPM_LOW
from engines.errors import SidemanError
from engines.music import TICKS_PER_BEAT, Meter
from engines.parameter import Parameter, Value

CUE_S = 2.0
"""How long the first bars of an epoch are waited for, before it starts with silence in their place."""

DELAY_MS = 60
"""From the moment the first bars are there to the first note: time to bring them to the stage."""

RESUME_NS = 150_000_000
"""A new stage's first bar line is at least this far away."""

BEATS_MAX = 1_000_000.0

TEMPO = Parameter(
    name="tempo", kind="float", default=120.0, low=TEMPO_BPM_LOW, high=TEMPO_BPM_HIGH, unit="bpm", help="tempo, at once"
)
POSITION = Parameter(
    name="position", kind="float", default=0.0, high=BEATS_MAX, unit="beats", help="where the song is; set it to jump"
)
PLAYING = Parameter(name="playing", kind="bool", default=False, help="1 plays on from the position, 0 stops")


class Transport:
    """Starts and ends epochs. `now_ns` is perf_counter_ns."""

    def __init__(self, song: Song, to_stage: Callable[[Any], None], now_ns: Callable[[], int]) -> None:
        self.song = song
        self.planners: Sequence[Planner] = ()
        self.on_meter: Callable[[int, Meter], None] = lambda _tick, _meter: None
        self._to_stage = to_stage
        self._now_ns = now_ns
        self._epoch = 0
        self._tempo_mbpm = song.tempo_mbpm
        self._position_tick = 0
        self._wanted = False
        self._cueing = False
        self._down = False
        self._resume: tuple[int, int] | None = None  # (song tick, when it is to be) for a new stage
        self._timeout: asyncio.TimerHandle | None = None

    def nodes(self) -> tuple[Node, ...]:
        """The transport's addresses."""
        return (
            self._node(TEMPO.name, TEMPO.takes, TEMPO.help, lambda: self._tempo_mbpm / 1000, self.set_tempo),
            self._node(PLAYING.name, PLAYING.takes, PLAYING.help, lambda: self.playing, self._set_playing),
            self._node(POSITION.name, POSITION.takes, POSITION.help, self.position_beats, self.jump),
            self._node(
                "meter", "a metre such as 7/8", "metre, from the next bar on", lambda: str(self.meter), self.set_meter
            ),
        )  # fmt: skip

    @property
    def playing(self) -> bool:
        """True from play to stop, also while the first bars are being made."""
        return self._wanted

    @property
    def tempo_mbpm(self) -> int:
        """The tempo asked for last, in thousandths of a bpm."""
        return self._tempo_mbpm

    @property
    def meter(self) -> Meter:
        """The metre where the song is."""
        return self.song.grid.bar_at(self.position_tick()).meter

    def position_tick(self) -> int:
        """The song tick that sounds, or where it would go on."""
        if self.song.playing and self.song.epoch == self._epoch:
            return max(self._position_tick, self.song.song_tick_at(self._now_ns()))
        return self._position_tick

    def position_beats(self) -> float:
        """The same in beats."""
        return self.position_tick() / TICKS_PER_BEAT

    # What people ask for

    def set_tempo(self, value: object) -> None:
        """A tempo from 20 to 999 bpm, to land as soon as it can. Raises SidemanError."""
        self._tempo_mbpm = round(float(TEMPO.check(value)) * 1000)
        self._to_stage(Tempo(self._tempo_mbpm))

    def play(self) -> None:
        """Play on from the position; nothing if it plays."""
        if not self._wanted:
            self._wanted = True
            self._cue(self._position_tick, afresh=self._position_tick == 0)

    def stop(self) -> None:
        """End every sounding note; the position is kept."""
        if self._wanted:
            self._position_tick = self.position_tick()
            self._wanted = self.song.playing = False
            self._end_cue()
            self._halt()
            self._to_stage(Stop())

    def jump(self, value: object) -> None:
        """Go to a position in beats, playing on if it plays; 0 starts the song afresh. Raises SidemanError."""
        self._position_tick = round(float(POSITION.check(value)) * TICKS_PER_BEAT)
        if self._wanted:
            self._cue(self._position_tick, afresh=self._position_tick == 0)

    def set_meter(self, value: object) -> None:
        """A metre from the next bar on that can still be changed. Raises SidemanError."""
        if not isinstance(value, str):
            raise SidemanError("meter takes a metre such as 7/8")
        meter = Meter.parse(value)
        here = self.song.grid.bar_at(self.position_tick())
        number = here.number if here.start_tick == self.position_tick() else here.number + 1
        if self.song.playing:
            number = max([number, *(planner.lands for planner in self.planners)])
        self.song.grid.change(number, meter)
        for planner in self.planners:
            planner.bar_changed(number)
        self.on_meter(self.song.grid.bar(number).start_tick, meter)

    # What the stage reports

    def stage_lost(self) -> None:
        """The stage died. The song goes on by our own clock, unheard."""
        self._down = True
        self.song.playing = False
        self._end_cue()
        self._halt()

    def stage_back(self) -> None:
        """A new stage is ready: find the bar line that it can reach. Its timeline is about to come."""
        if self._down and self._wanted:
            self._resume = (self._position_tick, self._now_ns())
            if self.song.epoch == self._epoch:
                tick = self.song.grid.bar_at(self.song.song_tick_at(self._now_ns() + RESUME_NS)).end_tick
                self._resume = (tick, self.song.ns_at(tick))
        self._down = False
        self.song.forget()

    def piece(self, message: Piece) -> None:
        """The tempo has changed, or a stage has started."""
        self.song.piece(message)
        if self._resume is not None and self._wanted:
            for planner in self.planners:
                planner.missed(self.song.grid.bar_at(self._resume[0]).number)
            self._cue(self._resume[0], afresh=self._resume[0] == 0)

    def epoch_started(self, message: EpochStarted) -> None:
        """The epoch plays."""
        if message.epoch == self._epoch and self._wanted:
            self.song.epoch_started(message)

    def stopped(self, message: Stopped) -> None:
        """The stage has stopped, exactly there."""
        if message.epoch == self._epoch and not self._wanted:
            self._position_tick = message.position_tick

    # Epochs

    def _cue(self, position_tick: int, afresh: bool) -> None:
        """Have the first bars made; `_begin` follows when they are there. Without a stage, wait for the next one."""
        self._end_cue()
        self._epoch += 1
        self._position_tick = position_tick
        if self._down:
            return
        self._cueing = True
        self._timeout = asyncio.get_running_loop().call_later(CUE_S, self._begin)
        for planner in self.planners:
            planner.cue(self._epoch, position_tick, afresh)
        self.cued()

    def cued(self) -> None:
        """A player's first bar is there; the epoch begins when all are."""
        if self._cueing and all(planner.cued(self._epoch) for planner in self.planners):
            self._begin()

    def _begin(self) -> None:
        self._end_cue()
        resume, self._resume = self._resume, None
        delay_ms = max(DELAY_MS, (resume[1] - self._now_ns()) // 1_000_000) if resume else DELAY_MS
        self._to_stage(Play(self._epoch, self._position_tick, delay_ms))
        for planner in self.planners:
            planner.begin()

    def _end_cue(self) -> None:
        self._cueing = False
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _halt(self) -> None:
        for planner in self.planners:
            planner.halt()

    def _set_playing(self, value: object) -> None:
        if PLAYING.check(value):
            self.play()
        else:
            self.stop()

    def _node(
        self, name: str, takes: str, help_: str, get: Callable[[], Value], set_: Callable[[object], None]
    ) -> Node:
        return Node(f"{ROOT}/transport/{name}", takes, help_, get=lambda: (get(),), set=set_)
